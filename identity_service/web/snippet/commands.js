// Commands: what pages say to the snippet, what is passed on to another script of the same global, and the start.
const MARK = '__visitor_snippet', SHARED = /^(content|on|off|ui|search|context|call)$/, OURS = /^(log\/|misc\/visitor_id|token\/verify)/;
let neighbour = null, passing = null, looped = false, held = [];

const COMMANDS = {
  config: changes => {
    const started = !!config.key, visitor = json({ visitor: config.visitor });
    Object.keys(Object(changes)).forEach(name => { if (name !== 'private_key') config[name] = changes[name]; });
    if (!config.key || started && visitor === json({ visitor: config.visitor })) return;
    identify();
    if (started) ready(() => tellTabs({ changed: true })); else start();
  },
  call: function (endpoint, args, done, failed) {
    const go = () => call(endpoint, args, done, failed);
    return OURS.test(endpoint) ? go() : passOn(['call', ...arguments], go);
  },
  click: (product, labels, api) => {
    // a selector binds what is bound already
    if (!labels && isSelector(product)) return undefined;
    return call('log/click', product && typeof product === 'object' ? product : { product, labels, api });
  },
  cart: basket,
  basket,
  product: product => call('log/product', { product }),
  context: about => {
    ['product', 'category'].forEach(name => {
      const seen = Object(about)[name];
      if (seen !== null && seen !== undefined) call('log/' + name, { [name]: seen });
    });
    return passOn(['context', about]);
  },
  content: function (selector) {
    onReady(() => sendElements(selector));
    return passOn(['content', ...arguments]);
  },
  consent: said => {
    if (said === 'granted' || said === 'refused') hear(OWN, { consent: said });
    else if (said && typeof said === 'object') hearPurposes(said);
    else warn('no consent', said);
  },
  reset,
  visitor: done => ready(() => attempt(() => done(identity.visitor, identity.mode))),
  debug: () => {
    debugging = true;
    log('debug', config, identity);
  }
};

function isSelector(text) {
  return typeof text === 'string' && (/^[.#*[]|[[>\s]/.test(text) || /[.#:]/.test(text) && !!attempt(() => all(text)[0]));
}

function basket(action, products) {
  const list = [].concat(products === undefined ? [] : products);
  if (action === 'set') return call('log/basket/set', { products: list });
  if (/^(add|remove|update)$/.test(action)) return call('log/cart/' + action, { products: list });
}

function hearPurposes(said) {
  const whole = said.purposes ? { ...said } : {}, purposes = { ...(said.purposes || said) };
  Object.keys(purposes).forEach(name => {
    if (typeof purposes[name] === 'boolean') purposes[name] = purposes[name] ? 'granted' : 'refused';
  });
  hear(OWN, { consent: { ...whole, purposes } }, names(purposes));
}

// The neighbour may be no script but the stand-in that fills the queue, which leads back here.
function passOn(args, otherwise) {
  if (neighbour && !passing) {
    passing = args;
    looped = false;
    try {
      const result = neighbour.apply(w, args);
      if (!looped) return result;
    } finally { passing = null; }
    neighbour = null;
  }
  if (otherwise && !passing) return otherwise();
  [].push.call(held, args);
  if (!SHARED.test(args[0])) warn('unknown command', args[0]);
}

function run(args) {
  const command = COMMANDS.hasOwnProperty(args[0]) && COMMANDS[args[0]];
  if (!passing || args[0] !== passing[0] || args[1] !== passing[1])
    return attempt(() => command ? command.apply(null, [].slice.call(args, 1)) : passOn(args));
  looped = true;
}

function clerk() { return run(arguments); }
clerk._config = config;

// Another script may be there already, or come later and take the queue, which keeps for it what is not ours, and the global.
function share(earlier) {
  const queue = [].slice.call(w.__clerk_q || []);
  neighbour = typeof earlier === 'function' ? earlier : null;
  held = queue.filter(args => args[0] === 'config');
  held.push = run;
  w.__clerk_q = held;
  const set = later => { if (later !== clerk) neighbour = later; };
  attempt(() => Object.defineProperty(w, 'Clerk', { configurable: true, enumerable: true, get: () => clerk, set }));
  return queue;
}

// The queue of another name than `Clerk` is `Name.q` or `__name_q`. What waits in a queue was heard by a neighbour that was there first.
function adopt(name) {
  const earlier = w[name], other = '__' + name.toLowerCase() + '_q';
  if (earlier === clerk) return;
  const queue = name === 'Clerk' ? share(earlier) : [].slice.call(earlier && earlier.q || w[other] || []);
  if (w[name] !== clerk) w[name] = clerk;
  if (w[other] !== held) w[other] = { push: run };
  passing = [];
  queue.forEach(run);
  passing = null;
}

function start() {
  override();
  joinTabs();
  watchElements();
  watchPeople();
  watchBanners();
}

function watchPage() {
  let away = false;
  watchGestures();
  listen(w, ['online'], () => {
    if (identity && identity.mode === 'unknown') identify();
    hurry(choices);
    hurry(calls);
  });
  listen(w, ['pagehide'], event => {
    away = event.persisted;
    if (!d.hidden) look();
    leaving = true;
    sendAll();
    if (tabs) tabs.close();
    tabs = null;
  });
  // A page in the back-forward cache may hold an ID that is withdrawn meanwhile. It is forgotten once the page's own pagehide listeners
  // have run, so that none of its pageshow listeners finds it.
  listen(d, ['visibilitychange'], () => { if (away) identity = null; });
  listen(w, ['pageshow'], event => {
    away = leaving = false;
    if (!event.persisted || !config.key) return;
    joinTabs();
    askAnew();
    hurry(choices);
  });
}

// Loaded twice, it is there once.
if (w[MARK]) w[MARK](tag.global || 'Clerk');
else {
  w[MARK] = adopt;
  watchPage();
  adopt(tag.global || 'Clerk');
}
