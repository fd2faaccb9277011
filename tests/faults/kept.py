"""What the service kept of a history, read twice over: directly from the store, and through the public API."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import redis

from identity_service.model.handle import Handles
from identity_service.model.shop import ShopId
from identity_service.settings.load import load
from identity_service.store.events import unpacked as unpacked_event
from identity_service.store.keys import PREFIX, Keys, links_in
from identity_service.store.sales import unpacked
from identity_service.store.visitors import NAME_LENGTH
from tests.faults.connection import Connection
from tests.faults.history import Operation
from tests.faults.load import SHOPS, key_of

NAME = re.compile(PREFIX + r"\{(?P<shop>\w+)\}:(?P<letter>[VESQ])(?::(?P<digest>[^:]+))?(?::(?P<part>\w+))?")
READERS = 8
RECOVERY_SECONDS = 30
HANDLES = Handles(load("development", {}).secrets.pepper)


@dataclass(frozen=True, slots=True)
class Order:
    """None where it names nobody. `product` tells which call's content it is."""

    visitor: str | None
    email: str | None
    product: str


@dataclass(slots=True)
class Kept:
    """Of one shop. Links and pointers are pairs of email and visitor, clicks pairs of visitor and product; `orders` are pairs, since a
    sale ID that is there twice is a fault, as `twice` tells of events. `unnamed`: records under digests of IDs that no operation tells;
    `strangers`: whatever else no operation of any shop speaks of; `open`: erasures that repair has to end."""

    links: set[tuple[str, str]] = field(default_factory=set)
    pointers: set[tuple[str, str]] = field(default_factory=set)
    clicks: set[tuple[str, str]] = field(default_factory=set)
    records: set[str] = field(default_factory=set)
    persistent: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    orders: list[tuple[str, Order]] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)


class Names:
    """What stands behind the digests of one shop, from what was ever said to any shop."""

    def __init__(self, shop: str, operations: Iterable[Operation]) -> None:
        keys, shop_id = Keys(HANDLES), ShopId(shop)
        told = [one.arguments for one in operations]
        self.emails = {HANDLES.of_email(shop, email).digest: email for email in {one["email"] for one in told if one.get("email")}}
        self.visitors = {keys.visitor_digest(shop_id, one): one for one in {one["visitor"] for one in told if one.get("visitor")}}
        self.sales = {keys.sale_digest(shop_id, one): one for one in {one["sale"] for one in told if one.get("sale")}}


def dumped(database: redis.Redis, operations: list[Operation]) -> dict[str, Kept]:
    """By shop, from every key of the store."""
    found = {shop: Kept() for shop in SHOPS}
    names = {shop: Names(shop, operations) for shop in SHOPS}
    for key, value in _everything(database).items():
        name = NAME.fullmatch(key)
        if name and name["letter"] == "Q":
            found[name["shop"]].open += value
        elif name:
            shop = name["shop"]
            READ[name["letter"]](found[shop], names[shop], name["digest"], name["part"], value)
    return found


def _everything(database: redis.Redis) -> dict[str, Any]:
    """Hashes, lists, sorted sets and sales with their values, other keys without, in the order of keys."""
    keys = sorted(database.scan_iter(match=f"{PREFIX}*", count=1000))
    kinds, values = database.pipeline(transaction=False), database.pipeline(transaction=False)
    for key in keys:
        kinds.type(key)
    for key, kind in zip(keys, kinds.execute(), strict=True):
        if kind == "hash":
            values.hgetall(key)
        elif kind == "string" and ":S:" in str(key):
            values.get(key)
        elif kind in {"list", "zset"}:
            (values.lrange if kind == "list" else values.zrange)(key, 0, -1)
        else:
            values.exists(key)
    return dict(zip(keys, values.execute(), strict=True))


