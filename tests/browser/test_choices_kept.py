"""What a person chooses reaches the service: said twice, in two tabs, while the network is away, and as the page goes."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Request, Route

from tests.browser.pages import Pages
from tests.browser.test_banner_libraries import KLARO, OSANO, TARTEAUCITRON, TCF, VANILLA, found_by
from tests.browser.test_snippet import CONFIG, open_page, told
from tests.browser.test_snippet_pages import AGENT
from tests.test_command import Service, eventually

pytestmark = pytest.mark.usefixtures("library_pages")
CONSENTS = re.compile("/v1/consents")
PATIENCE = 60
OWN_PAGE = """<script>function prefer(choice) {
    var address = document.querySelector('script[src*="visitor.js"]').src.replace('visitor.js', 'v1/consents');
    fetch(address, {method: 'POST', credentials: 'include', body: JSON.stringify({key: 'demo-public-key', consent: choice})}); }</script>
<button id="prefer-yes" onclick="prefer('granted')">yes</button><button id="prefer-no" onclick="prefer('refused')">no</button>"""
GTAG = """<script>window.dataLayer = window.dataLayer || []; function gtag() { dataLayer.push(arguments); }</script>
<button id="yes" onclick="gtag('consent', 'update', {analytics_storage: 'granted'})">yes</button>
<button id="no" onclick="gtag('consent', 'update', {analytics_storage: 'denied'})">no</button>"""
COOKIEYES = """<script>function choose(accepted, rejected) {
    document.dispatchEvent(new CustomEvent('cookieyes_consent_update', {detail: {accepted: accepted, rejected: rejected}})); }</script>
<button id="yes" onclick="choose(['necessary', 'analytics'], [])">yes</button>
<button id="no" onclick="choose(['necessary'], ['analytics'])">no</button>"""
TCF_TOOL = (
    TCF.replace("window.choose = granted => {", "window.choose = granted => { api.update('', true);")
    + '<button id="yes" onclick="choose(true)">yes</button><button id="no" onclick="choose(false)">no</button>'
)
OWN = """<button id="yes" onclick="Clerk('consent', 'granted')">yes</button>
<button id="no" onclick="Clerk('consent', 'refused')">no</button>"""
USERCENTRICS = """<script>
function whole(type) { dispatchEvent(new CustomEvent('UC_UI_CMP_EVENT', {detail: {source: 'FIRST_LAYER', type: type}})); }
function status(on) { return {event: 'consent_status', type: 'explicit', action: 'onUpdateServices', 'Google Analytics': on,
    ucCategory: {essential: true, functional: on, marketing: on}}; }
