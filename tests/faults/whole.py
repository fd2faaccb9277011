"""What must hold in a store after every step of every call, without any repair; found out from all its keys."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import redis

from identity_service.model.link import LinkCaps, parse_link
from identity_service.model.shop import ShopId
from identity_service.ops.kinds import KINDS, UnknownKeyError, name_of
from identity_service.store.keys import Keys, is_of_the_store, links_in
from identity_service.store.sales import unpacked
from identity_service.store.visitors import NAME_LENGTH

READ: dict[str, Callable[[Any, str], Any]] = {
    "string": lambda pipe, key: pipe.get(key),
    "hash": lambda pipe, key: pipe.hgetall(key),
    "list": lambda pipe, key: pipe.lrange(key, 0, -1),
    "zset": lambda pipe, key: pipe.zrange(key, 0, -1, withscores=True),
}
Dump = dict[tuple[str, str, str], Any]
"""Shop, kind, and digest or whatever else tells a key from others → value."""


def dumped(database: redis.Redis) -> Dump:
    """Raises AssertionError for a key of no known kind, or of another type than its kind has."""
    keys = sorted(str(key) for key in database.scan_iter(count=1000) if not is_of_the_store(str(key)))
    types, values = database.pipeline(transaction=False), database.pipeline(transaction=False)
    for key in keys:
        types.type(key)
    names = []
    for key, type_ in zip(keys, types.execute(), strict=True):
        try:
            names.append(name_of(key.encode()))
        except UnknownKeyError:
            raise AssertionError(f"{key} is of no known kind") from None
        assert type_ == KINDS[names[-1].kind].type, f"{key} is a {type_}"
        READ[type_](values, key)
    return {(one.owner.decode(), one.kind, one.own.decode()): value for one, value in zip(names, values.execute(), strict=True)}


def faults_of(dump: Dump, keys: Keys, caps: LinkCaps) -> list[str]:
    """What does not hold, in words."""
    shops = sorted({shop for shop, _, _ in dump})
    checks = (directions, ends, counts, remains, indexes, ranks, fullness, listing)
    return [fault for shop in shops for check in checks for fault in check(Shop(shop, dump, keys), caps)]


@dataclass(frozen=True)
class Shop:
    shop: str
    dump: Dump
    keys: Keys

    def of(self, kind: str) -> dict[str, Any]:
        """By digest. Links and sales of a handle apart, as E and E:sales; scores of sales by their digests."""
        stored = "E" if kind == "E:sales" else kind
        found = {own: value for (shop, one, own), value in self.dump.items() if (shop, one) == (self.shop, stored)}
        if kind in {"V:sales", "E:sales"}:
            return {own: {one[1:]: int(score) for one, score in value.items() if one[0] == "$"} for own, value in found.items()}
        if kind == "E":
            return {own: links_in(value) for own, value in found.items()}
        return {own: unpacked(value) for own, value in found.items()} if kind == "S" else found

    def digest(self, visitor: str) -> str:
        return self.keys.visitor_digest(ShopId(self.shop), visitor)

    def pointers(self) -> dict[str, dict[str, str]]:
        """Of each record, name of the handle → letter of the proof."""
        return {own: {name: value for name, value in record.items() if len(name) == NAME_LENGTH} for own, record in self.of("V").items()}


def directions(shop: Shop, caps: LinkCaps) -> Iterator[str]:
    """Who a handle names points to it, and by the same proof; and the other way round."""
    links = {(handle, shop.digest(visitor), link[-1]) for handle, links in shop.of("E").items() for visitor, link in links.items()}
    pointers = [(name[1:], visitor, proof) for visitor, names in shop.pointers().items() for name, proof in names.items()]
    yield from (f"link without its pointer: {one}" for one in sorted(links - set(pointers)))
    yield from (f"pointer without its link: {one}" for one in sorted(set(pointers) - links))
    yield from (f"two pointers for one link: {one}" for one in sorted(set(pointers)) if pointers.count(one) > 1)


def ends(shop: Shop, caps: LinkCaps) -> Iterator[str]:
    """A link ends with its visitor's record."""
    records = shop.of("V")
    for handle, links in shop.of("E").items():
        for visitor, text in links.items():
            record, link = records.get(shop.digest(visitor), {}), parse_link(visitor, text)
            if "x" in record and link.expires != int(record["x"]):
                yield f"link of {handle} and {visitor} ends at {link.expires}, the record at {record['x']}"


