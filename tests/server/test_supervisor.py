"""Workers that start slowly, answer, freeze or die, as the supervisor sees them."""

import multiprocessing
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from identity_service.server import supervisor
from identity_service.server.supervisor import START_SECONDS, Worker

NEVER = multiprocessing.Pipe()[0]


class Held(Worker):
    """Without a process of its own: `answer` stands for the worker's end."""

    def __init__(self) -> None:
        self.parent_conn, self.child_conn = multiprocessing.Pipe()
        self.living = True
        self.process: Any = SimpleNamespace(is_alive=lambda: self.living, start=lambda: None, sentinel=NEVER.fileno())

    def answer(self) -> None:
        self.child_conn.send(True)


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
    worker.answer()
    assert worker.is_alive(0)
    assert not worker.is_alive(0)


def test_a_worker_that_dies_while_it_starts_is_replaced(forward: Callable[[float], None]) -> None:
    worker = Held()
    worker.start()
    worker.living = False
    assert not worker.is_alive(0)
