"""The lines and counts of what a store's client reports. An operator finds the cause here: once in the log, each time in the metrics."""

from identity_service.server.logs import log
from identity_service.server.metrics import STORE_ERRORS, STORE_FAILOVERS, count
from identity_service.store.redis.cause import Cause
from identity_service.store.redis.episodes import Failover, Failure, Recovery, StoreEvent

for _cause in Cause:  # a rate shows the first failure only of a counter that was zero before
    STORE_ERRORS.labels(_cause)


def report_store(event: StoreEvent) -> None:
    """A sentinel is logged and not counted, because the store may be used without it."""
    match event:
        case Failure(place, cause, first, sentinel):
            if not sentinel:
                count(STORE_ERRORS, cause)
            if first:
                log.warning("the store fails", server=place, reason=cause, meaning=cause.sentence)
        case Recovery(place, cause, seconds):
            log.warning("the store answers again", server=place, reason=cause, seconds=seconds)
        case Failover(before, after):
            count(STORE_FAILOVERS)
            log.warning("another server is the primary now", before=before, after=after)
