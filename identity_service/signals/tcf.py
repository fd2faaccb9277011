"""Reads a TC string of the IAB Transparency and Consent Framework for one shop, and the section of a GPP string for Canada (`tcfcav1`).

Source: IAB Tech Lab, "Consent string and vendor list formats v2" (github.com/InteractiveAdvertisingBureau/
GDPR-Transparency-and-Consent-Framework), with TCF 2.2 (policy 4), 2.3 (policy 5: vendors must be disclosed) and 2.4, which changes texts
and the vendor list, but no bit of the string. A string of a newer policy is read as one of 2.3, because the version of its layout is a
field of its own. Any format error invalidates the whole string, so that a damaged one never grants.

Canada's section follows github.com/InteractiveAdvertisingBureau/Global-Privacy-Platform, "GPP Extension: IAB Canada TCF": each purpose has
express or implied consent.
"""

from calendar import monthrange
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from string import ascii_lowercase

from identity_service.model.consent import BannerContext, Choice, Millis
from identity_service.model.shop import TcfRule
from identity_service.signals.bits import Bits

LONGEST = 16 * 1024
OLDEST_POLICY = 4
"""Strings of older policies have been invalid since 30 September 2023."""

_DAY = 24 * 60 * 60 * 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DISCLOSING_POLICY = 5
_DISCLOSING_SINCE = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp() * 1000)
"""A string from this day on is invalid without the vendors that were disclosed, whatever policy it names."""
_DISCLOSED, _ALLOWED, _PUBLISHER = 1, 2, 3
_CONSENT_REQUIRED = 1
_LAST_VENDOR = 0xFFFF
_LAST_LETTER = 25
_NO_VENDOR = 0
_PURPOSES = 24
_LONGEST_KEPT = 1024
_CANADIAN_VERSION = 1
_CANADIAN_REST = 16 + 1 + 16 + 1 + 12
"""Bits that follow the purposes of Canada's section at least: two sections of vendors and the publisher's restrictions."""


@dataclass(frozen=True, slots=True)
class TcChoice:
    """`day`: midnight UTC of the last update. A finer time would distinguish people. `framework`: `tcf` or Canada's `tcfca`. `banner`: the
    CMP's number and version, and the language in which it asked."""

    choice: Choice
    day: Millis
    policy_version: int
    framework: str = "tcf"
    banner: BannerContext | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class _Dated:
    """A choice, and the period in which it counts, in milliseconds since 1970."""

    choice: TcChoice
    begins: int
    ends: int


@dataclass(frozen=True, slots=True)
class _Core:
    """`purposes`: 24 bits. The highest is purpose 1."""

    updated: Millis
    policy: int
    purposes: int
    purpose_one_untold: bool
    vendor_consented: bool
    vendor_restricted: bool
    banner: BannerContext

    @property
    def must_disclose(self) -> bool:
        return self.policy >= _DISCLOSING_POLICY or self.updated >= _DISCLOSING_SINCE


def tc_choice(text: str, rule: TcfRule, now: Millis) -> TcChoice | None:
    """None for a string that is not valid now: malformed, last updated over 13 months ago or more than a day ahead, of the global scope,
    of a policy below 4, or longer than 16 KiB. Also for a grant without the vendors that had to be disclosed; a refusal counts without
    them. Never raises. The time is linear in the length."""
    if len(text) > LONGEST:
        return None
    return _in_force(_read_often(text, rule) if len(text) <= _LONGEST_KEPT else _read_safely(text, rule), now)


def canadian_choice(text: str, rule: TcfRule, now: Millis) -> TcChoice | None:
    """As `tc_choice`, for Canada's section. Only express consent grants. None if consent is implied, because the person did not say it.
    The service does not read vendors here, so a shop with a vendor number gets no grant; a refusal of its purposes counts."""
    try:
        return _in_force(_read_canadian(text, rule), now)
    except ValueError:
        return None


