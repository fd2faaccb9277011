"""The systemd unit: systemd reads it, its sandbox is tight, and its command runs on what `init` wrote, in memory that is never both
written and executed."""

import ctypes
import os
import shlex
import signal
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from identity_service.cli import main
from identity_service.server.supervisor import END_SECONDS
from identity_service.settings.load import load
from tests.deploy.files import DEPLOY, replaced
from tests.edges.proxies import needed
from tests.test_command import PATIENCE, Service, descendants, eventually, free_port

PROGRAM = "/opt/identity/bin/identity-service"
MOST_EXPOSURE = "15"
"""Tenths on systemd's scale from 0 to 10, of which 2 and less is its best class."""
STORE_SECONDS = 10
"""Time for the embedded store to end."""
DENY_WRITE_EXECUTE = 65
"""PR_SET_MDWE of Linux 6.3, to which systemd's MemoryDenyWriteExecute comes."""
DENYING = """
import ctypes, os, sys
assert ctypes.CDLL(None).prctl(int(sys.argv[1]), 1, 0, 0, 0) == 0
os.execv(sys.argv[2], sys.argv[2:])
"""


@cache
def unit() -> dict[str, list[str]]:
    """Values by name, in order."""
    found = defaultdict(list)
    for line in (DEPLOY / "identity-service.service").read_text().splitlines():
        name, mark, value = line.partition("=")
        if mark and not line.startswith("#"):
            found[name].append(value)
    return found


def on_this_machine(place: Path) -> Path:
    path = place / "identity-service.service"
    path.write_text(replaced(path.name, **{PROGRAM: "/bin/true"}))
    return path


def test_systemd_finds_no_fault_in_it(tmp_path: Path) -> None:
    command = [needed("systemd-analyze", "systemd"), "verify", "--man=no", "--recursive-errors=no", str(on_this_machine(tmp_path))]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_its_sandbox_is_tight(tmp_path: Path) -> None:
    command = [needed("systemd-analyze", "systemd"), "security", "--offline=true", f"--threshold={MOST_EXPOSURE}"]
    run = subprocess.run([*command, str(on_this_machine(tmp_path))], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stdout[-300:]


def test_it_waits_longer_than_a_worker_drains() -> None:
    assert unit()["KillMode"] == ["mixed"]
    assert int(unit()["TimeoutStopSec"][0]) > load("development", {}).server.drain_seconds + END_SECONDS + STORE_SECONDS


def test_its_credentials_are_the_files_of_init(tmp_path: Path) -> None:
    main(["init", str(tmp_path / "etc")])
    handed = dict(one.split(":") for one in unit()["LoadCredential"])
    assert {name: Path(path).relative_to("/etc/identity-service") for name, path in handed.items()} == {
        path.name: path.relative_to(tmp_path / "etc") for path in (tmp_path / "etc" / "secrets").iterdir()
    }
    assert sorted(one.partition("=%d/")[2] for one in unit()["Environment"]) == sorted(handed)


def test_its_command_runs_on_what_init_wrote(tmp_path: Path) -> None:
    if ctypes.CDLL(None).prctl(DENY_WRITE_EXECUTE + 1, 0, 0, 0, 0) < 0:
        pytest.skip("needs Linux 6.3 for PR_SET_MDWE")
    main(["init", str(tmp_path / "etc"), "--port", str(free_port())])
    (tmp_path / "etc" / "secrets").rename(tmp_path / "credentials")  # so that nothing but the credentials has them
    places = {PROGRAM: f"{sys.executable} -m identity_service", "/etc/": f"{tmp_path}/etc/", "/var/lib/": f"{tmp_path}/"}
    [start], [reload] = unit()["ExecStart"], unit()["ExecReload"]
    for old, new in places.items():
        start = start.replace(old, new)
    start = start.replace(f"{tmp_path}/etc/identity-service", f"{tmp_path}/etc")
    environment = dict(one.replace("%d", f"{tmp_path}/credentials").split("=", 1) for one in unit()["Environment"])
    command = [sys.executable, "-c", DENYING, str(DENY_WRITE_EXECUTE), *shlex.split(start)]
    log = tmp_path / "log"
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=os.environ | environment)
    try:
        service = Service(process, log)
        assert service.call("/readyz")[0] == 200
        before = set(descendants(process.pid))
        assert reload == "/bin/kill -HUP $MAINPID"
        process.send_signal(signal.SIGHUP)
        assert eventually(lambda: set(descendants(process.pid)) - before)
        assert service.call("/readyz")[0] == 200
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0
        assert process.stdout
        process.stdout.close()