var ways = {
    'consent_status': function (on) { dispatchEvent(new CustomEvent('consent_status', {detail: status(on)})); },
    'ucEvent': function (on) { dispatchEvent(new CustomEvent('ucEvent', {detail: status(on)})); },
    'data layer': function (on) { (window.dataLayer = window.dataLayer || []).push(status(on)); }
};
function save(on) { whole('SAVE'); ways['%s'](on); }</script>
<button id="all" onclick="whole('ACCEPT_ALL')">all</button>
<button id="yes" onclick="save(true)">save</button><button id="no" onclick="save(false)">save</button>"""
ONETRUST = """<script>addEventListener('load', function () { setInterval(function () {
    dispatchEvent(new CustomEvent('OneTrustGroupsUpdated', {detail: ['C0001', 'C0002']})); }, 100); });</script>"""
SALE = """<span class="clerk" data-api="log/sale" data-sale="%s" data-email="%s"
 data-products='[{"id": 12, "quantity": 1, "price": 5}]'></span>"""
HOLD = """var held = window.held = [], send = fetch; window.fetch = function (address, options) {
    if (!address.includes('/v1/consents')) return send(address, options);
    return new Promise(function (done) { held.push({body: JSON.parse(options.body), go: function () {
        done(send(address, Object.assign({}, options, {signal: null}))); }}); }); };"""


def button(selector: str) -> Callable[[Page], object]:
    return lambda page: page.click(selector)


def clicked_until(selector: str, holds: str) -> Callable[[Page], object]:
    """tarteaucitron binds its buttons half a second after it shows them."""

    def click(page: Page) -> None:
        page.wait_for_selector("#tarteaucitronClosePanel", state="attached")
        page.evaluate("tarteaucitron.userInterface.openPanel()")
        page.click(selector)
        while not page.evaluate(holds):
            page.click(selector)

    return click


def in_klaro(wanted: bool) -> Callable[[Page], object]:
    """Its window has a button for all until something was saved, and then one that saves the switches; it goes a while after the click."""

    def click(page: Page) -> None:
        page.evaluate("klaro.show(undefined, true)")
        page.wait_for_selector(".cookie-modal .cm-btn-accept")
        at_once = ".cookie-modal .cm-btn-accept-all" if wanted else ".cookie-modal .cn-decline"
        if not page.is_visible(at_once):
            at_once = ".cookie-modal .cm-btn-accept"
            if page.is_checked("#purpose-item-analytics") is not wanted:
                page.click("label[for=purpose-item-analytics]")
        page.click(at_once)
        page.wait_for_selector(".cookie-modal", state="hidden")

    return click


def in_vanilla(role: str) -> Callable[[Page], object]:
    def click(page: Page) -> None:
        page.evaluate("CookieConsent.showPreferences()")
        page.click(f".pm [data-role={role}]")

    return click


def in_cookieconsent(selector: str) -> Callable[[Page], object]:
    """Its window fades after a choice, which a browser's tab behind another never ends, and opens again from its own tab."""

    def click(page: Page) -> None:
        page.bring_to_front()
        if page.is_visible(".cc-revoke"):
            page.wait_for_function("() => getComputedStyle(document.querySelector('.cc-window')).display === 'none'")
            page.click(".cc-revoke")
        page.click(selector)

    return click


YES, NO = button("#yes"), button("#no")


@dataclass(frozen=True)
class Banner:
    """`body`: the page's part. `accept`, `refuse`: what the person does, as often as it likes."""

    body: str
    accept: Callable[[Page], object] = YES
    refuse: Callable[[Page], object] = NO


BANNERS = {
    "klaro": Banner(KLARO, in_klaro(True), in_klaro(False)),
    "cookieconsent": Banner(OSANO, in_cookieconsent(".cc-allow"), in_cookieconsent(".cc-deny")),
    "tarteaucitron": Banner(
        TARTEAUCITRON,
        clicked_until("#visitoridAllowed", "tarteaucitron.state.visitorid === true"),
        clicked_until("#visitoridDenied", "tarteaucitron.state.visitorid === false"),
    ),
    "vanilla-cookieconsent": Banner(VANILLA, in_vanilla("all"), in_vanilla("necessary")),
    "tcf": Banner(TCF_TOOL),
    "gtag": Banner(GTAG),
    "cookieyes": Banner(COOKIEYES),
    "own": Banner(OWN),
}


@pytest.fixture
def browser(playwright: Playwright, chromium: str) -> Iterator[Browser]:
    """With a user agent that calls of a page on its way out have too: the profile's does not reach them."""
    started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", f"--user-agent={AGENT}"])
    yield started
    started.close()


def until(page: Page, holds: Callable[[], Any]) -> None:
    """Playwright hears of a page's calls only while it waits for the page."""

    def held() -> Any:
        page.wait_for_timeout(20)
        return holds()

    assert eventually(held, PATIENCE), told(page)


def until_after(page: Page, holds: Callable[[], Any]) -> None:
    """As the page's clock, which the test holds, goes on."""

    def held() -> Any:
        page.clock.fast_forward(5_000)
        return holds()

    assert eventually(held, PATIENCE)


def until_told(page: Page, mode: str) -> Any:
    until(page, lambda: told(page)[1] == mode)
    return told(page)[0]


def names(profile: BrowserContext) -> set[str]:
    """Of the service's own cookies, which a banner's are beside; a refusal's may have a prefix."""
    found = {str(cookie["name"]) for cookie in profile.cookies()}
    return {name for name in found if name.endswith(("visitor", "visitor-choice"))}


def refusal_is_kept(profile: BrowserContext) -> bool:
    return bool(names(profile)) and all(name.endswith("visitor-choice") for name in names(profile))


