"""Small libraries, loaded into the store's server with LD_PRELOAD: the power cut holds back what is not synced."""

import os
import subprocess
import tempfile
from pathlib import Path

from tests.debian import install_program

SOURCE = Path(__file__).with_name("power_cut.c")
CACHE = Path(__file__).parents[2] / ".cache" / "power"


def library(source: Path = SOURCE) -> Path | None:
    """Compiled on first use, again when the source is newer; None where no compiler can be had. Processes may call it at once."""
    built = CACHE / f"{source.stem}.so"
    if built.exists() and built.stat().st_mtime > source.stat().st_mtime:
        return built
    if not install_program("gcc", "gcc", "libc6-dev"):
        return None
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as place:
        made = Path(place) / built.name
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(made), str(source), "-ldl"], check=True)
        os.replace(made, built)
    return built
