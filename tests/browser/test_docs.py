"""The API reference in a real browser: under the pages' strict policy, by keyboard alone, on a phone, in both colour schemes, behind a
prefix, with a key that nothing keeps."""

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Request, Route, expect

from identity_service.web.pages import POLICY, STATIC
from identity_service.web.routes import CALLS, TRACKING
from tests.browser.axe import axe_source, findings
from tests.browser.libraries import Unavailable, libraries
from tests.browser.test_admin import LISTEN
from tests.browser.test_manual import PICTURES
from tests.test_command import PATIENCE, Service

KEY = "demo-private-key"
KEPT = "[JSON.stringify(localStorage), JSON.stringify(sessionStorage), document.cookie, location.href].join()"
TAB_STOP = "document.activeElement ? document.activeElement.innerText || document.activeElement.placeholder || '' : ''"
FOCUS_IS_SEEN = """(() => { const style = getComputedStyle(document.activeElement);
    return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== 'none'; })()"""


class Reference:
    """One tab at `/docs/api`, and everything in it that went wrong."""

    def __init__(self, context: BrowserContext, base: str) -> None:
        self.base = base
        self.faults: list[str] = []
        self.page: Page = context.new_page()
        self.page.add_init_script(LISTEN)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda message: self.faults.append(message.text) if message.type in {"error", "warning"} else None)
        self.page.on("request", self._ask)

    def _ask(self, request: Request) -> None:
        if not request.url.startswith((f"{self.base}/", "data:")):
            self.faults.append(request.url)

    def open(self, fragment: str = "") -> None:
        self.page.goto(f"{self.base}/docs/api{fragment}")
        expect(self.page.locator(".opblock").first).to_be_visible(timeout=PATIENCE * 1000)

    def call(self, method: str, path: str) -> Locator:
        exact = self.page.locator(f'[data-path="{path}"]')
        return self.page.locator(f".opblock-{method.lower()}").filter(has=exact)

    def unfold(self, method: str, path: str) -> Locator:
        call = self.call(method, path)
        call.locator(".opblock-summary-control").click()
        expect(call.locator(".opblock-body")).to_be_visible()
        return call

    def tab_to(self, words: str) -> None:
        """Presses Tab until what begins with these words has the focus, which has to be seen."""
        for _ in range(40):
            self.page.keyboard.press("Tab")
            if str(self.page.evaluate(TAB_STOP)).startswith(words):
                assert self.page.evaluate(FOCUS_IS_SEEN), words
                return
        raise AssertionError(f"the keyboard does not reach {words}")

    def whole(self) -> None:
        """Nothing was blocked, nothing failed, nobody else was asked."""
        assert self.page.evaluate("violations") == []
        assert self.faults == []


@pytest.fixture
def reference(browser: Browser, service: Service) -> Reference:
    return Reference(browser.new_context(viewport={"width": 1280, "height": 900}), service.url)


@pytest.fixture
def behind_prefix(browser: Browser, service: Service) -> Reference:
    """The service under `/id/`, as a proxy shows it that takes the prefix off; at any other address there is nothing."""
    context = browser.new_context()
    context.route(f"{service.url}/**", lambda route: without_prefix(route, service.url))
    return Reference(context, f"{service.url}/id")


def without_prefix(route: Route, base: str) -> None:
    if route.request.url.startswith(f"{base}/id/"):
        route.fulfill(response=route.fetch(url=route.request.url.replace("/id/", "/", 1)))
    else:
        route.fulfill(status=404)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_everything_it_shows_can_be_read_by_everybody(browser: Browser, service: Service, scheme: Any, width: int) -> None:
    source = axe_source()
    reference = Reference(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme), service.url)
    page = reference.page
    reference.open()
    assert findings(page, source) == []
    call = reference.unfold("POST", "/v1/visitors")
    reference.unfold("GET", "/v1/orders/{sale}")
    call.get_by_role("button", name="Try it out").click()
    call.get_by_role("tab", name="Schema").first.click()
    page.locator(".models button").first.click()
    expect(page.locator(".models .json-schema-2020-12").first).to_be_visible()
    assert findings(page, source) == []
    page.get_by_role("button", name="Authorize").click()
    expect(page.locator(".modal-ux input:focus")).to_have_count(1)
    assert findings(page, source) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.keyboard.press("Escape")
    page.screenshot(path=PICTURES / f"docs-api-{width}-{scheme}.png")
    dark = page.evaluate("getComputedStyle(document.documentElement).colorScheme + document.documentElement.className")
    assert ("dark-mode" in dark) == (scheme == "dark")
    reference.whole()


def test_it_follows_the_colour_scheme_when_that_changes(reference: Reference) -> None:
    reference.open()
    for scheme, expected in (("dark", re.compile("dark-mode")), ("light", re.compile("^$"))):
        reference.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        expect(reference.page.locator("html")).to_have_class(expected)


