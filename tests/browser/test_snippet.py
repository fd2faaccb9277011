"""The snippet in a real browser: what it keeps on the device in each mode, and what it sends."""

from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from identity_service.web.snippet import FOLDER, PARTS, TOKENS
from tests.browser.pages import Pages
from tests.test_command import Service, eventually

CONFIG = "<script>Clerk('config', {key: 'demo-public-key'%s});</script>"
SPAN = """<span class="clerk" data-api="log/sale" data-sale="%s" data-email="luke@skywalker.com"
 data-products='[{"id": 12, "quantity": 1, "price": 99.95}]'></span>"""


def open_page(profile: BrowserContext, shop_pages: Pages, path: str, body: str) -> tuple[Page, list[str]]:
    """The page, loaded, and the errors it will have had."""
    shop_pages.bodies[path.partition("?")[0]] = body
    page = profile.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(shop_pages.url + path)
    return page, errors


def told(page: Page) -> list[Any]:
    """Visitor and mode. Raises playwright's TimeoutError where the snippet does not answer."""
    page.evaluate("window.told = null; Clerk('visitor', (...told) => { window.told = told; })")
    found: list[Any] = page.wait_for_function("window.told", polling=20).json_value()
    return found


def on_device(page: Page, profile: BrowserContext) -> tuple[set[str], dict[str, int]]:
    """Names of all cookies, and the number of entries in each storage."""
    stores = page.evaluate("({local: localStorage.length, session: sessionStorage.length})")
    return {str(cookie["name"]) for cookie in profile.cookies()}, stores


def orders(service: Service) -> list[Any]:
    found: list[Any] = service.call("/v1/orders")[1]["orders"]
    return found


def test_cookieless_is_the_default_and_leaves_nothing_on_the_device(profile: BrowserContext, shop_pages: Pages) -> None:
    page, errors = open_page(profile, shop_pages, "/cookieless", CONFIG % "")
    visitor, mode = told(page)
    assert (mode, bool(visitor)) == ("cookieless", True)
    page.reload()
    assert told(page) == [visitor, "cookieless"]
    assert on_device(page, profile) == (set(), {"local": 0, "session": 0})
    assert errors == []


def test_null_has_no_id_and_leaves_nothing(profile: BrowserContext, shop_pages: Pages) -> None:
    page, _ = open_page(profile, shop_pages, "/null", CONFIG % ", visitor: null")
    assert told(page) == [None, "null"]
    assert on_device(page, profile) == (set(), {"local": 0, "session": 0})


def test_persistent_keeps_one_signed_cookie_and_null_takes_it_away(profile: BrowserContext, shop_pages: Pages) -> None:
    page, _ = open_page(profile, shop_pages, "/persistent", CONFIG % ", visitor: 'persistent'")
    visitor, mode = told(page)
    assert mode == "persistent"
    assert on_device(page, profile) == ({"__Host-visitor"}, {"local": 0, "session": 0})
    page.reload()
    assert told(page) == [visitor, "persistent"]
    assert page.evaluate("document.cookie") == ""
    page.evaluate("Clerk('config', {visitor: null})")
    assert told(page) == [None, "null"]
    assert on_device(page, profile)[0] == set()


def test_a_banners_decided_choice_is_posted_and_its_revocation_withdraws(profile: BrowserContext, shop_pages: Pages) -> None:
    page, _ = open_page(profile, shop_pages, "/banner", CONFIG % "")
    first = told(page)
    say = """(yes) => { window.Cookiebot = {hasResponse: true, consent: {method: 'explicit', statistics: yes, stamp: String(yes)}};
        window.dispatchEvent(new Event(yes ? 'CookiebotOnAccept' : 'CookiebotOnDecline')); }"""
    page.evaluate(say, True)
    assert eventually(lambda: told(page)[1] == "persistent")
    granted = told(page)[0]
    assert granted != first[0]
    assert on_device(page, profile)[0] == {"__Host-visitor"}
    page.evaluate(say, False)
    assert eventually(lambda: told(page) == [None, "null"])
    assert on_device(page, profile)[0] == {"__Host-visitor-choice"}
    page.reload()
    assert told(page) == [None, "null"]


