// A storefront's edge, for Node from 18.3 on. A `visit` is { request, response, session }; the session is an object
// that your server keeps for this browser. Call before the head is sent: visitor(visit) gives the ID or null,
// sale(visit, order) true once it is kept. Set IDENTITY_URL, the service's address, and IDENTITY_KEY, a private key.

const cookies = (headers) => // the second way is for Node before 19.7
  headers.getSetCookie?.() ?? (headers.get('set-cookie') ?? '').split(/, (?=[^;,=]+=)/).filter(Boolean);

async function ask({ request, response }, path, body, pauses = [0]) {
  const headers = { authorization: `Bearer ${process.env.IDENTITY_KEY}`, 'content-type': 'application/json' };
  headers.cookie = request.headers.cookie ?? '';
  for (const milliseconds of pauses) {
    await new Promise((go) => setTimeout(go, milliseconds));
    try {
      const call = { method: 'POST', headers, body: JSON.stringify(body), redirect: 'manual' };
      const answer = await fetch(process.env.IDENTITY_URL + path, { ...call, signal: AbortSignal.timeout(500) });
      for (const line of cookies(answer.headers)) response.appendHeader('set-cookie', line);
      const found = await answer.json();
      if (answer.status < 500 && answer.status !== 429) return found;
    } catch {} // away, too slow, or no answer of the service's
  }
  return null;
}

function agent({ headers, method, originalUrl, url: target }) {
  const { signature, host: authority } = headers;
  const told = { signature_agent: headers['signature-agent'], signature_input: headers['signature-input'], signature };
  return { ...told, authority, method, target: originalUrl ?? target };
}

export async function visitor(visit) {
  const { cookie = '', 'user-agent': user_agent, 'sec-gpc': gpc } = visit.request.headers;
  const ip = visit.request.ip ?? visit.request.socket.remoteAddress;
  const client = { ip, user_agent, gpc, agent: agent(visit.request) };
  const token = /(^|;\s*)__Host-visitor=/.test(cookie) ? null : visit.session.visitorToken;
  const found = await ask(visit, '/v1/visitors', { client, token });
  if ((found?.decision?.reason ?? 'store_unavailable') === 'store_unavailable') return null; // the token stays
  visit.session.visitorToken = found.token; // null: this visitor has no ID
  return found.visitor ?? null;
}

export async function sale(visit, order) {
  const known = 'visitorToken' in visit.session ? { visitor: visit.session.visitorToken } : {}; // else nobody was asked
  const said = { agent: agent(visit.request), ...order, ...known };
  return (await ask(visit, '/v2/log/sale', said, [0, 200, 400]))?.status === 'ok';
}
