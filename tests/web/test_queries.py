"""Queries and forms of tracking calls as the object that they mean."""

import json
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.errors import Invalid
from identity_service.web.bodies import MOST_FIELDS, as_json, form_as_json, is_form


def members(query: str) -> Any:
    return json.loads(as_json(parse_qsl(query, keep_blank_values=True)))


TWO = [{"id": "5", "price": "2"}, {"id": "6"}]


@pytest.mark.parametrize(
    "query",
    [
        "products[0][id]=5&products[0][price]=2&products[1][id]=6",
        "products%5B0%5D%5Bid%5D=5&products%5B0%5D%5Bprice%5D=2&products%5B1%5D%5Bid%5D=6",
        "products[1][id]=6&products[0][price]=2&products[0][id]=5",
        "products[3][id]=5&products[3][price]=2&products[70][id]=6",
        "products[][id]=5&products[][price]=2&products[][id]=6",
        'products=[{"id":"5","price":"2"},{"id":"6"}]',
    ],
)
def test_products_are_read_however_they_are_nested(query: str) -> None:
    assert members(query)["products"] == TWO


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ("labels[0]=a&labels[1]=b", ["a", "b"]),
        ("labels[1]=b&labels[0]=a", ["a", "b"]),
        ("labels[]=a&labels[]=b", ["a", "b"]),
        ("labels=a&labels=b", ["a", "b"]),
        ('labels=["a","b"]', ["a", "b"]),
        ("labels=a&labels[0]=b", ["a", "b"]),
        ("labels[0]=", [None]),
        ('labels=["a","b"]&labels[0]=c&labels=d', ["a", "b"]),
    ],
)
def test_labels_are_read_however_they_are_listed(query: str, labels: list[str]) -> None:
    assert members(query) == {"labels": labels}


def test_nothing_in_a_nested_member_is_null() -> None:
    assert members("products[0][id]=null&products[0][price]=&products[1]=undefined") == {"products": [{"id": None, "price": None}, None]}


def test_a_line_that_is_an_id_and_an_object_is_what_came_first() -> None:
    assert members("products[0]=5&products[0][id]=6&products[1][id]=7&products[1]=8") == {"products": ["5", {"id": "7"}]}


@pytest.mark.parametrize(
    "name", ["products[0][id][x]", "products[x][id]", "products[0", "other[0][id]", "products[9999999999][id]", "key[0]"]
)
def test_other_names_stay_as_they_are(name: str) -> None:
    assert members(f"{name}=5") == {name: "5"}


@pytest.mark.parametrize(
    "raw", [b"key=k", b"&key=k&sale=1", b" key=k", b"products%5B0%5D%5Bid%5D=5", b"products[0][id]=5", b"a=", b"a.b=1"]
)
def test_a_form_is_known_by_its_content(raw: bytes) -> None:
    assert is_form(raw)


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b' {"a":"b=c"}', b'["a=b"]', b'"a=b"', b"[1]", b"null", b"12", b"a", b"=", b"\xff=1", b"<a b=1>"]
)
def test_json_and_junk_are_no_form(raw: bytes) -> None:
    assert not is_form(raw)


def test_a_form_has_a_bounded_number_of_fields() -> None:
    assert form_as_json(b"a=&" * (MOST_FIELDS - 1)) == b'{"a":""}'
    with pytest.raises(Invalid):
        form_as_json(b"a=&" * MOST_FIELDS)


NAMES = ["products", "labels", "products[]", "labels[]", "products[0]", "products[0][id]", "products[][id]", "labels[2]", "sale"]
VALUES = st.one_of(st.text(max_size=8), st.sampled_from(["[1]", "{}", "[", "null", '{"0": 1}']))


@given(st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=8))
def test_any_query_is_an_object_or_refused(pairs: list[tuple[str, str]]) -> None:
    try:
        found = json.loads(form_as_json(urlencode(pairs, errors="replace").encode()))
    except Invalid:
        return
    assert found.keys() <= {"products", "labels", "sale"}
