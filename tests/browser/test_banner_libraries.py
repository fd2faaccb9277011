"""The snippet beside real consent libraries, driven as a person would: accept, come back, change one's mind."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser.pages import Pages
from tests.browser.test_snippet import CONFIG, open_page, told
from tests.test_command import Service, eventually

pytestmark = pytest.mark.usefixtures("library_pages")
VANILLA = """<script src="/libraries/vanilla-cookieconsent/dist/cookieconsent.umd.js"></script><script>
CookieConsent.run({hideFromBots: false, categories: {necessary: {enabled: true, readOnly: true}, analytics: {}},
    language: {default: 'en', translations: {en: {
        consentModal: {title: 'Cookies', acceptAllBtn: 'Yes', acceptNecessaryBtn: 'No'},
        preferencesModal: {title: 'Cookies', acceptAllBtn: 'Yes', acceptNecessaryBtn: 'No', sections: []}}}}});</script>"""
KLARO = """<script>var klaroConfig = {acceptAll: true,
    translations: {zz: {privacyPolicyUrl: '/privacy', purposes: {analytics: 'Analytics'}}},
    services: [{name: 'visitor-id', title: 'Visitor ID', purposes: ['analytics']}]};</script>
<script src="/libraries/klaro/dist/klaro.js"></script>"""
TARTEAUCITRON = """<script src="/libraries/tarteaucitronjs/tarteaucitron.js"></script><script>
tarteaucitron.init({privacyUrl: '/privacy'});
tarteaucitron.services.visitorid = {key: 'visitorid', type: 'analytic', name: 'Visitor ID', needConsent: true, cookies: [],
    js: function () {}, fallback: function () {}};
(tarteaucitron.job = tarteaucitron.job || []).push('visitorid');</script>"""
OSANO = """<link rel="stylesheet" href="/libraries/cookieconsent/build/cookieconsent.min.css">
<script src="/libraries/cookieconsent/build/cookieconsent.min.js"></script><script>addEventListener('load', function () {
    cookieconsent.initialise({type: 'opt-in', revokable: true, animateRevokable: false}, function (popup) { window.popup = popup; }); });
</script>"""
TCF = """<script src="/libraries/@iabtechlabtcf/stub/lib/stub.js"></script>
<script type="importmap">{"imports": {"@iabtechlabtcf/core": "/libraries/@iabtechlabtcf/core/lib/mjs/index.js"}}</script>
<script type="module">
import { CmpApi } from '/libraries/@iabtechlabtcf/cmpapi/lib/mjs/index.js';
import { GVL, TCModel, TCString } from '@iabtechlabtcf/core';
const api = new CmpApi(7, 1, true), kept = /euconsent-v2=([^;]+)/.exec(document.cookie);
const purposes = Object.fromEntries([...Array(11).keys()].map(at => [at + 1, {id: at + 1}]));
window.choose = granted => {
    const list = {gvlSpecificationVersion: 3, vendorListVersion: 1, tcfPolicyVersion: 5, purposes, vendors: {}};
    const model = new TCModel(new GVL({specialPurposes: {}, features: {}, specialFeatures: {}, stacks: {}, ...list}));
    Object.assign(model, {cmpId: 7, cmpVersion: 1, isServiceSpecific: true});
    if (granted) model.purposeConsents.set([1, 8]);
    const text = TCString.encode(model);
    document.cookie = 'euconsent-v2=' + text + '; path=/';
    api.update(text, false);
};
if (kept) api.update(kept[1], false); else api.update('', true);
</script>"""
GPP = """<script>var queue = []; window.__gpp = (...call) => call.length ? void queue.push(call) : queue;</script><script type="module">
import { CmpApi } from '/libraries/@iabgpp/cmpapi/lib/mjs/index.js';
const api = new CmpApi(31, 1);
window.TC = {CmpId: 31, CmpVersion: 1, PolicyVersion: 5, IsServiceSpecific: true};
api.setSignalStatus('not ready');
window.choose = (section, number, fields) => {
    for (const name in fields) api.setFieldValue(section, name, fields[name]);
    api.setApplicableSections([number]);
    api.fireSectionChange(section);
    api.setSignalStatus('ready');
};
</script>"""

CHOOSE_SALE = "sale => choose('usnat', 7, {SaleOptOutNotice: 1, SaleOptOut: sale, SharingOptOutNotice: 1, SharingOptOut: 2})"


@dataclass(frozen=True)
class Banner:
    """`body`: the page's part. `accept`, `revoke`: what the person does, there and on the same page after a reload."""

    source: str
    body: str
    accept: Callable[[Page], object]
    revoke: Callable[[Page], object]


def in_preferences(page: Page) -> None:
    page.evaluate("CookieConsent.showPreferences()")
    page.click(".pm [data-role=necessary]")


def in_modal(page: Page) -> None:
    page.evaluate("klaro.show()")
    page.click("label[for=purpose-item-analytics]")
    page.click(".klaro .cm-btn-accept")


