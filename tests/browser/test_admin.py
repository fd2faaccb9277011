"""The admin pages in a real browser: by keyboard alone, with markup in everything they show."""

import itertools
import os
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from identity_service.model.token import Signing
from identity_service.settings.load import load
from identity_service.web.admin.routes import READ
from identity_service.web.admin.sessions import COOKIE
from tests.browser.pages import Pages
from tests.test_command import Service, eventually

MARKUP = ("<img src=x onerror=hacked=1>", '"><script>hacked=1</script>', "'};hacked=1//", "{{7*7}}", "<svg/onload=hacked=1>", "__proto__")
ODD_ID = "-.__proto__.-"
LISTEN = """window.violations = [];
addEventListener('securitypolicyviolation', event => violations.push(event.violatedDirective + ' ' + event.blockedURI));"""
FOCUSED = """() => { const one = document.activeElement; if (!one || one === document.body) return null;
    const name = one.labels && one.labels.length ? one.labels[0].innerText : one.innerText || one.getAttribute('aria-label') || '';
    const style = getComputedStyle(one), plain = !style.outlineStyle.match(/solid|auto/) && style.boxShadow === 'none';
    return {name: name.trim(), seen: !plain}; }"""
DRAWN = """[...document.querySelectorAll('.chart canvas')].map(one => {
    const all = new Uint32Array(one.getContext('2d').getImageData(0, 0, one.width, one.height).data.buffer);
    return [all.some(Boolean), all.includes(0xff000000)]; })"""
"""Whether anything is drawn, and whether in black: what a canvas takes for a colour that it cannot read."""
FITTING = """[...document.querySelectorAll('.chart')].every(
    one => Math.abs(one.querySelector('.uplot').offsetWidth - one.clientWidth) < 2)"""
WEIGHED = """(() => { const [page] = performance.getEntriesByType('navigation'), parts = performance.getEntriesByType('resource');
    return [[page, ...parts].reduce((sum, one) => sum + one.transferSize, 0), Math.round(page.domContentLoadedEventEnd)]; })()"""
CONFIRMATION = "Type the email again to erase it, at once and for good"
numbers = itertools.count()


