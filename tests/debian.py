"""Packages of Debian that tests need, installed where a test may: by root, one process at a time."""

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

LOCK = Path(tempfile.gettempdir()) / f"identity-test-packages-{os.geteuid()}.lock"
QUIET = ("--quiet", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=600")
ATTEMPTS = 30
PAUSE = 5
"""Seconds between attempts while something else of the machine holds apt's lists, for which apt does not wait."""


def install(*packages: str, unless: Callable[[], bool]) -> bool:
    """Whether `unless` holds in the end. A program that another process is just installing is found before what it needs is there, so
    it is asked only while nobody installs. Prints what apt says where it fails."""
    with LOCK.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if unless():
            return True
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            return False
        return _apt("update", "--quiet") and _apt("install", *QUIET, *packages) and unless()


def install_program(name: str, *packages: str) -> str | None:
    """Its path; None where it cannot be had."""
    install(*packages, unless=lambda: shutil.which(name) is not None)
    return shutil.which(name)


def _apt(*call: str) -> bool:
    for _ in range(ATTEMPTS):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
        ended = subprocess.run(["apt-get", *call], capture_output=True, text=True, check=False, timeout=900, env=environment)
        if ended.returncode == 0:
            return True
        if "Could not get lock" not in ended.stderr:
            break
        time.sleep(PAUSE)
    print(ended.stderr)
    return False
