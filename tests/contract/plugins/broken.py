"""Sales as plugins send them, broken at one to four members, in every encoding that a plugin has; and what is to be read of each.

Everything of one try follows from its number, so a try that fails can be played again alone.
"""

import json
import re
from copy import deepcopy
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from random import Random
from typing import Any
from urllib.parse import quote_plus

from tests.contract.plugins.requests import EMAIL, KEY, TEMPLATES, line

FORGED = "1p.AAAAAAAAAAAAAAAAAAAAAA.aw1sWg." + "A" * 43
NUMERIC = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
EXPONENT = re.compile(r"[eE][+-]?0*(\d+)$")
SIMPLE = re.compile(r"\w{1,40}", re.ASCII)
TOP = ("email", "customer", "visitor", "clerk_visitor", "currency", "labels", "markup")
OF_A_LINE = ("id", "quantity", "qty", "price", "name", "variant")
MOST_LINES = 1_000
LONGEST_QUERY = 16_000
"""Bytes. What is longer goes as a form."""


class Number(str):
    """A JSON number, exactly as it is written."""

    __slots__ = ()


KINDS: list[dict[str, Any]] = [
    {"products": [line("4", "1.0000", "9.5000")]},
    {"products": [line(7, Number("2.0"), Number("66.6666666666666714036182384006679058074951171875"))]},
    {"products": [line("coat", 1, 100), line("voucher", 1, -3.1), line("coat", -1, 100)]},
    {"products": [line("a", 0, 5), line("b", Number("0.25"), "0.1"), {"id": "c", "qty": "3", "price": 10}]},
    {"products": [line("a", "two pieces", 5), line("b", 1, "99,95"), line("c", 1, "1_000"), {"id": "d"}]},
    {"products": [line(None, 1, 10), line("", 1, 2), {"price": 4}, None, "p-1", 5]},
    {"products": {"0": line("a", 1, 5), "3": line("b", 2, 7), "12": "c"}},
    {"products": [line("00123", 1, 1), line(Number("1729384756102938475"), 1, 1)]},
    {"products": [5], "email": False, "customer": Number("12.0")},
    {"products": [5], "visitor": "undefined", "email": EMAIL, "labels": "Home"},
    {"products": [5], "visitor": FORGED, "customer": 0, "currency": "sek"},
    {"products": [5], "visitor": None, "email": "null", "customer": "undefined"},
    {"products": [line(f"p-{at}", 1, 1) for at in range(MOST_LINES + 1)]},
]
"""Sales of shops without a plugin, each with an oddity of its own."""
BASES: list[dict[str, Any]] = [{"products": one.products} | one.more for one in TEMPLATES] + KINDS
ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 2**53 + 1, 10**40, 10**300, 0.1, -2.5, 1e22),
    *map(Number, ("1.0", "-0.0", "1e2", "1E-7", "1e999", "1e-999", "-1e99999999999999999999", "9" * 1_200, "0." + "3" * 60)),
    *(
        "",
        " ",
        "0",
        "2",
        "1.0000",
        "+3",
        "-1",
        "1e2",
        "1e29",
        ".5",
        "5.",
        "99,95",
        "1,234.50",
        "1_000",
        "٣",
        "½",
        "NaN",
        "Infinity",
        "0x10",
    ),
    *("null", "undefined", "None", "[object Object]", "true", "auto", "persistent", EMAIL, "guest", FORGED, "auth0|1", "v_1", "x" * 300),
    *("\x00", "\ud83d", "a\udc00b", "😀", "\ufeff5", "\u2028", "'\"\\/", "</script>", "Å", "a&b=c;d", "%00%zz", "[1", "{", "[]", "{}"),
    *([], {}, [[]], [None], {"0": 1}, {"id": 5}, [{"id": [{}]}], {"": ""}),
]


@dataclass(frozen=True)
class Try:
    """`content`: a body, or a query where `by_query` is set. `lines`: ID, quantity and price to be kept. `named`: what the log has to name
    of the lines, in order. `lost`: other members that cannot be read, and `sent`: all that may be named."""

    content: bytes
    by_query: bool
    lines: list[tuple[str | int | None, Decimal, Decimal | None]]
    named: list[str]
    lost: set[str]
    sent: set[str]


