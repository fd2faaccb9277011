"""No caller makes any key of the store grow past its cap: each is attacked over HTTP with three times as much as it may hold.

Every test ends with a walk over the whole store, so that a key that has no bound yet is found by whatever fills it.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import redis

from identity_service.app import Application
from identity_service.model.audit import Act, Actor
from identity_service.model.shop import ShopId
from identity_service.model.visitor import VisitorId
from identity_service.service import counters
from identity_service.settings.load import load
from identity_service.store.audit import MOST_ACCESSES
from identity_service.store.sales import NewSale, SaleAnswer
from identity_service.store.sessions import MOST_OF_A_PERSON
from tests.conftest import Clock, Shopper, shopping
from tests.contract.desk import OWN, desk_of
from tests.stores import sale_at

pytestmark = pytest.mark.anyio
CAPS = {"VISITORS_PER_HANDLE": 6, "EMAILS_PER_VISITOR": 4, "EVENTS_PER_VISITOR": 10, "ORDERS_PER_SHOP": 12}
SALES, COUNTERS, PRODUCTS, CALLS, RECEIPTS, LABELS = 8, 30, 9, 11, 99, 7
CLOSED_NAMES = 80
"""Counters that are not named by labels: calls, errors, modes, choices, totals."""
BODY = 32_768
UNBOUNDED = 1 << 40
KEYS_OF_A_SHOP = 2
LUKE = "luke@skywalker.com"

BOUNDS = {
    "V:[^:]*": (25 + 2 * CAPS["EMAILS_PER_VISITOR"], 200),
    "V:[^:]*:gone": (1, 40),
    "V:[^:]*:events": (CAPS["EVENTS_PER_VISITOR"], BODY),
    "V:[^:]*:receipts": (RECEIPTS, 40),
    "V:[^:]*:sales": (SALES, 40),
    "E:[^:]*": (CAPS["VISITORS_PER_HANDLE"] + SALES, 120),
    "S:[^:]*": (1, 2 * BODY),
    "R:[^:]*": (64, 2_048),
    "Z:[^:]*(:day)?": (1, 64),
    "Q": (UNBOUNDED, 120),
    "orders": (CAPS["ORDERS_PER_SHOP"], 40),
    r"hour:\d+": (COUNTERS + CLOSED_NAMES, 160),
    r"day:\d+": (COUNTERS + CLOSED_NAMES, 160),
    r"sketch:\d+-[a-z]+": (1, 50_000),
    r"remainders:\d+": (COUNTERS + CLOSED_NAMES, 40),
    "products": (PRODUCTS, 300),
    "(calls|failures)": (CALLS, 8_192),
    "latest": (2, 40),
    "labels": (LABELS, 120),
    "rewrite": (UNBOUNDED, 64),
    r"audit:\d+": (UNBOUNDED, 300),
    "A:[^:]*": (MOST_ACCESSES, 300),
    r"lookups:\d+": (24 * KEYS_OF_A_SHOP, 40),
    "sessions": (MOST_OF_A_PERSON, 300),
}
"""Of each kind of key of a shop: most elements, and most bytes of one. Erasures under way (Q) and the times of destruction have no cap but
an end."""
ENDLESS = re.compile("id:v2:{demo}:(Q|rewrite)")
OF_THE_STORE = {"id:v1:{repair-lock}", "id:v2:{probe}"}


def elements(database: Any, key: str) -> list[str]:
    """Values, with their names before them; none of a key that ended since it was found, as a note does whose removal is on its way."""
    read: dict[str, Callable[[], list[str]]] = {
        "string": lambda: [database.get(key)],
        "hash": lambda: [name + value for name, value in database.hgetall(key).items()],
        "list": lambda: database.lrange(key, 0, -1),
        "set": lambda: list(database.smembers(key)),
        "zset": lambda: database.zrange(key, 0, -1),
        "none": list,
    }
    return read[database.type(key)]()


def beyond(database: redis.Redis) -> list[str]:
    """Every key past its bounds, without a bound, or without an end."""
    found = []
    for key in database.scan_iter(count=1_000):
        if key in OF_THE_STORE:
            continue
        kind = next((kind for kind in BOUNDS if re.fullmatch(f"id:v2:{{demo}}:(?:{kind})", key)), None)
        held = elements(database, key)
        most, longest = BOUNDS[kind] if kind else (0, 0)
        largest = max(map(len, held), default=0)
        if len(held) > most or largest > longest:
            found.append(f"{key}: {len(held)} of {most}, {largest} bytes of {longest}")
        if database.ttl(key) == -1 and not ENDLESS.fullmatch(key):
            found.append(f"{key}: has no end")
    return found


@pytest.fixture
async def shopper(environment: dict[str, str], clock: Clock) -> AsyncIterator[Shopper]:
    caps = {f"IDENTITY_LIMITS__{name}": str(number) for name, number in CAPS.items()}
    async with shopping(load("development", environment | caps), clock) as found:
        yield found


@pytest.fixture
def application(shopper: Shopper) -> Application:
    return shopper.application


@pytest.fixture(autouse=True)
def small(application: Application) -> None:
    """Caps that are no settings, as small as the others."""
    services = application.services
    activity, services.store.sales.most, services.counters.most = services.store.activity, SALES, 2 * COUNTERS
    services.store.days.most_remainders = COUNTERS
    activity.most_counters, activity.most_products, activity.most_calls, activity.labels.most = COUNTERS, PRODUCTS, CALLS, LABELS


@pytest.fixture(autouse=True)
def walked(shopper: Shopper, database: redis.Redis) -> Iterator[None]:
    yield
    assert beyond(database) == []
    assert next(database.scan_iter(), None)


async def written(application: Application) -> None:
    await application.services.counters.write()


async def link(shopper: Shopper, visitor: str, **handle: str) -> int:
    return (await shopper.post("/v1/links", {"visitor": visitor} | (handle or {"email": LUKE}))).status_code


async def sell(shopper: Shopper, sale: str, *, key: str = "demo-private-key", **body: Any) -> None:
    answer = await shopper.post("/v2/log/sale", {"sale": sale, "products": [{"id": 1, "price": 2}]} | body, key=key)
    assert answer.json() == {"status": "ok"}


def size(database: redis.Redis, kind: str) -> list[int]:
    """Of every key of a kind."""
    keys = [key for key in database.scan_iter(count=1_000) if re.fullmatch(f"id:v2:{{demo}}:{kind}", key)]
    return [len(elements(database, key)) for key in keys]


def sales_of(database: redis.Redis, kind: str) -> list[int]:
    """How many sales stand in every key of a kind that holds some."""
    keys = [key for key in database.scan_iter(count=1_000) if re.fullmatch(f"id:v2:{{demo}}:{kind}", key)]
    found = [sum(str(field).startswith("$") for field in database.hkeys(key)) for key in keys]
    return [one for one in found if one]


@pytest.mark.parametrize("handle", [{"email": LUKE}, {"customer": "C-7"}], ids=["email", "customer"])
async def test_visitors_of_a_handle(shopper: Shopper, database: redis.Redis, handle: dict[str, str]) -> None:
    most = CAPS["VISITORS_PER_HANDLE"]
    statuses = [await link(shopper, f"visitor-{number}", **handle) for number in range(3 * most)]
    assert statuses == [200] * most + [422] * 2 * most
    assert size(database, "E:[^:]*") == [most]
    assert len(await shopper.visitors(**handle)) == most
    assert (await shopper.post("/v1/erasures", handle)).json()["erased"]["visitors"] == most


async def test_visitors_of_a_handle_that_anybody_names(shopper: Shopper, database: redis.Redis) -> None:
    """With a public key half of the cap, by links, emails and sales alike."""
    for number in range(3 * CAPS["VISITORS_PER_HANDLE"]):
        token = (await shopper.post("/v1/visitors")).json()["token"]
        await shopper.browser("/v1/links", {"email": LUKE, "token": token})
        await shopper.browser("/v2/log/email", {"email": LUKE, "visitor": f"mailed-{number}"})
        await shopper.browser("/v2/log/basket/set", {"email": LUKE, "visitor": f"basket-{number}", "products": [1]})
        await sell(shopper, f"S-{number}", key="demo-public-key", email=LUKE, visitor=f"buyer-{number}")
    assert sales_of(database, "E:[^:]*") == [SALES // 2]
    assert size(database, "E:[^:]*") == [CAPS["VISITORS_PER_HANDLE"] // 2 + SALES // 2]


@pytest.mark.parametrize("kind", ["email", "customer"])
async def test_handles_of_a_visitor(shopper: Shopper, database: redis.Redis, kind: str) -> None:
    most = CAPS["EMAILS_PER_VISITOR"]
    handles = [f"{number}@example.com" if kind == "email" else f"C-{number}" for number in range(3 * most)]
    statuses = [await link(shopper, "one", **{kind: handle}) for handle in handles]
    assert statuses == [200] * most + [422] * 2 * most
    assert len(size(database, "E:[^:]*")) == most
    assert (await shopper.post("/v1/erasures", {"visitor": "one"})).json()["erased"]["links"] == most


async def test_visitors_that_come_to_a_handle_and_go(shopper: Shopper, database: redis.Redis) -> None:
    for number in range(5 * CAPS["VISITORS_PER_HANDLE"]):
        assert await link(shopper, f"visitor-{number}") == 200
        assert (await shopper.post("/v1/unlinks", {"email": LUKE, "visitor": f"visitor-{number}"})).json()["unlinked"] is True
    assert size(database, "E:[^:]*") == []


async def test_erasures_that_were_cut_off(shopper: Shopper, application: Application, database: redis.Redis, clock: Clock) -> None:
    """The repair ends them all."""
    store, handles = application.services.store, application.services.handles
    for number in range(30):
        assert (await shopper.post("/v1/links", {"email": f"{number}@example.com", "visitor": f"visitor-{number}"})).status_code == 200
        note = f"e {handles.of_email('demo', f'{number}@example.com').name} nonce"
        database.zadd(store.keys.erasures(ShopId("demo")), {note: int(clock() * 1000)})
    clock.forward(61)
    shops = [shop.shop_id for shop in application.services.shops]
    assert await store.repair.run(shops, application.services.links.now()) == 30
    assert size(database, "Q") == size(database, "E:[^:]*") == []


async def orders(shopper: Shopper) -> list[dict[str, Any]]:
    answer = await shopper.client.get("/v1/orders?limit=200", headers={"authorization": "Bearer demo-private-key"})
    found: list[dict[str, Any]] = answer.json()["orders"]
    return found


async def order(shopper: Shopper, sale: str) -> dict[str, Any]:
    answer = await shopper.client.get(f"/v1/orders/{sale}", headers={"authorization": "Bearer demo-private-key"})
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("handle", [{"email": LUKE}, {"customer": "C-7"}], ids=["email", "customer"])
async def test_orders_of_a_handle(shopper: Shopper, database: redis.Redis, clock: Clock, handle: dict[str, str]) -> None:
    """Every order is kept; the oldest past the cap do not name the handle any more, so that an erasure still finds all that do."""
    for number in range(3 * SALES):
        await sell(shopper, f"S-{number}", **handle)
        clock.forward(1)
    assert sales_of(database, "E:[^:]*") == [SALES]
    named = [sale_at(database, key) for key in database.scan_iter("id:v2:{*}:S:*")]
    assert {one["sale"] for one in named if next(iter(handle)) in one} == {f"S-{number}" for number in range(2 * SALES, 3 * SALES)}
    assert [(await order(shopper, f"S-{number}"))["revenue"] for number in range(3 * SALES)] == ["2"] * 3 * SALES
    assert len((await shopper.post("/v1/exports", handle)).json()["orders"]) == SALES
    await shopper.post("/v1/erasures", handle)
    assert [key for key in database.scan_iter("id:v2:{*}:S:*") if next(iter(handle)) in sale_at(database, key)] == []
    await sell(shopper, "S-new", **handle)
    assert sales_of(database, "E:[^:]*") == [1]


async def test_what_public_keys_say_never_takes_the_last_half(shopper: Shopper, database: redis.Redis, clock: Clock) -> None:
    """Of the orders that a handle and a visitor are found by: the shop's own find their place, and these leave first."""
    for number in range(3 * SALES):
        await sell(shopper, f"P-{number}", key="demo-public-key", email=LUKE, visitor="one")
        clock.forward(1)
    assert sales_of(database, "E:[^:]*") == sales_of(database, "V:[^:]*:sales") == [SALES // 2]
    kept = [f"P-{number}" for number in range(3 * SALES - SALES // 2, 3 * SALES)]
    assert await of_visitor(shopper, [f"P-{number}" for number in range(3 * SALES)]) == kept
    for number in range(SALES):
        await sell(shopper, f"S-{number}", email=LUKE, visitor="one")
        assert await of_visitor(shopper, kept) == kept[max(0, number + 1 - SALES // 2) :]
    assert sales_of(database, "E:[^:]*") == sales_of(database, "V:[^:]*:sales") == [SALES]
    await sell(shopper, "P-late", key="demo-public-key", email=LUKE, visitor="one")
    assert await of_visitor(shopper, ["P-late", "S-0"]) == ["S-0"]


async def test_what_is_said_without_proof_pushes_out_nothing_that_was_said_with_a_token(shopper: Shopper, clock: Clock) -> None:
    """Whoever knows an email or an ID may say orders of it, and takes nothing from those of the person; its own leave first."""
    told = (await shopper.post("/v1/visitors")).json()
    shown, bare = [f"T-{number}" for number in range(SALES // 2 - 1)], [f"P-{number}" for number in range(SALES)]
    for sale in shown:
        await sell(shopper, sale, key="demo-public-key", email=LUKE, visitor=told["token"])
        clock.forward(1)
    for number, sale in enumerate(bare, 1):
        await sell(shopper, sale, key="demo-public-key", email=LUKE, visitor=told["visitor"])
        assert await of_visitor(shopper, [*shown, *bare[:number]]) == [*shown, sale]
    await sell(shopper, "T-last", key="demo-public-key", email=LUKE, visitor=told["token"])
    assert await of_visitor(shopper, [*shown, *bare, "T-last"]) == [*shown, "T-last"]
    await sell(shopper, "P-last", key="demo-public-key", email=LUKE, visitor=told["visitor"])
    assert await of_visitor(shopper, [*shown, "P-last", "T-last"]) == [*shown, "T-last"]
    clock.forward(1)
    await sell(shopper, "T-newest", key="demo-public-key", email=LUKE, visitor=told["token"])
    assert await of_visitor(shopper, [*shown, "T-last", "T-newest"]) == [*shown[1:], "T-last", "T-newest"]


async def test_many_orders_of_one_moment_and_a_full_handle(shopper: Shopper, database: redis.Redis) -> None:
    """A marketplace's address: each makes room for itself, whoever was faster."""
    for number in range(SALES):
        await sell(shopper, f"S-{number}", email=LUKE)
    await asyncio.gather(*(sell(shopper, f"S-{number}", email=LUKE, visitor=f"buyer-{number}") for number in range(SALES, 9 * SALES)))
    assert sales_of(database, "E:[^:]*") == [SALES]
    assert len([key for key in database.scan_iter("*:S:*") if "email" in sale_at(database, key)]) == SALES


async def test_an_order_is_kept_however_often_others_are_faster(
    shopper: Shopper, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each handle is waited for first, then a place in its lists; then it names nobody."""
    store = application.services.store.sales
    sell_at_last, others = store.sell, ("handle", "somebody", "link")
    answers = [
        *[SaleAnswer("link yield", 0, others)] * 11,
        SaleAnswer("link yield", 1, others),
        *[SaleAnswer("leaves", None, ("other",))] * 13,
    ]

    async def sold(shop: ShopId, new: NewSale) -> SaleAnswer:
        return answers.pop(0) if answers else await sell_at_last(shop, new)

    monkeypatch.setattr(store, "sell", sold)
    await sell(shopper, "S-1", email=LUKE, customer="C-7", visitor="one")
    assert (await order(shopper, "S-1"))["visitor"] is None


async def test_repeated_orders_of_a_full_handle(shopper: Shopper, database: redis.Redis, clock: Clock) -> None:
    """They neither lose the handle's name nor add to it."""
    for number in [*range(2 * SALES), *range(2 * SALES)]:
        await sell(shopper, f"S-{number}", email=LUKE)
        clock.forward(1)
    assert sales_of(database, "E:[^:]*") == [SALES]
    exported = (await shopper.post("/v1/exports", {"email": LUKE})).json()["orders"]
    assert {one["sale"] for one in exported} == {f"S-{number}" for number in range(SALES, 2 * SALES)}


async def test_an_order_that_leaves_the_list_of_its_email_names_nobody(shopper: Shopper, database: redis.Redis, clock: Clock) -> None:
    """Not its visitor either, which an erasure of the email would have reached through it; and no list tells of it."""
    await sell(shopper, "S-first", email=LUKE, customer="C-7", visitor="early", key="demo-private-key")
    clock.forward(1)
    for number in range(SALES):
        await sell(shopper, f"S-{number}", email=LUKE, visitor="late")
    first = next(one for one in (sale_at(database, key) for key in database.scan_iter("id:v2:{*}:S:*")) if one["sale"] == "S-first")
    assert not {"visitor", "email", "customer", "attribution"} & set(first)
    assert sorted(sales_of(database, "(E:[^:]*|V:[^:]*:sales)")) == [SALES, SALES]
    assert [one["visitor"] for one in await shopper.visitors(email=LUKE)] == ["late", "early"]


async def test_an_order_that_has_ended_leaves_a_full_list_all_the_same(shopper: Shopper, database: redis.Redis, clock: Clock) -> None:
    for number in range(SALES):
        await sell(shopper, f"S-{number}", email=LUKE)
        clock.forward(1)
    [first] = [key for key in database.scan_iter("id:v2:{*}:S:*") if sale_at(database, str(key))["sale"] == "S-0"]
    database.delete(first)
    await sell(shopper, "S-new", email=LUKE)
    assert sales_of(database, "E:[^:]*") == [SALES]
    exported = (await shopper.post("/v1/exports", {"email": LUKE})).json()["orders"]
    assert {one["sale"] for one in exported} == {"S-new", *(f"S-{number}" for number in range(1, SALES))}


async def test_orders_past_their_time_leave_first_for_anybody(shopper: Shopper, database: redis.Redis, clock: Clock) -> None:
    """A good customer's list is full of them."""
    for number in range(SALES):
        await sell(shopper, f"S-{number}", email=LUKE)
    clock.forward(400 * 86_400)
    for number in range(SALES):
        await sell(shopper, f"P-{number}", key="demo-public-key", email=LUKE, visitor="one")
        clock.forward(1)
    half = [f"P-{number}" for number in range(SALES // 2, SALES)]
    assert await of_visitor(shopper, [f"P-{number}" for number in range(SALES)]) == half
    for number in range(SALES // 2):
        await sell(shopper, f"T-{number}", email=LUKE, visitor="two")
    assert await of_visitor(shopper, half) == half
    await sell(shopper, "T-last", email=LUKE, visitor="two")
    assert await of_visitor(shopper, half) == half[1:]
    assert sales_of(database, "E:[^:]*") == [SALES]


async def test_the_oldest_order_leaves_each_list_though_a_younger_one_would_make_room_in_both(
    shopper: Shopper, database: redis.Redis, clock: Clock
) -> None:
    await sell(shopper, "S-oldest", email=LUKE)
    clock.forward(1)
    await sell(shopper, "S-shared", email=LUKE, customer="C-7")
    for number in range(SALES - 1):
        clock.forward(1)
        await sell(shopper, f"S-{number}", customer="C-7")
    for number in range(SALES - 2):
        clock.forward(1)
        await sell(shopper, f"E-{number}", email=LUKE)
    clock.forward(1)
    await sell(shopper, "S-new", email=LUKE, customer="C-7")
    stored = {one["sale"]: one for one in (sale_at(database, key) for key in database.scan_iter("id:v2:{*}:S:*"))}
    named = {sale for sale, one in stored.items() if {"email", "customer"} & set(one)}
    assert set(stored) - named == {"S-oldest", "S-shared"}


async def test_orders_of_a_visitor(shopper: Shopper, database: redis.Redis, clock: Clock) -> None:
    sales = [f"S-{number}" for number in range(3 * SALES)]
    for sale in sales:
        await sell(shopper, sale, visitor="one", email=LUKE)
        clock.forward(1)
    assert sales_of(database, "V:[^:]*:sales") == [SALES]
    assert await of_visitor(shopper, sales) == sales[-SALES:]
    await shopper.post("/v1/erasures", {"visitor": "one"})
    assert await of_visitor(shopper, sales) == []


async def of_visitor(shopper: Shopper, sales: list[str]) -> list[str]:
    """Those of them that name one."""
    return [sale for sale in sales if (await order(shopper, sale))["visitor"]]


async def test_orders_listed_of_a_shop(shopper: Shopper, database: redis.Redis) -> None:
    for number in range(3 * CAPS["ORDERS_PER_SHOP"]):
        await sell(shopper, f"S-{number}")
    assert len(await orders(shopper)) == CAPS["ORDERS_PER_SHOP"]


async def test_one_order(shopper: Shopper, database: redis.Redis) -> None:
    """The longest lines, each credited with the most and longest labels."""
    labels = [f"{number:x>255}" for number in range(20)]
    products = [f"{number:y>250}" for number in range(30)]
    for product in products:
        await shopper.post("/v2/log/click", {"product": product, "labels": labels, "visitor": "one"}, key="demo-public-key")
    lines = [{"id": product, "price": 10**9, "quantity": 10**6} for product in products]
    await sell(shopper, "S" * 255, visitor="one", products=lines)
    await sell(shopper, "long", products=[1] * 1001)
    [order] = [one for one in await orders(shopper) if one["sale"] == "long"]
    assert len(order["products"]) == 1000


async def test_a_withdrawal_reads_and_writes_no_more_of_long_orders_than_whom_they_name(shopper: Shopper, database: redis.Redis) -> None:
    lines = [{"id": f"{number:y>80}"} for number in range(300)]
    for number in range(SALES):
        await sell(shopper, f"S-{number}", visitor="one", email=LUKE, products=lines)
    database.config_resetstat()
    await shopper.post("/v1/erasures", {"visitor": "one"})
    commands = database.info("commandstats")
    assert database.info("stats")["total_net_output_bytes"] < 8_192
    assert (commands["cmdstat_setrange"]["calls"], commands["cmdstat_set"]["calls"]) == (SALES, 1)
    assert await of_visitor(shopper, [f"S-{number}" for number in range(SALES)]) == []


LONG = "w" * 255
EVENTS: dict[str, dict[str, Any]] = {
    "click": {"product": 7, "labels": [LONG] * 20, "api": LONG},
    "search": {"query": LONG, "labels": [LONG] * 20},
    "category": {"category": LONG},
    "product": {"product": LONG},
    "results": {"labels": [LONG] * 20, "products": [f"{number:z>100}" for number in range(240)], "api": LONG},
    "basket/set": {"products": [f"{number:z>100}" for number in range(240)]},
}


@pytest.mark.parametrize("call", EVENTS)
async def test_events_of_a_visitor(shopper: Shopper, database: redis.Redis, call: str) -> None:
    for _ in range(3 * CAPS["EVENTS_PER_VISITOR"]):
        answer = await shopper.post(f"/v2/log/{call}", EVENTS[call] | {"visitor": "one"}, key="demo-public-key")
        assert answer.json() == {"status": "ok"}
    assert size(database, "V:[^:]*:events") == [CAPS["EVENTS_PER_VISITOR"]]


async def test_receipts_of_a_visitor(shopper: Shopper, clock: Clock, database: redis.Redis) -> None:
    """Each choice has its proof for as long as it must be kept; a visitor lists the newest hundred."""
    token = (await shopper.post("/v1/consents", {"consent": "granted"})).json()["token"]
    for number in range(3 * RECEIPTS):
        clock.forward(1)
        purposes = {"storage": "granted", "measurement": "granted", "linking": ("refused", "granted")[number % 2]}
        answer = await shopper.post("/v1/consents", {"token": token, "consent": {"purposes": purposes, "policy_version": str(number)}})
        assert answer.status_code == 200
    assert size(database, "V:[^:]*:receipts") == [RECEIPTS]
    listed = (await shopper.post("/v1/receipts", {"visitor": answer.json()["visitor"]})).json()["receipts"]
    assert len(listed) == RECEIPTS + 1
    assert (await shopper.post("/v1/consents", {"token": token, "consent": {"policy_version": "v" * 65}})).status_code == 422


async def test_labels_of_an_hour(shopper: Shopper, application: Application, database: redis.Redis) -> None:
    """Labels past the cap are counted together, and displace none of the shop's own counters."""
    for number in range(3 * COUNTERS):
        await shopper.post("/v2/log/click", {"product": 1, "labels": [f"label {number}"], "visitor": "one"}, key="demo-public-key")
    await written(application)
    await shopper.post("/v1/visitors")
    await sell(shopper, "S-1", visitor="one")
    await written(application)
    [shop] = [one for one in application.services.shops if one.shop_id == "demo"]
    totals = await application.services.figures.totals(shop, 3600)
    assert (totals["clicks all"], totals["issued cookieless"], totals["orders all"]) == (3 * COUNTERS, 1, 1)
    assert sum(number for name, number in totals.items() if name.startswith("click ")) == 3 * COUNTERS
    assert totals["click ..."] > COUNTERS
    assert len(totals) <= COUNTERS + CLOSED_NAMES


async def test_labels_of_a_day_of_visitors_who_said_nothing(shopper: Shopper, application: Application, database: redis.Redis) -> None:
    """Labels past the cap are not counted apart, and displace nothing."""
    days, shop = application.services.counters.days, ShopId("demo")
    for number in range(3 * COUNTERS):
        days.count_click(shop, [f"label {number}"])
    await written(application)
    for _ in range(10):
        days.count_order(shop)
        days.count_click(shop, ["late", "label 0"])
    await written(application)
    [counts] = (
        await application.services.store.days.figures(shop, int(application.services.clock()), int(application.services.clock()))
    ).values()
    assert counts == {"silent clicks": (3 * COUNTERS + 10) // 10 * 10, "silent orders": 10, "silent_click label 0": 10}
    assert size(database, r"remainders:\d+")[0] <= COUNTERS + CLOSED_NAMES


async def test_labels_that_wait_for_a_store_that_is_away(shopper: Shopper, application: Application) -> None:
    """In the worker's memory, within one second or while the store is away, they have a cap too."""
    for number in range(counters.MOST_WAITING + 100):
        labels = [f"label {number} {index}" for index in range(20)]
        await shopper.post("/v2/log/click", {"product": number, "labels": labels, "visitor": "one"}, key="demo-public-key")
    [gathered] = application.services.counters._shops.values()
    assert len(gathered.calls) <= counters.MOST_WAITING
    assert max(map(len, gathered.hours.values())) <= 2 * COUNTERS + CLOSED_NAMES
    assert len(gathered.products) <= counters.MOST_WAITING
    assert len(gathered.log) <= counters.MOST_WAITING


async def test_products_that_wait_to_be_seen(shopper: Shopper, application: Application) -> None:
    for start in range(0, 3 * counters.MOST_WAITING, 100):
        await sell(shopper, f"S-{start}", products=list(range(start, start + 100)))
    [gathered] = application.services.counters._shops.values()
    assert len(gathered.products) <= counters.MOST_WAITING
    await written(application)


async def test_products_seen_of_a_shop(shopper: Shopper, application: Application, database: redis.Redis) -> None:
    for number in range(3 * PRODUCTS):
        await shopper.post("/v2/log/click", {"product": f"{number:p>255}", "visitor": "one"}, key="demo-public-key")
    await written(application)
    assert size(database, "products") == [PRODUCTS]


async def test_calls_in_the_log_of_a_shop(shopper: Shopper, application: Application, database: redis.Redis) -> None:
    for number in range(3 * CALLS):
        labels = [f"{number}-{index:l>250}" for index in range(20)]
        await shopper.post("/v2/log/click", {"product": "?" * 256, "labels": labels}, key="demo-public-key")
        await shopper.post("/v2/log/search", {"query": LONG, "labels": labels, "visitor": "one"}, key="demo-public-key")
    await written(application)
    assert size(database, "calls") == size(database, "failures") == [CALLS]


async def test_accesses_to_a_person_and_sessions(shopper: Shopper, application: Application, database: redis.Redis) -> None:
    """The entries of a day are limited by actor, in `test_audit`."""
    async with desk_of(application) as desk:
        for _ in range(3 * MOST_OF_A_PERSON):
            desk.client.cookies.clear()
            assert (await desk.client.post("/admin/signin", data={"private_key": "demo-private-key"}, headers=OWN)).status_code == 303
    assert size(database, "sessions") == [MOST_OF_A_PERSON]
    [shop] = [one for one in application.services.shops if one.shop_id == "demo"]
    for number in range(3 * MOST_ACCESSES):
        await application.services.audit.record(shop, Actor(f"person {number}", person=True), Act.LOOKUP, VisitorId("one"), 1)
    assert size(database, "A:.*") == [MOST_ACCESSES]


async def test_the_walk_finds_what_has_no_bound(shopper: Shopper, database: redis.Redis) -> None:
    await link(shopper, "one")
    for key, put in (
        ("id:v2:{demo}:new", lambda key: database.set(key, "1", 60)),
        ("id:v2:{demo}:latest", lambda key: database.hset(key, "click", "1")),
        ("id:v2:{demo}:calls", lambda key: (database.rpush(key, *range(CALLS + 1)), database.expire(key, 60))),
    ):
        put(key)
        assert len(beyond(database)) == 1
        database.delete(key)


async def test_the_oldest_products_give_way_and_what_public_keys_show_pushes_out_none_of_the_shops(shopper: Shopper, clock: Clock) -> None:
    async def shown(products: list[str], key: str) -> list[str]:
        for product in products:
            await shopper.post("/v2/log/click", {"product": product, "visitor": "one"}, key=key)
            clock.forward(1)
        answer = await shopper.client.get("/v1/products", headers={"authorization": "Bearer demo-private-key"})
        return [one["product"] for one in answer.json()["products"]]

    own, junk = [f"own-{number}" for number in range(PRODUCTS - 2)], [f"junk-{number}" for number in range(2 * PRODUCTS)]
    await shown(own, "demo-private-key")
    assert await shown(junk, "demo-public-key") == [junk[-1], junk[-2], *reversed(own)]
    assert set(await shown([own[0]], "demo-public-key")) == {*junk[-2:], *own}
    assert set(await shown([*junk, own[0]], "demo-public-key")) == {*junk[-2:], *own}
    newer = [f"newer-{number}" for number in range(4)]
    assert set(await shown(newer, "demo-private-key")) == {*newer, own[0], *own[3:]}
