"""Nothing personal where it must not be: people through every call, then a search of everything that is kept or written."""

import base64
import binascii
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis

from identity_service.app import Application
from identity_service.model.handle import normalise_email
from identity_service.model.shop import ShopId
from identity_service.store.keys import REPAIR_LOCK
from tests.conftest import Clock, Shopper

pytestmark = pytest.mark.anyio
SHOP = ShopId("demo")


@dataclass
class Person:
    email: str = field(default_factory=lambda: f"{secrets.token_hex(10)}@canary.example")
    agent: str = field(default_factory=lambda: f"Mozilla/5.0 canary-{secrets.token_hex(10)}")
    number: int = 0
    visitor: str = ""
    token: str = ""
    others: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"198.51.{100 + self.number // 250}.{self.number % 250}"


def dump(database: redis.Redis) -> list[str]:
    """Every key with its whole value, and every layer that base64 hides."""
    found = []
    for key in database.scan_iter():
        readers: dict[str, Any] = {"string": database.get, "hash": database.hgetall, "set": database.smembers}
        kind = str(database.type(key))
        if kind == "list":
            value: Any = database.lrange(key, 0, -1)
        elif kind == "zset":
            value = database.zrange(key, 0, -1, withscores=True)
        elif kind == "stream":
            value = database.xrange(key)
        else:
            value = readers[kind](key)
        found.append(f"{key} {value}")
    return [text for line in found for text in (line, *layers(line))]


def layers(text: str) -> list[str]:
    opened = []
    for word in re.findall(r"[A-Za-z0-9+/_-]{16,}={0,2}", text):
        try:
            plain = base64.b64decode(word.replace("-", "+").replace("_", "/") + "=" * (-len(word.rstrip("=")) % 4))
        except (binascii.Error, ValueError):
            continue
        opened.append(plain.decode("latin-1"))
    return opened


def hits(needles: list[str], places: list[str]) -> list[str]:
    haystack = "\n".join(places).lower()
    return [needle for needle in needles if needle.lower() in haystack]


def clear_forms(person: Person) -> list[str]:
    """Never anywhere, in any mode."""
    hashed = hashlib.sha256(normalise_email(person.email).encode())
    return [person.email, person.agent, person.address, hashed.hexdigest(), hashlib.md5(person.email.encode()).hexdigest()]


async def live(shopper: Shopper, person: Person) -> None:
    """Every call once, errors too."""
    client = {"ip": person.address, "user_agent": person.agent}
    cookieless = (await shopper.post("/v1/visitors", {"client": client})).json()
    granted = (await shopper.post("/v1/consents", {"client": client, "consent": "granted", "token": cookieless["token"]})).json()
    person.visitor, person.token = granted["visitor"], granted["token"]
    person.others.append(cookieless["visitor"])
    named = {"visitor": person.visitor}
    await shopper.post("/v1/links", {"email": person.email, "token": person.token})
    await shopper.post("/v1/links", {"customer": str(7000 + person.number), "token": person.token})
    for body in ({"email": person.email}, named, {"emails": [person.email, "junk"]}):
        assert (await shopper.post("/v1/lookups", body)).status_code == 200
    await shopper.post("/v2/log/click", {"product": 1, "labels": ["Home"], **named})
    await shopper.post("/v2/log/email", {"email": person.email, "visitor": person.token})
    await shopper.post(
        "/v2/log/sale", {"sale": f"s{person.number}", "products": [1], "email": person.email, "customer": 7000 + person.number, **named}
    )
    await track(shopper, person, named)
    await shopper.post("/v1/exports", {"email": person.email})
    await shopper.post("/v1/receipts", named)
    await shopper.post("/v1/decisions", {"client": client, "token": person.token})
    await shopper.post("/v1/verifications", {"token": person.token})
    headers = {"x-forwarded-for": person.address, "user-agent": person.agent, "cookie": f"__Host-visitor={person.token}"}
    await shopper.browser("/v1/visitors", {}, **headers)
    await shopper.browser("/v1/visitors", {"visitor": person.email}, **headers)
    await shopper.post("/v1/links", {"email": f"{person.email}@", "visitor": person.agent[:10]})
    await shopper.post(f"/v1/nowhere/{person.email}?visitor={person.visitor}", {"email": person.email})
    await shopper.post("/v2/log/sale", {"sale": person.email, "products": person.agent})


