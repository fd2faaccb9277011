"""The two cookies, set and cleared with the same words."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.model.consent import EarlierRefusal, Millis
from identity_service.model.shop import CookieRule
from identity_service.web.cookies import (
    MOST_TOKENS,
    clear_refusals,
    clear_visitor,
    earlier_refusal,
    read_cookies,
    set_refusal,
    set_visitor,
)

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


MINUTE = 60_000
NOW = Millis(1_795_000_000_250)
MINUTES = NOW // MINUTE


def test_the_refusal_cookie_tells_its_minute_and_nobody() -> None:
    words = f"refused.{MINUTES}; Max-Age=34560000; Path=/"
    assert set_refusal(HOST, NOW) == f"__Host-visitor-choice={words}; Secure; HttpOnly; SameSite=Lax"
    assert set_refusal(DOMAIN, NOW) == f"__Secure-visitor-choice={words}; Domain=shop.example; Secure; HttpOnly; SameSite=Lax"


@pytest.mark.parametrize("rule", [HOST, DOMAIN])
def test_a_refusal_is_cleared_with_the_words_it_was_set_with(rule: CookieRule) -> None:
    made, [cleared] = attributes(set_refusal(rule, NOW)), [attributes(one) for one in clear_refusals(rule, "")]
    assert made.pop("pair").partition("=")[0] == cleared.pop("pair").partition("=")[0]
    assert (made.pop("max-age"), cleared.pop("max-age")) == ("34560000", "0")
    assert made == cleared


def test_every_form_that_came_along_is_cleared() -> None:
    header = "visitor-choice=refused; __Host-visitor-choice=refused.1; x=1"
    names = [one.partition("=")[0] for one in clear_refusals(DOMAIN, header)]
    assert sorted(names) == ["__Host-visitor-choice", "__Secure-visitor-choice", "visitor-choice"]
    assert ["Domain=shop.example" in one for one in clear_refusals(DOMAIN, header)] == [True, False, False]


@pytest.mark.parametrize(
    ("header", "at", "minute"),
    [
        (f"__Host-visitor-choice=refused.{MINUTES - 10}", (MINUTES - 9) * MINUTE - 1, MINUTES - 10),
        (f"x=1; __Host-visitor-choice=refused.{MINUTES}; y", NOW, MINUTES),
        (f"__Host-visitor-choice=refused.{MINUTES + 60}", NOW, None),
        ("__Host-visitor-choice=refused.999999999999", NOW, None),
        ("__Host-visitor-choice=refused", NOW, None),
        ("__Host-visitor-choice=refused.x", NOW, None),
        ("__Host-visitor-choice=\xff", NOW, None),
        ("visitor-choice=refused", NOW, None),
        ("visitor-choice=refused.1", NOW, None),
        (f"__Host-visitor-choice=refused.{MINUTES - 10}; visitor-choice=refused", NOW, None),
        (
            f"__Host-visitor-choice=refused.{MINUTES - 10}; __Host-visitor-choice=refused.{MINUTES - 20}",
            (MINUTES - 9) * MINUTE - 1,
            MINUTES - 10,
        ),
    ],
)
def test_a_refusal_counts_at_the_end_of_its_minute_or_as_of_now(header: str, at: int, minute: int | None) -> None:
    assert earlier_refusal(HOST, header, NOW, 180) == EarlierRefusal(Millis(at), True, minute)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "visitor-choice=",
        "visitor-choice=granted",
        "visitor-choice=REFUSED",
        "xvisitor-choice=refused",
        "__Host-visitor-choice=",
        "__Secure-visitor-choice=refused.1",
    ],
)
def test_another_cookie_is_no_refusal(header: str) -> None:
    assert earlier_refusal(HOST, header, NOW, 180) is None


def test_a_spanning_refusal_is_read_where_the_shop_has_a_domain() -> None:
    assert earlier_refusal(DOMAIN, f"__Secure-visitor-choice=refused.{MINUTES}", NOW, 180) == EarlierRefusal(NOW, True, MINUTES)


def test_a_refusal_of_the_first_minute_there_is_refuses_nothing_any_more() -> None:
    assert earlier_refusal(HOST, "__Host-visitor-choice=refused.0", NOW, 180) == EarlierRefusal(Millis(MINUTE - 1), False, 0)


def test_a_refusal_refuses_for_its_days_and_is_known_after_them() -> None:
    for days, refuses in ((179, True), (181, False)):
        found = earlier_refusal(HOST, f"__Host-visitor-choice=refused.{MINUTES - days * 1440}", NOW, 180)
        assert found is not None
        assert found.refuses is refuses


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
