"""Settings in three layers, of which the later wins: `default.toml`, the named file, and `IDENTITY_SECTION__KEY` in the environment.

Lists in the environment are JSON or comma-separated. `config/default.toml` describes every setting.
"""

import copy
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from identity_service.errors import SettingsError
from identity_service.settings.layers import Fault, Layer, environment_layer, file_layer, merge, read_files
from identity_service.settings.schema import Settings, fields_of, fits, in_words, is_section, is_struct, member, secrets_of
from identity_service.settings.toml_file import Name, read_file

CONFIG_VARIABLE = "IDENTITY_CONFIG"
"""Names the file, unless the command line does."""
FILE_NAME = "settings.toml"
"""Name of the file if a folder is given."""


@dataclass(frozen=True, slots=True)
class Reading:
    """`settings`: with defaults instead of faulty values. `layers`: the lowest first."""

    settings: Settings
    faults: Sequence[Fault]
    layers: Sequence[Layer]

    def lines(self, further: Sequence[Fault] = ()) -> list[str]:
        """One line for each fault, with the place of its setting. `further`: faults in the meaning of the settings. Those that follow
        from a faulty value are left out."""
        wrong = {fault.name for fault in self.faults}
        sure = [one for one in further if not any(_is_in(name, wrong) for name in (one.name, *one.needs))]
        return [self._line(fault) for fault in (*self.faults, *sure)]

    def _line(self, fault: Fault) -> str:
        name = (*fault.name[:-1], re.sub(r"\[\d+\]$", "", fault.name[-1]))
        place = next((place for layer in reversed(self.layers) if (place := layer.place(name))), "")
        return f"{fault} ({place})" if place else str(fault)


def config_directory() -> Path:
    """The folder of the shipped files: in the installed package, or beside it in a checkout."""
    packaged = Path(__file__).parent.parent / "config"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent.parent / "config"


def load(named: str, environment: Mapping[str, str]) -> Settings:
    """Raises SettingsError if a value does not fit its setting. `ops.check.sound_settings` also checks whether the settings fit
    together."""
    found = read(named, environment)
    if found.faults:
        raise SettingsError(found.lines())
    return found.settings


def read(named: str, environment: Mapping[str, str], flags: Mapping[str, str] = {}) -> Reading:
    """`named`: a shipped file without its ending (`development`), a path, or a folder with a settings.toml. `flags`: options of the command
    line, by the variables that they set. Raises SettingsError if the file cannot be read or is not TOML."""
    path, folder = _file_and_folder(named)
    return read_layers(file_layer(path, folder), environment_layer(environment, flags))


def _file_and_folder(named: str) -> tuple[Path, Path]:
    """Relative paths in a shipped file start from the working directory, because it is used from anywhere."""
    shipped = config_directory() / f"{named}.toml"
    if re.fullmatch(r"[a-z]+", named) and shipped.is_file():
        return shipped, Path()
    path = Path(named, FILE_NAME) if Path(named).is_dir() else Path(named)
    return path, path.parent.absolute()


def read_layers(*above: Layer) -> Reading:
    """Reads the default file and the layers `above` it, the lowest first."""
    default = read_file(config_directory() / "default.toml")[0]
    layers = [Layer(copy.deepcopy(default)), *above]
    read_files(layers)
    values: dict[str, Any] = {}
    for layer in layers:
        merge(values, layer.values)
    faults = [fault for layer in layers for fault in layer.faults] + _replace_unfit(Settings, values, default, ())
    return Reading(_with_port(msgspec.convert(values, Settings, strict=False)), faults, layers)


def _replace_unfit(kind: Any, values: dict[str, Any], default: Mapping[str, Any], at: Name) -> list[Fault]:
    """Returns one fault for every value that does not fit its setting, and replaces the value by its default."""
    found = []
    for key in list(values):
        name, inner = (*at, key), member(kind, key)
        if inner is None:
            found.append(Fault(name, _unknown_text(kind, key)))
            del values[key]
        elif is_section(inner) and isinstance(values[key], dict):
            found += _replace_unfit(inner, values[key], default.get(key, {}), name)
        elif is_section(inner) or not fits(values[key], inner):
            found.append(Fault(name, f"must be {_section_form(name) if is_section(inner) else in_words(inner)}"))
            _set_default(kind, values, default, key)
    missing = _required(kind) - values.keys()
    for key in sorted(missing):
        found.append(Fault((*at, key), "is missing"))
        values[key] = copy.deepcopy(default.get(key, []))
    return found


def _required(kind: Any) -> set[str]:
    """Names of required settings. All of them are lists."""
    return {name for name, one in fields_of(kind).items() if one.required and not is_struct(one.type)} if is_struct(kind) else set()


def _set_default(kind: Any, values: dict[str, Any], default: Mapping[str, Any], key: str) -> None:
    inner = member(kind, key)
    if key in default:
        values[key] = copy.deepcopy(default[key])
    elif is_struct(inner):
        values[key] = {name: [] for name in _required(inner)}
    elif key in _required(kind):
        values[key] = []
    else:
        del values[key]


def _section_form(name: Name) -> str:
    return f"a section, as [{'.'.join(name)}{'.NAME' if name == ('shops',) else ''}]"


def _unknown_text(kind: Any, key: str) -> str:
    if member(kind, key.removesuffix("_file")):
        return "is not a setting; only secrets can be read from files"
    near = difflib.get_close_matches(key, [*fields_of(kind), *(f"{name}_file" for name in secrets_of(kind))], 1)
    return f"is not a {'section of settings' if kind is Settings else 'setting'}{f'; did you mean {near[0]}?' if near else ''}"


def _is_in(name: Name, sections: set[Name]) -> bool:
    return any(name[:length] in sections for length in range(1, len(name) + 1))


def _with_port(settings: Settings) -> Settings:
    port = str(settings.server.port)
    shops = {
        name: msgspec.structs.replace(shop, origins=[origin.replace("{port}", port) for origin in shop.origins])
        for name, shop in settings.shops.items()
    }
    return msgspec.structs.replace(settings, shops=shops)
