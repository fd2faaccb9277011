// One browser whose tabs run the real snippet, without a window: time passes when told, and every call of `fetch` is told and waits for its
// answer. Reads lists of commands as lines of JSON and answers each list with what it led to. A page has what the snippet touches of a browser, and a
// banner of its own.
'use strict';
const DAY = 86400000;
const lines = require('node:readline').createInterface({ input: process.stdin });
const code = process.argv[2] === '-' ? null : require('node:fs').readFileSync(process.argv[2], 'utf8');
const OUTSIDE = ['window', 'document', 'fetch', 'setTimeout', 'clearTimeout', 'setInterval', 'Date', 'BroadcastChannel', 'EventTarget',
  'Document', 'Element', 'MutationObserver', 'crypto', 'console'];
let start = new Function(...OUTSIDE, code || ''), browser = null;

class Target {
  constructor() { this.listeners = []; }
  addEventListener(type, go) { this.listeners.push([type, go]); }
  emit(event) { this.listeners.forEach(([type, go]) => { if (type === event.type) go(event); }); }
}
class Document extends Target {
  querySelectorAll() { return []; }
  get cookie() { return Object.entries(browser.cookies).map(([name, value]) => `${name}=${value}`).join('; '); }
}
class Element { getAttribute() { return null; } }
class MutationObserver { observe() {} }

class Page {
  constructor(tab) {
    Object.assign(this, { id: ++browser.ids, tab, timers: [], opened: browser.now, alive: true, frozen: false, channels: [], missed: [] });
    const page = this, w = this.w = new Target(), d = this.d = new Document();
    class PageDate extends Date { static now() { return browser.now + browser.skew; } }
    class Channel {
      constructor() { page.channels.push(this); }
      close() { page.channels = page.channels.filter(one => one !== this); }
      postMessage(said) {
        const text = JSON.stringify(said);
        living().filter(each => each !== page).forEach(each => each.channels.forEach(channel => {
          each.later(() => { if (each.channels.includes(channel)) channel.onmessage({ data: JSON.parse(text) }); }, 1);
        }));
      }
    }
    Object.assign(d, { readyState: 'complete', currentScript: { tagName: 'SCRIPT', dataset: {}, src: 'http://localhost:8080/visitor.js' } });
    Object.defineProperty(d, 'hidden', { get: () => browser.shown !== tab });
    Object.assign(w, {
      location: { search: '', href: 'http://localhost:8080/' }, navigator: {}, sessionStorage: { getItem: () => null, setItem() {} },
      performance: { now: () => browser.now - page.opened }, BroadcastChannel: Channel, dataLayer: [], __clerk_q: [['config', { key: browser.key }]]
    });
    this.stored = BANNERS[browser.banner].load(this);
    const clear = id => { page.timers = page.timers.filter(one => one.id !== id); };
    start(w, d, (url, init) => page.fetch(url, init), (go, wait) => page.later(go, wait || 0), clear,
      (go, each) => page.later(go, each, each), PageDate, Channel, Target, Document, Element, MutationObserver,
      { randomUUID: () => 'guest' }, { log() {}, warn() {} });
  }
  later(go, wait, each) {
    const timer = { id: ++browser.ids, due: browser.now + Math.max(wait, 1), go, each };
    this.timers.push(timer);
    return timer.id;
  }
  fetch(url, { body, signal }) {
    const id = ++browser.ids;
    browser.sent.push({ id, page: this.id, opened: this.opened, path: new URL(url).pathname, body: JSON.parse(body) });
    return new Promise((done, failed) => {
      browser.calls[id] = { page: this, done, failed };
      signal.addEventListener('abort', () => {
        if (browser.calls[id]) browser.aborted.push(id);
        delete browser.calls[id];
        failed(new Error('aborted'));
      });
    });
  }
  emit(type, more) { this.w.emit({ type, target: this.w, composedPath: () => [], ...more }); }
  dispatch(target, type, detail) { target.emit({ type, detail, target, isTrusted: false, composedPath: () => [] }); }
  hide(persisted) {
    this.emit('pagehide', { persisted });
    this.d.emit({ type: 'visibilitychange' });
    if (persisted) this.frozen = true; else this.end();
  }
  show() {
    this.frozen = false;
    this.timers.forEach(one => { one.due = Math.max(one.due, browser.now + 1); });
    this.missed.splice(0).forEach(failed => failed(new TypeError('Load failed')));
    this.emit('pageshow', { persisted: true });
  }
  end() {
    this.alive = false;
    this.timers = [];
    this.channels = [];
  }
}

