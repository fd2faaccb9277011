"""The folder in which workers keep their metrics, so that one scrape covers them all. It lives as long as the service.

Each worker has a file for each kind of metric. What workers counted that have ended is added up in one file of each kind. So a service
whose workers die again and again has no more files than another.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prometheus_client import Counter
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import mark_process_dead

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The library reads it when it is imported."""
PREFIX, STARTING = "identity-metrics-", "identity-starting-"
OWNER, LOCK = "owner", "lock"
KINDS = ("counter", "histogram")
ENDED = "ended"


@contextmanager
def metric_folder(parent: Path) -> Iterator[Path]:
    """A new folder in `parent`, removed at the end. First removes those of services that were killed. While a service lives, it holds the
    lock of the file `owner`, which the kernel ends with it."""
    remove_left_folders(parent)
    made = Path(tempfile.mkdtemp(prefix=STARTING, dir=parent))
    with (made / OWNER).open("w") as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        folder = made.rename(made.with_name(made.name.replace(STARTING, PREFIX)))  # only then another service looks at it
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def remove_left_folders(parent: Path) -> None:
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):  # it has gone, or its owner lives
            if folder.lstat().st_uid == os.getuid():
                with (folder / OWNER).open() as owner:
                    fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def files_held(folder: Path) -> Iterator[None]:
    """While it is held, no file is added up, so that a scrape counts each once."""
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def count_in_supervisor(family: Counter, **labels: str) -> None:
    """Adds one. The supervisor imports the library before there is a folder, so its own metrics are in no
    file."""
    if folder := os.environ.get(FOLDER_VARIABLE):
        [found] = family.collect()
        key = mmap_key(found.name, f"{found.name}_total", list(labels), list(labels.values()), found.documentation)
        with files_held(Path(folder)):
            _add(Path(folder), "counter", {key: 1.0})


def add_up(pid: int) -> None:
    """Adds what a worker that has ended counted to the file of all that have, and removes its own files."""
    if not (named := os.environ.get(FOLDER_VARIABLE)):
        return
    folder = Path(named)
    with files_held(folder):
        mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
        for kind in KINDS:
            own = folder / f"{kind}_{pid}.db"
            with suppress(FileNotFoundError, RuntimeError):  # it ended before it counted, or while it wrote
                found = MmapedDict.read_all_values_from_file(str(own))  # type: ignore[no-untyped-call]
                _add(folder, kind, {key: value for key, value, *_ in found})
            own.unlink(missing_ok=True)


def _add(folder: Path, kind: str, found: dict[str, float]) -> None:
    ended = MmapedDict(str(folder / f"{kind}_{ENDED}.db"))  # type: ignore[no-untyped-call]
    for key, value in found.items():
        ended.write_value(key, ended.read_value(key)[0] + value, 0.0)  # type: ignore[no-untyped-call]
    ended.close()  # type: ignore[no-untyped-call]
