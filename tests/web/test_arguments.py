"""What is read of a tracking call's arguments, what is mended, and what is named."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from identity_service.errors import Invalid
from identity_service.model.event import MOST_LINES, SaleLine
from identity_service.model.shop import ProductIds
from identity_service.web.calls.arguments import (
    LARGEST_PRICE,
    LONGEST,
    MOST_NAMES,
    MOST_PIECES,
    IdRule,
    Unread,
    email_text,
    exact_number,
    handle_text,
    label_texts,
    number_within,
    pieces,
    product_id,
    sale_id,
    sale_lines,
    unit_price,
    visitor_text,
    whole_number,
)

ANY = IdRule(ProductIds.ANY)
TOKEN = "1p.AAAAAAAAAAAAAAAAAAAAAA.aw1sWg." + "A" * 43
decode = msgspec.json.Decoder(float_hook=exact_number).decode

NUMBERS: list[tuple[str, str | None]] = [
    ("2", "2"),
    ("2.0", "2.0"),
    ("0.1", "0.1"),
    ("-3.10", "-3.10"),
    ("1e2", "1E+2"),
    ("-0.0", "0.0"),
    ("0e-999999", "0"),
    ("0e999999", "0"),
    ("66.6666666666666714036182384006679058074951171875", "66.66666666666667140361823840"),
    ("0.01000000000000000020816681711721685132943093776702880859375", "0.01000000000000000020816681712"),
    ("1e-28", "1E-28"),
    ("1e-29", None),
    ("1e-999999", None),
    ("1e999999", None),
    ("1e99999999999999999999", None),
    ("1000", "1000"),
    ("1000.0000000000000000000000000000001", None),
    ("-1001", None),
    ("9" * 4_000, None),
    ('"2"', "2"),
    ('" \\t2.50\\r\\n"', "2.50"),
    ('"+.5"', "0.5"),
    ('"5."', "5"),
    ('"1e2"', "1E+2"),
    ('"1E-028"', "1E-28"),
    ('"1e29"', None),
    ('"100000e-29"', None),
    ('""', None),
    ('" "', None),
    ('"."', None),
    ('"1_000"', None),
    ('"1,5"', None),
    ('"1 000"', None),
    ('"1.2.3"', None),
    ('"--1"', None),
    ('"0x10"', None),
    ('"\u0663"', None),
    ('"\uff11"', None),
    ('"\u00a02"', None),
    ('"2\\u0000"', None),
    ('"NaN"', None),
    ('"Infinity"', None),
    ("true", None),
    ("false", None),
    ("null", None),
    ("[1]", None),
    ("{}", None),
]


@pytest.mark.parametrize(("sent", "read"), NUMBERS)
def test_a_number_is_read_exactly_or_not_at_all(sent: str, read: str | None) -> None:
    found = number_within(decode(sent), 1_000)
    assert (None if found is None else str(found)) == read


def test_a_long_text_is_read_in_no_time() -> None:
    for text in ("1" * 32_000 + "x", "1e" + "0" * 32_000 + "x", "." * 32_000, " " * 32_000 + "1" + " " * 32_000 + "x"):
        assert number_within(text, 10) is None


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("2", 2),
        ("2.0", 2),
        ("-1E1", -10),
        ("2.5", None),
        ("true", None),
        ('"2"', None),
        ("null", None),
        ("1e99999999999999999999", None),
        ("1e254", 10**254),
        ("1e255", None),
        ("1e999999", None),
        ("1e-999999", None),
        ("9" * 255, 10**255 - 1),
        ("9" * 256, None),
    ],
)
def test_a_whole_number_may_have_a_point(sent: str, read: int | None) -> None:
    found = whole_number(decode(sent))
    assert found == read
    assert found is None or type(found) is int


@pytest.mark.parametrize(("sent", "read"), [("7", "7"), ("007", "007"), (7, "7"), (Decimal("7.0"), "7"), (0, "0"), (" A 1 ", " A 1 ")])
def test_a_sale_id_is_text(sent: Any, read: str) -> None:
    assert sale_id(sent, "sale") == read


@pytest.mark.parametrize("junk", ["undefined", "NULL", "NaN", "None", " None ", "[object Object]", "False", "", " \n", "x" * 256])
def test_a_word_in_place_of_a_sale_id_is_refused(junk: str) -> None:
    with pytest.raises(Invalid, match="Argument: order"):
        sale_id(junk, "order")


@pytest.mark.parametrize("junk", [None, UNSET, True, False, [], ["1"], {}, Decimal("1.5"), Decimal("NaN"), 10**300])
def test_what_is_no_sale_id_is_refused(junk: Any) -> None:
    with pytest.raises(Invalid, match="Argument: sale"):
        sale_id(junk, "sale")


@pytest.mark.parametrize(
    ("wanted", "untyped", "sent", "read"),
    [
        (ProductIds.ANY, False, "00123", "00123"),
        (ProductIds.ANY, False, 12, 12),
        (ProductIds.ANY, False, Decimal("12.0"), 12),
        (ProductIds.INTEGER, False, 2**60 + 1, 2**60 + 1),
        (ProductIds.INTEGER, True, "12", 12),
        (ProductIds.STRING, True, 12, "12"),
        (ProductIds.STRING, False, "12", "12"),
    ],
)
def test_a_product_id_is_kept_as_it_is_sent(wanted: ProductIds, untyped: bool, sent: Any, read: int | str) -> None:
    found = product_id(sent, IdRule(wanted, untyped), "product")
    assert (found, type(found)) == (read, type(read))


@pytest.mark.parametrize("sent", [None, UNSET, "", "  ", True, [], {}, Decimal("1.5"), Decimal("NaN"), "x" * 256, 10**300])
@pytest.mark.parametrize("wanted", list(ProductIds))
def test_what_is_no_product_id_is_none(wanted: ProductIds, sent: Any) -> None:
    assert product_id(sent, IdRule(wanted), "product") is None


@pytest.mark.parametrize(
    ("wanted", "untyped", "sent"),
    [
        (ProductIds.INTEGER, False, "5"),
        (ProductIds.STRING, False, 5),
        (ProductIds.INTEGER, True, "A5"),
        (ProductIds.INTEGER, True, "\u0665"),
    ],
)
def test_an_id_of_another_type_than_the_shops_is_refused(wanted: ProductIds, untyped: bool, sent: Any) -> None:
    with pytest.raises(Invalid, match="Argument: products"):
        product_id(sent, IdRule(wanted, untyped), "products")


@pytest.mark.parametrize(
    ("sent", "read"),
    [(None, 1), (UNSET, 1), (0, 0), ("2", 2), (Decimal("2.0"), 2), ("0.50", Decimal("0.50")), (-MOST_PIECES, -MOST_PIECES)],
)
def test_pieces_are_whole_where_they_can_be(sent: Any, read: Any) -> None:
    unread = Unread()
    found = pieces(sent, "quantity", unread)
    assert (found, type(found), unread.names) == (read, type(read), [])


@pytest.mark.parametrize("sent", ["two", "", True, [], MOST_PIECES + 1, -MOST_PIECES - 1])
def test_pieces_that_cannot_be_read_are_one_and_named(sent: Any) -> None:
    unread = Unread()
    assert (pieces(sent, "quantity", unread), unread.names) == (1, ["quantity"])


def test_a_price_is_known_or_named() -> None:
    unread = Unread()
    assert [unit_price(sent, "a", unread) for sent in (None, 0, "9.50", -LARGEST_PRICE)] == [None, 0, Decimal("9.50"), -LARGEST_PRICE]
    assert unread.names == []
    assert [unit_price(sent, "b", unread) for sent in ("99,95", LARGEST_PRICE + 1)] == [None, None]
    assert unread.names == ["b"]


LINES: list[tuple[Any, SaleLine, list[str]]] = [
    (5, SaleLine(5), []),
    ("5", SaleLine("5"), []),
    (None, SaleLine(None), ["products[0]"]),
    ([5], SaleLine(None), ["products[0]"]),
    (True, SaleLine(None), ["products[0]"]),
    ({}, SaleLine(None), ["products[0].id"]),
    ({"id": 5, "other": {"id": 6}}, SaleLine(5), []),
    ({"id": "", "price": "1"}, SaleLine(None, 1, Decimal(1)), ["products[0].id"]),
    ({"id": 5, "quantity": 2, "qty": "x"}, SaleLine(5, 2), []),
    ({"id": 5, "quantity": None, "qty": "3"}, SaleLine(5, 3), []),
    ({"id": 5, "quantity": 0, "qty": 3}, SaleLine(5, 0), []),
    ({"id": 5, "quantity": "x", "qty": 3}, SaleLine(5, 1), ["products[0].quantity"]),
    ({"id": 5, "qty": "x", "price": "x"}, SaleLine(5, 1), ["products[0].qty", "products[0].price"]),
]


@pytest.mark.parametrize(("sent", "read", "named"), LINES)
def test_a_line_is_kept_as_far_as_it_can_be_read(sent: Any, read: SaleLine, named: list[str]) -> None:
    unread = Unread()
    assert sale_lines([sent], ANY, unread) == (read,)
    assert unread.names == named


def test_an_object_with_numeric_keys_is_a_list_in_their_order() -> None:
    unread = Unread()
    found = sale_lines({"10": 3, "2": {"id": 2, "price": "x"}, "0": 1}, ANY, unread)
    assert ([line.product for line in found], unread.names) == ([1, 2, 3], ["products[1].price"])
    assert sale_lines({}, ANY, unread) == sale_lines([], ANY, unread) == ()


@pytest.mark.parametrize("sent", [None, UNSET, "[5]", 5, True, {"id": 5}, {"0": 1, "-1": 2}, {"\u0660": 1}, {"1" * 5_000: 1}])
def test_products_that_are_no_list_are_refused(sent: Any) -> None:
    with pytest.raises(Invalid, match="Argument: products"):
        sale_lines(sent, ANY, Unread())


def test_lines_beyond_the_most_are_named_once() -> None:
    unread = Unread()
    assert len(sale_lines([5] * (MOST_LINES + 9), ANY, unread)) == MOST_LINES
    assert unread.names == [f"products[{MOST_LINES}]"]


def test_names_are_few_and_each_is_there_once() -> None:
    unread = Unread()
    sale_lines([None] * 100, ANY, unread)
    unread.add("products[0]")
    assert unread.names == [f"products[{at}]" for at in range(MOST_NAMES)]


@pytest.mark.parametrize("sent", [None, UNSET, False, "", []])
def test_an_empty_email_or_customer_is_none(sent: Any) -> None:
    assert handle_text(sent) is email_text(sent) is None


@pytest.mark.parametrize(
    ("sent", "customer", "email"),
    [
        (0, "0", None),
        (Decimal("0.0"), "0", None),
        (12, "12", ""),
        (Decimal("12.0"), "12", ""),
        (Decimal("1.5"), "", ""),
        (True, "", ""),
        ("a@b.example", "a@b.example", "a@b.example"),
        ("0", "0", "0"),
        ({}, "", ""),
        (["a"], "", ""),
        (Decimal("NaN"), "", ""),
    ],
)
def test_a_customer_may_be_a_whole_number_and_an_email_may_not(sent: Any, customer: str, email: str | None) -> None:
    assert (handle_text(sent), email_text(sent)) == (customer, email)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (None, None),
        (UNSET, UNSET),
        ("auto", "auto"),
        ("persistent", "persistent"),
        ("v-1", "v-1"),
        (12, "12"),
        (Decimal("12.0"), "12"),
        (TOKEN, TOKEN),
        ("x" * 64, "x" * 64),
    ],
)
def test_a_visitor_is_none_a_word_a_token_or_an_id(sent: Any, read: Any) -> None:
    unread = Unread()
    assert visitor_text(sent, "visitor", unread) == read
    assert unread.names == []


@pytest.mark.parametrize(
    "sent",
    [
        "undefined",
        "null",
        "None",
        "NaN",
        "false",
        "",
        " ",
        "a b",
        "x" * 65,
        "0",
        TOKEN + "A" * 40,
        0,
        -1,
        True,
        False,
        [],
        {},
        ["a"],
        Decimal("1.5"),
    ],
)
def test_what_can_be_no_visitor_is_absent_and_named(sent: Any) -> None:
    unread = Unread()
    assert visitor_text(sent, "visitor", unread) is UNSET
    assert unread.names == ["visitor"]


LONG = "w" * LONGEST


@pytest.mark.parametrize(
    ("sent", "read", "named"),
    [
        (None, None, []),
        (UNSET, None, []),
        ("Home", ("Home",), []),
        ("", (), []),
        ([], (), []),
        ([" Home ", "Home", " "], ("Home",), []),
        ([7, "Home", None], ("Home",), ["labels[0]", "labels[2]"]),
        ([7], (), ["labels[0]"]),
        (7, None, ["labels"]),
        ({"a": "b"}, None, ["labels"]),
        (False, None, ["labels"]),
        ([LONG + "w", "Home"], ("Home",), ["labels[0]"]),
        ([f"l{number}" for number in range(22)], tuple(f"l{number}" for number in range(20)), ["labels[20]"]),
        ([f"{number}{LONG[1:]}" for number in range(9)], tuple(f"{number}{LONG[1:]}" for number in range(3)), ["labels"]),
    ],
)
def test_labels_are_the_texts_among_them(sent: Any, read: tuple[str, ...] | None, named: list[str]) -> None:
    unread = Unread()
    assert label_texts(sent, unread) == read
    assert unread.names == named


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "quantity", "qty", "price", "0"]), inner),
    max_leaves=9,
)


@given(JSON)
def test_nothing_that_is_sent_is_ever_a_fault_or_repeated(sent: Any) -> None:
    unread = Unread()
    [line] = sale_lines([sent], ANY, unread)
    assert -MOST_PIECES <= line.quantity <= MOST_PIECES
    assert line.revenue.is_finite()
    assert len(f"{line.revenue:f}") < 200
    for read in (handle_text(sent), email_text(sent), visitor_text(sent, "visitor", unread), label_texts(sent, unread)):
        assert read is None or read is UNSET or isinstance(read, str | tuple)
    allowed = {"visitor", "labels", "products[0]", *(f"products[0].{name}" for name in ("id", "quantity", "qty", "price"))}
    assert {name for name in unread.names if not name.startswith("labels[")} <= allowed
