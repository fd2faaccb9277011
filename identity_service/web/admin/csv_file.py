"""Tables as CSV files for spreadsheets: UTF-8 with a byte order mark, as Excel expects it.

A spreadsheet executes a cell that begins like a formula, and callers choose much of what a shop stores. Such text gets an apostrophe before
it (OWASP, "CSV Injection"). Numbers stay numbers.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal

from identity_service.web.admin.pages import saved_as
from identity_service.web.call import Reply

Cell = str | int | Decimal | bool | None
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First characters of a formula. The last four are full-width forms of the first four."""


def csv_reply(name: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Reply:
    """`name`: of the file, without its ending."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_cell(one) for one in row] for row in rows)
    return Reply(text.getvalue().encode("utf-8-sig"), media="text/csv; charset=utf-8", headers=[saved_as(f"{name}.csv")])


def _cell(value: Cell) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return f"'{value}" if value.lstrip(" ").startswith(FORMULA) else value
    return "" if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)
