"""A store of the first schema, every key and value as its last version wrote it, and of each step one that a crash left open.

Its visitors are called by what became of them. `LINKED`, `GONE`, `UNKNOWN`, `SALES` say what there is once nothing is half done.
"""

from collections.abc import Mapping
from typing import Any

from identity_service.model.handle import Handle, Handles
from identity_service.ops.blocking import direct
from tests.filled import OLD, SHOP

NOW = 1_795_000_000
MS = NOW * 1000
"""What was noted, was so in this millisecond, or in those around it."""
DAY = 86_400
CONSENT, RECORD, GONE_LIFE, SALE_LIFE, RECEIPT_LIFE = 390 * DAY, 420 * DAY, 400 * DAY, 400 * DAY, 1_095 * DAY
SALT = "FtWcpoLrp8rZ_OWt3omvvUsP2zGgs4J9r0LDFP2eG2I="
CLICK = '{"type":"click","time":1794999990,"products":[1],"labels":["Home"]}'
REASON = '[{"product":1,"labels":["Home"],"api":null,"clicked_at":1794999990}]'
RECEIPT = (
    '{"receipt_id":"%s","time":1794999980,"mode":"persistent","purposes":{"storage":"granted","measurement":"granted","linking":"granted"},'
    '"source":"plain","policy":"standard","policy_version":"2","visitor_digest":"yDXvqg_HyjrWJ3oq4E64yg","signature":"av2G1A.NwyIkrIs1C9j"}'
)

LINKED: Mapping[str, Mapping[str, str]] = {
    "kept@first.example": {"kept": "key", "own-id": "key"},
    "7001": {"kept": "token"},
    "other@first.example": {"kept": "none"},
    "unlinked@first.example": {},
    "second@first.example": {"unlinked": "key"},
    "announced@first.example": {"linked-twice": "key"},
    "erased@first.example": {"linked-since": "key"},
    "shared@first.example": {"shared": "key"},
    "7002": {},
    "reached@first.example": {},
    "leaving@first.example": {},
    "7003": {},
    "half@first.example": {},
    "back@first.example": {},
    "back-again@first.example": {"back": "key"},
    "joined@first.example": {},
    "idle@first.example": {"idle": "key"},
    "refusing@first.example": {"allowing": "key"},
    "buyer@first.example": {"buyer": "key"},
}
"""By email or customer ID."""
GONE: Mapping[str, int] = {
    "withdrawn": MS - 9_000,
    "alone": MS + 1,
    "begun": MS + 1,
    "loose": MS + 2,
    "leaving": MS + 3,
    "half": MS + 4,
    "joined": MS + 5,
    "cut-off": MS - 8_000,
}
"""When they went, in ms."""
UNLINKED = frozenset({"announced", "revoked", "unproven", "granted-since", "refusing"})
"""They stay, and are linked to nobody."""
SALES: Mapping[str, tuple[str | None, str | None]] = {
    "kept-1": ("kept", "kept@first.example"),
    "guest-1": (None, None),
    "alone-1": (None, None),
    "leaving-1": (None, None),
    "repeated-1": ("kept", "leaving@first.example"),
    "half-1": (None, None),
    "buyer-1": ("buyer", "buyer@first.example"),
    "cut-off-1": (None, None),
}
"""Visitor and email that each names."""


def handle_of(handles: Handles, text: str) -> Handle:
    return handles.of_email(SHOP, text) if "@" in text else handles.of_customer(SHOP, text)


