"""`measurement = "exempt"`: of visitors who said nothing, figures are kept and nothing else. Each test shows one of the demands in the
manual's page on counting."""

import hmac
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import redis

from identity_service.app import Application
from identity_service.errors import StoreUnavailable
from identity_service.model.cookieless import network
from identity_service.model.handle import prefixed
from identity_service.model.shop import ShopId
from identity_service.ops.check import faults
from identity_service.service.visit import Surroundings
from identity_service.settings.load import load
from identity_service.web.manual.book import FOLDER
from tests.conftest import Clock, Shopper, shopping
from tests.contract.desk import desk_of, text_of
from tests.test_privacy import dump, hits

pytestmark = pytest.mark.anyio
SHOP, PRIVATE, PUBLIC = "strict", "strict-private-key", "strict-public-key"
EXEMPT = {"IDENTITY_SHOPS__STRICT__MEASUREMENT": "exempt"}
DAY, HOUR = 86_400, 3_600
ROOT = Path(__file__).parent.parent.parent
FEW, MANY = 300, 10_000
TOLERANCE = 0.03
UNTOUCHED = {"mode": "null", "visitor": None, "token": None, "counted": True}


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return environment | EXEMPT


@pytest.fixture
def counting(shopper: Shopper, clock: Clock) -> Shopper:
    """In the morning, so that a test stays within a day."""
    clock.now += DAY - clock.now % DAY + 9 * HOUR
    return shopper


async def come(shopper: Shopper, number: int, path: str = "/v1/visitors", **members: Any) -> dict[str, Any]:
    answer = await shopper.post(path, {"client": client(number)} | members, key=PRIVATE)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def client(number: int) -> dict[str, str]:
    return {"ip": f"198.{18 + number // 62_500}.{number // 250 % 250}.{number % 250 + 1}", "user_agent": f"Mozilla/5.0 silent-{number}"}


async def log(shopper: Shopper, call: str, /, status: int = 200, **members: Any) -> None:
    """As the snippet does for a visitor who said nothing."""
    headers = members.pop("headers", {})
    answer = await shopper.browser(f"/v2/log/{call}", {"visitor": None, "counted": True} | members, key=PUBLIC, **headers)
    assert answer.status_code == status, answer.text


