"""The GPP string of the IAB, and the US Privacy string that it replaces: four characters, still in use.

A GPP string has a header with section IDs, followed by the sections, each with its own encoding. Three things are read: the TC string and
Canada's section, unchanged, and whether any US section says "do not sell, share or target".

Sources: github.com/InteractiveAdvertisingBureau/Global-Privacy-Platform, "Consent String Specification" and the page of each section. If
they differ from the strings that CMPs send, the order of github.com/IABTechLab/iabgpp-es 3.2.0 applies.
github.com/InteractiveAdvertisingBureau/USPrivacy, "US Privacy String": version, notice, opt-out of sale, LSPA.
"""

import re
from dataclasses import dataclass

from identity_service.signals.bits import Bits

_STRING = re.compile(r"1[YN-]([YN-])[YN-]")
_OPT_OUT = {"Y": True, "N": False}
MAX_CHARS = 16 * 1024
MAX_SECTION_ID = 64
_TEXT = re.compile(r"[A-Za-z0-9._~-]+")
_HEADER_TYPE = 3
_HEADER_VERSION = 1
_TCF_EU = 2
_TCF_CANADA = 5
_US_PRIVACY = 6
_GPC_TYPE = 1
_OPTED_OUT = 1
_DID_NOT_OPT_OUT = 2
_INVALID = 3


def us_privacy_opt_out(text: str) -> bool | None:
    """False means "not opted out so far". None: the string does not apply or cannot be read."""
    read = _STRING.fullmatch(text)
    return _OPT_OUT.get(read[1]) if read else None


@dataclass(frozen=True, slots=True)
class GppReading:
    """`sale_share_opt_out`: True if a section has an opt-out; False if one says "did not opt out" and none opts out; else None.
    `canadian`: the section of the TCF in Canada."""

    tc_string: str | None
    sale_share_opt_out: bool | None
    canadian: str | None = None


@dataclass(frozen=True, slots=True)
class _GppCore:
    """The core of a US section: six bits, then fields of two bits.

    opt_outs   positions of the opt-outs of sale, sharing and targeted advertising
               (0 not applicable, 1 opted out, 2 did not opt out, 3 invalid)
    sizes      number of fields by the version in the six bits, from 1 on
    of_mspa    the six bits hold the version of the MSPA instead, and all of its versions have the same fields
    gpc        sub-sections start with a type; other sections hold sensitive data there, which could be mistaken for a type
    """

    opt_outs: tuple[int, ...]
    sizes: tuple[int, ...]
    of_mspa: bool = False
    gpc: bool = True

    def size(self, version: int) -> int | None:
        """None for an unknown version: the fields after its opt-outs are not known."""
        if self.of_mspa:
            return self.sizes[0]
        return self.sizes[version - 1] if 1 <= version <= len(self.sizes) else None


_CORES = {
    7: _GppCore((6, 7, 8), (27, 32)),  # usnat
    8: _GppCore((3, 4), (20,)),  # usca: sale and sharing; the states below: sale and targeted advertising
    9: _GppCore((3, 4), (17,)),  # usva
    10: _GppCore((3, 4), (16,)),  # usco
    11: _GppCore((4, 5), (18,)),  # usut
    12: _GppCore((3, 4), (19,)),  # usct
    13: _GppCore((3, 4), (20,)),  # usfl
    14: _GppCore((3, 4), (20,)),  # usmt
    15: _GppCore((3, 4), (23,)),  # usor
    16: _GppCore((3, 4), (18,)),  # ustx
    17: _GppCore((3, 4), (23,)),  # usde
    18: _GppCore((4, 5), (18,)),  # usia
    19: _GppCore((3, 4), (18,)),  # usne
    20: _GppCore((3, 4), (20,)),  # usnh
    21: _GppCore((3, 4), (24,)),  # usnj
    22: _GppCore((3, 4), (18,)),  # ustn
    23: _GppCore((3, 4), (18,)),  # usmn
    24: _GppCore((5, 6), (8,), of_mspa=True),  # usmd
    25: _GppCore((5, 6), (9,), of_mspa=True, gpc=False),  # usin
    26: _GppCore((5, 6), (9,), of_mspa=True, gpc=False),  # usky
    27: _GppCore((5, 6), (9,), of_mspa=True, gpc=False),  # usri
}


