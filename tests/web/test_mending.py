"""JSON that the decoder would refuse as a whole for one value."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.web.mending import with_bounded_numbers, with_whole_texts

PARTS = ["\\ud83d", "\\ude00", "\\\\", '\\"', "a", "\\u0041", "\\n", "\\uD83D\\uDE00", "ü", "1", "{", "]"]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=6).map("".join)
NUMBERS = [f"{sign}{number}" for sign in ("", "-") for number in ("7", "1.5", "1" * 1_000, "1" * 1_001, "1" * 5_000)]
NUMBERS += [f"0.{'1' * 5_000}", f"{'1' * 5_000}.5", f"{'1' * 5_000}e3", f"12.{'1' * 5_000}"]


def blanked(value: Any) -> Any:
    """Texts with half a pair of surrogates as blanks."""
    if isinstance(value, str):
        return " " if any("\ud800" <= letter <= "\udfff" for letter in value) else value
    if isinstance(value, list):
        return [blanked(one) for one in value]
    return {blanked(name): blanked(one) for name, one in value.items()}


@given(TEXTS, TEXTS, TEXTS)
def test_only_a_text_with_half_an_emoji_becomes_a_blank(first: str, second: str, third: str) -> None:
    body = f'{{"a": ["{first}", {{"{second}": "x"}}], "b": "{third}"}}'
    assert json.loads(with_whole_texts(body.encode())) == blanked(json.loads(body))


@pytest.mark.parametrize("number", NUMBERS)
def test_only_a_whole_number_of_too_many_digits_becomes_one_beyond_all_limits(number: str) -> None:
    text = f'"a\\"{number}", "{number}"'
    mended = with_bounded_numbers(f'{{"a": [{number}, {text}], "b": {number}}}'.encode()).decode()
    whole = len(number.lstrip("-")) > 1_000 and number.lstrip("-").isdigit()
    shown = f"{'-' if number.startswith('-') else ''}1e9999" if whole else number
    assert mended == f'{{"a": [{shown}, {text}], "b": {shown}}}'
    assert not whole or abs(Decimal(shown)) > 10**999


@pytest.mark.parametrize(
    "raw", [b'"' * 9, b'"\\', b'"\\ud83d', b"\\ud83d", b'{"a": "\\ud83d', b"\\" * 9, b'\xff"\\ud8', b"", b"1" * 2_000, b"-" * 9]
)
def test_what_is_no_json_stays_none(raw: bytes) -> None:
    for mend in (with_whole_texts, with_bounded_numbers):
        mended = mend(raw)
        if mended != raw:
            assert mended in (b'" "', b'{"a": " "', b"1e9999", b'\xff" "', b"\\ud83d")
