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
    functions = "".join(f"local function {one}(KEYS, ARGV)\n{_parts(one)[1]}end\n" for one in _used(name))
    source = f"{shebang}\n{functions}{body}"
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def _used(name: str) -> list[str]:
    """Each once, behind those that it uses itself."""
    found = USES.search(_parts(name)[1])
    return list(dict.fromkeys(each for one in (found[1].split(", ") if found else []) for each in (*_used(one), one)))


def _parts(name: str) -> tuple[str, str]:
    """The first line, which tells the server how to run it, and the rest."""
    shebang, _, body = (DIRECTORY / f"{name}.lua").read_text(encoding="utf-8").partition("\n")
    return shebang, body