async def figures(shopper: Shopper, days: int = 1) -> dict[str, Any]:
    """Of the oldest of the days."""
    answer = await shopper.client.get(f"/v1/figures?days={days}", headers={"authorization": f"Bearer {PRIVATE}"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["figures"][-1]
    return found


async def read(shopper: Shopper, path: str) -> Any:
    answer = await shopper.client.get(path, headers={"authorization": f"Bearer {PRIVATE}"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def between(estimate: dict[str, Any], truth: int) -> bool:
    return bool(estimate["low"] <= truth <= estimate["high"])


def test_each_demand_in_the_manual_names_tests_that_exist() -> None:
    rows = re.findall(r"^\| (\d+) \|.*\| ([^|]+) \|$", (FOLDER / "counting.md").read_text(), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 15))
    for number, named in rows:
        tests = re.findall("`([^`]+)`", named)
        assert tests or named == "the operator's", number
        assert all((ROOT / one).exists() if "/" in one else one in globals() for one in tests), number


async def test_a_silent_visitor_gets_no_id_and_nothing_on_the_device(counting: Shopper) -> None:
    answer = await counting.browser("/v1/visitors", {}, key=PUBLIC)
    assert "set-cookie" not in answer.headers
    found = answer.json()
    assert found | UNTOUCHED == found
    assert (found["linkable"], found["expires_at"], found["decision"]["reason"]) == (False, None, "no_signal")


async def test_days_are_counted_within_three_percent_and_no_dump_is_about_fewer_than_ten(
    counting: Shopper, clock: Clock, database: redis.Redis, long: bool
) -> None:
    """Also who knows every address and user agent finds nobody in what is left once the day has ended."""
    number = MANY if long else FEW
    for visitor in range(number):
        assert (await come(counting, visitor)) | UNTOUCHED == (await come(counting, visitor))
    for visitor in range(0, number, 4):
        await log(counting, "click", product=f"product-needle-{visitor}", labels=["Home - Popular", f"needle-{visitor}"])
    for visitor in range(0, number, 20):
        await log(counting, "sale", sale=f"S-{visitor}", products=[{"id": 1, "price": 10}], email=f"needle{visitor}@example.com")
    found = (await figures(counting))["counted"]
    middle = (found["visitors"]["low"] + found["visitors"]["high"]) / 2
    assert abs(middle - number) <= max(TOLERANCE * number, 10)
    for name, truth in (("visitors", number), ("visits", number), ("views", 2 * number), ("clicks", number // 4), ("orders", number // 20)):
        assert between(found[name], truth), name
    assert found["conversion"] is None or found["conversion"]["low"] <= 1 / 20 <= found["conversion"]["high"]
    [popular] = (await read(counting, "/v1/labels?days=1"))["labels"]
    assert popular["label"] == "Home - Popular"
    assert between(popular["counted"], number // 4)
    assert (popular["clicks"], popular["orders"], popular["revenue"]) == (0, 0, "0")

    people = [client(visitor) for visitor in range(number)]
    clear = [text for one in people for text in one.values()]
    needles = (
        clear + [f"needle-{visitor}" for visitor in range(0, number, 4)] + [f"product-needle-{visitor}" for visitor in range(0, number, 4)]
    )
    assert hits(needles, dump(database)) == []
    end_of_day(database, clock)
    assert recomputed(database, people) == []
    assert small_numbers(database) == []
    assert unknown_figures(database) == set()
    assert set(database.zrange("id:v2:{strict}:products", 0, -1)) == {"i1"}, "of orders, which are the shop's own"


def end_of_day(database: redis.Redis, clock: Clock) -> None:
    """Removes what the store itself removes until a minute after the day."""
    left = DAY - clock.now % DAY + 60
    for key in list(database.scan_iter()):
        if 0 <= database.ttl(key) <= left:
            database.delete(key)


def recomputed(database: redis.Redis, people: list[dict[str, str]]) -> list[str]:
    """Everything that the store still has is tried as a salt, with and without the pepper, over every known address and user agent."""
    kept = "\n".join(dump(database))
    pepper = load("development", {}).secrets.pepper.encode()
    words = set(re.findall(r"[A-Za-z0-9_-]{32,}", kept)) | {""}
    keys = [word.encode() for word in words] + [hmac.digest(pepper, prefixed(("figures", word.encode())), sha256) for word in words]
    return [
        text
        for key in keys
        for one in people
        for text in {hmac.digest(key, prefixed((network(one["ip"]), one["user_agent"])), sha256).hex()[:16]}
        if text in kept.encode().hex() or text in kept
    ]


def small_numbers(database: redis.Redis) -> list[str]:
    """Figures of silent visitors below ten, and what only one of them can have left; orders are the shop's own."""
    kept: list[str] = [str(key) for key in database.scan_iter() if re.search(r":(sketch|remainders|V|E|calls)\b", str(key))]
    for key in database.scan_iter("*{strict}:[hd][oa][uy]*"):
        for name, text in database.hgetall(key).items():
            if str(name).startswith(("silent", "visitors", "click", "clicks", "mode", "issued")) and int(text) < 10:
                kept.append(f"{key!s} {name!s} {text!s}")
    return kept


def unknown_figures(database: redis.Redis) -> set[str]:
    """Names of figures that are about something else than a kind of call, or a label that many clicked: such as about one visitor."""
    counts = [database.hgetall(key) for key in database.scan_iter("*{strict}:[hd][oa][uy]*")]
    known = "silent (views|clicks|orders|call log/(click|sale))|silent_click Home - Popular|visitors (counted|visits)"
    own = "(orders|revenue_all) all|call .*|mode null"
    return {str(name) for fields in counts for name in fields if not re.fullmatch(f"{known}|{own}", str(name))}


async def test_a_visitor_is_another_one_each_day(counting: Shopper, clock: Clock, database: redis.Redis) -> None:
    """In the sketches and in what waits, so that nobody can compare two days."""
    days = []
    for _ in range(2):
        await come(counting, 1)
        await figures(counting)
        day = int(clock.now) // DAY * DAY
        sketches = [str(database.get(f"id:v2:{{strict}}:sketch:{day}-{kind}")) for kind in ("counted", "visits")]
        days.append([*sketches, *map(str, database.hgetall(f"id:v2:{{strict}}:remainders:{day}"))])
        clock.forward(DAY)
    assert len(days[0]) == len(days[1]) > 2
    assert set(days[0]) & set(days[1]) == set()


async def test_no_page_search_product_or_referrer_is_kept(counting: Shopper, database: redis.Redis) -> None:
    """Of ten visitors who do the same, so that a figure of it would show."""
    needles = {name: f"needle-{name}" for name in ("product", "category", "query", "referer", "api", "text")}
    calls = (
        ("click", {"product": needles["product"], "api": needles["api"]}),
        ("product", {"product": needles["product"]}),
        ("category", {"category": needles["category"]}),
        ("search", {"query": needles["query"], "labels": ["Search"]}),
        ("results", {"labels": ["Home"], "products": [needles["product"]], "api": needles["api"]}),
        ("basket/set", {"products": [needles["product"]]}),
        ("debug", {"message": needles["text"]}),
    )
    for _ in range(10):
        await counting.browser("/v1/visitors", {}, key=PUBLIC, referer=f"https://shop.example/{needles['referer']}")
        for call, said in calls:
            await log(counting, call, headers={"referer": f"http://localhost:8080/{needles['referer']}"}, **said)
    found = (await figures(counting))["counted"]
    assert (found["views"]["low"], found["clicks"]["low"], found["orders"]["hidden"]) == (10, 10, True)
    assert hits(list(needles.values()), dump(database)) == []
    assert (await read(counting, "/v1/labels"))["labels"] == []


async def test_everything_but_figures_ends_with_the_day(
    counting: Shopper, application: Application, clock: Clock, database: redis.Redis
) -> None:
    for visitor in range(12):
        await come(counting, visitor)
    await figures(counting)
    left, kept = DAY - clock.now % DAY + 60, {}
    for key in database.scan_iter("id:v2:{strict}:*"):
        kept[str(key).split(":")[3]] = int(str(database.ttl(key)))
    assert set(kept) == {"Z", "hour", "day", "sketch", "remainders", "rewrite"}
    assert max(kept["sketch"], kept["remainders"]) <= left
    assert int(str(database.ttl(f"id:v2:{{strict}}:Z:{int(clock.now) // DAY * DAY}:day"))) <= left
    assert left < kept["day"] == kept["hour"] <= 400 * DAY
    clock.forward(DAY)
    await application.keep_up()
    assert application.services.store.days.salts._held == {}


async def test_two_shops_have_no_salt_in_common(counting: Shopper, database: redis.Redis) -> None:
    await come(counting, 1)
    await counting.post("/v1/visitors", {"client": client(1)})
    await counting.application.services.counters.write()
    salts = [database.get(key) for key in database.scan_iter("*:Z:*:day")]
    assert len(set(salts)) == len(salts) == 2


async def test_no_figure_below_ten_leaves_and_each_moves_by_ten(counting: Shopper) -> None:
    """Asked after every event, a figure moves by ten at once; a hidden label is in no total."""
    told = []
    for visitor in range(25):
        await come(counting, visitor)
        await log(counting, "click", product=1, labels=["Rare" if visitor < 9 else "Common"])
        found, labels = (await figures(counting))["counted"], (await read(counting, "/v1/labels"))["labels"]
        told.append((found["views"]["low"], found["clicks"]["low"], [one["label"] for one in labels]))
        assert found["views"]["hidden"] == (visitor < 9)
        assert found["hours"] == [] if visitor < 9 else len(found["hours"]) == 1
    assert [views for views, *_ in told] == [0] * 9 + [10] * 10 + [20] * 6
    assert [clicks for _, clicks, *_ in told] == [0] * 9 + [10] * 10 + [20] * 6
    assert [labels for *_, labels in told] == [[]] * 18 + [["Common"]] * 7
    totals = await read(counting, "/v1/labels")
    assert (totals["attributed_orders"], totals["other_orders"]) == (0, 0)
    calls = (await read(counting, "/v1/calls"))["calls"]
    assert calls == []
    assert (await read(counting, "/v1/products"))["products"] == []


@pytest.mark.parametrize(
    "objection",
    [{"headers": {"cookie": "__Host-visitor-choice=refused.29920000"}}, {"headers": {"sec-gpc": "1"}}, {"headers": {"dnt": "1"}}],
)
async def test_an_objection_stops_even_that(counting: Shopper, objection: dict[str, Any]) -> None:
    """By a refusal that the browser remembers, and by GPC and DNT."""
    for _ in range(12):
        answer = (await counting.browser("/v1/visitors", {}, key=PUBLIC, **objection["headers"])).json()
        assert (answer["mode"], "counted" in answer) == ("null", False)
        await log(counting, "click", product=1, labels=["Home"], **objection)
        await log(counting, "sale", sale="S-1", products=[1], **objection)
    found = await figures(counting)
    assert all(found["counted"][name] == {"low": 0, "high": 9, "hidden": True} for name in ("views", "clicks", "orders", "visitors"))
    assert found["without_id"] == 12


async def test_a_refusal_is_free_and_takes_one_call(counting: Shopper) -> None:
    before = await counting.browser("/v1/visitors", {}, key=PUBLIC)
    assert before.json()["counted"]
    refused = await counting.browser("/v1/consents", {"consent": "refused"}, key=PUBLIC)
    assert (refused.json()["mode"], "counted" in refused.json()) == ("null", False)
    [cookie] = [one.partition(";")[0] for one in refused.headers.get_list("set-cookie") if "refused." in one]
    after = await counting.browser("/v1/visitors", {}, key=PUBLIC, cookie=cookie)
    assert (after.json()["decision"]["reason"], "counted" in after.json()) == ("consent_refused", False)


@pytest.mark.parametrize("named", [{}, {"visitor": "own-1"}, {"visitor": "auto"}])
async def test_a_refusal_that_the_store_holds_stops_it_on_every_device(counting: Shopper, named: dict[str, Any]) -> None:
    """Without a cookie, as a server asks, and for an ID that the caller names beside it."""
    assert (await come(counting, 1, **named))["counted"]
    await come(counting, 1, "/v1/consents", consent="refused")
    assert "counted" not in (await come(counting, 1, **named))
    assert (await come(counting, 2, **named))["counted"]


async def test_a_withdrawal_by_token_stops_it_without_the_token(counting: Shopper) -> None:
    token = (await come(counting, 1, "/v1/consents", consent="granted"))["token"]
    assert (await come(counting, 1, "/v1/consents", consent="refused", token=token))["mode"] == "null"
    assert "counted" not in (await come(counting, 1))


async def test_a_tracking_call_does_not_count_who_refused(counting: Shopper) -> None:
    """On another device of the same browser, without the cookie."""
    for _ in range(10):
        await log(counting, "click", product=1)
    assert (await figures(counting))["counted"]["clicks"]["low"] == 10
    await counting.browser("/v1/consents", {"consent": "refused"}, key=PUBLIC)
    for _ in range(10):
        await log(counting, "click", product=1)
        await counting.browser("/v2/log/click", {"visitor": "auto", "product": 1}, key=PUBLIC)
    assert (await figures(counting))["counted"]["clicks"]["low"] == 10


@pytest.mark.parametrize("agent", ["Googlebot/2.1 (+http://www.google.com/bot.html)", "Mozilla/5.0 Claude-User/1.0"])
async def test_neither_robots_nor_agents_are_counted(counting: Shopper, agent: str) -> None:
    answer = (await counting.browser("/v1/visitors", {}, key=PUBLIC, user_agent=agent)).json()
    assert (answer["mode"], "counted" in answer) == ("null", False)


async def test_a_switched_off_visitor_is_not_counted(counting: Shopper) -> None:
    """A null that the shop says means no tracking; only the answer's `counted` makes it a figure."""
    assert "counted" not in (await come(counting, 1, visitor=None))
    for _ in range(10):
        answer = await counting.browser("/v2/log/click", {"visitor": None, "product": 1, "labels": ["Home"]}, key=PUBLIC)
        assert answer.status_code == 200
    assert (await figures(counting))["counted"]["clicks"]["hidden"]


async def test_consent_that_is_given_later_starts_at_zero(counting: Shopper) -> None:
    for _ in range(3):
        await counting.browser("/v1/visitors", {}, key=PUBLIC)
        await log(counting, "click", product=7, labels=["Before"])
    granted = (await counting.browser("/v1/consents", {"consent": "granted"}, key=PUBLIC)).json()
    assert granted["mode"] == "persistent"
    assert (await counting.post("/v1/events", {"visitor": granted["visitor"]}, key=PRIVATE)).json()["events"] == []
    await counting.browser("/v2/log/sale", {"sale": "S-9", "products": [7], "visitor": granted["token"]}, key=PUBLIC)
    order = await read(counting, "/v1/orders/S-9")
    assert (order["attributed"], order["visitor"]) == (False, granted["visitor"])


async def test_an_order_is_kept_without_a_visitor_and_links_nobody(counting: Shopper) -> None:
    await log(counting, "sale", sale="S-1", products=[{"id": 1, "price": 10}], email="luke@skywalker.com", customer="7")
    order = await read(counting, "/v1/orders/S-1")
    assert (order["mode"], order["visitor"], order["attributed"], order["revenue"]) == ("null", None, False, "10")
    looked_up = await counting.post("/v1/lookups", {"email": "luke@skywalker.com"}, key=PRIVATE)
    assert looked_up.json()["visitors"] == []
    explained = await read(counting, "/v1/orders/S-1/attribution")
    assert explained["broken"] == "null_mode"


async def test_a_region_decides_for_itself(environment: dict[str, str], clock: Clock) -> None:
    only_france = {"IDENTITY_SHOPS__STRICT__MEASUREMENT": "none", "IDENTITY_SHOPS__STRICT__REGIONS__FR__MEASUREMENT": "exempt"}
    all_but_spain = {"IDENTITY_SHOPS__STRICT__REGIONS__ES__MEASUREMENT": "none"}
    for setting, expected in ((only_france, {"FR"}), (all_but_spain, {"FR", "DE", None})):
        async with shopping(load("development", environment | setting), clock) as shopper:
            counted = set()
            for region in ("FR", "DE", "ES", None, "BR"):
                answer = await shopper.post("/v1/visitors", {"client": client(1) | {"region": region}}, key=PRIVATE)
                if "counted" in answer.json():
                    counted.add(region)
            assert counted == expected


async def test_without_the_setting_nothing_is_counted_and_with_it_off_again_at_once(
    counting: Shopper, environment: dict[str, str], clock: Clock, database: redis.Redis
) -> None:
    for visitor in range(20):
        await come(counting, visitor)
    assert (await figures(counting))["counted"]["views"]["low"] == 20
    async with shopping(load("development", environment | {"IDENTITY_SHOPS__STRICT__MEASUREMENT": "none"}), clock) as off:
        for visitor in range(20):
            assert "counted" not in (await come(off, visitor))
            await log(off, "click", product=1, labels=["Home"])
        assert (await figures(off))["counted"]["views"]["low"] == 20
        assert (await figures(off))["counted"]["clicks"]["hidden"]
        database.flushall()
        assert "counted" not in await figures(off)


async def test_what_is_not_written_when_the_setting_goes_off_is_forgotten(
    counting: Shopper, application: Application, clock: Clock, database: redis.Redis
) -> None:
    """Also what a call adds that was under way. Visitors with an ID count as before, and other shops' silent ones."""
    days, shop = application.services.counters.days, ShopId(SHOP)
    for visitor in range(12):
        await come(counting, visitor)
    await log(counting, "click", product=1, labels=["Home"])
    await come(counting, 1, "/v1/consents", consent="granted")
    application.stop_counting(frozenset({shop}))
    days.count_view(shop, Surroundings("198.51.100.7", "Mozilla/5.0 late"))
    days.count_order(ShopId("other"))
    await application.services.counters.write()
    assert [str(key) for kind in ("remainders", "sketch") for key in database.scan_iter(f"*:{kind}:*")] == [
        f"id:v2:{{{shop}}}:{kind}:{int(clock.now) // DAY * DAY}{end}"
        for shop, kind, end in (("other", "remainders", ""), ("strict", "sketch", "-persistent"))
    ]
    found = await figures(counting)
    assert found["visitors"]["persistent"]["low"] == 1
    assert "counted" not in found
    assert "counted" not in (await come(counting, 3))
    assert days.waiting == set()


async def test_health_and_overview_see_their_clicks_in_tens(counting: Shopper, application: Application, clock: Clock) -> None:
    """Else a shop whose visitors say nothing would seem broken."""
    async with desk_of(application) as desk:
        assert (await desk.sign_in(PRIVATE)).status_code == 303
        for clicks in (9, 1):
            assert (await read(counting, "/v1/health/tracking"))["click"]["status"] == "not_started"
            assert "Home" not in text_of(await desk.get("overview"))
            for _ in range(clicks):
                await log(counting, "click", product=1, labels=["Home"])
        assert (await read(counting, "/v1/health/tracking"))["click"]["status"] == "green"
        shown = text_of(await desk.get("overview"))
        assert "Visitors who said nothing, today <10" in shown
        assert "Home 0 10 to 19 0 0.00 EUR" in re.sub(r"Home 0 10 to \d+", "Home 0 10 to 19", shown)


async def test_no_exact_counter_contains_their_calls(counting: Shopper, application: Application, database: redis.Redis) -> None:
    """Not one that failed, and none with unread arguments. So no share shows their number."""
    click: dict[str, Any] = {"product": 1, "labels": ["Home"]}
    token = (await counting.browser("/v1/consents", {"consent": "granted"}, key=PUBLIC)).json()["token"]
    for _ in range(4):
        await counting.browser("/v2/log/click", click | {"visitor": token}, key=PUBLIC)
    await counting.browser("/v2/log/click", {"visitor": token}, key=PUBLIC)
    before = await exact(counting, database)
    other: dict[str, Any] = {"headers": {"user-agent": "Mozilla/5.0 somebody else"}}
    for number in range(7):
        await log(counting, "click", **click, **other)
        await log(counting, "sale", sale=f"S-{number}", products=[{"id": 1, "quantity": "many"}], **other)
        await log(counting, "click", 400, labels=["Home"], **other)
        await log(counting, "debug", message="it", **other)
    assert await exact(counting, database) == before


async def exact(shopper: Shopper, database: redis.Redis) -> Any:
    """What counts and lists calls: counters, shares and the log."""
    health = await read(shopper, "/v1/health/tracking")
    counts = [database.hgetall(key) for key in database.scan_iter("*{strict}:hour:*")]
    calls = [{name: number for name, number in one.items() if str(name).startswith(("call ", "error ", "unread "))} for one in counts]
    return health["error_rate"], health["unread"], calls, (await read(shopper, "/v1/calls"))["calls"]


async def test_standard_never_counts_because_it_has_nobody_without_an_id(environment: dict[str, str], clock: Clock) -> None:
    async with shopping(load("development", environment | {"IDENTITY_SHOPS__DEMO__MEASUREMENT": "exempt"}), clock) as shopper:
        answer = (await shopper.post("/v1/visitors", {"client": client(1)})).json()
        assert (answer["mode"], "counted" in answer) == ("cookieless", False)


def test_the_setting_is_refused_where_it_would_count_nobody() -> None:
    told = [fault.text for fault in faults(load("development", {"IDENTITY_SHOPS__DEMO__MEASUREMENT": "exempt"}))]
    assert told == ["counts visitors without an ID, whom the policy standard does not have; set policy to strict, or this to none"]
    assert faults(load("development", EXEMPT)) == []


async def test_counts_that_cannot_be_written_are_lost_and_no_address_waits(
    counting: Shopper, application: Application, cut_off: Shopper
) -> None:
    services = application.services
    await come(counting, 1)
    services.counters.days._store = cut_off.application.services.store
    with pytest.raises(StoreUnavailable):
        await services.counters.write()
    assert services.counters.days.waiting == set()
