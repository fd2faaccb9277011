"""What counts as said now, and not what a banner repeats or kept; banners that come late, or kept a choice before the snippet came."""

import json
from itertools import product
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.banner_pages import EMULATED
from tests.browser.conftest import fresh_profile
from tests.browser.pages import Pages, each
from tests.browser.test_banner_libraries import KLARO, OSANO, TARTEAUCITRON, VANILLA, ours
from tests.browser.test_choices_kept import (
    BANNERS,
    CONSENTS,
    GTAG,
    OWN,
    OWN_PAGE,
    TCF_TOOL,
    abort,
    consents,
    expect_refused,
    known,
    loses,
    names,
    refusal_is_kept,
    until,
    until_told,
)
from tests.browser.test_choices_kept import Banner as Buttons
from tests.browser.test_snippet import CONFIG, open_page, told
from tests.test_command import Service

pytestmark = pytest.mark.usefixtures("library_pages")


def refuse_elsewhere(page: Page, profile: BrowserContext) -> None:
    """In the shop's own page, which posts by itself."""
    page.click("#prefer-no")
    until(page, lambda: refusal_is_kept(profile))


def stays_refused(page: Page, profile: BrowserContext, said: list[Any]) -> None:
    """Over two loads, though the banner repeats its yes each time."""
    for _ in range(2):
        said.clear()
        page.reload()
        until(page, lambda: said)
        until(page, lambda: told(page) == [None, "null"])
        assert {post["said"] for post in said} == {"remembered"}
        assert refusal_is_kept(profile)


COOKIEBOT = """<script>window.Cookiebot = {hasResponse: true, consentUTC: new Date(Date.now() - 7200000),
    consent: {method: 'explicit', statistics: true}};
addEventListener('load', function () { setTimeout(function () { dispatchEvent(new Event('CookiebotOnAccept')); }, 50); });</script>"""
PRINTED = GTAG + "<script>gtag('consent', 'update', {analytics_storage: 'granted'})</script>"


def test_cookiebot_repeats_a_yes_of_two_hours_ago(profile: BrowserContext, shop_pages: Pages) -> None:
    said = consents(profile)
    page, errors = open_page(profile, shop_pages, "/repeat-cookiebot", f"<body>{COOKIEBOT}{OWN_PAGE}" + CONFIG % "")
    until_told(page, "persistent")
    refuse_elsewhere(page, profile)
    stays_refused(page, profile, said)
    assert errors == []


LATE_COOKIEBOT = """<script>function come() { window.Cookiebot = {hasResponse: true, consentUTC: new Date(Date.now() - 7200000),
    consent: {method: 'explicit', statistics: true}}; dispatchEvent(new Event('CookiebotOnAccept')); }</script>
<button id="menu" onclick="setTimeout(come, 300)">menu</button>"""


def test_what_a_banner_kept_is_not_said_now_though_it_comes_right_after_a_click(profile: BrowserContext, shop_pages: Pages) -> None:
    said = consents(profile)
    page, errors = open_page(profile, shop_pages, "/late-cookiebot", f"<body>{LATE_COOKIEBOT}{OWN_PAGE}" + CONFIG % "")
    page.click("#menu")
    until(page, lambda: any("consentUTC" in post for post in said))
    assert [post["said"] for post in said if "consentUTC" in post] == ["remembered"]
    assert errors == []


@pytest.mark.parametrize("name", ["gtag", "tcf"])
def test_a_yes_that_is_repeated_grants_nothing_until_somebody_says_it(profile: BrowserContext, shop_pages: Pages, name: str) -> None:
    said, body = consents(profile), PRINTED if name == "gtag" else TCF_TOOL
    page, errors = open_page(profile, shop_pages, f"/repeat-{name}", f"<body>{body}{OWN_PAGE}" + CONFIG % "")
    if name == "tcf":
        page.click("#yes")
    until_told(page, "persistent")
    refuse_elsewhere(page, profile)
    stays_refused(page, profile, said)
    page.click("#yes")
    until_told(page, "persistent")
    assert said[-1]["said"] == "now"
    assert errors == []


