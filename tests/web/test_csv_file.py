"""CSV files of the admin pages: no cell is a formula, and numbers stay numbers."""

import csv
import io
from decimal import Decimal

import pytest

from identity_service.web.admin.csv_file import Cell, csv_reply


def rows_of(*rows: list[Cell]) -> list[list[str]]:
    body: bytes = csv_reply("orders", ("a", "b"), rows).body
    return list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline="")))[1:]


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "＝", "＋", "－", "＠"])
def test_text_that_begins_like_a_formula_is_quoted(begin: str) -> None:
    text = f'{begin}HYPERLINK("http://evil.example","x"),"'
    assert rows_of([text, "plain"]) == [[f"'{text}", "plain"]]


@pytest.mark.parametrize("separator", [";", "\t", "\r", "\n"])
@pytest.mark.parametrize("begin", ["=", "+", "-", "@", " =", '"=', '"" "=', "＝", "＠"])
def test_a_formula_after_what_may_separate_cells_is_quoted(separator: str, begin: str) -> None:
    """Such as the semicolon, by which Excel separates cells in German or Danish."""
    assert rows_of([f"a{separator}{begin}1+1;b{separator}{begin}1", "plain"]) == [
        [f"a{separator}'{begin}1+1;b{separator}'{begin}1", "plain"],
    ]


def test_every_cell_is_quoted() -> None:
    assert csv_reply("orders", ("a", "b"), [["x", 1], [None, True]]).body.decode("utf-8-sig") == '"a","b"\r\n"x","1"\r\n"","yes"\r\n'


def test_other_values_are_written_as_they_are() -> None:
    values: list[Cell] = [Decimal("-12.50"), -3, True, False, None, "a=b", 'quote " and, comma', "two\nlines", "a; b", "a;b;1"]
    assert rows_of(values) == [["-12.50", "-3", "yes", "no", "", "a=b", 'quote " and, comma', "two\nlines", "a; b", "a;b;1"]]


def test_the_file_is_named_and_read_by_spreadsheets() -> None:
    reply = csv_reply("orders", ("order",), [["é"]])
    assert reply.body.startswith(b'\xef\xbb\xbf"order"\r\n')
    assert dict(reply.headers) == {b"content-disposition": b'attachment; filename="orders.csv"'}
    assert reply.media == "text/csv; charset=utf-8"
