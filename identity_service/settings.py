"""Settings in three layers, the later one wins: `default.toml`, the named file, `IDENTITY_SECTION__KEY` in the environment.

Lists in the environment are JSON or comma-separated. Every setting is described in `config/default.toml`.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import fields

from identity_service.errors import SettingsError
from identity_service.sections import Settings, ShopSettings

ENVIRONMENT_PREFIX = "IDENTITY_"
CONFIG_VARIABLE = "IDENTITY_CONFIG"
"""Names the file, where the command line does not."""

LISTS = frozenset(
    {"trusted_proxies", "signing_keys", "former_peppers", "public_keys", "private_keys", "origins", "tcf_purposes", "banner_cookies"}
)


def config_directory() -> Path:
    """The folder of the shipped files: inside the installed package, or beside it in a checkout."""
    packaged = Path(__file__).parent / "config"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "config"


def load(named: str, environment: Mapping[str, str]) -> Settings:
    """`named` is a shipped file without its ending (`development`) or a path; raises SettingsError when a layer
    cannot be read. Whether the settings agree with each other is for `relations.faults`."""
    layers = _read(config_directory() / "default.toml")
    _merge(layers, _read(_named_file(named)))
    _merge(layers, _from_environment(environment))
    try:
        settings = msgspec.convert(layers, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_faults(layers) or [_fault("settings", error)]) from None
    return _with_port(settings)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError([f"{path.name}: cannot be read ({error.strerror}); give the name of a shipped file or a path"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path.name}: is not TOML ({type(error).__name__})"]) from None


def _named_file(named: str) -> Path:
    shipped = config_directory() / f"{named}.toml"
    return shipped if re.fullmatch(r"[a-z]+", named) and shipped.is_file() else Path(named)


def _merge(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _merge(below[key], value)
        else:
            below[key] = value


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    layer: dict[str, Any] = {}
    for name, text in sorted(environment.items()):
        if name.startswith(ENVIRONMENT_PREFIX) and "__" in name:
            *sections, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
            _merge(layer, _nested(sections, key, _environment_value(sections, key, text)))
    return layer


def _nested(sections: list[str], key: str, value: Any) -> dict[str, Any]:
    for section in reversed(sections):
        key, value = section, {key: value}
    return {key: value}


def _environment_value(sections: list[str], key: str, text: str) -> Any:
    if key not in LISTS and sections[-1:] != ["banner_categories"]:
        return text
    if text.startswith("["):
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            raise SettingsError([f"{'.'.join([*sections, key])}: is neither a JSON list nor a comma-separated one"]) from None
    return [part.strip() for part in text.split(",") if part.strip()]


def _with_port(settings: Settings) -> Settings:
    port = str(settings.server.port)
    shops = {
        name: msgspec.structs.replace(shop, origins=[origin.replace("{port}", port) for origin in shop.origins])
        for name, shop in settings.shops.items()
    }
    return msgspec.structs.replace(settings, shops=shops)


def _faults(layers: Mapping[str, Any]) -> list[str]:
    """One line for every value that does not fit its setting."""
    shops = layers.get("shops", {})
    sections = {field.name: field.type for field in fields(Settings) if field.name != "shops"}
    found = [f"{name}: is not a section of settings" for name in layers if name not in {*sections, "shops"}]
    for name, struct in sections.items():
        found += _section_faults(name, struct, layers.get(name, {}))
    if not isinstance(shops, dict):
        return [*found, "shops: write a section [shops.NAME] for each shop"]
    return found + [fault for name, shop in shops.items() for fault in _section_faults(f"shops.{name}", ShopSettings, shop)]


def _section_faults(section: str, struct: type[Struct], values: Any) -> list[str]:
    if not isinstance(values, dict):
        return [f"{section}: is a section of settings, not a value"]
    known = {field.name: field for field in fields(struct)}
    found = [f"{section}.{name}: is not a setting" for name in values if name not in known]
    for name, field in known.items():
        if name not in values:
            found += [f"{section}.{name}: is missing"] if field.required else []
            continue
        try:
            msgspec.convert(values[name], field.type, strict=False)
        except msgspec.ValidationError as error:
            found.append(_fault(f"{section}.{name}", error))
    return found


def _fault(name: str, error: Exception) -> str:
    return f"{name}: {str(error).partition(' - at ')[0]}"
