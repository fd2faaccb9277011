"""A topology whose test process is killed leaves no server behind, not even one that is held."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.test_command import eventually

KILLED = """
import os, signal
from tests.topologies import sentinels
with sentinels() as made:
    made.data[1].hold()
    print(*(server.pid for server in made.servers.values()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_test_process_leaves_no_server_behind() -> None:
    run = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == -signal.SIGKILL, run.stderr
    left = [int(pid) for pid in run.stdout.split()]
    assert len(left) == 6
    assert eventually(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in left))