HEARD = {
    "cookiefirst": "dispatchEvent(new CustomEvent('cf_consent', {detail: {necessary: true, performance: %s}}))",
    "complianz": """['functional', 'statistics', 'marketing'].forEach((name) => document.dispatchEvent(new CustomEvent(
        'cmplz_status_change', {detail: {category: name, region: 'eu', value: name === 'functional' || %s ? 'allow' : 'deny'}})))""",
    "axeptio": """_axcb.forEach((go) => go({on: (name, done) => name === 'cookies:complete' &&
        done({$$date: new Date().toISOString(), $$completed: true, visitor_id: %s})}))""",
    "cookie-information": """{ const yes = %s, name = ['cookie_cat_statistic'], at = new Date().toISOString();
        document.cookie = 'CookieInformationConsent=' + encodeURIComponent(JSON.stringify(
            {timestamp: at, consents_approved: yes ? name : [], consents_denied: yes ? [] : name}));
        dispatchEvent(new Event('CookieInformationConsentGiven')); }""",
    "borlabs": """{ document.cookie = 'borlabs-cookie=' + encodeURIComponent(JSON.stringify(
            {consents: {essential: ['borlabs-cookie'], statistics: %s ? ['ours'] : []}}));
        dispatchEvent(new Event('borlabs-cookie-consent-saved')); }""",
    "termly": "callback({consentState: {essential: true, analytics: %s}})",
    "ketch": "callback({purposes: {analytics: %s}})",
}
CALLBACKS = "<script>var callback, Termly = {on: (name, go) => { callback = go; }}, ketch = (on, name, go) => { callback = go; };</script>"


@pytest.mark.parametrize("source", sorted(HEARD))
def test_a_banner_is_heard_in_its_own_way(profile: BrowserContext, shop_pages: Pages, source: str) -> None:
    own = {"termly": CALLBACKS.replace("ketch =", "other ="), "ketch": CALLBACKS.replace("Termly =", "Other =")}.get(source, "")
    page, errors = open_page(profile, shop_pages, "/heard", own + CONFIG % "")
    assert told(page)[1] == "cookieless"
    assert eventually(lambda: own == "" or page.evaluate("typeof callback") == "function")
    page.evaluate(HEARD[source] % "true")
    assert eventually(lambda: told(page)[1] == "persistent")
    page.evaluate(HEARD[source] % "false")
    assert eventually(lambda: told(page) == [None, "null"])
    assert errors == []


def test_google_and_tcf_are_heard_without_configuration(profile: BrowserContext, shop_pages: Pages) -> None:
    tcf = """<script>window.__tcfapi = (command, version, done) => { done({eventStatus: 'cmpuishown', tcString: ''}, true); };</script>"""
    page, errors = open_page(profile, shop_pages, "/google", tcf + CONFIG % "")
    assert told(page)[1] == "cookieless"
    page.evaluate("(function(){ dataLayer.push(arguments) })('consent', 'default', {analytics_storage: 'granted'})")
    page.evaluate("(function(){ dataLayer.push(arguments) })('consent', 'update', {analytics_storage: 'granted'})")
    assert eventually(lambda: told(page)[1] == "persistent")
    assert errors == []


