"""Rights follow proof: what a link shows and takes depends on who made it. A stranger knows a visitor's bare ID and the public key."""

import json
import random
from typing import Any

import pytest
import redis

from identity_service.app import Application
from identity_service.model.consent import Millis
from identity_service.model.handle import Handle
from identity_service.model.link import LinkSource, Proof
from identity_service.model.shop import ShopId
from identity_service.model.visitor import Kind, VisitorId
from identity_service.store.links import Linkable, LinkCall
from identity_service.store.redis.command import call
from identity_service.store.visitors import NAME_LENGTH
from tests.conftest import Clock, Shopper

pytestmark = pytest.mark.anyio
OWNER, STRANGER = "luke@skywalker.com", "stranger@evil.example"
CUSTOMER = "1234"
WHEN = "2026-11-18T11:06:40Z"
SECRET = "secret-query"
SHOP = ShopId("demo")
NOTHING: dict[str, list[object]] = {"visitors": [], "unproven": [], "orders": []}
STEPS = 300


class Person:
    """Somebody who agreed, searched and bought."""

    def __init__(self, shopper: Shopper, visitor: str, token: str) -> None:
        self.shopper, self.visitor, self.token = shopper, visitor, token

    async def link(self, how: str, **handle: str) -> Any:
        """By `key` or by `token`, as markup where `markup` is said, or by `none`: a bare ID with a public key."""
        if how == "none":
            [(name, value)] = handle.items()
            body = {"visitor": self.visitor, name: value} | ({} if name == "email" else {"sale": f"s-{value}", "products": [1]})
            answer = await self.shopper.post(f"/v2/log/{'email' if name == 'email' else 'sale'}", body, key="demo-public-key")
        else:
            key = "demo-public-key" if "token" in how else "demo-private-key"
            answer = await self.shopper.post("/v1/links", {**handle, "token": self.token, "markup": "markup" in how}, key=key)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def is_whole(self) -> bool:
        """Or gone. Never in between."""
        verified = (await self.shopper.post("/v1/verifications", {"token": self.token})).json()["valid"]
        events = (await self.shopper.post("/v1/events", {"visitor": self.visitor})).json()["events"]
        assert verified == bool(events)
        return bool(events)


@pytest.fixture
async def person(shopper: Shopper) -> Person:
    granted = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    await shopper.post("/v2/log/search", {"query": SECRET, "visitor": granted["token"]}, key="demo-public-key")
    click = {"product": "vitamins", "labels": ["Secret label"], "visitor": granted["token"]}
    await shopper.post("/v2/log/click", click, key="demo-public-key")
    await shopper.post("/v2/log/sale", {"sale": "mine", "products": ["vitamins"], "visitor": granted["token"]})
    return Person(shopper, granted["visitor"], granted["token"])


