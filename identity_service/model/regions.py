"""The regions of the policy `strict`: the shipped table `config/strict.toml`, and a shop's changes to it.

The table is data with a source for every row, because laws change. A looser choice of a shop needs a reason, and the receipts of its
decisions contain that reason.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import cache
from typing import Literal

import msgspec
from msgspec import Struct

from identity_service.model.policy import STRICT, Policy, Rules
from identity_service.model.visitor import Mode
from identity_service.settings.load import config_directory
from identity_service.settings.schema import RegionSettings

PLACE = "^[A-Z][A-Z0-9](-[A-Z0-9]{1,3})?$"
"""ISO 3166 codes of a country, or of a country and subdivision, and codes like T1 that address databases use."""
REGION = re.compile(PLACE)
STRICTNESS = {Mode.NULL: 0, Mode.COOKIELESS: 1}
CHOICES = ("no_signal", "refusal", "opted_out")
EXEMPT = "exempt"
UNKNOWN, ELSEWHERE = "unknown", "elsewhere"


class Region(Struct, frozen=True, forbid_unknown_fields=True):
    """A row of the table. `places`: ISO 3166 codes. `source`: the law. `revised`: the day on which the row was last checked."""

    places: list[str]
    no_signal: Literal["null", "cookieless"]
    refusal: Literal["null", "cookieless"]
    opted_out: Literal["null", "cookieless"]
    consent_first: bool
    refusal_opts_out: bool
    source: str
    revised: date


@cache
def region_table() -> dict[str, Region]:
    """The shipped rows by name."""
    return msgspec.convert(tomllib.loads((config_directory() / "strict.toml").read_text(encoding="utf-8")), dict[str, Region])


def strict_policy(changes: Mapping[str, RegionSettings], measurement: str = "none") -> Policy:
    """`strict` with its regions. `changes`: a shop's own choices, by row or by code. `measurement`: where a region sets none."""
    table, counts_silent = region_table(), measurement == EXEMPT
    rows = {name: _apply(replace(_rules(row), counts_silent=counts_silent), changes.get(name)) for name, row in table.items()}
    regions = {place: rows[name] for name, row in table.items() for place in row.places}
    whole = replace(STRICT, unknown=rows[UNKNOWN], elsewhere=rows[ELSEWHERE], regions=regions)
    single = {code.upper(): _apply(whole.rules(code.upper()), change) for code, change in changes.items() if code not in table}
    return replace(whole, regions=regions | single)


def looser_choices(changes: Mapping[str, RegionSettings]) -> list[str]:
    """The choices, as `CODE.choice`, that give a visitor an ID where the table gives none."""
    shipped = strict_policy({})
    found = []
    for code, change in changes.items():
        row = region_table().get(code)
        before = _rules(row) if row else shipped.rules(code.upper())
        after = _apply(before, change)
        found += [f"{code}.{name}" for name in CHOICES if STRICTNESS[getattr(after, name)] > STRICTNESS[getattr(before, name)]]
    return found


def _rules(row: Region) -> Rules:
    modes = (Mode(row.no_signal), Mode(row.refusal), Mode(row.opted_out))
    return Rules(*modes, grant_outlives_opt_out=not row.consent_first, refusal_opts_out=row.refusal_opts_out)


def _apply(rules: Rules, change: RegionSettings | None) -> Rules:
    if change is None:
        return rules
    chosen = {name: Mode(value) for name in CHOICES if (value := getattr(change, name))}
    counts_silent = change.measurement == EXEMPT if change.measurement else rules.counts_silent
    return replace(rules, override_reason=change.reason or None, counts_silent=counts_silent, **chosen)  # type: ignore[arg-type]
