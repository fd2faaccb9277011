"""Changed refusals: none is read as a grant, except where the changed string says so itself to a second, plainer decoder."""

import random

import pytest

from identity_service.model.consent import Choice
from identity_service.model.shop import TcfRule
from identity_service.signals.tcf import tc_choice
from tests.signals.tc_strings import ALPHABET, core_bits, disclosed, field, publisher, ranged, text_of
from tests.signals.test_tcf import NOW, VECTORS

RULES = [TcfRule(), TcfRule(vendor=5)]
REFUSING = [
    text_of(core_bits(frozenset(purposes), vendors)) + tail
    for purposes in ((), (1,), (8,), (2, 3, 4, 7, 9, 10))
    for vendors in (field({5}), ranged({2, 5, 9}))
    for tail in ("." + disclosed(field({5})), f".{disclosed(ranged({5, 6}))}.{publisher(frozenset({2}))}")
]
SPLICED = [*REFUSING, *(vector.text for vector in VECTORS if vector.as_publisher is Choice.REFUSED)]


def bits_of(segment: str) -> str:
    return "".join(f"{ALPHABET.index(character):06b}" for character in segment)


def contains(bits: str, at: int, wanted: int) -> tuple[bool, int]:
    """Whether a vendor section names `wanted`, and where the section ends; IndexError or ValueError where it is cut."""
    last, at = int(bits[at : at + 16], 2), at + 16
    if bits[at] == "0":
        if at + 1 + last > len(bits):
            raise ValueError
        return wanted <= last and bits[at + wanted] == "1", at + 1 + last
    count, at, found = int(bits[at + 1 : at + 13], 2), at + 13, False
    for _ in range(count):
        width = 33 if bits[at] == "1" else 17
        if at + width > len(bits):
            raise ValueError
        start = int(bits[at + 1 : at + 17], 2)
        found |= start <= wanted <= (int(bits[at + 17 : at + 33], 2) if width == 33 else start)
        at += width
    return found, at


def says_granted(text: str, rule: TcfRule) -> bool:
    """Only the bits that a grant needs, straight from the specification's offsets; it forgives much, and is asked about grants alone."""
    segments = [bits_of(part) for part in text.split(".")]
    core = segments[0]
    purposes = core[152:176]
    granted = purposes[0] == purposes[7] == "1" and core[200] == "0"
    if rule.vendor is None:
        told = next((part[3:27] for part in segments[1:] if part[:3] == "011" and "1" in part[3:27]), None)
        return told[0] == told[7] == "1" if told else granted
    consents, _ = contains(core, 213, rule.vendor)
    shown = [contains(part, 3, rule.vendor)[0] for part in segments[1:] if part[:3] == "001"]
    return granted and consents and (all(shown) if shown else int(core[132:138], 2) < 5)


def tampered(choose: random.Random) -> str:
    text = choose.choice(REFUSING)
    kind = choose.randrange(4)
    if kind == 0:
        return text[: choose.randrange(len(text) + 1)]
    if kind == 1:
        at = choose.randrange(len(text))
        return text[:at] + choose.choice(ALPHABET) + text[at + 1 :]
    if kind == 2:
        at = choose.randrange(len(text))
        flipped = ALPHABET[ALPHABET.index(text[at]) ^ (1 << choose.randrange(6))] if text[at] in ALPHABET else text[at]
        return text[:at] + flipped + text[at + 1 :]
    other, at = choose.choice(SPLICED), choose.randrange(len(text))
    return text[:at] + other[at:] if choose.random() < 0.5 else text[:at] + other[choose.randrange(len(other)) :]


def test_no_changed_refusal_is_read_as_a_grant_that_it_does_not_say(long: bool) -> None:
    choose, granted, readable = random.Random(2_026), 0, 0
    tries = 100_000 if long else 20_000
    for _ in range(tries):
        text = tampered(choose)
        for rule in RULES:
            found = tc_choice(text, rule, NOW)
            readable += found is not None
            if found and found.choice is Choice.GRANTED:
                granted += 1
                assert says_granted(text, rule), text
    assert readable > tries / 10
    assert granted < tries / 20


@pytest.mark.parametrize("rule", RULES)
def test_the_strings_refuse_before_they_are_changed_and_the_plainer_decoder_agrees(rule: TcfRule) -> None:
    for text in REFUSING:
        found = tc_choice(text, rule, NOW)
        assert found
        assert found.choice is Choice.REFUSED
        assert not says_granted(text, rule)
    for vector in VECTORS:
        found = tc_choice(vector.text, rule, NOW)
        if found:
            assert says_granted(vector.text, rule) == (found.choice is Choice.GRANTED) or "restriction" in vector.name
