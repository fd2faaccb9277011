"""The demo shop in a real browser, as a newcomer walks through it; and the README's pictures of it."""

import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Locator, Page, Request, Route, expect

from tests.browser.axe import axe_source, findings
from tests.test_command import Service, served

ROOT = Path(__file__).parent.parent.parent
SCREENSHOTS = Path(__file__).parent / "screenshots"
EMAIL = "luke@skywalker.com"
MARKUP = '<img src=x onerror="window.hit=1"><svg onload="window.hit=1"><script>window.hit=1</script>'
VIOLATED = "addEventListener('securitypolicyviolation', event => console.error('refused by the policy: ' + event.violatedDirective))"
NUMBERS = itertools.count()


@dataclass
class Visit:
    """One visitor's browser in the demo shop. `faults`: script errors, dialogs, violations of the policy, and calls to other hosts."""

    page: Page
    context: BrowserContext
    url: str
    faults: list[str] = field(default_factory=list)

    def open(self, path: str = "/shop") -> None:
        self.page.goto(self.url + path)
        expect(self.page.locator(".live")).to_have_text("live")

    def shown(self, name: str) -> Locator:
        return self.page.locator(f'#content [data-show="{name}"], #panel [data-show="{name}"]')

    def expect_mode(self, mode: str, reason: str) -> None:
        expect(self.shown("badge")).to_have_text(mode)
        expect(self.shown("reason")).to_contain_text(reason)

    def choose(self, name: str) -> None:
        self.page.click(f'[data-choice="{name}"]')

    def cookies(self) -> set[str]:
        return {str(cookie["name"]) for cookie in self.context.cookies()}

    def refused_minutes_ago(self, minutes: int) -> None:
        """On a busy machine a yes may have to be sent again, and one that is sent again within the refusal's minute counts as older."""
        [kept] = [cookie for cookie in self.context.cookies() if cookie.get("name") == "__Host-visitor-choice"]
        word, _, minute = str(kept.get("value")).partition(".")
        value, secure = f"{word}.{int(minute) - minutes}", self.url.replace("http:", "https:")
        self.context.add_cookies([{"name": "__Host-visitor-choice", "value": value, "url": secure, "secure": True, "httpOnly": True}])

    def click_product(self, product: int = 102) -> None:
        self.page.click(f'[data-clerk-product-id="{product}"]')
        expect(self.shown("store")).to_contain_text(f"click {product}")

    def order(self, email: str = EMAIL) -> None:
        self.page.click("button.main")
        self.page.fill("#email", email)
        self.page.click("#content button.main")
        expect(self.page.locator("h1")).to_have_text("Thank you")


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with served(tmp_path_factory.mktemp("demo"), command_name="demo", IDENTITY_LIMITS__ENABLED="false") as started:
        assert started.process.stdout is not None
        lines = [started.process.stdout.readline().strip() for _ in range(3)]
        assert re.fullmatch(r"demo shop: http://localhost:\d+/shop", lines[-1])
        started.url = lines[-1].removeprefix("demo shop: ").removesuffix("/shop")
        yield started


def enter(
    browser: Browser, demo: Service, *, size: tuple[int, int] = (1280, 900), scheme: str = "light", bypass_csp: bool = False
) -> Visit:
    """A browser that no other test has: cookieless IDs tell devices apart by address and user agent. Motion is off, so that what is
    measured and pictured has come to rest."""
    context = browser.new_context(
        user_agent=f"Mozilla/5.0 (X11; Linux x86_64; rv:140.{next(NUMBERS)}.{os.getpid()}) Gecko/20100101 Firefox/140.0",
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
        bypass_csp=bypass_csp,
        locale="en-GB",
        timezone_id="UTC",
    )
    context.add_init_script(VIOLATED)
    visit = Visit(context.new_page(), context, demo.url)

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith("Failed to load resource"):
            visit.faults.append(message.text)

    def watch(request: Request) -> None:
        if not request.url.startswith((demo.url, "data:")):
            visit.faults.append(request.url)

    def refuse(dialog: Dialog) -> None:
        visit.faults.append(dialog.message)
        dialog.dismiss()

    visit.page.on("console", hear)
    visit.page.on("request", watch)
    visit.page.on("pageerror", lambda error: visit.faults.append(str(error)))
    visit.page.on("dialog", refuse)
    return visit


@pytest.fixture
def visit(browser: Browser, demo: Service) -> Iterator[Visit]:
    entered = enter(browser, demo)
    yield entered
    assert entered.faults == []


