"""Exports and erasures: what one shows the other takes, and nothing of anybody else."""

import re
from typing import Any

import pytest
import redis

from identity_service.app import Application
from identity_service.model.utc import rfc3339
from tests.conftest import Clock, Shopper
from tests.stores import sale_at

pytestmark = pytest.mark.anyio
LUKE, LEIA = "luke@skywalker.com", "leia@organa.com"
NOTHING: dict[str, list[object]] = {"visitors": [], "unproven": [], "orders": []}


def counts(visitors: int, links: int, events: int, *, unproven: int = 0, shared: int = 0) -> dict[str, Any]:
    """What an erasure answers beside its reference."""
    erased = {"visitors": visitors, "links": links, "events": events}
    return {"erased": erased, "kept": {"unproven": unproven, "shared": shared}, "dry_run": False}


ZEROS = counts(0, 0, 0)


async def linked(shopper: Shopper, visitor: str, **handle: str) -> None:
    assert (await shopper.post("/v1/links", handle | {"visitor": visitor})).status_code == 200


async def sold(shopper: Shopper, sale: int, **members: Any) -> None:
    answer = await shopper.post("/v2/log/sale", {"sale": sale, "products": [{"id": 5, "price": 2.5, "quantity": 3}]} | members)
    assert answer.json() == {"status": "ok"}


async def exported(shopper: Shopper, key: str = "demo-private-key", **named: str) -> dict[str, Any]:
    answer = await shopper.post("/v1/exports", named, key=key)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def erased(shopper: Shopper, key: str = "demo-private-key", **named: str) -> dict[str, Any]:
    answer = await shopper.post("/v1/erasures", named, key=key)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found.pop("reference") == answer.headers["x-request-id"]
    return found


BOTH = {"email": LUKE, "customer": "1234"}


async def full_visitor(shopper: Shopper, **handles: str) -> str:
    """A persistent visitor with an email, a customer ID (or what is named), a click and a sale."""
    visitor: str = (await shopper.post("/v1/consents", {"consent": "granted"})).json()["visitor"]
    await shopper.post("/v2/log/click", {"product": 5, "visitor": visitor, "labels": ["Home"]})
    await sold(shopper, 1, visitor=visitor, **(handles or BOTH))
    return visitor


@pytest.mark.parametrize("named", [{"email": LUKE}, {"customer": "1234"}])
async def test_an_export_by_handle_shows_the_whole_visitor(shopper: Shopper, named: dict[str, str]) -> None:
    visitor = await full_visitor(shopper)
    shown = await exported(shopper, **named)
    [found] = shown["visitors"]
    assert (found["visitor"], found["shared"], found["mode"], found["link"]["source"]) == (visitor, False, "persistent", "sale")
    assert sorted(event["type"] for event in found["events"]) == ["click", "sale"]
    assert (len(found["emails"]), len(found["customers"]), len(found["receipts"])) == (1, 1, 1)
    assert [(order["sale"], order["visitor"]) for order in shown["orders"]] == [("1", visitor)]
    assert LUKE not in str(shown)


@pytest.mark.parametrize("by", ["email", "customer", "visitor", "token"])
async def test_an_erasure_takes_everything_whatever_names_it(
    shopper: Shopper, application: Application, database: redis.Redis, clock: Clock, by: str
) -> None:
    """Repair ends it: until then the name stays, so that a link that was under way can be taken too."""
    held = {name: value for name, value in BOTH.items() if name == by} or BOTH
    visitor = await full_visitor(shopper, **held)
    token = (await shopper.post("/v1/visitors", {"visitor": visitor})).json()["token"]
    names = {**held, "visitor": visitor, "token": token}
    assert await erased(shopper, **{by: names[by]}) == counts(1, len(held), 2)
    assert (await shopper.post("/v1/verifications", {"token": names.pop("token")})).json() == {"valid": False, "reason": "withdrawn"}
    for name, value in names.items():
        assert await exported(shopper, **{name: value}) == NOTHING
        assert await shopper.visitors(**{name: value}) == []
        assert await erased(shopper, **{name: value}) == ZEROS
    [sale] = database.scan_iter("id:v2:{*}:S:*")
    assert {"sale", "time", "products"} <= set(sale_at(database, sale))
    assert not {"visitor", "email", "customer", "kind", "expires"} & set(sale_at(database, sale))
    clock.forward(120)
    await application.keep_up()
    stored = " ".join(f"{key} {_content(database, str(key))}" for key in database.scan_iter())
    assert visitor not in stored