class _Planting:
    def __init__(self, client: Any, handles: Handles) -> None:
        self.client = client
        self.handles = handles
        self.notes: dict[str, int] = {}

    def digest(self, kind: str, text: str) -> str:
        return self.handles.digest(kind, SHOP, text)

    def key(self, kind: str, own: str) -> str:
        return f"id:v1:{kind}{{demo:{own}}}"

    def of(self, visitor: str) -> str:
        return self.key("V", self.digest("visitor", visitor))

    def at(self, text: str) -> str:
        return self.key("E", handle_of(self.handles, text).digest)

    def hash(self, key: str, life: int, **fields: str | int) -> None:
        self.client.hset(key, mapping=fields)
        if life:
            self.client.expire(key, life)

    def text(self, key: str, text: str, life: int) -> None:
        self.client.set(key, text, ex=life)

    def index(self, key: str, *digests: str) -> None:
        self.client.sadd(key, *digests)
        self.client.expire(key, SALE_LIFE)

    def granted(self, visitor: str, at: int = MS - 20_000, **more: str) -> None:
        """With a receipt and an earlier one, and an event."""
        record, ids = self.of(visitor), [f"{visitor:_<15}{number}" for number in range(2)]
        times: dict[str, str | int] = {"l": NOW - 20, "x": NOW - 20 + RECORD, "g": at, "f": NOW - 30}
        self.hash(record, RECORD, k="p", s="plain", r=ids[0], q="pBdDYgH1aS4-vUmEfKTYUw", v="2", **(times | more))
        for receipt_id in ids:
            self.text(self.key("R", receipt_id), RECEIPT % receipt_id, RECEIPT_LIFE)
        self.list(f"{record}:receipts", RECORD, ids[1])
        self.list(f"{record}:events", CONSENT, CLICK)

    def chosen(self, visitor: str) -> None:
        self.hash(self.of(visitor), DAY, k="c", f=NOW - 20, x=NOW - 20 + DAY, l=NOW - 20)

    def list(self, key: str, life: int, *values: str) -> None:
        self.client.rpush(key, *values)
        self.client.expire(key, life)

    def point(self, visitor: str, text: str, proof: str) -> None:
        handle, record = handle_of(self.handles, text), self.of(visitor)
        self.client.hset(record, handle.name, f"Z4rRR8CX{proof}")
        self.client.hincrby(record, handle.kind, 1)
        if proof == "u":
            self.client.hincrby(record, {"e": "i", "c": "j"}[handle.kind], 1)

    def link(self, visitor: str, text: str, proof: str = "v") -> None:
        self.hash(self.at(text), RECORD, **{visitor: f"{NOW - 20} 3 {RECORD} l{proof}"})
        self.point(visitor, text, proof)

    def removal(self, text: str, **waiting: str) -> None:
        self.hash(f"{self.at(text)}:removals", 400 * DAY, **waiting)

    def sale(self, sale: str, visitor: str, email: str) -> str:
        """Indexed under both."""
        digest, handle = self.digest("sale", sale), handle_of(self.handles, email)
        fields = {"sale": sale, "time": str(NOW - 9), "revenue": "995", "products": '[{"id":1,"quantity":1}]', "email": handle.name}
        fields |= {"mode": "persistent", "attribution": REASON, "linked": "1"}
        if visitor:
            fields |= {"visitor": visitor, "kind": "p", "expires": str(NOW - 20 + CONSENT), "proof": "key"}
            self.index(f"{self.of(visitor)}:sales", digest)
        self.hash(self.key("S", digest), SALE_LIFE, **fields)
        self.index(f"{self.at(email)}:sales", digest)
        self.client.zadd("id:v1:orders{demo:lists}", {digest: NOW - 9 + len(self.notes) / 4})
        return digest

    def note(self, *words: str, at: int) -> None:
        self.notes[" ".join((*words, f"nonce-{len(self.notes)}"))] = at

    def note_at(self, letter: str, text: str, at: int) -> None:
        self.note(letter, handle_of(self.handles, text).name, at=at)


def plant(url: str, pepper: str = OLD) -> None:
    """Without a mark of its schema, as in stores of before the marks."""
    client: Any = direct(url, 10.0)
    with client:
        planting = _Planting(client, Handles(pepper))
        for part in (_whole, _links, _erasures, _withdrawals, _choices_and_sales, _of_the_shop):
            part(planting)


def _whole(to: _Planting) -> None:
    to.granted("kept", b=to.digest("visitor", "derived"), o=str(MS - 30_000), n="granted")
    to.chosen("own-id")
    for visitor, text, proof in (("kept", "kept@first.example", "v"), ("kept", "7001", "t"), ("kept", "other@first.example", "u")):
        to.link(visitor, text, proof)
    to.link("own-id", "kept@first.example")
    to.sale("kept-1", "kept", "kept@first.example")
    to.list(f"{to.of('derived')}:events", 48_000, CLICK)
    to.text(f"{to.of('withdrawn')}:gone", str(GONE["withdrawn"]), GONE_LIFE)


def _links(to: _Planting) -> None:
    to.granted("unlinked")
    to.point("unlinked", "unlinked@first.example", "v")
    to.link("unlinked", "second@first.example")
    to.removal("unlinked@first.example", unlinked=f"u {MS}")
    to.note_at("u", "unlinked@first.example", MS)

    for visitor in ("announced", "revoked", "linked-twice"):
        to.granted(visitor)
    to.point("announced", "announced@first.example", "u")
    to.point("revoked", "announced@first.example", "v")
    to.link("linked-twice", "announced@first.example")
    intents = {"qz2sJGNc": f"{NOW} announced", "rz2sJGNc": f"-{NOW} revoked", "Z4rRR8CX": f"{NOW} linked-twice"}
    to.hash(f"{to.at('announced@first.example')}:intents", 7 * DAY, **intents)
    for nonce in intents:
        to.note_at("l", "announced@first.example", MS + len(nonce))