def of_number(number: int) -> Try:
    """The sale ID is `s-` and the number."""
    random = Random(number)
    body = deepcopy(random.choice(BASES))
    for _ in range(random.randint(1, 4)):
        _break(body, random)
    sale = {"key": KEY, "sale": f"s-{number}"} | body
    encode = random.choice([_as_json, _as_json, _as_json, _as_form, _as_query, _as_deep_form, _as_deep_query])
    return encode(sale, random)


def _odd(random: Random, depth: int = 3) -> Any:
    if depth and random.random() < 0.2:
        inner = [_odd(random, depth - 1) for _ in range(random.randint(0, 3))]
        return inner if random.random() < 0.5 else {_name(random): one for one in inner}
    return deepcopy(random.choice(ODD))


def _name(random: Random) -> str:
    return str(random.choice([*OF_A_LINE, *TOP, "0", "", "key", "products", "😀", "a b", "__proto__", "\x00", "x" * 200]))


def _break(body: dict[str, Any], random: Random) -> None:
    """Breaks one member: of the sale, of a line, or a line as a whole."""
    lines, kind = body["products"], random.random()
    if kind < 0.3:
        body[random.choice(TOP)] = _odd(random)
    elif kind < 0.4:
        body[f"x{random.choice(['', '[]', '[0][id]', '.y', ' '])}"] = _odd(random)
    elif kind < 0.5 and isinstance(lines, list):
        lines.insert(random.randint(0, len(lines)), _odd(random))
    elif kind < 0.6 and isinstance(lines, list):
        body["products"] = {str(at * random.randint(1, 2) + at): one for at, one in enumerate(lines)}
    else:
        at = random.choice(list(lines) if isinstance(lines, dict) else range(len(lines)))
        if not isinstance(lines[at], dict):
            lines[at] = _odd(random)
        elif random.random() < 0.2:
            lines[at].pop(random.choice(OF_A_LINE), None)
        else:
            lines[at][random.choice([*OF_A_LINE, _name(random)])] = _odd(random)


def _as_json(sale: dict[str, Any], random: Random) -> Try:
    """With a byte order mark or blanks before it, and with a member that stands twice, of which the last counts."""
    members = list(sale.items())
    if random.random() < 0.2:
        members.insert(0, (random.choice([*TOP, "products", "sale"]), _odd(random)))
        members = [one for at, one in enumerate(members) if at or one[0] in sale]
    before, after = random.choice(["", "", "\ufeff", "\r\n\t "]), random.choice(["", "\n"])
    text = ",".join(f"{json.dumps(name)}:{_json(value)}" for name, value in members)
    return _expected(f"{before}{{{text}}}{after}".encode(), sale, by_query=False)


def _as_form(sale: dict[str, Any], random: Random) -> Try:
    return _expected(_query(_fields(sale)), _read_by_query(sale), by_query=False)


def _as_query(sale: dict[str, Any], random: Random) -> Try:
    return _expected(_query(_fields(sale)), _read_by_query(sale), by_query=True)


def _as_deep_form(sale: dict[str, Any], random: Random) -> Try:
    if not _is_flat(sale["products"]):
        return _as_form(sale, random)
    lines = [{name: _text(value) for name, value in one.items()} for one in sale["products"]]
    fields = _fields({name: value for name, value in sale.items() if name != "products"})
    fields += [(f"products[{at}][{name}]", text) for at, one in enumerate(lines) for name, text in one.items()]
    read = [{name: None if text in {"", "null", "undefined"} else text for name, text in one.items()} for one in lines]
    return _expected(_query(fields), _read_by_query(sale | {"products": read}), by_query=False)


def _as_deep_query(sale: dict[str, Any], random: Random) -> Try:
    made = _as_deep_form(sale, random)
    return Try(made.content, len(made.content) < LONGEST_QUERY, made.lines, made.named, made.lost, made.sent)