// What each banner keeps on the device and tells the page: at load, and as somebody chooses. `choice`: yes, no, or some purposes only.
const BANNERS = {
  none: { load() {}, choose() {} },
  own: {
    load(page) { if (browser.storage.own) page.w.__clerk_q.push(['consent', browser.storage.own]); },
    choose(page, choice) {
      browser.storage.own = said(choice);
      page.w.Clerk('consent', said(choice));
    }
  },
  google: {
    load(page) { if (browser.storage.google) page.w.dataLayer.push(['consent', 'update', { ...browser.storage.google }]); },
    choose(page, choice) {
      const analytics = choice === 'yes' ? 'granted' : 'denied', ads = choice === 'no' ? 'denied' : 'granted';
      browser.storage.google = { analytics_storage: analytics, ad_storage: ads };
      page.w.dataLayer.push(['consent', 'update', { ...browser.storage.google }]);
    }
  },
  klaro: {
    load(page) {
      page.later(() => {
        const kept = browser.cookies.klaro, watchers = [];
        const consents = kept ? JSON.parse(decodeURIComponent(kept)) : { 'visitor-id': false, other: false };
        page.manager = { confirmed: !!kept, consents, watchers, config: { services: [] }, watch: one => watchers.push(one) };
        page.w.klaro = { getManager: () => page.manager };
      }, browser.late);
    },
    choose(page, choice) {
      const { manager } = page, consents = { 'visitor-id': choice === 'yes', other: choice !== 'no' };
      if (!manager) return false;
      const changes = Object.keys(consents).filter(name => manager.consents[name] !== consents[name]);
      Object.assign(manager, { consents, confirmed: true });
      browser.cookies.klaro = encodeURIComponent(JSON.stringify(consents));
      const type = { yes: 'accept', no: 'decline', some: 'save' }[choice];
      manager.watchers.forEach(one => one.update(manager, 'saveConsents', { changes: Object.fromEntries(changes.map(name => [name, consents[name]])), consents, type }));
    }
  },
  cookiebot: {
    load(page) {
      page.later(() => {
        const kept = browser.storage.cookiebot;
        page.w.Cookiebot = kept ? { ...kept, hasResponse: true } : { consent: { method: null, statistics: false }, hasResponse: false };
        if (!kept) return;
        page.dispatch(page.w, 'CookiebotOnConsentReady');
        page.dispatch(page.w, kept.consent.statistics ? 'CookiebotOnAccept' : 'CookiebotOnDecline');
      }, browser.late);
    },
    choose(page, choice) {
      if (!page.w.Cookiebot) return false;
      const consent = { necessary: true, statistics: choice === 'yes', marketing: choice !== 'no', method: 'explicit' };
      browser.storage.cookiebot = { consent, consentUTC: new Date(browser.now + browser.skew).toISOString() };
      page.w.Cookiebot = { ...browser.storage.cookiebot, hasResponse: true };
      page.dispatch(page.w, choice === 'no' ? 'CookiebotOnDecline' : 'CookiebotOnAccept');
      page.dispatch(page.w, 'CookiebotOnConsentReady');
    }
  },
  onetrust: {
    load(page) { page.later(() => { page.banner = true; page.dispatch(page.w, 'OneTrustGroupsUpdated', ['C0001']); }, browser.late); },
    choose(page, choice) {
      if (!page.banner) return false;
      const groups = `C0001:1,C0002:${choice === 'yes' ? 1 : 0},C0004:${choice === 'no' ? 0 : 1}`, at = new Date(browser.now + browser.skew);
      browser.cookies.OptanonConsent = `interactionCount=1&groups=${encodeURIComponent(groups)}&datestamp=${encodeURIComponent(at)}`;
      browser.cookies.OptanonAlertBoxClosed = at.toISOString();
      page.dispatch(page.w, 'OneTrustGroupsUpdated', ['C0001']);
    }
  },
  orejime: {
    load() {},
    choose(page, choice) { browser.cookies.orejime = encodeURIComponent(JSON.stringify({ 'visitor-id': choice === 'yes', other: choice !== 'no' })); }
  }
};

const CONTRARY = { purposes: { storage: 'granted', measurement: 'granted' }, google: { analytics_storage: 'denied' } };

function said(choice) {
  return { yes: 'granted', no: 'refused', some: { purposes: { storage: 'granted', measurement: 'refused' } } }[choice];
}

function pages() { return Object.values(browser.tabs).flatMap(tab => [tab.page, tab.cached].filter(Boolean)); }
function living() { return pages().filter(page => page.alive && !page.frozen); }

function nextTimer() {
  let first = null;
  living().forEach(page => page.timers.forEach(timer => {
    if (!first || timer.due < first.timer.due || timer.due === first.timer.due && timer.id < first.timer.id) first = { page, timer };
  }));
  return first;
}

function leave(tab, cached) {
  const { page } = tab;
  page.hide(cached);
  page.left = browser.now;
  return cached ? page : null;
}

