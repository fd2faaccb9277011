"""`identity-service papers [DIR]`: drafts the papers of a privacy officer from the live settings, for each shop: a DPIA, a record of
processing, a table of retention, and a paragraph for the privacy notice. It reads no store, and prints no secret.

The texts are in `templates/`. Each sentence there follows from a setting or from the code. What only the operator can know is marked, and
listed at the end of its paper.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import date
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from identity_service.errors import SettingsError
from identity_service.ops.processing import REMOVALS_DAYS, Processing, days, processing_of
from identity_service.settings.schema import Settings

PAPERS = ("dpia", "record", "retention", "notice")
BLANK = re.compile(r"\*\*\[FILL IN: (.*?)\]\*\*")
HEADING = re.compile(r"^#+ (.*)$")
LISTED = "To fill in"


def draft_papers(settings: Settings, name: str, today: date) -> dict[str, str]:
    """The papers of one shop in Markdown, by name."""
    facts = processing_of(settings, name, today)
    return {paper: _with_list(_environment().get_template(f"{paper}.md").render(_named(facts))) for paper in PAPERS}


def write_papers(settings: Settings, folder: Path, shops: Iterable[str], today: date) -> list[Path]:
    """One folder for each shop. Raises SettingsError if one of the files exists, because it may be filled in, before anything is written;
    and OSError."""
    files = {folder / shop / f"{paper}.md": text for shop in shops for paper, text in draft_papers(settings, shop, today).items()}
    if found := [path for path in files if path.exists()]:
        raise SettingsError([f"{path} exists, and may be filled in; name another folder, and compare" for path in found])
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(files)


@cache
def _environment() -> Environment:
    found = Environment(  # noqa: S701 the papers are Markdown
        loader=PackageLoader("identity_service.ops"),
        undefined=StrictUndefined,
        finalize=_escaped,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters |= {"days": days, "number": "{:,}".format, "listed": _listed, "code": _code}
    found.globals |= {"fill": "**[FILL IN: {}]**".format, "removals_days": REMOVALS_DAYS}
    return found


def _named(facts: Processing) -> Mapping[str, object]:
    return {field.name: getattr(facts, field.name) for field in fields(facts)}


def _escaped(value: object) -> object:
    """Text of the settings stays in its cell and is no markup."""
    return re.sub(r"\s+", " ", value).replace("|", "\\|").replace("<", "&lt;") if isinstance(value, str) else value


def _listed(values: Iterable[object]) -> str:
    *others, last = map(str, values) or ("",)
    return f"{', '.join(others)} and {last}" if others else last


def _code(text: str) -> str:
    return f"`{text.replace('`', '')}`"


def _with_list(text: str) -> str:
    """Numbers the marks, and lists them with their headings at the end."""
    lines: list[str] = []
    listed: list[str] = []
    heading = ""
    for line in text.splitlines():
        heading = found[1] if (found := HEADING.match(line)) else heading
        parts = BLANK.split(line)
        for index in range(1, len(parts), 2):
            listed.append(f"{len(listed) + 1}. {heading}: {parts[index]}")
            parts[index] = f"**[FILL IN {len(listed)}: {parts[index]}]**"
        lines.append("".join(parts))
    whole = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    return "\n".join([whole, "", f"## {LISTED}", "", *listed, ""])