def expect_refused(page: Page, profile: BrowserContext, service: Service, email: str) -> None:
    for _ in range(2):
        until(page, lambda: told(page) == [None, "null"])
        until(page, lambda: refusal_is_kept(profile))
        assert found_by(service, email) == []
        page.reload()
    assert told(page) == [None, "null"]


def link(profile: BrowserContext, service: Service, email: str) -> None:
    [token] = [cookie["value"] for cookie in profile.cookies() if cookie["name"] == "__Host-visitor"]
    assert service.call("/v1/links", {"email": email, "token": token})[0] == 200
    assert len(found_by(service, email)) == 1


def known(page: Page, profile: BrowserContext, service: Service, banner: Banner, email: str) -> None:
    banner.accept(page)
    until_told(page, "persistent")
    link(profile, service, email)


def consents(profile: BrowserContext) -> list[Any]:
    """What pages post about consent from now on, answered or not."""
    said: list[Any] = []

    def hear(request: Request) -> None:
        if CONSENTS.search(request.url) and request.method == "POST":
            said.append(json.loads(request.post_data or "null"))

    profile.on("request", hear)
    return said


def abort(route: Route) -> None:
    route.abort()


def busy(seconds: int) -> Callable[[Route], None]:
    """The service's answer when it cannot; the page may read when to repeat."""

    def answer(route: Route) -> None:
        headers = {
            "access-control-allow-origin": route.request.headers["origin"],
            "access-control-allow-credentials": "true",
            "access-control-expose-headers": "retry-after",
            "retry-after": str(seconds),
        }
        body = json.dumps({"status": 503, "code": "store_unavailable", "detail": "Repeat the call after the time in Retry-After."})
        route.fulfill(status=503, headers=headers, content_type="application/problem+json", body=body)

    return answer


def loses(profile: BrowserContext, path: re.Pattern[str], how: Callable[[Route], None]) -> list[str]:
    """Until `profile.unroute(path)`. The list grows with each call that is lost."""
    lost: list[str] = []

    def lose(route: Route) -> None:
        how(route)
        lost.append(route.request.url)

    profile.route(path, lose)
    return lost


@pytest.mark.parametrize("name", ["klaro", "cookieconsent", "tcf", "gtag"])
def test_a_tab_refuses_again_after_another_accepted(profile: BrowserContext, shop_pages: Pages, service: Service, name: str) -> None:
    banner, email = BANNERS[name], f"tabs-{name}@example.com"
    body = f"<body>{banner.body}" + CONFIG % ""
    first, errors = open_page(profile, shop_pages, f"/tabs-{name}", body)
    banner.accept(first)
    until_told(first, "persistent")
    second, more_errors = open_page(profile, shop_pages, f"/tabs-{name}", body)
    assert told(second)[1] == "persistent"
    banner.refuse(first)
    until_told(first, "null")
    until_told(second, "null")
    banner.accept(second)
    visitor = until_told(second, "persistent")
    until(first, lambda: told(first) == [visitor, "persistent"])
    link(profile, service, email)
    banner.refuse(first)
    until_told(second, "null")
    expect_refused(first, profile, service, email)
    expect_refused(second, profile, service, email)
    assert errors + more_errors == []


def test_a_refusal_is_told_again_after_the_shops_own_page_granted(profile: BrowserContext, shop_pages: Pages, service: Service) -> None:
    page, errors = open_page(profile, shop_pages, "/preferences-no", f"<body>{GTAG}{OWN_PAGE}" + CONFIG % "")
    page.click("#no")
    until_told(page, "null")
    page.click("#prefer-yes")
    until(page, lambda: names(profile) == {"__Host-visitor"})
    link(profile, service, "preferences@example.com")
    page.click("#no")
    expect_refused(page, profile, service, "preferences@example.com")
    assert errors == []


def test_a_grant_is_told_again_after_the_shops_own_page_refused(profile: BrowserContext, shop_pages: Pages) -> None:
    page, errors = open_page(profile, shop_pages, "/preferences-yes", f"<body>{GTAG}{OWN_PAGE}" + CONFIG % "")
    page.click("#yes")
    until_told(page, "persistent")
    page.click("#prefer-no")
    until(page, lambda: refusal_is_kept(profile))
    page.click("#yes")
    until(page, lambda: names(profile) == {"__Host-visitor"})
    page.reload()
    assert told(page)[1] == "persistent"
    assert errors == []


