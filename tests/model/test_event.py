"""What is stored of clicks and sales: types as sent, prices exact."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.model.event import Event, EventType, ProductId, Sale, SaleLine, clean_labels, without_emails

PRODUCTS = st.one_of(st.text(max_size=20), st.integers())


@given(PRODUCTS, st.integers(1, 10**6), st.none() | st.decimals(allow_nan=False, allow_infinity=False))
def test_a_line_survives_json_with_its_types_and_its_exact_price(product: ProductId, quantity: int, price: Decimal | None) -> None:
    stored = json.loads(json.dumps(SaleLine(product, quantity, price).stored()))
    assert (stored["id"], stored["quantity"]) == (product, quantity)
    assert type(stored["id"]) is type(product)
    assert (Decimal(stored["price"]) if "price" in stored else None) == price


@pytest.mark.parametrize("price", ["0.1", "99.95", "1E+2", "0", "-1.50", "12345678901234567890.12"])
def test_no_price_passes_through_a_float(price: str) -> None:
    assert Decimal(SaleLine(1, 1, Decimal(price)).stored()["price"]) == Decimal(price)
    assert "E" not in SaleLine(1, 1, Decimal(price)).stored()["price"]


def test_a_line_without_a_price_stores_none_and_counts_once() -> None:
    assert SaleLine("12").stored() == {"id": "12", "quantity": 1}
    assert SaleLine("12") != SaleLine(12)


def test_blank_and_repeated_labels_are_left_out() -> None:
    assert [clean_labels(labels) for labels in ([], [" ", "\t"], [" a", "a", "b "])] == [(), (), ("a", "b")]


@pytest.mark.parametrize("labels", [None, (), ("null",)])
@pytest.mark.parametrize("products", [(), (1, "]")])
@pytest.mark.parametrize("text", [None, "", ",null]"])
def test_an_event_is_shown_with_what_was_said(labels: tuple[str, ...] | None, products: tuple[ProductId, ...], text: str | None) -> None:
    event = Event(EventType.SEARCH, 1, products, labels, text=text, backtracked=True)
    said = {"products": products or None, "labels": labels, "text": text, "backtracked": True}
    assert event.members() == {"type": "search", "time": 1} | {name: value for name, value in said.items() if value is not None}


@pytest.mark.parametrize(
    "text",
    ["a@example.com", "find a.b+c@x.co now", "Mail%20a%40b.de", "<a@b>", "a@b,c@d", "a\uff20b.de", "a\ufe6bb.de", "a%EF%BC%A0b.de"],
)
def test_no_email_stays_in_text_that_people_and_templates_write(text: str) -> None:
    assert not {"a@", "a%40", "c@", "b.de"} & {part for part in ("a@", "a%40", "c@", "b.de") if part in without_emails(text)}
    assert "(email)" in without_emails(text)
    assert clean_labels([text]) == (without_emails(text),)
    assert without_emails("@home 50 % off") == "@home 50 % off"


def test_revenue_is_unit_price_times_quantity_and_exact() -> None:
    lines = (SaleLine(1, 3, Decimal("0.1")), SaleLine(2, 2, Decimal("33.333333333333333333")), SaleLine(3))
    assert Sale("1", lines, 7).revenue == Decimal("66.966666666666666666")


def test_a_sale_holds_its_lines_in_order_and_nothing_about_a_person() -> None:
    sale = Sale("567", (SaleLine(2), SaleLine(1)), 7)
    assert [line.product for line in sale.lines] == [2, 1]
    assert set(Sale.__dataclass_fields__) == {"sale", "lines", "time"}
