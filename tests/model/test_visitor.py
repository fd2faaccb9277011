"""Visitor IDs: random ones, callers' own, and the mode a record stands for."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.errors import Invalid
from identity_service.model.consent import Millis
from identity_service.model.visitor import NEVER_AN_ID, GoneMark, Kind, Mode, VisitorRecord, VisitorState, new_visitor_id, own_visitor_id

ALPHABET = string.ascii_letters + string.digits + "_.-"


def record(kind: Kind, emails: int = 0) -> VisitorRecord:
    return VisitorRecord(kind, 1, 2, 3, None, False, emails)


def test_a_new_id_is_128_bits_in_22_characters_of_the_asked_randomness() -> None:
    asked: list[int] = []

    def random_text(size: int) -> str:
        asked.append(size)
        return "text"

    assert new_visitor_id(random_text) == "text"
    assert asked == [16]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", new_visitor_id()) for _ in range(100))


def test_ten_thousand_new_ids_are_all_different_and_all_usable_as_own_ids() -> None:
    made = {new_visitor_id() for _ in range(10_000)}
    assert len(made) == 10_000
    assert all(own_visitor_id(visitor) == visitor for visitor in made)


@given(st.text(ALPHABET, min_size=1, max_size=64))
def test_an_own_id_is_kept_byte_for_byte_or_refused_as_a_word(text: str) -> None:
    if text.lower() in NEVER_AN_ID:
        with pytest.raises(Invalid):
            own_visitor_id(text)
    else:
        assert own_visitor_id(text) == text


@given(st.text(max_size=80))
def test_any_text_is_kept_or_refused_and_nothing_else_happens(text: str) -> None:
    allowed = 1 <= len(text) <= 64 and set(text) <= set(ALPHABET) and text.lower() not in NEVER_AN_ID
    try:
        assert own_visitor_id(text) == text
        assert allowed
    except Invalid:
        assert not allowed


@pytest.mark.parametrize("word", sorted(NEVER_AN_ID))
@pytest.mark.parametrize("spelled", [str.lower, str.upper, str.capitalize])
def test_words_that_scripts_send_by_mistake_are_no_ids(word: str, spelled: object) -> None:
    with pytest.raises(Invalid):
        own_visitor_id(spelled(word) if callable(spelled) else word)


@pytest.mark.parametrize("text", ["a\n", "\na", "a\0", "a/b", "a:b", "{a}", "a*", "a%20", "\u0430bc", "\uff41", "\ud800", "a" * 65])
def test_what_could_break_a_key_a_cookie_or_a_line_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        own_visitor_id(text)
    assert len(text) < 3 or text not in refused.value.detail


def test_a_record_knows_its_mode_and_whether_people_share_it() -> None:
    assert [record(kind).mode for kind in Kind] == [Mode.COOKIELESS, Mode.COOKIELESS, Mode.PERSISTENT]
    assert [record(Kind.CHOSEN, emails).shared for emails in range(3)] == [False, False, True]
    assert VisitorState(None, None).record is None


def test_a_mark_yields_once_it_waits_for_no_cookie_and_stops_what_was_issued_before() -> None:
    at = Millis(90_500)
    assert [GoneMark(at, awaited, 90).yields for awaited in (None, (1,), ())] == [False, False, True]
    assert [GoneMark(at, awaited, 90).stops(91) for awaited in (None, (1,), ())] == [True, True, False]
    assert [GoneMark(at, (), 90).stops(issued_at) for issued_at in (0, 89, 90, 91)] == [True, True, True, False]
    assert [VisitorState(None, mark).gone_at for mark in (None, GoneMark(at), GoneMark(at, ()))] == [None, at, at]