@pytest.mark.parametrize("name", ["cookieconsent", "tarteaucitron", "vanilla-cookieconsent", "cookieyes"])
def test_a_refusal_that_was_lost_counts_when_it_is_said_again(
    profile: BrowserContext, shop_pages: Pages, service: Service, name: str
) -> None:
    banner, email = BANNERS[name], f"again-{name}@example.com"
    page, errors = open_page(profile, shop_pages, f"/again-{name}", f"<body>{banner.body}" + CONFIG % "")
    known(page, profile, service, banner, email)
    lost = loses(profile, CONSENTS, abort)
    banner.refuse(page)
    until(page, lambda: lost)
    assert len(found_by(service, email)) == 1
    profile.unroute(CONSENTS)
    banner.refuse(page)
    expect_refused(page, profile, service, email)
    assert errors == []


@pytest.mark.parametrize("name", ["cookieconsent", "klaro", "own"])
def test_a_refusal_that_was_lost_is_repeated_with_its_age(profile: BrowserContext, shop_pages: Pages, service: Service, name: str) -> None:
    banner, email = BANNERS[name], f"alone-{name}@example.com"
    page, errors = open_page(profile, shop_pages, f"/alone-{name}", f"<body>{banner.body}" + CONFIG % "")
    known(page, profile, service, banner, email)
    said, lost = consents(profile), loses(profile, CONSENTS, abort)
    banner.refuse(page)
    until(page, lambda: len(lost) >= 2)
    profile.unroute(CONSENTS)
    until_told(page, "null")
    now = {"age_ms": 0, "clock_ms": 0}
    first, *repeats = [post for post in said if {**post, **now} == {**said[-1], **now}]
    assert "age_ms" not in first
    ages = [post["age_ms"] for post in repeats]
    assert ages
    assert all(isinstance(age, int) for age in ages)
    assert ages == sorted(ages)
    expect_refused(page, profile, service, email)
    assert errors == []


def test_a_refusal_that_met_a_busy_service_is_repeated(profile: BrowserContext, shop_pages: Pages, service: Service) -> None:
    banner, email = BANNERS["cookieconsent"], "busy@example.com"
    page, errors = open_page(profile, shop_pages, "/busy", f"<body>{banner.body}" + CONFIG % "")
    known(page, profile, service, banner, email)
    lost = loses(profile, CONSENTS, busy(1))
    banner.refuse(page)
    until(page, lambda: lost)
    profile.unroute(CONSENTS)
    expect_refused(page, profile, service, email)
    assert errors == []


@pytest.mark.parametrize("event", ["online", "another choice", "the page goes"])
def test_a_refusal_does_not_wait_longer_than_it_must(profile: BrowserContext, shop_pages: Pages, service: Service, event: str) -> None:
    """The service asked for half an hour."""
    email = f"early-{event.replace(' ', '-')}@example.com"
    body = (
        GTAG + COOKIEYES.replace('id="', 'id="cookieyes-') + '<button id="other" onclick="choose([\'advertisement\'], [])">other</button>'
    )
    page, errors = open_page(profile, shop_pages, "/early-end", f"<body>{body}" + CONFIG % "")
    known(page, profile, service, BANNERS["gtag"], email)
    lost = loses(profile, CONSENTS, busy(1800))
    page.click("#no")
    until(page, lambda: lost)
    profile.unroute(CONSENTS)
    if event == "online":
        profile.set_offline(True)
        profile.set_offline(False)
    elif event == "another choice":
        page.click("#other")
    else:
        page.goto(f"{shop_pages.url}/early-end?next")
        until(page, lambda: found_by(service, email) == [])
        page.reload()
    expect_refused(page, profile, service, email)
    assert errors == []


