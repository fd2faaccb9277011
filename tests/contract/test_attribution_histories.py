"""Random histories through the whole application, against a plain reference: who is credited with which order, and what an order still
knows after its visitor withdrew or was erased.

The store runs on the machine's clock and the application on the test's, so time passes in both together: see `age`. The same histories
are played each time; HISTORIES=10000 plays that many new ones.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.cluster import RedisCluster

from identity_service.settings.load import load
from tests.conftest import START, Clock, Shopper, shopping
from tests.contract.attribution_model import BROWSERS, DAY, GRACE, HOUR, OWN, SERVER, Line, Model, Order, Terms, Visitor
from tests.stores import sale_at

HISTORIES = int(os.environ.get("HISTORIES", "0"))
USUAL = 150
LONGEST = 300 * DAY
"""Of a history: before any grant or sale ID ends by itself."""
TICK = 10
"""Seconds. All times and lives are multiples of it, so that the store's own clock may run on meanwhile."""

DEMO, WIDE, FRESH = Terms("demo", 1, 30, True), Terms("other", 30, 2, True), Terms("strict", 1, 2, False)
TERMS = [DEMO, DEMO, WIDE, FRESH]
ENVIRONMENT = {
    "IDENTITY_STORE__TIMEOUT_SECONDS": "10",
    "IDENTITY_SHOPS__OTHER__WINDOW_DAYS": "30",
    "IDENTITY_SHOPS__OTHER__ATTRIBUTION_DAYS": "2",
    "IDENTITY_SHOPS__STRICT__ATTRIBUTION_DAYS": "2",
    "IDENTITY_SHOPS__STRICT__POLICY": "standard",
    "IDENTITY_SHOPS__STRICT__CONTINUITY": "fresh",
}
"""Three shops: one as it comes, one with long windows and a short memory, one that counts nothing of before a grant. Figures of 30 days
are slow to read, and a store that is slow for once is no difference."""

AGED = """
for _, key in ipairs(redis.call('KEYS', '*')) do
  local life = redis.call('PTTL', key)
  if life >= 0 then
    life = math.ceil(life / 1000 / ARGV[2]) * ARGV[2] - ARGV[1]
    if life > 0 then redis.call('EXPIRE', key, life) else redis.call('DEL', key) end
  end
end
"""

EVERYBODY = [*BROWSERS, *BROWSERS, SERVER, *OWN]
AGENTS = {who: f"Mozilla/5.0 ({who}) Gecko/20100101 Firefox/140.0" for who in BROWSERS}
EMAILS = ["luke@skywalker.com", "leia@example.com"]
PRODUCTS: list[str | int] = [*[7] * 12, "7", 12, 'a"7', "SKU-12]"]
LABELS = [["Home"], ["Search"], ["Home", "Mail"], ["Search"], ["Home"], ["Mail"], ["Mail"], [], [" "], None, None]
AROUND_MIDNIGHT = [-600, -TICK, 0, 600, GRACE - TICK, GRACE, GRACE + TICK]
SOON = [TICK, TICK, 600, HOUR]
LATER = [DAY - TICK, DAY, 2 * DAY, 2 * DAY + TICK, 29 * DAY, 30 * DAY, 30 * DAY + TICK]


@dataclass(frozen=True)
class Wait:
    """`until`: so many seconds after the next midnight (or before it), where there are any."""

    seconds: int = 0
    until: int | None = None


@dataclass(frozen=True)
class Arrive:
    who: str


@dataclass(frozen=True)
class Choose:
    who: str
    choice: str
    with_token: bool


@dataclass(frozen=True)
class Erase:
    who: str | None = None
    email: str | None = None


@dataclass(frozen=True)
class Log:
    """A click or results."""

    kind: str
    who: str
    how: str
    products: tuple[str | int, ...]
    labels: list[str] | None
    api: str | None


@dataclass(frozen=True)
class Email:
    who: str
    how: str
    email: str


