"""The snippet on several pages of one browser: kept in the back-forward cache, in two tabs, and on a page that means harm."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Request

from tests.browser.pages import Pages
from tests.browser.test_snippet import CONFIG, on_device, open_page, told
from tests.test_command import Service, eventually

CHOOSE = """(yes) => { window.Cookiebot = {hasResponse: true, consent: {method: 'explicit', statistics: yes, stamp: String(yes)}};
    window.dispatchEvent(new Event(yes ? 'CookiebotOnAccept' : 'CookiebotOnDecline')); }"""
SHOWN = """<script>var shown = []; addEventListener('pageshow', function (event) {
    Clerk('visitor', function (visitor, mode) { shown.push([event.persisted, visitor, mode]); }); });</script>"""
HOLD_CONSENTS = """var held = window.held = [], send = fetch; window.fetch = function (address, options) {
    if (!address.includes('/v1/consents/')) return send(address, options);
    return new Promise(function (done) { held.push(function () { var sent = send(address, options); done(sent); return sent; }); }); };"""
RELEASE_LAST_FIRST = """async () => { for (let left = 2; left;) {
    if (held.length) { left -= 1; await held.pop()(); } else await new Promise(done => setTimeout(done)); } }"""
LOSE_ONE_CONSENT = "() => { const send = fetch; window.fetch = () => { window.fetch = send; return new Promise(() => {}); }; }"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
MARKUP = "\"'><img src=x onerror=\"executed('%s')\"><script>executed('%s')</script>"


@pytest.fixture
def browser(playwright: Playwright, whole_chromium: str) -> Iterator[Browser]:
    """With the back-forward cache, which Playwright switches off, and a user agent that calls of a page on its way out have too: the
    profile's does not reach them, and the service gives a headless browser no ID."""
    off = ["--disable-back-forward-cache"]
    started = playwright.chromium.launch(
        executable_path=whole_chromium, args=["--no-sandbox", f"--user-agent={AGENT}"], ignore_default_args=off
    )
    yield started
    started.close()


def choose(page: Page, yes: bool) -> None:
    page.evaluate(CHOOSE, yes)
    assert eventually(lambda: told(page)[1] == ("persistent" if yes else "null")), told(page)


def clicked(page: Page, product: int) -> Request:
    """The call that a click makes, once it is answered."""
    with page.expect_response("**/v2/log/click") as answered:
        page.evaluate("product => { Clerk('click', product, ['Homepage']) }", product)
    assert answered.value.json() == {"status": "ok"}
    return answered.value.request


def visitor_of(request: Request) -> Any:
    return json.loads(request.post_data or "")["visitor"]


def events_of(service: Service, visitor: str) -> list[Any]:
    found: list[Any] = service.call("/v1/events", {"visitor": visitor})[1]["events"]
    return found


def test_a_page_from_the_back_forward_cache_has_no_withdrawn_id(profile: BrowserContext, shop_pages: Pages, service: Service) -> None:
    page, errors = open_page(profile, shop_pages, "/kept", SHOWN + CONFIG % "")
    choose(page, True)
    visitor = told(page)[0]
    shop_pages.bodies["/elsewhere"] = CONFIG % ""
    page.goto(f"{shop_pages.url}/elsewhere")
    assert told(page) == [visitor, "persistent"]
    choose(page, False)
    page.evaluate("history.back()")
    page.wait_for_url("**/kept", wait_until="commit")
    page.wait_for_function("shown.length === 2")
    assert page.evaluate("shown[1]") == [True, None, "null"]
    assert visitor_of(clicked(page, 12)) is None
    assert events_of(service, visitor) == []
    assert errors == []


def test_a_page_from_the_back_forward_cache_has_the_id_granted_meanwhile(profile: BrowserContext, shop_pages: Pages) -> None:
    page, _ = open_page(profile, shop_pages, "/kept", SHOWN + CONFIG % "")
    assert told(page)[1] == "cookieless"
    shop_pages.bodies["/elsewhere"] = CONFIG % ""
    page.goto(f"{shop_pages.url}/elsewhere")
    choose(page, True)
    visitor = told(page)[0]
    page.evaluate("history.back()")
    page.wait_for_url("**/kept", wait_until="commit")
    page.wait_for_function("shown.length === 2")
    assert page.evaluate("shown[1]") == [True, visitor, "persistent"]


