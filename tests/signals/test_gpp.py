"""GPP: the strings of the IAB's library, every US section by an encoder of our own, and what must never be read as a choice."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.signals import gpp
from identity_service.signals.bits import Bits
from identity_service.signals.gpp import GppReading, read_gpp

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("gpp_vectors.json").read_text())
WHOLE: list[dict[str, Any]] = VECTORS["whole"]
BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
GPP_V1 = "000011" + "000001"
NOTHING = GppReading(None, None)
TC = "CQtAQoAQtAQoAAHABBENAwFsAP_gAEPgAAqIAFP_AAp_4AAA.IAFP_AAA.YAAAAAAAAAAA"

SECTIONS = {
    # Section ID: version, fields before the first opt-out, the opt-outs, fields after them.
    "usnat 1": (7, 1, 6, 3, 18),
    "usnat 2": (7, 2, 6, 3, 23),
    "usca": (8, 1, 3, 2, 15),
    "usva": (9, 1, 3, 2, 12),
    "usco": (10, 1, 3, 2, 11),
    "usut": (11, 1, 4, 2, 12),
    "usct": (12, 1, 3, 2, 14),
    "usfl": (13, 1, 3, 2, 15),
    "usmt": (14, 1, 3, 2, 15),
    "usor": (15, 1, 3, 2, 18),
    "ustx": (16, 1, 3, 2, 13),
    "usde": (17, 1, 3, 2, 18),
    "usia": (18, 1, 4, 2, 12),
    "usne": (19, 1, 3, 2, 13),
    "usnh": (20, 1, 3, 2, 15),
    "usnj": (21, 1, 3, 2, 19),
    "ustn": (22, 1, 3, 2, 13),
    "usmn": (23, 1, 3, 2, 13),
    "usmd": (24, 1, 5, 2, 1),
    "usin": (25, 1, 5, 2, 2),
    "usky": (26, 1, 5, 2, 2),
    "usri": (27, 1, 5, 2, 2),
}
UNTYPED = {"usin", "usky", "usri"}
OF_MSPA = {"usmd", *UNTYPED}


def text_of(bits: str, padded_to: int = 6) -> str:
    bits += "0" * (-len(bits) % padded_to)
    bits += "0" * (-len(bits) % 6)
    return "".join(BASE64URL[int(bits[at : at + 6], 2)] for at in range(0, len(bits), 6))


def fibonacci(number: int) -> str:
    places = [1, 2]
    while places[-1] <= number:
        places.append(places[-1] + places[-2])
    code = ""
    for place in reversed(places):
        code = ("1" if place <= number else "0") + code
        number -= place if place <= number else 0
    return code.rstrip("0") + "1"


def header_bits(ids: list[int], header_type: int = 3, version: int = 1) -> str:
    """Every ID as an entry of its own."""
    steps = [after - before for before, after in itertools.pairwise([0, *ids])]
    return f"{header_type:06b}{version:06b}{len(ids):012b}" + "".join("0" + fibonacci(step) for step in steps)


def gpp_text(sections: dict[int, str], padded_to: int = 6) -> str:
    return "~".join([text_of(header_bits(list(sections)), padded_to), *sections.values()])


def core_bits(name: str, *opt_outs: int, other: int = 1) -> str:
    _, version, before, _, after = SECTIONS[name]
    return f"{version:06b}" + "".join(f"{field:02b}" for field in [other] * before + list(opt_outs) + [other] * after)


def core(name: str, *opt_outs: int, other: int = 1) -> str:
    return text_of(core_bits(name, *opt_outs, other=other))


def opt_out(section_id: int, section: str) -> bool | None:
    reading = read_gpp(gpp_text({section_id: section}), None)
    assert reading is not None
    assert reading.tc_string is None
    return reading.sale_share_opt_out


def merged(choices: tuple[int, ...]) -> bool | None:
    if 1 in choices:
        return True
    return False if 2 in choices and 3 not in choices else None


@pytest.mark.parametrize("vector", WHOLE, ids=[vector["name"] for vector in WHOLE])
def test_every_string_of_the_library_is_read_as_it_was_written(vector: dict[str, Any]) -> None:
    expected = GppReading(vector["tc_string"], vector["opt_out"])
    assert read_gpp(vector["gpp"], None) == expected
    assert read_gpp(vector["gpp"], frozenset(vector["sections"])) == expected


@pytest.mark.parametrize("vector", WHOLE, ids=[vector["name"] for vector in WHOLE])
def test_no_section_counts_while_none_applies(vector: dict[str, Any]) -> None:
    assert read_gpp(vector["gpp"], frozenset()) == NOTHING
    assert read_gpp(vector["gpp"], frozenset(range(1, 65)) - set(vector["sections"])) == NOTHING


@pytest.mark.parametrize("vector", VECTORS["absent"], ids=[vector["name"] for vector in VECTORS["absent"]])
def test_every_malformed_string_of_the_list_is_absent(vector: dict[str, Any]) -> None:
    assert read_gpp(vector["gpp"], None) is None


@pytest.mark.parametrize(
    ("text", "reading"),
    [("DBABM~a", GppReading("a", None)), ("DBACNY~a~1YNN", GppReading("a", False)), ("DBABjw~a~1YYN", GppReading(None, True, "a"))],
)
def test_the_headers_of_the_specification_are_read(text: str, reading: GppReading) -> None:
    assert read_gpp(text, None) == reading


@pytest.mark.parametrize("name", SECTIONS)
def test_every_value_of_every_opt_out_of_every_section_is_read(name: str) -> None:
    section_id, _, _, count, _ = SECTIONS[name]
    for choices, other in itertools.product(itertools.product(range(4), repeat=count), range(3)):
        assert opt_out(section_id, core(name, *choices, other=other)) is merged(choices), (choices, other)


def with_version(name: str, version: int, *opt_outs: int) -> str:
    return text_of(f"{version:06b}{core_bits(name, *opt_outs)[6:]}")


@pytest.mark.parametrize("name", sorted(set(SECTIONS) - OF_MSPA))
def test_of_a_version_nobody_described_an_opt_out_counts_and_nothing_else(name: str) -> None:
    section_id, _, before, count, _ = SECTIONS[name]
    for other in set(range(64)) - {entry[1] for entry in SECTIONS.values() if entry[0] == section_id}:
        for choices in itertools.product(range(4), repeat=count):
            told = True if merged(choices) else None
            assert opt_out(section_id, with_version(name, other, *choices)) is told, (other, choices)
        beside = {6: "1YNN", section_id: with_version(name, other, *[2] * count)}
        assert read_gpp(gpp_text(beside), None) == GppReading(None, False)
        whole = with_version(name, other, *[1] * count)
        assert opt_out(section_id, whole[: 1 + (2 * (before + count)) // 6 - 1]) is None


@pytest.mark.parametrize("name", sorted(OF_MSPA))
def test_a_section_that_begins_with_the_version_of_the_mspa_is_read_at_any_value(name: str) -> None:
    section_id, _, _, count, _ = SECTIONS[name]
    for version, choices in itertools.product(range(64), itertools.product(range(4), repeat=count)):
        assert opt_out(section_id, with_version(name, version, *choices)) is merged(choices), (version, choices)


@pytest.mark.parametrize("name", sorted(set(SECTIONS) - UNTYPED))
def test_the_privacy_control_of_a_section_opts_out(name: str) -> None:
    section_id, _, _, count, _ = SECTIONS[name]
    not_opted_out, silent = core(name, *[2] * count), core(name, *[0] * count)
    assert opt_out(section_id, f"{not_opted_out}.{text_of('011')}") is True
    assert opt_out(section_id, f"{silent}.{text_of('011', 8)}") is True
    assert opt_out(section_id, f"{not_opted_out}.{text_of('010')}") is False
    assert opt_out(section_id, f"{silent}.{text_of('010')}") is None
    assert opt_out(section_id, f"{not_opted_out}.{text_of('010')}.{text_of('011')}") is True


def test_an_opt_out_counts_beside_what_is_invalid_or_broken() -> None:
    assert opt_out(8, core("usca", 3, 1)) is True
    assert opt_out(8, f"{core('usca', 3, 2)}.{text_of('011')}") is True
    assert opt_out(8, f"{core('usca', 1, 2)}.") is True
    assert opt_out(8, core("usca", 3, 2)) is None


@pytest.mark.parametrize("kind", ["00", "10", "11"])
def test_a_sub_section_of_another_type_says_nothing(kind: str) -> None:
    assert opt_out(8, f"{core('usca', 2, 2)}.{text_of(kind + '1')}") is False


@pytest.mark.parametrize("name", sorted(UNTYPED))
def test_sensitive_data_is_never_read_as_a_privacy_control(name: str) -> None:
    assert opt_out(SECTIONS[name][0], f"{core(name, 2, 2)}.{text_of('0111' * 4)}") is False


@pytest.mark.parametrize("sub_section", ["", ".", "Y.", ".Y"])
def test_a_broken_sub_section_makes_its_section_absent_alone(sub_section: str) -> None:
    broken = f"{core('usca', 2, 2)}.{sub_section}"
    assert opt_out(8, broken) is None
    assert read_gpp(gpp_text({8: broken, 9: core("usva", 2, 2)}), None) == GppReading(None, False)


@pytest.mark.parametrize("name", SECTIONS)
def test_a_cut_never_turns_an_opt_out_into_none(name: str) -> None:
    section_id, _, _, count, _ = SECTIONS[name]
    for choices in itertools.product((1, 2), repeat=count):
        whole = core(name, *choices)
        answers = {opt_out(section_id, whole[:length]) for length in range(len(whole))}
        assert answers <= ({True, None} if 1 in choices else {False, None})


@pytest.mark.parametrize("name", SECTIONS)
def test_a_core_that_is_not_whole_is_absent(name: str) -> None:
    section_id, _, _, count, _ = SECTIONS[name]
    bits = core_bits(name, *[2] * count)
    for length in range(0, len(bits), 6):
        assert opt_out(section_id, text_of(bits[:length])) is None
    assert opt_out(section_id, text_of(bits) + "AAAA") is False


@pytest.mark.parametrize(
    ("section_id", "opted_out"),
    [(6, "1YYN"), (7, core("usnat 2", 2, 2, 1)), (8, core("usca", 2, 2) + ".YA"), (9, core("usva", 1, 0))],
)
def test_one_opt_out_wins_over_every_other_section(section_id: int, opted_out: str) -> None:
    sections = {6: "1YNN", 7: core("usnat 2", 2, 2, 2), 8: core("usca", 2, 2), 9: core("usva", 2, 2)}
    assert read_gpp(gpp_text(sections), None) == GppReading(None, False)
    assert read_gpp(gpp_text(sections | {section_id: opted_out}), None) == GppReading(None, True)


def test_only_sections_in_force_count() -> None:
    text = gpp_text({2: TC, 6: "1YNN", 8: core("usca", 1, 1)})
    assert read_gpp(text, None) == GppReading(TC, True)
    assert read_gpp(text, frozenset({2})) == GppReading(TC, None)
    assert read_gpp(text, frozenset({6})) == GppReading(None, False)
    assert read_gpp(text, frozenset({8, 99, -1})) == GppReading(None, True)


@pytest.mark.parametrize("section_id", [1, 3, 4, 28, 29, 64])
def test_sections_that_are_not_asked_are_passed_over(section_id: int) -> None:
    sections = dict(sorted({section_id: core("usca", 1, 1), 8: core("usca", 2, 2)}.items()))
    assert read_gpp(gpp_text(sections), None) == GppReading(None, False)


def test_an_empty_section_is_absent_alone() -> None:
    assert read_gpp(gpp_text({2: "", 6: "1YNN", 7: ""}), None) == GppReading(None, False)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "D",
        "DB",
        "DBA",
        "DBAB",
        text_of(header_bits([8], header_type=2)),
        text_of(header_bits([8], version=2)),
        text_of(header_bits([8], version=0)),
        text_of(header_bits([65])),
        text_of(header_bits([10**9])),
        text_of(header_bits([]) + "1"),
        text_of(header_bits([8]) + "0" * 20 + "1"),
        text_of(GPP_V1 + "111111111111" + "0" + fibonacci(8)),
        text_of(GPP_V1 + "000000000001" + "1" + fibonacci(8)),
        text_of(GPP_V1 + "000000000001" + "1" + fibonacci(8) + fibonacci(10**9)),
        text_of(GPP_V1 + "000000000001" + "1" + fibonacci(1) + fibonacci(64)),
        text_of(GPP_V1 + "000000000001" + "0" * 600),
        text_of(GPP_V1 + "000000000001" + "0" + "10" * 300),
        "DBABLA=",
        "DBAB+A",
        "DBAB.A",
    ],
)  # fmt: skip
def test_a_header_that_cannot_be_read_is_absent(header: str) -> None:
    assert read_gpp(f"{header}~{core('usca', 1, 1)}", None) is None


@pytest.mark.parametrize("suffix", ["~A", "~", "~~", " ", "\n", "=", "é", "%7E", "\x00", "\ud800"])
def test_a_string_with_more_than_the_header_tells_is_absent(suffix: str) -> None:
    whole = gpp_text({8: core("usca", 1, 1)})
    assert read_gpp(whole, None) == GppReading(None, True)
    assert read_gpp(whole + suffix, None) is None


def test_a_string_is_read_up_to_sixteen_kibibytes() -> None:
    text = gpp_text({6: "1YYN", 28: ""})
    filled = text + "A" * (16 * 1024 - len(text))
    assert read_gpp(filled, None) == GppReading(None, True)
    assert read_gpp(filled + "A", None) is None


section_ids = st.sets(st.integers(1, 64), max_size=64).map(sorted)


@given(section_ids, st.integers(0, 24))
def test_both_header_paddings_are_read(ids: list[int], more: int) -> None:
    parts = ["", *("1YYN" if at == 6 else "" for at in ids)]
    expected = GppReading(None, True if 6 in ids else None)
    for header in (text_of(header_bits(ids)), text_of(header_bits(ids), 8), text_of(header_bits(ids) + "0" * more)):
        assert read_gpp(header + "~".join(parts), None) == expected


@given(st.integers(1, 64), st.integers(1, 63))
def test_a_group_stands_for_each_of_its_sections(first: int, length: int) -> None:
    header = text_of(GPP_V1 + "000000000001" + "1" + fibonacci(first) + fibonacci(length))
    for count in (length, length + 1, length + 2):
        reading = read_gpp("~".join([header, *["1YYN"] * count]), frozenset({6}))
        if count == length + 1 and first + length <= 64:
            assert reading == GppReading(None, True if first <= 6 <= first + length else None)
        else:
            assert reading is None


gpp_like = st.tuples(
    st.sampled_from(["", "DBAA", "DBABM", "DBABMA", "DBABLA", "DBABBg", "DBACNYA", "DBABjw", "DBABzAw", "DP__"]),
    st.lists(st.text(BASE64URL + ".YN1", max_size=30), max_size=24),
).map(lambda parts: "~".join([parts[0], *parts[1]]))


@given(st.text() | st.text(BASE64URL + "~.", max_size=200) | gpp_like, st.none() | st.frozensets(st.integers()))
def test_any_text_gets_an_answer(text: str, applicable: frozenset[int] | None) -> None:
    reading = read_gpp(text, applicable)
    if reading is not None and applicable == frozenset():
        assert reading == NOTHING


@given(st.sampled_from(WHOLE), st.data())
def test_a_cut_string_never_says_other_than_the_whole(vector: dict[str, Any], data: st.DataObject) -> None:
    """A whole sub-section that is cut away leaves a string that is right in itself: such cuts are left out."""
    text: str = vector["gpp"]
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    reading = read_gpp(cut, None)
    if reading is not None and "." not in text.rsplit("~", 1)[1]:
        assert reading.sale_share_opt_out in (vector["opt_out"], None) or vector["name"].startswith("every")


class CountingBits(Bits):
    """Counts what is asked of it, over all texts."""

    reads = 0
    bits = 0

    def take(self, n: int) -> int:
        CountingBits.reads += 1
        CountingBits.bits += n
        return super().take(n)


@pytest.mark.parametrize(
    "text",
    [
        text_of(GPP_V1 + "1" * 12 + "0" * 90_000),
        text_of(GPP_V1 + "1" * 12 + "011" * 30_000),
        text_of(GPP_V1 + "1" * 12 + "1" * 90_000),
        text_of(GPP_V1 + "0" * 90_000),
        gpp_text({at: core("usca", 2, 2) + "A" * 200 for at in range(1, 65)}),
        gpp_text({8: core("usca", 2, 2) + ".Q" * 8000}),
        gpp_text({8: core("usca", 2, 2) + "A" * 16_000}),
        "~" * 16_384,
        "." * 16_384,
    ],
    ids=["zeros", "singles", "groups", "no section", "sections", "sub-sections", "long section", "tildes", "dots"],
)  # fmt: skip
def test_no_string_is_read_more_than_once(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpp, "Bits", CountingBits)
    monkeypatch.setattr(CountingBits, "reads", 0)
    monkeypatch.setattr(CountingBits, "bits", 0)
    assert len(text) <= gpp.MAX_CHARS
    read_gpp(text, None)
    assert CountingBits.bits <= 6 * len(text) + 2
    assert CountingBits.reads <= 2 * len(text)