def _in_force(found: _Dated | None, now: Millis) -> TcChoice | None:
    return found.choice if found and found.begins <= now <= found.ends else None


def _read_safely(text: str, rule: TcfRule) -> _Dated | None:
    try:
        return _read(text, rule)
    except ValueError:
        return None


_read_often = lru_cache(512)(_read_safely)
"""Cached, because strings have no finer time than the day: all who accept a banner on one day send the same one."""


def _read(text: str, rule: TcfRule) -> _Dated:
    first, *others = text.split(".")
    core = _core(Bits(first), rule)

    segments = _segments(others)
    disclosed = _in_segment(segments.get(_DISCLOSED), rule, absent=True)
    _in_segment(segments.get(_ALLOWED), rule, absent=False)
    publisher = _publisher(segments.get(_PUBLISHER))

    if rule.vendor is None:
        granted = _covers(core.purposes if publisher is None else publisher, rule)
    else:
        granted = _covers(core.purposes, rule) and core.vendor_consented and disclosed and not core.vendor_restricted
    granted = granted and not core.purpose_one_untold
    if granted and core.must_disclose and _DISCLOSED not in segments:
        raise ValueError("no disclosed vendors")
    return _dated(granted, core.updated, core.policy, "tcf", core.banner)


def _dated(granted: bool, updated: Millis, policy: int, framework: str, banner: BannerContext | None = None) -> _Dated:
    choice = TcChoice(Choice.GRANTED if granted else Choice.REFUSED, Millis(updated - updated % _DAY), policy, framework, banner)
    return _Dated(choice, updated - _DAY, _thirteen_months_after(updated))


def _read_canadian(text: str, rule: TcfRule) -> _Dated:
    first, *others = text.split(".")
    bits = Bits(first)
    if bits.take(6) != _CANADIAN_VERSION:
        raise ValueError("not version 1")
    bits.take(36)  # created
    updated = Millis(100 * bits.take(36))
    bits.take(12 + 12 + 6 + 12 + 12)  # CMP, its version, screen, language, vendor list
    policy = bits.take(6)
    bits.take(1 + 12)  # non-standard texts, special features
    express, implied = bits.take(_PURPOSES), bits.take(_PURPOSES)
    if bits.left < _CANADIAN_REST:
        raise ValueError("truncated")

    publisher = _segments(others).get(_PUBLISHER)
    if publisher:
        own = _canadian_publisher(publisher)
        express, implied = own if any(own) else (express, implied)
    granted = _covers(express, rule) and rule.vendor is None
    if not granted and _covers(express | implied, rule):
        raise ValueError("implied consent")
    return _dated(granted, updated, policy, "tcfca")


def _canadian_publisher(bits: Bits) -> tuple[int, int]:
    """Express and implied consents."""
    express, implied = bits.take(_PURPOSES), bits.take(_PURPOSES)
    bits.take(2 * bits.take(6))  # custom purposes
    _check_end(bits)
    return express, implied


def _covers(purposes: int, rule: TcfRule) -> bool:
    # Without this, every string would satisfy a rule without purposes.
    return bool(rule.purposes) and all(1 <= one <= _PURPOSES and purposes >> (_PURPOSES - one) & 1 for one in rule.purposes)


def _core(bits: Bits, rule: TcfRule) -> _Core:
    if bits.take(6) != 2:
        raise ValueError("not version 2")
    bits.take(36)  # created
    updated = Millis(100 * bits.take(36))
    cmp, cmp_version = bits.take(12), bits.take(12)
    bits.take(6)  # screen
    language = _language(bits.take(6), bits.take(6))
    bits.take(12)  # vendor list
    policy = bits.take(6)
    service_specific = bits.flag()
    if policy < OLDEST_POLICY or not service_specific:
        raise ValueError("policy or scope out of use")

    bits.take(1 + 12)  # non-standard texts, special features
    purposes = bits.take(_PURPOSES)
    bits.take(_PURPOSES)  # legitimate interests: never consent
    purpose_one_untold = bits.flag()
    if max(bits.take(6), bits.take(6)) > _LAST_LETTER:  # publisher's country
        raise ValueError("no letters")
    consented = _in_vendors(bits, rule.vendor)
    _in_vendors(bits, None)  # legitimate interests, read to find where they end
    restricted = _is_restricted(bits, rule)
    _check_end(bits)
    return _Core(updated, policy, purposes, purpose_one_untold, consented, restricted, BannerContext(f"cmp-{cmp}.{cmp_version}", language))