class Admin:
    """One browser tab at the admin pages, and everything in it that went wrong."""

    def __init__(self, context: BrowserContext, base: str) -> None:
        self.base = base
        self.faults: list[str] = []
        self.page: Page = context.new_page()
        self.page.add_init_script(LISTEN)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda message: self._hear(message.type, message.text))
        self.page.on("request", lambda request: self._ask(request.url))

    def _hear(self, kind: str, text: str) -> None:
        """An answer that refuses is no fault of the page."""
        if kind in {"error", "warning"} and "the server responded with a status of 4" not in text:
            self.faults.append(text)

    def _ask(self, url: str) -> None:
        if not url.startswith((self.base, "data:")):
            self.faults.append(url)

    def open(self, path: str) -> None:
        self.page.goto(f"{self.base}/admin/{path}")

    def sign_in(self, key: str = "demo-private-key") -> None:
        self.open("signin")
        self.page.get_by_label("Private key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text("Overview")

    def send(self, path: str, button: str, **fields: str) -> None:
        """Opens a page, fills fields by their labels and presses a button."""
        self.open(path)
        for label, text in fields.items():
            self.page.get_by_label(label, exact=True).first.fill(text)
        self.page.get_by_role("button", name=button).first.click()

    def tab_to(self, name: str) -> None:
        """Presses Tab until what is called `name` has the focus, which has to be seen."""
        for _ in range(60):
            self.page.keyboard.press("Tab")
            focused = self.page.evaluate(FOCUSED)
            if focused and focused["name"] == name:
                assert focused["seen"], name
                return
        raise AssertionError(f"the keyboard does not reach {name}")

    def enter(self, name: str) -> None:
        self.tab_to(name)
        self.page.keyboard.press("Enter")

    def every_page(self, seen: dict[str, str]) -> Iterator[str]:
        """Leads through every page there is, and tells where it is. `seen`: what `tracked` made."""
        for path in READ:
            self.open(path)
            yield path
        product = f"orders?product={quote(MARKUP[0], safe='')}&attributed=yes"
        for path in (
            f"orders?sale={quote(seen['sale'], safe='')}",
            product,
            "orders?sale=nothing",
            "sessions",
            "logs?outcome=error",
            "overview?days=1",
        ):
            self.open(path)
            yield path
        self.send("customers", "Look up", Email=seen["email"])
        yield "customers found"
        self.page.get_by_text("Activity of").first.click()
        expect(self.page.get_by_role("link", name="All of this visitor")).to_be_visible()
        yield "customers with activity"
        self.page.get_by_role("button", name="Export or erase").click()
        yield "rights found"
        self.page.get_by_label(CONFIRMATION).fill("x")
        self.page.get_by_role("button", name="Erase").click()
        yield "rights refused"
        self.send("rights", "Open the request", Email="nobody@example.com")
        self.page.get_by_label(CONFIRMATION).fill("nobody@example.com")
        self.page.get_by_role("button", name="Erase").click()
        yield "certificate"
        self.open("customers?ref=ended")
        yield "reference ended"
        self.send("customers", "Look up", Email="<img src=x onerror=hacked=1>")
        yield "customers refused"
        self.send("visitors", "Search", **{"Visitor ID": seen["visitor"]})
        yield "visitors found"
        self.send("visitors", "Search", **{"Visitor ID": ODD_ID})
        yield "visitors odd"
        self.send("consent", "Show receipts", **{"Visitor ID": seen["visitor"]})
        yield "consent receipts"
        self.send("consent", "Preview")
        yield "consent decided"

    def whole(self) -> None:
        """Nothing ran that came with the data, nothing was blocked, nothing failed."""
        assert self.page.evaluate("[window.hacked, window.violations]") == [None, []]
        assert self.faults == []


def tracked(service: Service) -> dict[str, str]:
    """Calls that put markup wherever callers may write, for a person of this test's own: the service keeps what other tests wrote."""
    purposes = dict.fromkeys(("storage", "measurement", "linking"), "granted")
    visitor = service.call("/v1/consents", {"consent": {"purposes": purposes, "policy_version": MARKUP[0]}})[1]["visitor"]
    number = next(numbers)
    seen = {"visitor": visitor, "sale": f"{MARKUP[1]}/{number}", "email": f"luke{number}@skywalker.com", "customer": f"{MARKUP[0]}{number}"}
    line = [{"id": text, "price": 12.5, "quantity": 2} for text in MARKUP]
    calls: list[tuple[str, dict[str, Any]]] = [("click", {"product": text, "labels": list(MARKUP), "api": text}) for text in MARKUP]
    calls += [("search", {"query": text}) for text in MARKUP]
    calls += [("category", {"category": text}) for text in MARKUP]
    calls += [("basket/set", {"products": list(MARKUP)}), ("results", {"labels": list(MARKUP), "products": list(MARKUP)})]
    calls.append(("sale", {"sale": seen["sale"], "products": line, "email": seen["email"], "customer": seen["customer"]}))
    calls.append(("click", {"visitor": ODD_ID, "product": 1, "labels": ["Plain"]}))
    for name, body in calls:
        assert service.call(f"/v2/log/{name}", {"visitor": visitor} | body)[0] == 200, name
    assert service.call("/v2/log/sale", {"sale": MARKUP[0], "products": "?"})[0] == 400
    return seen


@pytest.fixture
def seen(service: Service) -> dict[str, str]:
    return tracked(service)


def base_of(service: Service) -> str:
    return service.url.replace("127.0.0.1", "localhost")


@pytest.fixture
def admin(profile: BrowserContext, service: Service) -> Admin:
    return Admin(profile, base_of(service))


def linked(service: Service, seen: dict[str, str]) -> int:
    return len(service.call("/v1/lookups", {"email": seen["email"]})[1]["visitors"])


def test_look_up_and_erasure_by_keyboard_alone(admin: Admin, service: Service, seen: dict[str, str]) -> None:
    page = admin.page
    page.goto(f"{admin.base}/admin")
    page.keyboard.type("wrong-key")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("This key is not known")
    page.keyboard.type("demo-private-key")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    admin.enter("Customers")
    expect(page.get_by_role("heading", level=1)).to_have_text("Customers")
    admin.enter("Skip to the content")
    admin.tab_to("Email")
    page.keyboard.type(seen["email"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("cell", name=seen["visitor"])).to_be_visible()
    assert seen["email"] not in page.url
    admin.enter("Export or erase …")
    expect(page.get_by_role("heading", level=1)).to_have_text("Rights")
    for typed in ("somebody@example.com", seen["email"]):
        assert linked(service, seen) == 1
        admin.tab_to(CONFIRMATION)
        page.keyboard.type(typed)
        page.keyboard.press("Enter")
        if typed != seen["email"]:
            expect(page.get_by_role("alert")).to_contain_text("so nothing was erased")
    expect(page.get_by_role("heading", level=1)).to_have_text("Certificate of erasure")
    assert linked(service, seen) == 0
    admin.enter("Sign out")
    expect(page.get_by_label("Private key of the shop")).to_be_focused()
    admin.open("customers")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    admin.whole()


def test_an_export_is_saved_as_a_file(admin: Admin, seen: dict[str, str]) -> None:
    admin.sign_in()
    admin.send("rights", "Open the request", Email=seen["email"])
    with admin.page.expect_download() as saved:
        admin.page.get_by_role("button", name="Save as JSON").click()
    assert saved.value.suggested_filename == "export.json"
    assert seen["visitor"] in saved.value.path().read_text()
    admin.whole()


def test_the_log_is_live_from_the_first_call_on(admin: Admin, service: Service) -> None:
    """Of a shop that no other test tracks."""
    admin.sign_in("other-private-key")
    with admin.page.expect_response("**/logs/stream*"):
        admin.open("logs")
    expect(admin.page.locator("#empty")).to_be_visible()
    for number in range(2):
        body = {"product": 1, "visitor": "one", "labels": [f"{MARKUP[0]} {number}"]}
        assert service.call("/v2/log/click", body, key="other-private-key")[0] == 200
        expect(admin.page.locator("tbody tr").first).to_contain_text(f"{MARKUP[0]} {number}")
    expect(admin.page.locator("#empty")).to_be_hidden()
    assert admin.page.locator("tbody tr").count() == 2
    admin.whole()


def test_an_hour_old_session_leads_to_the_sign_in(admin: Admin, profile: BrowserContext) -> None:
    admin.sign_in()
    [cookie] = [one for one in profile.cookies() if one["name"] == COOKIE]
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Strict")
    signing = Signing(load("development", {}).secrets.signing_keys)
    opened = signing.open_session(cookie["value"])
    assert opened
    old = signing.sign_session(opened[0], int(time.time()) - 3_601)
    profile.clear_cookies()
    admin.page.evaluate("text => { document.cookie = text + '; Path=/; Secure; SameSite=Strict'; }", f"{COOKIE}={old}")
    admin.open("orders")
    expect(admin.page.get_by_role("status")).to_have_text("Your session has ended. Sign in again.")
    admin.whole()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_form_or_script_of_another_site_does_and_reads_nothing(
    admin: Admin, service: Service, shop_pages: Pages, seen: dict[str, str], host: str
) -> None:
    """A page of another port is the same site, so that the cookie comes along; another host is another site."""
    admin.sign_in()
    token = admin.page.locator("input[name=form_token]").first.get_attribute("value")
    sent = {"form_token": token, "email": seen["email"], "confirmation": seen["email"]}
    fields = "".join(f"<input name={name} value={value}>" for name, value in sent.items())
    shop_pages.bodies["/forged"] = f"<form method=post action='{admin.base}/admin/erasure'>{fields}<button>Win</button></form>"
    other = admin.page.context.new_page()
    other.goto(f"http://{host}:{shop_pages.port}/forged")
    read = other.evaluate(f"fetch('{admin.base}/admin/orders', {{credentials: 'include'}}).then(one => one.text(), () => '')")
    assert "Orders" not in read
    with other.expect_response("**/admin/erasure") as answered:
        other.get_by_role("button", name="Win").click()
    assert answered.value.status == 403
    assert linked(service, seen) == 1


def test_browsers_name_the_origin_of_a_form_where_they_know_no_fetch_metadata(admin: Admin) -> None:
    with admin.page.expect_request("**/admin/signin") as sent:
        admin.open("signin")
    with admin.page.expect_request(lambda request: request.method == "POST") as sent:
        admin.page.get_by_label("Private key").fill("demo-private-key")
        admin.page.keyboard.press("Enter")
    assert sent.value.all_headers()["origin"] == admin.base


def test_markup_in_everything_that_is_tracked_is_shown_as_text_and_runs_nowhere(admin: Admin, seen: dict[str, str]) -> None:
    admin.sign_in()
    shown = ""
    for place in admin.every_page(seen):
        admin.page.wait_for_load_state("load")
        shown = admin.page.locator("body").inner_text()
        assert "49" not in shown.split(), place
        if place in {"overview", "logs", "products", "visitors found", "overview?days=1"} or place.startswith("orders?sale=%"):
            assert all(text in shown for text in MARKUP), place
        admin.whole()
    admin.send("customers", "Look up", **{"or customer ID": seen["customer"]})
    expect(admin.page.get_by_role("cell", name=seen["visitor"])).to_be_visible()
    admin.whole()


def test_charts_draw_redraw_and_stand_beside_their_numbers(admin: Admin, seen: dict[str, str]) -> None:
    admin.sign_in()
    canvases = admin.page.locator(".chart canvas")
    expect(canvases).to_have_count(5)
    assert admin.page.evaluate(DRAWN) == [[True, False]] * 5
    values = admin.page.locator(".u-legend .u-value").all_inner_texts()
    assert values
    assert all(any(letter.isdigit() for letter in value) for value in values), "the newest numbers, without a pointer on the chart"
    for width in (500, 1100):
        admin.page.set_viewport_size({"width": width, "height": 800})
        assert eventually(lambda: admin.page.evaluate(FITTING))
    expect(canvases).to_have_count(5)
    assert admin.page.locator("section details table").count() == 5
    admin.whole()


@pytest.mark.skipif(not os.environ.get("PAGE_WEIGHTS"), reason="prints figures for people: set PAGE_WEIGHTS and run with -s")
def test_page_weights_and_times(browser: Browser, service: Service, seen: dict[str, str]) -> None:
    for path in ("signin", *READ):
        context = browser.new_context()
        admin = Admin(context, base_of(service))
        if path != "signin":
            admin.sign_in()
            admin.page.goto("about:blank")
            context.new_cdp_session(admin.page).send("Network.clearBrowserCache")
        admin.open(path)
        admin.page.wait_for_load_state("load")
        figures = admin.page.evaluate(WEIGHED)
        print(f"{path:10} {figures[0]:7} bytes, usable after {figures[1]} ms")
