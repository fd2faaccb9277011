"""The machine under a benchmark: its interpreters, and what else runs on it."""

import os
import platform
import subprocess
import time
from pathlib import Path

MOST_OTHER = 0.15
"""Cores that may be in use while the benchmark itself rests."""
TELL = "import platform as p; print(p.python_implementation(), p.python_version(), f'({p.python_compiler()}, {p.python_build()[1]})')"


def build_of(python: str) -> str:
    return subprocess.run([python, "-c", TELL], capture_output=True, text=True, check=True).stdout.strip()


def in_use(seconds: float = 1.0) -> float:
    """Cores in use, by anything, the hypervisor's other guests among it."""
    before, began = _busy(), time.monotonic()
    time.sleep(seconds)
    return (_busy() - before) / (time.monotonic() - began)


def demand_rest() -> None:
    """Raises SystemExit on a busy machine, whose figures would be worth nothing."""
    if (used := in_use()) > MOST_OTHER:
        raise SystemExit(f"The machine is busy: {used:.2f} cores are in use beside the benchmark. Stop other work, or pass --busy.")


def description() -> str:
    load = " ".join(f"{one:.2f}" for one in os.getloadavg())
    return f"{platform.system()} {platform.release()}, {len(os.sched_getaffinity(0))} cores, load average {load}"


def _busy() -> float:
    """Seconds of all cores since the start of the machine."""
    user, nice, system, _idle, _wait, irq, softirq, steal, *_ = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
