"""A service whose log and announcement nobody takes: it answers, and ends when it is told to, with all its processes."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.connection import Connection, NoAnswer
from tests.faults.running import RunningService, _command_line
from tests.stores import PATIENT_STORE
from tests.test_command import descendants, eventually, free_port

PATIENCE = 90
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
UNREAD = [
    pytest.param("", id="no reader"),
    pytest.param("2>&-", id="closed"),
    pytest.param("0<&- 1>&- 2>&-", id="all closed"),
    pytest.param("1>/dev/full 2>/dev/full", marks=FULL, id="full disk"),
]


def family(pid: int) -> list[int]:
    """Itself and all that it started."""
    return [pid, *(one for child in descendants(pid) for one in family(child))]


async def answers(url: str) -> bool:
    try:
        return (await Connection(url, kept=False).call("/readyz", "", None))[0] == 200
    except NoAnswer:
        return False


def is_alive(pid: int) -> bool:
    return bool(_command_line(pid))


@pytest.mark.parametrize("redirected", UNREAD)
def test_a_service_whose_log_nobody_takes_answers_and_ends(tmp_path: Path, redirected: str) -> None:
    port = free_port()
    command = f"exec {sys.executable} -m identity_service serve --port {port} --data {tmp_path}/data --workers 2 {redirected}"
    buffered = os.environ | PATIENT_STORE | {"PYTHONUNBUFFERED": ""}
    process = subprocess.Popen(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=buffered)
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    process.stderr.close()
    url, started = f"http://127.0.0.1:{port}", list[int]()
    try:
        assert eventually(lambda: asyncio.run(answers(url)), PATIENCE)
        started = family(process.pid)
        assert len(started) >= 4
        for number in range(20):
            body = {"email": "a@example.com", "visitor": f"visitor-{number}"}
            assert asyncio.run(Connection(url, 30, kept=False).call("/v1/links", "demo-private-key", body))[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert eventually(lambda: not any(map(is_alive, started)), PATIENCE)
    finally:
        for pid in filter(is_alive, {*family(process.pid), *started}):
            os.kill(pid, signal.SIGKILL)


def test_a_worker_that_is_frozen_keeps_no_service_from_its_end(tmp_path: Path) -> None:
    with RunningService(tmp_path, tmp_path / "data", 2, IDENTITY_SERVER__DRAIN_SECONDS="1") as service:
        frozen = service.workers[0]
        os.kill(frozen, signal.SIGSTOP)
        service.signal(signal.SIGTERM)
        assert eventually(lambda: not is_alive(service.pid) and not is_alive(frozen), PATIENCE)
        assert service.stop() == 0
