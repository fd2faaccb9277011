// A shop's server around the edge, with sessions in its memory.
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';
const { visitor, sale } = await import(pathToFileURL(process.env.EDGE));
const sessions = new Map();
const server = createServer(async (request, response) => {
  const id = /sid=(\w+)/.exec(request.headers.cookie ?? '')?.[1] ?? Math.random().toString(36).slice(2);
  if (!sessions.has(id)) sessions.set(id, {});
  response.appendHeader('set-cookie', `sid=${id}`);
  let body = '';
  for await (const chunk of request) body += chunk;
  const visit = { request, response, session: sessions.get(id) };
  if (request.url === '/order') response.end((await sale(visit, JSON.parse(body))) ? 'kept' : 'lost');
  else response.end((await visitor(visit)) ?? 'nobody');
});
server.listen(Number(process.env.PORT), '127.0.0.1');
