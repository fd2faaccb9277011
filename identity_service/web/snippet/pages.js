// Pages: elements and clicks that log themselves, whenever and wherever they appear, and emails that are typed.
const MEMBERS = ['sale', 'email', 'customer', 'currency', 'products', 'product', 'category', 'query', 'labels'], MARKED = 'data-sent';
const PRODUCT = 'data-clerk-product-id', SCAN_AFTER = 50, EMAIL = /^[^\s@,;]+@[^\s@,;]+\.[^\s@,;]+$/;
const sentElements = new WeakMap(), sentSales = {}, emails = {};
let scanning = 0, typedInto = null;

// As it is written: a whole number of any size as that number, a list as that list, all else as text.
function exact(text) {
  const list = /^\s*[[{]/.test(text) && attempt(() => { JSON.parse(text); return true; });
  return list || /^(0|[1-9]\d*)$/.test(text) ? new Exact(text) : text;
}

// A copy of an element that was sent, as a cache of pages makes it, is marked and unknown. One whose content has changed is sent again.
// Anybody may have written the markup, as a review: it names neither the shop nor the visitor.
function sendElement(element) {
  const endpoint = attribute(element, 'data-api') || '', args = { markup: true };
  if (tag.markup === 'off' || config.markup === 'off' || !/^log(\/[a-z]+)+$/.test(endpoint)) return;
  MEMBERS.forEach(name => {
    const text = attribute(element, 'data-' + name);
    if (text) args[name] = /^(product|labels)/.test(name) ? exact(text) : text;
  });
  if (endpoint === 'log/sale' && !(args.sale && args.products)) return;
  const text = endpoint + json(args), before = sentElements.get(element), copied = !before && attribute(element, MARKED) !== null;
  sentElements.set(element, text);
  if (copied || before === text || sentSales[text]) return;
  if (endpoint === 'log/sale') sentSales[text] = true;
  Element.prototype.setAttribute.call(element, MARKED, '');
  call(endpoint, args);
}

function sendElements(selector) {
  const found = typeof selector === 'string' ? all(selector) : [].concat(selector);
  found.forEach(element => attempt(() => sendElement(element)));
}

function scan() {
  scanning = 0;
  sendElements('.clerk[data-api^="log/"]');
}

function onReady(go) {
  if (d.readyState === 'loading') listen(d, ['DOMContentLoaded'], go); else go();
}

function watchElements() {
  onReady(() => {
    scan();
    const seen = { childList: true, subtree: true, attributeFilter: ['class', 'data-api', ...MEMBERS.map(name => 'data-' + name)] };
    new MutationObserver(() => { scanning = scanning || setTimeout(scan, SCAN_AFTER); }).observe(d, seen);
  });
}

// Through open shadow roots. A form's field may be named like a member of every element, and stands in its place.
function clicked(event) {
  if (event.type === 'auxclick' && event.button !== 1) return;
  const path = event.composedPath().filter(each => each instanceof Element);
  const card = path.findIndex(each => attribute(each, PRODUCT)), element = path[card];
  if (!element) return;
  const holder = path.slice(card).find(each => attribute(each, 'data-labels') !== null);
  const args = { product: exact(attribute(element, PRODUCT)), labels: labels(holder), api: attribute(element, 'data-api') || undefined };
  call('log/click', args);
}

function labels(holder) {
  const text = holder && attribute(holder, 'data-labels');
  return text ? /^\s*\[/.test(text) && attempt(() => JSON.parse(text)) || [text] : undefined;
}

// What somebody typed may be another's address, so it is linked without proof.
function collectEmail() {
  const email = typedInto.value.trim();
  if (config.collect_email && EMAIL.test(email)) ready(() => {
    if (!identity.linkable || emails[email]) return;
    emails[email] = true;
    call('log/email', { email, markup: true });
  });
}

function watchPeople() {
  listen(d, ['click', 'auxclick'], clicked);
  listen(d, ['input'], event => {
    const field = event.composedPath()[0];
    if (event.isTrusted && /^(email|text)$/.test(field.type)) typedInto = field;
  });
  listen(d, ['change', 'focusout'], event => { if (event.composedPath()[0] === typedInto) collectEmail(); });
}
