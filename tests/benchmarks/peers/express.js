// The same job with Express 5, express-session, connect-redis and node-redis, which pipelines the commands of one tick by itself.
import { sign } from "cookie-signature";
import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { createClient } from "redis";
import * as common from "./common.js";

const { CONSENT_LIFE, COOKIE, EVENT_LIFE, MOST_EVENTS, SALE_LIFE, SECRET } = common;
const redis = createClient({ socket: { path: process.env.STORE } });
redis.on("error", (error) => console.error(error));
await redis.connect();

const refuse = (res, status, title) => res.status(status).json({ status, title });
const isText = (value) => typeof value === "string" && value.length > 0 && value.length <= 254;

const app = express();
app.disable("x-powered-by");
app.disable("etag"); // answers to POST are never asked for again by their tag
app.use((req, res, next) => {
  req.caller = common.callerOf(req.get("authorization"));
  return req.caller ? next() : refuse(res, 401, "unauthorized");
});
app.use(express.json({ limit: "32kb" }));

const visitors = session({
  name: COOKIE,
  secret: SECRET,
  genid: common.mint,
  resave: false,
  saveUninitialized: false,
  proxy: true, // the load says that it came over HTTPS, or the Secure cookie would not be set
  cookie: { path: "/", httpOnly: true, secure: true, sameSite: "lax", maxAge: CONSENT_LIFE * 1000 },
  // A consent lives from the choice: reading it renews nothing.
  store: new RedisStore({ client: redis, prefix: "express:visitor:", disableTouch: true }),
});

const cookieless = (res) => {
  const visitor = common.mint();
  res.json(common.issued(visitor, "cookieless", sign(visitor, SECRET), EVENT_LIFE));
};

app.post("/v1/visitors", (req, res, next) => {
  if (req.body.consent === "granted" || req.get("cookie")) return next();
  cookieless(res); // needs no session
});

app.post("/v1/visitors", visitors, (req, res) => {
  if (req.body.consent === "granted" && !req.session.consent) {
    req.session.consent = { state: "granted", time: common.seconds() };
  }
  if (!req.session.consent) return cookieless(res);
  res.json(common.issued(req.sessionID, "persistent", sign(req.sessionID, SECRET), CONSENT_LIFE));
});

app.post("/v1/lookups", async (req, res) => {
  if (!req.caller.trusted) return refuse(res, 403, "forbidden");
  if (!isText(req.body.email)) return refuse(res, 422, "invalid");
  res.json(common.linked(await redis.hGetAll(`express:email:${common.emailDigest(req.body.email)}`)));
});

const pushed = (multi, visitor, event) => {
  const key = `express:events:${visitor}`;
  return multi.lPush(key, event).lTrim(key, 0, MOST_EVENTS - 1).expire(key, EVENT_LIFE);
};

const bound = (multi, visitor, email) => {
  const digest = common.emailDigest(email);
  return multi
    .hSetNX(`express:email:${digest}`, visitor, String(common.seconds()))
    .expire(`express:email:${digest}`, CONSENT_LIFE)
    .sAdd(`express:emails:${visitor}`, digest)
    .expire(`express:emails:${visitor}`, CONSENT_LIFE);
};

app.post("/v2/log/click", async (req, res) => {
  if (!isText(req.body.visitor) || !req.body.product) return refuse(res, 422, "invalid");
  await pushed(redis.multi(), req.body.visitor, common.clickOf(req.body)).exec();
  res.json({ status: "ok" });
});

app.post("/v2/log/sale", async (req, res) => {
  const { sale, products, visitor, email } = req.body;
  if (!isText(visitor) || !sale || !Array.isArray(products)) return refuse(res, 422, "invalid");
  const event = common.saleOf(req.body);
  const first = await redis.set(`express:sale:${sale}`, event, { condition: "NX", expiration: { type: "EX", value: SALE_LIFE } });
  if (first) {
    const multi = pushed(redis.multi(), visitor, event);
    await (isText(email) ? bound(multi, visitor, email) : multi).exec();
  }
  res.json({ status: "ok" });
});

app.listen(Number(process.env.PORT), "127.0.0.1");