def test_a_sale_element_sends_itself_once_over_reloads_and_a_click_earns_it(
    profile: BrowserContext, shop_pages: Pages, service: Service
) -> None:
    list_page = '<div data-labels="Homepage - Trending"><a id="buy" data-clerk-product-id="12">buy</a></div>'
    page, _ = open_page(profile, shop_pages, "/list", CONFIG % "" + list_page)
    told(page)
    with page.expect_response("**/v2/log/click"):
        page.click("#buy")
    shop_pages.bodies["/done"] = SPAN % "snippet-1" + CONFIG % ""
    for _ in range(3):
        with page.expect_response("**/v2/log/sale"):
            page.goto(f"{shop_pages.url}/done")
    found = [order for order in orders(service) if order["sale"] == "snippet-1"]
    assert [(order["attributed"], order["labels"]) for order in found] == [(True, ["Homepage - Trending"])]


def test_an_override_holds_for_the_session_and_links_to_nobody(profile: BrowserContext, shop_pages: Pages, service: Service) -> None:
    page, _ = open_page(profile, shop_pages, "/override?clerk_visitor=testing-1", CONFIG % "")
    told(page)
    assert on_device(page, profile) == (set(), {"local": 0, "session": 1})
    shop_pages.bodies["/override"] = SPAN % "snippet-2" + CONFIG % ""
    with page.expect_response("**/v2/log/sale"):
        page.goto(f"{shop_pages.url}/override")
    [order] = [order for order in orders(service) if order["sale"] == "snippet-2"]
    assert order["visitor"] == "testing-1"
    assert service.call("/v1/lookups", {"visitor": "testing-1"})[1]["visitors"] == []


def test_a_blocked_service_breaks_nothing_on_the_page(profile: BrowserContext, shop_pages: Pages) -> None:
    profile.route("**/v1/**", lambda route: route.abort())
    profile.route("**/v2/**", lambda route: route.abort())
    page, errors = open_page(profile, shop_pages, "/blocked", CONFIG % "" + SPAN % "snippet-3")
    assert told(page) == [None, "unknown"]
    page.evaluate("Clerk('call', 'log/click', {product: 1}); Clerk('nothing'); Clerk('cart', 'set', [])")
    assert errors == []


def test_debug_tells_what_goes_on(profile: BrowserContext, shop_pages: Pages) -> None:
    shop_pages.bodies["/debug"] = CONFIG % "" + "<script>Clerk('debug')</script>"
    page = profile.new_page()
    lines: list[str] = []
    page.on("console", lambda message: lines.append(message.text))
    page.goto(f"{shop_pages.url}/debug")
    visitor, _ = told(page)
    assert any(line.startswith("[Clerk] visitor") and str(visitor) in line for line in lines)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_written_so_that_spaces_and_comments_can_go(part: str) -> None:
    """A comment is a whole line, a text has single quotes, and nothing is divided."""
    first, *_ = lines = (FOLDER / f"{part}.js").read_text().splitlines()
    assert first.startswith(f"// {part.capitalize()}: ")
    code = [line.strip() for line in lines if line.strip() and not line.strip().startswith("//")]
    bare = [TOKENS.sub(lambda found: found[1] or "text", line) for line in code]
    assert [line for line in bare if "/" in line or "'" in line or '"' in line or "`" in line] == []
    assert max(map(len, lines)) <= 140


@pytest.mark.parametrize("sent", [{}, {"accept-encoding": "gzip"}])
def test_the_script_is_small_cached_and_known_by_its_tag(service: Service, sent: dict[str, str]) -> None:
    import urllib.error
    import urllib.request

    with urllib.request.urlopen(urllib.request.Request(f"{service.url}/visitor.js", headers=sent)) as answer:
        body, tag = answer.read(), answer.headers["etag"]
        assert answer.headers["cache-control"] == "public, max-age=3600"
        assert answer.headers["content-type"].startswith("text/javascript")
    assert "accept-encoding" not in sent or len(body) <= 9 * 1024
    with pytest.raises(urllib.error.HTTPError) as unchanged:
        urllib.request.urlopen(urllib.request.Request(f"{service.url}/visitor.js", headers=sent | {"if-none-match": tag}))
    unchanged.value.close()
    assert unchanged.value.code == 304
