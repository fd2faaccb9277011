"""The drill of whoever is called at night: each fault is planted, and the log, the metrics and /readyz alone name its cause and what to do.

What is asserted is the sentence that an engineer reads, and the alerts that wake one: the rules are evaluated on what the service's own
/metrics answers before, during and after the fault.
"""

import asyncio
import json
import re
import resource
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from identity_service.cli import main
from identity_service.server.metrics import flush_counts
from identity_service.settings.load import load
from identity_service.store.keys import SCHEMA
from identity_service.store.redis.cluster import slot_of
from identity_service.store.schema import schema_of
from tests.conftest import Clock, Shopper, shopping
from tests.deploy.scrapes import MINUTE, Scrape, Stretch, assert_alerts, assert_quiet, scrape_of
from tests.faults.certificates import certificate, serving
from tests.faults.durable import REDIS
from tests.faults.proxy import Conditions, proxied
from tests.faults.running import RunningService, RunningStore, kill, paused
from tests.faults.test_emptied import statuses
from tests.faults.test_store_faults import limit_files
from tests.stores import valkey, view
from tests.test_command import eventually, free_port
from tests.topologies import DURABLE, cluster, sentinels

pytestmark = pytest.mark.anyio
PATIENT, HASTY = "10", "0.3"
"""Seconds that the service waits for its store: where it answers, and where it does not."""
LINK = {"email": "a@example.com", "visitor": "abc123"}
USUAL: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("/v1/consents", {"consent": "granted"}, 200),
    ("/v2/log/click", {"product": 5}, 200),
    ("/v1/links", {"email": "a@example.com"}, 200),
    ("/v1/lookups", {"email": "no email"}, 422),
    ("/v1/consents", {"consent": "refused"}, 200),
)
"""Calls of a day, with their answers."""


@dataclass(frozen=True)
class Fault:
    """`planted`: yields the store.url. `reason`: as it is counted. `sentence`: a part of the one that an engineer reads. `alerts`: those
    that fire, but for the one about refused calls."""

    planted: Callable[[RunningStore], AbstractContextManager[str]]
    reason: str
    sentence: str
    alerts: tuple[str, ...]
    seconds: str = PATIENT
    replicas: str = "0"


@dataclass
class Seen:
    """What there is to see of a service that a shop calls: the lines of its log, the answer of /readyz, each reason's count, and what
    /metrics answers before and after."""

    lines: list[Any]
    ready: httpx.Response
    counted: Mapping[str, float] = field(default_factory=dict)
    scrapes: tuple[Scrape, Scrape] = ({}, {})

    def line(self, event: str, **members: str) -> Mapping[str, Any]:
        """The only line of an event. With `members`, of those that have them."""
        [found] = [line for line in self.lines if line["event"] == event and members.items() <= line.items()]
        assert isinstance(found, dict)
        return found


def reasons() -> dict[str, float]:
    flush_counts()
    samples = (sample for family in REGISTRY.collect() for sample in family.samples)
    return {sample.labels["reason"]: sample.value for sample in samples if sample.name == "identity_store_errors_total"}


@asynccontextmanager
async def service(url: str, seconds: str = PATIENT, replicas: str = "0") -> AsyncIterator[Shopper]:
    store = {"URL": url, "TIMEOUT_SECONDS": seconds, "REPLICAS": replicas}
    environment = {f"IDENTITY_STORE__{name}": value for name, value in store.items()} | {"IDENTITY_LIMITS__ENABLED": "false"}
    async with shopping(load("development", environment), Clock()) as shopper:
        yield shopper


async def seen(url: str, seconds: str = PATIENT, replicas: str = "0", status: int = 503) -> Seen:
    """By an engineer, of a shop that calls four times and always gets the status."""
    before = reasons()
    with capture_logs() as lines:
        async with service(url, seconds, replicas) as shopper:
            first = await scraped(shopper)
            for _ in range(4):
                assert (await shopper.post("/v1/links", LINK)).status_code == status
            ready = await shopper.client.get("/readyz")
            scrapes = first, await scraped(shopper)
    after = reasons()
    return Seen(lines, ready, {reason: number - before.get(reason, 0) for reason, number in after.items()}, scrapes)


async def scraped(shopper: Shopper, *, timed: bool = False) -> Scrape:
    return scrape_of((await shopper.client.get("/metrics")).text, timed=timed)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStore]:
    with RunningStore(tmp_path_factory.mktemp("store"), tcp=True) as store:
        yield store


@pytest.fixture
def store(running: RunningStore) -> RunningStore:
    """Emptied, also of its mark."""
    with running.database() as database:
        database.flushall()
    return running


