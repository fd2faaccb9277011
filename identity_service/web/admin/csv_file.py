"""Tables as CSV files for spreadsheets: UTF-8 with a byte order mark, as Excel expects it.

A spreadsheet executes a cell that begins like a formula, and callers choose much of what a shop stores. Such text gets an apostrophe before
it (OWASP, "CSV Injection"). Numbers stay numbers.

Where the list separator is a semicolon, as in German or Danish, Excel begins a cell after each one outside of its own quotes. Quotes do not
prevent that, since only those at the beginning of such a cell count. So the apostrophe is set within text, too. A first line `sep=,` would
set the comma, but then Excel ignores the byte order mark and reads UTF-8 as its old encoding.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

from identity_service.web.admin.pages import saved_as
from identity_service.web.call import Reply

Cell = str | int | Decimal | bool | None
SIGN = r'[ "]*[=+\-@\uff1d\uff0b\uff0d\uff20]'
"""The last four signs are full-width forms of the first four."""
FORMULA = re.compile(rf" *[\t\r\n]|{SIGN}")
SEPARATED_FORMULA = re.compile(rf"[;\t\r\n](?={SIGN})")
"""What may separate cells, before a formula."""


def csv_reply(name: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Reply:
    """`name`: of the file, without its ending."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    writer.writerows([_cell(one) for one in row] for row in rows)
    return Reply(text.getvalue().encode("utf-8-sig"), media="text/csv; charset=utf-8", headers=[saved_as(f"{name}.csv")])


def _cell(value: Cell) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        text = SEPARATED_FORMULA.sub(r"\g<0>'", value)
        return f"'{text}" if FORMULA.match(value) else text
    return "" if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)