def test_a_click_on_a_link_says_nothing_by_itself(profile: BrowserContext, shop_pages: Pages) -> None:
    """A shop of one page repeats the banner's yes with each of its views."""
    view = """<a id="view" href="/repeat-view?2" onclick="history.pushState({}, '', '?2');
        gtag('consent', 'update', {analytics_storage: 'granted'}); return false">next</a>"""
    said = consents(profile)
    page, errors = open_page(profile, shop_pages, "/repeat-view", f"<body>{PRINTED}{view}{OWN_PAGE}" + CONFIG % "")
    until_told(page, "persistent")
    refuse_elsewhere(page, profile)
    page.reload()
    until(page, lambda: told(page) == [None, "null"])
    page.click("#view")
    page.evaluate("gtag('consent', 'update', {analytics_storage: 'granted'})")
    page.wait_for_load_state("networkidle")
    assert told(page) == [None, "null"]
    assert refusal_is_kept(profile)
    assert "now" not in {post.get("said") for post in said}
    assert errors == []


def test_a_script_says_nothing_in_a_persons_name(profile: BrowserContext, shop_pages: Pages) -> None:
    said = consents(profile)
    page, errors = open_page(profile, shop_pages, "/scripted", f"<body>{OWN}" + CONFIG % "")
    page.click("#no")
    until_told(page, "null")
    page.reload()
    assert told(page) == [None, "null"]
    page.evaluate("document.getElementById('yes').click()")
    until(page, lambda: len(said) == 2)
    page.wait_for_load_state("networkidle")
    assert (told(page), said[1]["said"]) == ([None, "null"], "remembered")
    page.click("#yes")
    until_told(page, "persistent")
    assert errors == []


STORED = ("klaro", "cookieconsent", "tarteaucitron", "cookiebot", "cookieyes", "wordpress", "shopify", "didomi", "osano", "iubenda")


@pytest.mark.parametrize("accepted", [False, True], ids=["no", "yes"])
@pytest.mark.parametrize("name", each(STORED, "klaro", "cookiebot", "wordpress"))
def test_what_a_banner_kept_before_the_snippet_came_is_heard(profile: BrowserContext, shop_pages: Pages, name: str, accepted: bool) -> None:
    """Its event has passed; the snippet loads after the library, then before it."""
    banner = Buttons(EMULATED[name].body) if name in EMULATED else BANNERS[name]
    page, errors = open_page(profile, shop_pages, f"/kept-{name}", f"<body>{banner.body}")
    (banner.accept if accepted else banner.refuse)(page)
    path = f"/kept-{name}-{accepted}"
    body = f"<body>{banner.body}" + CONFIG % ""
    mode = "persistent" if accepted else "null"
    page, more = open_page(profile, shop_pages, path, body)
    until_told(page, mode)
    for cookie in ours(profile):
        profile.clear_cookies(name=cookie["name"])
    early = f"<body><script src='{shop_pages.service}/visitor.js'></script>" + CONFIG % "" + banner.body
    page, most = open_page(profile, shop_pages, f"{path}-early", early)
    until_told(page, mode)
    assert errors + more + most == []


LATE = """<template id="late">%s</template><script>async function appear() {
    for (const found of [...document.getElementById('late').content.childNodes]) {
        if (found.tagName !== 'SCRIPT') { document.body.append(found); continue; }
        const script = document.createElement('script');
        for (const one of found.attributes) script.setAttribute(one.name, one.value);
        script.textContent = found.textContent;
        const loaded = script.src && new Promise(done => { script.onload = done; });
        document.body.append(script);
        await loaded;
    }
    %s }
addEventListener('pointermove', () => { if (window.waits) { window.waits = false; appear(); } });</script>"""
AT_ONCE = OSANO.replace("addEventListener('load', function () {", "(function () {").replace("}); });", "}); })();")
APPEARS = {
    "klaro": (KLARO, BANNERS["klaro"], ""),
    "cookieconsent": (AT_ONCE, BANNERS["cookieconsent"], ""),
    "tarteaucitron": (TARTEAUCITRON, BANNERS["tarteaucitron"], "tarteaucitron.initEvents.loadEvent(false);"),
    "vanilla-cookieconsent": (VANILLA, BANNERS["vanilla-cookieconsent"], ""),
    "tcf": (TCF_TOOL.partition("</script>")[2], BANNERS["tcf"], ""),
}
SHOWN = "() => window.klaro || window.cookieconsent || window.tarteaucitron || window.CookieConsent || window.choose"


def appear(page: Page, way: str) -> None:
    if way == "by itself":
        page.evaluate("appear()")
    else:
        page.evaluate("window.waits = true")
        page.mouse.move(5, 5)
        page.mouse.move(9, 9)
        page.wait_for_function("() => !window.waits")
    page.wait_for_function(SHOWN)


