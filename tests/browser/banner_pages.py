"""Pages with banners as their vendors document them: what each keeps, the event it tells, and three buttons that choose.

Hosted banners cannot be had here, so a few lines of our own stand for each: they keep the choice in the page's storage, put it where the
banner's documentation says that it can be read, and tell its event. The person's clicks are real.
"""

from dataclasses import dataclass

COMMON = """<script>
var at = Number(localStorage.getItem('at')) || 0;
function jar(name, value) { document.cookie = name + '=' + value + '; path=/; max-age=9999'; }
function event(name, detail) { return new CustomEvent(name, {detail: detail}); }
function choose(choice) {
    at = Date.now();
    localStorage.setItem('at', at);
    localStorage.setItem('choice', choice);
    hold(choice === 'yes', choice !== 'no');
    tell(choice === 'yes', choice !== 'no');
}
%s
addEventListener('DOMContentLoaded', function () {
    var choice = localStorage.getItem('choice');
    if (choice && window.repeat) repeat(choice === 'yes', choice !== 'no');
});
if (localStorage.getItem('choice')) hold(localStorage.getItem('choice') === 'yes', localStorage.getItem('choice') !== 'no');
</script>
<button id="yes" onclick="choose('yes')">yes</button> <button id="no" onclick="choose('no')">no</button>
<button id="part" onclick="choose('part')">only ads</button>"""


@dataclass(frozen=True)
class Emulated:
    """`script` defines `hold(ours, others)`, which puts the state where it can be read, `tell(ours, others)`, which tells what has just
    been chosen, and where the banner does so, `repeat(ours, others)`, which tells it at each load."""

    script: str

    @property
    def body(self) -> str:
        return COMMON % self.script


JSON_COOKIE = "function hold(ours, others) { jar('%s', encodeURIComponent(JSON.stringify(%s))); } function tell() { %s }"