def clicked(button: str, state: str) -> Callable[[Page], object]:
    """Until it takes: tarteaucitron binds its buttons half a second after it shows them."""
    return lambda page: page.wait_for_function(
        f"() => {{ document.querySelector('{button}')?.click(); return tarteaucitron.state.visitorid === {state}; }}"
    )


BANNERS = {
    "vanilla-cookieconsent": Banner("vanilla-cookieconsent", VANILLA, lambda page: page.click(".cm [data-role=all]"), in_preferences),
    "klaro": Banner("klaro", KLARO, lambda page: page.click(".klaro .cm-btn-success"), in_modal),
    "tarteaucitron": Banner(
        "tarteaucitron", TARTEAUCITRON, clicked("#tarteaucitronPersonalize2", "true"), clicked("#visitoridDenied", "false")
    ),
    "cookieconsent, revoked": Banner("osano", OSANO, lambda page: page.click(".cc-allow"), lambda page: page.click(".cc-revoke")),
    "cookieconsent, denied": Banner(
        "osano", OSANO, lambda page: page.click(".cc-allow"), lambda page: page.evaluate("popup.setStatus('deny')")
    ),
    "gpp with a TC string": Banner(
        "gpp",
        GPP,
        lambda page: page.evaluate("choose('tcfeuv2', 2, {...TC, PurposeConsents: [...Array(24).keys()].map(at => at === 0 || at === 7)})"),
        lambda page: page.evaluate("choose('tcfeuv2', 2, {...TC, PurposeConsents: Array(24).fill(false)})"),
    ),
    "tcf": Banner("tcf", TCF, lambda page: page.evaluate("choose(true)"), lambda page: page.evaluate("choose(false)")),
}


def ours(profile: BrowserContext) -> list[Any]:
    """The service's own cookies, which a banner's are beside."""
    return [cookie for cookie in profile.cookies() if cookie["name"] in {"__Host-visitor", "__Host-visitor-choice"}]


def found_by(service: Service, email: str) -> list[str]:
    return [one["visitor"] for one in service.call("/v1/lookups", {"email": email})[1]["visitors"]]


def granted(page: Page) -> str:
    assert eventually(lambda: told(page)[1] == "persistent"), told(page)
    return str(told(page)[0])


@pytest.mark.parametrize("name", BANNERS)
def test_a_person_accepts_comes_back_and_changes_its_mind(profile: BrowserContext, shop_pages: Pages, service: Service, name: str) -> None:
    banner, path = BANNERS[name], name.replace(",", "").replace(" ", "-")
    email = f"{path}@example.com"
    page, errors = open_page(profile, shop_pages, f"/{path}", f"<body>{banner.body}" + CONFIG % "")
    assert told(page)[1] == "cookieless"
    assert ours(profile) == []

    banner.accept(page)
    visitor = granted(page)
    [cookie] = ours(profile)
    assert (cookie["name"], cookie["httpOnly"], cookie["secure"]) == ("__Host-visitor", True, True)
    proof = service.call("/v1/verifications", {"token": cookie["value"]})[1]
    assert (proof["valid"], proof["visitor"], proof["mode"]) == (True, visitor, "persistent")
    assert service.call("/v1/links", {"email": email, "token": cookie["value"]})[0] == 200
    assert found_by(service, email) == [visitor]
    page.reload()
    assert told(page) == [visitor, "persistent"]
    assert found_by(service, email) == [visitor]

    banner.revoke(page)
    assert eventually(lambda: told(page) == [None, "null"]), told(page)
    assert [cookie["name"] for cookie in ours(profile)] == ["__Host-visitor-choice"]
    assert found_by(service, email) == []
    page.reload()
    assert told(page) == [None, "null"]
    assert errors == []


def test_a_gpp_opt_out_of_sale_is_kept_and_is_no_word_on_storage(profile: BrowserContext, shop_pages: Pages, service: Service) -> None:
    page, errors = open_page(profile, shop_pages, "/gpp", f"<body>{GPP}" + CONFIG % "")
    visitor = told(page)[0]
    for sale, opted_out in ((2, False), (1, True)):
        with page.expect_response("**/v1/consents/gpp") as heard:
            page.evaluate(CHOOSE_SALE, sale)
        answer = heard.value.json()
        assert (answer["mode"], answer["visitor"], answer["sale_share_opt_out"]) == ("cookieless", visitor, opted_out)
    assert ours(profile) == []
    assert errors == []


def test_a_gpp_opt_out_of_sale_stands_beside_a_grant(profile: BrowserContext, shop_pages: Pages, service: Service) -> None:
    page, errors = open_page(profile, shop_pages, "/gpp", f"<body>{GPP}" + CONFIG % ", visitor: 'persistent'")
    visitor = granted(page)
    assert service.call("/v1/links", {"email": "gpp-sale@example.com", "visitor": visitor})[0] == 200
    with page.expect_response("**/v1/consents/gpp"):
        page.evaluate(CHOOSE_SALE, 1)
    assert told(page) == [visitor, "persistent"]
    [found] = service.call("/v1/lookups", {"email": "gpp-sale@example.com"})[1]["visitors"]
    assert (found["visitor"], found["sale_share_opt_out"]) == (visitor, True)
    assert errors == []
