"""Strings of random choices by the encoders of the IAB, read here and by the IAB's own decoders: no grant that those do not read, no
refusal and no opt-out missed. A sample is kept beside this file; with `--long` the encoders make thousands, fetched by npm."""

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from identity_service.model.consent import Choice, Millis
from identity_service.model.shop import TcfRule
from identity_service.signals.gpp import GppReading, read_gpp
from identity_service.signals.tcf import canadian_choice, tc_choice
from tests.browser.libraries import Unavailable, libraries
from tests.signals.tc_strings import ALPHABET, millis

HERE = Path(__file__).parent
TC_STRINGS, GPP_STRINGS = 5_000, 3_000
NOW = millis(datetime(2026, 12, 1, tzinfo=UTC))
DISCLOSING = millis(datetime(2026, 3, 1, tzinfo=UTC))
OLDEST = millis(datetime(2025, 11, 1, tzinfo=UTC))
DAY = 86_400_000
PUBLISHER, VENDOR = TcfRule(), TcfRule(vendor=5)
NEEDED = {1, 8}
UNTYPED = {"usin", "usky", "usri"}
"""Their second part has no type in the specification, and none of them knows Global Privacy Control."""
Read = Mapping[str, Any]
Strings = dict[str, dict[str, list[Any]]]


@pytest.fixture(params=["sample", pytest.param("thousands", marks=pytest.mark.thorough)], scope="module")
def strings(request: pytest.FixtureRequest) -> Strings:
    kept: Strings = json.loads((HERE / "official_sample.json").read_text())
    return kept if request.param == "sample" else encoded(TC_STRINGS, GPP_STRINGS, seed=2_026)


def encoded(tc_count: int, gpp_count: int, seed: int) -> Strings:
    if not shutil.which("node"):
        pytest.skip("needs Node: apt-get install nodejs")
    try:
        found = libraries()
    except Unavailable as reason:
        pytest.skip(str(reason))
    folders = [str(found["@iabtechlabtcf/core"]), str(found["@iabgpp/cmpapi"])]
    command = ["node", str(HERE / "official_strings.mjs"), *folders, str(tc_count), str(gpp_count), str(seed)]
    told: Strings = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=600).stdout)
    return told


def in_force(updated: int) -> bool:
    """Thirteen months back, and a day ahead for clocks that differ."""
    return OLDEST <= updated <= NOW + DAY


def granted(read: Read, rule: TcfRule) -> bool:
    """What the specification makes of the fields."""
    if rule.vendor is None:
        purposes = read["publisher"] if read["publisher"] or read["custom"] else read["purposes"]
        return set(purposes) >= NEEDED and not read["untold"]
    of_vendor = read["consented"] and not NEEDED & set(read["restricted"])
    return set(read["purposes"]) >= NEEDED and of_vendor and not read["untold"]


def expected(text: str, read: Read, rule: TcfRule) -> Choice | None:
    """None only where a string is not valid: an old policy, the global scope, out of date, or a grant without disclosed vendors."""
    if read["policy"] < 4 or not read["service_specific"] or not in_force(read["updated"]):
        return None
    yes = granted(read, rule)
    if any(part.startswith(tuple("IJKLMNOP")) for part in text.split(".")[1:]):
        return Choice.GRANTED if yes and (rule.vendor is None or read["disclosed"]) else Choice.REFUSED
    required = read["policy"] >= 5 or read["updated"] >= DISCLOSING
    return None if yes and required else Choice.GRANTED if yes else Choice.REFUSED


def choice(text: str, rule: TcfRule) -> Choice | None:
    found = tc_choice(text, rule, NOW)
    return found.choice if found else None


@pytest.mark.parametrize("rule", [PUBLISHER, VENDOR])
def test_every_tc_string_is_read_as_the_official_decoder_reads_it(strings: Strings, rule: TcfRule) -> None:
    found = Counter[Choice | None]()
    for one in strings["tc"]["whole"]:
        assert choice(one["text"], rule) is expected(one["text"], one["read"], rule), one
        found[choice(one["text"], rule)] += 1
    assert min(found[Choice.GRANTED], found[Choice.REFUSED], found[None]) > len(strings["tc"]["whole"]) // 20


@pytest.mark.parametrize("rule", [PUBLISHER, VENDOR])
def test_a_damaged_tc_string_grants_nothing_that_the_official_decoder_does_not_read(strings: Strings, rule: TcfRule) -> None:
    for one in strings["tc"]["damaged"]:
        if choice(one["text"], rule) is Choice.GRANTED:
            assert one["read"], one
            assert granted(one["read"], rule), one


