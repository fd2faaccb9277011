"""A backup of an embedded store, also while it runs: its append-only files of one moment, in a directory to start on.

The server only appends to these files, or replaces them and changes the manifest that names them. The backup therefore hard-links them
first, which takes no time and keeps them while they are copied. If the manifest has changed by then, it starts again. The documentation of
Redis and Valkey describes this way, except that rewrites are not stopped. A last command that was copied only in part is dropped at the
load.

Salts are left out: a server starts on the copy, deletes them and rewrites its files. Nobody can compute a cookieless ID from a backup.
"""

import io
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from identity_service.errors import StoreUnavailable
from identity_service.ops.blocking import direct
from identity_service.ops.entries import Side, answering
from identity_service.store.embedded import EmbeddedError, EmbeddedStore
from identity_service.store.keys import of_shop

FOLDER = "appendonlydir"
MANIFEST = "appendonly.aof.manifest"
LINK = "temp-backup-"
"""Links that a crash leaves are removed at the next start of the store, like everything that begins with `temp-`."""
ATTEMPTS = 100
NAMED = re.compile(r"^file (\S+) seq \d+ type [bi]$", re.MULTILINE)
TIMEOUT = 60.0
POLL_SECONDS = 0.01


def back_up(source: Path, target: Path) -> int:
    """Returns the bytes of the copy. `target` must not exist; it appears once it is complete. Raises EmbeddedError."""
    if os.path.lexists(target):
        raise EmbeddedError(f"{target} exists; name a new directory")
    part = target.with_name(f"{target.name}.part")
    try:
        with _linked_files(source / FOLDER) as (manifest, names):
            _make(part)
            for name in names:
                with (source / FOLDER / f"{LINK}{name}").open("rb") as file:
                    _keep(part / FOLDER / name, file)
            _keep(part / FOLDER / MANIFEST, io.BytesIO(manifest.encode()))
        _leave_salts_out(part)
        part.rename(target)
        _sync(target.parent)
    except OSError as error:
        raise EmbeddedError(f"cannot back up {source} into {target} ({error.strerror})") from error
    return sum(path.stat().st_size for path in (target / FOLDER).iterdir())


def _make(part: Path) -> None:
    """Makes the directory, replacing what an earlier backup left, but never through a link. Raises EmbeddedError."""
    if part.is_symlink():
        raise EmbeddedError(f"{part} is a link, and no backup makes one; remove it")
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for directory in (part, part / FOLDER):
        directory.mkdir(mode=0o700)


def _leave_salts_out(part: Path) -> None:
    """Deletes the salts in the copy, and what ends with them. Raises EmbeddedError if the copy cannot be used."""
    store = EmbeddedStore(part)
    store.start()
    try:
        with closing(direct(store.url, TIMEOUT)) as client, answering():
            side = Side(client)
            for kind in ("Z", "sketch", "remainders"):
                for names in side.names(of_shop("*", f"{kind}:*")):
                    side.ask([(name, ("UNLINK", name)) for name in names])
            _write_anew(side)
    except StoreUnavailable as error:
        raise EmbeddedError(
            f"the copy of the store does not answer, or refuses ({error.__cause__}); check whether the disk is full"
        ) from error
    finally:
        store.stop()
    _remove_all_but_files_of_the_manifest(part)


def _write_anew(side: Side) -> None:
    """Rewrites the append-only files, so that nothing deleted is left in them. A rewrite that is already running started too early."""
    [server] = side.primaries()
    server.config_set("auto-aof-rewrite-percentage", 0)
    while _of_rewrite(side)["aof_rewrite_in_progress"]:
        time.sleep(POLL_SECONDS)
    server.bgrewriteaof()
    while (told := _of_rewrite(side))["aof_rewrite_in_progress"] or told["aof_rewrite_scheduled"]:
        time.sleep(POLL_SECONDS)
    if told["aof_last_bgrewrite_status"] != "ok":
        raise EmbeddedError("the salts could not be removed from the copy; check whether the disk is full")


def _of_rewrite(side: Side) -> dict[str, Any]:
    [server] = side.primaries()
    told: dict[str, Any] = server.info("persistence")
    return told


def _remove_all_but_files_of_the_manifest(part: Path) -> None:
    """Removes everything else: files that the server left beside them, or had no time to remove."""
    folder = part / FOLDER
    manifest = (folder / MANIFEST).read_text()
    for path in part.iterdir():
        if path != folder:
            path.unlink()
    for path in folder.iterdir():
        if path.name not in NAMED.findall(manifest):
            path.unlink()
    _keep(folder / MANIFEST, io.BytesIO(_without_past(manifest).encode()))
    for path in folder.iterdir():
        path.chmod(0o600)
        _sync(path)
    for path in (folder, part):
        _sync(path)


def _without_past(manifest: str) -> str:
    """The manifest without files that rewrites have replaced."""
    return "".join(f"{found[0]}\n" for found in NAMED.finditer(manifest))


@contextmanager
def _linked_files(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Links the files of the manifest. Yields the manifest, without replaced files, and the names of its files."""
    try:
        for _ in range(ATTEMPTS):
            manifest = (folder / MANIFEST).read_text()
            names = NAMED.findall(manifest)
            _link(folder, names)
            if (folder / MANIFEST).read_text() == manifest:
                yield _without_past(manifest), names
                return
        raise EmbeddedError(f"{folder} keeps changing; try again")
    finally:
        _unlink(folder)


def _link(folder: Path, names: list[str]) -> None:
    _unlink(folder)
    for name in names:
        with suppress(FileNotFoundError):  # it was replaced; the manifest will show that
            os.link(folder / name, folder / f"{LINK}{name}")


def _unlink(folder: Path) -> None:
    for link in folder.glob(f"{LINK}*"):
        link.unlink()


def _keep(path: Path, content: BinaryIO) -> None:
    with path.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)
        shutil.copyfileobj(content, file)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
