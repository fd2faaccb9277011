// Banners: what each of them says, in its own words; the service decides what they mean. Each is heard in three ways: when it tells
// something, by what it keeps, and whenever it appears. A new banner is one entry of the table and one test page.
const LOOK_EACH = 1000, LOOK_AFTER = 200, RECENT = 5000;
const heard = {}, joined = {}, began = {}, seen = new WeakSet(), hooks = new WeakMap();
let ticks = 0, loaded = 0, gesture = { tick: -1, time: -RECENT }, framed = false;

// An entry may have: `events` of window or document, each telling `tell(event)`, or else its detail, about `part(detail)`; `kept()`, the
// decided state, null where nothing is decided, undefined where nobody knows yet; it is `polled` where events do not carry it; `join(say)`,
// true once it is joined; `entry(entry, say)`, for one of a data layer.
const TARTEAUCITRON = tag.tarteaucitron || 'visitorid';
const BANNERS = {
  tcf: {
    join: say => w.__tcfapi && (w.__tcfapi('addEventListener', 2, data => {
      const { tcString, gdprApplies, eventStatus } = Object(data);
      if (/^(tcloaded|useractioncomplete)$/.test(eventStatus)) say({ tcString, gdprApplies, eventStatus });
    }), true)
  },
  gpp: {
    join: say => w.__gpp && (w.__gpp('addEventListener', event => {
      const { gppString, applicableSections, signalStatus } = Object(event).pingData || {};
      if (signalStatus === 'ready') say({ gppString, applicableSections, signalStatus });
    }), true)
  },
  google: {
    entry: (entry, say) => {
      if (entry[0] === 'consent' && entry[1] === 'update') say({ action: 'update', state: entry[2] }, names(entry[2]));
    }
  },
  axeptio: {
    kept: () => cookies(/^axeptio_cookies$/),
    join: say => (w._axcb = w._axcb || []).push(sdk => {
      sdk.on('cookies:complete', choices => say({ event: 'cookies:complete', choices }));
    })
  },
  borlabs: { kept: () => cookies(/^borlabs-cookie$/), events: ['borlabs-cookie-consent-saved'], polled: true },
  c15t: { kept: () => cookies(/^c15t$/) },
  complianz: {
    kept: () => cookies(/^cmplz_/, found => Object.keys(found).some(name => /banner-status$/.test(name) && found[name] === 'dismissed')),
    events: ['cmplz_status_change'], part: detail => detail.category
  },
  'cookie-information': { kept: () => cookies(/^CookieInformationConsent$/), events: ['CookieInformationConsentGiven'], polled: true },
  cookiebot: {
    kept: () => {
      const { consent, hasResponse, consentUTC } = w.Cookiebot || {};
      return consent && (hasResponse ? { consent, hasResponse, consentUTC } : null);
    },
    events: ['CookiebotOnAccept', 'CookiebotOnDecline', 'CookiebotOnConsentReady'], polled: true
  },
  cookiefirst: {
    kept: () => cookies(/^cookiefirst-consent$/), events: ['cf_consent'], tell: event => ({ type: 'cf_consent', detail: event.detail })
  },
  cookiehub: { kept: () => cookies(/^cookiehub$/) },
  cookieyes: {
    kept: () => {
      const state = w.getCkyConsent ? w.getCkyConsent() : cookies(/^cookieyes-consent$/, found => /action(:|%3A)yes/.test(json(found)));
      return state ? state.isUserActionCompleted === false ? null : state : undefined;
    },
    events: ['cookieyes_consent_update']
  },
  didomi: {
    kept: () => {
      const didomi = w.Didomi, status = didomi && (didomi.getUserStatus || didomi.getCurrentUserStatus).call(didomi);
      if (!status || didomi.shouldConsentBeCollected && didomi.shouldConsentBeCollected()) return status && null;
      const asked = part => part && part.consent || part;
      return { ...status, purposes: asked(status.purposes), vendors: asked(status.vendors) };
    },
    join: say => (w.didomiEventListeners = w.didomiEventListeners || []).push({
      event: 'consent.changed', listener: () => say(BANNERS.didomi.kept(), 'kept')
    }),
    polled: true
  },
  iubenda: {
    kept: () => cookies(/^_iub_cs-s?\d+$/) || w._iub && w._iub.cs && w._iub.cs.consent || undefined,
    join: say => {
      const settings = w._iub && w._iub.csConfiguration, callback = settings && (settings.callback = settings.callback || {});
      return callback && after(callback, 'onPreferenceExpressed', preference => say(preference));
    }
  },
  ketch: {
    kept: () => cookies(/^(_swb_consent_|_ketch_consent_v1_)$/),
    join: say => w.ketch && (w.ketch('on', 'userConsentUpdated', ({ purposes }) => say({ event: 'userConsentUpdated', purposes })), true)
  },
  klaro: {
    kept: () => {
      const manager = w.klaro && w.klaro.getManager && w.klaro.getManager();
      return manager && (manager.confirmed ? { klaro: json(asked(manager, manager.consents)) } : null);
    },
    join: say => {
      const manager = w.klaro && w.klaro.getManager && w.klaro.getManager();
      return manager && (manager.watch({
        update: (_, type, data) => type === 'saveConsents' && say({ type, data: { ...data, consents: asked(manager, data.consents) } })
      }), true);
    }
  },
  onetrust: {
    kept: () => {
      const found = cookies(/^Optanon(Consent|AlertBoxClosed)$/, found => found.OptanonConsent && found.OptanonAlertBoxClosed);
      return found && { ...found, OptanonConsent: found.OptanonConsent.replace(/datestamp=[^&]*/, '') };
    },
    events: ['OneTrustGroupsUpdated', 'consent.onetrust'], polled: true
  },
  orejime: { kept: () => cookies(/^orejime$/) },
  osano: {
    kept: () => w.cookieconsent ? cookies(/^cookieconsent_status$/) : osano(),
    join: say => {
      const manager = w.Osano && w.Osano.cm, popup = w.cookieconsent && w.cookieconsent.Popup && w.cookieconsent.Popup.prototype;
      if (manager) manager.addEventListener('osano-cm-consent-saved', consent => say({ event: 'osano-cm-consent-saved', consent }));
      if (manager) manager.addEventListener('osano-cm-initialized', consent => compare('osano', consent ? { consent } : null));
      return manager || popup && after(popup, 'revokeChoice', () => say({ event: 'onRevokeChoice' })) &&
        after(popup, 'setStatus', function (status) { say({ event: 'onStatusChange', status, type: this.options.type }); });
    }
  },
  'react-cookie-consent': { kept: () => cookies(/^CookieConsent$/, found => /^(true|false)$/.test(found.CookieConsent)) },
  shopify: {
    kept: () => {
      const privacy = w.Shopify && w.Shopify.customerPrivacy, state = privacy && privacy.currentVisitorConsent();
      return state && (Object.keys(state).some(name => /^(yes|no)$/.test(state[name])) ? state : null);
    },
    events: ['visitorConsentCollected'], polled: true
  },
  tarteaucitron: {
    kept: () => {
      const tool = w.tarteaucitron, found = tool && RegExp('!' + TARTEAUCITRON + '=(true|false)').exec(tool.cookie.read());
      return found && { tarteaucitron: found[0] };
    },
    events: [TARTEAUCITRON + '_allowed', TARTEAUCITRON + '_disallowed'],
    polled: true
  },
  termly: {
    join: say => w.Termly && w.Termly.on && (w.Termly.on('consent', ({ consentState }) => say({ event: 'consent', consentState })), true)
  },
  trustarc: { kept: () => cookies(/^notice_(gdpr_prefs|preferences|behavior)$/, found => /pref/.test(names(found))) },
  usercentrics: {
    kept: usercentrics,
    events: ['UC_UI_CMP_EVENT', 'consent_status', 'ucEvent'],
    tell: event => usercentricsSaid(event.detail),
    entry: (entry, say) => say(entry.event === 'consent_status' && usercentricsSaid(entry))
  },
  'vanilla-cookieconsent': {
    kept: () => {
      const library = w.CookieConsent, cookie = library && library.getCookie && library.getCookie();
      if (!library) return w.initCookieConsent && cookies(/^cc_cookie$/, found => /level/.test(json(found)));
      const valid = cookie && cookie.consentTimestamp && (!library.validConsent || library.validConsent());
      return valid ? { cookie: optional(cookie) } : null;
    },
    events: ['cc:onFirstConsent', 'cc:onConsent', 'cc:onChange'], polled: true
  },
  wordpress: { kept: () => cookies(/^wp_consent_[a-z-]+$/), events: ['wp_listen_for_consent_change'], part: names }
};