def _read_visitor(kept: Kept, names: Names, digest: str, part: str | None, value: Any) -> None:
    """Each event is told apart by the product clicked or the sale's ID."""
    visitor = names.visitors.get(digest)
    if visitor is None:
        (kept.unnamed if part is None else kept.strangers).append(f"V {digest} {part}")
    elif part == "gone":
        kept.gone.add(visitor)
    elif part == "events":
        events = Counter(event.text or str(event.products[0]) for event in (unpacked_event(one, {}) for one in value))
        kept.clicks |= {(visitor, event) for event in events if event.startswith("c")}
        kept.twice += [f"{event} of {visitor}" for event, times in events.items() if times > 1]
    elif part is None:
        kept.records.add(visitor)
        kept.persistent |= {visitor} if value["k"] == "p" else set()
        pointers = [name for name in value if len(name) == NAME_LENGTH]
        kept.strangers += [f"pointer of {visitor}" for name in pointers if name[1:] not in names.emails]
        kept.pointers |= {(names.emails[name[1:]], visitor) for name in pointers if name[1:] in names.emails}


def _read_handle(kept: Kept, names: Names, digest: str, part: str | None, value: Any) -> None:
    email = names.emails.get(digest)
    if email is None:
        kept.strangers.append(f"E {digest}")
    elif part is None:
        kept.links |= {(email, visitor) for visitor in links_in(value)}


def _read_sale(kept: Kept, names: Names, digest: str, part: str | None, stored: str) -> None:
    sale = unpacked(stored)
    email = names.emails.get(sale["email"][1:], "of a stranger") if "email" in sale else None
    product = re.findall(r'"(i\d+)"', sale["products"])
    kept.orders.append((sale["sale"], Order(sale.get("visitor"), email, product[0])))
    if names.sales.get(digest) != sale["sale"]:
        kept.strangers.append(f"S {digest}")


READ = {"V": _read_visitor, "E": _read_handle, "S": _read_sale}


def told(url: str, operations: list[Operation]) -> dict[str, Kept]:
    """By shop, from what the API answers. It tells no gone marks, no pointers, no notes, and no emails of orders."""
    return asyncio.run(_told(url, operations))


async def _told(url: str, operations: list[Operation]) -> dict[str, Kept]:
    connection, found = Connection(url, 30), {}
    for shop in SHOPS:
        found[shop] = kept = Kept()
        visitors = sorted({one.visitor for one in operations if one.shop == shop and one.visitor})
        emails = sorted({one.email for one in operations if one.email})
        kept.links = await _told_links(connection, shop, emails)
        kept.orders = await _told_orders(connection, shop)
        parts = [visitors[start::READERS] for start in range(READERS)]
        for exported in await asyncio.gather(*(_exported(url, shop, part) for part in parts)):
            for visitor, export in exported.items():
                kept.persistent |= {visitor} if export.get("mode") == "persistent" else set()
                kept.clicks |= {(visitor, event["products"][0]) for event in export["events"] if event["type"] == "click"}
    connection.close()
    return found


async def _told_links(connection: Connection, shop: str, emails: list[str]) -> set[tuple[str, str]]:
    found = set()
    for start in range(0, len(emails), 5000):
        asked = emails[start : start + 5000]
        answer = await _asked(connection, shop, "/v1/lookups", {"emails": asked})
        for email, result in zip(asked, answer["results"], strict=True):
            found |= {(email, one["visitor"]) for one in result["visitors"]}
    return found


async def _told_orders(connection: Connection, shop: str) -> list[tuple[str, Order]]:
    found, path = [], "/v1/orders"
    while path:
        page = await _asked(connection, shop, path)
        found += [(one["sale"], Order(one["visitor"], None, one["products"][0]["id"])) for one in page["orders"]]
        path = f"/v1/orders?cursor={page['next']}" if page["next"] else ""
    return found


async def _exported(url: str, shop: str, visitors: list[str]) -> dict[str, Any]:
    connection, found = Connection(url, 30), dict[str, Any]()
    for visitor in visitors:
        answer = await _asked(connection, shop, "/v1/exports", {"visitor": visitor})
        found |= {one["visitor"]: one for one in answer["visitors"]}
    connection.close()
    return found


async def _asked(connection: Connection, shop: str, path: str, body: object = None) -> Any:
    """Repeated while the service has not recovered; raises TimeoutError for one that does not."""
    async with asyncio.timeout(RECOVERY_SECONDS):
        while True:
            status, answer = await connection.call(path, key_of(shop), body)
            if status != 503:
                assert status == 200, answer
                return answer
            await asyncio.sleep(0.1)
