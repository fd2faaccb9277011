/* Visitor snippet. One script tag gives the page its visitor ID and its tracking calls; nothing is kept on the device but the signed
   cookie that the service sets after consent. Documentation: /docs and the README of the visitor identity service. */
(function (w, d) {
  'use strict';
  var TIMEOUT = 3000, RETRIES = [0, 500, 1500, 4000], OVERRIDE = 'clerk_visitor';
  /* An image or form named currentScript, as a review may hold, stands in the script's place; calls would go to its address. */
  var script = d.currentScript instanceof w.HTMLScriptElement ? d.currentScript : d.querySelector('script[src*="visitor.js"]');
  var base = new URL('.', script ? script.src : w.location.href).href;
  var global = (script && script.dataset.global) || 'Clerk';
  var config = {}, identity = null, waiting = [], sent = {}, debugging = false, clicksBound = false;
  var turns = [], busy = false, tabs = null, away = false;

  function log() {
    if (debugging) console.log.apply(console, ['[Clerk]'].concat([].slice.call(arguments)));
  }

  function attempt(action) {
    try { return action(); } catch (error) { log('error', error); }
  }

  /* text/plain spares the preflight; the service reads JSON by its content. Never rejects: a page must not break over tracking. */
  function post(path, body) {
    var abort = w.AbortController ? new AbortController() : null;
    var timer = setTimeout(function () { if (abort) abort.abort(); }, TIMEOUT);
    return fetch(base + path, {
      method: 'POST', credentials: 'include', keepalive: true, headers: { 'content-type': 'text/plain' },
      body: JSON.stringify(body), signal: abort && abort.signal
    }).then(function (answer) { return answer.json(); }).catch(function (error) {
      log('error', path, String(error));
      return { status: 'error', error: 'unreachable' };
    }).then(function (answer) { clearTimeout(timer); return answer; });
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
    var go = !busy && turns.shift();
    if (!go) return;
    busy = true;
    go().then(function () { busy = false; next(); });
  }

  function identify() {
    identity = null;
    inTurn(function () { return post('v1/visitors', about({})).then(take); });
  }

  /* Other tabs ask anew when this one's choice has changed; no ID is told to them. Closed while the page is away, since an open channel
     keeps it out of the back-forward cache of some browsers. */
  function joinTabs() {
    tabs = attempt(function () { return w.BroadcastChannel && new BroadcastChannel('clerk_visitor'); });
    if (tabs) tabs.onmessage = identify;
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
    if (identity.mode === 'unknown') return {};
    return { visitor: identity.token || identity.visitor };
  }

  function call(endpoint, args, done) {
    ready(function () {
      var body = { key: config.key }, who = named();
      [who, args || {}].forEach(function (part) { for (var name in part) body[name] = part[name]; });
      log(endpoint, 'visitor', identity.visitor, 'labels', body.labels);
      post('v2/' + endpoint, body).then(function (answer) {
        if (answer.status !== 'ok') log('error', endpoint, answer.error || answer.detail);
        if (done) attempt(function () { done(answer); });
      });
    });
  }

  function consent(source, event) {
    var text = attempt(function () { return JSON.stringify(event); });
    if (!text || sent[source] === text) return;
    sent[source] = text;
    inTurn(function () {
      log('consent', source);
      return post('v1/consents/' + source, about(JSON.parse(text))).then(function (answer) {
        if (!('mode' in answer)) return;
        var changed = !identity || identity.visitor !== answer.visitor;
        take(answer);
        if (changed) tellTabs();
      });
    });
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
      var layer = w.dataLayer = w.dataLayer || [], push = layer.push;
      function read(entry) {
        if (entry && entry[0] === 'consent' && entry[1] === 'update') say({ action: 'update', state: entry[2] });
      }
      layer.forEach(read);
      layer.push = function () { [].forEach.call(arguments, read); return push.apply(layer, arguments); };
      return true;
    },
    cookiebot: function (say) {
      ['Accept', 'Decline'].forEach(function (name) {
        w.addEventListener('CookiebotOn' + name, function () {
          say({ consent: w.Cookiebot.consent, hasResponse: w.Cookiebot.hasResponse });
        });
      });
      return true;
    },
    onetrust: function (say) {
      w.addEventListener('OneTrustGroupsUpdated', function () {
        var found = {};
        d.cookie.split('; ').forEach(function (one) {
          if (/^Optanon(Consent|AlertBoxClosed)=/.test(one)) found[one.split('=')[0]] = one.slice(one.indexOf('=') + 1);
        });
        say(found);
      });
      return true;
    },
    usercentrics: heard(w, 'UC_UI_CMP_EVENT'),
    cookieyes: heard(d, 'cookieyes_consent_update'),
    wordpress: heard(d, 'wp_listen_for_consent_change'),
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
      ['cc:onConsent', 'cc:onChange'].forEach(function (name) {
        w.addEventListener(name, function (event) { say({ cookie: event.detail.cookie }); });
      });
      ready(function () {  /* a choice that was told before this script listened */
        var held = identity.decision.reason === 'no_signal' && w.CookieConsent && w.CookieConsent.getCookie();
        if (held && held.consentTimestamp) say({ cookie: held });
      });
      return true;
    }
  };

  function heard(target, name) {
    return function (say) {
      target.addEventListener(name, function (event) { say(event.detail); });
      return true;
    };
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
            return BANNERS[source](function (event) { attempt(function () { consent(source, event); }); });
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
    [].forEach.call(d.querySelectorAll('.clerk[data-api="log/sale"]:not([data-sent])'), function (element) {
      attempt(function () { sendElement(element); });
    });
  }

  function sendElement(element) {
    var data = element.dataset, args = {};
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
    visitor: function (done) { ready(function () { attempt(function () { done(identity.visitor, identity.mode); }); }); },
    debug: function () { debugging = true; log('debug', config.key ? 'key set' : 'no key', identity && identity.visitor, identity && identity.mode); }
  };

  function basket(action, products) {
    var list = [].concat(products === undefined ? [] : products);
    if (action === 'set') call('log/basket/set', { products: list });
    else if (/^(add|remove|update)$/.test(action)) call('log/cart/' + action, { products: list });
  }

  function run(args) {
    var command = COMMANDS[args[0]];
    if (command) attempt(function () { command.apply(null, [].slice.call(args, 1)); });
  }

  w.addEventListener('pagehide', function (event) {
    away = event.persisted;
    turns.splice(0).forEach(function (go) { go(); });
    if (tabs) tabs.close();
    tabs = null;
  });

  /* A page in the back-forward cache may hold an ID that is withdrawn meanwhile. It is forgotten once the page's own pagehide listeners
     have run, so that none of its pageshow listeners finds it. */
  d.addEventListener('visibilitychange', function () { if (away) identity = null; });
  w.addEventListener('pageshow', function (event) {
    away = false;
    if (event.persisted && config.key) { joinTabs(); identify(); }
  });

  var queue = w.__clerk_q || [];
  w[global] = function () { run(arguments); };
  w.__clerk_q = { push: run };
  [].forEach.call(queue, run);
})(window, document);
