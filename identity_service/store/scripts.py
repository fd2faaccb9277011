"""The Lua scripts, one file each in `lua/`. Every header states purpose, KEYS, ARGV with units, and what comes back."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DIRECTORY = Path(__file__).parent / "lua"


@dataclass(frozen=True, slots=True)
class Script:
    name: str
    source: str
    sha: str


@cache
def script(name: str) -> Script:
    """Raises FileNotFoundError for an unknown name."""
    source = (DIRECTORY / f"{name}.lua").read_text(encoding="utf-8")
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())