def test_a_grant_and_a_withdrawal_in_one_tab_reach_the_other(profile: BrowserContext, shop_pages: Pages, service: Service) -> None:
    first, first_errors = open_page(profile, shop_pages, "/tabs", CONFIG % "")
    second, second_errors = open_page(profile, shop_pages, "/tabs", CONFIG % "")
    assert told(first) == told(second)
    choose(first, True)
    visitor = told(first)[0]
    assert eventually(lambda: told(second) == [visitor, "persistent"]), told(second)
    token = visitor_of(clicked(second, 12))
    assert service.call("/v1/verifications", {"token": token})[1]["visitor"] == visitor
    assert len(events_of(service, visitor)) == 1
    choose(first, False)
    assert eventually(lambda: told(second) == [None, "null"]), told(second)
    assert visitor_of(clicked(second, 13)) is None
    assert events_of(service, visitor) == []
    assert on_device(second, profile) == ({"__Host-visitor-choice"}, {"local": 0, "session": 0})
    assert first_errors + second_errors == []


def test_a_tab_that_hears_nothing_of_a_withdrawal_records_nothing(profile: BrowserContext, shop_pages: Pages, service: Service) -> None:
    profile.add_init_script("delete window.BroadcastChannel")
    first, _ = open_page(profile, shop_pages, "/deaf", CONFIG % "")
    choose(first, True)
    visitor = told(first)[0]
    second, errors = open_page(profile, shop_pages, "/deaf", CONFIG % "")
    assert told(second) == [visitor, "persistent"]
    choose(first, False)
    clicked(second, 12)
    with second.expect_response("**/v2/log/sale"):
        second.evaluate(
            "Clerk('call', 'log/sale', {sale: 'deaf-1', email: 'deaf@example.com', products: [{id: 12, quantity: 1, price: 5}]})"
        )
    assert events_of(service, visitor) == []
    assert service.call("/v1/lookups", {"email": "deaf@example.com"})[1]["visitors"] == []
    [order] = [order for order in service.call("/v1/orders")[1]["orders"] if order["sale"] == "deaf-1"]
    assert (order["visitor"], order["attributed"]) == (None, False)
    assert errors == []


def test_a_refusal_never_overtakes_the_grant_before_it(profile: BrowserContext, shop_pages: Pages) -> None:
    profile.add_init_script(HOLD_CONSENTS)
    page, _ = open_page(profile, shop_pages, "/hasty", CONFIG % "")
    assert told(page)[1] == "cookieless"
    page.evaluate(CHOOSE, True)
    page.evaluate(CHOOSE, False)
    page.evaluate(RELEASE_LAST_FIRST)
    assert eventually(lambda: told(page) == [None, "null"]), told(page)
    assert on_device(page, profile)[0] == {"__Host-visitor-choice"}


def test_a_choice_that_waits_for_its_turn_is_sent_when_the_page_goes(profile: BrowserContext, shop_pages: Pages, service: Service) -> None:
    page, _ = open_page(profile, shop_pages, "/leaving", CONFIG % "")
    choose(page, True)
    visitor = told(page)[0]
    assert service.call("/v1/links", {"email": "leaving@example.com", "visitor": visitor})[0] == 200
    shop_pages.bodies["/left"] = CONFIG % ""
    page.evaluate(LOSE_ONE_CONSENT)
    page.evaluate(
        f"""address => {{ const say = {CHOOSE};
        Cookiebot.consent.stamp = 'again'; window.dispatchEvent(new Event('CookiebotOnAccept')); say(false); location.href = address; }}""",
        f"{shop_pages.url}/left",
    )
    page.wait_for_url("**/left")
    assert eventually(lambda: service.call("/v1/lookups", {"email": "leaving@example.com"})[1]["visitors"] == [])
    page.reload()
    assert told(page) == [None, "null"]
    assert "__Host-visitor" not in on_device(page, profile)[0]


