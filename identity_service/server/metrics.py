"""Prometheus metrics. No label contains personal data.

The command sets PROMETHEUS_MULTIPROC_DIR before the workers import this module, so that one scrape covers all workers.
"""

import os
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.registry import REGISTRY

ISSUED = Counter("identity_issued_total", "Decisions by mode and reason", ["mode", "reason"])
AGENTS = Counter("identity_agents_total", "Agents that asked for an ID, by how they were recognised", ["known_by"])
REFUSED_SIGNALS = Counter("identity_refused_signals_total", "Refusals by source of the signal", ["source"])
BAD_SIGNATURES = Counter("identity_bad_signatures_total", "Tokens that no key of the shop signed")
LINK_CONFLICTS = Counter("identity_link_conflicts_total", "Links refused, by error code", ["code"])
UNUSABLE_HANDLES = Counter("identity_unusable_handles_total", "Emails and customer IDs of tracking calls that cannot be linked")
SALE_CONFLICTS = Counter("identity_sale_conflicts_total", "Sale IDs sent again with other products")
STORE_SECONDS = Histogram(
    "identity_store_seconds",
    "Time of one pipeline to the store",
    ["outcome"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5),
)
BREAKER_OPEN = Gauge("identity_store_breaker_open", "1 while calls to the store fail at once", multiprocess_mode="livemax")
STORE_REFUSED = Gauge(
    "identity_store_refused", "1 while a worker refuses the store as moved, emptied or foreign", multiprocess_mode="livemax"
)
CUT_OFF = Counter("identity_cut_off_total", "Requests that came too slowly, too large or unreadable, by status", ["status"])
REQUESTS = Counter("identity_requests_total", "Answers by route and status", ["route", "status"])


_gathered: dict[tuple[Counter, tuple[str | int, ...]], int] = {}


def count(family: Counter, *labels: str | int) -> None:
    """Adds one in memory. `flush_counts` passes it to the library once a second, because that costs a lock and a system call."""
    one = (family, labels)
    _gathered[one] = _gathered.get(one, 0) + 1


def flush_counts() -> None:
    while _gathered:
        (family, labels), number = _gathered.popitem()
        family.labels(*labels).inc(number)


def set_store_gauges(breaker_open: bool, refused: bool) -> None:
    """Sets the store's gauges of this worker. A scrape shows the worst of all living workers."""
    BREAKER_OPEN.set(breaker_open)
    STORE_REFUSED.set(refused)


def observe_store(seconds: float, outcome: str) -> None:
    """One pipeline to the store. `outcome`: ok, error or open."""
    _store_seconds(outcome).observe(seconds)


_store_seconds = cache(STORE_SECONDS.labels)


def exposition() -> bytes:
    """The metrics of all workers as text. Counts of other workers may be a second old."""
    flush_counts()
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
