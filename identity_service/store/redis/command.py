"""Commands, units of them, and the Lua scripts that some of them run.

A unit is a list of commands about keys of one shop, or of the store, which share a slot. It is never split. Its commands run in their
order, except for scripts that a server has lost: they run after the other commands.

A script is a file in `lua/`. Its header states its purpose, KEYS, ARGV with units, the most elements that it touches, and its answer. The
line `Uses` of a header names files of `lua/parts/`, whose local functions are put before the script.
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
"""The answer to one command: text, number, list, dict, None, or a ReplyError."""
MOST_COMMANDS = 512
"""In one pipeline, so that other calls do not wait long."""
pack: Callable[[tuple[str | int | bytes, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]  # takes any length


@dataclass(frozen=True, slots=True)
class Script:
    name: str
    source: str
    sha: str


@cache
def script(name: str) -> Script:
    """Raises FileNotFoundError for an unknown name. The first line of the file stays the first, because it holds flags for the server."""
    shebang, _, body = _text(f"{name}.lua").partition("\n")
    found = USES.search(body)
    parts = [_text(f"parts/{part}.lua") for part in (found[1].split(", ") if found else [])]
    source = "\n".join([shebang, *parts, body])
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def _text(path: str) -> str:
    return (DIRECTORY / path).read_text(encoding="utf-8")


class ReplyError(Exception):
    """An error in a reply. `code`: its first word, such as NOSCRIPT."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = text.partition(" ")[0]


class Command(Struct, frozen=True):
    """`reads`: the command changes nothing and may be sent twice."""

    words: tuple[str | int, ...]
    reads: bool = False
    source: Script | None = None

    @property
    def key(self) -> str:
        """The first key. Its slot decides which server gets the command. Empty for a command without a key."""
        at = 3 if self.source else 1
        return str(self.words[at]) if len(self.words) > at else ""

    def packed(self) -> bytes:
        try:
            return pack(self.words)
        except UnicodeEncodeError:
            return pack(tuple(word.encode(errors="replace") if isinstance(word, str) else word for word in self.words))

    def is_missing(self, error: ReplyError) -> bool:
        """Whether the server does not know the script that was called by its digest."""
        return error.code == "NOSCRIPT" and self.words[0] == "EVALSHA"

    def with_source(self) -> "Command":
        """The same call with the script's text, for a server that may not know the script."""
        return Command(("EVAL", self.source.source, *self.words[2:]), self.reads, self.source) if self.source else self


def read(*words: str | int) -> Command:
    return Command(words, reads=True)


def write(*words: str | int) -> Command:
    return Command(words)


def confirm(replicas: int, timeout: float) -> Command:
    """Waits until so many replicas have all earlier writes of the connection, and replies with their number. It ends before `timeout`, the
    seconds for which its caller waits."""
    return Command(("WAIT", replicas, max(1, int(timeout * 800))))


def call(name: str, keys: Sequence[str], *arguments: str | int, reads: bool = False) -> Command:
    """A call of a script. `keys`: all keys that the script may touch."""
    found = script(name)
    return Command(("EVALSHA", found.sha, len(keys), *keys, *arguments), reads, found)


Part = tuple[Sequence[str], Sequence[str | int]]
"""Keys and arguments of a script, or of a part of one."""


def only_reads(unit: Sequence[Command]) -> bool:
    return all(command.reads for command in unit)
