"""Prometheus metrics. No label contains personal data.

The command sets PROMETHEUS_MULTIPROC_DIR before the workers import this module, so that one scrape covers all workers.
"""

import os
import platform
import resource
import time
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.registry import REGISTRY

from identity_service.server.metric_files import FOLDER_VARIABLE, files_held
from identity_service.version import VERSION

STORE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5)
REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class Durations(Histogram):
    """A histogram to which many observations are added at once. The library adds one at a time, which takes ten microseconds."""

    def add(self, found: Sequence[float]) -> None:
        """`found`: how many observations each bucket has, and last the sum of their seconds."""
        *numbers, seconds = found
        self._sum.inc(seconds)
        for bucket, number in zip(self._buckets, numbers, strict=True):
            if number:
                bucket.inc(number)


ISSUED = Counter("identity_issued_total", "Decisions by mode and reason", ["mode", "reason"])
AGENTS = Counter("identity_agents_total", "Agents that asked for an ID, by how they were recognised", ["known_by"])
REFUSED_SIGNALS = Counter("identity_refused_signals_total", "Refusals by source of the signal", ["source"])
BAD_SIGNATURES = Counter("identity_bad_signatures_total", "Tokens that no key of the shop signed")
LINK_CONFLICTS = Counter("identity_link_conflicts_total", "Links refused, by error code", ["code"])
UNUSABLE_HANDLES = Counter("identity_unusable_handles_total", "Emails and customer IDs of tracking calls that cannot be linked")
SALE_CONFLICTS = Counter("identity_sale_conflicts_total", "Sale IDs sent again with other products")
STORE_SECONDS = Durations("identity_store_seconds", "Time of one pipeline to the store", ["outcome"], buckets=STORE_BUCKETS)
STORE_ERRORS = Counter(
    "identity_store_errors_total", "Pipelines that were not answered, and commands that were refused, by cause", ["reason"]
)
STORE_FAILOVERS = Counter("identity_store_failovers_total", "Times that a worker found another server as the primary")
BREAKER_OPEN = Gauge("identity_store_breaker_open", "1 while calls to the store fail at once", multiprocess_mode="livemax")
STORE_REFUSED = Gauge(
    "identity_store_refused", "1 while a worker refuses the store as moved, emptied or foreign", multiprocess_mode="livemax"
)
ERASURES_WAITING = Gauge(
    "identity_erasures_waiting", "Erasures that began over a minute ago and are not complete", multiprocess_mode="livesum"
)
SWEEP_LAG = Gauge(
    "identity_sweep_lag_seconds",
    "Seconds since the sweep passed all keys of a server, of the one that waits longest",
    multiprocess_mode="livemostrecent",
)
CUT_OFF = Counter("identity_cut_off_total", "Requests that came too slowly, too large or unreadable, by status", ["status"])
REQUESTS = Counter("identity_requests_total", "Answers by route and status", ["route", "status"])
REQUEST_SECONDS = Durations(
    "identity_request_seconds", "Time from a request's headers to its whole answer", ["route"], buckets=REQUEST_BUCKETS
)
WORKER_STARTS = Counter("identity_worker_starts_total", "Workers that were started")
WORKER_DEATHS = Counter("identity_worker_deaths_total", "Workers that ended though nobody asked them to, or were frozen")
BUILD_INFO = Gauge("identity_build_info", "Always 1", ["version", "python"], multiprocess_mode="livemax")
RESIDENT_BYTES = Gauge("identity_process_resident_bytes", "Memory of all workers", multiprocess_mode="livesum")
CPU_SECONDS = Counter("identity_process_cpu_seconds_total", "Processor time of all workers, also of those that ended")
OPEN_FDS = Gauge("identity_process_open_fds", "Open files and sockets of the worker that has most", multiprocess_mode="livemax")
START_TIME = Gauge(
    "identity_process_start_time_seconds", "When the youngest living worker started, in seconds since 1970", multiprocess_mode="livemax"
)


_gathered: dict[tuple[Counter, tuple[str | int, ...]], int] = {}
_request_seconds: dict[str, list[float]] = {}
_store_seconds: dict[str, list[float]] = {}


def count(family: Counter, *labels: str | int) -> None:
    """Adds one in memory. `flush_counts` passes it to the library once a second, because that costs a lock and a system call."""
    one = (family, labels)
    _gathered[one] = _gathered.get(one, 0) + 1


def observe_request(route: str, seconds: float) -> None:
    """Adds one in memory, as `count` does."""
    _observe(_request_seconds, REQUEST_BUCKETS, route, seconds)


def observe_store(seconds: float, outcome: str) -> None:
    """One pipeline to the store. `outcome`: ok, error or open. Adds one in memory, as `count` does."""
    _observe(_store_seconds, STORE_BUCKETS, outcome, seconds)


def _observe(gathered: dict[str, list[float]], buckets: Sequence[float], label: str, seconds: float) -> None:
    found = gathered.get(label)
    if found is None:
        found = gathered[label] = [0] * (len(buckets) + 2)
    found[bisect_left(buckets, seconds)] += 1
    found[-1] += seconds


def flush_counts() -> None:
    while _gathered:
        (family, labels), number = _gathered.popitem()
        (family.labels(*labels) if labels else family).inc(number)
    for durations, gathered in ((REQUEST_SECONDS, _request_seconds), (STORE_SECONDS, _store_seconds)):
        while gathered:
            label, found = gathered.popitem()
            durations.labels(label).add(found)


def set_store_gauges(breaker_open: bool, refused: bool) -> None:
    """Sets the store's gauges of this worker. A scrape shows the worst of all living workers."""
    BREAKER_OPEN.set(breaker_open)
    STORE_REFUSED.set(refused)


class ProcessGauges:
    """Of this worker. The library has its own only for one process."""

    def __init__(self) -> None:
        self._counted = 0.0
        BUILD_INFO.labels(VERSION, platform.python_version()).set(1)
        START_TIME.set(time.time())

    def set(self) -> None:
        used = sum(os.times()[:2])
        CPU_SECONDS.inc(used - self._counted)
        self._counted = used
        with suppress(OSError):  # other systems than Linux have no such files
            RESIDENT_BYTES.set(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize())
            OPEN_FDS.set(len(os.listdir("/proc/self/fd")))


def exposition() -> bytes:
    """The metrics of all workers as text. Counts of other workers may be a second old."""
    flush_counts()
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    with files_held(Path(folder)):
        return generate_latest(registry)