@contextmanager
def with_login(store: RunningStore, password: str, *rights: str) -> Iterator[str]:
    with store.database() as database:
        database.execute_command("ACL", "SETUSER", "drill", "reset", "on", ">right", "~*", "&*", *rights)
        yield store.url.replace("redis://", f"redis://drill:{password}@")
        database.execute_command("ACL", "DELUSER", "drill")


@contextmanager
def configured(store: RunningStore, setting: str, value: str) -> Iterator[str]:
    with store.database() as database:
        before = database.config_get(setting)[setting]
        database.config_set(setting, value)
        yield store.url
        database.config_set(setting, before)


@contextmanager
def at(url: str) -> Iterator[str]:
    yield url


@contextmanager
def frozen(store: RunningStore) -> Iterator[str]:
    with paused(store.pid):
        yield store.url


@contextmanager
def read_only(store: RunningStore) -> Iterator[str]:
    with store.database() as database:
        database.replicaof("127.0.0.1", 1)
        yield store.url
        database.replicaof("NO", "ONE")


@contextmanager
def behind(store: RunningStore, conditions: Conditions) -> Iterator[str]:
    with proxied(store.url, conditions) as proxy:
        yield proxy.url


@contextmanager
def by_tls(store: RunningStore, url: str) -> Iterator[str]:
    """`url`: with the port of a proxy that speaks TLS, and the paths of its own certificate and of another."""
    own, other = (certificate(store.directory / f"{name}.pem", "localhost") for name in ("own", "other"))
    with proxied(store.url, tls=serving(own)) as proxy:
        yield url.format(port=proxy.port, own=own, other=other)


@contextmanager
def asking_for_a_certificate(store: RunningStore) -> Iterator[str]:
    """A server of its own, because the proxy's TLS ends such a connection without saying why."""
    if not REDIS:
        pytest.skip("needs Debian's redis-server, which has TLS")
    own, port = str(certificate(store.directory / "own.pem", "localhost")), free_port()
    files = ("--tls-cert-file", own, "--tls-key-file", own, "--tls-ca-cert-file", own)
    with valkey("--tls-port", str(port), *files, program=REDIS):
        yield f"rediss://localhost:{port}?ssl_ca_certs={own}"


@contextmanager
def of_another_pepper(store: RunningStore) -> Iterator[str]:
    with store.database() as database:
        database.hset(SCHEMA, mapping=schema_of(["another-pepper-of-forty-characters-or-more-1"]).fields())
    yield store.url