def test_every_call_is_in_it(reference: Reference) -> None:
    reference.open()
    shown = set(reference.page.locator("[data-path]").evaluate_all("all => all.map(one => one.dataset.path)"))
    assert {path for one in (*CALLS, *TRACKING) for path in one.paths} <= shown


def test_a_call_is_found_and_its_example_seen_by_keyboard_alone(reference: Reference) -> None:
    reference.open()
    reference.tab_to("Filter by")
    reference.page.keyboard.type("/v1/lookups")
    expect(reference.page.locator(".opblock")).to_have_count(1)
    reference.tab_to("POST")
    reference.page.keyboard.press("Enter")
    call = reference.call("POST", "/v1/lookups")
    expect(call.locator(".opblock-section-request-body .microlight")).to_contain_text('"email"')
    expect(call.locator(".responses-wrapper .microlight").first).to_contain_text('"visitors"')
    reference.tab_to("Schema")
    reference.page.keyboard.press("Enter")
    expect(call.locator(".opblock-section-request-body")).to_contain_text("email_sha256")
    reference.whole()


def test_a_value_that_may_be_null_is_shown_as_such(reference: Reference) -> None:
    reference.open()
    answers = reference.unfold("POST", "/v1/visitors").locator(".responses-wrapper")
    answers.get_by_role("tab", name="Schema").first.click()
    expect(answers).to_contain_text("(string | null)")


def test_an_address_leads_to_a_call(reference: Reference) -> None:
    reference.open()
    reference.unfold("POST", "/v1/links")
    fragment = str(reference.page.evaluate("location.hash"))
    assert "linkVisitor" in fragment
    reference.page.goto("about:blank")
    reference.open(fragment)
    expect(reference.call("POST", "/v1/links").locator(".opblock-body")).to_be_visible()


def test_a_call_is_tried_behind_a_prefix_with_a_key_that_nothing_keeps(behind_prefix: Reference) -> None:
    reference, page = behind_prefix, behind_prefix.page
    reference.open()
    page.get_by_role("button", name="Authorize").click()
    field = page.locator("#auth-bearer-value")
    assert field.get_attribute("autocomplete") == "off"
    field.fill(KEY)
    field.press("Enter")
    page.locator(".modal-ux").get_by_role("button", name="Close").last.click()
    call = reference.unfold("GET", "/v1/products")
    call.get_by_role("button", name="Try it out").click()
    with page.expect_response(re.compile(re.escape(f"{reference.base}/v1/products") + r"(\?limit=\d+)?")) as answered:
        call.get_by_role("button", name="Execute").click()
    assert (answered.value.status, answered.value.request.headers["authorization"]) == (200, f"Bearer {KEY}")
    expect(call.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    assert KEY not in page.evaluate(KEPT)
    reference.whole()
    page.reload()
    page.get_by_role("button", name="Authorize").click()
    expect(page.locator("#auth-bearer-value")).to_have_value("")
    assert KEY not in page.content()


def test_the_page_is_under_the_policy_of_every_page_and_has_no_script_style_or_host_of_its_own(reference: Reference) -> None:
    answer = reference.page.request.get(f"{reference.base}/docs/api")
    assert answer.headers["content-security-policy"] == POLICY.decode()
    assert "unsafe" not in POLICY.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:|https?://|=.//", answer.text())
    files = re.findall(r'(?:src|href)="(static/[^"]+)"', answer.text())
    assert len(files) == 4
    assert [reference.page.request.get(f"{reference.base}/docs/{file}").status for file in files] == [200] * 4


def test_a_description_that_cannot_be_loaded_is_reported(reference: Reference) -> None:
    reference.page.route("**/openapi.json", lambda route: route.fulfill(status=503, json={}))
    reference.page.goto(f"{reference.base}/docs/api")
    expect(reference.page.locator("#reference")).to_contain_text("cannot be loaded. Reload the page")


def test_a_browser_without_scripts_is_led_to_the_description(browser: Browser, service: Service) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(f"{service.url}/docs/api")
    expect(page.locator("noscript a, main a")).to_have_attribute("href", "../openapi.json")


def test_the_vendored_renderer_is_what_its_makers_released() -> None:
    try:
        released = libraries()["swagger-ui-dist"]
    except Unavailable as reason:
        pytest.skip(str(reason))
    for vendored, name in (("swagger-ui.min.js", "swagger-ui-bundle.js"), ("swagger-ui.min.css", "swagger-ui.css")):
        assert (STATIC / "vendor" / vendored).read_bytes() == (released / name).read_bytes(), vendored
    licence = (STATIC / "vendor" / "swagger-ui.LICENSE.txt").read_text()
    assert all((released / name).read_text() in licence for name in ("LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt"))
