/* The side panel: asks the service every two seconds, and after every call of the snippet. Everything is shown as text. */
(function (w, d) {
  'use strict';
  var EVERY = 2000, MOST_CALLS = 6;
  var PROMISES = {
    cookieless: 'nothing on your device', persistent: 'one signed cookie', 'null': 'no ID at all'
  };
  var NO_ORDERS = 'No order under this ID.';
  var NO_PERSON = 'No order under your ID. An order without an ID keeps only what was bought.';
  var panel = d.getElementById('panel'), calls = [], shown = '', pending = false, again = false;

  function el(tag, className, content) {
    var made = d.createElement(tag);
    if (className) made.className = className;
    [].concat(content === undefined ? [] : content).forEach(function (part) { made.append(part); });
    return made;
  }

  function show(name, content) {
    d.querySelectorAll('[data-show="' + name + '"]').forEach(function (slot) { slot.replaceChildren.apply(slot, [].concat(content)); });
  }

  function time(text) {
    var date = new Date(text), today = new Date().toDateString() === date.toDateString();
    var made = el('time', '', today ? date.toLocaleTimeString('en-GB') : date.toLocaleDateString('en-GB', { dateStyle: 'medium' }));
    made.dateTime = text;
    return made;
  }

  function moment(text) {
    return new Date(text).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' });
  }

  function row(name, there, note) {
    var value = el('dd', there ? 'there' : 'absent', [el('strong', '', there ? 'there' : 'none'), there && note ? ', ' + note : '']);
    return el('div', '', [el('dt', '', el('code', '', name)), value]);
  }

  function device(seen) {
    var banner = w.CookieConsent && w.CookieConsent.validConsent();
    var kept = attempt(function () { return w.localStorage.length + w.sessionStorage.length; });
    show('device', [
      row(seen.cookie_name, seen.cookie, 'HttpOnly'),
      row('__Host-visitor-choice', seen.refusal_cookie, 'names nobody'),
      row('cc_cookie', banner, 'the banner\'s'),
      row('web storage', kept > 0, kept + ' entries')
    ]);
  }

  function attempt(action) {
    try { return action(); } catch (error) { return undefined; }
  }

  function event(one) {
    var what = [el('strong', '', one.type)];
    if (one.products.length) what.push(' ' + one.products.join(', '));
    if (one.text) what.push(' ' + one.text);
    if (one.labels.length) what.push(' ', el('span', 'label', one.labels.join(', ')));
    if (one.earlier) what.push(el('span', 'quiet', ' before you accepted'));
    return el('li', '', [time(one.time), el('span', '', what)]);
  }

  function count(number, name) {
    return el('li', '', [el('strong', '', String(number)), ' ' + name + (number === 1 ? '' : 's')]);
  }

  function store(seen) {
    var visitor = seen.held && seen.held.visitors[0], found = [];
    if (!visitor && !seen.events.length) {
      found.push(el('p', 'nothing', seen.mode === 'null' ? 'Nothing.' : 'Nothing yet. An ID alone is not stored.'));
    } else {
      found.push(el('ul', 'counts', [
        count(visitor && visitor.mode ? 1 : 0, 'record'), count(seen.event_count, 'event'), count(seen.held ? seen.held.orders.length : 0, 'order'),
        count(visitor ? visitor.receipts.length : 0, 'receipt'), count(visitor ? visitor.emails.length : 0, 'email digest')
      ]));
      found.push(el('ol', 'events', seen.events.map(event)));
      if (seen.event_count > seen.events.length) found.push(el('p', 'quiet', 'and ' + (seen.event_count - seen.events.length) + ' more'));
    }
    if (visitor && visitor.receipts.length) {
      var newest = visitor.receipts[0];
      found.push(el('p', 'quiet', ['Newest receipt ', el('code', '', newest.receipt_id), ': ' + newest.mode + ', reported by ' + newest.source]));
    }
    if (seen.earlier) {
      found.push(el('p', 'quiet', 'Under the cookieless ID that this device had before: ' + seen.earlier.events +
        (seen.earlier.events === 1 ? ' event' : ' events') + ', deleted by ' + moment(seen.earlier.until) + '.'));
    }
    show('store', found);
    show('export', seen.held ? JSON.stringify(seen.held, null, 2) : 'null');
  }

  function chain(credit) {
    return el('ol', 'chain', [
      el('li', '', [el('span', 'quiet', 'label'), el('span', 'label', credit.labels.join(', '))]),
      el('li', '', [el('span', 'quiet', 'click'), el('span', '', ['product ' + credit.product + ', ', time(credit.clicked_at)])])
    ]);
  }

  function order(one) {
    var credited = one.credits.length > 0;
    return el('div', 'sale', [
      el('p', '', [el('code', '', one.sale), ' ', el('strong', '', '€ ' + Number(one.revenue).toFixed(2)), ' ',
        el('span', credited ? 'mark yes' : 'mark', credited ? 'attributed' : 'not attributed')])
    ].concat(credited ? one.credits.map(chain) : [el('p', 'quiet', one.explanation)]));
  }

  function links(seen) {
    if (!seen.links) return;
    show('links', seen.links.length ? el('ul', 'found', seen.links.map(function (one) {
      return el('li', '', [el('code', '', one.visitor), el('span', 'badge small ' + one.mode, one.mode), one.own ? 'this device' : 'another']);
    })) : el('p', 'nothing', 'No visitor is linked to this email.'));
  }

  function buttons(seen) {
    var accepted = seen.mode === 'persistent', refused = seen.refusal_cookie;
    var off = { accept: accepted, refuse: accepted || refused, withdraw: !accepted };
    panel.querySelectorAll('[data-choice]').forEach(function (button) {
      button.setAttribute('aria-disabled', String(off[button.dataset.choice]));
    });
  }

  function render(seen) {
    d.querySelectorAll('[data-show="badge"]').forEach(function (badge) {
      if (badge.textContent !== seen.mode) badge.textContent = seen.mode;
      badge.className = 'badge ' + seen.mode;
    });
    panel.dataset.mode = seen.mode;
    show('promise', PROMISES[seen.mode]);
    show('short', seen.visitor || 'no ID');
    show('visitor', seen.visitor ? el('code', 'id', seen.visitor) : el('span', 'absent', 'none'));
    show('reason', [el('code', '', seen.reason), seen.signal ? ' by ' + seen.signal : '']);
    show('ends', seen.expires_at ? moment(seen.expires_at) : '–');
    show('explanation', seen.explanation);
    device(seen);
    store(seen);
    show('orders', seen.orders.length ? seen.orders.map(order) : el('p', 'nothing', seen.visitor ? NO_ORDERS : NO_PERSON));
    links(seen);
    buttons(seen);
  }

  function live(text, there) {
    var slot = panel.querySelector('.live');
    slot.textContent = text;
    slot.classList.toggle('on', there);
  }

  function refresh() {
    if (pending) { again = true; return; }
    pending = true;
    var body = { key: 'demo-public-key' };
    if (panel.dataset.email) body.email = panel.dataset.email;
    fetch('/shop/panel', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
      .then(function (answer) { if (!answer.ok) throw new Error(String(answer.status)); return answer.json(); })
      .then(function (seen) {
        var text = JSON.stringify([seen, d.cookie.length]);
        if (text !== shown) { shown = text; render(seen); }
        live('live', true);
      })
      .catch(function () { live('service away', false); })
      .then(function () {
        pending = false;
        if (again) { again = false; refresh(); }
      });
  }

  function listen() {
    if (!w.PerformanceObserver) return;
    new PerformanceObserver(function (list) {
      var ours = list.getEntries().filter(function (one) { return /^\/v[123]\//.test(new URL(one.name).pathname); });
      ours.forEach(function (one) {
        var path = el('code', '', new URL(one.name).pathname);
        calls.unshift(el('li', '', [path, el('span', 'quiet', (one.responseStatus || '') + ' · ' + Math.round(one.duration) + ' ms')]));
      });
      if (ours.length) { show('calls', calls.slice(0, MOST_CALLS)); refresh(); }
    }).observe({ type: 'resource', buffered: true });
  }

  function visible() { return d.visibilityState === 'visible'; }

  listen();
  refresh();
  setInterval(function () { if (visible()) refresh(); }, EVERY);
  d.addEventListener('visibilitychange', function () { if (visible()) refresh(); });
})(window, document);