OPEN = "IdentityStoreBreakerOpen"
FAULTS = {
    "wrong password": Fault(
        lambda store: with_login(store, "wrong", "+@all"), "credentials", "refuses the login", ("IdentityStoreLogin", OPEN)
    ),
    "no password": Fault(
        lambda store: configured(store, "requirepass", "secret"),
        "credentials",
        "correct the user and the password",
        ("IdentityStoreLogin", OPEN),
    ),
    "no right to write": Fault(
        lambda store: with_login(store, "right", "+@all", "-@write"), "permission", "lacks a right", ("IdentityStoreLogin",)
    ),
    "unknown name": Fault(
        lambda _: at("redis://nowhere.invalid"), "name", "The name of the store is not known", ("IdentityStoreAway", OPEN)
    ),
    "killed": Fault(
        lambda _: at(f"redis://127.0.0.1:{free_port()}"),
        "refused",
        "Nothing listens at the store's address",
        ("IdentityStoreAway", OPEN),
    ),
    "wrong authority": Fault(
        lambda store: by_tls(store, "rediss://localhost:{port}?ssl_ca_certs={other}"),
        "tls",
        "TLS with the store fails",
        ("IdentityStoreAway", OPEN),
    ),
    "wrong host": Fault(
        lambda store: by_tls(store, "rediss://127.0.0.1:{port}?ssl_ca_certs={own}"),
        "tls",
        "correct its certificate, the host in store.url",
        ("IdentityStoreAway", OPEN),
    ),
    "no certificate of its own": Fault(asking_for_a_certificate, "tls", "add ssl_certfile if it asks for one", ("IdentityStoreAway", OPEN)),
    "TLS to plain": Fault(
        lambda store: at(store.url.replace("redis:", "rediss:")),
        "timeout",
        "with rediss://, see that it speaks TLS",
        ("IdentityStoreAway", OPEN),
        HASTY,
    ),
    "plain to TLS": Fault(
        lambda store: by_tls(store, "redis://localhost:{port}"),
        "closed",
        "if it expects TLS, write rediss://",
        ("IdentityStoreAway", OPEN),
    ),
    "frozen": Fault(frozen, "timeout", "does not answer within store.timeout_seconds", ("IdentityStoreAway", OPEN), HASTY),
    "slow": Fault(
        lambda store: behind(store, Conditions(reply_delay=2)),
        "timeout",
        "frozen, overloaded or cut off",
        ("IdentityStoreAway", OPEN),
        HASTY,
    ),
    "half open": Fault(
        lambda store: behind(store, Conditions(flowing=False)),
        "timeout",
        "Look at the server and the network",
        ("IdentityStoreAway", OPEN),
        HASTY,
    ),
    "resets": Fault(
        lambda store: behind(store, Conditions(refusing=True)),
        "closed",
        "The store closed the connection",
        ("IdentityStoreAway", OPEN),
    ),
    "full memory": Fault(
        lambda store: configured(store, "maxmemory", "1"), "oom", "The memory of the store is full", ("IdentityWritesRefused",)
    ),
    "no replicas": Fault(
        lambda store: configured(store, "min-replicas-to-write", "1"), "noreplicas", "Too few replicas", ("IdentityNoReplicas",)
    ),
    "no replica confirms": Fault(
        lambda store: at(store.url), "noreplicas", "start the replicas that are missing", ("IdentityNoReplicas",), "1", replicas="1"
    ),
    "read-only": Fault(read_only, "readonly", "is a replica and takes no writes", ("IdentityWritesRefused",)),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_the_cause_is_named_by_log_metrics_and_readiness_and_wakes_somebody(
    store: RunningStore, fault: Fault, tmp_path: Path
) -> None:
    before = await seen(store.url, status=200)
    with fault.planted(store) as url:
        found = await seen(url, fault.seconds, fault.replicas)
    after = await seen(store.url, status=200)
    alerts = "IdentityCallsRefused", *fault.alerts
    assert_alerts(tmp_path, [Stretch(*before.scrapes), Stretch(*found.scrapes, firing=alerts), Stretch(*after.scrapes)])
    assert fault.sentence in found.line("the store fails", reason=fault.reason)["meaning"]
    assert found.counted[fault.reason] >= 1
    assert sum(found.counted.values()) == found.counted[fault.reason]
    assert found.ready.status_code == 503
    assert found.ready.json()["detail"].startswith(f"{fault.reason}: ")
    assert fault.sentence in found.ready.json()["detail"]


async def assert_refusal_wakes(shopper: Shopper, before: Scrape, place: Path) -> None:
    """The refusal itself is counted once; the gauge and the calls that are refused from then on are what wakes somebody."""
    begun = await scraped(shopper)
    assert (await shopper.post("/v1/links", LINK)).status_code == 503
    alerts = "IdentityCallsRefused", "IdentityStoreRefused"
    assert_alerts(place, [Stretch(before, begun, 1), Stretch(begun, await scraped(shopper), firing=alerts)])


async def test_a_store_of_another_pepper_is_refused_by_name(store: RunningStore, tmp_path: Path) -> None:
    with capture_logs() as lines, of_another_pepper(store) as url:
        async with service(url) as shopper:
            before = await scraped(shopper)
            ready = await shopper.client.get("/readyz")
            await assert_refusal_wakes(shopper, before, tmp_path)
    assert "secrets.pepper: is not the one that this store was written under" in ready.json()["detail"]
    assert Seen(lines, ready).line("the store is refused, and every call that needs it")["reason"] == "pepper"


async def test_a_store_that_was_emptied_is_refused_by_name(store: RunningStore, tmp_path: Path) -> None:
    before = reasons().get("emptied", 0)
    with capture_logs() as lines, store.database() as database:
        database.hset(SCHEMA, mapping=schema_of(load("development", {}).secrets.peppers).fields())
        async with service(store.url) as shopper:
            assert (await shopper.client.get("/readyz")).status_code == 200
            quiet = await scraped(shopper)
            database.flushall()
            ready = await shopper.client.get("/readyz")
            assert (await shopper.client.get("/readyz")).status_code == 503
            await assert_refusal_wakes(shopper, quiet, tmp_path)
    assert "this store was emptied while the service ran on it" in ready.json()["detail"]
    assert Seen(lines, ready).line("the store is refused, and every call that needs it")["reason"] == "emptied"
    assert reasons()["emptied"] == before + 1


async def test_a_store_that_cannot_save_names_its_disk() -> None:
    """Where its own settings say that it must."""
    with valkey() as url, view(url) as database:
        resource.prlimit(database.info("server")["process_id"], resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        database.config_set("save", "3600 1")
        database.execute_command("BGSAVE")
        assert eventually(lambda: database.info("persistence")["rdb_last_bgsave_status"] == "err")
        found = await seen(url, PATIENT)
    assert "make room on its disk" in found.line("the store fails", reason="misconf")["meaning"]
    assert found.ready.json()["detail"].startswith("misconf: The store cannot write its file")


async def test_a_quiet_day_wakes_nobody(store: RunningStore, tmp_path: Path, long: bool) -> None:
    """Also where the store is away for a moment, as when it is started again."""
    async with service(store.url) as shopper:
        before = await scraped(shopper)
        for number in range(3):
            for path, body, status in USUAL:
                assert (await shopper.post(path, {"visitor": f"day-{number}"} | body)).status_code == status
            await shopper.client.get("/readyz")
        after = await scraped(shopper)
    away = await seen(f"redis://127.0.0.1:{free_port()}")
    day = Stretch(before, after, (13 * 60 if long else 60) * MINUTE)
    assert_quiet(tmp_path, [day, Stretch(*away.scrapes, 1), day])


async def test_a_store_that_is_slow_but_answers_wakes_somebody(store: RunningStore, tmp_path: Path) -> None:
    with behind(store, Conditions(reply_delay=0.8)) as url:
        async with service(url) as shopper:
            before = await scraped(shopper, timed=True)
            assert (await shopper.post("/v1/links", LINK)).status_code == 200
            after = await scraped(shopper, timed=True)
    assert_alerts(tmp_path, [Stretch(before, after, firing=["IdentitySlow"])])


@pytest.mark.parametrize("name", ["full memory", "no replicas", "read-only", "no right to write", "wrong password"])
def test_a_check_of_the_store_names_the_same_cause(
    store: RunningStore, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = FAULTS[name]
    with fault.planted(store) as url:
        monkeypatch.setenv("IDENTITY_STORE__URL", url)
        assert main(["check", "--store"]) == 2
    [told] = capsys.readouterr().err.splitlines()
    assert f"({fault.reason})" in told
    assert fault.sentence in told


def lines_of(running: RunningService) -> list[dict[str, Any]]:
    return [json.loads(line) for line in running.log.splitlines()]


def metrics(running: RunningService) -> str:
    return httpx.get(f"{running.url}/metrics", timeout=30).text


def metric(running: RunningService, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", metrics(running), re.MULTILINE)
    return float(found[1]) if found else 0


def told(running: RunningService, event: str) -> dict[str, Any]:
    """The first line of an event, once it is there."""
    assert eventually(lambda: any(line["event"] == event for line in lines_of(running))), running.log
    return next(line for line in lines_of(running) if line["event"] == event)


def test_a_service_starts_on_a_store_that_refuses_writes_and_says_so(store: RunningStore, tmp_path: Path) -> None:
    with store.database() as database:
        database.replicaof("127.0.0.1", 1)
        with RunningService(tmp_path, store.url, IDENTITY_STORE__TIMEOUT_SECONDS=PATIENT) as running:
            line = told(running, "the store refuses writes; calls that write get 503")
            assert (line["reason"], line["store"]) == ("readonly", store.url)
            assert "is a replica and takes no writes" in line["meaning"]
            assert running.call("/readyz")[0] == 503
            assert running.call("/v1/visitors", {})[1]["mode"] == "cookieless"
            database.replicaof("NO", "ONE")
            assert eventually(lambda: running.call("/readyz")[0] == 200)
            assert running.call("/v1/links", LINK)[0] == 200


def test_the_deaths_of_worker_and_store_and_a_full_disk_are_named(tmp_path: Path) -> None:
    with RunningService(tmp_path, tmp_path / "data", IDENTITY_STORE__TIMEOUT_SECONDS=PATIENT) as running:
        scrapes = [scrape_of(metrics(running))]
        [worker] = running.workers
        kill(worker)
        line = told(running, "a worker was killed; another one takes its place")
        assert (line["worker"], line["signal"], line["level"], line["pid"]) == (worker, "SIGKILL", "warning", running.pid)
        assert eventually(lambda: statuses(running, "/healthz") == {200})
        assert metric(running, "identity_worker_deaths_total") == 1
        assert metric(running, "identity_worker_starts_total") == 2
        scrapes.append(scrape_of(metrics(running)))
        kill(running.store_pid)
        line = told(running, "the embedded store died; it is started again")
        assert (line["exit"], line["see"]) == (-9, str(tmp_path / "data" / "server.log"))
        assert eventually(lambda: running.call("/readyz")[0] == 200)
        for number in range(40):  # longer than the logs, which are limited, too
            assert running.call("/v1/links", LINK | {"visitor": f"visitor-{number}"})[0] == 200
        scrapes.append(scrape_of(metrics(running)))
        [file] = (tmp_path / "data").glob("appendonlydir/*.incr.aof")
        limit_files(running, file.stat().st_size)
        assert eventually(lambda: running.call("/v1/links", LINK)[0] == 503)
        assert eventually(lambda: any(line.get("reason") == "disk_full" for line in lines_of(running))), running.log
        line = next(line for line in lines_of(running) if line.get("reason") == "disk_full")
        assert line["meaning"].startswith("The disk of the store is full; make room in its folder.")
        scrapes.append(scrape_of(metrics(running)))
        limit_files(running, resource.RLIM_INFINITY)
        assert eventually(lambda: running.call("/readyz")[0] == 200)
        assert metric(running, 'identity_store_errors_total{reason="disk_full"}') >= 1
    assert_alerts(tmp_path, night_of(*scrapes))


def night_of(started: Scrape, worker_killed: Scrape, store_killed: Scrape, disk_full: Scrape) -> list[Stretch]:
    """One death of a worker and one of the store wake nobody. Whether the breaker is open at a scrape depends on the moment."""
    full = {name: value for name, value in disk_full.items() if "breaker_open" not in name}
    return [
        Stretch(started, worker_killed, 1),
        Stretch(worker_killed, worker_killed),
        Stretch(worker_killed, store_killed, 1),
        Stretch(store_killed, store_killed),
        Stretch(started, worker_killed, 4, firing=["IdentityWorkersDie"]),
        Stretch(worker_killed, worker_killed, 15 * MINUTE),
        Stretch(store_killed, full, firing=["IdentityCallsRefused", "IdentityStoreAway", "IdentityWritesRefused"]),
        Stretch(full, None, firing=["IdentityDown"]),
    ]


@pytest.mark.thorough
async def test_a_failover_and_a_wrong_name_of_the_sentinels_are_named(tmp_path: Path) -> None:
    with sentinels(*DURABLE) as topology, capture_logs() as lines:
        async with service(topology.url, "0.5") as shopper:
            assert (await shopper.post("/v1/links", LINK)).status_code == 200
            before, quiet = topology.primary(), await scraped(shopper)
            before.kill()
            while not any(line["event"] == "another server is the primary now" for line in lines):
                await shopper.client.get("/readyz")
                await asyncio.sleep(0.1)
            ready, over = await shopper.client.get("/readyz"), await scraped(shopper)
        found = Seen(lines, ready)
        assert found.line("another server is the primary now")["before"] == before.place
        taken_over = Stretch(quiet, over, 1, firing=["IdentityFailover"])
        assert_alerts(tmp_path, [Stretch(quiet, quiet), taken_over, Stretch(over, over)])
        other = await seen(topology.url.replace("/main", "/other"), "0.5")
        assert other.ready.json()["detail"].startswith("name: The name of the store is not known")
        assert other.line("the store fails", reason="name")["server"] == "sentinels of other"


@pytest.mark.thorough
async def test_a_shard_that_is_down_is_named_by_its_server(tmp_path: Path) -> None:
    with cluster() as topology, capture_logs() as lines:
        number = next(number for number in range(3) if slot_of("demo") in topology.slots(number))
        async with service(topology.url, "0.5") as shopper:
            assert (await shopper.post("/v1/links", LINK)).status_code == 200
            primary, replica = topology.data[number], topology.data[number + 3]
            primary.kill()
            while not any(line["event"] == "another server is the primary now" for line in lines):
                await shopper.post("/v1/links", LINK)
                await asyncio.sleep(0.1)
            replica.kill()
            while (await shopper.post("/v1/links", LINK)).status_code != 503:
                pass
            begun = await scraped(shopper)
            ready = await shopper.client.get("/readyz")
            while not shopper.application.services.store.client.open:
                assert (await shopper.post("/v1/links", LINK)).status_code == 503
            during = Stretch(begun, await scraped(shopper), firing=["IdentityCallsRefused", "IdentityStoreAway", OPEN])
            assert_alerts(tmp_path, [during])
        assert (ready.status_code, "demo" in ready.json()["away"]) == (200, True)
        found = Seen(lines, ready).line("another server is the primary now")
        assert (found["before"], found["after"]) == (primary.place, replica.place)
        places = {line["server"]: line["reason"] for line in lines if line["event"] == "the store fails"}
        assert {places[primary.place], places[replica.place]} <= {"refused", "closed"}
