"""The examples of the manual's page on own banners, each as it is printed."""

import re

import pytest
from playwright.sync_api import BrowserContext, Page

from identity_service.web.manual.book import FOLDER
from tests.browser.pages import Pages
from tests.browser.test_choices_kept import Banner, button, expect_refused, known, until_told
from tests.browser.test_snippet import CONFIG, open_page, told
from tests.test_command import Service

EXAMPLES = re.findall(r"^```html\n(.*?)^```", (FOLDER / "own-banner.md").read_text(), re.MULTILINE | re.DOTALL)


def saved() -> Banner:
    def save(page: Page, on: bool) -> None:
        page.set_checked("#measurement", on)
        page.set_checked("#linking", on)
        page.click("#save")

    return Banner(EXAMPLES[1], lambda page: save(page, True), lambda page: save(page, False))


BANNERS = (
    Banner(EXAMPLES[0], button("#accept"), button("#refuse")),
    saved(),
    Banner(EXAMPLES[2], button("#all"), button("#none")),
)


def test_the_page_has_three_examples() -> None:
    assert len(EXAMPLES) == len(BANNERS)


@pytest.mark.parametrize("number", range(len(BANNERS)))
def test_an_example_of_an_own_banner_works(profile: BrowserContext, shop_pages: Pages, service: Service, number: int) -> None:
    banner, email = BANNERS[number], f"example-{number}@example.com"
    page, errors = open_page(profile, shop_pages, f"/example-{number}", f"<body>{banner.body}" + CONFIG % "")
    assert told(page)[1] == "cookieless"
    known(page, profile, service, banner, email)
    visitor = told(page)[0]
    page.reload()
    assert told(page) == [visitor, "persistent"]
    banner.refuse(page)
    expect_refused(page, profile, service, email)
    banner.accept(page)
    until_told(page, "persistent")
    assert errors == []


def test_purposes_may_forbid_links_alone(profile: BrowserContext, shop_pages: Pages) -> None:
    page, errors = open_page(profile, shop_pages, "/unlinked", f"<body>{EXAMPLES[1]}" + CONFIG % "")
    assert told(page)[1] == "cookieless"
    page.check("#measurement")
    with page.expect_response("**/v1/consents") as answered:
        page.click("#save")
    assert (answered.value.json()["mode"], answered.value.json()["linkable"]) == ("persistent", False)
    assert errors == []
