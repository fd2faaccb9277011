"""The load: wrk on its own core, what it tells, and the CPU time that a side and the store took meanwhile."""

import itertools
import os
import re
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.sides import Side
from tests.benchmarks.work import NUMBER, Work

UNITS = {"us": 0.001, "ms": 1.0, "s": 1_000.0, "m": 60_000.0}
TICKS = os.sysconf("SC_CLK_TCK")
NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Told:
    """By wrk. Latencies in milliseconds."""

    requests: int
    rate: float
    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Round:
    """`cpu` and `store_cpu`: microseconds a request. `measure`: requests a second of the bare answer, just before."""

    told: Told
    cpu: float
    store_cpu: float
    measure: float = 0.0


def timed(work: Work, side: Side, cookie: str, store_pid: int, seconds: int, place: Path, core: int, connections: int = 32) -> Round:
    """Loads a side for some seconds; raises SystemExit where one request was not answered with 2xx, or none was answered."""
    script = place / "load.lua"
    script.write_text(lua(work, cookie))

    def loaded() -> Told:
        answered = wrk(script, side.url + work.path, seconds, core, connections)
        try:
            return parsed(answered)
        except ValueError:
            raise SystemExit(f"{side.name}: {work.name}: the load met errors:\n{answered}") from None

    return spent(loaded, side.pid, store_pid)


def spent(load: Callable[[], Told], pid: int, store_pid: int) -> Round:
    """With the CPU time that a side and the store take meanwhile."""
    before = cpu(pid), cpu(store_pid)
    told = load()
    after = cpu(pid), cpu(store_pid)
    own, store = ((late - early) * 1e6 / told.requests for early, late in zip(before, after, strict=True))
    return Round(told, own, store)


def wrk(script: Path, url: str, seconds: int, core: int, connections: int) -> str:
    # One thread: each would count from the same number. A slow answer is no error: p99 tells it.
    flags = ["--latency", "--timeout", "30s", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script)]
    command = ["taskset", "-c", str(core), "wrk", *flags, url]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout


def lua(work: Work, cookie: str) -> str:
    """Every run counts from a number of its own, so that a number never comes back."""
    if work.mix:
        return mixed(work)
    lines = [f"wrk.method = '{'GET' if work.body is None else 'POST'}'", f"wrk.body = [[{work.text}]]"]
    lines += [f"wrk.headers['{name}'] = '{value}'" for name, value in work.headers(cookie).items()]
    if NUMBER in work.text:
        first = f"{time.time_ns() // 1_000_000}{next(NUMBERS):05}"
        number = f"math.random({work.among}) - 1" if work.among else "number + 1"
        prefix = "" if work.among else f"{first}-"
        lines += [f"math.randomseed({next(NUMBERS)})", "local body, number = wrk.body, 0", "request = function()", f"  number = {number}"]
        lines += [f"  return wrk.format(nil, nil, nil, (body:gsub('{NUMBER}', '{prefix}' .. number)))", "end"]
    return "\n".join(lines) + "\n"


def mixed(work: Work) -> str:
    """Requests of several kinds by chance. Their numbers are as those of one kind."""
    first = f"{time.time_ns() // 1_000_000}{next(NUMBERS):05}"
    lines = [f"math.randomseed({next(NUMBERS)})", "local number = 0", "local kinds = {}"]
    for share, kind in work.mix:
        number = f"math.random({kind.among}) - 1" if kind.among else f"'{first}-' .. number"
        headers = ", ".join(f"['{name}'] = '{value}'" for name, value in kind.headers("").items())
        lines.append(f"local function make() return wrk.format('POST', '{kind.path}', {{{headers}}},")
        lines += [f"  (([[{kind.text}]]):gsub('{NUMBER}', {number}))) end", f"for _ = 1, {share} do kinds[#kinds + 1] = make end"]
    lines += ["request = function()", "  number = number + 1", "  return kinds[math.random(#kinds)]()", "end"]
    return "\n".join(lines) + "\n"


def parsed(text: str) -> Told:
    """Raises ValueError for a round that is worth nothing."""
    requests = int(re.findall(r"(\d+) requests in", text)[0])
    if not requests or "Non-2xx" in text or "Socket errors" in text:
        raise ValueError(text)
    rate = float(re.findall(r"Requests/sec: +([0-9.]+)", text)[0])
    p50, p99 = (_milliseconds(re.findall(rf"{percent}% +([0-9.]+)(us|ms|s|m)", text)[0]) for percent in (50, 99))
    return Told(requests, rate, p50, p99)


def _milliseconds(found: tuple[str, str]) -> float:
    return float(found[0]) * UNITS[found[1]]


def cpu(pid: int) -> float:
    """Seconds that a process and all below it have taken: of the living by the scheduler, to the nanosecond, of the ended in ticks."""
    stats = _stats()
    family, found = [pid], 0.0
    while family:
        one = family.pop()
        found += sum(int(field) for field in stats[one][13:15]) / TICKS + _scheduled(one)
        family += [child for child, fields in stats.items() if int(fields[1]) == one]
    return found


def _scheduled(pid: int) -> float:
    """Seconds of all threads that live."""
    found = 0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError):  # it ended meanwhile
            found += int(thread.read_text().split()[0])
    return found / 1e9


def _stats() -> dict[int, list[str]]:
    """Of every process: the fields of /proc/PID/stat after its name, which may hold anything; the parent is the second."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it ended meanwhile
                continue
    return found
