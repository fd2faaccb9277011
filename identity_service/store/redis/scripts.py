"""The Lua scripts, one file each in `lua/`. Every header states purpose, KEYS, ARGV with units, the most elements that it touches, and what
comes back.

A header's line `Uses` names files of `lua/parts/`, whose local functions stand in front of the script.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DIRECTORY = Path(__file__).parent.parent / "lua"
USES = re.compile(r"^-- Uses +(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    name: str
    source: str
    sha: str


@cache
def script(name: str) -> Script:
    """Raises FileNotFoundError for an unknown name. The first line tells the server how to run it, and stays the first."""
    shebang, _, body = _text(f"{name}.lua").partition("\n")
    found = USES.search(body)
    parts = [_text(f"parts/{part}.lua") for part in (found[1].split(", ") if found else [])]
    source = "\n".join([shebang, *parts, body])
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def _text(path: str) -> str:
    return (DIRECTORY / path).read_text(encoding="utf-8")
