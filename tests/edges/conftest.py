"""What the edges' languages need: programs from Debian, and the little shops around the edges."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

LOCK = Path(tempfile.gettempdir()) / "edges-apt.lock"


def need(program: str, package: str) -> None:
    """Installs the program where it is missing and may be, one process at a time; a laptop without it skips."""
    if shutil.which(program):
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        pytest.skip(f"needs {program}: apt-get install {package}")
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shutil.which(program):
            _apt("update")
            _apt("install", "--yes", "--no-install-recommends", package)


def _apt(*call: str) -> None:
    command = ["apt-get", "--quiet", "-o", "DPkg::Lock::Timeout=300", *call]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