def test_a_walk_from_click_to_order_to_withdrawal(visit: Visit, demo: Service) -> None:
    visit.open()
    visit.expect_mode("cookieless", "no_signal")
    expect(visit.shown("store")).to_contain_text("Nothing yet")
    assert visit.cookies() == set()
    visit.click_product()
    expect(visit.shown("store")).to_contain_text("Homepage - Trending")
    visit.choose("accept")
    visit.expect_mode("persistent", "consent_granted by vanilla-cookieconsent")
    assert visit.cookies() == {"__Host-visitor", "cc_cookie"}
    expect(visit.shown("device")).to_contain_text("HttpOnly")
    visitor = visit.shown("visitor").inner_text()
    visit.order()
    expect(visit.shown("orders")).to_contain_text("attributed")
    expect(visit.shown("orders")).to_contain_text("Homepage - Trending")
    expect(visit.shown("links")).to_have_text(f"{visitor}persistentthis device")
    [found] = demo.call("/v1/lookups", {"email": EMAIL})[1]["visitors"]
    assert found["visitor"] == visitor
    visit.choose("withdraw")
    visit.expect_mode("null", "consent_refused")
    expect(visit.shown("visitor")).to_have_text("none")
    expect(visit.shown("links")).to_contain_text("No visitor is linked")
    expect(visit.shown("store")).to_contain_text("Nothing.")
    assert visit.cookies() == {"__Host-visitor-choice", "cc_cookie"}
    assert demo.call("/v1/lookups", {"email": EMAIL})[1]["visitors"] == []
    assert visit.page.evaluate("localStorage.length + sessionStorage.length") == 0


def test_the_demo_is_played_again_after_a_withdrawal(visit: Visit) -> None:
    visit.open()
    visit.choose("accept")
    visit.expect_mode("persistent", "consent_granted")
    first = visit.shown("visitor").inner_text()
    visit.choose("withdraw")
    visit.expect_mode("null", "consent_refused")
    for choice in ("accept", "refuse"):
        visit.page.click("[data-start-over]")
        visit.expect_mode("cookieless", "no_signal")
        expect(visit.page.locator("#cc-main .cm--box")).to_be_visible()
        assert visit.cookies() == set()
        expect(visit.shown("store")).to_contain_text("Nothing yet")
        visit.choose(choice)
    visit.expect_mode("null", "consent_refused")
    visit.page.click("[data-start-over]")
    visit.expect_mode("cookieless", "no_signal")
    visit.click_product()
    visit.choose("accept")
    visit.expect_mode("persistent", "consent_granted")
    expect(visit.shown("visitor")).not_to_have_text(first)
    visit.order()
    expect(visit.shown("orders")).to_contain_text("attributed")
    assert visit.page.evaluate("localStorage.length + sessionStorage.length") == 0


def test_starting_over_without_a_service_says_so_and_works_once_it_is_back(visit: Visit) -> None:
    visit.open()
    visit.page.click('#cc-main [data-role="necessary"]')
    visit.expect_mode("null", "consent_refused")
    visit.context.route("**/shop/start-over", lambda route: route.abort())
    visit.page.click("[data-start-over]")
    expect(visit.shown("again")).to_contain_text("is the service away?")
    assert "cc_cookie" in visit.cookies()
    visit.context.unroute("**/shop/start-over")
    visit.page.click("[data-start-over]")
    visit.expect_mode("cookieless", "no_signal")


@pytest.mark.parametrize("path", ["/shop", "/shop/cart", "/shop/product/101"])
def test_a_page_ends_with_its_footer_beside_the_banner(visit: Visit, path: str) -> None:
    visit.open(path)
    expect(visit.page.locator("#cc-main .cm--box")).to_be_visible()
    visit.page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    measure = "selector => document.querySelector(selector).getBoundingClientRect()"
    foot, banner, text = [visit.page.evaluate(measure, one) for one in (".foot", "#cc-main .cm", ".foot p")]
    assert abs(foot["bottom"] - visit.page.evaluate("innerHeight")) <= 1
    assert text["left"] >= banner["right"]
    last = "[...document.querySelector('main').children].at(-1).getBoundingClientRect().bottom"
    assert visit.page.evaluate(last) <= banner["top"]


def test_refusing_in_the_banner_and_accepting_after_all(visit: Visit) -> None:
    visit.open()
    visit.page.click('#cc-main [data-role="necessary"]')
    visit.expect_mode("null", "consent_refused")
    expect(visit.page.locator('[data-choice="refuse"]')).to_have_attribute("aria-disabled", "true")
    visit.refused_minutes_ago(2)
    visit.open("/shop/product/103")
    visit.expect_mode("null", "consent_refused")
    visit.choose("accept")
    visit.expect_mode("persistent", "consent_granted")
    assert "__Host-visitor-choice" not in visit.cookies()


def test_a_choice_made_before_the_banner_is_there_is_the_one_that_counts(visit: Visit) -> None:
    held: list[Route] = []
    visit.context.route("**/v1/visitors", lambda route: held.append(route))
    visit.open()
    visit.choose("accept")
    visit.page.wait_for_function("performance.getEntriesByType('resource').some(one => one.name.endsWith('/shop/panel'))")
    assert visit.cookies() == set()
    held.pop().continue_()
    visit.expect_mode("persistent", "consent_granted")