def _is_flat(lines: Any) -> bool:
    """Whether lines can be written so: all have members, with plain names and no lists in them."""
    whole = isinstance(lines, list) and len(lines) < MOST_LINES and all(isinstance(one, dict) and one for one in lines)
    return whole and all(SIMPLE.fullmatch(name) and not isinstance(value, list | dict) for one in lines for name, value in one.items())


def _json(value: Any) -> str:
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, list):
        return f"[{','.join(map(_json, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{json.dumps(name)}:{_json(one)}' for name, one in value.items())}}}"
    return json.dumps(value)


def _text(value: Any) -> str:
    """As JavaScript and PHP write a value into a query, without halves of surrogate pairs, which no query can have."""
    text = value if isinstance(value, str) else _json(value)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _fields(sale: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, _text(value)) for name, value in sale.items()]


def _query(fields: list[tuple[str, str]]) -> bytes:
    return "&".join(f"{quote_plus(name)}={quote_plus(text)}" for name, text in fields).encode()


def _read_by_query(sale: dict[str, Any]) -> dict[str, Any]:
    """What a query can say of a sale: lines as they are, everything else as text."""
    return {name: value if name == "products" else _text(value) for name, value in sale.items()}


def _expected(content: bytes, sale: dict[str, Any], *, by_query: bool) -> Try:
    lines, named = sale["products"], list[str]()
    if isinstance(lines, dict):
        lines = [lines[at] for at in sorted(lines, key=int)]
    kept = [_line(one, f"products[{at}]", named) for at, one in enumerate(lines[:MOST_LINES])]
    named = [f"products[{MOST_LINES}]"] * (len(lines) > MOST_LINES) + named
    lost = {name for name in TOP[:5] if name in sale and _is_no_text(sale[name])}
    lost -= {"visitor"} if "clerk_visitor" in sale else set()  # which takes its place
    return Try(content, by_query and len(content) < LONGEST_QUERY, kept, named, lost, {name for name in TOP if name in sale})


def _is_no_text(value: Any) -> bool:
    """Whether a value can be neither an email nor an ID nor a word, whatever its member."""
    return value is True or (isinstance(value, list | dict) and value != [])


def _line(one: Any, name: str, named: list[str]) -> tuple[str | int | None, Decimal, Decimal | None]:
    if not isinstance(one, dict):
        product = _product(one)
        named += [name] * (product is None)
        return product, Decimal(1), None
    product, price = _product(one.get("id")), _amount(one.get("price"), 10**9)
    named += [f"{name}.id"] * (product is None)
    member = "qty" if one.get("quantity") is None else "quantity"
    quantity = _amount(one.get(member), 10**6)
    named += [f"{name}.{member}"] * (quantity is None and one.get(member) is not None)
    named += [f"{name}.price"] * (price is None and one.get("price") is not None)
    return product, Decimal(1) if quantity is None else quantity, price


def _product(value: Any) -> str | int | None:
    """A text that is not blank, or a whole number, of at most 255 characters."""
    if isinstance(value, str) and not isinstance(value, Number):
        text = _text(value) if "\ud800" <= max(value, default="") <= "\udfff" else value
        return text if text.strip() and len(text) <= 255 else None
    number = _number(value)
    whole = number is not None and number.adjusted() < 255 and number == number.to_integral_value()
    return int(number) if whole and number is not None else None


def _amount(value: Any, most: int) -> Decimal | None:
    """A number or its text within ±`most`, to 28 digits; none where it is too fine to be one."""
    if isinstance(value, str) and not isinstance(value, Number):
        text = value.strip(" \t\r\n\f\v")
        exponent = EXPONENT.search(text)
        readable = NUMERIC.fullmatch(text) and (not exponent or (len(exponent[1]) < 3 and int(exponent[1]) <= 28))
        value = Number(text) if readable else None
    number = _number(value)
    if number is None or abs(number) > most:
        return None
    if number == 0:
        return Decimal(0)
    return Context(prec=28).plus(number) if number.adjusted() >= -28 else None


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Number):
        return None
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None
