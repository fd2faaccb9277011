"""Where a call's CPU time goes: a worker under load, sampled by py-spy 500 times a second, its samples sorted by the part of the service
that they fall into. A sample in a library or in the interpreter counts for who called it; what nobody of those called is the event loop's
and the kernel's."""

import argparse
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.benchmarks import checks, load, sides, tables
from tests.benchmarks.install import install, py_spy
from tests.benchmarks.work import AGAIN, CLICK, COOKIELESS, KNOWN, LINK, LOOKUP, NEW, SALE, SERVICE, Work
from tests.stores import valkey
from tests.test_command import descendants

PARTS: Mapping[str, Sequence[str]] = {
    "HTTP server, sending": ("uvicorn/protocols/", "identity_service/server/protocol"),
    "headers, route, log, counts": (
        *("identity_service/web/edge", "identity_service/web/routing", "identity_service/app", "identity_service/server/logs"),
        *("identity_service/server/metrics", "identity_service/service/counters"),
    ),
    "key, limits, body, answer": (
        *("identity_service/web/auth", "identity_service/web/bodies", "identity_service/web/endpoint", "identity_service/web/dialects"),
        *("identity_service/model/shop", "identity_service/server/limits"),
    ),
    "signing, digests": ("identity_service/model/token", "identity_service/model/handle", "identity_service/model/cookieless"),
    "store": ("identity_service/store/",),
    "the call itself": ("identity_service/web/", "identity_service/model/event", "identity_service/model/attribution"),
    "decision": ("identity_service/",),
}
"""By how the path of a module begins; the first that fits."""
LOOP = "event loop, kernel"
SAMPLE = re.compile(r"(.+:\d+\)) (\d+)")
WORKS = (COOKIELESS, NEW, KNOWN, LINK, LOOKUP, CLICK, SALE, AGAIN)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks profile", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="WORK", help="only work with this in its name; may be repeated")
    parser.add_argument("--seconds", type=int, default=8, help="that each work is sampled (8)")
    parser.add_argument("--output", type=Path, default=tables.OUTPUT, help="folder of the table (build/benchmarks)")
    options = parser.parse_args(arguments)
    install(set())
    spy = py_spy()
    if spy is None:
        raise SystemExit("the profile needs py-spy: pip install py-spy")
    core, load_core = sides.two_cores()
    found: dict[str, tuple[float, Counter[str]]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as directory,
        sides.pinned(load_core),
        valkey(*sides.STORE) as store,
        sides.side(SERVICE, store, Path(directory), core) as side,
    ):
        cookie = checks.call(side, NEW).cookie.partition(";")[0]
        checks.call(side, AGAIN)
        [worker] = [pid for pid in descendants(side.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        for work in (one for one in WORKS if not options.only or any(word in one.name for word in options.only)):
            found[work.name] = sampled(work, side, cookie, Path(directory), load_core, spy, worker, options.seconds)
    tables.write(options.output, {"profile.md": table(found)})
    return 0


def sampled(
    work: Work, side: sides.Side, cookie: str, place: Path, core: int, spy: str, worker: int, seconds: int
) -> tuple[float, Counter[str]]:
    """CPU µs of a request, measured before, and samples by part."""
    timed = load.timed(work, side, cookie, side.pid, seconds, place, core)
    stacks = place / "stacks"
    flags = ["--nonblocking", "--rate", "500", "--duration", str(seconds), "--format", "raw", "--output", str(stacks)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen([spy, "record", *flags, "--pid", str(worker)], stdout=quiet, stderr=quiet) as spying:
        load.timed(work, side, cookie, side.pid, seconds + 1, place, core)
        if spying.wait():
            raise SystemExit("py-spy could not read the worker; it may need root")
    return timed.cpu, by_part(stacks.read_text().splitlines())


def by_part(stacks: Iterable[str]) -> Counter[str]:
    """Of py-spy's raw form: frames from the outermost, each with its file and line in brackets, and how often. Others are left out: the
    worker runs on while it is read, and a name may be overwritten meanwhile, by text of several lines too."""
    found = Counter[str]()
    for stack, number in (sample.groups() for line in stacks if (sample := SAMPLE.fullmatch(line))):
        files = [frame.rpartition(" (")[2] for frame in stack.split(";")]
        found[next((part for file in reversed(files) if (part := part_of(file))), LOOP)] += int(number)
    return found


def part_of(file: str) -> str | None:
    return next((part for part, beginnings in PARTS.items() if file.startswith(tuple(beginnings))), None)


def table(found: Mapping[str, tuple[float, Counter[str]]]) -> str:
    columns = [LOOP, *PARTS]
    lines = [f"| work | CPU µs | {' | '.join(columns)} |", f"|{'---|' * (len(columns) + 2)}"]
    for name, (cpu, parts) in found.items():
        shares = [f"{parts[part] / parts.total():.0%}" for part in columns]
        lines.append(f"| {name} | {cpu:.0f} | {' | '.join(shares)} |")
    return "\n".join(lines) + "\n"
