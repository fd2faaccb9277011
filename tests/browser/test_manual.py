"""The manual in a real browser: at two sizes and in both colour schemes, by keyboard, and without anything from elsewhere.

Each page is pictured into `build/screenshots`.
"""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from identity_service.web.manual.book import NAMES
from tests.browser.axe import axe_source, findings
from tests.browser.test_admin import LISTEN
from tests.test_command import Service

MORE = pytest.mark.thorough
"""Both sizes and both colour schemes are in every run; with --long, each with each."""
SIZES = {"wide": (1280, 900), "phone": (390, 844)}
PICTURES = Path(__file__).parent.parent.parent / "build" / "screenshots"


class Reader:
    """One browser tab at the manual, and everything in it that went wrong."""

    def __init__(self, browser: Browser, base: str, size: str, scheme: str) -> None:
        self.base = base
        self.faults: list[str] = []
        width, height = SIZES[size]
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light")
        self.page: Page = context.new_page()
        self.page.add_init_script(LISTEN)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.on("request", lambda request: None if request.url.startswith((base, "data:")) else self.faults.append(request.url))

    def open(self, path: str) -> None:
        answer = self.page.goto(f"{self.base}{path}")
        assert answer is not None
        assert answer.status == 200, path

    def expect_sound(self, path: str, source: str) -> None:
        assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert self.page.evaluate("violations") == [], path
        assert self.faults == [], path
        assert findings(self.page, source) == [], path


@pytest.mark.parametrize(
    ("size", "scheme"),
    [("wide", "light"), ("phone", "dark"), pytest.param("wide", "dark", marks=MORE), pytest.param("phone", "light", marks=MORE)],
)
def test_every_page_fits_and_can_be_read_by_everybody(browser: Browser, service: Service, size: str, scheme: str) -> None:
    source = axe_source()
    reader = Reader(browser, service.url, size, scheme)
    PICTURES.mkdir(parents=True, exist_ok=True)
    for path in ("/docs", *(f"/docs/{name}" for name in NAMES), "/docs/search?q=refusal", "/docs/search?q=zebra"):
        reader.open(path)
        reader.expect_sound(path, source)
        name = path.removeprefix("/").replace("/", "-").replace("?q=", "-")
        picture = reader.page.screenshot(path=PICTURES / f"{name}-{size}-{scheme}.png")
        assert int.from_bytes(picture[16:20], "big") == SIZES[size][0]


def test_a_reader_finds_a_word_and_goes_there(browser: Browser, service: Service) -> None:
    reader = Reader(browser, service.url, "wide", "light")
    reader.open("/docs")
    reader.page.keyboard.press("Tab")
    expect(reader.page.get_by_text("Skip to the content")).to_be_focused()
    reader.page.get_by_label("Search the manual").fill("refusals")
    reader.page.keyboard.press("Enter")
    reader.page.get_by_role("main").get_by_role("link", name="Refusals").first.click()
    expect(reader.page).to_have_url(f"{service.url}/docs/consent#refusals")
    expect(reader.page.get_by_role("heading", name="Refusals")).to_be_in_viewport()
    expect(reader.page.get_by_role("navigation").get_by_role("link", name="Consent and banners")).to_have_attribute("aria-current", "page")
    assert reader.faults == []
