// A shop's server with the types that openapi-typescript generates: a visitor comes, grants, gives its email and is looked up.

import createClient from "openapi-fetch";
import type { paths } from "./api.js";

declare const process: { argv: string[]; stdout: { write(text: string): void } };

const email = "luke@skywalker.com";
const visitor = { ip: "198.51.100.9", user_agent: "Mozilla/5.0" };
const shop = createClient<paths>({ baseUrl: process.argv[2] ?? "", headers: { authorization: "Bearer demo-private-key" } });

const issued = (await shop.POST("/v1/visitors", { body: { client: visitor } })).data;
const purposes = { storage: "granted", measurement: "granted" } as const;
const consented = (await shop.POST("/v1/consents", { body: { consent: { purposes }, client: visitor } })).data;
if (!issued || !consented?.receipt) throw new Error("no visitor");
const linked = (await shop.POST("/v1/links", { body: { email, token: consented.token } })).data;
const products = [{ id: 12793, price: 99.95 }];
const sold = (await shop.POST("/v2/log/sale", { body: { sale: "1001", products, visitor: consented.token } })).data;
const found = (await shop.POST("/v1/lookups", { body: { email } })).data;
const refused = (await shop.POST("/v1/lookups", { body: { email: "no email" } })).error;
const orders = (await shop.GET("/v1/orders", { params: { query: { limit: 1 } } })).data;

// @ts-expect-error: the types know the modes
const unknown: boolean = issued.mode === "other";

const told = {
  issued: [issued.mode, issued.decision.reason],
  consented: [consented.mode, consented.receipt.purposes["storage"], new Date(consented.expires_at ?? "").getFullYear() > 2000],
  linked: [linked?.linked, linked?.visitor === consented.visitor, linked?.proof],
  sold: sold?.status,
  found: found?.visitors?.map((one) => [one.visitor === consented.visitor, one.mode, !Number.isNaN(Date.parse(one.first_seen))]),
  refused: [refused?.status, refused && "code" in refused ? refused.code : unknown],
  orders: orders?.orders.map((one) => one.sale),
};
process.stdout.write(JSON.stringify(told));
