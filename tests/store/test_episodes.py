"""An episode: many failures of one cause, of which the first and the end are reported."""

import pytest
import redis

from identity_service.store.redis.cause import Cause, cause_of_exception, cause_of_reply
from identity_service.store.redis.command import ReplyError
from identity_service.store.redis.episodes import QUIET_SECONDS, Episodes, Failure, Recovery, StoreEvent
from tests.conftest import Clock


def test_an_episode_begins_with_its_first_failure_and_ends_when_the_server_answered_long_enough() -> None:
    clock, told = Clock(), list[StoreEvent]()
    episodes = Episodes("a:1", clock, told.append)
    episodes.answered()
    for cause in (Cause.OOM, Cause.OOM, Cause.TIMEOUT):
        episodes.failed(cause)
    clock.forward(QUIET_SECONDS - 1)
    episodes.answered()
    episodes.failed(Cause.OOM)
    clock.forward(1)
    episodes.answered()
    clock.forward(QUIET_SECONDS)
    episodes.answered()
    episodes.answered()
    episodes.failed(Cause.OOM)
    assert told == [
        Failure("a:1", Cause.OOM, first=True),
        Failure("a:1", Cause.OOM, first=False),
        Failure("a:1", Cause.TIMEOUT, first=True),
        Failure("a:1", Cause.OOM, first=False),
        Recovery("a:1", Cause.TIMEOUT, 0.0),
        Recovery("a:1", Cause.OOM, QUIET_SECONDS - 1),
        Failure("a:1", Cause.OOM, first=True),
    ]


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        ("CROSSSLOT Keys in request don't hash to the same slot", Cause.CROSSSLOT),
        ("MOVED 3999 127.0.0.1:6381", Cause.CROSSSLOT),
        ("CLUSTERDOWN Hash slot not served", Cause.CLUSTER_DOWN),
        ("MASTERDOWN Link with MASTER is down", Cause.NOREPLICAS),
        ("LOADING Valkey is loading the dataset in memory", Cause.LOADING),
        ("BUSY Valkey is busy running a script", Cause.BUSY),
        ("NOAUTH Authentication required.", Cause.CREDENTIALS),
        ("ERR ACL failure in script: User drill has no permissions to run the 'set' command", Cause.PERMISSION),
        ("ERR No such master with that name", Cause.NAME),
        ("ERR unknown command", Cause.OTHER),
    ],
)
def test_a_reply_has_the_cause_of_its_code_or_its_text(reply: str, cause: Cause) -> None:
    assert cause_of_reply(ReplyError(reply)) is cause


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (redis.ConnectionError("max number of clients reached"), Cause.CLIENTS),
        (redis.ConnectionError("Connection closed by server."), Cause.CLOSED),
        (redis.ResponseError("DENIED Redis is running in protected mode"), Cause.CREDENTIALS),
        (redis.BusyLoadingError("loading"), Cause.LOADING),
        (TimeoutError(), Cause.TIMEOUT),
        (redis.ResponseError("DB index is out of range"), Cause.OTHER),
    ],
)
def test_an_error_of_the_library_has_the_cause_behind_it(error: Exception, cause: Cause) -> None:
    assert cause_of_exception(error) is cause


def test_every_cause_has_a_sentence_that_says_what_to_do() -> None:
    assert all(cause.sentence.endswith(".") and (";" in cause.sentence or ". " in cause.sentence) for cause in Cause)
