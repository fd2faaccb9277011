"""Shops are strangers: whatever is called with whatever key, the store is touched for the key's shop alone, and nothing of others is told.

All shops use the same visitor IDs, emails, customers, sales and each other's tokens, so that a confusion shows.
"""

import random
import re
from typing import Any

import pytest
import redis
from msgspec.structs import fields

from identity_service.app import Application
from identity_service.web.routes import CALLS
from tests.security.asgi import AGENT, Answer, bearer, call
from tests.test_privacy import dump

pytestmark = pytest.mark.anyio
SHOPS = ("demo", "other", "strict")
OWNED = re.compile(r"id:v2:\{([a-z-]+)\}")
SHARED = {"probe"}
VISITORS = [f"visitor-{number}" for number in range(12)]
EMAILS = [f"person{number}@example.com" for number in range(8)]
CUSTOMERS = ["71", "72", "73"]
SALES = [f"sale-{number}" for number in range(40)]
EITHER = ("visitors", "consents", "sale-opt-ins", "verifications", "links")
PRIVATE = ("unlinks", "lookups", "exports", "erasures", "receipts", "decisions", "events")
READS = ("orders", "orders/{sale}", "orders/{sale}/attribution", "labels", "products", "calls", "health/tracking")
TRACKED = ("log/sale", "log/click", "log/email", "log/basket/set", "log/returned", "misc/visitor_id", "token/verify", "privacy/info")
MEMBERS = {one.paths[0]: {member.encode_name for member in fields(one.body)} for one in CALLS if one.body}


class Traffic:
    """Random calls, and what each may be answered."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.tokens: list[str] = ["1p.visitor-1.awELLw." + "A" * 43]

    def key(self) -> tuple[str, str | None, str]:
        """The key, its shop, None for nobody's, and its kind."""
        if self.random.random() < 0.1:
            return self.random.choice(["-", "wrong", "demo-private-ke", "DEMO-PRIVATE-KEY", "demo", "sha256:demo"]), None, ""
        shop, kind = self.random.choice(SHOPS), self.random.choice(["public", "private", "private"])
        return f"{shop}-{kind}-key", shop, kind

    def members(self, shop: str, target: str) -> dict[str, Any]:
        """A few of all members that the call knows, sensible or not; of tracking calls any."""
        pick = self.random.choice
        known: dict[str, Any] = {
            "visitor": pick([*VISITORS, "auto", "persistent", None]),
            "token": pick(self.tokens),
            "email": pick(EMAILS),
            "customer": pick(CUSTOMERS),
            "consent": pick(["granted", "granted", "refused", {"purposes": {"linking": "refused"}}]),
            "sale": pick(SALES),
            "products": [{"id": f"product-of-{shop}", "price": 5}],
            "product": f"product-of-{shop}",
            "labels": [f"label-of-{shop}"],
            "key": pick([f"{other}-public-key" for other in SHOPS]),
        }
        wanted = {"visitor", "products", "product", "labels", "sale"} | set(self.random.sample(sorted(known), 4))
        wanted &= MEMBERS.get(target, wanted)
        if self.random.random() < 0.5:
            wanted -= {self.random.choice(["visitor", "token"])}
        return {name: value for name, value in known.items() if name in wanted}

    def target(self) -> tuple[str, str, bool]:
        """Method, target, and whether only private keys may call it."""
        kind = self.random.random()
        if kind < 0.35:
            return "POST", f"/v1/{self.random.choice(EITHER)}", False
        if kind < 0.6:
            return "POST", f"/v1/{self.random.choice(PRIVATE)}", True
        if kind < 0.75:
            return "GET", f"/v1/{self.random.choice(READS)}".format(sale=self.random.choice(SALES)), True
        return "POST", f"/v{self.random.choice('23')}/{self.random.choice(TRACKED)}", False


