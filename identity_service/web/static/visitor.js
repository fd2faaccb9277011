/* Visitor snippet. One script tag gives the page its visitor ID and its tracking calls; nothing is kept on the device but the signed
   cookie that the service sets after consent. Documentation: /docs and the README of the visitor identity service. */
(function (w, d) {
  'use strict';
  var TIMEOUT = 3000, RETRIES = [0, 500, 1500, 4000], OVERRIDE = 'clerk_visitor', OWN = 'own', REMEMBERED = 'remembered';
  var FIRST_WAIT = 1000, LONGEST_WAIT = 30000, LONGEST_ASKED = 3600000, MOST_TRIES = 10;
  /* An image or form named currentScript, as a review may hold, stands in the script's place; calls would go to its address. */
  var script = d.currentScript instanceof w.HTMLScriptElement ? d.currentScript : d.querySelector('script[src*="visitor.js"]');
  var base = new URL('.', script ? script.src : w.location.href).href;
  var global = (script && script.dataset.global) || 'Clerk';
  var config = {}, identity = null, waiting = [], debugging = false, clicksBound = false;
  var turns = [], busy = false, tabs = null, away = false;
  /* What must not get lost, until the service answered it: each has a state, `idle` while it waits for its next try, `queued` or `sent`. */
  var choices = [], calls = [];

  function log() {
    if (debugging) console.log.apply(console, ['[Clerk]'].concat([].slice.call(arguments)));
  }

  function attempt(action) {
    try { return action(); } catch (error) { log('error', error); }
  }

  function warn() {
    console.warn.apply(console, ['[Clerk]'].concat([].slice.call(arguments)));
  }

  /* text/plain spares the preflight; the service reads JSON by its content. Never rejects: a page must not break over tracking. `retry`:
     the service asks to repeat, or nobody knows whether it heard the call; `wait`: the milliseconds that it asks for. */
  function post(path, body) {
    var result = { answer: { status: 'error', error: 'unreachable' }, retry: true, wait: 0 };
    var abort = w.AbortController ? new AbortController() : null;
    var timer = setTimeout(function () { if (abort) abort.abort(); }, TIMEOUT);
    return fetch(base + path, {
      method: 'POST', credentials: 'include', keepalive: true, headers: { 'content-type': 'text/plain' },
      body: JSON.stringify(body), signal: abort && abort.signal
    }).then(function (response) {
      result.retry = response.status === 429 || response.status >= 500 || response.ok;
      result.wait = 1000 * response.headers.get('retry-after') || 0;
      return response.json().then(function (answer) {
        if (response.ok && ('mode' in answer || 'status' in answer)) result.retry = false;
        result.answer = answer;
      });
    }).catch(function (error) { log('error', path, String(error)); }).then(function () {
      clearTimeout(timer);
      return result;
    });
  }

  function override() {
    return attempt(function () {
      var typed = new URLSearchParams(w.location.search).get(OVERRIDE);
      if (typed) w.sessionStorage.setItem(OVERRIDE, typed);
      return w.sessionStorage.getItem(OVERRIDE);
    });
  }

  function about(extra) {
    var body = { key: config.key };
    if ('visitor' in config) body.visitor = config.visitor;
    if (identity && identity.token) body.token = identity.token;
    for (var name in extra) body[name] = extra[name];
    return body;
  }

  function take(answer) {
    if (!answer || !('mode' in answer)) {
      log('error', answer && (answer.detail || answer.error));
      answer = identity || { visitor: null, mode: 'unknown', token: null, decision: { reason: 'unreachable' } };
    }
    identity = answer;
    log('visitor', identity.visitor, identity.mode, identity.decision.reason);
    waiting.splice(0).forEach(function (go) { go(); });
    return identity;
  }

  /* One after the other: a grant that is overtaken by the refusal after it would stand. A page that goes away sends what is left. */
  function inTurn(go) {
    turns.push(go);
    next();
  }

  function next() {
    var go = config.key && !busy && turns.shift();
    if (!go) return;
    busy = true;
    go().then(release, release);
  }

  function release() {
    busy = false;
    next();
  }

  function enqueue(one) {
    clearTimeout(one.timer);
    one.state = 'queued';
    one.start();
  }

  function hurry(list) {
    list.forEach(function (one) { if (one.state === 'idle') enqueue(one); });
  }

  function send(one) {
    clearTimeout(one.timer);
    one.state = 'sent';
    one.tries += 1;
    return post(one.path, one.body()).then(function (result) {
      if (result.retry && one.tries < one.most) later(one, result.wait); else one.done(result.answer);
    });
  }

  function later(one, asked) {
    var wait = Math.min(FIRST_WAIT * Math.pow(2, one.tries - 1), LONGEST_WAIT);
    if (one.replaced) return;
    one.state = 'idle';
    one.timer = setTimeout(function () { enqueue(one); }, Math.max(wait, Math.min(asked, LONGEST_ASKED)));
  }

  function without(list, one) {
    return list.filter(function (other) { return other !== one; });
  }

  function identify() {
    identity = null;
    inTurn(function () { return post('v1/visitors', about({})).then(function (result) { take(result.answer); }); });
  }

  /* Another tab's choice may stand against one that this tab is about to tell: the same said again after it is a choice of its own. */
  function askAnew() {
    choices.forEach(function (one) { one.overheard = true; });
    identify();
  }

  /* Other tabs ask anew when this one's choice has changed; no ID is told to them. Closed while the page is away, since an open channel
     keeps it out of the back-forward cache of some browsers. */
  function joinTabs() {
    tabs = attempt(function () { return w.BroadcastChannel && new BroadcastChannel('clerk_visitor'); });
    if (tabs) tabs.onmessage = askAnew;
  }

  function tellTabs() {
    if (tabs) attempt(function () { tabs.postMessage('changed'); });
  }

  function ready(go) {
    if (identity) go(); else waiting.push(go);
  }

  function named() {
    var typed = override();
    if (typed) return { clerk_visitor: typed };
    if (!identity || identity.mode === 'unknown') return {};
    return { visitor: identity.token || identity.visitor };
  }

  /* Waits until the visitor is known; a sale that still waits as the page goes away is sent without one. */
  function call(endpoint, args, done) {
    var kept = /^log\/(sale|email)$/.test(endpoint), text = JSON.stringify(args || {});
    var one = { path: 'v2/' + endpoint, tries: 0, most: kept ? MOST_TRIES : 1 };
    one.start = function () { ready(function () { if (one.state === 'queued') send(one); }); };
    one.body = function () {
      var body = { key: config.key };
      [named(), JSON.parse(text)].forEach(function (part) { for (var name in part) body[name] = part[name]; });
      log(endpoint, 'visitor', identity && identity.visitor, 'labels', body.labels);
      return body;
    };
    one.done = function (answer) {
      calls = without(calls, one);
      if (answer.status !== 'ok') log('error', endpoint, answer.error || answer.detail);
      if (done) attempt(function () { done(answer); });
    };
    if (kept) calls.push(one);
    enqueue(one);
  }

  /* `part`: what a choice is about where its source tells one part at a time; a newer one says nothing of the other parts. */
  function choice(source, text, part) {
    var one = { path: 'v1/consents' + (source === OWN ? '' : '/' + source), tries: 0, most: Infinity, state: 'idle' };
    one.source = source;
    one.text = text;
    one.part = part;
    one.since = w.performance.now();
    one.start = function () { inTurn(sendOldest); };
    one.acted = acted();
    one.body = function () {
      var body = about(JSON.parse(text));
      if (!body.said && one.acted !== undefined) body.said = one.acted ? 'now' : REMEMBERED;
      if (one.tries > 1) body.age_ms = Math.round(w.performance.now() - one.since);
      return body;
    };
    one.done = function (answer) {
      var changed = !identity || identity.visitor !== answer.visitor;
      choices = without(choices, one);
      if (!('mode' in answer)) return log('error', one.path, answer.detail || answer.error);
      take(answer);
      if (changed) tellTabs();
    };
    return one;
  }

  /* Until somebody has clicked or typed on this page, what a banner says is what it kept: it must not lift a refusal. */
  function acted() {
    var activation = w.navigator.userActivation;
    return activation ? activation.hasBeenActive : undefined;
  }

  function sendOldest() {
    var one = choices.filter(function (each) { return each.state === 'queued'; })[0];
    return one ? send(one) : Promise.resolve();
  }

  function tell(source, event, part) {
    var text = attempt(function () { return JSON.stringify(event); }), last = choices[choices.length - 1];
    if (!event || !text) return;
    log('consent', source);
    if (last && !last.overheard && last.source === source && last.text === text) last.since = w.performance.now();
    else if (event.said !== REMEMBERED || !choices.some(function (one) { return one.source === source; })) {
      replace(choice(source, text, part));
    }
    hurry(choices);
  }

  function replace(newer) {
    choices = choices.filter(function (one) {
      one.replaced = one.source === newer.source && one.part === newer.part;
      return !one.replaced;
    }).concat(newer);
  }

  /* Every banner tells its decided choices in its own way; the service decides what they mean. Each returns true once it is attached. */
  var BANNERS = {
    tcf: function (say) {
      return w.__tcfapi && (w.__tcfapi('addEventListener', 2, function (data, ok) {
        if (ok && /^(tcloaded|useractioncomplete)$/.test(data.eventStatus))
          say({ tcString: data.tcString, gdprApplies: data.gdprApplies, eventStatus: data.eventStatus });
      }), true);
    },
    gpp: function (say) {
      return w.__gpp && (w.__gpp('addEventListener', function (event) {
        var ping = event && event.pingData;
        if (ping && ping.signalStatus === 'ready')
          say({ gppString: ping.gppString, applicableSections: ping.applicableSections, signalStatus: 'ready' });
      }), true);
    },
    google: function (say) {
      return onLayer(function (entry) {
        if (entry[0] === 'consent' && entry[1] === 'update') say({ action: 'update', state: entry[2] }, names(entry[2]));
      });
    },
    cookiebot: function (say) {
      function read() {
        var told = w.Cookiebot, at = told.consentUTC && attempt(function () { return new Date(told.consentUTC).toISOString(); });
        say({ consent: told.consent, hasResponse: told.hasResponse, consentUTC: at });
      }
      return heard(w, 'CookiebotOnAccept')(read) && heard(w, 'CookiebotOnDecline')(read);
    },
    onetrust: kept('OneTrustGroupsUpdated', /^Optanon(Consent|AlertBoxClosed)=/),
    'cookie-information': kept('CookieInformationConsentGiven', /^CookieInformationConsent=/),
    borlabs: kept('borlabs-cookie-consent-saved', /^borlabs-cookie=/),
    cookiefirst: function (say) {
      return heard(w, 'cf_consent')(function (told) { say({ type: 'cf_consent', detail: told }); });
    },
    complianz: function (say) {
      return heard(d, 'cmplz_status_change')(function (told) { say(told, told.category); });
    },
    axeptio: function (say) {
      (w._axcb = w._axcb || []).push(function (sdk) {
        sdk.on('cookies:complete', function (choices) { say({ event: 'cookies:complete', choices: choices }); });
      });
      return true;
    },
    ketch: function (say) {
      return w.ketch && (w.ketch('on', 'userConsentUpdated', function (told) {
        say({ event: 'userConsentUpdated', purposes: told.purposes });
      }), true);
    },
    termly: function (say) {
      return w.Termly && w.Termly.on && (w.Termly.on('consent', function (told) {
        say({ event: 'consent', consentState: told.consentState });
      }), true);
    },
    usercentrics: function (say) {
      function status(told) { if (told && told.type === 'explicit') say(told, 'status'); }
      function entry(told) { if (told && told.event === 'consent_status') status(told.detail || told); }
      heard(w, 'UC_UI_CMP_EVENT')(function (told) { if (told && /^(ACCEPT|DENY)_ALL$/.test(told.type)) say(told); });
      heard(w, 'consent_status')(status);
      heard(w, 'ucEvent')(entry);
      return onLayer(entry);
    },
    cookieyes: heard(d, 'cookieyes_consent_update'),
    wordpress: function (say) {
      return heard(d, 'wp_listen_for_consent_change')(function (told) { say(told, names(told)); });
    },
    shopify: function (say) {
      d.addEventListener('visitorConsentCollected', function () { say(w.Shopify.customerPrivacy.currentVisitorConsent()); });
      return true;
    },
    didomi: function (say) {
      (w.didomiEventListeners = w.didomiEventListeners || []).push({
        event: 'consent.changed', listener: function () { say(w.Didomi.getUserStatus()); }
      });
      return true;
    },
    iubenda: function (say) {
      var settings = w._iub && w._iub.csConfiguration;
      if (!settings) return false;
      var callback = settings.callback = settings.callback || {}, before = callback.onPreferenceExpressed;
      callback.onPreferenceExpressed = function (preference) { say(preference); return before && before.apply(this, arguments); };
      return true;
    },
    osano: function (say) {
      var manager = w.Osano && w.Osano.cm, popup = w.cookieconsent && w.cookieconsent.Popup && w.cookieconsent.Popup.prototype;
      if (popup) {
        after(popup, 'setStatus', function (status) { say({ event: 'onStatusChange', status: status, type: this.options.type }); });
        after(popup, 'revokeChoice', function () { say({ event: 'onRevokeChoice' }); });
      }
      return popup || manager && (manager.addEventListener('osano-cm-consent-saved', function (change) {
        say({ event: 'osano-cm-consent-saved', consent: change });
      }), true);
    },
    klaro: function (say) {
      var manager = w.klaro && w.klaro.getManager && w.klaro.getManager();
      return manager && (manager.watch({ update: function (_, type, data) {
        if (type === 'saveConsents') say({ type: type, data: data });
      } }), true);
    },
    tarteaucitron: function (say) {
      var key = (script && script.dataset.tarteaucitron) || 'visitorid';
      ['_allowed', '_disallowed'].forEach(function (suffix) {
        d.addEventListener(key + suffix, function () { say({ type: key + suffix }); });
      });
      return true;
    },
    'vanilla-cookieconsent': function (say) {
      ['cc:onFirstConsent', 'cc:onChange'].forEach(function (name) {
        heard(w, name)(function (told) { say({ cookie: told.cookie }); });
      });
      heard(w, 'cc:onConsent')(function (told) { say({ cookie: told.cookie, said: REMEMBERED }); });  /* at each load, too */
      ready(function () {  /* a choice that was told before this script listened */
        var library = identity.decision.reason === 'no_signal' && w.CookieConsent, held = library && library.getCookie();
        var valid = held && held.consentTimestamp && (!library.validConsent || library.validConsent());
        if (valid) say({ cookie: held, said: REMEMBERED });
      });
      return true;
    }
  };

  function heard(target, name) {
    return function (say) {
      target.addEventListener(name, function (event) { attempt(function () { say(event.detail); }); });
      return true;
    };
  }

  /* A banner whose event says nothing: what it keeps in its cookies does. */
  function kept(name, own) {
    return function (say) {
      w.addEventListener(name, function () {
        var found = {};
        d.cookie.split('; ').forEach(function (one) {
          if (own.test(one)) found[one.split('=')[0]] = one.slice(one.indexOf('=') + 1);
        });
        say(found);
      });
      return true;
    };
  }

  function names(object) { return Object.keys(Object(object)).sort().join(); }

  function onLayer(go) {
    var layer = w.dataLayer = w.dataLayer || [], push = layer.push;
    function read(entry) { if (entry) attempt(function () { go(entry); }); }
    layer.forEach(read);
    layer.push = function () { [].forEach.call(arguments, read); return push.apply(layer, arguments); };
    return true;
  }

  function after(object, name, go) {
    var before = object[name];
    object[name] = function () {
      var result = before.apply(this, arguments);
      go.apply(this, arguments);
      return result;
    };
  }

  function watchBanners() {
    var open = Object.keys(BANNERS);
    RETRIES.forEach(function (delay) {
      setTimeout(function () {
        open = open.filter(function (source) {
          return !attempt(function () {
            return BANNERS[source](function (event, part) { attempt(function () { tell(source, event, part); }); });
          });
        });
      }, delay);
    });
  }

  function labelsOf(element) {
    var holder = closest(element, '[data-labels]'), text = holder && Element.prototype.getAttribute.call(holder, 'data-labels');
    if (!text) return undefined;
    return text.charAt(0) === '[' ? attempt(function () { return JSON.parse(text); }) : [text];
  }

  /* A form's field may be named like a member of every element, and stands in its place. */
  function closest(element, selector) { return Element.prototype.closest.call(element, selector); }

  function clicked(target) {
    var element = closest(target, '[data-clerk-product-id]');
    if (!element) return;
    var id = element.dataset.clerkProductId;
    call('log/click', { product: /^\d{1,15}$/.test(id) ? Number(id) : id, labels: labelsOf(element), api: element.dataset.api });
  }

  function bindClicks() {
    if (clicksBound) return;
    clicksBound = true;
    d.addEventListener('click', function (event) { attempt(function () { clicked(event.target); }); }, true);
  }

  function sendElements() {
    if (script && script.dataset.markup === 'off') return;
    [].forEach.call(d.querySelectorAll('.clerk[data-api="log/sale"]:not([data-sent])'), function (element) {
      attempt(function () { sendElement(element); });
    });
  }

  function sendElement(element) {
    var data = element.dataset, args = { markup: true };
    element.setAttribute('data-sent', '');
    ['sale', 'email', 'customer'].forEach(function (name) { if (data[name]) args[name] = data[name]; });
    args.products = attempt(function () { return JSON.parse(data.products); }) || data.products;
    call('log/sale', args);
  }

  function onReady(go) {
    if (d.readyState === 'loading') d.addEventListener('DOMContentLoaded', go); else go();
  }

  var COMMANDS = {
    config: function (changes) {
      var started = !!config.key, visitor = JSON.stringify(config.visitor);
      for (var name in changes) config[name] = changes[name];
      if (!config.key) return;
      if (!started) { override(); watchBanners(); bindClicks(); onReady(sendElements); joinTabs(); }
      if (started && visitor === JSON.stringify(config.visitor)) return;
      identify();
      if (started) ready(tellTabs);
    },
    call: function (endpoint, args, done) { call(endpoint, args, done); },
    click: function (product, labels, api) {
      call('log/click', typeof product === 'object' ? product : { product: product, labels: labels, api: api });
    },
    cart: function (action, products) { basket(action, products); },
    basket: function (action, products) { basket(action, products); },
    consent: function (told) {
      if (told === 'granted' || told === 'refused') tell(OWN, { consent: told });
      else if (told && typeof told === 'object') tellPurposes(told);
      else warn('consent takes granted, refused or an object of purposes, not', told);
    },
    visitor: function (done) { ready(function () { attempt(function () { done(identity.visitor, identity.mode); }); }); },
    debug: function () { debugging = true; log('debug', config.key ? 'key set' : 'no key', identity && identity.visitor, identity && identity.mode); }
  };

  function basket(action, products) {
    var list = [].concat(products === undefined ? [] : products);
    if (action === 'set') call('log/basket/set', { products: list });
    else if (/^(add|remove|update)$/.test(action)) call('log/cart/' + action, { products: list });
  }

  function tellPurposes(told) {
    var whole = {}, purposes = {}, said = told.purposes || told, name;
    if (told.purposes) for (name in told) whole[name] = told[name];
    for (name in said) purposes[name] = said[name] === true ? 'granted' : said[name] === false ? 'refused' : said[name];
    whole.purposes = purposes;
    tell(OWN, { consent: whole }, names(purposes));
  }

  function run(args) {
    var command = Object.prototype.hasOwnProperty.call(COMMANDS, args[0]) && COMMANDS[args[0]];
    if (command) attempt(function () { command.apply(null, [].slice.call(args, 1)); });
    else warn('unknown command', args[0]);
  }

  /* What was sent and has no answer yet is on its way: its call outlives the page. */
  function sendAll() {
    if (!config.key) return;
    hurry(choices);
    turns.splice(0).forEach(function (go) { go(); });
    calls.forEach(function (one) { if (one.state !== 'sent') send(one); });
  }

  w.addEventListener('online', function () {
    hurry(choices);
    hurry(calls);
  });

  w.addEventListener('pagehide', function (event) {
    away = event.persisted;
    sendAll();
    if (tabs) tabs.close();
    tabs = null;
  });

  /* A page in the back-forward cache may hold an ID that is withdrawn meanwhile. It is forgotten once the page's own pagehide listeners
     have run, so that none of its pageshow listeners finds it. */
  d.addEventListener('visibilitychange', function () { if (away) identity = null; });
  w.addEventListener('pageshow', function (event) {
    away = false;
    if (event.persisted && config.key) { joinTabs(); askAnew(); }
  });

  var queue = w.__clerk_q || [];
  w[global] = function () { run(arguments); };
  w.__clerk_q = { push: run };
  [].forEach.call(queue, run);
})(window, document);
