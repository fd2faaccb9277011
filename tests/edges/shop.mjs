// A shop's server around the README's edge, with sessions in its memory.
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
const { visitor, sale } = new Function(`${readFileSync(process.env.EDGE, 'utf8')}; return { visitor, sale };`)();
const sessions = new Map();
const server = createServer(async (request, response) => {
  const id = /sid=(\w+)/.exec(request.headers.cookie ?? '')?.[1] ?? Math.random().toString(36).slice(2);
  if (!sessions.has(id)) sessions.set(id, {});
  response.appendHeader('set-cookie', `sid=${id}`);
  let body = '';
  for await (const chunk of request) body += chunk;
  if (request.url === '/order') await sale(request, response, sessions.get(id), JSON.parse(body));
  response.end(request.url === '/order' ? '' : await visitor(request, response, sessions.get(id)) ?? 'nobody');
});
server.listen(Number(process.env.PORT), '127.0.0.1');
