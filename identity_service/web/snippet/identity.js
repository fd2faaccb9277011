// Identity: where the service is, who the visitor is, and the calls that name it.
const OVERRIDE = 'clerk_visitor', OWN = 'own';
let config = {}, identity = null, guest = null, waiting = [], debugging = false;

// An image or form named like a member of the document, as a review may hold, stands in the member's place.
const script = Object(d.currentScript).tagName === 'SCRIPT' ? d.currentScript : all('script[data-service],script[src*="visitor.js"]')[0];
const tag = script ? script.dataset : {};

function all(selector) { return [].slice.call(Document.prototype.querySelectorAll.call(d, selector)); }

function attribute(element, name) { return Element.prototype.getAttribute.call(element, name); }

function listen(target, names, go) {
  names.forEach(name => EventTarget.prototype.addEventListener.call(target, name, event => attempt(() => go(event)), true));
}

function log() {
  if (debugging) console.log('[Clerk]', ...arguments);
}

function warn() { console.warn('[Clerk]', ...arguments); }

function attempt(action) {
  try { return action(); } catch (error) { log('error', error); }
}

// Named by `config` or the tag, where the script is part of another file or of the page; else the script's own folder.
function address() {
  const named = config.service || tag.service;
  return named ? new URL(named.replace(/\/*$/, '/'), w.location.href).href : new URL('.', script && script.src || w.location.href).href;
}

function override() {
  return attempt(() => {
    const typed = new URLSearchParams(w.location.search).get(OVERRIDE);
    if (typed) w.sessionStorage.setItem(OVERRIDE, typed);
    return w.sessionStorage.getItem(OVERRIDE);
  });
}

function about(extra, token) {
  const body = { key: config.key };
  if ('visitor' in config) body.visitor = config.visitor;
  if (token || identity && identity.token) body.token = token || identity.token;
  return json({ ...body, ...extra });
}

function take(answer) {
  if (!answer || !('mode' in answer)) {
    log('error', answer && (answer.detail || answer.error));
    answer = identity || { visitor: null, mode: 'unknown', token: null, decision: { reason: 'unreachable' } };
  }
  identity = guest && answer.mode === 'cookieless' ? { ...answer, visitor: guest, token: null } : answer;
  log('visitor', identity.visitor, identity.mode, identity.decision.reason);
  waiting.splice(0).forEach(go => go());
}

function identify(extra) {
  identity = null;
  inTurn(() => post('v1/visitors', about(extra)).then(result => take(result.answer)));
}

function ready(go) {
  if (identity) go(); else waiting.push(go);
}

function named() {
  const typed = override();
  if (typed) return { clerk_visitor: typed };
  if (!identity || identity.mode === 'unknown') return {};
  return { visitor: identity.token || identity.visitor, counted: identity.counted };
}

// Waits until the visitor is known; a sale that still waits as the page goes away is sent without one. The promise never rejects.
function call(endpoint, args, done, failed) {
  const kept = /^log\/(sale|email)$/.test(endpoint), own = members(Object(args));
  return new Promise(resolve => {
    const one = { path: 'v2/' + endpoint, tries: 0, most: kept ? MOST_TRIES : 1 };
    one.start = () => ready(() => { if (one.state === 'queued') send(one); });
    one.body = () => {
      log(endpoint, 'visitor', identity && identity.visitor, 'labels', own.labels);
      return object({ ...members({ key: config.key, ...named() }), ...own });
    };
    one.done = answer => {
      const ok = answer.status === 'ok' || !('status' in answer), tell = !ok && failed || done;
      calls = calls.filter(other => other !== one);
      if (!ok) log('error', endpoint, answer.error || answer.detail);
      if (typeof tell === 'function') attempt(() => tell(answer));
      resolve(answer);
    };
    if (kept) calls.push(one);
    enqueue(one);
  });
}

// The next person on this device. What the person before chose, and nobody has answered yet, is told in that person's name. A token that
// names nobody stands in front of the cookie, which goes while its ID and links stay. Who had a cookieless ID would get the same one
// again, so the rest of this page has one of its own.
function reset() {
  const before = identity;
  choices.forEach(one => { one.token = one.token || before && before.token; });
  hurry(choices);
  if (config.visitor === null) return;
  delete config.visitor;
  guest = before && before.mode === 'cookieless' ? crypto.randomUUID() : null;
  identify({ visitor: 'auto', token: '-' });
  ready(() => tellTabs({ changed: true }));
}
