"""The type of each setting, read off `sections`, and what it takes in words."""

from typing import Annotated, Any, get_args, get_origin

import msgspec
from msgspec import Struct, inspect
from msgspec.structs import fields

from identity_service.settings.schema import SECRET, Settings
from identity_service.settings.toml_file import Name


def type_of(name: Name) -> Any:
    """None for what is no setting and no section of settings."""
    found: Any = Settings
    for part in name:
        found = member(found, part)
    return found


def member(kind: Any, key: str) -> Any:
    if is_struct(kind):
        return next((field.type for field in fields(kind) if field.name == key), None)
    return get_args(kind)[1] if get_origin(kind) is dict else None


def is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def is_section(kind: Any) -> bool:
    """Whether its values are settings with names."""
    return is_struct(kind) or get_origin(kind) is dict


def is_list(kind: Any) -> bool:
    return get_origin(_plain(kind)) in {list, tuple}


def secrets_of(kind: type[Struct]) -> list[str]:
    return [field.name for field in fields(kind) if SECRET in get_args(field.type)]


def fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind, strict=False)
    except (msgspec.ValidationError, UnicodeEncodeError):  # the environment may hold any bytes
        return False
    return True


def in_words(kind: Any) -> str:
    return _words(inspect.type_info(_plain(kind)))


def _plain(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated and SECRET in get_args(kind) else kind


def _words(told: inspect.Type, *, many: bool = False) -> str:
    match told:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return f"{'whole numbers' if many else 'a whole number'} from {told.ge:,} to {told.le:,}"
        case inspect.FloatType():
            return f"a number above {told.gt:g}, at most {told.le:g}"
        case inspect.LiteralType():
            return " or ".join(f'"{value}"' for value in told.values)
        case inspect.ListType() | inspect.VarTupleType():
            return f"a list of {_words(told.item_type, many=True)}"
        case _:
            return "texts" if many else "a text"