def _erasures(to: _Planting) -> None:
    erased = "erased@first.example"
    for visitor in ("alone", "shared", "unproven", "begun", "linked-since", "loose"):
        to.granted(visitor)
    to.granted("granted-since", at=MS + 5_000)
    for visitor in ("alone", "shared", "granted-since"):
        to.point(visitor, erased, "v")
    to.point("unproven", erased, "u")
    to.link("shared", "shared@first.example")
    to.link("linked-since", erased)
    to.link("begun", "7002", "u")
    to.text(f"{to.of('begun')}:gone", f"{MS + 1} W0mRzOxIjsQ", GONE_LIFE)
    sales = [to.sale("alone-1", "alone", erased), to.sale("guest-1", "", erased)]
    to.client.delete(f"{to.at(erased)}:sales")
    visitors = dict.fromkeys(("alone", "shared", "unproven", "granted-since", "begun", "linked-since"), f"e {MS + 1}")
    to.removal(erased, **visitors, **{f"${digest}": f"s {MS + 1}" for digest in sales})
    to.note_at("e", erased, MS + 1)

    to.point("loose", "reached@first.example", "u")
    to.removal("reached@first.example", loose=f"a {MS + 2}")
    to.note_at("e", "reached@first.example", MS + 2)


def _withdrawals(to: _Planting) -> None:
    for visitor in ("leaving", "half", "joined", "idle"):
        to.granted(visitor)
    to.link("leaving", "leaving@first.example")
    to.link("leaving", "7003", "t")
    to.sale("leaving-1", "leaving", "leaving@first.example")
    to.index(f"{to.of('leaving')}:sales", to.sale("repeated-1", "kept", "leaving@first.example"))
    to.note("w", "leaving", at=MS + 3)

    to.point("half", "half@first.example", "v")
    digest = to.sale("half-1", "half", "half@first.example")
    to.client.hdel(to.key("S", digest), "email", "visitor", "kind", "expires", "attribution")
    to.removal("half@first.example", half=f"u {MS}")
    to.note_at("u", "half@first.example", MS)
    to.text(f"{to.of('half')}:gone", f"{MS + 4} VZ2sJGNcoTc", GONE_LIFE)
    to.note("w", "half", at=MS + 4)

    to.granted("back", at=MS + 6_000)
    to.link("back", "back-again@first.example")
    to.point("back", "back@first.example", "v")
    to.note("w", "back", at=MS + 5)

    to.link("joined", "joined@first.example")
    to.text(f"{to.of('joined')}:gone", f"{MS + 5} aA06oXtEa1s", GONE_LIFE)
    to.note("f", "joined", at=MS + 7)
    to.link("idle", "idle@first.example")
    to.note("f", "idle", at=MS + 7)


def _choices_and_sales(to: _Planting) -> None:
    for visitor, choice in (("refusing", "refused"), ("allowing", "granted")):
        to.granted(visitor, n=choice)
        to.link(visitor, "refusing@first.example")
        to.note("r", visitor, at=MS + 8)
    for visitor in ("buyer", "cut-off"):
        to.granted(visitor)
        to.link(visitor, f"{visitor}@first.example")
        to.note("s", visitor, to.sale(f"{visitor}-1", visitor, f"{visitor}@first.example"), at=MS + 9)
    to.note("s", "buyer", to.digest("sale", "never claimed"), at=MS + 9)
    gone = to.of("cut-off")
    to.client.delete(to.at("cut-off@first.example"))
    for key in (gone, f"{gone}:receipts", f"{gone}:events", f"{gone}:sales"):
        to.client.delete(key)
    to.text(f"{gone}:gone", str(GONE["cut-off"]), GONE_LIFE)


def _of_the_shop(to: _Planting) -> None:
    to.text(to.key("Z", str(NOW - 40_000)), SALT, 48_200)
    to.client.expire("id:v1:orders{demo:lists}", SALE_LIFE)
    hour = {"orders all": 8, "revenue_all all": 7_960, "order Home": 8, "revenue Home": 7_960, "call log/sale": 8, "mode persistent": 8}
    to.hash("id:v1:hour{demo:lists}:1794999600", 400 * DAY, **hour)
    to.hash("id:v1:products{demo:lists}", 400 * DAY, **{"1": f"i {NOW - 9}"})
    to.hash("id:v1:latest{demo:lists}", 400 * DAY, sale=NOW - 9)
    to.list("id:v1:calls{demo:lists}", DAY, f'{{"time":{NOW - 9},"call":"log/sale","mode":"persistent","outcome":"ok","labels":["Home"]}}')
    failure = f'{{"time":{NOW - 8},"call":"log/click","mode":"none","outcome":"error","error":"Missing required argument: product"}}'
    to.list("id:v1:failures{demo:lists}", DAY, failure)
    to.hash("id:v1:{rewrite}", 0, **{str(NOW): 6, str(NOW + 48_260): 1})
    to.hash("id:v1:{sweep}", DAY, **{"127.0.0.1:6379": "0"})
    to.client.zadd("id:v1:Q{demo:repair}", to.notes)
