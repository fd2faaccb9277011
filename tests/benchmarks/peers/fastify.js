// The same job with Fastify 5, schemas for what comes in and goes out, @fastify/cookie, and ioredis, which sends all commands of one
// tick as one pipeline.
import cookie from "@fastify/cookie";
import Fastify from "fastify";
import { Redis } from "ioredis";
import * as common from "./common.js";

const { CONSENT_LIFE, COOKIE, EVENT_LIFE, MOST_EVENTS, SALE_LIFE, SECRET } = common;
const redis = new Redis({ path: process.env.STORE, enableAutoPipelining: true });

const app = Fastify({ logger: false, bodyLimit: 32_768, ajv: { customOptions: { allowUnionTypes: true } } });
await app.register(cookie, { secret: SECRET });
app.decorateRequest("caller", null);
app.addHook("onRequest", async (request, reply) => {
  request.caller = common.callerOf(request.headers.authorization);
  if (!request.caller) return reply.code(401).send({ status: 401, title: "unauthorized" });
});

const text = { type: "string", minLength: 1, maxLength: 254 };
const id = { type: ["string", "integer"] };
const object = (properties, required = []) => ({ type: "object", properties, required });
const answers = (properties) => ({ 200: object(properties) });
const done = answers({ status: text });
const schemas = {
  visitors: {
    body: object({ consent: { type: "string" } }),
    response: answers({ visitor: text, mode: text, token: text, expires_at: text }),
  },
  lookups: {
    body: object({ email: text }, ["email"]),
    response: answers({ visitors: { type: "array", items: object({ visitor: text, first_seen: text }) } }),
  },
  click: { body: object({ product: id, visitor: text, labels: { type: "array", items: text } }, ["product", "visitor"]), response: done },
  sale: {
    body: object({ sale: id, visitor: text, email: text, products: { type: "array" } }, ["sale", "visitor", "products"]),
    response: done,
  },
};

const known = async (request) => {
  const token = request.cookies[COOKIE];
  const { valid, value } = token ? request.unsignCookie(token) : { valid: false };
  return valid && (await redis.get(`fastify:visitor:${value}`)) ? common.issued(value, "persistent", token, CONSENT_LIFE) : null;
};

app.post("/v1/visitors", { schema: schemas.visitors }, async (request, reply) => {
  const found = await known(request);
  if (found) return found;
  const visitor = common.mint();
  const token = app.signCookie(visitor);
  if (request.body.consent !== "granted") return common.issued(visitor, "cookieless", token, EVENT_LIFE);
  const record = JSON.stringify({ consent: { state: "granted", time: common.seconds() } });
  await redis.set(`fastify:visitor:${visitor}`, record, "EX", CONSENT_LIFE);
  reply.setCookie(COOKIE, token, { path: "/", httpOnly: true, secure: true, sameSite: "lax", maxAge: CONSENT_LIFE });
  return common.issued(visitor, "persistent", token, CONSENT_LIFE);
});

app.post("/v1/lookups", { schema: schemas.lookups }, async (request, reply) => {
  if (!request.caller.trusted) return reply.code(403).send({ status: 403, title: "forbidden" });
  return common.linked(await redis.hgetall(`fastify:email:${common.emailDigest(request.body.email)}`));
});

const pushed = (visitor, event) => {
  const key = `fastify:events:${visitor}`;
  return [redis.lpush(key, event), redis.ltrim(key, 0, MOST_EVENTS - 1), redis.expire(key, EVENT_LIFE)];
};

const bound = (visitor, email) => {
  const digest = common.emailDigest(email);
  return [
    redis.hsetnx(`fastify:email:${digest}`, visitor, common.seconds()),
    redis.expire(`fastify:email:${digest}`, CONSENT_LIFE),
    redis.sadd(`fastify:emails:${visitor}`, digest),
    redis.expire(`fastify:emails:${visitor}`, CONSENT_LIFE),
  ];
};

app.post("/v2/log/click", { schema: schemas.click }, async (request) => {
  await Promise.all(pushed(request.body.visitor, common.clickOf(request.body)));
  return { status: "ok" };
});

app.post("/v2/log/sale", { schema: schemas.sale }, async (request) => {
  const { sale, visitor, email } = request.body;
  const event = common.saleOf(request.body);
  if (await redis.set(`fastify:sale:${sale}`, event, "EX", SALE_LIFE, "NX")) {
    await Promise.all([...pushed(visitor, event), ...(email ? bound(visitor, email) : [])]);
  }
  return { status: "ok" };
});

await app.listen({ port: Number(process.env.PORT), host: "127.0.0.1" });
