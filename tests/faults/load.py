"""A seeded load of all operations on three shops, whose every call is written into a history.

People come and go: clients work on a window of people that moves on, so that each visitor and email is used by several clients at once
but by few operations altogether. The shops use the same names, so that what one shop shows of another is noticed.
"""

import asyncio
import itertools
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from tests.faults.connection import Connection, NoAnswer
from tests.faults.history import History, Kind, Operation, Outcome, outcome_of

SHOPS = ("demo", "other", "strict")
MIX = {
    Kind.ISSUE: 12,
    Kind.GRANT: 16,
    Kind.WITHDRAW: 7,
    Kind.LINK: 22,
    Kind.UNLINK: 5,
    Kind.CLICK: 12,
    Kind.SALE: 16,
    Kind.LOOKUP: 6,
    Kind.ERASE: 4,
}
WINDOW = 24
"""People whom clients deal with at a time."""
EACH = 16
"""Operations after which the window moves on by one."""
MODES = {Kind.GRANT: "persistent", Kind.WITHDRAW: "null"}
"""What a choice leads to; an answer with another mode says that a newer choice stands against it."""
PATIENT = {"IDENTITY_STORE__TIMEOUT_SECONDS": "10"}
"""Of a service whose every 503 counts: on a machine that tests share the store may be slow without fault."""
GRANTED = {"purposes": {"storage": "granted", "measurement": "granted"}}
CLIENT = {"ip": "198.51.100.9", "user_agent": "Mozilla/5.0 (X11) Gecko/20100101 Firefox/140.0"}


def key_of(shop: str) -> str:
    return f"{shop}-private-key"


@dataclass(frozen=True, slots=True)
class Request:
    """A call to be made. `arguments` as in Operation, `path` and `body` as they go out."""

    kind: Kind
    shop: str
    arguments: Mapping[str, str]
    path: str
    body: Mapping[str, Any]


async def perform(connection: Connection, request: Request, history: History) -> Operation:
    """Makes one call and records it."""
    began = time.monotonic()
    try:
        status, answer = await connection.call(request.path, key_of(request.shop), request.body)
    except NoAnswer:
        status, answer = 0, None
    arguments, outcome = request.arguments, outcome_of(status)
    if outcome is Outcome.OK and request.kind in MODES:
        if answer["decision"]["reason"] == "store_unavailable":
            outcome = Outcome.UNKNOWN
        elif answer["mode"] != MODES[request.kind]:
            outcome = Outcome.FAIL
        elif not request.arguments:
            arguments = {"visitor": answer["visitor"], "token": answer["token"]}
    done = Operation(request.kind, request.shop, arguments, began, time.monotonic(), outcome, status, answer)
    history.record(done)
    return done