function names(object) { return Object.keys(Object(object)).sort().join(); }

// The cookies of a banner by name, null where there are none, or where they are no choice yet.
function cookies(own, decided) {
  const found = {};
  Reflect.get(Document.prototype, 'cookie', d).split('; ').forEach(one => {
    const name = one.split('=')[0];
    if (own.test(name)) found[name] = one.slice(name.length + 1);
  });
  return names(found) && (!decided || decided(found)) ? found : null;
}

function after(object, name, go) {
  const before = object[name];
  object[name] = function () {
    const result = before && before.apply(this, arguments);
    attempt(() => go.apply(this, arguments));
    return result;
  };
  return true;
}

// What nobody can refuse is no consent: a required service follows the others, and is left out where there are none.
function asked(manager, consents) {
  const required = (manager.config.services || manager.config.apps || []).filter(one => one.required).map(one => one.name);
  const free = Object.keys(consents).filter(name => !required.includes(name)), states = { ...consents };
  if (!free.some(name => states[name])) required.forEach(name => { if (free.length) states[name] = false; else delete states[name]; });
  return states;
}

function optional(cookie) {
  const categories = attempt(() => w.CookieConsent.getConfig('categories')) || {};
  const free = cookie.categories.filter(name => !(categories[name] || {}).readOnly);
  return free.length ? cookie : { ...cookie, categories: free };
}

