"""Links as other services read them from the store."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.model.link import Link, LinkCaps, LinkSource, Proof, living_links, parse_link
from identity_service.model.visitor import VisitorId

SECONDS = st.integers(0, 2**33)


@pytest.mark.parametrize(("source", "proof"), list(itertools.product(LinkSource, zip("vtu", Proof, strict=True))))
def test_each_source_and_proof_has_its_letter(source: LinkSource, proof: tuple[str, Proof]) -> None:
    letter, told = proof
    link = parse_link("visitor", f"1000 50 200 {source[0]}{letter}")
    assert link == Link(VisitorId("visitor"), 1000, 1050, 1200, source, told)
    assert (told.letter, link.verified) == (letter, told is Proof.KEY)


def test_the_letters_of_the_sources_differ() -> None:
    assert len({source[0] for source in LinkSource}) == len(LinkSource)


@given(SECONDS, SECONDS, SECONDS)
def test_offsets_count_from_the_first_time(first: int, last: int, life: int) -> None:
    link = parse_link("v", f"{first} {last} {life} lu")
    assert (link.first_seen, link.last_seen, link.expires) == (first, first + last, first + life)


@pytest.mark.parametrize("value", ["", "1 2 3", "1 2 3 lu more", "a 2 3 lu", "1 2 3 xu"])
def test_a_value_of_another_form_is_a_link_that_has_ended_and_proves_nothing(value: str) -> None:
    """Whoever wrote it by hand stops no look-up, and an erasure takes it away."""
    link = parse_link("v", value)
    assert (link.visitor, link.expires, link.proof) == ("v", 0, Proof.NONE)
    assert living_links({"v": value}, 1) == []


@given(st.dictionaries(st.text("abc", min_size=1, max_size=4), st.tuples(SECONDS, SECONDS, SECONDS), max_size=12), SECONDS)
def test_living_links_are_the_unexpired_ones_newest_first(stored: dict[str, tuple[int, int, int]], now: int) -> None:
    links = living_links({visitor: "{} {} {} ev".format(*times) for visitor, times in stored.items()}, now)
    assert {link.visitor for link in links} == {visitor for visitor, (first, _, life) in stored.items() if first + life > now}
    assert [link.last_seen for link in links] == sorted((link.last_seen for link in links), reverse=True)


def test_a_link_is_gone_in_the_very_second_it_expires() -> None:
    assert living_links({"v": "1000 0 100 lv"}, 1099)
    assert living_links({"v": "1000 0 100 lv"}, 1100) == []


def test_links_of_one_moment_have_one_order() -> None:
    stored = {"b": "1000 5 100 lv", "a": "1000 5 100 lv", "c": "1001 4 100 lv"}
    assert [link.visitor for link in living_links(stored, 1000)] == ["c", "a", "b"]
    assert living_links(dict(reversed(stored.items())), 1000) == living_links(stored, 1000)


def test_caps_are_values() -> None:
    assert LinkCaps(1000, 20) == LinkCaps(visitors_per_handle=1000, emails_per_visitor=20)