@pytest.mark.parametrize("name", each(APPEARS, "klaro", "tcf"))
def test_a_banner_that_appears_late_is_heard(browser: Browser, shop_pages: Pages, service: Service, name: str, long: bool) -> None:
    """After the opposite choice, so that only a yes that is said now grants."""
    body, banner, then = APPEARS[name]
    for way, accepted in list(product(("by itself", "on the first movement"), (True, False)))[: None if long else 2]:
        profile, mode = fresh_profile(browser), "persistent" if accepted else "null"
        page, errors = open_page(profile, shop_pages, "/before-late", f"<body>{OWN}" + CONFIG % "")
        (BANNERS["own"].refuse if accepted else BANNERS["own"].accept)(page)
        until_told(page, "null" if accepted else "persistent")
        page, more = open_page(profile, shop_pages, f"/late-{name}", f"<body>{LATE % (body, then)}" + CONFIG % "")
        assert told(page)[1] == ("null" if accepted else "persistent")
        appear(page, way)
        (banner.accept if accepted else banner.refuse)(page)
        until_told(page, mode)
        assert names(profile) == ({"__Host-visitor"} if accepted else {"__Host-visitor-choice"})
        assert errors + more == []


def test_a_choice_in_a_frame_is_said_now(profile: BrowserContext, shop_pages: Pages) -> None:
    """As banners do whose dialog is a frame: its clicks do not reach the page."""
    frame = """<iframe srcdoc="<button id='in-frame' onclick='parent.gtag(&quot;consent&quot;, &quot;update&quot;,
        {analytics_storage: &quot;granted&quot;})'>yes</button>"></iframe>"""
    page, errors = open_page(profile, shop_pages, "/frame", f"<body>{GTAG}{frame}" + CONFIG % "")
    page.click("#no")
    until_told(page, "null")
    page.reload()
    assert told(page) == [None, "null"]
    page.frame_locator("iframe").locator("#in-frame").click()
    until_told(page, "persistent")
    assert errors == []


def test_a_category_that_nobody_can_refuse_is_no_consent(profile: BrowserContext, shop_pages: Pages, service: Service) -> None:
    banner = VANILLA.replace("analytics: {}", "analytics: {readOnly: true, enabled: true}, ads: {}")
    reject = '<button id="reject" onclick="CookieConsent.acceptCategory([])">reject all</button>'
    page, errors = open_page(profile, shop_pages, "/read-only", f"<body>{OWN}{reject}{banner}" + CONFIG % "")
    known(page, profile, service, BANNERS["own"], "read-only@example.com")
    page.click("#reject")
    expect_refused(page, profile, service, "read-only@example.com")
    assert errors == []


VANILLA_2 = """<link rel=stylesheet href="/libraries/vanilla-cookieconsent-2/dist/cookieconsent.css">
<script src="/libraries/vanilla-cookieconsent-2/dist/cookieconsent.js"></script><script>
var cc = initCookieConsent(); cc.run({hide_from_bots: false, current_lang: 'en', autorun: true, languages: {en: {
    consent_modal: {title: 'Cookies', description: 'May we?', primary_btn: {text: 'Yes', role: 'accept_all'},
        secondary_btn: {text: 'No', role: 'accept_necessary'}},
    settings_modal: {title: 'Cookies', save_settings_btn: 'Save', accept_all_btn: 'Yes', reject_all_btn: 'No', close_btn_label: 'Close',
        blocks: [{title: 'Needed', description: '', toggle: {value: 'necessary', enabled: true, readonly: true}},
            {title: 'Analytics', description: '', toggle: {value: 'analytics', enabled: false, readonly: false}}]}}}});</script>
<button id="withdraw" onclick="cc.accept([])">withdraw</button>"""


def test_version_2_of_vanilla_cookieconsent_is_heard(profile: BrowserContext, shop_pages: Pages, service: Service) -> None:
    banner = Buttons(VANILLA_2, lambda page: page.click("#c-p-bn"), lambda page: page.click("#withdraw"))
    page, errors = open_page(profile, shop_pages, "/vanilla-2", f"<body>{VANILLA_2}" + CONFIG % "")
    assert told(page)[1] == "cookieless"
    known(page, profile, service, banner, "vanilla-2@example.com")
    visitor = told(page)[0]
    page.reload()
    assert told(page) == [visitor, "persistent"]
    banner.refuse(page)
    expect_refused(page, profile, service, "vanilla-2@example.com")
    assert errors == []


