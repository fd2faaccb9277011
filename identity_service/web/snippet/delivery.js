// Delivery: what a person chose, a sale and an email are kept in memory until the service has answered them. They are sent again after
// network errors, 429 and 5xx, and as the page goes away. Nothing is kept on the device.
const TIMEOUT = 3000, FIRST_WAIT = 1000, LONGEST_WAIT = 30000, LONGEST_ASKED = 3600000, LATE = 10000;
const MOST_TRIES = 10, MOST_KEPT_ALIVE = 20000;
let choices = [], calls = [], turns = [], busy = false, leaving = false, tabs = null, acknowledged = {};

// JSON that goes into a call as it is: an ID of twenty digits stays exact.
function Exact(text) { this.text = text; }

// JSON.stringify is not enough: pages with an old Prototype make text of lists, and numbers beyond 2^53 must stay what they are.
function json(value) {
  if (value instanceof Exact) return value.text;
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Date) value = value.toISOString();
  if (Array.isArray(value)) return '[' + [].map.call(value, each => json(each) || 'null').join(',') + ']';
  if (value && typeof value === 'object') return object(members(value));
  return JSON.stringify(value);
}

// Each member as JSON by its name, without what JSON has no word for.
function members(value) {
  const found = {};
  Object.keys(value).forEach(name => { const text = json(value[name]); if (text) found[name] = text; });
  return found;
}

function object(texts) {
  return '{' + Object.keys(texts).map(name => JSON.stringify(name) + ':' + texts[name]).join(',') + '}';
}

// text/plain spares the preflight; the service reads JSON by its content. Never rejects: a page must not break over tracking. `retry`:
// the service asks to repeat, or nobody knows whether it heard the call; `wait`: the milliseconds that it asks for.
function post(path, text) {
  const result = { answer: { status: 'error', error: 'unreachable' }, retry: true, wait: 0 }, abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), TIMEOUT), headers = { 'content-type': 'text/plain' };
  const keepalive = text.length < MOST_KEPT_ALIVE, signal = abort.signal;
  let sent;
  try {
    sent = fetch(address() + path, { method: 'POST', credentials: 'include', keepalive, headers, body: text, signal });
  } catch (error) { sent = Promise.reject(error); }
  return sent.then(response => {
    result.retry = response.status === 429 || response.status >= 500 || response.ok;
    result.wait = 1000 * response.headers.get('retry-after') || 0;
    return response.json().then(answer => {
      if (response.ok && ('mode' in answer || 'status' in answer)) result.retry = false;
      result.answer = answer;
    });
  }).catch(error => log('error', path, String(error))).then(() => {
    clearTimeout(timer);
    return result;
  });
}

// One after the other: a grant that is overtaken by the refusal after it would stand. A page that goes away sends what is left.
function inTurn(go) {
  if (leaving) return go();
  turns.push(go);
  next();
}

function next() {
  const go = config.key && !busy && turns.shift();
  if (!go) return;
  busy = true;
  const release = () => { busy = false; next(); };
  go().then(release, release);
}

function enqueue(one) {
  clearTimeout(one.timer);
  one.state = 'queued';
  one.start();
}

function hurry(list) {
  list.forEach(one => { if (one.state === 'idle') enqueue(one); });
}

function send(one) {
  clearTimeout(one.timer);
  one.state = 'sent';
  one.tries += 1;
  return post(one.path, one.body()).then(result => {
    if (result.retry && one.tries < one.most) later(one, result.wait); else one.done(result.answer);
  });
}

function later(one, asked) {
  const wait = Math.min(FIRST_WAIT * Math.pow(2, one.tries - 1), LONGEST_WAIT);
  if (one.replaced) return;
  one.state = 'idle';
  one.timer = setTimeout(() => enqueue(one), Math.max(wait, Math.min(asked, LONGEST_ASKED)));
}

// What a source said. `part`: what it is about where the source tells one part at a time; a newer word says nothing of other parts.
function choice(source, part, text, now) {
  const path = 'v1/consents' + (source === OWN ? '' : '/' + source);
  const one = { source, part, text, now, path, tries: 0, most: Infinity, state: 'idle' };
  one.since = w.performance.now();
  one.at = Date.now();
  one.start = () => inTurn(sendOldest);
  one.body = () => {
    const age = Math.round(w.performance.now() - one.since), said = now ? 'now' : 'remembered';
    const extra = { ...JSON.parse(text), said, clock_ms: Date.now() };
    if (one.tries > 1 || age > LATE) {
      if (now) one.old = true;
      extra.age_ms = age;
    }
    return about(extra, one.token);
  };
  one.done = answer => {
    const changed = !identity || identity.visitor !== answer.visitor;
    choices = choices.filter(other => other !== one);
    if (!('mode' in answer)) return log('error', one.path, answer.detail || answer.error);
    acknowledged = now ? {} : acknowledged;
    acknowledged[source + part] = text;
    if (!one.token) take(answer);
    if (changed || now) tellTabs({ changed: true });
  };
  return one;
}

function sendOldest() {
  const one = choices.find(each => each.state === 'queued');
  return one ? send(one) : Promise.resolve();
}

// A word that is only remembered is not told twice, nor over one that a person just said. A word that waits is old once its age was sent,
// or another tab has said something else: the same word is then a new one.
function deliver(source, part, text, now) {
  const last = choices[choices.length - 1], same = one => one.source === source && one.part === part;
  log('consent', source, now);
  if (last && !last.old && same(last) && last.text === text && last.now >= now) {
    if (now) last.since = w.performance.now();
  } else if (now || !(choices.some(one => same(one) && one.now) || acknowledged[source + part] === text)) {
    const newer = choice(source, part, text, now);
    drop(same);
    choices.push(newer);
    if (now) tellTabs({ source, part, at: newer.at });
  }
  hurry(choices);
}

function drop(which) {
  choices = choices.filter(one => !(one.replaced = which(one)));
}

// Other tabs ask anew when this one's choice has changed, and drop what was said before it; no ID is told to them. Closed while the page
// is away, since an open channel keeps it out of the back-forward cache of some browsers.
function joinTabs() {
  tabs = attempt(() => w.BroadcastChannel && new BroadcastChannel('clerk_visitor'));
  if (tabs) tabs.onmessage = event => attempt(() => overhear(event.data));
}

function overhear(told) {
  if (told.at) drop(one => one.source === told.source && one.part === told.part && one.at < told.at);
  if (told.changed) askAnew();
}

function tellTabs(what) {
  if (tabs) tabs.postMessage(what);
}

// Another tab's choice may stand against one that this tab is about to tell: the same said again after it is a choice of its own.
function askAnew() {
  acknowledged = {};
  choices.forEach(one => { one.old = true; });
  identify();
}

// What was sent and has no answer yet is on its way: its call outlives the page.
function sendAll() {
  if (!config.key) return;
  hurry(choices);
  turns.splice(0).forEach(go => go());
  calls.forEach(one => { if (one.state !== 'sent') send(one); });
}