async def exported(shopper: Shopper, **asked: Any) -> dict[str, Any]:
    answer = await shopper.post("/v1/exports", asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def erased(shopper: Shopper, **asked: Any) -> tuple[dict[str, int], dict[str, int]]:
    """What goes and what stays, which a dry run tells before and changes nothing."""
    everything = asked | {"unproven": True}
    before = await exported(shopper, **everything)
    dry = (await shopper.post("/v1/erasures", asked | {"dry_run": True})).json()
    assert await exported(shopper, **everything) == before
    found = (await shopper.post("/v1/erasures", asked)).json()
    assert (dry.pop("dry_run"), found.pop("dry_run")) == (True, False)
    assert dry.pop("reference") != found.pop("reference")
    assert dry == found
    return found["erased"], found["kept"]


# What is shown


async def test_an_export_by_a_link_without_proof_shows_how_it_was_linked_and_nothing_else(shopper: Shopper, person: Person) -> None:
    await person.link("none", email=STRANGER)
    shown = await exported(shopper, email=STRANGER)
    assert (shown["visitors"], shown["orders"]) == ([], [])
    [hidden] = shown["unproven"]
    assert hidden == {"first_seen": WHEN, "last_seen": WHEN, "source": "email", "verified": False, "proof": "none"}
    assert not any(word in json.dumps(shown) for word in (SECRET, person.visitor, "mine"))


async def test_an_officer_may_see_a_visitor_that_is_linked_without_proof(shopper: Shopper, person: Person) -> None:
    await person.link("none", email=OWNER)
    shown = await exported(shopper, email=OWNER, unproven=True)
    assert [(one["visitor"], one["shared"]) for one in shown["visitors"]] == [(person.visitor, False)]
    assert ([one["sale"] for one in shown["orders"]], shown["unproven"]) == (["mine"], [])


@pytest.mark.parametrize("owner", [{"email": OWNER}, {"customer": CUSTOMER}], ids=["email", "customer"])
@pytest.mark.parametrize("proof", ["key", "token"])
async def test_not_even_an_officer_sees_by_a_strangers_email_what_the_owner_proved(
    shopper: Shopper, person: Person, owner: dict[str, str], proof: str
) -> None:
    await person.link(proof, **owner)
    await person.link("none", email=STRANGER)
    [shown] = (await exported(shopper, email=STRANGER, unproven=True))["visitors"]
    assert (shown["shared"], set(shown)) == (True, {"visitor", "shared", "link"})
    [whole] = (await exported(shopper, **owner))["visitors"]
    assert (whole["visitor"], whole["shared"]) == (person.visitor, False)
    assert SECRET in json.dumps(whole)


async def test_a_strangers_order_in_a_persons_name_does_not_show_what_the_person_clicked(shopper: Shopper, person: Person) -> None:
    sale = {"sale": "theirs", "products": ["vitamins"], "email": STRANGER, "visitor": person.visitor}
    await shopper.post("/v2/log/sale", sale, key="demo-public-key")
    assert (await shopper.client.get("/v1/orders/theirs", headers={"authorization": "Bearer demo-private-key"})).json()["attributed"]
    [order] = (await exported(shopper, email=STRANGER))["orders"]
    assert (order["sale"], "visitor" in order, "attribution" in order) == ("theirs", False, False)
    [mine] = [one for one in (await exported(shopper, visitor=person.visitor))["orders"] if one["sale"] == "theirs"]
    assert mine["attribution"][0]["labels"] == ["Secret label"]


async def test_an_order_is_shown_to_its_own_email(shopper: Shopper) -> None:
    await shopper.post("/v2/log/sale", {"sale": "o-1", "products": [1], "email": OWNER}, key="demo-public-key")
    assert [one["sale"] for one in (await exported(shopper, email=OWNER))["orders"]] == ["o-1"]


@pytest.mark.parametrize(("first", "second", "shared"), [("key", "token", True), ("key", "none", False), ("none", "none", False)])
async def test_only_two_emails_by_proof_make_a_visitor_shared(
    shopper: Shopper, person: Person, first: str, second: str, shared: bool
) -> None:
    await person.link(first, email=OWNER)
    await person.link(second, email=STRANGER)
    assert [one["shared"] for one in await shopper.visitors(email=OWNER)] == [shared]
    assert (await exported(shopper, visitor=person.visitor))["visitors"][0]["shared"] is shared


# What goes


@pytest.mark.parametrize("owner", [{"email": OWNER}, {"customer": CUSTOMER}], ids=["email", "customer"])
@pytest.mark.parametrize("unproven", [False, True])
async def test_a_strangers_erasure_takes_its_own_link_alone(
    shopper: Shopper, person: Person, owner: dict[str, str], unproven: bool
) -> None:
    await person.link("key", **owner)
    await person.link("none", email=STRANGER)
    kept = {"unproven": int(not unproven), "shared": int(unproven)}
    assert await erased(shopper, email=STRANGER, unproven=unproven) == ({"visitors": 0, "links": 1, "events": 0}, kept)
    assert await person.is_whole()
    assert await shopper.visitors(email=STRANGER) == []
    assert [one["visitor"] for one in await shopper.visitors(**owner)] == [person.visitor]
    [left] = (await exported(shopper, **owner))["visitors"]
    assert left["shared"] is False


async def test_a_strangers_link_does_not_shield_a_visitor_from_its_owners_erasure(shopper: Shopper, person: Person) -> None:
    await person.link("key", email=OWNER)
    await person.link("none", email=STRANGER)
    assert await erased(shopper, email=OWNER) == ({"visitors": 1, "links": 2, "events": 3}, {"unproven": 0, "shared": 0})
    assert not await person.is_whole()
    assert await shopper.visitors(email=STRANGER) == []


@pytest.mark.parametrize(
    ("how", "unproven", "goes"),
    [("key", False, True), ("token", False, True), ("none", False, False), ("none", True, True), ("key, markup", False, False)],
)
async def test_the_only_link_takes_its_visitor_by_proof_or_where_an_officer_decides_so(
    shopper: Shopper, person: Person, how: str, unproven: bool, goes: bool
) -> None:
    await person.link(how, email=OWNER)
    gone = {"visitors": int(goes), "links": 1, "events": 3 if goes else 0}
    assert await erased(shopper, email=OWNER, unproven=unproven) == (gone, {"unproven": int(not goes), "shared": 0})
    assert await person.is_whole() is not goes
    assert await shopper.visitors(email=OWNER) == []
    assert (await erased(shopper, email=OWNER, unproven=True))[0] == {"visitors": 0, "links": 0, "events": 0}


async def test_a_device_reaches_its_own_by_its_token(shopper: Shopper, person: Person) -> None:
    await person.link("key", email=OWNER)
    assert [one["visitor"] for one in (await exported(shopper, token=person.token))["visitors"]] == [person.visitor]
    assert await erased(shopper, token=person.token) == ({"visitors": 1, "links": 1, "events": 3}, {"unproven": 0, "shared": 0})
    assert not await person.is_whole()
    assert await exported(shopper, token=person.token) == NOTHING
    assert (await shopper.post("/v1/erasures", {"token": person.token}, key="other-private-key")).status_code == 422


async def test_a_dry_run_counts_a_link_that_has_ended_as_the_erasure_does(shopper: Shopper, clock: Clock, database: redis.Redis) -> None:
    await shopper.post("/v1/links", {"email": OWNER, "visitor": "session"})
    clock.forward(86_401)
    assert database.delete(*database.scan_iter("id:v2:{*}:V:*")) == 1  # as the server does by its own clock
    assert await shopper.visitors(email=OWNER) == []
    assert await erased(shopper, email=OWNER) == ({"visitors": 0, "links": 1, "events": 0}, {"unproven": 0, "shared": 0})


@pytest.mark.parametrize("how", ["none", "token"])
async def test_privacy_calls_follow_the_same_rule(shopper: Shopper, person: Person, how: str) -> None:
    await person.link(how, email=OWNER)
    named = {"key": "demo-public-key", "private_key": "demo-private-key", "email": OWNER}
    told = (await shopper.client.post("/v2/privacy/info", json=named)).json()
    assert ([one["sale"] for one in told["orders"]], len(told["activity"])) == ((["mine"], 3) if how == "token" else ([], 0))
    assert (await shopper.client.post("/v2/privacy/forget", json=named)).json() == {"status": "ok"}
    assert await person.is_whole() is (how == "none")
    assert await shopper.visitors(email=OWNER) == []


# How a link is told


@pytest.mark.parametrize(
    ("how", "proof"), [("key", "key"), ("token", "token"), ("none", "none"), ("key, markup", "none"), ("token, markup", "none")]
)
async def test_a_link_tells_its_proof_everywhere(shopper: Shopper, person: Person, database: redis.Redis, how: str, proof: str) -> None:
    answer = await person.link(how, email=OWNER)
    if how != "none":
        assert answer == {"linked": True, "visitor": person.visitor, "verified": proof == "key", "proof": proof}
    [found] = await shopper.visitors(email=OWNER)
    shown = await exported(shopper, email=OWNER, unproven=True)
    [held] = shown["visitors"]
    assert {(one["verified"], one["proof"]) for one in (found, held["link"])} == {(proof == "key", proof)}
    [links] = [database.hgetall(key) for key in database.scan_iter("id:v2:{*}:E:*")]
    assert str(links[person.visitor])[-1] == {"key": "v", "token": "t", "none": "u"}[proof]


@pytest.mark.parametrize("call", ["email", "basket/set", "sale"])
@pytest.mark.parametrize("key", ["demo-public-key", "demo-private-key"])
async def test_an_email_out_of_a_pages_markup_proves_nothing(shopper: Shopper, person: Person, call: str, key: str) -> None:
    body = {"sale": "s", "products": [1], "email": OWNER, "visitor": person.token, "markup": True}
    assert (await shopper.post(f"/v2/log/{call}", body, key=key)).json() == {"status": "ok"}
    assert [one["proof"] for one in await shopper.visitors(email=OWNER)] == ["none"]


async def test_a_link_keeps_the_strongest_proof_it_had(shopper: Shopper, person: Person) -> None:
    told = []
    for how in ("none", "token", "none", "key", "token", "none"):
        await person.link(how, email=OWNER)
        [found] = await shopper.visitors(email=OWNER)
        told.append(found["proof"])
    assert told == ["none", "token", "token", "key", "key", "key"]


async def test_a_sale_that_is_repeated_with_more_proof_makes_no_stronger_link(shopper: Shopper, person: Person) -> None:
    """The first call with a sale ID counts, and so does what it could show."""
    sale = {"sale": "s", "products": [1], "email": OWNER, "visitor": person.visitor}
    await shopper.post("/v2/log/sale", sale, key="demo-public-key")
    await shopper.post("/v2/log/sale", sale | {"visitor": person.token}, key="demo-public-key")
    assert [one["proof"] for one in await shopper.visitors(email=OWNER)] == ["none"]


# What the store counts


class Linker:
    """Links, unlinks and erases at the store, and reads what it holds of it."""

    def __init__(self, application: Application, database: redis.Redis, clock: Clock) -> None:
        self.handles, self.store, self.database, self.clock = application.services.handles, application.services.store, database, clock

    @property
    def now(self) -> Millis:
        return Millis(int(self.clock() * 1000))

    def handle(self, text: str) -> Handle:
        return self.handles.of_email(SHOP, text) if "@" in text else self.handles.of_customer(SHOP, text)

    async def link(self, visitor: str, text: str, proof: Proof) -> None:
        linkable = Linkable(VisitorId(visitor), Kind.CHOSEN, int(self.clock()) + 86_400, persistent_only=False, proof=proof)
        await self.store.links.link(LinkCall(SHOP, self.handle(text), linkable, LinkSource.LINK, int(self.clock())))

    def record(self, visitor: str) -> dict[str, str]:
        found: Any = self.database.hgetall(self.store.keys.visitor(SHOP, visitor).record)
        return dict(found)

    def flag(self, visitor: str, name: Handle) -> str | None:
        link = self.database.hget(self.store.keys.handle(SHOP, name), visitor)
        return None if link is None else str(link)[-1]

    def counted(self, visitor: str) -> dict[str, int]:
        """e and c: emails and customer IDs; i and j: those without proof."""
        record = self.record(visitor)
        return {field: int(record.get(field, 0)) for field in "eicj"}

    def check(self, visitors: list[str], texts: list[str]) -> None:
        for visitor in visitors:
            record = self.record(visitor)
            pointers = {name: value[-1] for name, value in record.items() if len(name) == NAME_LENGTH}
            kinds = {"e": ("e", "vtu"), "i": ("e", "u"), "c": ("c", "vtu"), "j": ("c", "u")}
            expected = {
                field: sum(name[0] == letter and flag in flags for name, flag in pointers.items())
                for field, (letter, flags) in kinds.items()
            }
            assert self.counted(visitor) == expected
            for text in texts:
                assert self.flag(visitor, self.handle(text)) == pointers.get(self.handle(text).name)


@pytest.fixture
def linker(application: Application, database: redis.Redis, clock: Clock) -> Linker:
    return Linker(application, database, clock)


async def test_the_counts_follow_a_link_as_its_proof_grows_and_as_it_goes(linker: Linker) -> None:
    for proof, counted in ((Proof.NONE, 1), (Proof.NONE, 1), (Proof.TOKEN, 0), (Proof.NONE, 0), (Proof.KEY, 0)):
        await linker.link("one", OWNER, proof)
        assert linker.counted("one") == {"e": 1, "i": counted, "c": 0, "j": 0}
    await linker.link("one", STRANGER, Proof.NONE)
    await linker.link("one", CUSTOMER, Proof.NONE)
    assert linker.counted("one") == {"e": 2, "i": 1, "c": 1, "j": 1}
    await linker.store.links.unlink(SHOP, linker.handle(STRANGER), VisitorId("one"), int(linker.clock()))
    assert linker.counted("one") == {"e": 1, "i": 0, "c": 1, "j": 1}
    await linker.store.removals.erase(SHOP, linker.handle(CUSTOMER), linker.now)
    assert linker.counted("one") == {"e": 1, "i": 0, "c": 0, "j": 0}
    await linker.store.removals.erase(SHOP, linker.handle(OWNER), linker.now)
    assert linker.record("one") == {}


async def test_a_record_of_before_proof_was_counted_never_loses_proven_links(linker: Linker, shopper: Shopper) -> None:
    """Its links without proof count as proven ones: it may stay, and hide too much, but is nobody's alone that is two people's."""
    for text, proof in ((OWNER, Proof.KEY), ("leia@organa.com", Proof.KEY), (STRANGER, Proof.NONE)):
        await linker.link("one", text, proof)
    linker.database.hdel(linker.store.keys.visitor(SHOP, "one").record, "i")
    await linker.link("one", "other@evil.example", Proof.NONE)
    await linker.link("one", STRANGER, Proof.TOKEN)
    for text in (STRANGER, "other@evil.example"):
        await linker.store.links.unlink(SHOP, linker.handle(text), VisitorId("one"), int(linker.clock()))
        assert [one["shared"] for one in await shopper.visitors(email=OWNER)] == [True]
    assert linker.counted("one") == {"e": 2, "i": 0, "c": 0, "j": 0}
    assert (await linker.store.removals.erase(SHOP, linker.handle(OWNER), linker.now)).visitors == 0


async def test_random_links_and_removals_keep_the_counts_and_flags_right(linker: Linker) -> None:
    """Two calls at once are tested elsewhere."""
    chance = random.Random(29)
    visitors, texts = [f"v{number}" for number in range(4)], [f"p{number}@example.com" for number in range(3)] + ["7", "8"]
    for _ in range(STEPS):
        visitor, text, proof = chance.choice(visitors), chance.choice(texts), chance.choice(list(Proof))
        what = chance.choices(["link", "unlink", "erase", "officer", "withdraw", "wait"], [12, 4, 1, 1, 1, 1])[0]
        linker.clock.forward(1)
        if what == "link":
            linker.database.delete(linker.store.keys.visitor(SHOP, visitor).gone)  # as a new grant does
            before = linker.flag(visitor, linker.handle(text)) or "u"
            await linker.link(visitor, text, proof)
            assert linker.flag(visitor, linker.handle(text)) == min(before, proof.letter, key="vtu".index)
        elif what == "unlink":
            await linker.store.links.unlink(SHOP, linker.handle(text), VisitorId(visitor), int(linker.clock()))
        elif what in {"erase", "officer"}:
            await erase_as_expected(linker, visitors, text, unproven=what == "officer")
        elif what == "withdraw":
            await linker.store.removals.withdraw(SHOP, VisitorId(visitor), linker.now)
        else:
            linker.clock.forward(chance.choice([60, 3_600]))
        linker.check(visitors, texts)


async def erase_as_expected(linker: Linker, visitors: list[str], text: str, *, unproven: bool) -> None:
    """Who goes is worked out from the links themselves."""
    handle, going = linker.handle(text), set()
    for visitor in visitors:
        flag = linker.flag(visitor, handle)
        held = [value[-1] for name, value in linker.record(visitor).items() if len(name) == NAME_LENGTH and name != handle.name]
        if flag and (flag != "u" or unproven) and not set(held) & {"v", "t"}:
            going.add(visitor)
    there = {visitor for visitor in visitors if linker.record(visitor)}
    found = await linker.store.removals.erase(SHOP, handle, linker.now, unproven=unproven)
    assert {visitor for visitor in visitors if linker.record(visitor)} == there - going
    assert found.visitors == len(going)


async def test_an_officers_erasure_that_died_is_ended_as_far_as_it_reached(linker: Linker, application: Application) -> None:
    """By the repair; but not for one who was linked anew meanwhile. A plain erasure that died takes nobody without proof."""
    for text, reach in ((OWNER, "a"), (STRANGER, "e")):
        for visitor in ("one", "two"):
            await linker.link(f"{visitor} of {reach}", text, Proof.NONE)
        note = f"{reach} {linker.handle(text).name} nonce"
        await linker.store.client.run(call("note_erasure", [linker.store.keys.erasures(SHOP)], linker.now, note, "", 0))
        linker.clock.forward(1)
        await linker.link(f"two of {reach}", text, Proof.NONE)
    linker.clock.forward(120)
    assert await application.keep_up() == 2
    left = {visitor: bool(linker.record(visitor)) for visitor in ("one of a", "two of a", "one of e", "two of e")}
    assert left == {"one of a": False, "two of a": True, "one of e": True, "two of e": True}
    assert [linker.counted(f"{visitor} of e")["e"] for visitor in ("one", "two")] == [0, 1]


async def test_a_record_that_has_ended_lends_its_proof_to_no_pointer(linker: Linker) -> None:
    await linker.link("one", OWNER, Proof.KEY)
    linker.clock.forward(86_401)
    await linker.link("one", OWNER, Proof.NONE)
    linker.check(["one"], [OWNER])
    assert linker.flag("one", linker.handle(OWNER)) == "u"