def test_markup_in_labels_and_products_is_text(profile: BrowserContext, shop_pages: Pages, service: Service) -> None:
    def attribute(name: str) -> str:
        return (MARKUP % (name, name)).replace("&", "&amp;").replace('"', "&quot;")

    products = json.dumps([{"id": MARKUP % ("id", "id"), "quantity": 1, "price": 5, "__proto__": {"visitor": "polluted"}}])
    body = f"""<body><script>var ran = []; function executed(name) {{ ran.push(name); }}</script>
        <div data-labels="{attribute("label")}"><a id="buy" data-api="{attribute("api")}"
        data-clerk-product-id="{attribute("product")}">{"buy"}</a></div>
        <span class="clerk" data-api="log/sale" data-sale="hostile-1" data-customer="{attribute("customer")}"
        data-products="{products.replace("&", "&amp;").replace('"', "&quot;")}"></span>"""
    with profile.expect_event("response", lambda response: response.url.endswith("/v2/log/sale")) as sold:
        page, errors = open_page(profile, shop_pages, "/hostile", body + CONFIG % "")
    with page.expect_response("**/v2/log/click") as answered:
        page.click("#buy")
    sent = json.loads(answered.value.request.post_data or "")
    expected = [[MARKUP % ("label", "label")], MARKUP % ("product", "product"), MARKUP % ("api", "api")]
    assert [sent["labels"], sent["product"], sent["api"]] == expected
    assert sold.value.headers["content-type"].startswith("application/json")
    assert page.evaluate("[ran, document.images.length, ({}).visitor]") == [[], 0, None]
    assert errors == []


@pytest.mark.parametrize(
    "markup",
    [
        "<img name=currentScript src=https://elsewhere.example/visitor.js>",
        "<form name=currentScript><input name=src value=https://elsewhere.example/></form>",
    ],
)
def test_markup_cannot_send_calls_elsewhere(profile: BrowserContext, shop_pages: Pages, service: Service, markup: str) -> None:
    """An element named like a member of the document stands in its place."""
    sent: list[str] = []
    profile.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page, errors = open_page(profile, shop_pages, "/clobbered", f"<body>{markup}" + CONFIG % "")
    assert told(page)[1] == "cookieless"
    assert sent
    assert all(url.startswith(shop_pages.service) for url in sent)
    assert errors == []


def test_forms_whose_fields_hide_their_members_break_nothing(profile: BrowserContext, shop_pages: Pages) -> None:
    fields = "".join(f"<input name={name} style='display: none'>" for name in ("closest", "dataset", "setAttribute"))
    body = f"""<body><form class="clerk" data-api="log/sale" id="form" style="padding: 2em">{fields}</form>
        <form data-labels="x" style="padding: 2em">{fields}<a id="buy" data-clerk-product-id="12">buy</a></form>"""
    page, errors = open_page(profile, shop_pages, "/fields", body + CONFIG % "")
    assert told(page)[1] == "cookieless"
    page.evaluate("document.getElementById('form').dispatchEvent(new MouseEvent('click', {bubbles: true}))")
    with page.expect_response("**/v2/log/click"):
        page.click("#buy")
    assert errors == []


def test_a_choice_that_the_banner_told_before_the_snippet_listened_is_heard(profile: BrowserContext, shop_pages: Pages) -> None:
    """As the library holds it: its event has passed."""
    cookie = "{categories: ['necessary', 'analytics'], revision: 0, consentTimestamp: new Date().toISOString()}"
    banner = f"<script>window.CookieConsent = {{getCookie: function () {{ return {cookie}; }}}};</script>"
    page, errors = open_page(profile, shop_pages, "/early", banner + CONFIG % "")
    assert eventually(lambda: told(page)[1] == "persistent"), told(page)
    assert errors == []
