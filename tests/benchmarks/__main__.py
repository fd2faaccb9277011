"""`python -m tests.benchmarks`: the service beside its peers; with the name of another run before the options, that one; with `all`
everything, as it stands without options."""

import signal
import sys

from tests.benchmarks import caps, comparison, expiry, gate, memory, pages, profile, scaling

RUNS = {
    "scaling": scaling.main,
    "memory": memory.main,
    "caps": caps.main,
    "expiry": expiry.main,
    "profile": profile.main,
    "gate": gate.main,
    "pages": pages.main,
}


def main(arguments: list[str]) -> int:
    name = arguments[0] if arguments else ""
    if name == "all":
        return max(run([]) for run in (comparison.main, *RUNS.values()))
    return RUNS[name](arguments[1:]) if name in RUNS else comparison.main(arguments)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))  # so that what was started ends, too
    sys.exit(main(sys.argv[1:]))
