"""The US Privacy string: every string of its alphabet, and everything else."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.signals.gpp import us_privacy_opt_out


@pytest.mark.parametrize("choices", list(itertools.product("YN-", repeat=3)))
def test_every_valid_string_is_read_by_its_third_character(choices: tuple[str, ...]) -> None:
    assert us_privacy_opt_out("1" + "".join(choices)) is {"Y": True, "N": False}.get(choices[1])


def test_a_string_that_does_not_apply_says_nothing() -> None:
    assert us_privacy_opt_out("1---") is None


@pytest.mark.parametrize(
    "text",
    ["", "1", "1Y", "1YY", "1YYNN", "1YYN\n", "\n1YYN", " 1YYN", "1 YN", "1yyn", "1YyN", "2YYN", "0YYN", "YYNN", "1XYN", "1YZN", "1YYX"],
)
def test_what_is_no_privacy_string_is_absent(text: str) -> None:
    assert us_privacy_opt_out(text) is None


@pytest.mark.parametrize("text", ["١YYN", "1ＹYN", "1YY–", "%31YYN", '{"uspString":"1YYN"}', "1YYN" * 5000])
def test_what_only_looks_like_a_privacy_string_is_absent(text: str) -> None:
    assert us_privacy_opt_out(text) is None


@given(st.text() | st.text("1YN-yn2", max_size=5))
def test_any_text_gets_an_answer(text: str) -> None:
    answer = us_privacy_opt_out(text)
    assert answer is None or (len(text) == 4 and text[2] == ("Y" if answer else "N"))