def test_a_choice_that_waits_holds_nothing_up(profile: BrowserContext, shop_pages: Pages, service: Service) -> None:
    card = '<a id="buy" data-clerk-product-id="12">buy</a>'
    page, errors = open_page(profile, shop_pages, "/waits", f"<body>{GTAG}{card}" + CONFIG % "")
    visitor = told(page)[0]
    lost = loses(profile, CONSENTS, busy(1800))
    page.click("#no")
    until(page, lambda: lost)
    with page.expect_response("**/v2/log/click") as answered:
        page.click("#buy")
    assert answered.value.json() == {"status": "ok"}
    with page.expect_response("**/v1/visitors"):
        page.evaluate("Clerk('config', {visitor: 'auto'})")
    assert told(page) == [visitor, "cookieless"]
    assert errors == []


def test_an_answer_that_is_final_is_not_asked_for_again(profile: BrowserContext, shop_pages: Pages) -> None:
    page, errors = open_page(profile, shop_pages, "/final", f"<body>{OWN}" + CONFIG % "")
    assert told(page)[1] == "cookieless"
    said = consents(profile)
    with page.expect_response(CONSENTS) as answered:
        page.evaluate("Clerk('consent', {storage: 'perhaps'})")
    assert answered.value.status == 422
    page.click("#yes")
    until_told(page, "persistent")
    assert [post["consent"] for post in said] == [{"purposes": {"storage": "perhaps"}}, "granted"]
    assert errors == []


def test_the_same_choice_goes_out_once_at_a_time_and_again_once_it_was_answered(profile: BrowserContext, shop_pages: Pages) -> None:
    profile.add_init_script(HOLD)
    page, errors = open_page(profile, shop_pages, "/once", f"<body>{GTAG}" + CONFIG % "")
    assert told(page)[1] == "cookieless"
    for _ in range(3):
        page.click("#no")
    assert page.evaluate("held.length") == 1
    page.evaluate("held[0].go()")
    until_told(page, "null")
    assert page.evaluate("held.length") == 1
    page.click("#no")
    until(page, lambda: page.evaluate("held.length") == 2)
    assert "age_ms" not in page.evaluate("held[1].body")
    assert errors == []


def test_a_newer_choice_of_a_source_replaces_the_one_that_waits(profile: BrowserContext, shop_pages: Pages) -> None:
    profile.add_init_script(HOLD)
    buttons = OWN.replace('id="', 'id="own-')
    page, errors = open_page(profile, shop_pages, "/newer", f"<body>{GTAG}{buttons}" + CONFIG % "")
    assert told(page)[1] == "cookieless"
    for selector in ("#no", "#own-yes", "#yes", "#own-no"):
        page.click(selector)
    for number in range(3):
        until(page, lambda number=number: page.evaluate("held.length") == number + 1)  # type: ignore[misc]
        page.evaluate("number => held[number].go()", number)
    until_told(page, "null")
    said = page.evaluate("held.map(each => each.body.consent || each.body.state.analytics_storage)")
    assert said == ["denied", "granted", "refused"]
    assert errors == []


def test_an_update_of_other_purposes_does_not_take_a_refusals_place(profile: BrowserContext, shop_pages: Pages, service: Service) -> None:
    ads = "<button id=\"ads\" onclick=\"gtag('consent', 'update', {ad_storage: 'denied'})\">ads</button>"
    page, errors = open_page(profile, shop_pages, "/parts", f"<body>{GTAG}{ads}" + CONFIG % "")
    known(page, profile, service, BANNERS["gtag"], "parts@example.com")
    lost = loses(profile, CONSENTS, abort)
    page.click("#no")
    page.click("#ads")
    until(page, lambda: len(lost) >= 2)
    profile.unroute(CONSENTS)
    expect_refused(page, profile, service, "parts@example.com")
    assert errors == []


@pytest.mark.parametrize(("revision", "mode"), [(1, "persistent"), (2, "cookieless")])
def test_a_yes_to_an_older_revision_of_the_banner_is_not_told(profile: BrowserContext, shop_pages: Pages, revision: int, mode: str) -> None:
    path = f"/revision-{revision}"
    page, errors = open_page(profile, shop_pages, path, "<body>" + VANILLA.replace("run({", "run({revision: 1, "))
    page.click(".cm [data-role=all]")
    until(page, lambda: any(cookie["name"] == "cc_cookie" for cookie in profile.cookies()))
    said = consents(profile)
    shop_pages.bodies[path] = "<body>" + VANILLA.replace("run({", f"run({{revision: {revision}, ") + CONFIG % ""
    page.goto(shop_pages.url + path)
    assert told(page)[1] in {"cookieless", mode}
    until_told(page, mode)
    if mode == "cookieless":
        page.wait_for_selector(".cm [data-role=all]")
        page.reload()
        assert told(page)[1] == mode
        assert said == []
    else:
        assert {post["said"] for post in said} == {"remembered"}
    assert errors == []