def counts(shop: Shop, caps: LinkCaps) -> Iterator[str]:
    """A record knows how many emails and customer IDs it points to, and how many of them without proof."""
    records = shop.of("V")
    for visitor, names in shop.pointers().items():
        record = records[visitor]
        for letter, unproven in (("e", "i"), ("c", "j")):
            proofs = [proof for name, proof in names.items() if name[0] == letter]
            told = int(record.get(letter, 0)), int(record.get(unproven, 0))
            if told != (len(proofs), proofs.count("u")):
                yield f"{visitor} counts {letter}, {unproven} as {told}, and points to {names}"


def remains(shop: Shop, caps: LinkCaps) -> Iterator[str]:
    """Of whom has withdrawn or was erased there is the mark alone."""
    gone = set(shop.of("V:gone"))
    for kind in ("V", "V:events", "V:receipts", "V:sales"):
        yield from (f"{kind} of {visitor}, who is gone" for visitor in sorted(gone & set(shop.of(kind))))
    linked = {(handle, visitor) for handle, links in shop.of("E").items() for visitor in links}
    yield from (f"link of {visitor}, who is gone" for _, visitor in sorted(linked) if shop.digest(visitor) in gone)
    sold = [sale["visitor"] for sale in shop.of("S").values() if "visitor" in sale]
    yield from (f"sale of {visitor}, who is gone" for visitor in sold if shop.digest(visitor) in gone)


def indexes(shop: Shop, caps: LinkCaps) -> Iterator[str]:
    """A sale that names a visitor or a handle is found by it, and none that does not."""
    for kind, fields in (("V:sales", ("visitor",)), ("E:sales", ("email", "customer"))):
        named = {(sale[field], own) for own, sale in shop.of("S").items() for field in fields if field in sale}
        named = {(shop.digest(who) if kind == "V:sales" else who[1:], own) for who, own in named}
        indexed = {(own, sale) for own, sales in shop.of(kind).items() for sale in sales}
        yield from (f"{kind} lacks {one}" for one in sorted(named - indexed))
        yield from (f"{kind} tells {one}, which does not name it" for one in sorted(indexed - named))


BELOW = {"key": 0, "token": 2**32, "none": 2**33}
"""How far below its time a sale stands in the lists, by what it was said with."""


def ranks(shop: Shop, caps: LinkCaps) -> Iterator[str]:
    """A sale stands in every list at its time, below all that was said with more proof."""
    sold = shop.of("S")
    for kind in ("V:sales", "E:sales"):
        for own, sales in shop.of(kind).items():
            for digest, score in sales.items():
                sale = sold.get(digest, {})
                proof = "key" if "verified" in sale else "token" if "by_token" in sale else "none"
                if sale and score != int(sale["time"]) - BELOW[proof]:
                    yield f"{kind} of {own} tells {digest} at {score}, which was said with {proof} at {sale['time']}"


def fullness(shop: Shop, caps: LinkCaps) -> Iterator[str]:
    """Links that no key made never take the last half of a cap."""
    for handle, links in shop.of("E").items():
        yield from _too_many(handle, [link[-1] for link in links.values()], caps.visitors_per_handle)
    for visitor, names in shop.pointers().items():
        for letter in "ec":
            yield from _too_many(visitor, [proof for name, proof in names.items() if name[0] == letter], caps.emails_per_visitor)


def _too_many(who: str, proofs: list[str], cap: int) -> Iterator[str]:
    if len(proofs) > cap or len(proofs) - proofs.count("v") > cap // 2:
        yield f"{who} holds {proofs}, where {cap} are the most"


def listing(shop: Shop, caps: LinkCaps) -> Iterator[str]:
    """Every order is in the shop's list."""
    listed = {sale for orders in shop.of("orders").values() for sale, _ in orders}
    yield from (f"sale {own} is not listed" for own in sorted(set(shop.of("S")) - listed))