@pytest.mark.parametrize("first", BOTH)
async def test_a_customer_id_holds_a_visitor_as_an_email_does(shopper: Shopper, first: str) -> None:
    """A visitor goes with the last that holds it by proof; until then its export by the other one shows the link alone."""
    visitor = await full_visitor(shopper)
    [second] = BOTH.keys() - {first}
    assert await erased(shopper, **{first: BOTH[first]}) == counts(0, 1, 0, shared=1)
    assert await exported(shopper, **{first: BOTH[first]}) == NOTHING
    [left] = (await exported(shopper, **{second: BOTH[second]}))["visitors"]
    assert (left["shared"], set(left)) == (True, {"visitor", "shared", "link"})
    assert await erased(shopper, **{second: BOTH[second]}) == counts(1, 1, 2)
    assert await exported(shopper, visitor=visitor) == NOTHING


def _content(database: redis.Redis, key: str) -> str:
    kind = str(database.type(key))
    if kind == "hash":
        return str(database.hgetall(key))
    if kind == "list":
        return str(database.lrange(key, 0, -1))
    if kind == "set":
        return str(database.smembers(key))
    return str(database.zrange(key, 0, -1)) if kind == "zset" else str(database.get(key))


async def test_of_a_shared_visitor_only_the_link_is_shown_and_taken(shopper: Shopper) -> None:
    """Also after the erasure of one: what there is may be the erased person's."""
    await linked(shopper, "shared", email=LUKE)
    await linked(shopper, "shared", email=LEIA)
    await shopper.post("/v2/log/click", {"product": 5, "visitor": "shared"})
    await sold(shopper, 7, email=LUKE, visitor="shared")
    [shown] = (await exported(shopper, email=LUKE))["visitors"]
    assert set(shown) == {"visitor", "shared", "link"}
    assert await erased(shopper, email=LUKE) == counts(0, 1, 0, shared=1)
    assert await exported(shopper, email=LUKE) == NOTHING
    [left] = (await exported(shopper, email=LEIA))["visitors"]
    assert (left["shared"], set(left)) == (True, {"visitor", "shared", "link"})
    assert (await exported(shopper, email=LEIA))["orders"] == []
    [whole] = (await exported(shopper, visitor="shared"))["visitors"]
    assert (len(whole["events"]), len(whole["emails"])) == (2, 1)
    assert await erased(shopper, email=LEIA) == counts(1, 1, 2)


async def test_an_unlink_says_that_the_link_was_wrong(shopper: Shopper) -> None:
    await linked(shopper, "one", email=LUKE)
    await linked(shopper, "one", email=LEIA)
    await shopper.post("/v2/log/click", {"product": 5, "visitor": "one"})
    await shopper.post("/v1/unlinks", {"email": LUKE, "visitor": "one"})
    [left] = (await exported(shopper, email=LEIA))["visitors"]
    assert (left["shared"], len(left["events"]), len(left["emails"])) == (False, 1, 1)


async def test_the_last_link_of_a_once_shared_visitor_takes_it_whole(shopper: Shopper) -> None:
    await linked(shopper, "shared", email=LUKE)
    await linked(shopper, "shared", email=LEIA)
    assert await erased(shopper, email=LUKE) == counts(0, 1, 0, shared=1)
    assert await erased(shopper, email=LEIA) == counts(1, 1, 0)
    assert await exported(shopper, visitor="shared") == NOTHING


async def test_an_erasure_takes_every_visitor_of_the_handle(shopper: Shopper) -> None:
    for number in range(12):
        await linked(shopper, f"visitor-{number}", email=LUKE)
    await linked(shopper, "visitor-0", email=LEIA)
    assert await erased(shopper, email=LUKE) == counts(11, 12, 0, shared=1)
    assert [one["visitor"] for one in await shopper.visitors(email=LEIA)] == ["visitor-0"]


async def test_orders_without_a_session_lose_their_email_too(shopper: Shopper, database: redis.Redis) -> None:
    await sold(shopper, 7, email=LUKE, customer="1234")
    assert [order["sale"] for order in (await exported(shopper, email=LUKE))["orders"]] == ["7"]
    await erased(shopper, email=LUKE)
    assert await exported(shopper, email=LUKE) == NOTHING
    [sale] = database.scan_iter("id:v2:{*}:S:*")
    stored = sale_at(database, sale)
    assert "email" not in stored
    assert stored["sale"] == "7"


async def test_a_repeated_sale_after_an_erasure_brings_nobody_back(shopper: Shopper) -> None:
    visitor = await full_visitor(shopper)
    for name, value in BOTH.items():
        await erased(shopper, **{name: value})
    await sold(shopper, 1, visitor=visitor, email=LUKE, customer="1234")
    assert await exported(shopper, email=LUKE) == await exported(shopper, visitor=visitor) == NOTHING