// Before a choice it has defaults, and shows its dialog where it asks: only a refusal is read.
function osano() {
  const manager = w.Osano && w.Osano.cm, state = manager && manager.getConsent && manager.getConsent(), refused = {};
  if (!manager) return undefined;
  if (!state || all('.osano-cm-dialog:not(.osano-cm-dialog--hidden)')[0]) return null;
  Object.keys(state).forEach(name => { if (state[name] === 'DENY') refused[name] = 'DENY'; });
  return names(refused) ? { consent: refused } : null;
}

function usercentricsSaid(said) {
  const status = said && said.detail || said;
  return status && (status.type === 'explicit' || /^(ACCEPT|DENY)_ALL$/.test(status.type)) ? status : null;
}

function usercentrics() {
  if (!w.UC_UI || !w.UC_UI.isInitialized()) return undefined;
  const ucCategory = {}, services = w.UC_UI.getServicesBaseInfo();
  services.forEach(({ categorySlug: name, consent }) => {
    ucCategory[name] = name in ucCategory && ucCategory[name] !== consent.status ? null : consent.status;
  });
  const chosen = services.every(({ consent }) => (consent.history.slice(-1)[0] || {}).type === 'explicit');
  return chosen ? { type: 'explicit', action: 'kept', ucCategory } : null;
}