def test_a_consent_that_onetrust_asks_for_again_grants_nothing(profile: BrowserContext, shop_pages: Pages) -> None:
    closed = (datetime.now(UTC) - timedelta(days=100)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    kept = {"OptanonConsent": "groups=C0001:1,C0002:1&interactionCount=1&AwaitingReconsent=true", "OptanonAlertBoxClosed": closed}
    profile.add_cookies([{"name": name, "value": value, "url": shop_pages.url} for name, value in kept.items()])
    with profile.expect_event("response", lambda response: response.url.endswith("/v1/consents/onetrust")) as heard:
        page, errors = open_page(profile, shop_pages, "/onetrust", f"<body>{ONETRUST}" + CONFIG % "")
    assert "OptanonAlertBoxClosed" in json.loads(heard.value.request.post_data or "")
    assert told(page)[1] == "cookieless"
    page.reload()
    assert told(page)[1] == "cookieless"
    assert names(profile) == set()
    assert errors == []


@pytest.mark.parametrize("way", ["consent_status", "ucEvent", "data layer"])
def test_what_is_saved_in_usercentrics_settings_is_heard(profile: BrowserContext, shop_pages: Pages, service: Service, way: str) -> None:
    email = f"settings-{way.replace(' ', '-')}@example.com"
    page, errors = open_page(profile, shop_pages, "/usercentrics", f"<body>{USERCENTRICS % way}" + CONFIG % "")
    known(page, profile, service, Banner("", button("#all")), email)
    page.click("#no")
    expect_refused(page, profile, service, email)
    page.click("#yes")
    until_told(page, "persistent")
    page.reload()
    assert told(page)[1] == "persistent"
    assert errors == []


def test_a_yes_in_usercentrics_settings_grants(profile: BrowserContext, shop_pages: Pages) -> None:
    page, errors = open_page(profile, shop_pages, "/usercentrics", f"<body>{USERCENTRICS % 'consent_status'}" + CONFIG % "")
    assert told(page)[1] == "cookieless"
    page.click("#yes")
    until_told(page, "persistent")
    assert names(profile) == {"__Host-visitor"}
    assert errors == []


def test_a_refusal_of_a_service_that_klaro_calls_required_counts(profile: BrowserContext, shop_pages: Pages, service: Service) -> None:
    required = KLARO.replace("name: 'visitor-id',", "name: 'visitor-id', required: true,")
    other = required.replace("services: [", "services: [{name: 'other', title: 'Other', purposes: ['analytics']}, ")
    page, errors = open_page(profile, shop_pages, "/required", f"<body>{OWN}{other}" + CONFIG % "")
    known(page, profile, service, BANNERS["own"], "required@example.com")
    said = consents(profile)
    BANNERS["klaro"].refuse(page)
    until(page, lambda: said)
    assert (said[0]["type"], said[0]["data"]["type"]) == ("saveConsents", "decline")
    expect_refused(page, profile, service, "required@example.com")
    assert errors == []


def test_a_cookiebot_choice_is_told_with_its_time(profile: BrowserContext, shop_pages: Pages) -> None:
    cookiebot = """<script>function choose() { window.Cookiebot = {hasResponse: true, consentUTC: new Date(Date.now() - 7200000),
        consent: {method: 'explicit', statistics: true}}; dispatchEvent(new Event('CookiebotOnAccept')); }</script>
        <button id="yes" onclick="choose()">yes</button>"""
    page, errors = open_page(profile, shop_pages, "/cookiebot", f"<body>{cookiebot}" + CONFIG % "")
    assert told(page)[1] == "cookieless"
    said = consents(profile)
    page.click("#yes")
    until_told(page, "persistent")
    assert said[0]["consentUTC"] == page.evaluate("Cookiebot.consentUTC.toISOString()")
    assert errors == []


def test_a_banner_of_the_shops_own_grants_and_refuses(profile: BrowserContext, shop_pages: Pages, service: Service) -> None:
    page, errors = open_page(profile, shop_pages, "/own", f"<body>{OWN}" + CONFIG % "")
    known(page, profile, service, BANNERS["own"], "own@example.com")
    visitor = told(page)[0]
    page.reload()
    assert told(page) == [visitor, "persistent"]
    page.click("#no")
    expect_refused(page, profile, service, "own@example.com")
    assert errors == []


@pytest.mark.parametrize(
    "purposes",
    [
        "{storage: 'granted', measurement: 'granted', linking: 'refused'}",
        "{storage: true, measurement: true, linking: false}",
        "{purposes: {storage: true, measurement: 'granted', linking: 'refused'}}",
    ],
)
def test_a_banner_of_the_shops_own_tells_purposes(profile: BrowserContext, shop_pages: Pages, service: Service, purposes: str) -> None:
    buttons = f"""<button id="yes" onclick="Clerk('consent', {purposes})">yes</button>
        <button id="no" onclick="Clerk('consent', {{storage: false, measurement: false}})">no</button>"""
    page, errors = open_page(profile, shop_pages, "/purposes", f"<body>{buttons}" + CONFIG % "")
    assert told(page)[1] == "cookieless"
    with page.expect_response(CONSENTS) as granted:
        page.click("#yes")
    assert (granted.value.json()["mode"], granted.value.json()["linkable"]) == ("persistent", False)
    until_told(page, "persistent")
    page.reload()
    assert told(page)[1] == "persistent"
    page.click("#no")
    expect_refused(page, profile, service, "purposes@example.com")
    assert errors == []


def test_a_choice_said_before_the_config_waits_for_the_key(profile: BrowserContext, shop_pages: Pages) -> None:
    page, errors = open_page(profile, shop_pages, "/before", "<script>Clerk('consent', 'granted')</script>" + CONFIG % "")
    until_told(page, "persistent")
    assert errors == []


@pytest.mark.parametrize("debug", ["", "Clerk('debug');"])
def test_an_unknown_command_warns_and_breaks_nothing(profile: BrowserContext, shop_pages: Pages, debug: str) -> None:
    warnings: list[str] = []
    profile.on("console", lambda message: warnings.append(message.text) if message.type == "warning" else None)
    page, errors = open_page(profile, shop_pages, "/unknown", f"<body>{OWN}" + CONFIG % "")
    assert told(page)[1] == "cookieless"
    commands = ("Clerk('consnet', 'refused')", "Clerk('toString')", "Clerk('consent', 'denied')")
    page.evaluate(f"() => {{ {debug} {'; '.join(commands)} }}")
    page.click("#yes")
    until_told(page, "persistent")
    assert ["consnet" in warnings[0], "toString" in warnings[1], "denied" in warnings[2], len(warnings)] == [True, True, True, 3]
    assert errors == []


def orders_of(service: Service, sale: str) -> list[Any]:
    return [order for order in service.call("/v1/orders")[1]["orders"] if order["sale"] == sale]


def lost_once(profile: BrowserContext, path: re.Pattern[str], how: Callable[[Route], None]) -> list[str]:
    lost: list[str] = []

    def lose(route: Route) -> None:
        if lost:
            route.continue_()
        else:
            lost.append(route.request.url)
            how(route)

    profile.route(path, lose)
    return lost


@pytest.mark.parametrize(("name", "how"), [("busy", busy(1)), ("aborted", abort)])
def test_a_sale_that_was_lost_is_there_once(
    profile: BrowserContext, shop_pages: Pages, service: Service, name: str, how: Callable[[Route], None]
) -> None:
    lost = lost_once(profile, re.compile("/v2/log/sale"), how)
    with profile.expect_event("response", lambda found: "/v2/log/sale" in found.url and found.ok, timeout=PATIENCE * 1000) as sold:
        page, errors = open_page(profile, shop_pages, f"/sold-{name}", SALE % (f"kept-{name}", f"{name}@example.com") + CONFIG % "")
    assert json.loads(sold.value.request.post_data or "")["markup"] is True
    assert len(lost) == 1
    assert len(orders_of(service, f"kept-{name}")) == 1
    assert len(found_by(service, f"{name}@example.com")) == 1
    assert told(page)[1] == "cookieless"
    assert errors == []


def test_an_email_that_was_lost_is_linked_and_its_callback_called_once(
    profile: BrowserContext, shop_pages: Pages, service: Service
) -> None:
    lost = lost_once(profile, re.compile("/v2/log/email"), abort)
    page, errors = open_page(profile, shop_pages, "/email", CONFIG % "")
    visitor = told(page)[0]
    page.evaluate(
        "window.done = []; Clerk('call', 'log/email', {email: 'kept-email@example.com'}, answer => { done.push(answer.status); })"
    )
    until(page, lambda: page.evaluate("done.length") > 0)
    assert (page.evaluate("done"), len(lost)) == (["ok"], 1)
    assert found_by(service, "kept-email@example.com") == [visitor]
    assert errors == []


def test_a_sale_is_tried_ten_times_and_its_callback_called_once(profile: BrowserContext, shop_pages: Pages) -> None:
    profile.add_init_script("""var send = fetch; window.tries = 0; window.done = []; window.fetch = function (address, options) {
        if (!address.includes('/v2/log/sale')) return send(address, options);
        tries += 1; return Promise.resolve(new Response('{"status": "error", "error": "busy"}', {status: 503})); };""")
    page, errors = open_page(profile, shop_pages, "/ten", CONFIG % "")
    assert told(page)[1] == "cookieless"
    page.clock.install()
    sale = "{sale: 'ten', products: [{id: 12}]}"
    page.evaluate(f"() => {{ Clerk('call', 'log/sale', {sale}, answer => {{ done.push(answer.error); }}); }}")  # its promise waits
    until_after(page, lambda: page.evaluate("done.length") > 0)
    page.clock.fast_forward(120_000)
    assert (page.evaluate("tries"), page.evaluate("done")) == (10, ["busy"])
    assert errors == []


def test_a_sale_that_waits_is_sent_as_the_page_goes(profile: BrowserContext, shop_pages: Pages, service: Service) -> None:
    lost = loses(profile, re.compile("/v2/log/sale"), busy(1800))
    page, errors = open_page(profile, shop_pages, "/leaves", SALE % ("leaving", "leaving-sale@example.com") + CONFIG % "")
    until(page, lambda: lost)
    visitor = told(page)[0]
    assert orders_of(service, "leaving") == []
    profile.unroute(re.compile("/v2/log/sale"))
    page.goto("about:blank")
    assert eventually(lambda: [order["visitor"] for order in orders_of(service, "leaving")] == [visitor], PATIENCE)
    assert errors == []


def test_a_sale_is_sent_as_the_page_goes_before_the_visitor_is_known(profile: BrowserContext, shop_pages: Pages, service: Service) -> None:
    profile.add_init_script("""var send = fetch; window.lost = []; window.fetch = function (address, options) {
        return address.includes('/v1/visitors') ? new Promise(function () { lost.push(address); }) : send(address, options); };""")
    page, errors = open_page(profile, shop_pages, "/unanswered", SALE % ("unanswered", "unanswered@example.com") + CONFIG % "")
    until(page, lambda: page.evaluate("lost.length"))
    assert orders_of(service, "unanswered") == []
    page.goto("about:blank")
    assert eventually(lambda: [order["visitor"] for order in orders_of(service, "unanswered")] == [None], PATIENCE)
    assert errors == []


def test_a_tag_without_markup_sends_no_elements(profile: BrowserContext, shop_pages: Pages, service: Service) -> None:
    shop_pages.attributes["/no-markup"] = "data-markup='off'"
    page, errors = open_page(profile, shop_pages, "/no-markup", SALE % ("no-markup", "no-markup@example.com") + CONFIG % "")
    assert told(page)[1] == "cookieless"
    with page.expect_response("**/v2/log/sale") as sold:
        page.evaluate("Clerk('call', 'log/sale', {sale: 'by-call', products: [{id: 12, quantity: 1, price: 5}]})")
    assert "markup" not in json.loads(sold.value.request.post_data or "")
    assert (len(orders_of(service, "by-call")), orders_of(service, "no-markup")) == (1, [])
    assert errors == []
