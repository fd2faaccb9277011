/* The banner, set up as any shop would, and the panel's three buttons, which press the banner's own. */
(function (w, d) {
  'use strict';
  var CATEGORY = 'analytics';
  var BANNER = {
    hideFromBots: false, /* the service judges robots itself */
    autoClearCookies: false,
    categories: { necessary: { readOnly: true, enabled: true }, analytics: {} },
    guiOptions: {
      consentModal: { layout: 'box', position: 'bottom left', equalWeightButtons: true },
      preferencesModal: { layout: 'box', equalWeightButtons: true }
    },
    language: {
      default: 'en',
      translations: {
        en: {
          consentModal: {
            title: 'May we recognise you next time?',
            description: 'With your consent, one signed cookie recognises you for 13 months. If you refuse, only your refusal is remembered.',
            acceptAllBtn: 'Accept', acceptNecessaryBtn: 'Refuse', showPreferencesBtn: 'Settings'
          },
          preferencesModal: {
            title: 'Cookie settings', acceptAllBtn: 'Accept', acceptNecessaryBtn: 'Refuse', savePreferencesBtn: 'Save', closeIconLabel: 'Close',
            sections: [
              { title: 'Your choice', description: 'It applies immediately. You can change it at any time.' },
              { title: 'Remembering your choice', description: 'The banner stores it in its own cookie. A second cookie stores a refusal.', linkedCategory: 'necessary' },
              { title: 'Recognising you', description: 'A signed visitor ID measures what leads to orders.', linkedCategory: CATEGORY }
            ]
          }
        }
      }
    }
  };

  /* The banner starts when the snippet listens: a choice it remembers from before then reaches a store that was emptied meanwhile. */
  var started = new Promise(function (done) {
    w.Clerk('visitor', function () { done(w.CookieConsent.run(BANNER)); });
  });

  /* A banner that holds this very choice would stay silent, although the service may know better (an erasure): then it starts anew. */
  function choose(categories) {
    started = started.then(function () {
      var banner = w.CookieConsent, same = banner.acceptedCategory(CATEGORY) === (categories === 'all');
      if (!banner.validConsent() || !same) return undefined;
      banner.reset(true);
      return banner.run(BANNER);
    }).then(function () {
      w.CookieConsent.acceptCategory(categories);
      w.CookieConsent.hide();
    });
  }

  /* The banner forgets its choice only after the service has. */
  function startOver() {
    var body = JSON.stringify({ key: 'demo-public-key' });
    started.then(function () {
      return fetch('/shop/start-over', { method: 'POST', headers: { 'content-type': 'application/json' }, body: body });
    }).then(function (answer) {
      if (!answer.ok) throw new Error(String(answer.status));
      w.CookieConsent.reset(true);
      w.location.assign('/shop');
    }).catch(function () {
      d.querySelector('[data-show="again"]').textContent = 'did not work: is the service away? Press it again.';
    });
  }

  d.addEventListener('click', function (event) {
    if (event.target.closest && event.target.closest('[data-start-over]')) { startOver(); return; }
    var button = event.target.closest && event.target.closest('[data-choice]');
    if (!button || button.getAttribute('aria-disabled') === 'true') return;
    choose(button.dataset.choice === 'accept' ? 'all' : []);
  });
})(window, document);
