"""Calls of our own, for what wrk cannot do: one for each of some bodies, and at a given rate."""

import asyncio
import time
from collections.abc import Iterable, Sequence

from tests.benchmarks.load import Told
from tests.benchmarks.work import Work
from tests.faults.connection import Connection


async def made(url: str, work: Work, bodies: Iterable[object], at_once: int, rate: float = 0) -> Told:
    """`rate`: calls a second. With one, each call is due at its time, whether or not those before it have been answered, and its latency
    counts from then; without one it counts from sending."""
    waiting, latencies = iter(enumerate(bodies)), list[float]()
    began = time.perf_counter()

    async def client() -> None:
        connection = Connection(url, 30)
        for number, body in waiting:
            due = began + number / rate if rate else time.perf_counter()
            await asyncio.sleep(due - time.perf_counter())
            status, _ = await connection.call(work.path, work.key, body)
            assert status == 200, f"{work.name}: {status}"
            latencies.append((time.perf_counter() - due) * 1000)
        connection.close()

    await asyncio.gather(*(client() for _ in range(at_once)))
    return told(latencies, time.perf_counter() - began)


def told(latencies: Sequence[float], seconds: float) -> Told:
    ordered = sorted(latencies)
    p50, p99 = (ordered[int(len(ordered) * share)] for share in (0.50, 0.99))
    return Told(len(ordered), len(ordered) / seconds, p50, p99)
