"""The section of config/default.toml on shops is made from the schema: `python -m tests.settings.test_default_toml` writes it."""

import json
import textwrap
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
from msgspec import NODEFAULT, Meta

from identity_service.settings.load import config_directory
from identity_service.settings.schema import ShopSettings

PATH = config_directory() / "default.toml"
BEGINNING = "# Shops: one section [shops.NAME] each."
HEAD = f"{BEGINNING} In the environment, NAME is in capitals. No shop is predefined.\n#\n# [shops.myshop]\n"
WIDTH, VARIABLES = 120, 67
"""Most characters of a line, and the column of the variables."""


def shop_section() -> str:
    members = [(field, *said_about(field.type)) for field in msgspec.structs.fields(ShopSettings)]
    simple = [lines_of(field, text, example) for field, text, example in members if not isinstance(example, dict)]
    tables = [["#", *lines_of(field, text, example)] for field, text, example in members if isinstance(example, dict)]
    return HEAD + "".join(f"{line}\n" for lines in (*simple, *tables) for line in lines)


def said_about(kind: Any) -> tuple[str, Any]:
    """Description and example of a setting."""
    [said] = [one for one in get_args(kind) if isinstance(one, Meta) and one.description]
    return str(said.description), said.examples[0] if said.examples else NODEFAULT


def lines_of(field: msgspec.structs.FieldInfo, text: str, example: Any) -> Iterator[str]:
    path, inner = [field.name], example
    while isinstance(inner, dict):
        name, inner = next(iter(inner.items()))
        path.append(name)
    lines = [f"# {line}" for line in textwrap.wrap(text, WIDTH - 2)]
    variable = f"IDENTITY_SHOPS__MYSHOP__{'__'.join(path).upper()}"
    if len(lines[-1]) + 2 > VARIABLES:
        lines.append("#")
    yield from (*lines[:-1], f"{lines[-1]:{VARIABLES}}{variable}")
    if isinstance(example, dict):
        yield from (f"# {field.name} = {{}}", *table(("shops", "myshop", field.name), example))
    else:
        yield f"# {field.name} = {json.dumps(field.default if example is NODEFAULT else example)}"


def table(path: tuple[str, ...], members: dict[str, Any]) -> Iterator[str]:
    inner = {name: value for name, value in members.items() if isinstance(value, dict)}
    if members.keys() > inner.keys():
        yield f"# [{'.'.join(path)}]"
    yield from (f"# {name} = {json.dumps(value)}" for name, value in members.items() if name not in inner)
    for name, value in inner.items():
        yield from table((*path, name), value)


def test_the_section_on_shops_is_made_from_the_schema() -> None:
    section = PATH.read_text().partition(BEGINNING)
    assert section[1] + section[2] == shop_section(), "run: python -m tests.settings.test_default_toml"


if __name__ == "__main__":
    PATH.write_text(PATH.read_text().partition(BEGINNING)[0] + shop_section())
