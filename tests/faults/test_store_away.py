"""A store that stops answering, or answers slowly: callers hear so soon, nothing acknowledged is lost, and all is well at once after."""

import re
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

import httpx2 as httpx

from tests.faults.checker import AssertKept
from tests.faults.history import History, Operation
from tests.faults.load import CLIENT, Load
from tests.faults.proxy import Conditions, proxied
from tests.faults.running import RunningService, RunningStore, paused
from tests.test_command import eventually

LONGEST = 1.75
"""Seconds of a call while the store is away: 1.5 as promised, and some for a busy machine."""
AT_ONCE = 100
RECOVERY = 1.5
"""Seconds until writes are acknowledged again."""


def ask(url: str, body: object) -> dict[str, Any]:
    """What a visitor gets."""
    answer = httpx.post(f"{url}/v1/visitors", json=body, headers={"Authorization": "Bearer demo-private-key"}, timeout=60)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def took(operations: list[Operation]) -> list[float]:
    """Seconds of each, in order of length."""
    return sorted(one.ended - one.began for one in operations)


def answered(status: int, since: float, history: History) -> bool:
    return any(one.status == status and one.began > since for one in history.operations)


def resident_bytes(pid: int) -> int:
    [kilobytes] = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(kilobytes) * 1024


def test_a_frozen_store_costs_nobody_more_than_a_moment(tmp_path: Path, slack: float, long: bool, assert_kept: AssertKept) -> None:
    """Calls are refused while it is frozen, most of them at once: without being sent. How soon, only a machine of its own can show."""
    half, freeze = (5_000, 10) if long else (1_000, 0)
    with RunningStore(tmp_path / "store") as store, RunningService(tmp_path / "service", store.url) as service:
        token = ask(service.url, {"client": CLIENT})["token"]
        with Load(service.url) as load:
            load.wait(half)
            frozen = time.monotonic()
            with paused(store.pid):
                load.wait_until(lambda history: history.statuses()[503] > AT_ONCE)
                opened = time.monotonic()
                found = ask(service.url, {"token": token})
                assert eventually(lambda: not_sent(service.url) > AT_ONCE)
                time.sleep(max(frozen + freeze - time.monotonic(), 0))
            resumed = time.monotonic()
            load.wait(half)
        assert (found["mode"], found["token"]) == ("cookieless", token)
        history = load.history
        if long:
            refused = [one for one in history.operations if one.status == 503 and one.ended > frozen]
            assert min(one.ended for one in refused) - frozen < LONGEST
            assert statistics.median(took(history.between(opened, resumed))) < 0.1
            assert statistics.quantiles(took(history.between(frozen, resumed)), n=100)[-1] < LONGEST
        assert load.recovery(resumed) < RECOVERY * slack
        assert_kept(history, service)


def not_sent(url: str) -> float:
    """How many pipelines have failed at once because the breaker was open."""
    metrics = httpx.get(f"{url}/metrics", timeout=60).text
    return sum(float(count) for count in re.findall(r'^identity_store_seconds_count\{outcome="open"\} (\S+)$', metrics, re.MULTILINE))


def test_a_slow_store_makes_calls_slow_and_then_refused_but_nothing_grows(
    tmp_path: Path, slack: float, long: bool, assert_kept: AssertKept
) -> None:
    half, phase = (5_000, 10) if long else (1_000, 0)
    with (
        RunningStore(tmp_path / "store") as store,
        proxied(store.url) as proxy,
        RunningService(tmp_path / "service", proxy.url) as service,
    ):
        with Load(service.url) as load:
            load.wait(half)
            [worker] = service.workers
            before = resident_bytes(worker)
            for delay, served in [(0.05, 200), (0.2, 200), (1.0, 503)]:
                proxy.conditions = Conditions(reply_delay=delay)
                slowed = time.monotonic()
                load.wait_until(partial(answered, served, slowed))
                time.sleep(phase)
            proxy.conditions = Conditions()
            restored = time.monotonic()
            load.wait(half)
        assert load.recovery(restored) < RECOVERY * slack
        assert proxy.connections <= 8
        assert resident_bytes(worker) - before < 20_000_000
        assert_kept(load.history, service)