def read_gpp(text: str, applicable: frozenset[int] | None) -> GppReading | None:
    """None if the string as a whole cannot be read. An unreadable section is ignored.

    `applicable`: IDs of the sections in force. None: the sender did not say, so all count. Empty: none applies, or it is not known yet.
    """
    if len(text) > MAX_CHARS or _TEXT.fullmatch(text) is None:
        return None
    header, *parts = text.split("~")

    try:
        sections = dict(zip(_section_ids(Bits(header)), parts, strict=True))
    except ValueError:
        return None

    in_force = {at: part for at, part in sections.items() if applicable is None or at in applicable}
    return GppReading(in_force.get(_TCF_EU) or None, _any_opt_out(in_force), in_force.get(_TCF_CANADA) or None)


def _section_ids(header: Bits) -> list[int]:
    """Raises ValueError unless the header is read to its end.

    Any number of zero bits may follow the range: the specification pads to 6 bits, the IAB's library to 8 and then 6.
    """
    if header.take(6) != _HEADER_TYPE or header.take(6) != _HEADER_VERSION:
        raise ValueError("not a GPP header")

    ids: list[int] = []
    last = 0
    for _ in range(header.take(12)):
        is_group = header.flag()
        first = last + _fibonacci(header)
        last = first + _fibonacci(header) if is_group else first
        # Every entry adds at least one, so this also ends the loop, whatever count the header claims.
        if last > MAX_SECTION_ID:
            raise ValueError("no such section")
        ids.extend(range(first, last + 1))

    if header.take(header.left):
        raise ValueError("more than a range")
    return ids


def _fibonacci(bits: Bits) -> int:
    """A Fibonacci-coded number of at least 1: place values 1, 2, 3, 5, 8 … from the first bit on, ended by two ones."""
    total, place, following, was_one = 0, 1, 2, False
    while place <= 2 * MAX_SECTION_ID:
        is_one = bits.flag()
        if is_one and was_one:
            return total
        total += place * is_one
        place, following, was_one = following, place + following, is_one
    raise ValueError("no such section")


def _any_opt_out(sections: dict[int, str]) -> bool | None:
    """One opt-out overrides every "did not opt out"."""
    answers = {_us_opt_out(at, part) for at, part in sections.items()}
    if True in answers:
        return True
    return False if False in answers else None


def _us_opt_out(section_id: int, section: str) -> bool | None:
    if section_id == _US_PRIVACY:
        return us_privacy_opt_out(section)
    try:
        return _read_us_section(section_id, section)
    except ValueError:
        return None


def _read_us_section(section_id: int, section: str) -> bool | None:
    """Raises ValueError for a truncated core, because the missing part could have been the opt-out. In an unknown version, the opt-outs are
    expected at the known positions, and only an opt-out counts. So it is beside an invalid choice."""
    core = _CORES.get(section_id)
    if core is None:
        return None
    core_text, *others = section.split(".")
    bits = Bits(core_text)
    size = core.size(bits.take(6))

    fields = [bits.take(2) for _ in range(size or max(core.opt_outs) + 1)]
    choices = {fields[at] for at in core.opt_outs}
    if _OPTED_OUT in choices:
        return True
    # All sub-sections are read first, so that a broken one invalidates the section, whatever its position.
    signals = [_gpc(Bits(other)) for other in others] if core.gpc else []
    if True in signals:
        return True
    return False if size and _DID_NOT_OPT_OUT in choices and _INVALID not in choices else None


def _gpc(sub_section: Bits) -> bool:
    """False for sub-sections of another type than Global Privacy Control."""
    return sub_section.take(2) == _GPC_TYPE and sub_section.flag()
