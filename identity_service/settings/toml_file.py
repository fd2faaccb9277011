"""A settings file in TOML: its values, its syntax faults, and the line of each setting."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from identity_service.errors import SettingsError

Name = tuple[str, ...]
"""A setting's name: ("server", "port"), ("shops", "mine", "origins")."""

MOST_FAULTS = 10
LONGEST_STATEMENT = 500
"""Lines. After a longer statement, line numbers are not known."""
PLACE = re.compile(r"(?P<reason>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL)
ADVICE = {
    "Invalid value": "a value is missing or cannot be read; write strings in quotes, lists in [ ], true or false in small letters",
    "Expected '='": "write NAME = VALUE",
    "Invalid statement": "write NAME = VALUE or [SECTION]",
    "Cannot overwrite a value": "this setting is set twice; keep one",
    "Cannot declare": "this section is there twice; keep one",
    "Unterminated string": "close the string with its quote",
    "Illegal character": "close the string with its quote, or remove the character",
    "Expected newline": "something follows the value; write one setting a line",
    "Expected ']'": "close the section's name with ]",
    "Unclosed array": "close the list with ], and separate its values with commas",
    "Unescaped": "write each \\ as \\\\, or the string in single quotes",
}


def read_file(path: Path) -> tuple[dict[str, Any], str]:
    """The values and the text of a file. Raises SettingsError."""
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
        raise SettingsError([f"{path}: {reason}; name a shipped file, a file, or a folder that holds settings.toml"]) from None
    except UnicodeDecodeError as error:
        before = error.object[: error.start].split(b"\n")
        at = f"{path}:{len(before)}:{len(before[-1]) + 1}"
        raise SettingsError([f"{at}: is not TOML: a character is not UTF-8; save the file in UTF-8"]) from None
    try:
        return tomllib.loads(text), text
    except tomllib.TOMLDecodeError:
        raise SettingsError([f"{path}:{fault}" for fault in syntax_faults(text)]) from None
    except RecursionError:
        raise SettingsError([f"{path}: is nested too deeply; a setting holds strings, numbers, or a list of them"]) from None


def syntax_faults(text: str) -> list[str]:
    """Each fault begins with line and column. The parser stops at the first one. If that fault surely ends with its line, the line is
    removed and the rest parsed again."""
    lines = text.split("\n")
    found: list[str] = []
    while len(found) < MOST_FAULTS and (fault := _first_fault(lines)):
        line, column, reason = fault
        advice = next((words for begin, words in ADVICE.items() if reason.startswith(begin)), "this line cannot be read")
        found.append(f"{line}:{column}: is not TOML: {advice} ({reason})")
        if not _ends_with_its_line(lines, line):
            break
        lines[line - 1] = ""
    return found


def _first_fault(lines: list[str]) -> tuple[int, int, str] | None:
    try:
        tomllib.loads("\n".join(lines))
    except tomllib.TOMLDecodeError as error:
        found = PLACE.fullmatch(str(error))
        if not found:
            return 1, 1, str(error)
        return int(found["line"] or len(lines)), int(found["column"] or len(lines[-1]) + 1), found["reason"]
    return None


def _ends_with_its_line(lines: list[str], line: int) -> bool:
    faulty = lines[line - 1]
    closed = all(faulty.count(one) == faulty.count(other) for one, other in ("[]", "{}")) and '"""' not in faulty and "'''" not in faulty
    return closed and not faulty.lstrip().startswith("[") and _first_fault(lines[: line - 1]) is None


def key_lines(text: str) -> dict[Name, int]:
    """The first line of each setting and section of a valid file. A statement is the shortest run of lines that the parser accepts."""
    found: dict[Name, int] = {}
    section: Name = ()
    statement: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        statement.append(line)
        try:
            names = list(_names(tomllib.loads("\n".join(statement))))
        except tomllib.TOMLDecodeError:
            if len(statement) > LONGEST_STATEMENT:
                break
            continue
        first = number - len(statement) + 1
        if statement[0].lstrip().startswith("["):
            section = max(names, key=len)
            names = [()]
        for name in names:
            found.setdefault((*section, *name), first)
        statement = []
    return found


def _names(values: Mapping[str, Any]) -> Iterator[Name]:
    for key, value in values.items():
        yield (key,)
        if isinstance(value, dict):
            yield from ((key, *name) for name in _names(value))