// No browser keeps a page longer in its back-forward cache.
function kept(page) {
  if (page && browser.now - page.left < DAY) return page;
  if (page) page.end();
  return null;
}

const settle = () => new Promise(setImmediate);
const COMMANDS = {
  browser: told => {
    browser = { ids: 0, tabs: {}, cookies: {}, storage: {}, sent: [], aborted: [], calls: {}, shown: 0, late: 1, skew: 0, ...told };
  },
  open: ({ tab }) => {
    browser.shown = tab;
    browser.tabs[tab] = { cached: null };
    browser.tabs[tab].page = new Page(tab);
  },
  close: ({ tab }) => {
    pages().filter(page => page.tab === tab).forEach(page => { if (page.frozen) page.end(); else page.hide(false); });
    delete browser.tabs[tab];
  },
  reload: ({ tab }) => {
    browser.tabs[tab].page.hide(false);
    browser.tabs[tab].page = new Page(tab);
  },
  visit: ({ tab, cached }) => {
    const one = browser.tabs[tab];
    if (one.cached) one.cached.end();
    one.cached = leave(one, cached);
    one.page = new Page(tab);
  },
  back: ({ tab, cached }) => {
    const one = browser.tabs[tab], before = kept(one.cached);
    one.cached = leave(one, cached);
    one.page = before || new Page(tab);
    if (before) before.show();
  },
  show: ({ tab }) => { browser.shown = tab; },
  choose: ({ tab, choice, voice }) => {
    const { page } = browser.tabs[tab];
    browser.shown = tab;
    ['pointerdown', 'click'].forEach(type => page.emit(type, { isTrusted: true }));
    if (voice === 'own') page.w.Clerk('consent', choice === 'some' ? CONTRARY : said(choice));
    else if (BANNERS[browser.banner].choose(page, choice) === false) return null;
    return page.id;
  },
  online: () => living().forEach(page => page.emit('online')),
  answer: ({ id, status, headers, text }) => {
    const call = take(id);
    if (call) call.done({ status, ok: status < 300, headers: { get: name => headers[name] || null }, json: async () => JSON.parse(text) });
  },
  fail: ({ id }) => {
    const call = take(id);
    if (call) call.failed(new TypeError('Failed to fetch'));
  },
  alive: () => Object.fromEntries(pages().map(page => [page.id, !page.frozen])),
  identities: () => Object.fromEntries(living().map(page => {
    let known = null;
    page.w.Clerk('visitor', (visitor, mode) => { known = { visitor, mode }; });
    return [page.id, known];
  }))
};

// An answer that comes while its page is in the back-forward cache is lost, which the page learns as it is shown again.
function take(id) {
  const call = browser.calls[id];
  delete browser.calls[id];
  if (!call || !call.page.alive) return null;
  if (!call.page.frozen) return call;
  call.page.missed.push(call.failed);
  return null;
}

// Stops as soon as a page calls or gives up a call.
async function advance({ until }) {
  for (;;) {
    const next = nextTimer();
    if (browser.sent.length || browser.aborted.length || !next || next.timer.due > until) break;
    const { page, timer } = next;
    browser.now = Math.max(browser.now, timer.due);
    page.timers = page.timers.filter(one => one !== timer);
    if (timer.each) {
      // each second of a long time in which nothing happens is not lived through
      timer.wait = 2 * (timer.wait || timer.each / 2);
      page.timers.push(Object.assign(timer, { due: browser.now + timer.wait }));
    }
    timer.go();
    await settle();
  }
  if (!browser.sent.length && !browser.aborted.length) browser.now = until;
}

function hurried() {
  living().forEach(page => page.timers.forEach(timer => {
    if (timer.each) Object.assign(timer, { wait: 0, due: Math.min(timer.due, browser.now + timer.each) });
  }));
}

async function run(command) {
  if (command.op === 'snippet') { start = new Function(...OUTSIDE, command.code); return null; }
  if (browser && command.now) browser.now = command.now;
  if (command.op === 'advance') return advance(command);
  const result = COMMANDS[command.op](command);
  if (!['answer', 'fail', 'browser'].includes(command.op)) hurried();
  await settle();
  return result;
}

async function told(commands) {
  let result = null;
  for (const command of commands) result = await run(command);
  if (!browser) return {};
  const waiting = living().some(page => page.timers.some(timer => !timer.each)), first = nextTimer(), { now } = browser;
  const wakes = first && first.timer.due, sent = browser.sent.splice(0), aborted = browser.aborted.splice(0);
  return { now, sent, aborted, waiting, wakes, result: result === undefined ? null : result };
}

(async () => {
  for await (const line of lines) process.stdout.write(JSON.stringify(await told(JSON.parse(line))) + '\n');
})();
