"""A store that stops answering, or answers slowly: callers hear so soon, nothing acknowledged is lost, and all is well at once after."""

import re
import statistics
import time
from pathlib import Path
from typing import Any

import httpx2 as httpx

from tests.faults.checker import AssertKept
from tests.faults.history import Operation
from tests.faults.load import CLIENT, SLACK, Load
from tests.faults.proxy import Conditions, proxied
from tests.faults.running import RunningService, RunningStore, paused

LONGEST = 1.75
"""Seconds of a call while the store is away: 1.5 as promised, and some for a busy machine."""
RECOVERY = 1.5
"""Seconds until writes are acknowledged again."""


def ask(url: str, body: object) -> dict[str, Any]:
    """What a visitor gets."""
    answer = httpx.post(f"{url}/v1/visitors", json=body, headers={"Authorization": "Bearer demo-private-key"}, timeout=2)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def took(operations: list[Operation]) -> list[float]:
    """Seconds of each, in order of length."""
    return sorted(one.ended - one.began for one in operations)


def resident_bytes(pid: int) -> int:
    [kilobytes] = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(kilobytes) * 1024


def test_a_frozen_store_costs_nobody_more_than_a_moment(tmp_path: Path, long: bool, assert_kept: AssertKept) -> None:
    half, freeze = (5_000, 10) if long else (1_000, 3)
    with RunningStore(tmp_path / "store") as store, RunningService(tmp_path / "service", store.url) as service:
        token = ask(service.url, {"client": CLIENT})["token"]
        with Load(service.url) as load:
            load.wait(half)
            frozen = time.monotonic()
            with paused(store.pid):
                time.sleep(1.6)
                opened = time.monotonic()
                found = ask(service.url, {"token": token})
                time.sleep(frozen + freeze - opened)
            resumed = time.monotonic()
            load.wait(half)
        assert (found["mode"], found["token"]) == ("cookieless", token)
        history = load.history
        refused = [one for one in history.operations if one.status == 503 and one.ended > frozen]
        assert min(one.ended for one in refused) - frozen < LONGEST
        assert statistics.median(took(history.between(opened, resumed))) < 0.1
        assert statistics.quantiles(took(history.between(frozen, resumed)), n=100)[-1] < LONGEST
        assert load.recovery(resumed) < RECOVERY * SLACK
        assert_kept(history, service)


def test_a_slow_store_makes_calls_slow_and_then_refused_but_nothing_grows(tmp_path: Path, long: bool, assert_kept: AssertKept) -> None:
    half, phase = (5_000, 10) if long else (1_000, 0.7)
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
                time.sleep(2 * phase if served == 503 else phase)
                assert served in {one.status for one in load.history.between(slowed, time.monotonic())}, delay
            proxy.conditions = Conditions()
            restored = time.monotonic()
            load.wait(half)
        assert load.recovery(restored) < RECOVERY * SLACK
        assert proxy.connections <= 8
        assert resident_bytes(worker) - before < 20_000_000
        assert_kept(load.history, service)
