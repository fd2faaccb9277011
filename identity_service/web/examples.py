"""Examples of calls and answers as the service really gave them, beside the description of each. The tests write `examples.json`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PATH = Path(__file__).parent / "examples.json"


@dataclass(frozen=True, slots=True)
class Example:
    """One call: its body or its query, parameters of its path, and its answer with status 200."""

    title: str
    answer: Any
    body: Any = None
    query: Mapping[str, Any] | None = None
    path: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Examples:
    """By a call's name, and by an error's code: as a problem, and in the form of the tracking calls."""

    calls: Mapping[str, tuple[Example, ...]]
    problems: Mapping[str, Any]
    tracking_errors: Mapping[str, Any]


@cache
def examples() -> Examples:
    return parsed(json.loads(PATH.read_text()))


def parsed(stored: Mapping[str, Any]) -> Examples:
    calls = {name: tuple(Example(**one) for one in listed) for name, listed in stored["calls"].items()}
    return Examples(calls, stored["problems"], stored["tracking_errors"])