def _language(*letters: int) -> str | None:
    return "".join(ascii_lowercase[one] for one in letters) if max(letters) < len(ascii_lowercase) else None


def _segments(texts: list[str]) -> dict[int, Bits]:
    """By type, in any order, as the specification allows. Raises ValueError for an unknown or repeated type, which could contradict the
    rest."""
    segments: dict[int, Bits] = {}
    for text in texts:
        bits = Bits(text)
        kind = bits.take(3)
        if kind in segments or kind not in {_DISCLOSED, _ALLOWED, _PUBLISHER}:
            raise ValueError("unknown or repeated segment")
        segments[kind] = bits
    return segments


def _in_segment(bits: Bits | None, rule: TcfRule, *, absent: bool) -> bool:
    if bits is None:
        return absent
    found = _in_vendors(bits, rule.vendor)
    _check_end(bits)
    return found


def _publisher(bits: Bits | None) -> int | None:
    """None if the segment has no consent at all. Encoders add such segments by themselves, so that is not a refusal."""
    if bits is None:
        return None
    purposes = bits.take(_PURPOSES)
    bits.take(_PURPOSES)  # legitimate interests
    custom_count = bits.take(6)
    custom = bits.take(custom_count)
    bits.take(custom_count)  # legitimate interests
    _check_end(bits)
    return purposes if purposes or custom else None


def _in_vendors(bits: Bits, vendor: int | None) -> bool:
    """Reads a whole vendor section, and returns whether it contains `vendor`."""
    last = bits.take(16)
    if bits.flag():
        return _in_ranges(bits, vendor, last)
    field = bits.take(last)
    return vendor is not None and 1 <= vendor <= last and field >> (last - vendor) & 1 == 1


def _in_ranges(bits: Bits, vendor: int | None, last: int) -> bool:
    """Ranges are compared, not expanded: a few hundred characters can name millions of vendors."""
    asked = _NO_VENDOR if vendor is None else vendor
    found = False
    for _ in range(bits.take(12)):
        is_range = bits.flag()
        start = bits.take(16)
        end = bits.take(16) if is_range else start
        if not 1 <= start <= end <= last:
            raise ValueError("no range of vendors")
        found = found or start <= asked <= end
    return found


def _is_restricted(bits: Bits, rule: TcfRule) -> bool:
    """Whether the publisher forbids `rule.vendor` to use consent for one of the purposes: entirely, by requiring legitimate interest, or
    with the undefined type."""
    restricted = False
    for _ in range(bits.take(12)):
        purpose, kind = bits.take(6), bits.take(2)
        found = _in_ranges(bits, rule.vendor, _LAST_VENDOR)
        restricted = restricted or (found and kind != _CONSENT_REQUIRED and purpose in rule.purposes)
    return restricted


def _check_end(bits: Bits) -> None:
    """Any number of zeros may follow: the specification's own examples have 57, encoders up to 23."""
    if bits.take(bits.left):
        raise ValueError("bits after the last field")


def _thirteen_months_after(moment: Millis) -> int:
    """In calendar months. If the month is too short for the day, its last day counts."""
    at = _EPOCH + timedelta(milliseconds=moment)
    year, month = at.year + 1 + at.month // 12, at.month % 12 + 1
    at = at.replace(year=year, month=month, day=min(at.day, monthrange(year, month)[1]))
    return (at - _EPOCH) // timedelta(milliseconds=1)
