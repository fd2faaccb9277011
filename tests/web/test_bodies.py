"""Bodies as text: how deep they nest, at whatever length, and what of them would be refused for one value."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.errors import Malformed
from identity_service.web.bodies import NO_BRACKET, check_text, error_text, fit, mended
from identity_service.web.calls.visitors import ConsentsBody

DEPTH = 16
SHAPES = {
    "escaped quotes": (b"[]" * 17 + b'"', b'\\"', b""),
    "escaped quotes that end in a backslash": (b"[]" * 17 + b'"', b'\\"', b"\\"),
    "backslashes": (b"[" * 17 + b'"', b"\\\\", b""),
    "quotes": (b"[]" * 17, b'"', b""),
    "brackets": (b"", b"[]", b""),
    "opened brackets": (b"", b"[", b""),
    "objects in lists": (b"", b"[{", b""),
    "line breaks in an open text": (b"[]" * 17 + b'"', b"\\\n", b""),
}
PARTS = ["\\ud83d", "\\ude00", "\\\\", '\\"', "a", "\\u0041", "\\n", "\\uD83D\\uDE00", "ü", "1", "{", "]"]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=6).map("".join)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)
)


def nested(depth: int) -> bytes:
    return b'{"a":[' * (depth // 2) + b"[" * (depth % 2) + b'"[{\\"["' + b"]" * (depth % 2) + b"]}" * (depth // 2)


@pytest.mark.parametrize("depth", range(DEPTH + 4))
def test_a_body_may_nest_as_deep_as_it_may_and_no_deeper(depth: int) -> None:
    assert json.loads(nested(depth)) is not None
    if depth <= DEPTH:
        check_text(nested(depth), DEPTH)
    else:
        with pytest.raises(Malformed):
            check_text(nested(depth), DEPTH)


def depth_of(value: Any) -> int:
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 1 + max(map(depth_of, value.values()), default=0) if isinstance(value, dict) else 0


@given(
    st.recursive(VALUES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2), max_leaves=30)
)
def test_the_depth_is_that_of_the_value(value: Any) -> None:
    raw = json.dumps(value).encode()
    for most in (depth_of(value), depth_of(value) - 1):
        if most < depth_of(value) and raw.count(b"[") + raw.count(b"{") > max(most, 0):
            with pytest.raises(Malformed):
                check_text(raw, max(most, 0))
        elif most >= depth_of(value):
            check_text(raw, most)


@pytest.mark.parametrize("shape", SHAPES)
def test_no_byte_is_looked_at_twice(shape: str) -> None:
    """Whatever the bytes are: what is found in them stands side by side, and ends where they end or at a bracket."""
    before, repeated, after = SHAPES[shape]
    raw = before + repeated * 5_000 + after
    found, place = [one.span() for one in NO_BRACKET.finditer(raw)], 0
    for start, end in found:
        assert set(raw[place:start]) <= set(b"[]{}")
        place = end
    assert set(raw[place:]) <= set(b"[]{}")


@pytest.mark.parametrize("shape", SHAPES)
def test_an_open_text_is_one_piece(shape: str) -> None:
    before, repeated, after = SHAPES[shape]
    if before.endswith(b'"'):
        assert len(list(NO_BRACKET.finditer(before + repeated * 1_000 + after))) == 1


@given(TEXTS, TEXTS, TEXTS)
def test_only_half_an_emoji_becomes_the_replacement_character(first: str, second: str, third: str) -> None:
    body = f'{{"a": ["{first}", {{"{second}": "x"}}], "b": "{third}"}}'
    whole = re.sub("[\ud800-\udfff]", "\ufffd", json.dumps(json.loads(body), ensure_ascii=False))
    assert json.loads(mended(body.encode())) == json.loads(whole)


@pytest.mark.parametrize(
    ("number", "left"), [("7", "7"), ("1" * 1_000, "1" * 1_000), ("1" * 5_000, "1" * 1_000), ("0." + "1" * 5_000, "0." + "1" * 1_000)]
)
def test_digits_beyond_a_thousand_are_left_out(number: str, left: str) -> None:
    assert mended(f'[{number}, -{number}, "{number}"]'.encode()) == f'[{left}, -{left}, "{left}"]'.encode()


def test_of_a_body_that_does_not_fit_what_fits_is_taken() -> None:
    told_ = {"token": 5, "visitor": "v", "age_ms": "x", "consent": {"purposes": {"storage": "refused", "linking": 1}, "decided_at": "x"}}
    found = fit(ConsentsBody, told_ | {"client": {"ip": 7}, "nobody": 1})
    assert found == fit(ConsentsBody, {"visitor": "v", "consent": {"purposes": {"storage": "refused"}}, "client": {"ip": 7}})
    assert fit(ConsentsBody, {"consent": 5, "client": "x"}) == ConsentsBody()


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Object contains unknown field `dryrun`", "$.dryrun: not a documented member"),
        ("Object contains unknown field `luke@skywalker.com`", "$: not a documented value"),
        ("Object contains unknown field `x` - at `$.client`", "$.client.x: not a documented member"),
        ("Expected `str`, got `int` - at `$.token`", "$.token: Expected `str`, got `int`"),
    ],
)
def test_a_member_is_named_only_where_its_name_can_hold_nothing(message: str, shown: str) -> None:
    assert error_text(message) == shown