class Requests:
    """What the next call of a load is. Seeded; one for all clients of a load."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._seed = seed
        self._numbers = itertools.count()
        self._sales: deque[tuple[str, str]] = deque(maxlen=20)
        self.tokens: deque[tuple[str, str, str]] = deque(maxlen=20)
        """Shop, visitor and token of IDs that the service named."""

    def next(self) -> Request:
        number = next(self._numbers)
        [kind] = self._random.choices(list(MIX), list(MIX.values()))
        person = number // EACH + self._random.randrange(WINDOW)
        visitor = f"v{self._seed}-{person}-{self._random.choice('ab')}"
        email = f"p{self._seed}-{person - (self._random.random() < 0.2)}@example.com"
        return self._made(kind, self._random.choice(SHOPS), visitor, email, number)

    def _made(self, kind: Kind, shop: str, visitor: str, email: str, number: int) -> Request:
        if kind is Kind.ISSUE:
            return Request(kind, shop, {}, "/v1/visitors", {"client": CLIENT})
        if kind is Kind.GRANT and self._random.random() < 0.3:
            return Request(kind, shop, {}, "/v1/visitors", {"consent": "granted"})
        if kind is Kind.LINK and self.tokens and self._random.random() < 0.3:
            shop, visitor, token = self.tokens.popleft()
            return Request(kind, shop, {"visitor": visitor, "email": email}, "/v1/links", {"token": token, "email": email})
        if kind is Kind.SALE:
            return self._sale(shop, visitor, email, number)
        return request(kind, shop, visitor, email, product=f"c{number}")

    def _sale(self, shop: str, visitor: str, email: str, number: int) -> Request:
        """One in five repeats a sale ID, with another content."""
        if self._sales and self._random.random() < 0.2:
            shop, sale = self._random.choice(self._sales)
        else:
            sale = f"s{self._seed}-{number}"
            self._sales.append((shop, sale))
        return request(Kind.SALE, shop, visitor, email if self._random.random() < 0.7 else "", product=f"i{number}", sale=sale)


def request(kind: Kind, shop: str, visitor: str = "", email: str = "", *, product: str = "", sale: str = "") -> Request:
    """`product` tells clicks, and contents of one sale ID, apart. A sale may come without an email."""
    both = {"visitor": visitor, "email": email}
    if kind is Kind.GRANT:
        return Request(kind, shop, {"visitor": visitor}, "/v1/consents", {"visitor": visitor, "consent": GRANTED})
    if kind is Kind.WITHDRAW:
        return Request(kind, shop, {"visitor": visitor}, "/v1/consents", {"visitor": visitor, "consent": "refused"})
    if kind is Kind.LINK or kind is Kind.UNLINK:
        return Request(kind, shop, both, "/v1/links" if kind is Kind.LINK else "/v1/unlinks", both)
    if kind is Kind.CLICK:
        body = {"visitor": visitor, "product": product, "labels": ["Homepage"]}
        return Request(kind, shop, {"visitor": visitor, "product": product}, "/v2/log/click", body)
    if kind is Kind.SALE:
        told = {"visitor": visitor, "sale": sale} | ({"email": email} if email else {})
        return Request(kind, shop, told | {"product": product}, "/v2/log/sale", told | {"products": [{"id": product, "price": 9.5}]})
    if kind is Kind.LOOKUP:
        return Request(kind, shop, {"email": email}, "/v1/lookups", {"email": email})
    assert kind is Kind.ERASE
    return Request(kind, shop, {"email": email}, "/v1/erasures", {"email": email})


class Load:
    """Runs in a thread of its own from entering to leaving. `urls`: base URLs; clients take turns at them. `only`: leaves calls out.
    `pause`: seconds between the calls of a client; `seconds`: its time-out. Every fourth client makes a new connection for each call."""

    def __init__(
        self,
        *urls: str,
        seed: int = 1,
        clients: int = 12,
        only: Callable[[Request], bool] = lambda _: True,
        pause: float = 0.0,
        seconds: float = 2.0,
    ) -> None:
        self.history = History()
        self._urls = urls
        self.clients = clients
        self._only = only
        self._pause = pause
        self._seconds = seconds
        self._requests = Requests(seed)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Returns once every call has been answered or timed out."""
        self._ended.set()
        self._thread.join()

    def wait(self, more: int, seconds: float = 300.0) -> None:
        """Until that many more writes have been acknowledged. Raises TimeoutError."""
        wanted = self.history.acknowledged + more
        self.wait_until(lambda history: history.acknowledged >= wanted, seconds)

    def wait_until(self, holds: Callable[[History], bool], seconds: float = 300.0) -> None:
        """Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while not holds(self.history):
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise TimeoutError(f"the load stands at {self.history.acknowledged} acknowledged writes, {self.history.statuses()}")
            time.sleep(0.01)

    def recovery(self, moment: float) -> float:
        """Seconds from a moment, in monotonic seconds, to the first acknowledged write that began after it."""
        self.wait_until(lambda history: history.first_success_after(moment) is not None, 120)
        self.history.recoveries.append(self.history.first_success_after(moment) or 0.0)
        return self.history.recoveries[-1]

    async def _run(self) -> None:
        await asyncio.gather(*(self._client(number) for number in range(self.clients)))

    async def _client(self, number: int) -> None:
        connection = Connection(self._urls[number % len(self._urls)], self._seconds, kept=number % 4 != 3)
        while not self._ended.is_set():
            request = self._requests.next()
            if not self._only(request):
                continue
            done = await perform(connection, request, self.history)
            if "token" in done.arguments:
                self._requests.tokens.append((done.shop, done.visitor, done.arguments["token"]))
            await asyncio.sleep(self._pause or (0.01 if done.status == 0 else 0))  # a service that is away is not asked without end
        connection.close()
