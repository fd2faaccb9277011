"""Packages of Debian that tests need, installed where a test may: by root, one process at a time."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

LOCK = Path(tempfile.gettempdir()) / "identity-test-packages.lock"
QUIET = ("--quiet", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=600")


def install(*packages: str, unless: Callable[[], bool]) -> bool:
    """Whether `unless` holds in the end. A program that another process is just installing is found before what it needs is there, so
    it is asked only while nobody installs. Raises CalledProcessError where apt fails."""
    with LOCK.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if unless():
            return True
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            return False
        for call in (["update", "--quiet"], ["install", *QUIET, *packages]):
            subprocess.run(["apt-get", *call], check=True, capture_output=True, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
        return unless()


def install_program(name: str, *packages: str) -> str | None:
    """Its path; None where it cannot be had."""
    install(*packages, unless=lambda: shutil.which(name) is not None)
    return shutil.which(name)