async def test_an_erased_id_gets_no_new_events_links_or_sales(shopper: Shopper) -> None:
    visitor = await full_visitor(shopper)
    await erased(shopper, visitor=visitor)
    await shopper.post("/v2/log/click", {"product": 5, "visitor": visitor})
    await sold(shopper, 2, visitor=visitor, email=LUKE)
    assert (await shopper.post("/v2/log/email", {"visitor": visitor, "email": LUKE})).json() == {"status": "ok"}
    assert (await shopper.post("/v1/links", {"visitor": visitor, "email": LUKE})).status_code == 409
    assert await exported(shopper, visitor=visitor) == NOTHING
    assert await shopper.visitors(email=LUKE) == []


async def test_an_erased_person_may_come_back_with_another_id(shopper: Shopper, clock: Clock) -> None:
    await full_visitor(shopper, email=LUKE)
    assert (await erased(shopper, email=LUKE))["erased"]["visitors"] == 1
    clock.forward(60)
    await linked(shopper, "new-id", email=LUKE)
    assert [one["visitor"] for one in await shopper.visitors(email=LUKE)] == ["new-id"]


async def test_rights_end_at_the_shops_border(shopper: Shopper) -> None:
    visitor = await full_visitor(shopper)
    for named in ({"email": LUKE}, {"customer": "1234"}, {"visitor": visitor}):
        assert await exported(shopper, "other-private-key", **named) == NOTHING
        assert await erased(shopper, "other-private-key", **named) == ZEROS
    assert len((await exported(shopper, email=LUKE))["visitors"]) == 1


async def test_the_unknown_is_an_empty_export_and_a_zero_erasure(shopper: Shopper) -> None:
    for named in ({"email": LUKE}, {"customer": "1234"}, {"visitor": "nobody"}):
        assert await exported(shopper, **named) == NOTHING
        assert await erased(shopper, **named) == ZEROS


@pytest.mark.parametrize("path", ["/v1/exports", "/v1/erasures"])
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": LUKE, "visitor": "own-id"},
        {"email": "junk"},
        {"customer": "null"},
        {"visitor": "a b"},
        {"email": None},
        {"token": "junk"},
    ],
)
async def test_rights_are_asked_for_one_known_name(shopper: Shopper, database: redis.Redis, path: str, body: dict[str, Any]) -> None:
    answer = await shopper.post(path, body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert database.dbsize() == 0


async def test_an_export_by_email_shows_the_orders_that_its_visitor_made_without_it(shopper: Shopper) -> None:
    sale = {"key": "demo-public-key", "sale": "7", "products": [1], "visitor": "one"}
    await shopper.post("/v2/log/sale", sale)
    await shopper.post("/v2/log/email", {"email": "a@example.org", "visitor": "one"})
    found = (await shopper.post("/v1/exports", {"email": "a@example.org"})).json()
    assert [order["sale"] for order in found["orders"]] == ["7"]
    await shopper.post("/v1/links", {"email": "b@example.org", "visitor": "one"})
    shared = (await shopper.post("/v1/exports", {"email": "a@example.org"})).json()
    assert (shared["visitors"][0]["shared"], shared["orders"]) == (True, [])


async def test_an_export_has_one_form_of_digests_and_times(shopper: Shopper, clock: Clock) -> None:
    token = (await shopper.post("/v1/consents", {"consent": "granted"})).json()["token"]
    await shopper.post("/v2/log/sale", {"sale": 1, "products": [1], "visitor": token, "email": LUKE, "customer": 7})
    found = await exported(shopper, email=LUKE)
    [visitor], [order] = found["visitors"], found["orders"]
    assert ([order["email"]], [order["customer"]]) == (visitor["emails"], visitor["customers"])
    assert visitor["consent"]["granted_at"] == order["time"] == rfc3339(int(clock()))
    times = [visitor["first_seen"], visitor["link"]["last_seen"], visitor["receipts"][0]["time"], visitor["events"][0]["time"]]
    assert set(times) == {order["time"]}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", visitor["expires_at"])


async def test_what_was_done_to_a_cart_is_told(shopper: Shopper) -> None:
    for call in ("cart/add", "cart/remove", "cart/update", "basket/set"):
        await shopper.post(f"/v2/log/{call}", {"products": [5], "visitor": "one"})
    found = (await shopper.post("/v1/events", {"visitor": "one"})).json()["events"]
    assert [(one["type"], one.get("text")) for one in reversed(found)] == [
        ("basket", "add"),
        ("basket", "remove"),
        ("basket", "update"),
        ("basket", None),
    ]
