"""Fixtures: a real store, the application on an injected clock, and a client that speaks to it without a socket."""

import gc
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

import httpx2 as httpx
import hypothesis
import pytest
import redis

from identity_service.app import OBJECTS, Application
from identity_service.settings.load import load
from identity_service.settings.schema import Settings
from tests.stores import view
from tests.topologies import TOPOLOGIES, Topology

HERE = Path(__file__).parent
LONGEST = (
    "faults/test_cluster.py",
    "faults/test_sentinel.py",
    "browser/test_desks.py",
    "browser/test_choices_kept.py",
    "test_contract_topologies.py",
    "test_command.py",
    "faults/test_store_faults.py",
    "faults/test_workers.py",
    "faults/test_key_rotation.py",
    "browser/test_demo.py",
    "test_quality.py",
    "clients/test_clients.py",
    "security/test_locked_install.py",
    "browser/test_docs.py",
    "ops/test_move_command.py",
)
"""Files whose tests take long, the longest first."""
STARTING = {"browser", "clients", "deploy", "edges", "faults", "ops", "security", "server"}
"""Folders whose tests start programs, and wait for them."""
SOAK = "soak"
START = 1_795_000_000.25

hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="as many writes, requests and rounds as the promises say")
    parser.addoption("--store", choices=TOPOLOGIES, default="single", help="what the tests of the contract run on")


def dealt(items: Sequence[pytest.Item], processes: int) -> Iterator[pytest.Item]:
    """In the order in which each process begins with its share of the longest files, goes on with one of the folders whose tests start
    programs, and has the short tests left: a long test that begins last leaves the others without work. A process gets an equal part of the
    list, and takes from the end of another's when it has none left."""
    files: dict[Path, list[pytest.Item]] = defaultdict(list)
    for item in items:
        files[item.path].append(item)
    longest = [files.pop(HERE / name, []) for name in LONGEST]
    rest = [files[path] for path in sorted(files, key=lambda path: path.relative_to(HERE).parts[0] not in STARTING)]
    others = chain.from_iterable(chain.from_iterable(rest[number::processes]) for number in range(processes))
    for number in range(processes):
        first = list(chain.from_iterable(longest[number::processes]))
        yield from first
        yield from islice(others, max(0, len(items) // processes - len(first)))
    yield from others


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    thorough = {one for one in items if one.get_closest_marker("thorough")}
    if thorough and not config.getoption("--long"):
        config.hook.pytest_deselected(items=list(thorough))
        items[:] = [one for one in items if one not in thorough]
    if SOAK not in config.getoption("markexpr"):
        for item in (one for one in items if one.get_closest_marker(SOAK)):
            item.add_marker(pytest.mark.skip(reason="takes half an hour: pytest -m soak"))
    if processes := getattr(config, "workerinput", {}).get("workercount"):
        items[:] = dealt(items, processes)


def pytest_collection_finish() -> None:
    """What was collected stays to the end, so the garbage collector need not look at it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS)


@pytest.fixture(scope="session")
def long(pytestconfig: pytest.Config) -> bool:
    return bool(pytestconfig.getoption("--long"))


class Clock:
    """Seconds since 1970; moves only when told."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


class Shopper:
    """Calls the application as a storefront's server (with a key) or as a browser (with an origin)."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    @property
    def application(self) -> Application:
        """What it calls, without a socket."""
        made: Application = self.client._transport.app  # type: ignore[attr-defined]
        return made

    async def post(self, path: str, body: Any = None, *, key: str | None = "demo-private-key", **headers: str) -> httpx.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key:
            sent["authorization"] = f"Bearer {key}"
        return await self.client.post(path, json={} if body is None else body, headers=sent)

    async def browser(self, path: str, body: Any = None, *, key: str = "demo-public-key", **headers: str) -> httpx.Response:
        told = {"origin": "http://localhost:8080", "user-agent": "Mozilla/5.0 (X11) Gecko/20100101 Firefox/140.0"} | headers
        return await self.post(path, body, key=key, **told)

    async def visitors(self, **handle: str) -> list[dict[str, Any]]:
        answer = await self.post("/v1/lookups", handle)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["visitors"]
        return found


@asynccontextmanager
async def shopping(settings: Settings, clock: Clock, peer: str = "203.0.113.7") -> AsyncIterator[Shopper]:
    """Calls an application with settings of its own, from `peer`."""
    application = Application(settings, clock)
    transport = httpx.ASGITransport(application, client=(peer, 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
        yield Shopper(client)
    await application.services.store.client.close()


@pytest.fixture
async def cut_off(clock: Clock) -> AsyncIterator[Shopper]:
    """The service with a store that never answers."""
    async with shopping(load("development", {"IDENTITY_STORE__URL": "unix:///nonexistent/identity.sock"}), clock) as shopper:
        yield shopper


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def topology(request: pytest.FixtureRequest) -> Iterator[Topology]:
    with TOPOLOGIES[request.config.getoption("store")]() as made:
        yield made


@pytest.fixture(scope="session")
def store_url(topology: Topology) -> str:
    return topology.url


@pytest.fixture(scope="session")
def whole_store(store_url: str) -> Iterator[redis.Redis]:
    with view(store_url) as connection:
        yield connection


@pytest.fixture
def database(whole_store: redis.Redis) -> redis.Redis:
    """A direct view of the store, emptied for each test."""
    whole_store.flushall()
    return whole_store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def environment(store_url: str, database: object, topology: Topology) -> dict[str, str]:
    """A busy machine may be slow; what a slow store does has tests of its own."""
    told = {"IDENTITY_STORE__URL": store_url, "IDENTITY_STORE__REPLICAS": str(topology.replicas), "IDENTITY_STORE__TIMEOUT_SECONDS": "10"}
    return told | {"IDENTITY_LIMITS__ENABLED": "false"}


@cache
def development(environment: frozenset[tuple[str, str]]) -> Settings:
    return load("development", dict(environment))


@pytest.fixture
def settings(environment: dict[str, str]) -> Settings:
    return development(frozenset(environment.items()))


@pytest.fixture
async def application(settings: Settings, clock: Clock) -> AsyncIterator[Application]:
    made = Application(settings, clock)
    yield made
    await made.services.store.client.close()


@pytest.fixture
async def shopper(application: Application) -> AsyncIterator[Shopper]:
    transport = httpx.ASGITransport(application, client=("203.0.113.7", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
        yield Shopper(client)