def test_an_erasure_from_elsewhere_shows_at_once_and_accepting_gives_a_new_id(visit: Visit, demo: Service) -> None:
    visit.open()
    visit.choose("accept")
    visit.expect_mode("persistent", "consent_granted")
    visitor = visit.shown("visitor").inner_text()
    demo.call("/v1/erasures", {"visitor": visitor})
    visit.expect_mode("null", "withdrawn")
    visit.choose("accept")
    visit.expect_mode("persistent", "consent_granted")
    expect(visit.shown("visitor")).not_to_have_text(visitor)


def test_the_panels_own_form_orders_what_the_page_shows(visit: Visit) -> None:
    visit.open()
    visit.click_product(105)
    visit.page.fill("#quick-email", "leia@example.com")
    visit.page.click(".quick button")
    expect(visit.page.locator("h1")).to_have_text("Thank you")
    expect(visit.shown("orders")).to_contain_text("Homepage - New in")
    expect(visit.shown("links")).to_contain_text("cookieless")
    expect(visit.shown("calls")).to_contain_text("/v2/log/sale")
    assert visit.cookies() == set()


def test_a_cart_lives_in_the_address_and_empties(visit: Visit) -> None:
    visit.open("/shop/cart?item=101&item=101&item=106")
    expect(visit.page.locator(".count")).to_have_text("3")
    expect(visit.page.locator(".total")).to_contain_text("112.00")
    visit.page.click("text=Remove >> nth=0")
    visit.page.click("text=Remove >> nth=0")
    expect(visit.page.locator("#content")).to_contain_text("The cart is empty")
    assert visit.page.url.endswith("/shop/cart")


