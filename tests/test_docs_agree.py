"""README, default.toml, settings, routes, keys and error codes say the same."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from identity_service import errors
from identity_service.handle import Handles
from identity_service.sections import Settings, ShopSettings
from identity_service.settings import config_directory, load
from identity_service.shop import ShopId
from identity_service.store.keys import PREFIX, Keys
from identity_service.web.openapi import ERRORS
from identity_service.web.routes import OPERATIONS, TRACKING

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DEFAULT = (config_directory() / "default.toml").read_text()


def setting_names() -> list[tuple[str, str]]:
    sections = [field for field in msgspec.structs.fields(Settings) if field.name != "shops"]
    return [(section.name, field.name) for section in sections for field in msgspec.structs.fields(section.type)]


@pytest.mark.parametrize(("section", "name"), setting_names())
def test_every_setting_is_described_with_its_variable(section: str, name: str) -> None:
    assert name in tomllib.loads(DEFAULT)[section]
    assert f"IDENTITY_{section.upper()}__{name.upper()}" in DEFAULT


def test_default_toml_describes_nothing_else() -> None:
    told = {(section, name) for section, members in tomllib.loads(DEFAULT).items() for name in members}
    assert told == set(setting_names())
    variables = set(re.findall(r"IDENTITY_([A-Z]+)__([A-Z_]+)", DEFAULT)) - {("SECTION", "KEY"), ("SHOPS", "MYSHOP__")}
    assert {(section.lower(), name.lower()) for section, name in variables if section != "SHOPS"} == set(setting_names())


def test_every_setting_of_a_shop_is_described_with_its_default() -> None:
    for field in msgspec.structs.fields(ShopSettings):
        assert f"IDENTITY_SHOPS__MYSHOP__{field.name.upper()}" in DEFAULT
        assert re.search(rf"^# {field.name} = ", DEFAULT, re.MULTILINE)
        if isinstance(field.default, str | int | bool):
            shown = re.findall(rf"^# {field.name} = (.*)$", DEFAULT, re.MULTILINE)[0]
            assert tomllib.loads(f"x = {shown}")["x"] == field.default


def test_every_route_is_in_the_readme() -> None:
    paths = (
        {operation.path for operation in OPERATIONS}
        | {path for one in TRACKING for path in one.paths}
        | {"/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/visitor.js"}
    )
    assert [path for path in sorted(paths) if path not in README and f"`{path[4:]}`" not in README] == []
    named = set(re.findall(r"`(?:GET |POST )?(/v[123]/[a-z_/]+)`", README))
    assert named <= paths


def test_every_error_code_is_in_the_readme_with_its_status() -> None:
    codes = {error.code: error.status for error in errors.ServiceError.__subclasses__()} | {"internal": 500}
    for code, status in codes.items():
        assert re.search(rf"\|.*`{code}`.*\|.*{status}.*\|", README), code
    assert set(ERRORS) <= set(codes.values())


def test_the_public_key_is_documented_as_it_is() -> None:
    key = Keys(Handles("pepper")).handle(ShopId("SHOP"), Handles("pepper").of_email("SHOP", "a@example.com")).links
    assert key.startswith(f"{PREFIX}E{{SHOP:")
    assert "`id:v1:E{SHOP:DIGEST}`" in README


def test_limits_in_the_readme_are_the_defaults() -> None:
    limits = tomllib.loads(DEFAULT)["limits"]
    assert (limits["body_bytes"], limits["lookup_body_bytes"], limits["header_bytes"]) == (32 << 10, 1 << 20, 16 << 10)
    assert f"more than {limits['header_count']} headers or 16 KiB" in README
    assert f"over {limits['client_per_second']} calls a second a client, {limits['key_per_second']:,} a key" in README
    assert f"deeper than {limits['json_depth']}" in README


def test_ci_runs_the_readmes_test_command_and_nothing_else() -> None:
    commands = [line.strip() for line in README.splitlines() if line.startswith("    python3 -m venv")]
    assert len(commands) == 2
    assert (ROOT / ".ci/run").read_text().splitlines()[-1] == commands[1]


def test_the_development_file_is_the_one_the_tour_uses() -> None:
    settings = load("development", {})
    assert settings.shops["demo"].private_keys == ["demo-private-key"]
    assert {name: shop.policy for name, shop in settings.shops.items()} == {"demo": "standard", "other": "standard", "strict": "strict"}
