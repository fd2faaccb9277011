"""A shop on several hosts of one domain: a choice on one of them holds on the others."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser.pages import Pages, pages
from tests.browser.test_choices_kept import OWN, until
from tests.browser.test_snippet import CONFIG, told
from tests.stores import valkey
from tests.test_command import Service, served

DOMAIN = "shop.localhost"


@pytest.fixture(scope="module")
def spanning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pages, Service]]:
    with pages() as found, valkey() as store:
        origins = ",".join(f"http://{host}.{DOMAIN}:{found.port}" for host in ("www", "checkout"))
        environment = {"IDENTITY_STORE__URL": store, "IDENTITY_LIMITS__ENABLED": "false"}
        environment |= {"IDENTITY_SHOPS__DEMO__ORIGINS": origins, "IDENTITY_SHOPS__DEMO__COOKIE_DOMAIN": DOMAIN}
        environment["IDENTITY_SHOPS__DEMO__COOKIE_NAME"] = "__Secure-visitor"
        place: Path = tmp_path_factory.mktemp("spanning")
        with served(place, **environment) as started:
            found.service = started.url.replace("127.0.0.1", f"id.{DOMAIN}")
            found.bodies["/"] = f"<body>{OWN}" + CONFIG % ""
            yield found, started


def test_a_choice_on_one_host_of_a_shop_holds_on_the_other(profile: BrowserContext, spanning: tuple[Pages, Service]) -> None:
    spanning_pages, service = spanning
    page: Page = profile.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))

    def visit(host: str) -> None:
        page.goto(f"http://{host}.{DOMAIN}:{spanning_pages.port}/")

    visit("www")
    page.click("#no")
    until(page, lambda: told(page) == [None, "null"])
    visit("checkout")
    assert told(page) == [None, "null"]
    page.click("#yes")
    until(page, lambda: told(page)[1] == "persistent")
    visitor = told(page)[0]
    email = {"email": "spanning@example.com"}
    page.evaluate("async email => (await Clerk('call', 'log/email', email)).status", email)
    visit("www")
    assert told(page) == [visitor, "persistent"]
    visit("checkout")
    assert told(page) == [visitor, "persistent"]
    assert [one["visitor"] for one in service.call("/v1/lookups", email)[1]["visitors"]] == [visitor]
    assert errors == []