def test_the_panel_links_to_the_admin_page_and_the_calls(visit: Visit) -> None:
    visit.open()
    links = visit.page.locator(".panel-links a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert links == ["/admin/overview", "/docs", "/visitor.js"]


def test_a_service_that_goes_away_breaks_nothing_and_is_told(visit: Visit) -> None:
    visit.context.route("**/v1/**", lambda route: route.abort())
    visit.open()
    visit.context.route("**/shop/panel", lambda route: route.abort())
    expect(visit.page.locator(".live")).to_have_text("service away")
    visit.context.unroute("**/shop/panel")
    expect(visit.page.locator(".live")).to_have_text("live")


def test_markup_in_everything_that_is_shown_executes_nothing(visit: Visit) -> None:
    visit.open()
    visit.page.evaluate("text => Clerk('click', text, [text])", MARKUP)
    expect(visit.shown("store")).to_contain_text(f"click {MARKUP}")
    visit.page.evaluate("text => Clerk('call', 'log/search', {query: text, labels: [text]})", MARKUP)
    expect(visit.shown("store")).to_contain_text("search")
    visit.page.evaluate("text => Clerk('call', 'log/sale', {sale: text, products: [{id: text, price: 5}], customer: text})", MARKUP)
    expect(visit.shown("orders").locator("code")).to_have_text(MARKUP)
    expect(visit.shown("orders")).to_contain_text("attributed")
    visit.page.click("summary")
    expect(visit.shown("export")).to_contain_text("<script>window.hit=1</script>")
    expect_nothing_ran(visit)


def test_markup_in_addresses_and_forms_executes_nothing(visit: Visit) -> None:
    for name in ("email", "sale"):
        visit.open("/shop/cart?item=101")
        visit.page.fill("#email", EMAIL)
        fill = "([name, text]) => { const form = document.querySelector('.order'); form.noValidate = true;"
        fill += " form.email.type = 'text'; form[name].value = text; }"
        visit.page.evaluate(fill, [name, f'"><b>{MARKUP}'])
        visit.page.click("#content button.main")
        expect(visit.page.locator("h1")).to_have_text("Thank you")
        expect(visit.page.locator("#p-links")).to_contain_text("<svg" if name == "email" else EMAIL)
        expect(visit.shown("orders")).to_contain_text("demo-")
        expect_nothing_ran(visit)
    typed = "%3Cimg src=x onerror=window.hit=1%3E"
    for path in (f"/shop?clerk_visitor={typed}", f"/shop/cart?item={typed}&item=101", f"/shop/product/{typed}", f'/shop?item="{typed}'):
        visit.open(path)
        expect_nothing_ran(visit)


def test_a_visitor_id_full_of_markup_is_none(visit: Visit) -> None:
    visit.open()
    visit.page.evaluate("document.cookie = '__Host-visitor=<img/src=x/onerror=window.hit=1>; Secure; Path=/'")
    expect(visit.shown("device")).to_contain_text("HttpOnly")
    visit.open()
    expect(visit.shown("visitor")).to_have_text(re.compile("^[A-Za-z0-9_-]{22}$"))
    visit.page.evaluate("text => Clerk('config', {visitor: text})", MARKUP)
    expect(visit.shown("calls")).to_contain_text("422")
    expect_nothing_ran(visit)


def expect_nothing_ran(visit: Visit) -> None:
    assert visit.page.evaluate("window.hit") is None
    assert visit.page.locator('[onerror], [onload], img[src="x"], #content b, #panel b').count() == 0


@pytest.mark.parametrize(
    ("scheme", "size"),
    [
        ("light", (1280, 900)),
        ("dark", (360, 740)),
        pytest.param("dark", (1280, 900), marks=pytest.mark.thorough),
        pytest.param("light", (360, 740), marks=pytest.mark.thorough),
    ],
)
def test_every_page_is_accessible_and_fits(browser: Browser, demo: Service, scheme: str, size: tuple[int, int]) -> None:
    source = axe_source()
    visit = enter(browser, demo, size=size, scheme=scheme, bypass_csp=True)

    def check() -> None:
        assert findings(visit.page, source) == []
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= size[0]

    for path in ("/shop", "/shop/product/101", "/shop/product/999", "/shop/cart", "/shop/confirmation", "/shop/cart?item=101&item=102"):
        visit.open(path)
        expect(visit.page.locator("#cc-main .cm--box")).to_be_visible()
        check()
    visit.page.click('[data-cc="show-preferencesModal"]:not(#cc-main *)')
    expect(visit.page.locator("#cc-main .pm")).to_be_visible()
    check()
    visit.page.keyboard.press("Escape")
    visit.choose("accept")
    visit.expect_mode("persistent", "consent_granted")
    visit.open()
    visit.click_product()
    visit.order()
    expect(visit.shown("orders")).to_contain_text("attributed")
    expect(visit.shown("links")).to_contain_text("this device")
    visit.page.click("summary")
    check()
    visit.choose("withdraw")
    visit.expect_mode("null", "consent_refused")
    check()
    assert visit.faults == []


def test_a_phone_shows_the_mode_first_and_leads_to_the_panel(browser: Browser, demo: Service) -> None:
    visit = enter(browser, demo, size=(390, 844))
    visit.open()
    visit.page.click('#cc-main [data-role="all"]')
    strip = visit.page.locator(".strip")
    expect(strip.locator(".badge")).to_have_text("persistent")
    strip.click()
    expect(visit.page.locator("#panel-title")).to_be_in_viewport()


def test_the_shop_works_by_keyboard(visit: Visit) -> None:
    """The banner takes the keyboard until a choice is made, and gives it back."""
    visit.open()
    expect(visit.page.locator("#cc-main .cm--box")).to_be_visible()
    visit.page.keyboard.press("Tab")
    expect(visit.page.locator('#cc-main .cm [data-role="all"]')).to_be_focused()
    visit.page.keyboard.press("Enter")
    visit.expect_mode("persistent", "consent_granted")
    visit.page.keyboard.press("Tab")
    expect(visit.page.locator(".skip")).to_be_focused()
    visit.page.focus('[data-choice="withdraw"]')
    visit.page.keyboard.press("Enter")
    visit.expect_mode("null", "consent_refused")
    expect(visit.page.locator('[data-choice="withdraw"]')).to_be_focused()


def test_the_readme_shows_the_demo_as_it_is(browser: Browser, demo: Service) -> None:
    """Takes the pictures anew where `SCREENSHOTS` is set."""
    if os.environ.get("SCREENSHOTS"):
        SCREENSHOTS.mkdir(exist_ok=True)
        picture_the_beginning(enter(browser, demo, size=(1180, 740)), SCREENSHOTS / "demo.png")
        picture_an_order(enter(browser, demo, size=(390, 800), scheme="dark"), SCREENSHOTS / "demo-phone.png")
    readme = (ROOT / "README.md").read_text()
    found = sorted(SCREENSHOTS.glob("*.png"))
    assert [path.name for path in found] == ["demo-phone.png", "demo.png"]
    for path in found:
        content = path.read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) < 150_000
        assert path.relative_to(ROOT).as_posix() in readme


def picture_the_beginning(visit: Visit, path: Path) -> None:
    visit.open()
    expect(visit.page.locator("#cc-main .cm--box")).to_be_visible()
    visit.page.screenshot(path=path)


def picture_an_order(visit: Visit, path: Path) -> None:
    visit.open()
    visit.click_product()
    visit.choose("accept")
    visit.expect_mode("persistent", "consent_granted")
    visit.order()
    expect(visit.shown("orders")).to_contain_text("attributed")
    expect(visit.shown("links")).to_contain_text("this device")
    visit.page.screenshot(path=path)
