"""A backup of an embedded store, also while it runs: its append-only files as they were at one moment, a directory to start on.

The server only appends to these files, or puts new ones in their place and changes the manifest that names them. So they are hard-linked
first, which takes no time and holds them while they are copied; a manifest that changed meanwhile means: again. This is the way that the
documentation of Redis and Valkey tells, without stopping rewrites. A last command that was copied in its middle is dropped at the load.
"""

import io
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from identity_service.store.binary import EmbeddedError

FOLDER = "appendonlydir"
MANIFEST = "appendonly.aof.manifest"
LINK = "temp-backup-"
"""A link that a crash leaves is removed when the store starts next, as all that begins with `temp-`."""
ATTEMPTS = 100
NAMED = re.compile(r"^file (\S+) seq \d+ type [bi]$", re.MULTILINE)


def back_up(source: Path, target: Path) -> int:
    """Returns the bytes copied. `target` must not exist; it is there once it is whole. Raises EmbeddedError."""
    if target.exists():
        raise EmbeddedError(f"{target} exists; name a new directory")
    part = target.with_name(f"{target.name}.part")
    try:
        with _linked(source / FOLDER) as (manifest, names):
            shutil.rmtree(part, ignore_errors=True)
            (part / FOLDER).mkdir(mode=0o700, parents=True)
            part.chmod(0o700)
            for name in names:
                with (source / FOLDER / f"{LINK}{name}").open("rb") as file:
                    _keep(part / FOLDER / name, file)
            _keep(part / FOLDER / MANIFEST, io.BytesIO(manifest.encode()))
        part.rename(target)
    except OSError as error:
        raise EmbeddedError(f"Cannot back up {source} into {target}: {error.strerror}") from error
    return sum(path.stat().st_size for path in (target / FOLDER).iterdir())


@contextmanager
def _linked(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The manifest, without files of the past, and the names of the files in it, which are there under their links."""
    try:
        for _ in range(ATTEMPTS):
            manifest = (folder / MANIFEST).read_text()
            names = NAMED.findall(manifest)
            _link(folder, names)
            if (folder / MANIFEST).read_text() == manifest:
                yield "".join(f"{found[0]}\n" for found in NAMED.finditer(manifest)), names
                return
        raise EmbeddedError(f"{folder} changes all the time; try again")
    finally:
        _unlink(folder)


def _link(folder: Path, names: list[str]) -> None:
    _unlink(folder)
    for name in names:
        with suppress(FileNotFoundError):  # another has taken its place, and the manifest will say so
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