class Watch:
    """What the store was asked, command by command, also inside scripts."""

    def __init__(self, database: redis.Redis) -> None:
        self._database = database
        self._monitor = database.monitor().__enter__()  # type: ignore[no-untyped-call]
        self._marks = 0

    def owners(self) -> set[str]:
        """Of all keys in the commands since the last time."""
        self._marks += 1
        mark, found = f"mark-{self._marks}", set()
        self._database.echo(mark)
        while mark not in (command := self._monitor.next_command()["command"]):
            found |= set(OWNED.findall(command))
        return found - SHARED

    def close(self) -> None:
        self._monitor.__exit__(None, None, None)


def assert_allowed(answer: Answer, target: str, shop: str | None, kind: str, *, private: bool) -> None:
    if shop is None:
        assert answer.status == 401, target
    elif private and kind == "public":
        assert answer.status == 403, target
    else:
        assert answer.status in {200, 400, 401, 403, 404, 409, 422}, (target, answer)


async def test_a_call_touches_and_tells_only_what_its_keys_shop_owns(application: Application, database: redis.Redis, long: bool) -> None:
    traffic, watch, done, calls = Traffic(7), Watch(database), 0, 100_000 if long else 5_000
    try:
        for _ in range(calls):
            key, shop, kind = traffic.key()
            method, target, private = traffic.target()
            body = traffic.members(shop or "demo", target) if method == "POST" else None
            answer = await call(application, method, target, bearer(key), AGENT, body=body)
            await application.services.counters.write()
            await application.services.store.client.drain()
            assert watch.owners() <= ({shop} if shop else set()), (target, body)
            assert_allowed(answer, target, shop, kind, private=private)
            told = set(re.findall(r"(?:product|label)-of-([a-z]+)", answer.body.decode()))
            assert told <= {shop}, (target, answer.body)
            done += answer.status == 200
            if answer.status == 200 and b'"token":"1' in answer.body and len(traffic.tokens) < 400:
                traffic.tokens.append(answer.json["token"])
    finally:
        watch.close()
    assert done > calls / 3
    assert {owner for line in dump(database) for owner in OWNED.findall(line)} - SHARED == set(SHOPS)


async def test_the_watch_sees_a_stranger(database: redis.Redis) -> None:
    watch = Watch(database)
    database.eval("return redis.call('get', KEYS[1])", 1, "id:v2:{other}:V:abc")
    assert watch.owners() == {"other"}
    database.set("id:v2:{demo}:orders", "1")
    assert watch.owners() == {"demo"}
    watch.close()


@pytest.mark.parametrize("path", ["/v1/exports", "/v1/erasures", "/v1/lookups", "/v1/events", "/v1/receipts"])
async def test_what_one_shop_holds_is_unknown_to_another_and_untouched_by_it(
    application: Application, database: redis.Redis, path: str
) -> None:
    granted = await call(application, "POST", "/v1/consents", bearer("demo-private-key"), body={"visitor": "v", "consent": "granted"})
    named: dict[str, Any] = {"visitor": "v", "email": "a@example.com", "sale": "1", "products": [1], "customer": "7", "labels": ["x"]}
    for target in ("/v1/links", "/v2/log/sale", "/v2/log/click"):
        body = named | {"product": 1, "token": granted.json["token"]} | ({"visitor": "v"} if target != "/v1/links" else {})
        await call(application, "POST", target, bearer("demo-private-key"), body=body)
    await application.services.counters.write()
    before = sorted(line for line in dump(database) if "{demo" in line)
    assert any("id:v2:{demo}:E:" in line for line in before)
    empty = None
    for body in ({"visitor": "v"}, {"visitor": "nobody"}):
        answer = await call(application, "POST", path, bearer("other-private-key"), body=body)
        told = re.sub(rb"nobody|\"v\"|\"reference\":\"[^\"]*\"", b"", answer.body) + str(answer.status).encode()
        empty = empty or told
        assert told == empty
    assert sorted(line for line in dump(database) if "{demo" in line) == before
