"""The Lua scripts, one file each in `lua/`. Every header states purpose, KEYS, ARGV with units, and what comes back.

A header's line `Uses` names scripts that stand in front as local functions of KEYS and ARGV: steps that are one where nothing lies between.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DIRECTORY = Path(__file__).parent / "lua"
USES = re.compile(r"^-- Uses +(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    name: str
    source: str
    sha: str


@cache
def script(name: str) -> Script:
    """Raises FileNotFoundError for an unknown name."""
    shebang, body = _parts(name)
    used = USES.search(body)
    functions = "".join(_function(one) for one in used[1].split(", ")) if used else ""
    source = f"{shebang}\n{functions}{body}"
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def _function(name: str) -> str:
    return f"local function {name}(KEYS, ARGV)\n{_parts(name)[1]}end\n"


def _parts(name: str) -> tuple[str, str]:
    """The first line, which tells the server how to run it, and the rest."""
    shebang, _, body = (DIRECTORY / f"{name}.lua").read_text(encoding="utf-8").partition("\n")
    return shebang, body
