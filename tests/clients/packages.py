"""The generator of TypeScript clients and its compiler, fetched once with npm, each in the version and with the hash of the lock."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.debian import install_program

HERE = Path(__file__).parent
CACHE = Path(__file__).parents[2] / ".cache" / "clients"
FILES = ("package.json", "package-lock.json")


class Unavailable(Exception):
    """The packages cannot be had on this machine; the text says why."""


def packages() -> Path:
    """A folder with `node_modules`. Raises Unavailable. Processes may call it at once: it appears whole or not at all, and who comes second
    throws its own copy away."""
    place = CACHE / hashlib.sha256((HERE / FILES[1]).read_bytes()).hexdigest()[:12]
    if not place.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as fetched:
            _fetch(Path(fetched))
            try:
                os.rename(fetched, place)
            except OSError:
                if not place.exists():
                    raise
            else:
                Path(fetched).mkdir()  # which the block removes
    return place


def _fetch(place: Path) -> None:
    """Nothing of a package runs."""
    try:
        if not install_program("npm", "nodejs", "npm"):
            raise Unavailable("needs npm for TypeScript: apt-get install npm")
        for name in FILES:
            shutil.copy(HERE / name, place)
        command = ["npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=place, check=True, capture_output=True, timeout=300)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise Unavailable("npm could not fetch the packages: is the package registry reachable?") from error
