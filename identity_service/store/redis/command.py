"""Commands, units of them, and the Lua scripts that some of them run.

A unit is a list of commands that belong together, about keys of one shop or of the store, which share a slot. It is never split, and its
commands reach the store in their order, except that scripts that a server has lost run after the unit's other commands.

A script is a file in `lua/`. Its header states purpose, KEYS, ARGV with units, the most elements that it touches, and what comes back. A
header's line `Uses` names files of `lua/parts/`, whose local functions stand in front of the script.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import hiredis
from msgspec import Struct

DIRECTORY = Path(__file__).parent.parent / "lua"
USES = re.compile(r"^-- Uses +(.+)$", re.MULTILINE)
Reply = Any
"""What the store answers to one command: text, number, list, dict, None, or a ReplyError in its place."""
MOST_COMMANDS = 512
"""Of one pipeline, so that nobody waits long behind another's."""
pack: Callable[[tuple[str | int | bytes, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]  # takes any length


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


class ReplyError(Exception):
    """An error that the store answers. `code`: its first word, such as NOSCRIPT."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = text.partition(" ")[0]


class Command(Struct, frozen=True):
    """`reads` marks a command that changes nothing and may be sent twice."""

    words: tuple[str | int, ...]
    reads: bool = False
    source: Script | None = None

    @property
    def key(self) -> str:
        """The first key, whose slot says where the command goes."""
        return str(self.words[3 if self.source else 1])

    def packed(self) -> bytes:
        try:
            return pack(self.words)
        except UnicodeEncodeError:
            return pack(tuple(word.encode(errors="replace") if isinstance(word, str) else word for word in self.words))

    def is_missing(self, error: ReplyError) -> bool:
        """Whether the server does not know the script that was called by its digest."""
        return error.code == "NOSCRIPT" and self.words[0] == "EVALSHA"

    def with_source(self) -> "Command":
        """For a server that may not know the script; it knows it then."""
        return Command(("EVAL", self.source.source, *self.words[2:]), self.reads, self.source) if self.source else self


def read(*words: str | int) -> Command:
    return Command(words, reads=True)


def write(*words: str | int) -> Command:
    return Command(words)


def confirm(replicas: int, timeout: float) -> Command:
    """Waits until so many replicas have what was written before on the same connection; replies with how many have. It gives up sooner than
    whoever waits `timeout` seconds for its reply."""
    return Command(("WAIT", replicas, max(1, int(timeout * 800))))


def call(name: str, keys: Sequence[str], *arguments: str | int, reads: bool = False) -> Command:
    """A script call; `keys` are all the keys the script may touch."""
    found = script(name)
    return Command(("EVALSHA", found.sha, len(keys), *keys, *arguments), reads, found)


Part = tuple[Sequence[str], Sequence[str | int]]
"""Keys and arguments of a script, or of a part of one."""


def only_reads(unit: Sequence[Command]) -> bool:
    return all(command.reads for command in unit)