EMULATED = {
    "axeptio": Emulated(
        """var sdks = [];
        function state(ours, others) { return {$$date: new Date(at).toISOString(), $$completed: true, visitor_id: ours, ads: others}; }
        function hold(ours, others) { jar('axeptio_cookies', encodeURIComponent(JSON.stringify(state(ours, others)))); }
        function tell(ours, others) { (window._axcb || []).forEach(function (go) {
            go({on: function (name, done) { if (name === 'cookies:complete') done(state(ours, others)); }}); }); }"""
    ),
    "borlabs": Emulated(
        JSON_COOKIE
        % (
            "borlabs-cookie",
            "{consents: Object.assign({essential: ['borlabs-cookie']}, ours && {statistics: ['ours']}, others && {marketing: ['ads']})}",
            "dispatchEvent(event('borlabs-cookie-consent-saved'));",
        )
    ),
    "c15t": Emulated(
        """function hold(ours, others) { jar('c15t', 'c.necessary:1,' + (ours ? 'c.measurement:1,' : '') +
            (others ? 'c.marketing:1,' : '') + 'i.t:' + at); } function tell() {}"""
    ),
    "complianz": Emulated(
        """function hold(ours, others) { jar('cmplz_banner-status', 'dismissed'); jar('cmplz_statistics', ours ? 'allow' : 'deny');
            jar('cmplz_marketing', others ? 'allow' : 'deny'); }
        function tell(ours, others) { [['functional', true], ['statistics', ours], ['marketing', others]].forEach(function (one) {
            var change = {category: one[0], region: 'eu', value: one[1] ? 'allow' : 'deny'};
            document.dispatchEvent(event('cmplz_status_change', change)); }); }"""
    ),
    "cookie-information": Emulated(
        JSON_COOKIE
        % (
            "CookieInformationConsent",
            """{timestamp: new Date(at).toISOString(),
                consents_approved: [].concat(ours ? 'cookie_cat_statistic' : [], others ? 'cookie_cat_marketing' : []),
                consents_denied: [].concat(ours ? [] : 'cookie_cat_statistic', others ? [] : 'cookie_cat_marketing')}""",
            "dispatchEvent(new Event('CookieInformationConsentGiven'));",
        )
        + " function repeat() { tell(); }"
    ),
    "cookiebot": Emulated(
        """function hold(ours, others) { window.Cookiebot = {hasResponse: true, consentUTC: new Date(at),
            consent: {method: 'explicit', statistics: ours, marketing: others}}; }
        function tell(ours, others) { dispatchEvent(new Event(others ? 'CookiebotOnAccept' : 'CookiebotOnDecline')); }
        function repeat(ours, others) { tell(ours, others); }"""
    ),
    "cookiefirst": Emulated(
        """function state(ours, others) { return {necessary: true, performance: ours, advertising: others,
            timestamp: Math.floor(at / 1000)}; }
        function hold(ours, others) { jar('cookiefirst-consent', encodeURIComponent(JSON.stringify(state(ours, others)))); }
        function tell(ours, others) { dispatchEvent(event('cf_consent', {necessary: true, performance: ours, advertising: others})); }"""
    ),
    "cookiehub": Emulated(
        """function hold(ours, others) { jar('cookiehub', btoa(JSON.stringify({answered: true, implicit: false, timestamp: at,
            allAllowed: ours && others, categories: [{id: 'analytics', value: ours}, {id: 'marketing', value: others}]}))); }
        function tell() {}"""
    ),
    "cookieyes": Emulated(
        """function hold(ours, others) { window.getCkyConsent = function () { return {activeLaw: 'gdpr', isUserActionCompleted: true,
            categories: {necessary: true, analytics: ours, advertisement: others}}; }; }
        function tell(ours, others) { var all = [['analytics', ours], ['advertisement', others]];
            function those(state) { return all.filter(function (one) { return one[1] === state; }).map(function (one) { return one[0]; }); }
            document.dispatchEvent(event('cookieyes_consent_update', {accepted: those(true), rejected: those(false)})); }"""
    ),
    "didomi": Emulated(
        """function hold(ours, others) { var on = [], off = [];
            (ours ? on : off).push('cookies', 'measure_content_performance');
            (others ? on : off).push('advertising');
            window.Didomi = {getUserStatus: function () { return {updated: new Date(at).toISOString(),
                purposes: {consent: {enabled: on, disabled: off}}, vendors: {consent: {enabled: [], disabled: []}}}; }}; }
        function tell() { (window.didomiEventListeners || []).forEach(function (one) {
            if (one.event === 'consent.changed') one.listener({}); }); }"""
    ),
    "google": Emulated(
        """window.dataLayer = window.dataLayer || [];
        function gtag() { dataLayer.push(arguments); }
        function update(ours, others) { gtag('consent', 'update', {analytics_storage: ours ? 'granted' : 'denied',
            ad_storage: others ? 'granted' : 'denied'}); }
        gtag('consent', 'default', {analytics_storage: 'granted', ad_storage: 'denied'});
        var hold = function () {}, tell = update;
        if (localStorage.getItem('choice')) update(localStorage.getItem('choice') === 'yes', localStorage.getItem('choice') !== 'no');"""
    ),
    "iubenda": Emulated(
        """window._iub = {csConfiguration: {callback: {}}};
        function state(ours, others) { return {timestamp: new Date(at).toISOString(), purposes: {1: true, 4: ours, 5: others}}; }
        function hold(ours, others) { jar('_iub_cs-1234567', encodeURIComponent(JSON.stringify(state(ours, others)))); }
        function tell(ours, others) { var go = _iub.csConfiguration.callback.onPreferenceExpressed; if (go) go(state(ours, others)); }"""
    ),
    "ketch": Emulated(
        """var listeners = [];
        window.ketch = function (on, name, go) { if (name === 'userConsentUpdated') listeners.push(go); };
        function hold(ours, others) { function one(on) { return {allowed: String(on), legalBasisCode: 'consent_optin'}; }
            jar('_swb_consent_', btoa(JSON.stringify({context: {source: 'banner'}, collectedAt: Math.floor(at / 1000),
                purposes: {analytics: one(ours), advertising: one(others)}}))); }
        function tell(ours, others) { listeners.forEach(function (go) { go({purposes: {analytics: ours, advertising: others}}); }); }"""
    ),
    "onetrust": Emulated(
        """function hold(ours, others) { jar('OptanonConsent', 'isGpcEnabled=0&datestamp=' + encodeURIComponent(new Date()) +
            '&interactionCount=1&groups=C0001%3A1%2CC0002%3A' + Number(ours) + '%2CC0004%3A' + Number(others));
            jar('OptanonAlertBoxClosed', new Date(at).toISOString()); }
        function tell(ours, others) { dispatchEvent(event('OneTrustGroupsUpdated', ['C0001'].concat(ours ? 'C0002' : []))); }
        function repeat(ours, others) { hold(ours, others); tell(ours, others); }"""
    ),
    "orejime": Emulated(
        """function hold(ours, others) { jar('orejime', encodeURIComponent(JSON.stringify({'visitor-id': ours, ads: others}))); }
        function tell() {}"""
    ),
    "osano": Emulated(
        """var listeners = [], saved;
        window.Osano = {cm: {addEventListener: function (name, go) {
            if (name === 'osano-cm-initialized') go(saved);
            if (name === 'osano-cm-consent-saved') listeners.push(go); }}};
        function word(on) { return on ? 'ACCEPT' : 'DENY'; }
        function hold(ours, others) { saved = {ESSENTIAL: 'ACCEPT', ANALYTICS: word(ours), MARKETING: word(others)}; }
        function tell() { listeners.forEach(function (go) { go(saved); }); }"""
    ),
    "own": Emulated(
        """var hold = function () {};
        function tell(ours) { Clerk('consent', ours ? 'granted' : 'refused'); }
        if (localStorage.getItem('choice')) tell(localStorage.getItem('choice') === 'yes');"""
    ),
    "react-cookie-consent": Emulated("function hold(ours) { jar('CookieConsent', ours); } function tell() {}"),
    "shopify": Emulated(
        """var state = {analytics: '', marketing: ''};
        window.Shopify = {customerPrivacy: {currentVisitorConsent: function () { return Object.assign({}, state); }}};
        function hold(ours, others) { state = {analytics: ours ? 'yes' : 'no', marketing: others ? 'yes' : 'no'}; }
        function tell() { document.dispatchEvent(event('visitorConsentCollected', {})); }"""
    ),
    "termly": Emulated(
        """var listeners = [], state;
        window.Termly = {on: function (name, go) { if (name === 'consent') { listeners.push(go); if (state) go({consentState: state}); } }};
        function hold(ours, others) { state = {essential: true, analytics: ours, advertising: others}; }
        function tell() { listeners.forEach(function (go) { go({consentState: state}); }); }"""
    ),
    "trustarc": Emulated(
        """function hold(ours, others) { jar('notice_behavior', 'expressed,eu');
            jar('notice_gdpr_prefs', [0].concat(ours ? 1 : [], others ? 2 : []).join() + ':');
            jar('notice_preferences', (others ? 2 : ours ? 1 : 0) + ':'); } function tell() {}"""
    ),
    "usercentrics": Emulated(
        """window.UC_UI = {isInitialized: function () { return true; }, getServicesBaseInfo: function () { return info; }};
        var info = [['essential', true], ['functional', false], ['marketing', false]].map(service('implicit'));
        function service(type) { return function (one) {
            return {categorySlug: one[0], consent: {status: one[1], history: [{type: type, status: one[1]}]}}; }; }
        function hold(ours, others) { info = [['essential', true], ['functional', ours], ['marketing', others]].map(service('explicit')); }
        function tell(ours, others) { dispatchEvent(event('UC_UI_CMP_EVENT', {source: 'SECOND_LAYER', type: 'SAVE'}));
            dispatchEvent(event('consent_status', {event: 'consent_status', type: 'explicit', action: 'onUpdateServices',
                ucCategory: {essential: true, functional: ours, marketing: others}})); }
        function repeat(ours, others) { dispatchEvent(event('consent_status', {event: 'consent_status', type: 'explicit',
            action: 'onInitialPageLoad', ucCategory: {essential: true, functional: ours, marketing: others}})); }"""
    ),
    "wordpress": Emulated(
        """function hold(ours, others) { jar('wp_consent_statistics', ours ? 'allow' : 'deny');
            jar('wp_consent_marketing', others ? 'allow' : 'deny'); }
        function tell(ours, others) { [['statistics', ours], ['marketing', others]].forEach(function (one) { var change = {};
            change[one[0]] = one[1] ? 'allow' : 'deny'; document.dispatchEvent(event('wp_listen_for_consent_change', change)); }); }"""
    ),
}