@dataclass(frozen=True)
class Sell:
    number: int | str
    who: str
    how: str
    lines: tuple[tuple[str | int, int, str], ...]
    email: str | None
    customer: int | None


Step = Wait | Arrive | Choose | Erase | Log | Email | Sell
HOW = st.sampled_from(["token"] * 12 + ["raw", "raw", "session", "auto", "auto", "absent", "null"])
API = st.sampled_from([None, None, "search/results"])
PRODUCT = st.sampled_from(PRODUCTS)
PRICE = st.sampled_from(["2.5", "33.333333", "0"])
LINES = st.lists(st.tuples(PRODUCT, st.integers(1, 3), PRICE), min_size=1, max_size=3).map(tuple)
EMAIL = st.sampled_from(EMAILS)
CUSTOMER = st.sampled_from([None, 7, 8])
NUMBER = st.sampled_from([1, 2, 3, "1", "A/4", "5"])
WAITING = st.builds(Wait, st.sampled_from(SOON))
LONGER = st.builds(Wait, st.sampled_from(LATER)) | st.builds(Wait, until=st.sampled_from(AROUND_MIDNIGHT))


def weighed(kinds: Sequence[st.SearchStrategy[Step]]) -> st.SearchStrategy[Step]:
    """As often as they are listed; `one_of` would count each of their own branches."""
    return st.sampled_from(kinds).flatmap(lambda kind: kind)


def steps_of(main: str) -> st.SearchStrategy[list[Step]]:
    """One of them does most of it, often with a grant in the middle, and buys at the end: so what is done hangs together."""
    who = st.sampled_from([main] * 24 + EVERYBODY)
    click = st.builds(Log, st.just("click"), who, HOW, st.tuples(PRODUCT), st.sampled_from(LABELS), API)
    shown = st.lists(PRODUCT, min_size=1, max_size=3).map(tuple)
    results = st.builds(Log, st.just("results"), who, HOW, shown, st.sampled_from(LABELS[:3]), API)
    sale = st.builds(Sell, NUMBER, who, HOW, LINES, st.none() | EMAIL, CUSTOMER)
    choice = st.builds(Choose, who, st.sampled_from(["granted", "granted", "refused"]), st.booleans())
    erasure = st.builds(Erase, who=who) | st.builds(Erase, email=EMAIL)
    come, tell = st.builds(Arrive, who), st.builds(Email, who, HOW, EMAIL)
    usual: list[st.SearchStrategy[Step]] = [*[click] * 8, results, results, WAITING, WAITING, WAITING, come]
    before = st.lists(weighed([*usual, choice]), min_size=1, max_size=6)
    granted = st.lists(st.builds(Choose, st.just(main), st.just("granted"), st.booleans()), max_size=1)
    after = st.lists(weighed([*usual, LONGER, LONGER, choice, choice, sale, sale, sale, erasure, tell]), min_size=3, max_size=12)
    last = st.builds(Sell, st.just("last"), st.just(main), st.sampled_from(["token", "token", "auto"]), LINES, st.none() | EMAIL, CUSTOMER)
    parts = st.tuples(before, granted, after, last.map(lambda sale: [sale]), st.lists(erasure, max_size=1))
    return parts.map(lambda found: [step for part in found for step in part])


HISTORY = st.one_of(*(st.tuples(st.sampled_from(TERMS), steps_of(main)) for main in EVERYBODY))


