"""TC strings: vectors made with the encoders of the IAB Tech Lab, and strings of an own small encoder."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.model.consent import BannerContext, Choice, Millis
from identity_service.model.shop import TcfRule
from identity_service.signals.bits import Bits
from identity_service.signals.tcf import LONGEST, TcChoice, canadian_choice, tc_choice
from tests.signals.tc_strings import (
    ALPHABET,
    NEEDED,
    SECTIONS,
    UPDATED,
    Section,
    canadian_bits,
    core_bits,
    disclosed,
    field,
    millis,
    number,
    publisher,
    ranges,
    text_of,
)

PUBLISHER, VENDOR = TcfRule(), TcfRule(vendor=5)
ROLES = [PUBLISHER, VENDOR]


class Vector(msgspec.Struct):
    name: str
    text: str
    day: str | None = None
    policy_version: int = 0
    as_vendor_5: Choice | None = None
    as_publisher: Choice | None = None


VECTORS = msgspec.json.decode(Path(__file__).with_name("tcf_vectors.json").read_bytes(), type=list[Vector])
ACCEPT_ALL = VECTORS[0].text
REJECT_ALL = "CQtAQoAQtAQoAAHABBENAwFgAAAAAAAAAAqIAAAAAAAA.IAFP_AAA.YAAAAAAAAAAA"
NOW = millis(datetime(2026, 11, 20, tzinfo=UTC))

vendor_ids = st.frozensets(st.integers(1, 60) | st.integers(1, 2_000), max_size=40)
purpose_ids = st.frozensets(st.integers(1, 24) | st.sampled_from([1, 8]))

KNOWN = disclosed(field({5}))
CORE = text_of(core_bits())
VALID = f"{CORE}.{KNOWN}"


def choice(text: str, rule: TcfRule = PUBLISHER, now: Millis = NOW) -> Choice | None:
    found = tc_choice(text, rule, now)
    return found.choice if found else None


def both(text: str, now: Millis = NOW) -> list[Choice | None]:
    return [choice(text, rule, now) for rule in ROLES]


ABSENT: list[Choice | None] = [None, None]
REFUSED: list[Choice | None] = [Choice.REFUSED, Choice.REFUSED]
GRANTED: list[Choice | None] = [Choice.GRANTED, Choice.GRANTED]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_every_vector_of_the_official_encoders_is_read_in_both_roles(vector: Vector) -> None:
    for rule, expected in [(PUBLISHER, vector.as_publisher), (VENDOR, vector.as_vendor_5)]:
        if expected is None or vector.day is None:
            assert tc_choice(vector.text, rule, NOW) is None
        else:
            day = millis(datetime.fromisoformat(vector.day).replace(tzinfo=UTC))
            assert tc_choice(vector.text, rule, NOW) == TcChoice(expected, day, vector.policy_version)


@pytest.mark.parametrize("rule", ROLES)
def test_no_truncation_of_a_refusal_is_a_grant(rule: TcfRule) -> None:
    assert all(choice(REJECT_ALL[:end], rule) is not Choice.GRANTED for end in range(len(REJECT_ALL) + 1))


@pytest.mark.parametrize("rule", ROLES)
def test_a_truncation_inside_the_fields_of_a_grant_is_absent(rule: TcfRule) -> None:
    """Only what loses nothing but padding or the segment behind the disclosed vendors is still that grant."""
    fields, whole, start = [47, 5, 10], set(), 0
    for index, segment in enumerate(ACCEPT_ALL.split(".")):
        whole |= {start + size for size in range(fields[index], len(segment) + 1) if index >= 1}
        start += len(segment) + 1
    assert {end for end in range(len(ACCEPT_ALL) + 1) if choice(ACCEPT_ALL[:end], rule) is Choice.GRANTED} == whole


@pytest.mark.parametrize("rule", ROLES)
@given(text=st.text() | st.text(ALPHABET + ".") | st.text(ALPHABET + ".").map(lambda tail: CORE + tail))
def test_no_text_raises(rule: TcfRule, text: str) -> None:
    tc_choice(text, rule, NOW)


@given(st.sampled_from([ACCEPT_ALL, REJECT_ALL, VECTORS[5].text]), st.lists(st.tuples(st.integers(0, 500), st.integers(0, 5)), max_size=8))
def test_no_flipped_bits_raise(text: str, flips: list[tuple[int, int]]) -> None:
    symbols = list(text)
    for at, bit in flips:
        at %= len(symbols)
        if symbols[at] != ".":
            symbols[at] = ALPHABET[ALPHABET.index(symbols[at]) ^ 1 << bit]
    both("".join(symbols))


@given(purpose_ids, vendor_ids, vendor_ids, vendor_ids, st.sampled_from(SECTIONS), st.integers(1, 2_000) | st.just(5))
def test_a_grant_needs_the_purposes_and_for_a_vendor_its_consent_and_its_disclosure(
    purposes: frozenset[int], consented: frozenset[int], interested: frozenset[int], told: frozenset[int], section: Section, asked: int
) -> None:
    text = f"{text_of(core_bits(purposes, section(consented), interested=section(interested)))}.{disclosed(section(told))}"
    assert (choice(text) is Choice.GRANTED) == (purposes >= NEEDED)
    assert (choice(text, TcfRule(vendor=asked)) is Choice.GRANTED) == (purposes >= NEEDED and asked in consented and asked in told)


@given(vendor_ids.filter(bool), st.integers(0, 2_100))
def test_bit_field_and_ranges_give_the_same_answer(ids: frozenset[int], asked: int) -> None:
    answers = {
        choice(f"{text_of(core_bits(vendors=one(ids)))}.{disclosed(two(ids))}", TcfRule(vendor=asked))
        for one in SECTIONS
        for two in SECTIONS
    }
    assert answers == {Choice.GRANTED if asked in ids else Choice.REFUSED}


@pytest.mark.parametrize("kind", [0, 1, 2, 3])
@pytest.mark.parametrize("purpose", [1, 2, 8])
@pytest.mark.parametrize(("entries", "names_us"), [([(5, 5)], True), ([(1, 3), (4, 9)], True), ([(6, 65535)], False), ([], False)])
def test_a_restriction_concerns_only_the_named_vendor_and_never_demands_less_than_consent(
    kind: int, purpose: int, entries: list[tuple[int, int]], names_us: bool
) -> None:
    text = f"{text_of(core_bits(restrictions=((2, 0, [(1, 9)]), (purpose, kind, entries))))}.{KNOWN}"
    refused = names_us and kind != 1 and purpose in NEEDED
    assert both(text) == [Choice.GRANTED, Choice.REFUSED if refused else Choice.GRANTED]


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        (publisher(set()), Choice.GRANTED),
        (publisher(set(), {1, 8}), Choice.GRANTED),
        (publisher(set(), custom="00"), Choice.GRANTED),
        (publisher({1, 8}), Choice.GRANTED),
        (publisher({1}), Choice.REFUSED),
        (publisher({1}, {8}), Choice.REFUSED),
        (publisher(set(), custom="01"), Choice.REFUSED),
    ],
)
def test_the_publishers_segment_decides_for_the_publisher_once_it_holds_a_consent(segment: str, expected: Choice) -> None:
    assert both(f"{VALID}.{segment}") == [expected, Choice.GRANTED]
    assert both(f"{CORE}.{segment}.{KNOWN}") == [expected, Choice.GRANTED]


def test_the_publishers_segment_grants_where_the_core_does_not() -> None:
    assert both(f"{text_of(core_bits(set()))}.{KNOWN}.{publisher({1, 8})}") == [Choice.GRANTED, Choice.REFUSED]


LAST_DAY_WITHOUT = datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)
FIRST_DAY_WITH = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("policy", "updated", "valid"),
    [(4, LAST_DAY_WITHOUT, True), (4, FIRST_DAY_WITH, False), (4, UPDATED, False), (5, LAST_DAY_WITHOUT, False), (6, UPDATED, False)],
)
def test_a_grant_must_disclose_vendors_and_a_refusal_need_not(policy: int, updated: datetime, valid: bool) -> None:
    granted = text_of(core_bits(policy=policy, updated=updated))
    assert both(granted) == (GRANTED if valid else ABSENT)
    assert both(f"{granted}.{publisher({1, 8})}") == (GRANTED if valid else ABSENT)
    assert both(f"{granted}.{KNOWN}") == GRANTED
    assert both(text_of(core_bits({1}, policy=policy, updated=updated))) == REFUSED
    assert both(f"{granted}.{publisher({1})}") == [Choice.REFUSED, Choice.GRANTED if valid else None]


def test_a_vendor_that_was_not_disclosed_has_no_consent() -> None:
    older = text_of(core_bits(policy=4, updated=LAST_DAY_WITHOUT))
    assert both(f"{older}.{disclosed(field({4, 6}))}") == [Choice.GRANTED, Choice.REFUSED]
    assert both(f"{CORE}.{disclosed(field({4, 6}))}") == [Choice.GRANTED, Choice.REFUSED]


@pytest.mark.parametrize("policy", [6, 7, 63])
def test_a_newer_policy_in_the_known_layout_is_read(policy: int) -> None:
    assert tc_choice(f"{text_of(core_bits(policy=policy))}.{KNOWN}", VENDOR, NOW) == TcChoice(Choice.GRANTED, millis(UPDATED), policy)


def test_purpose_one_by_national_rule_or_legitimate_interest_is_no_consent() -> None:
    told = f"{KNOWN}.{publisher({1, 8})}"
    assert both(f"{text_of(core_bits(untold='1'))}.{told}") == REFUSED
    assert both(f"{text_of(core_bits({8}, interests={1, 8}))}.{KNOWN}") == REFUSED


def test_a_rule_without_purposes_or_with_an_unknown_one_is_never_met() -> None:
    for purposes in [frozenset[int](), frozenset({1, 8, 25}), frozenset({0})]:
        assert [choice(ACCEPT_ALL, TcfRule(purposes, vendor)) for vendor in (None, 5)] == REFUSED


@pytest.mark.parametrize(
    "text",
    [
        VALID + "." + KNOWN,
        VALID + "." + CORE,
        VALID + "." + disclosed(field({5}), 4),
        VALID + "." + disclosed(field({5}), 7),
        VALID + ".",
        "." + VALID,
        KNOWN,
        VALID + "=",
        VALID + "\n",
        VALID.replace("A", "+", 1),
        text_of(core_bits(version=1)),
        text_of(core_bits(version=3)),
        text_of(core_bits(policy=3)),
        text_of(core_bits(scope="0")),
        f"{text_of(core_bits(country=(26, 0)))}.{KNOWN}",
        f"{text_of(core_bits(country=(0, 63)))}.{KNOWN}",
        text_of(core_bits() + "000001"),
        VALID + "." + publisher({1, 8}) + "B",
        text_of(core_bits(vendors=number(9, 16) + "1" + ranges([(9, 5)]))),
        text_of(core_bits(vendors=number(9, 16) + "1" + ranges([(0, 5)]))),
        text_of(core_bits(vendors=number(9, 16) + "1" + ranges([(5, 10)]))),
        text_of(core_bits(vendors=number(9, 16) + "1" + ranges([(0, 0)]))),
        text_of(core_bits(restrictions=((8, 1, [(6, 5)]),))),
        CORE + "." + disclosed(number(9, 16) + "1" + number(2, 12) + ranges([(5, 5)])[12:]),
    ],
)
def test_what_breaks_the_format_is_absent(text: str) -> None:
    assert both(text) == ABSENT


@pytest.mark.parametrize("zeros", [*range(30), 57, 1_000])
def test_zeros_after_the_last_field_are_padding(zeros: int) -> None:
    padding = "0" * zeros
    assert both(f"{text_of(core_bits() + padding)}.{disclosed(field({5}) + padding)}") == GRANTED


def test_allowed_vendors_of_older_strings_are_read_and_do_not_count() -> None:
    assert both(f"{VALID}.{disclosed(field({6}), 2)}") == GRANTED
    assert both(f"{VALID}.{disclosed(number(9, 16), 2)}") == ABSENT


@pytest.mark.parametrize(
    ("updated", "now", "timely"),
    [
        (datetime(2025, 10, 20, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC), True),
        (datetime(2025, 10, 20, tzinfo=UTC), datetime(2026, 11, 20, 0, 0, 1, tzinfo=UTC), False),
        (datetime(2025, 11, 30, tzinfo=UTC), datetime(2026, 12, 30, tzinfo=UTC), True),
        (datetime(2025, 12, 31, tzinfo=UTC), datetime(2027, 1, 31, tzinfo=UTC), True),
        (datetime(2025, 12, 31, tzinfo=UTC), datetime(2027, 2, 1, tzinfo=UTC), False),
        (datetime(2026, 1, 31, tzinfo=UTC), datetime(2027, 2, 28, tzinfo=UTC), True),
        (datetime(2026, 1, 31, tzinfo=UTC), datetime(2027, 3, 1, tzinfo=UTC), False),
        (datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC), True),
        (datetime(2026, 11, 21, 0, 0, 1, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC), False),
        (datetime(2187, 1, 1, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC), False),
    ],
)
def test_a_choice_counts_for_thirteen_months_and_not_before_it_was_made(updated: datetime, now: datetime, timely: bool) -> None:
    assert both(f"{text_of(core_bits(updated=updated))}.{KNOWN}", millis(now)) == (GRANTED if timely else ABSENT)


def test_every_letter_of_a_country_is_read() -> None:
    assert both(f"{text_of(core_bits(country=(25, 25)))}.{KNOWN}") == GRANTED


def test_the_day_hides_the_time_of_the_update() -> None:
    core = text_of(core_bits(updated=datetime(2026, 11, 1, 23, 59, 59, 900_000, tzinfo=UTC)))
    found = tc_choice(f"{core}.{KNOWN}", PUBLISHER, NOW)
    assert found == TcChoice(Choice.GRANTED, millis(UPDATED), 5)


@pytest.mark.parametrize(("letters", "language"), [((18, 21), "sv"), ((25, 0), "za"), ((26, 0), None)])
def test_a_string_tells_its_cmp_and_the_language_in_which_it_asked(letters: tuple[int, int], language: str | None) -> None:
    bits = core_bits()
    told = number(300, 12) + number(7, 12) + number(1, 6) + "".join(number(one, 6) for one in letters)
    found = tc_choice(f"{text_of(bits[:78] + told + bits[78 + len(told) :])}.{KNOWN}", PUBLISHER, NOW)
    assert found
    assert found.banner == BannerContext("cmp-300.7", language)


def test_a_string_over_16_kib_is_absent() -> None:
    assert both(VALID + "A" * (LONGEST - len(VALID))) == GRANTED
    assert both(VALID + "A" * (LONGEST - len(VALID) + 1)) == ABSENT


CANADIAN = text_of(canadian_bits())


def canadian(text: str, rule: TcfRule = PUBLISHER, now: Millis = NOW) -> Choice | None:
    found = canadian_choice(text, rule, now)
    return found.choice if found else None


def test_in_canada_express_consent_grants_and_implied_consent_is_no_choice() -> None:
    assert canadian_choice(CANADIAN, PUBLISHER, NOW) == TcChoice(Choice.GRANTED, millis(UPDATED), 2, "tcfca")
    assert canadian(text_of(canadian_bits({1}, {8}))) is None
    assert canadian(text_of(canadian_bits(set(), {1, 8}))) is None
    assert canadian(text_of(canadian_bits({1}, {2}))) is Choice.REFUSED
    assert canadian(text_of(canadian_bits(set()))) is Choice.REFUSED


def test_in_canada_the_publishers_segment_decides_once_it_holds_a_consent() -> None:
    assert canadian(f"{CANADIAN}.{publisher(set())}") is Choice.GRANTED
    assert canadian(f"{CANADIAN}.{publisher({1})}") is Choice.REFUSED
    assert canadian(f"{CANADIAN}.{publisher({1}, {8})}") is None
    assert canadian(f"{text_of(canadian_bits(set()))}.{publisher({1, 8}, custom='101')}") is Choice.GRANTED
    assert canadian(f"{CANADIAN}.{publisher(set())}.{disclosed(field({5}))}") is Choice.GRANTED


def test_in_canada_a_vendor_gets_no_grant_and_every_refusal() -> None:
    assert canadian(CANADIAN, VENDOR) is None
    assert canadian(text_of(canadian_bits({1})), VENDOR) is Choice.REFUSED


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        VALID,
        text_of(canadian_bits(version=2)),
        CANADIAN + "=",
        f"{CANADIAN}.",
        f"{CANADIAN}.{disclosed(field({5}), 4)}",
        f"{CANADIAN}.{publisher({1, 8})}.{publisher({1, 8})}",
        f"{CANADIAN}.{publisher({1, 8})}B",
        f"{CANADIAN}.{publisher({1, 8})[:8]}",
        *(CANADIAN[:size] for size in range(1, (199 + 46) // 6)),
    ],
)
def test_what_breaks_the_format_of_canadas_section_is_absent(text: str) -> None:
    assert canadian(text) is None


@given(st.text() | st.text(ALPHABET + ".").map(lambda tail: CANADIAN + tail))
def test_no_text_raises_in_canada(text: str) -> None:
    canadian_choice(text, PUBLISHER, NOW)


@pytest.mark.parametrize(("now", "timely"), [(datetime(2027, 12, 1, tzinfo=UTC), True), (datetime(2027, 12, 2, tzinfo=UTC), False)])
def test_in_canada_a_choice_counts_for_thirteen_months(now: datetime, timely: bool) -> None:
    assert canadian(CANADIAN, now=millis(now)) is (Choice.GRANTED if timely else None)


def bomb(count: int) -> str:
    return f"{CORE}.{disclosed(number(65535, 16) + '1' + ranges([(1, 65535)] * count))}"


@pytest.mark.parametrize("count", [0, 1, 100, 2_900])
def test_every_bit_is_read_once_and_every_range_with_three_reads(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    take = Bits.take

    def counted(self: Bits, n: int) -> int:
        reads.append(n)
        return take(self, n)

    monkeypatch.setattr(Bits, "take", counted)
    text = bomb(count)
    assert len(text) < LONGEST
    assert choice(text, VENDOR) is (Choice.GRANTED if count else Choice.REFUSED)
    assert sum(reads) == 6 * (len(text) - 1)
    assert len(reads) <= 60 + 3 * count


@given(st.text(ALPHABET, max_size=60), st.lists(st.integers(0, 70), max_size=40))
def test_bits_are_the_bits_of_the_text_in_any_portions(text: str, portions: list[int]) -> None:
    expected = "".join(number(ALPHABET.index(symbol), 6) for symbol in text)
    bits = Bits(text)
    for size in portions:
        assert bits.left == len(expected)
        if size > len(expected):
            with pytest.raises(ValueError, match="short read"):
                bits.take(size)
        else:
            assert bits.take(size) == int(expected[:size] or "0", 2)
            expected = expected[size:]


@pytest.mark.parametrize("text", ["A=", "AA==", "A+", "A/", " A", "A\n", "Ä", "\ud800", "A.A", "\x00", "\uff21"])
def test_bits_know_one_alphabet(text: str) -> None:
    with pytest.raises(ValueError, match="base64url"):
        Bits(text)
