"""Pages of lists: every entry once, whatever comes in front meanwhile."""

from base64 import urlsafe_b64encode
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.errors import Invalid
from identity_service.web.lists import keys_of_times, number, page_of

TIMES = st.lists(st.integers(0, 6), max_size=30).map(lambda times: sorted(times, reverse=True))


def whole(entries: list[int], limit: int) -> list[int]:
    found: list[int] = []
    cursor: str | None = None
    while True:
        shown, cursor = page_of(entries, keys_of_times(entries), cursor, limit)
        assert len(shown) <= limit
        found += shown
        if cursor is None:
            return found


@given(TIMES, st.integers(1, 9))
def test_pages_together_are_the_list(times: list[int], limit: int) -> None:
    assert whole(times, limit) == times


@given(TIMES, st.integers(1, 9), st.integers(0, 9))
def test_what_comes_in_front_moves_no_later_page(times: list[int], limit: int, newer: int) -> None:
    shown, cursor = page_of(times, keys_of_times(times), None, limit)
    more = [(times or [0])[0]] * newer + times
    if cursor:
        assert page_of(more, keys_of_times(more), cursor, 100)[0] == times[len(shown) :]


def test_a_page_that_ends_the_list_has_no_next() -> None:
    assert page_of([3, 2], keys_of_times([3, 2]), None, 2) == ([3, 2], None)
    assert page_of([], [], None, 5) == ([], None)


@pytest.mark.parametrize("key", [b'["a","b"]', b"[1", b"{}", b"[1.5]", b"[null]", b"\xff", b'[-3,"x"]'])
def test_a_cursor_of_something_else_is_refused(key: bytes) -> None:
    with pytest.raises(Invalid):
        page_of([3, 2], keys_of_times([3, 2]), urlsafe_b64encode(key).decode(), 1)


@given(st.text(max_size=40))
def test_any_cursor_is_read_or_refused(cursor: str) -> None:
    with suppress(Invalid):
        page_of([3, 2], keys_of_times([3, 2]), cursor, 1)


@pytest.mark.parametrize("limit", ["0", "-1", "", "x", "11", "1e1", "\u0661", "99999999999999999999"])
def test_a_limit_is_a_number_within_its_bounds(limit: str) -> None:
    assert number({"limit": "10"}, "limit", 5, 10) == 10
    assert number({}, "limit", 5, 10) == 5
    with pytest.raises(Invalid):
        number({"limit": limit}, "limit", 5, 10)