@pytest.mark.parametrize("early", [True, False])
def test_a_data_layer_of_another_name_is_heard(profile: BrowserContext, shop_pages: Pages, service: Service, early: bool) -> None:
    layer = GTAG.replace("dataLayer", "gtmLayer")
    body = layer + CONFIG % ", data_layer: 'gtmLayer'" if early else CONFIG % ", data_layer: ['gtmLayer']" + layer
    page, errors = open_page(profile, shop_pages, "/layer", f"<body>{body}")
    known(page, profile, service, BANNERS["gtag"], f"layer-{early}@example.com")
    page.click("#no")
    expect_refused(page, profile, service, f"layer-{early}@example.com")
    assert errors == []


def test_a_layer_whose_push_is_replaced_is_heard(profile: BrowserContext, shop_pages: Pages) -> None:
    """As a tag manager does, which may not call what was there before."""
    page, errors = open_page(profile, shop_pages, "/replaced", f"<body>{GTAG}" + CONFIG % "")
    assert told(page)[1] == "cookieless"
    page.evaluate("dataLayer.push = function () { return Array.prototype.push.apply(dataLayer, arguments); }")
    page.click("#yes")
    until_told(page, "persistent")
    assert errors == []


def test_an_older_word_is_dropped_once_another_tab_said_a_newer_one(profile: BrowserContext, shop_pages: Pages) -> None:
    body = f"<body>{GTAG}" + CONFIG % ""
    first, errors = open_page(profile, shop_pages, "/older", body)
    second, more = open_page(profile, shop_pages, "/older", body)
    assert told(first)[1] == told(second)[1] == "cookieless"
    lost = loses(profile, CONSENTS, abort)
    first.bring_to_front()
    first.click("#no")
    until(first, lambda: lost)
    said = consents(profile)
    profile.unroute(CONSENTS)
    second.bring_to_front()
    second.click("#yes")
    until_told(second, "persistent")
    first.bring_to_front()
    until(first, lambda: told(first)[1] == "persistent")
    first.evaluate("window.dispatchEvent(new Event('online'))")
    first.wait_for_load_state("networkidle")
    assert [post["state"]["analytics_storage"] for post in said if "state" in post][-1] == "granted"
    assert told(first)[1] == told(second)[1] == "persistent"
    assert errors + more == []


@pytest.mark.parametrize("mode", ["at first", "accepted", "defaults"])
def test_a_browser_that_objects_to_sale_is_opted_out(browser: Browser, shop_pages: Pages, service: Service, mode: str) -> None:
    profile = fresh_profile(browser)
    profile.set_extra_http_headers({"sec-gpc": "1"})
    default = VANILLA.replace("run({", "run({mode: 'opt-out', ").replace("analytics: {}", "analytics: {enabled: true}")
    banner = default if mode == "defaults" else OWN
    with profile.expect_event("response", lambda response: response.url.endswith("/v1/visitors")) as answered:
        page, errors = open_page(profile, shop_pages, f"/gpc-{mode.replace(' ', '-')}", f"<body>{banner}" + CONFIG % "")
    answer = answered.value.json()
    assert (answer["mode"], answer["sale_share_opt_out"]) == ("cookieless", True)
    if mode == "accepted":
        with page.expect_response(CONSENTS) as granted:
            page.click("#yes")
        assert (granted.value.json()["mode"], granted.value.json()["sale_share_opt_out"]) == ("persistent", True)
    else:
        page.reload()
        assert told(page)[1] == "cookieless"
        assert names(profile) == set()
    assert errors == []


def test_onetrust_is_dated_by_its_box(profile: BrowserContext, shop_pages: Pages) -> None:
    said = consents(profile)
    page, errors = open_page(profile, shop_pages, "/onetrust-dated", f"<body>{EMULATED['onetrust'].body}" + CONFIG % "")
    assert told(page)[1] == "cookieless"
    page.click("#yes")
    until_told(page, "persistent")
    assert {"OptanonConsent", "OptanonAlertBoxClosed"} <= said[0].keys()
    count = len(said)
    page.reload()
    until_told(page, "persistent")
    page.wait_for_load_state("networkidle")
    assert len(said) == count + 1, json.dumps(said)
    assert errors == []
