"""Workers that start slowly, answer, freeze or die, as the supervisor sees them."""

import multiprocessing
import signal
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from identity_service.model.shop import ShopId
from identity_service.server import supervisor
from identity_service.server.supervisor import START_SECONDS, Worker

NEVER = multiprocessing.Pipe()[0]


class Held(Worker):
    """Without a process of its own: `reply` stands for the worker's end."""

    def __init__(self) -> None:
        self.parent_conn, self.child_conn = multiprocessing.Pipe()
        self.living = True
        self.config: Any = SimpleNamespace(timeout_graceful_shutdown=0)
        self.process: Any = SimpleNamespace(is_alive=lambda: self.living, start=lambda: None, sentinel=NEVER.fileno())

    def reply(self, number: int) -> None:
        """To the question of that number."""
        self.child_conn.send((number, True))


@pytest.fixture
def forward(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the supervisor's clock."""
    now = [1_000.0]
    monkeypatch.setattr(supervisor, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return lambda seconds: now.__setitem__(0, now[0] + seconds)


def test_a_worker_that_starts_slowly_is_not_replaced(forward: Callable[[float], None]) -> None:
    worker = Held()
    worker.start()
    forward(START_SECONDS - 1)
    assert worker.is_alive(0)
    forward(1)
    assert not worker.is_alive(0)


def test_a_worker_that_answered_once_has_to_answer_again(forward: Callable[[float], None]) -> None:
    worker = Held()
    worker.start()
    worker.reply(1)
    assert worker.is_alive(0)
    assert not worker.is_alive(0)


def test_a_late_answer_to_an_earlier_question_is_none_to_the_next(forward: Callable[[float], None]) -> None:
    worker = Held()
    worker.start()
    assert worker.answer(0) is None
    worker.ask()
    assert worker.answer(0) is None
    worker.ask(frozenset({ShopId("demo")}))
    worker.reply(1)
    assert worker.answer(0) is None
    worker.reply(2)
    assert worker.answer(0) is True


def test_a_worker_that_dies_while_it_starts_is_replaced(forward: Callable[[float], None]) -> None:
    worker = Held()
    worker.start()
    worker.living = False
    assert not worker.is_alive(0)


@pytest.mark.parametrize(
    ("frozen", "code", "told"),
    [
        (True, -signal.SIGKILL, {"event": "a worker did not answer and was killed; another one takes its place"}),
        (False, -signal.SIGSEGV, {"event": "a worker was killed; another one takes its place", "signal": "SIGSEGV"}),
        (False, -63, {"event": "a worker was killed; another one takes its place", "signal": "63"}),
        (False, 1, {"event": "a worker ended by itself; another one takes its place", "exit": 1}),
    ],
)
def test_the_death_of_a_worker_is_a_warning_with_its_cause(frozen: bool, code: int, told: dict[str, object]) -> None:
    worker = Held()
    worker.process = SimpleNamespace(
        exitcode=None if frozen else code, kill=lambda: None, join=lambda _=None: None, is_alive=lambda: False, pid=7
    )
    worker.kill()
    worker.process.exitcode = code
    with capture_logs() as lines:
        worker.join()
    assert lines == [told | {"worker": 7, "log_level": "warning"}]


def test_the_end_of_a_worker_that_was_asked_to_end_is_no_warning() -> None:
    worker = Held()
    worker.process = SimpleNamespace(exitcode=0, join=lambda _=None: None, is_alive=lambda: False, pid=7)
    worker.terminate()
    with capture_logs() as lines:
        worker.join()
    assert lines == []