class Player:
    """Plays a history over HTTP and tells the model of it. `told`: the ID of a visitor → that visitor; `tokens` by visitor."""

    def __init__(self, shopper: Shopper, database: redis.Redis, clock: Clock, terms: Terms) -> None:
        self.shopper, self.database, self.clock, self.terms = shopper, database, clock, terms
        self.model = Model(terms, int(clock.now))
        self.told: dict[str, Visitor] = {str(own.ident): own for own in self.model.own.values()}
        self.tokens: dict[Visitor, str] = {}

    async def play(self, steps: list[Step]) -> None:
        for step in steps:
            await getattr(self, type(step).__name__.lower())(step)
        await self.compare()

    # Calls.

    async def call(self, path: str, body: dict[str, Any], browser: str | None = None) -> Any:
        """From a browser's own page, or by the shop's server."""
        if browser:
            key, seen = f"{self.terms.shop}-public-key", {"origin": "http://localhost:8080", "user-agent": AGENTS[browser]}
        else:
            key, seen = f"{self.terms.shop}-private-key", {}
        answer = await self.shopper.post(path, body, key=key, **seen)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def get(self, path: str) -> Any:
        answer = await self.shopper.client.get(path, headers={"authorization": f"Bearer {self.terms.shop}-private-key"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def track(self, call: str, step: Log | Email | Sell, body: dict[str, Any]) -> None:
        """Names the visitor as the step wants it: by token, by its bare ID, or `auto`."""
        visitor: dict[str, str | None]
        if step.how == "absent":
            visitor = {}
        elif step.how == "null":
            visitor = {"visitor": None}
        else:
            visitor = {"visitor": self.spoken(step.who, step.how)}
        browser = step.who if step.who in BROWSERS and visitor.get("visitor") == "auto" else None
        assert await self.call(f"/v2/log/{call}", body | visitor, browser) == {"status": "ok"}

    def spoken(self, who: str, how: str) -> str:
        visitor = self.model.own[who] if who in OWN else self.model.token(who, how)
        if visitor is None:
            return "auto"
        bare = visitor.own or (visitor.persistent and visitor.ident)
        if (how == "raw" and bare) or visitor not in self.tokens:
            return str(visitor.ident)
        return self.tokens[visitor]

    def learn(self, visitor: Visitor, ident: str) -> None:
        """An ID is always the same visitor's, and no one else's."""
        assert visitor.ident in {None, ident}
        assert self.told.setdefault(ident, visitor) is visitor
        visitor.ident = ident

    # Steps.

    async def wait(self, step: Wait) -> None:
        seconds = step.seconds if step.until is None else DAY - self.model.now % DAY + step.until
        if seconds > 0 and self.model.now + seconds < START + LONGEST:
            self.clock.forward(seconds)
            self.model.now += seconds
            everywhere: dict[str, str] = {"target_nodes": RedisCluster.PRIMARIES} if hasattr(self.database, "nodes_manager") else {}
            self.database.execute_command("EVAL", AGED, 0, seconds, TICK, **everywhere)  # type: ignore[no-untyped-call]

    async def arrive(self, step: Arrive) -> None:
        if step.who in OWN:
            return
        visitor = self.model.arrive(step.who)
        answer = await self.call("/v1/visitors", {}, step.who if step.who in BROWSERS else None)
        assert (answer["visitor"] is None) == (visitor is None)
        if visitor:
            self.learn(visitor, answer["visitor"])
            self.tokens[visitor] = answer["token"]

    async def choose(self, step: Choose) -> None:
        token = self.model.token(step.who, "token") if step.with_token else None
        named = {"visitor": step.who} if step.who in OWN else {"token": self.tokens[token]} if token else {}
        browser = step.who if step.who in BROWSERS else None
        if step.choice == "refused":
            self.model.refuse(step.who, token)
            answer = await self.call("/v1/consents", named | {"consent": "refused"}, browser)
            assert answer["mode"] == "null"
            return
        granted = self.model.grant(step.who, token)
        answer = await self.call("/v1/consents", named | {"consent": "granted"}, browser)
        assert answer["mode"] == ("persistent" if granted else "null")
        if granted:
            self.learn(granted, answer["visitor"])
            self.tokens[granted] = answer["token"]

    async def erase(self, step: Erase) -> None:
        if step.email:
            self.model.erase_email(step.email)
            await self.call("/v1/erasures", {"email": step.email})
            return
        who = str(step.who)
        visitor = self.model.own[who] if who in OWN else self.model.token(who, "token")
        if visitor and visitor.ident:
            self.model.remove(visitor)
            await self.call("/v1/erasures", {"visitor": visitor.ident})
            assert await self.call("/v1/exports", {"visitor": visitor.ident}) == {"visitors": [], "unproven": [], "orders": []}

    async def log(self, step: Log) -> None:
        products = list(step.products)
        body: dict[str, Any] = {"product": products[0]} if step.kind == "click" else {"products": products}
        body |= {"api": step.api} if step.api else {}
        body |= {} if step.labels is None else {"labels": step.labels}
        await self.track(step.kind, step, body)
        self.model.log(step.kind, step.who, step.how, products, step.labels, step.api)

    async def email(self, step: Email) -> None:
        await self.track("email", step, {"email": step.email})
        self.model.log_email(step.who, step.how, step.email)

    async def sell(self, step: Sell) -> None:
        lines = [Line(product, quantity, Decimal(price)) for product, quantity, price in step.lines]
        products = [{"id": one.product, "quantity": one.quantity, "price": float(one.price)} for one in lines]
        body = {"sale": step.number, "products": products, "email": step.email, "customer": step.customer}
        await self.track("sale", step, body)
        customer = None if step.customer is None else str(step.customer)
        self.model.sell(str(step.number), step.who, step.how, lines, step.email, customer)

    # Reading back.

    async def compare(self) -> None:
        page = (await self.get("/v1/orders"))["orders"]
        assert sorted(one["sale"] for one in page) == sorted(self.model.orders)
        slow = next(filter(self.is_slow, self.model.orders.values()), None)
        for number, order in self.model.orders.items():
            path = "/v1/orders/" + number.replace("/", "%2F")
            told = await self.get(path)
            assert [one for one in page if one["sale"] == number] == [told]
            self.compare_order(number, order, told)
            if not self.is_slow(order) or order is slow:
                why = await self.get(f"{path}/attribution")
                assert (why["attributed"], why["labels"], why["attribution"]) == (told["attributed"], told["labels"], told["attribution"])
                assert why["broken"] == self.model.broken(order)
        self.compare_stored()
        self.compare_labels(await self.get("/v1/labels"))
        for email in EMAILS:
            shown = (await self.call("/v1/exports", {"email": email}))["orders"]
            assert sorted(one["sale"] for one in shown) == self.model.exported(email)

    def is_slow(self, order: Order) -> bool:
        """For these the service looks for some thousand similar IDs; one in a history is enough."""
        return self.model.broken(order) == "no_click" and order.visitor is not None and not order.visitor.own

    def compare_order(self, number: str, order: Order, told: dict[str, Any]) -> None:
        if order.visitor and order.visitor.ident is None:
            self.learn(order.visitor, told["visitor"])
        credited = [
            {"product": one.product, "labels": one.labels, "api": one.api, "clicked_at": rfc3339(one.clicked_at)} for one in order.credits
        ]
        lines = [(one["id"], one["quantity"], Decimal(one["price"])) for one in told.pop("products")]
        assert lines == [(one.product, one.quantity, one.price) for one in order.lines]
        assert Decimal(told.pop("revenue")) == order.revenue
        del told["verified"], told["currency"], told["channel"]
        assert told == {
            "sale": number,
            "time": rfc3339(order.time),
            "mode": order.mode,
            "visitor": order.visitor.ident if order.visitor else None,
            "attributed": bool(order.credits),
            "labels": order.labels,
            "attribution": credited,
        }

    def compare_stored(self) -> None:
        """What an order keeps of a person: its visitor, email, customer and history, and after a removal none of them."""
        kept: dict[str, set[str]] = {}
        for key in self.database.scan_iter("id:v2:{*}:S:*"):
            stored = sale_at(self.database, key)
            kept[stored["sale"]] = set(stored) & {"visitor", "email", "customer", "attribution"}
        for number, order in self.model.orders.items():
            personal = {"visitor"} if order.visitor else set()
            personal |= {name for name in ("email", "customer") if getattr(order, name)}
            assert kept[number] == personal | ({"attribution"} if order.credits else set())

    def compare_labels(self, told: dict[str, Any]) -> None:
        figures = {one["label"]: (one["clicks"], one["orders"], Decimal(one["revenue"])) for one in told["labels"]}
        assert figures == {label: (one.clicks, one.orders, one.revenue) for label, one in self.model.figures().items()}
        for kind in ("attributed", "other"):
            assert (told[f"{kind}_orders"], Decimal(told[f"{kind}_revenue"])) == self.model.totals(kind)


def rfc3339(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Play = Callable[[Terms, list[Step]], None]


def emptied(database: redis.Redis) -> None:
    """But for the numbers of labels: the worker that wrote them goes on."""
    keys = [key for key in database.scan_iter() if not str(key).endswith(":labels")]
    if keys:
        database.delete(*keys)


@pytest.fixture
def play(environment: dict[str, str], database: redis.Redis, clock: Clock) -> Iterator[Play]:
    """Plays one history in an empty store; one application and one event loop for all of them."""
    loop = asyncio.new_event_loop()
    shop = shopping(load("development", environment | ENVIRONMENT), clock)
    shopper = loop.run_until_complete(shop.__aenter__())

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        return loop.run_until_complete(work)

    def one(terms: Terms, steps: list[Step]) -> None:
        player = Player(shopper, database, clock, terms)
        run(player.get("/v1/labels?days=1"))  # writes what a history that failed has left in the worker's memory
        emptied(database)
        clock.now = START
        run(Player(shopper, database, clock, terms).play(steps))

    yield one
    run(shop.__aexit__(None, None, None))
    loop.close()


def test_random_histories_agree_with_the_plain_reference(play: Play) -> None:
    @settings(
        max_examples=HISTORIES or USUAL, deadline=None, derandomize=not HISTORIES, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(HISTORY)
    def history(played: tuple[Terms, list[Step]]) -> None:
        play(*played)

    history()


def click(who: str, how: str, product: str | int = 7, labels: list[str] | None = None) -> Log:
    return Log("click", who, how, (product,), labels, None)


def shown(who: str, how: str, *products: str | int, labels: str = "Home") -> Log:
    return Log("results", who, how, products, [labels], None)


def sale(who: str, how: str) -> Sell:
    return Sell(1, who, how, ((7, 1, "2.5"),), None, None)


GRANTED = {who: Choose(who, "granted", with_token=True) for who in EVERYBODY}
DIFFERED: dict[str, list[Step]] = {
    "a session goes on over midnight by auto": [
        *(Wait(until=-600), click("phone", "auto", labels=["Home"]), Wait(1_200), sale("phone", "auto")),
    ],
    "what an own ID did before its grant": [
        *(click("shopper-1", "raw", labels=["Home"]), GRANTED["shopper-1"], Wait(2 * DAY), sale("shopper-1", "token")),
    ],
    "what a server's random ID did before its grant": [
        *(Arrive(SERVER), click(SERVER, "token", labels=["Home"]), GRANTED[SERVER], Wait(2 * DAY), sale(SERVER, "token")),
    ],
    "a persistent visitor by its bare ID": [
        *(GRANTED["shopper-1"], click("shopper-1", "raw", labels=["Home"]), Wait(2 * DAY), sale("shopper-1", "raw")),
    ],
    "the newest results, in the session before the grant": [
        *(Arrive("phone"), GRANTED["phone"], shown("phone", "token", 7, labels="Search"), Wait(TICK)),
        *(shown("phone", "auto", 7), Wait(TICK), click("phone", "token"), sale("phone", "token")),
    ],
    "results beside a product ID with a bracket": [shown("shopper-1", "raw", "a]", 7), click("shopper-1", "raw"), sale("shopper-1", "raw")],
    "results of a product ID with a quote and a number": [
        shown("shopper-1", "raw", 'a"7'),
        click("shopper-1", "raw"),
        sale("shopper-1", "raw"),
    ],
    "an email given by auto holds its visitor as long as one given by token": [
        Sell(1, "phone", "auto", ((7, 1, "1"),), EMAILS[0], None),
        Wait(until=600),
        Erase(email=EMAILS[0]),
    ],
    "a sale repeated by another visitor of the same email, who withdraws": [
        *(Sell(1, "shopper-1", "raw", ((7, 1, "1"),), EMAILS[0], None), Sell(1, "shopper-2", "raw", ((7, 1, "1"),), EMAILS[0], None)),
        *(Email("shopper-2", "raw", EMAILS[0]), Choose("shopper-2", "refused", with_token=False)),
    ],
}


@pytest.mark.parametrize("steps", DIFFERED.values(), ids=DIFFERED.keys())
def test_histories_in_which_the_service_once_differed(play: Play, steps: list[Step]) -> None:
    play(DEMO, steps)


OWN_ONE, OWN_TWO = "shopper-1", "shopper-2"
HOME = ["Home"]
POINTED: dict[str, tuple[Terms, list[Step]]] = {
    "a click is as old as may be": (WIDE, [click(OWN_ONE, "raw", labels=HOME), Wait(2 * DAY), sale(OWN_ONE, "raw")]),
    "a click is too old": (WIDE, [click(OWN_ONE, "raw", labels=HOME), Wait(2 * DAY + TICK), sale(OWN_ONE, "raw")]),
    "the session before a grant": (DEMO, [click("phone", "auto", labels=HOME), GRANTED["phone"], sale("phone", "token")]),
    "the session before a grant, after its window": (
        DEMO,
        [click("phone", "auto", labels=HOME), GRANTED["phone"], Wait(DAY), sale("phone", "token")],
    ),
    "no session before a grant": (FRESH, [click("phone", "auto", labels=HOME), GRANTED["phone"], sale("phone", "token")]),
    "someone else, one character away": (DEMO, [click(OWN_TWO, "raw", labels=HOME), sale(OWN_ONE, "raw")]),
    "a new grant brings nothing back": (
        DEMO,
        [
            *(GRANTED[OWN_ONE], click(OWN_ONE, "token", labels=HOME), Wait(TICK), Choose(OWN_ONE, "refused", with_token=True)),
            *(Wait(TICK), GRANTED[OWN_ONE], sale(OWN_ONE, "token")),
        ],
    ),
    "an email among two": (
        DEMO,
        [
            *(click(OWN_ONE, "raw", labels=HOME), Sell(1, OWN_ONE, "raw", ((7, 1, "1"),), EMAILS[0], 7)),
            *(Email(OWN_ONE, "raw", EMAILS[1]), Erase(email=EMAILS[0])),
        ],
    ),
    "the only email": (
        DEMO,
        [click(OWN_ONE, "raw", labels=HOME), Sell(1, OWN_ONE, "raw", ((7, 1, "1"),), EMAILS[0], None), Erase(email=EMAILS[0])],
    ),
    "the only email, beside a customer ID": (
        DEMO,
        [click(OWN_ONE, "raw", labels=HOME), Sell(1, OWN_ONE, "raw", ((7, 1, "1"),), EMAILS[0], 7), Erase(email=EMAILS[0])],
    ),
    "an ID as a number and as text": (
        DEMO,
        [shown(OWN_ONE, "raw", "7"), click(OWN_ONE, "raw"), Sell("1", OWN_ONE, "raw", (("7", 2, "1"), (7, 1, "2.5")), None, None)],
    ),
    "the newest of two results": (
        DEMO,
        [shown(OWN_ONE, "raw", 7), shown(OWN_ONE, "raw", 7, labels="Mail"), click(OWN_ONE, "raw"), sale(OWN_ONE, "raw")],
    ),
    "a sale ID twice": (DEMO, [sale(OWN_ONE, "raw"), click(OWN_ONE, "raw", labels=HOME), sale(OWN_ONE, "raw")]),
}


@pytest.mark.parametrize(("terms", "steps"), POINTED.values(), ids=POINTED.keys())
def test_pointed_histories_agree_with_the_plain_reference(play: Play, terms: Terms, steps: list[Step]) -> None:
    play(terms, steps)