// A trusted gesture on this page that came after the source was first heard makes a word one that is said now, if it is another one than
// before; or the same, right after the gesture, unless that led to another page, which may have made the banner repeat itself. A source's
// first word counts so only right after a gesture on a page that has its scripts, and never what a banner keeps as it is first seen. What
// is kept changes in all tabs at once.
function isSaidNow(source, part, text, known) {
  const inFrame = framed && w.navigator.userActivation && w.navigator.userActivation.isActive;
  const since = known ? known.tick : Math.max(began[source] || 0, source === OWN ? 0 : loaded);
  const recent = inFrame || w.performance.now() - gesture.time < RECENT, differs = known && known.text !== text;
  const anew = part === 'kept' ? differs && recent : differs || recent && !(known && gesture.leads);
  return !!(inFrame || gesture.tick > since) && anew;
}

function hear(source, said, part) {
  const text = said && json(said), key = source + (part = part || ''), known = heard[key];
  if (!text) return;
  const now = isSaidNow(source, part, text, known);
  heard[key] = { text, tick: known ? known.tick : ++ticks };
  deliver(source, part, text, now);
}

function say(source) { return (said, part) => attempt(() => hear(source, said, part)); }

// Where a banner tells its choices in another form, what it keeps is heard once; else it is compared each time.
function lookAtKept(source, { kept, polled, events, join }) {
  if (!heard[source + 'kept'] || polled || !events && !join) compare(source, kept());
}

function compare(source, state) {
  const key = source + 'kept', text = state ? json(state) : '';
  if (state !== undefined && !heard[key]) heard[key] = { text: '', tick: ++ticks };
  if (text && heard[key].text !== text) hear(source, state, 'kept');
  else if (state === null) heard[key].text = '';
}

function look() {
  if (!config.key) return;
  Object.keys(BANNERS).forEach(source => {
    const { join, kept } = BANNERS[source];
    if (join && !joined[source]) {
      began[source] = ++ticks;
      joined[source] = attempt(() => join(say(source)));
    }
    if (kept) attempt(() => lookAtKept(source, BANNERS[source]));
  });
  ['dataLayer'].concat(config.data_layer || []).forEach(name => attempt(() => lookAtLayer(w[name] = w[name] || [])));
}

// Others put their own `push` in place of this one, or another list in place of the layer.
function lookAtLayer(layer) {
  if (!Array.isArray(layer)) return;
  const hook = hooks.get(layer), push = layer.push;
  if (!hook) loaded = ++ticks;
  layer.forEach(read);
  if (push === hook) return;
  layer.push = function () {
    [].forEach.call(arguments, read);
    return push.apply(layer, arguments);
  };
  hooks.set(layer, layer.push);
}

function read(entry) {
  if (!entry || typeof entry !== 'object' || seen.has(entry)) return;
  seen.add(entry);
  Object.keys(BANNERS).forEach(source => { if (BANNERS[source].entry) attempt(() => BANNERS[source].entry(entry, say(source))); });
}

// Before the page's own listeners: a banner that has just appeared is joined before somebody chooses in it.
function feel(event) {
  if (!event.isTrusted || event.type === 'keydown' && !/^( |Enter)$/.test(event.key)) return;
  look();
  const link = event.composedPath().find(each => each.localName === 'a');
  gesture = { tick: ++ticks, time: w.performance.now(), leads: !!link && /^(?!#|javascript:)./i.test(attribute(link, 'href') || '') };
  setTimeout(look, LOOK_AFTER);
}

function watchBanners() {
  Object.keys(BANNERS).forEach(source => {
    const { events = [], tell, part, polled, kept } = BANNERS[source];
    listen(w, events, event => {
      const said = tell ? tell(event) : event.detail;
      if (polled) hear(source, kept(), 'kept'); else hear(source, said, part && part(said));
    });
  });
  listen(w, ['load'], event => {
    if (event.target.localName === 'script') loaded = ++ticks;
    look();
  });
  setInterval(() => { if (!d.hidden) look(); }, LOOK_EACH);
  look();
}

function watchGestures() {
  listen(w, ['pointerdown', 'click', 'touchend', 'keydown'], feel);
  listen(w, ['blur'], () => { framed = framed || Object(d.activeElement).tagName === 'IFRAME'; });
}