def opt_out(name: str, section: Read) -> bool | None:
    if name == "uspv1":
        return {"Y": True, "N": False}.get(section["OptOutSale"])
    choices = [section.get(field) for field in ("SaleOptOut", "SharingOptOut", "TargetedAdvertisingOptOut")]
    if 1 in choices or (section.get("Gpc") and name not in UNTYPED):
        return True
    return False if 2 in choices and 3 not in choices else None


def opt_outs(read: Read) -> list[bool | None]:
    return [opt_out(name, section) for name, section in read.items() if name.startswith("us")]


def anywhere(answers: list[bool | None]) -> bool | None:
    return True if True in answers else False if False in answers else None


def test_every_gpp_string_is_read_as_the_official_decoder_reads_it(strings: Strings) -> None:
    found = Counter[bool | None]()
    for one in strings["gpp"]["whole"]:
        reading = read_gpp(one["text"], None)
        assert reading is not None
        assert reading.sale_share_opt_out is anywhere(opt_outs(one["read"])), one
        assert (reading.tc_string is not None, reading.canadian is not None) == ("tcfeuv2" in one["read"], "tcfcav1" in one["read"])
        found[reading.sale_share_opt_out] += 1
    assert min(found[True], found[False], found[None]) > 0


def test_a_damaged_gpp_string_never_says_not_opted_out_where_the_official_decoder_reads_an_opt_out(strings: Strings) -> None:
    """The decoder does not look at the type of a sub-section. Here only one of the type of Global Privacy Control is read as such."""
    readings = [(one, read_gpp(one["text"], None)) for one in strings["gpp"]["damaged"] if has_known_types(one["text"])]
    for one, reading in readings:
        if reading and reading.sale_share_opt_out is False and one["read"] is not None:
            assert True not in opt_outs(one["read"]), one
    assert any(reading and reading.sale_share_opt_out is not None for _, reading in readings)


def has_known_types(text: str) -> bool:
    parts = [sub_section for section in text.split("~")[1:] for sub_section in section.split(".")[1:]]
    return all(part[:1] in ALPHABET[16:32] for part in parts)


def moment(text: str) -> Millis:
    return millis(datetime.fromisoformat(text))


def canadian(section: Read) -> Choice | None:
    """None out of date, and where a consent is implied."""
    own = section["PubPurposesExpressConsent"], section["PubPurposesImpliedConsent"]
    said = own if any(own) else (section["PurposesExpressConsent"], section["PurposesImpliedConsent"])
    express, implied = map(set, said)
    if not in_force(moment(section["LastUpdated"])) or (express | implied >= NEEDED and not express >= NEEDED):
        return None
    return Choice.GRANTED if express >= NEEDED else Choice.REFUSED


def european(section: Read) -> dict[str, Any]:
    """As the decoder of TC strings names the fields."""
    return {
        "policy": section["PolicyVersion"],
        "service_specific": section["IsServiceSpecific"],
        "untold": section["PurposeOneTreatment"],
        "updated": moment(section["LastUpdated"]),
        "purposes": section["PurposeConsents"],
        "publisher": section["PublisherConsents"],
        "custom": bool(section["PublisherCustomConsents"]),
    }


def sections(strings: Strings, name: str) -> Iterator[tuple[GppReading, Read]]:
    for one in strings["gpp"]["whole"]:
        reading = read_gpp(one["text"], None)
        if reading and name in one["read"]:
            yield reading, one["read"][name]


def test_the_european_section_of_every_gpp_string_is_read_as_the_official_decoder_reads_it(strings: Strings) -> None:
    found = Counter[Choice | None]()
    for reading, section in sections(strings, "tcfeuv2"):
        text = str(reading.tc_string)
        assert choice(text, PUBLISHER) is expected(text, european(section), PUBLISHER), text
        found[choice(text, PUBLISHER)] += 1
    assert found[Choice.REFUSED]


def test_the_canadian_section_of_every_gpp_string_is_read_as_the_official_decoder_reads_it(strings: Strings) -> None:
    found = Counter[Choice | None]()
    for reading, section in sections(strings, "tcfcav1"):
        told = [canadian_choice(str(reading.canadian), rule, NOW) for rule in (PUBLISHER, VENDOR)]
        of_publisher, of_vendor = (one.choice if one else None for one in told)
        assert of_publisher is canadian(section), (reading.canadian, section)
        assert of_vendor is (None if of_publisher is Choice.GRANTED else of_publisher)
        found[of_publisher] += 1
    assert min(found[Choice.GRANTED], found[Choice.REFUSED], found[None]) > 0
