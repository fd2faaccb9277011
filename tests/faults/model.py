"""What a shop's store is to hold after each operation, in plain words: who is gone, who is linked to whom, and whom orders name."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from identity_service.model.link import LinkCaps, parse_link
from identity_service.store.sales import unpacked
from identity_service.store.visitors import NAME_LENGTH
from tests.faults.whole import Dump
from tests.faults.world import KEPT, SHOP

RANK = "utv"
"""Letters of proofs, the weakest first."""


@dataclass(frozen=True)
class Person:
    """`gone`, `granted`: milliseconds since 1970, 0 for not. `kind`: of its record, empty for none."""

    gone: int = 0
    kind: str = ""
    granted: int = 0
    refused: bool = False
    events: int = 0


@dataclass(frozen=True)
class Linked:
    """`proof` by its letter; `last`: seconds since 1970."""

    proof: str
    last: int


@dataclass(frozen=True)
class Order:
    """`names`: of handles."""

    time: int
    visitor: str | None
    names: frozenset[str]


@dataclass
class Model:
    """`links`: by name of the handle and visitor."""

    people: dict[str, Person] = field(default_factory=dict)
    links: dict[tuple[str, str], Linked] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)

    def copy(self) -> "Model":
        return Model(dict(self.people), dict(self.links), dict(self.orders))

    def of(self, visitor: str) -> Person:
        return self.people.get(visitor, Person())

    def change(self, visitor: str, **fields: object) -> None:
        self.people[visitor] = replace(self.of(visitor), **fields)  # type: ignore[arg-type]

    def drop_links(self, visitor: str) -> None:
        self.links = {pair: link for pair, link in self.links.items() if pair[1] != visitor}

    def link(self, name: str, visitor: str, proof: str, now: int, caps: LinkCaps) -> str:
        """Returns linked, or why not: forbidden or full."""
        person, held = self.of(visitor), self.links.get((name, visitor))
        if person.gone or person.refused:
            return "forbidden"
        if not held:
            at_handle = {pair: link for pair, link in self.links.items() if pair[0] == name}
            at_visitor = {pair: link for pair, link in self.links.items() if pair[1] == visitor and pair[0][0] == name[0]}
            for links, cap in ((at_handle, caps.visitors_per_handle), (at_visitor, caps.emails_per_visitor)):
                if not _room(links, cap, proof):
                    return "full"
            for links, cap in ((at_handle, caps.visitors_per_handle), (at_visitor, caps.emails_per_visitor)):
                for pair in _giving_way(links, cap, proof):
                    del self.links[pair]
        weaker = held and RANK.index(proof) < RANK.index(held.proof)
        self.links[name, visitor] = held if held and weaker else Linked(proof, now)
        self.change(visitor, kind=person.kind or "c")
        return "linked"

    def grant(self, visitor: str, at: int, *, refused: bool, said_now: bool) -> str:
        person = self.of(visitor)
        if person.gone >= at:
            return "gone"
        if person.granted > at:
            return "older"
        refused |= person.refused and not said_now
        self.change(visitor, gone=0, kind="p", granted=at, refused=refused)
        if refused:
            self.drop_links(visitor)
        return "granted"

    def refuse_linking(self, visitor: str) -> None:
        if not self.of(visitor).gone:
            self.change(visitor, kind=self.of(visitor).kind or "c", refused=True)
            self.drop_links(visitor)

    def withdraw(self, visitor: str, at: int) -> None:
        person = self.of(visitor)
        self.people[visitor] = Person(gone=max(at, person.gone, person.granted))
        self.drop_links(visitor)
        for sale, order in self.orders.items():
            if order.visitor == visitor:
                self.orders[sale] = Order(order.time, None, frozenset())

    def time_of_erasure(self, name: str, at: int) -> int:
        times = [link.last for (one, _), link in self.links.items() if one == name]
        times += [order.time for order in self.orders.values() if name in order.names]
        return max(at, *(time * 1000 + 999 for time in [0, *times]))

    def erase(self, name: str, at: int, *, unproven: bool) -> None:
        """`at`: as it is noted. Visitors that the handle alone holds by proof go whole."""
        for (one, visitor), link in list(self.links.items()):
            if one == name and link.last * 1000 <= at:
                self._erase(name, visitor, link.proof != "u", at, unproven=unproven)
        for sale, order in self.orders.items():
            if order.time <= at // 1000:
                self.orders[sale] = replace(order, names=order.names - {name})

    def _erase(self, name: str, visitor: str, proven: bool, at: int, *, unproven: bool) -> None:
        by_proof = [one for (one, who), link in self.links.items() if who == visitor and link.proof != "u"]
        alone = set(by_proof) == ({name} if proven else set())
        if alone and (proven or unproven) and self.of(visitor).granted <= at:
            self.withdraw(visitor, at)
        else:
            del self.links[name, visitor]

    def click(self, visitor: str) -> str:
        if self.of(visitor).gone:
            return "gone"
        self.change(visitor, events=min(self.of(visitor).events + 1, KEPT.most))
        return "kept"

    def sell(self, sale: str, visitor: str | None, names: list[str], proof: str, now: int, caps: LinkCaps, most_sales: int) -> str:
        if sale in self.orders:
            return "known"
        if visitor and self.of(visitor).gone:
            visitor, names = None, []
        if visitor and names and self.of(visitor).refused:
            names = []
        if visitor:
            self.click(visitor)
            for name in names:
                self.link(name, visitor, proof, now, caps)
        for one in (visitor, *names):
            listed = [sale for sale, order in self.orders.items() if one and one in (order.visitor, *order.names)]
            if len(listed) >= most_sales:
                oldest = min(listed, key=lambda sale: self.orders[sale].time)
                self.orders[oldest] = Order(self.orders[oldest].time, None, frozenset())
        self.orders[sale] = Order(now, visitor, frozenset(names))
        return "sold"


def _places(cap: int, proof: str) -> int:
    return cap if proof == "v" else cap // 2


def _weaker(links: dict[tuple[str, str], Linked], proof: str) -> list[tuple[str, str]]:
    """Those that may give way, the first one first."""
    ranked = sorted(links, key=lambda pair: (RANK.index(links[pair].proof), links[pair].last))
    return [pair for pair in ranked if RANK.index(links[pair].proof) < RANK.index(proof)]


def _room(links: dict[tuple[str, str], Linked], cap: int, proof: str) -> bool:
    return len(links) < _places(cap, proof) or bool(_weaker(links, proof))


def _giving_way(links: dict[tuple[str, str], Linked], cap: int, proof: str) -> list[tuple[str, str]]:
    return [] if len(links) < _places(cap, proof) else _weaker(links, proof)[:1]


def observed(dump: Dump, digests: Mapping[str, str]) -> Model:
    """As it is stored. `digests`: of each visitor."""
    found = Model()
    values = {(kind, own): value for (shop, kind, own), value in dump.items() if shop == SHOP}
    for digest, visitor in digests.items():
        record, events = values.get(("V", digest), {}), values.get(("V:events", digest), [])
        gone, granted = int(values.get(("V:gone", digest), 0)), int(record.get("g", 0))
        person = Person(gone, record.get("k", ""), granted, record.get("n") == "refused", len(events))
        found.people |= {} if person == Person() else {visitor: person}
        for name in (one for one in record if len(one) == NAME_LENGTH):
            link = parse_link(visitor, values["E", name[1:]][visitor])
            found.links[name, visitor] = Linked(link.proof.letter, link.last_seen)
    for (kind, _), value in values.items():
        if kind == "S":
            sale = unpacked(value)
            names = frozenset(sale[one] for one in ("email", "customer") if one in sale)
            found.orders[sale["sale"]] = Order(int(sale["time"]), sale.get("visitor"), names)
    return found
