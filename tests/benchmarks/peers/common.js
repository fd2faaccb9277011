// What both peers share: who may call, new IDs, digests of emails, how long things live, and what is answered and kept.
import { createHmac, randomBytes } from "node:crypto";

export const SECRET = "a-secret-of-the-benchmark-that-signs-cookies";
const PEPPER = "a-pepper-of-the-benchmark-that-hides-emails";
const DAY = 86_400;
export const CONSENT_LIFE = 390 * DAY;
export const SALE_LIFE = 400 * DAY;
export const EVENT_LIFE = DAY;
export const MOST_EVENTS = 200;
export const COOKIE = "__Host-visitor";

const KEYS = new Map([
  ["demo-public-key", { shop: "demo", trusted: false }],
  ["demo-private-key", { shop: "demo", trusted: true }],
]);

export const callerOf = (authorization = "") => KEYS.get(authorization.replace(/^Bearer /, ""));

export const mint = () => randomBytes(16).toString("base64url");

export const emailDigest = (email) => createHmac("sha256", PEPPER).update(email.trim().toLowerCase()).digest("base64url");

export const seconds = () => Math.floor(Date.now() / 1000);

export const issued = (visitor, mode, token, life) => ({
  visitor,
  mode,
  token,
  expires_at: new Date(Date.now() + life * 1000).toISOString(),
});

export const linked = (links) => ({
  visitors: Object.entries(links).map(([visitor, seen]) => ({ visitor, first_seen: new Date(Number(seen) * 1000).toISOString() })),
});

export const clickOf = ({ product, labels }) => JSON.stringify({ type: "click", time: seconds(), products: [product], labels });

export const saleOf = ({ sale, products, visitor }) => JSON.stringify({ type: "sale", time: seconds(), sale, products, visitor });
