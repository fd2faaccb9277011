"""A layer of settings, from one file or the environment: its values, where each is written, and secrets read from their own files."""

import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from identity_service.settings.schema import is_list, is_struct, secrets_of, type_of
from identity_service.settings.store_url import EMBEDDED
from identity_service.settings.toml_file import Name, key_lines, read_file

ENVIRONMENT_PREFIX = "IDENTITY_"
SECRET_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a setting, without any secret. `needs`: other settings from which the fault follows."""

    name: Name
    text: str
    needs: tuple[Name, ...] = ()

    def __str__(self) -> str:
        return f"{'.'.join(self.name)}: {self.text}"


@dataclass(frozen=True, slots=True)
class Layer:
    """`place`: where a setting is written, empty if it is not in this layer. `folder`: from which relative paths start."""

    values: dict[str, Any]
    place: Callable[[Name], str] = lambda _name: ""
    folder: Path = Path()
    faults: list[Fault] = field(default_factory=list)


def file_layer(path: Path, folder: Path) -> Layer:
    """Raises SettingsError if the file cannot be read or is not TOML."""
    values, text = read_file(path)
    return Layer(values, _places_in(path, text), folder)


def _places_in(path: Path, text: str) -> Callable[[Name], str]:
    """Finds lines only when needed. A missing setting of a shop is reported at the start of the shop's section."""
    lines = cache(lambda: key_lines(text))

    def place(name: Name) -> str:
        tried = [name, (*name[:-1], f"{name[-1]}_file"), *([name[:-1]] if len(name) > 2 else [])]
        line = next((lines()[one] for one in tried if one in lines()), 0)
        if not line:
            return ""
        written = text.split("\n")[line - 1]
        return f"{path}:{line}:{len(written) - len(written.lstrip()) + 1}"

    return place


def environment_layer(environment: Mapping[str, str], flags: Mapping[str, str]) -> Layer:
    """`flags`: options of the command line, by the variables that they set."""
    values: dict[str, Any] = {}
    variables: dict[Name, str] = {}
    faults = []
    for variable, text in sorted(environment.items()):
        if variable.startswith(ENVIRONMENT_PREFIX) and "__" in variable:
            name = tuple(variable.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"))
            variables[name] = flags.get(variable, variable)
            try:
                merge(values, _nest(name, _parse_list(text) if is_list(type_of(name)) else text))
            except msgspec.DecodeError:
                faults.append(Fault(name, "must be a list, in JSON or comma-separated"))
    return Layer(values, _variable_in(variables), faults=faults)


def _variable_in(variables: Mapping[Name, str]) -> Callable[[Name], str]:
    def place(name: Name) -> str:
        exact = variables.get(name) or variables.get((*name[:-1], f"{name[-1]}_file"))
        return exact or next((variable for other, variable in variables.items() if other[: len(name)] == name), "")

    return place


def _nest(name: Name, value: Any) -> dict[str, Any]:
    for part in reversed(name):
        value = {part: value}
    nested: dict[str, Any] = value
    return nested


def _parse_list(text: str) -> Any:
    """Raises msgspec.DecodeError."""
    if text.startswith("["):
        return msgspec.json.decode(text)
    return [part.strip() for part in text.split(",") if part.strip()]


def merge(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            merge(below[key], value)
        else:
            below[key] = value


def read_files(layers: Sequence[Layer]) -> None:
    """Replaces NAME_file by the secret in that file, and makes the paths of an embedded store and of the agents' keys absolute. The
    uppermost layer that sets a secret counts; the files of the others are not read."""
    settled: set[Name] = set()
    for layer in reversed(layers):
        for name, section in _secrets_in(layer.values):
            path = section.pop(f"{name[-1]}_file", None)
            if path is not None and name[-1] in section:
                layer.faults.append(Fault(name, f"is set, and {name[-1]}_file too; keep one of them"))
            elif path is not None and name not in settled:
                try:
                    section[name[-1]] = _secret_text(layer.folder, path, is_list(type_of(name)))
                except ValueError as error:
                    layer.faults.append(Fault(name, str(error)))
            settled.add(name)
        _place_store(layer)
        _place_agent_keys(layer)


def _secrets_in(values: Mapping[str, Any]) -> Iterator[tuple[Name, dict[str, Any]]]:
    """The secrets that are set, by value or by file, each with its section."""
    shops = values.get("shops")
    sections: dict[Name, Any] = {(name,): section for name, section in values.items()}
    sections |= {("shops", name): shop for name, shop in shops.items()} if isinstance(shops, dict) else {}
    for name, section in sections.items():
        kind = type_of(name)
        if is_struct(kind) and isinstance(section, dict):
            for key in secrets_of(kind):
                if key in section or f"{key}_file" in section:
                    yield (*name, key), section


def _secret_text(folder: Path, path: Any, several: bool) -> str | list[str]:
    """The text without its final newline; if `several`, its non-empty lines. Raises ValueError with the reason, never with the text."""
    if not isinstance(path, str):
        raise ValueError("the path of its file must be a string")
    try:
        text = _text_of(folder / path)
    except UnicodeDecodeError:
        raise ValueError(f"its file {path} is not text in UTF-8; write the value as text") from None
    except OSError as error:
        raise ValueError(f"its file {path} cannot be read ({error.strerror}); restore your copy of it, readable for this user") from None
    if text is None:
        raise ValueError(f"its file {path} must be a plain file of at most {SECRET_BYTES:,} bytes that holds the value and nothing else")
    return [line.strip() for line in text.splitlines() if line.strip()] if several else text.rstrip("\r\n")


def _text_of(path: Path) -> str | None:
    """None if it is not a regular file, which may never end, or too large."""
    if not stat.S_ISREG(path.stat().st_mode):
        return None
    with path.open("rb") as file:
        content = file.read(SECRET_BYTES + 1)
    return content.decode() if len(content) <= SECRET_BYTES else None


def _place_store(layer: Layer) -> None:
    store = layer.values.get("store")
    url = store.get("url") if isinstance(store, dict) else None
    if isinstance(url, str) and url.startswith(EMBEDDED) and url != EMBEDDED:
        layer.values["store"]["url"] = f"{EMBEDDED}{layer.folder / url.removeprefix(EMBEDDED)}"


def _place_agent_keys(layer: Layer) -> None:
    agents = layer.values.get("agents")
    path = agents.get("keys_file") if isinstance(agents, dict) else None
    if isinstance(path, str) and path:
        layer.values["agents"]["keys_file"] = str(layer.folder / path)