async def track(shopper: Shopper, person: Person, named: dict[str, str]) -> None:
    """Emails where people and templates write them, too."""
    told = {"labels": [f"Mail to {person.email}"], "api": f"x/{person.email}", **named}
    await shopper.post("/v2/log/results", {"products": [1, 2], **told})
    await shopper.post("/v2/log/click", {"product": 2, **named})
    await shopper.post("/v2/log/click", {"product": 1, **told})
    await shopper.post("/v2/log/search", {"query": f"order of {person.email}", **told})
    await shopper.post("/v2/log/category", {"category": person.email, **named})
    await shopper.post("/v2/log/basket/set", {"products": [1], "email": person.email, **named})
    await shopper.post("/v2/log/debug", {"message": f"{person.email} {person.address}", **named})
    private = {"private_key": "demo-private-key", "key": "demo-public-key"}
    for call in ("privacy/info", "log/email", "misc/visitor_id"):
        query = {"email": person.email, "callback": "cb", **named, **private}
        assert (await shopper.client.get(f"/v2/{call}", params=query)).status_code == 200
    for path in ("/v1/orders", f"/v1/orders/s{person.number}/attribution", "/v1/calls"):
        assert (await shopper.client.get(path, headers={"authorization": "Bearer demo-private-key"})).status_code == 200
    await shopper.post("/v1/events", named)


async def test_nothing_personal_is_kept_or_written(
    shopper: Shopper, application: Application, clock: Clock, database: redis.Redis, capsys: pytest.CaptureFixture[str], long: bool
) -> None:
    leaving, staying = (200, 20) if long else (40, 4)
    people = [Person(number=number) for number in range(leaving + staying)]
    for person in people:
        await live(shopper, person)
    written = ["".join(capsys.readouterr()), (await shopper.client.get("/metrics")).text]
    every = [needle for person in people for needle in clear_forms(person)]
    assert hits(every, [*dump(database), *written]) == []
    assert hits([needle for person in people for needle in (person.visitor, person.token)], written) == []
    assert all(hits([person.visitor], dump(database)) for person in people[:3])

    for person in people[: leaving // 2]:
        assert (await shopper.post("/v1/visitors", {"token": person.token, "consent": "refused"})).status_code == 200
    for person in people[leaving // 2 : leaving]:
        for name, value, visitors in (("email", person.email, 0), ("customer", str(7000 + person.number), 1)):
            assert (await shopper.post("/v1/erasures", {name: value})).json()["erased"]["visitors"] == visitors
    for _ in range(2):
        clock.forward(61)
        database.delete(REPAIR_LOCK)
        await application.keep_up()
    left = dump(database)
    removed = [needle for person in people[:leaving] for needle in (person.visitor, person.token, email_digest(application, person))]
    assert hits(removed, left) == []
    assert hits(removed, ["".join(capsys.readouterr())]) == []
    assert list(database.scan_iter("id:v2:{*}:Q*")) == []
    for person in people[leaving:]:
        assert [one["visitor"] for one in await shopper.visitors(email=person.email)] == [person.visitor]
    immortal = [key for key in database.scan_iter() if database.ttl(key) < 0]
    assert set(immortal) <= {"id:v2:{demo}:rewrite"}


def email_digest(application: Application, person: Person) -> str:
    return application.services.handles.of_email(SHOP, person.email).digest


def test_the_search_finds_what_is_planted(database: redis.Redis) -> None:
    needle = "198.51.100.77"
    hidden = base64.b64encode(f"xx{needle}xx".encode()).decode()
    plants: list[Any] = [
        lambda: database.set("a", needle),
        lambda: database.hset("a", needle, "1"),
        lambda: database.hset("a", "field", f'{{"json": "{needle}"}}'),
        lambda: database.lpush("a", needle),
        lambda: database.sadd("a", needle),
        lambda: database.zadd("a", {needle: 1}),
        lambda: database.xadd("a", {"field": needle}),
        lambda: database.set("a", hidden),
        lambda: database.set(f"key:{needle}", "1"),
    ]
    for plant in plants:
        database.flushall()
        plant()
        assert hits([needle], dump(database)) == [needle]
    assert hits([needle.upper()], [f"a log line with {needle}"])
