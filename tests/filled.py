"""A store that holds every kind of key, filled by the calls that shops make, and everything that callers can read of it."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx

from identity_service.app import Application
from identity_service.model.handle import Handles
from identity_service.model.shop import ShopId
from identity_service.settings.load import load
from identity_service.store.redis.command import write
from tests.conftest import Clock, Shopper
from tests.stores import PATIENT_STORE

SHOP = ShopId("demo")
OLD, NEW, NEWEST = "development-only-pepper-of-the-demo-shops-00000001--", "N" * 43, "M" * 43
PEOPLE = 12


def environment(url: str, *peppers: str) -> dict[str, str]:
    """`peppers`: oldest first."""
    *former, pepper = peppers
    told = PATIENT_STORE | {
        "IDENTITY_STORE__URL": url,
        "IDENTITY_SECRETS__PEPPER": pepper,
        "IDENTITY_SECRETS__FORMER_PEPPERS": json.dumps(former),
    }
    return told | {
        "IDENTITY_SHOPS__DEMO__REMOVALS_KEY": "R" * 43,
        "IDENTITY_LIMITS__ENABLED": "false",
        "IDENTITY_STORE__TIMEOUT_SECONDS": "10",
    }


@asynccontextmanager
async def service(url: str, clock: Clock, *peppers: str) -> AsyncIterator[tuple[Application, Shopper]]:
    application = Application(load("development", environment(url, *peppers)), clock)
    transport = httpx.ASGITransport(application, client=("203.0.113.7", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
        yield application, Shopper(client)
    await application.services.store.client.close()


@dataclass
class Person:
    number: int
    visitor: str = ""
    token: str = ""
    cookieless: str = ""

    @property
    def email(self) -> str:
        return f"person{self.number}@moved.example"

    @property
    def customer(self) -> str:
        return str(7000 + self.number)

    @property
    def client(self) -> dict[str, str]:
        return {"ip": f"198.51.100.{self.number}", "user_agent": "Mozilla/5.0"}


async def fill(application: Application, shopper: Shopper, clock: Clock) -> list[Person]:
    people = [Person(number) for number in range(PEOPLE)]
    for person in people:
        await _live(shopper, person, clock)
    await shopper.post("/v1/links", {"email": people[0].email, "visitor": "own-id"})
    await shopper.post("/v1/links", {"email": people[1].email, "visitor": people[0].visitor})
    await shopper.post("/v1/unlinks", {"email": people[2].email, "visitor": people[2].visitor})
    await shopper.post("/v1/erasures", {"email": people[3].email})
    await shopper.post("/v1/visitors", {"token": people[4].token, "consent": "refused"})
    asked = (await shopper.post("/v1/sale-opt-ins", {"token": people[8].token})).json()
    await shopper.post("/v1/sale-opt-ins", {"confirmation": asked["confirmation"]})
    await shopper.post("/v2/log/click", {})
    application.services.counters.days.count_click(SHOP, ["Home"])
    await shopper.client.get("/v1/calls", headers={"authorization": "Bearer demo-private-key"})
    await shopper.post("/v1/lookups", {"email": people[5].email})
    await shopper.client.post("/admin/signin", data={"private_key": "demo-private-key"}, headers={"origin": "http://service.test"})
    await application.services.audit.write()
    await _cut_off(application, people[7])
    return people


async def _live(shopper: Shopper, person: Person, clock: Clock) -> None:
    before = (await shopper.post("/v1/visitors", {"client": person.client})).json()
    person.cookieless = before["visitor"]
    await shopper.post("/v2/log/click", {"product": 1, "labels": ["Home"], "visitor": before["token"]})
    granted = {"client": person.client, "consent": "granted", "token": before["token"]}
    after = (await shopper.post("/v1/consents", granted)).json()
    person.visitor, person.token = after["visitor"], after["token"]
    clock.forward(2)
    chosen = {"purposes": {"storage": "granted", "measurement": "granted"}, "policy_version": "2"}
    await shopper.post("/v1/consents", {"client": person.client, "consent": chosen, "token": person.token})
    await shopper.post("/v1/links", {"customer": person.customer, "token": person.token})
    await shopper.post("/v2/log/click", {"product": 2, "labels": ["Search"], "visitor": person.token})
    sale = {"sale": f"sale-{person.number}", "products": [1, 2], "email": person.email, "visitor": person.token}
    assert (await shopper.post("/v2/log/sale", sale)).json() == {"status": "ok"}


async def _cut_off(application: Application, person: Person) -> None:
    """What a crash leaves: an erasure that was only noted."""
    store, now = application.services.store, application.services.links.now()
    handle = application.services.handles.of_customer(SHOP, person.customer)
    await store.client.run(write("ZADD", store.keys.erasures(SHOP), now, f"e {handle.name} nonce"))


async def picture(shopper: Shopper, people: list[Person]) -> dict[str, Any]:
    """Everything that can be read, none of it changed by reading."""
    asked = [{"email": person.email} for person in people] + [{"customer": person.customer} for person in people]
    asked += [{"visitor": visitor} for person in people for visitor in (person.visitor, person.cookieless, "own-id")]
    found = await told_of(shopper, asked)
    for person in people:
        found[f"verify {person.number}"] = (await shopper.post("/v1/verifications", {"token": person.token})).json()
    return found


async def told_of(shopper: Shopper, asked: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """All that the calls tell of these emails, customer IDs and visitors, and of the shop."""
    found: dict[str, Any] = {}
    for named in asked:
        for path in ("lookups", "exports", *(["receipts", "events"] if "visitor" in named else [])):
            found[f"{path} {named}"] = (await shopper.post(f"/v1/{path}", named)).json()
    orders = (await _get(shopper, "/v1/orders"))["orders"]
    found["orders"] = sorted(orders, key=lambda order: str(order["sale"]))
    for order in orders:
        found[f"why {order['sale']}"] = await _get(shopper, f"/v1/orders/{order['sale']}/attribution")
    for path in ("labels", "products", "calls", "figures"):
        found[path] = await _get(shopper, f"/v1/{path}")
    return found


async def _get(shopper: Shopper, path: str) -> dict[str, Any]:
    answer = await shopper.client.get(path, headers={"authorization": "Bearer demo-private-key"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def digests(people: list[Person], *peppers: str) -> list[str]:
    """Of every email and customer ID, in the same order under any peppers."""
    handles = Handles(*peppers)
    return [handle.digest for one in people for handle in (handles.of_email(SHOP, one.email), handles.of_customer(SHOP, one.customer))]


def under(found: Mapping[str, Any], before: list[str], after: list[str]) -> dict[str, Any]:
    """A picture as it is when these digests have taken the place of those; lists of them are shown sorted."""
    text = json.dumps(found)
    for old, new in zip(before, after, strict=True):
        text = text.replace(old, new)
    return {name: _sorted(one) for name, one in json.loads(text).items()}


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: sorted(one) if name in {"emails", "customers"} else _sorted(one) for name, one in value.items()}
    if isinstance(value, list):
        return sorted((_sorted(one) for one in value), key=json.dumps)
    return value
