"""The two cookies, set and cleared with the same words."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.shop import CookieRule
from identity_service.web.cookies import MOST_TOKENS, clear_refusal, clear_visitor, read_cookies, set_refusal, set_visitor

HOST = CookieRule("__Host-visitor")
DOMAIN = CookieRule("__Secure-v", "shop.example")
NAME = HOST.name


def attributes(cookie: str) -> dict[str, str]:
    first, *rest = cookie.split("; ")
    return {"pair": first} | {name.lower(): value for name, _, value in (part.partition("=") for part in rest)}


def test_the_visitor_cookie_is_the_documented_one() -> None:
    assert set_visitor(HOST, "1p.v.t.s", 33_696_000) == "__Host-visitor=1p.v.t.s; Max-Age=33696000; Path=/; Secure; HttpOnly; SameSite=Lax"
    wanted = "__Secure-v=1p.v.t.s; Max-Age=60; Path=/; Domain=shop.example; Secure; HttpOnly; SameSite=Lax"
    assert set_visitor(DOMAIN, "1p.v.t.s", 60) == wanted


@pytest.mark.parametrize("rule", [HOST, DOMAIN])
def test_it_is_cleared_with_the_words_it_was_set_with(rule: CookieRule) -> None:
    made, cleared = attributes(set_visitor(rule, "token", 60)), attributes(clear_visitor(rule))
    assert cleared.pop("pair") == f"{rule.name}="
    assert made.pop("pair") == f"{rule.name}=token"
    assert cleared.pop("max-age") == "0"
    assert made.pop("max-age") == "60"
    assert made == cleared


def test_a_host_cookie_keeps_the_rules_of_its_prefix() -> None:
    made = attributes(set_visitor(HOST, "token", 60))
    assert "domain" not in made
    assert (made["path"], made["secure"], made["samesite"]) == ("/", "", "Lax")
    assert "httponly" in made


def test_the_refusal_cookie_identifies_nobody_and_is_cleared_alike() -> None:
    assert set_refusal(180) == "visitor-choice=refused; Max-Age=15552000; Path=/; Secure; SameSite=Lax"
    made, cleared = attributes(set_refusal(180)), attributes(clear_refusal())
    assert (made.pop("pair"), cleared.pop("pair")) == ("visitor-choice=refused", "visitor-choice=")
    assert (made.pop("max-age"), cleared.pop("max-age")) == ("15552000", "0")
    assert made == cleared


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ("", ()),
        ("__Host-visitor=a", ("a",)),
        ("x=1; __Host-visitor=a; y=2", ("a",)),
        ("x=1;__Host-visitor=a;y=2", ("a",)),
        ('__Host-visitor="a"', ("a",)),
        ("__Host-visitor=a; __Host-visitor=b", ("a", "b")),
        ("__Host-visitor=", ()),
        ("__Host-visitor", ()),
        ("__host-visitor=a", ()),
        ("__Host-visitor2=a", ()),
        ("a__Host-visitor=a", ()),
        ("__Host-visitor=a=b=", ("a=b=",)),
        (";;; =; bad; \x00=1; __Host-visitor=a; {", ("a",)),
        ('x="unclosed; __Host-visitor=a', ("a",)),
        ("; ".join(f"__Host-visitor={number}" for number in range(9)), ("0", "1", "2", "3")),
    ],
)
def test_a_cookie_is_found_beside_any_neighbours(header: str, values: tuple[str, ...]) -> None:
    assert read_cookies(header, NAME) == values


@given(st.text(max_size=200))
def test_no_header_can_break_the_reading(header: str) -> None:
    assert len(read_cookies(header, NAME)) <= MOST_TOKENS


@given(st.lists(st.from_regex(r"[a-z]{1,5}=[^;\s]{0,8}", fullmatch=True).filter(lambda pair: "visitor" not in pair), max_size=5), st.data())
def test_what_was_set_is_read_again(neighbours: list[str], data: st.DataObject) -> None:
    pair = re.split(r";", set_visitor(HOST, "1p.abc.t.s", 60))[0]
    place = data.draw(st.integers(0, len(neighbours)))
    assert read_cookies("; ".join([*neighbours[:place], pair, *neighbours[place:]]), NAME) == ("1p.abc.t.s",)
