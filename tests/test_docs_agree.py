"""Manual, default.toml, settings, routes, banners, keys, metrics, commands and error codes say the same."""

import argparse
import base64
import hashlib
import hmac
import re
import tomllib
from datetime import date
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from prometheus_client import REGISTRY

import identity_service.server.metrics  # noqa: F401 its metrics are registered by that
from identity_service import errors
from identity_service.cli import _parser as command_line
from identity_service.model.agent import KnownBy
from identity_service.model.audit import Act
from identity_service.model.handle import Handles, normalise_email
from identity_service.model.link import LinkSource, Proof
from identity_service.model.shop import Scope, ShopId
from identity_service.model.staff import Role
from identity_service.model.visitor import Mode
from identity_service.server.limits import SLOTS
from identity_service.service.health import Light
from identity_service.settings.load import config_directory
from identity_service.settings.schema import KeySettings, Settings, ShopSettings, fields_of
from identity_service.signals.agents import KNOWN_AGENTS, agent_of
from identity_service.signals.browser import is_robot
from identity_service.signals.reader import SOURCES
from identity_service.store.keys import Keys
from identity_service.store.redis.cause import Cause
from identity_service.web.calls.audit import ActText
from identity_service.web.calls.links import ProofText, SourceText
from identity_service.web.calls.orders import LightText
from identity_service.web.endpoint import SMALLEST_KEPT
from identity_service.web.manual.book import FOLDER, NAMES, pages
from identity_service.web.openapi import ERRORS
from identity_service.web.payloads import ModeText
from identity_service.web.routes import CALLS, TRACKING

ROOT = Path(__file__).parent.parent
DEFAULT = (config_directory() / "default.toml").read_text()
MANUAL = {name: (FOLDER / f"{name}.md").read_text() for name in ("index", *NAMES)}


def setting_names() -> list[tuple[str, str]]:
    sections = [field for field in msgspec.structs.fields(Settings) if field.name != "shops"]
    return [(section.name, field.name) for section in sections for field in msgspec.structs.fields(section.type)]


def first_cells(text: str) -> list[str]:
    """Codes in the first cells of tables."""
    return [code for row in re.findall(r"^\| (`[^|]+`) \|", text, re.MULTILINE) for code in re.findall("`([^`]+)`", row)]


def part(page: str, heading: str) -> str:
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", MANUAL[page], re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


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


def test_settings_that_the_manual_names_exist() -> None:
    names = {name for _, name in setting_names()} | {field.name for field in msgspec.structs.fields(ShopSettings)}
    sections = {section for section, _ in setting_names()}
    dotted = {
        (section, name) for text in MANUAL.values() for section, name in re.findall(r"`([a-z]+)\.([a-z_]+)", text) if section in sections
    }
    assert dotted <= set(setting_names())
    limits = {
        name
        for cell in re.findall(r"^\|[^|]+\|[^|]+\| ([^|]*) \|$", part("contract", "Limits"), re.MULTILINE)
        for name in re.findall("`([a-z_]+)`", cell)
    }
    kept = set(re.findall(r"\| `([a-z_]+)` \|$", MANUAL["security"], re.MULTILINE))
    assert limits
    assert kept
    assert limits | kept <= names


def test_the_manual_lists_every_page() -> None:
    linked = re.findall(r"^\|[^|]+\| \[[^\]]+\]\(([a-z-]+)\.md\)", MANUAL["index"], re.MULTILINE)
    assert linked == list(NAMES)
    assert sorted(path.stem for path in FOLDER.glob("*.md")) == sorted(MANUAL)
    assert all(page.lead.endswith(".") and len(page.lead) < 160 for page in pages().values())


def test_every_call_is_listed_with_its_method_and_nothing_else() -> None:
    listed = re.findall(r"`(GET|POST) (/v1/[a-z_/{}-]+)`", part("contract", "Calls"))
    assert sorted(listed) == sorted((one.methods[0], one.paths[0]) for one in CALLS)
    named = set(re.findall(r"`(?:GET |POST )?(/v1/[a-z_/{}-]+[a-z}])`", "".join(MANUAL.values())))
    assert named <= {one.paths[0] for one in CALLS}
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/llms.txt", "/visitor.js", "/admin"):
        assert f"{path}`" in part("contract", "Calls"), path


def test_every_tracking_call_is_listed_and_nothing_else() -> None:
    assert sorted(first_cells(part("tracking", "Point a plugin here"))) == sorted(one.path for one in TRACKING)


def test_every_banner_is_listed_and_nothing_else() -> None:
    assert sorted(first_cells(part("consent", "Banners"))) == sorted(SOURCES)


def test_every_agent_is_listed_with_its_source() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (\S+) \| ([0-9-]+) \|$", part("agents", "How an agent is recognised"), re.MULTILINE)
    known = [(one.token, one.source, one.confirmed) for one in KNOWN_AGENTS]
    assert rows[: len(known)] == known
    crawlers = rows[len(known) :]
    assert crawlers
    for token, source, _ in crawlers:
        user_agent = f"Mozilla/5.0 (compatible; {token}/1.0; +https://{source})"
        assert (is_robot(user_agent), agent_of(user_agent)) == (True, None)
    assert set(KnownBy) <= set(first_cells(part("agents", "How an agent is recognised")))
    assert f"{SLOTS:,} signatures" in part("agents", "Signatures")


def test_every_error_code_is_listed_with_its_status() -> None:
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| (\d+) \|", part("contract", "Errors"), re.MULTILINE))
    codes = {error.code: str(error.status) for error in errors.ServiceError.__subclasses__()} | {"internal": "500"}
    assert rows == codes
    assert set(ERRORS) <= set(map(int, codes.values()))


def test_every_metric_is_listed_and_nothing_else() -> None:
    names = set()
    for family in REGISTRY.collect():
        if family.name.startswith("identity_"):
            names.add(f"{family.name}_total" if family.type == "counter" else family.name)
    assert set(first_cells(part("operations", "Logs and metrics"))) == names


def test_every_cause_of_a_failing_store_is_listed_with_its_sentence_and_nothing_else() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| (.+?) \| .+ \|$", part("operations", "Why the store fails"), re.MULTILINE)
    assert rows == [(cause.value, cause.sentence) for cause in Cause]


def test_events_that_the_manual_names_are_written() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "identity_service").rglob("*.py"))
    named = re.findall(r"^\| ((?:the|a|another) [^|]+) \|", part("operations", "Logs and metrics"), re.MULTILINE)
    assert len(named) == 10
    assert [event for event in named if f'"{event}"' not in sources] == []


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    return {
        name: one for action in parser._actions if isinstance(action, argparse._SubParsersAction) for name, one in action.choices.items()
    }


def long_options(parser: argparse.ArgumentParser) -> set[str]:
    own = {option for action in parser._actions for option in action.option_strings if option.startswith("--") and option != "--help"}
    return own.union(*map(long_options, subcommands(parser).values()))


def test_every_command_is_listed_with_its_options() -> None:
    commands = subcommands(command_line())
    listed = {row[0]: row[1] for row in re.findall(r"^\| `([a-z]+)[^`]*` \|(.*)\|$", part("operations", "Commands"), re.MULTILINE)}
    assert set(listed) == set(commands)
    for name, parser in commands.items():
        assert f"`{name}" in part("operations", "Commands")
        assert [option for option in sorted(long_options(parser)) if option not in MANUAL["operations"]] == [], name
    named = set(re.findall(r"(?<!-)--[a-z-]+[a-z]", "".join(MANUAL.values())))
    foreign = {"--help", "--long", "--no-build-isolation", "--no-deps"}
    assert named - foreign <= long_options(command_line())


def test_limits_in_the_manual_are_the_defaults() -> None:
    limits = tomllib.loads(DEFAULT)["limits"]
    told = part("contract", "Limits") + part("contract", "Errors")
    bodies = (limits["body_bytes"], limits["sale_body_bytes"], limits["lookup_body_bytes"])
    assert (*bodies, limits["header_bytes"]) == (32 << 10, 128 << 10, 1 << 20, 16 << 10)
    assert limits["target_bytes"] == 4 << 10
    assert limits["burst"] == 2
    assert f"more than {limits['header_count']} headers or 16 KiB" in told
    assert f"| {limits['client_per_second']} a second, twice that at once |" in told
    assert f"| {limits['key_per_second']:,} a second |" in told
    assert f"| {limits['client_bytes_per_hour'] >> 20} MiB an hour, a call at least {SMALLEST_KEPT};" in told
    assert f"| {limits['public_key_bytes_per_hour'] >> 30} GiB an hour |" in told
    assert f"| {limits['lookups_per_second']} a second; a hundred emails" in told
    assert f"| {limits['wrong_keys_per_minute']} a minute |" in told
    assert f"| {limits['connections_per_client']:,} |" in told
    assert f"deeper than {limits['json_depth']}" in told


def test_lifetimes_in_the_manual_are_the_defaults() -> None:
    rows = {setting: cell for cell, setting in re.findall(r"^\|[^|]+\| ([^|]+) \| `([a-z_]+)` \|$", MANUAL["security"], re.MULTILINE)}
    for name, days in tomllib.loads(DEFAULT)["retention"].items():
        assert rows[name].replace(",", "").startswith(f"{days} days")


def test_the_public_key_is_documented_as_it_is() -> None:
    handles = Handles("pepper")
    key = Keys(handles).handle(ShopId("SHOP"), handles.of_email("SHOP", "a@example.com"))
    assert re.fullmatch(r"id:v2:\{SHOP\}:E:[\w-]{22}", key)
    assert "`id:v2:{SHOP}:E:DIGEST`" in MANUAL["store"]


def test_the_digests_of_the_manual_are_those_of_the_service_and_of_its_recipe() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| (email|customer) `([^`]+)` \| `([\w-]{22})` \|$", MANUAL["store"], re.MULTILINE)
    assert len(rows) >= 5
    for pepper, shop, kind, value, told in rows:
        handles = Handles(pepper)
        found = handles.of_email(shop, value) if kind == "email" else handles.of_customer(shop, value)
        assert found.digest == told
        normal = normalise_email(value) if kind == "email" else value.strip()
        parts = (b"handle", shop.encode(), kind[:1].encode(), hashlib.sha256(normal.encode()).digest())
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        digest = hmac.new(pepper.encode(), message, hashlib.sha256).digest()[:16]
        assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == told


def test_every_figure_has_its_day_and_its_interpreter() -> None:
    """A table of figures belongs to a run that somebody can repeat."""
    for section in re.split(r"^## ", MANUAL["measurements"], flags=re.MULTILINE)[1:]:
        if section.startswith("The commands"):
            continue
        found = re.match(r"[^\n]+\n\nMeasured (\d{4}-\d\d-\d\d)[^.:]*, CPython 3\.\d+[.: ]", section)
        assert found, section[:60]
        assert date(2026, 11, 1) <= date.fromisoformat(found[1]) <= date.today()  # noqa: DTZ011 a day is compared with a day


def test_files_that_the_manual_names_exist() -> None:
    root = FOLDER.parent.parent.parent
    for name, text in MANUAL.items():
        for path in re.findall(r"`((?:tests|config)/[\w./-]+)`", text):
            assert (root / path).exists(), (name, path)
        for path in re.findall(r"\]\(([^)#]+)", text):
            assert "://" in path or (FOLDER / path).exists(), (name, path)


def test_proxies_publish_the_address_of_every_banner() -> None:
    """Else its choices, refusals too, would not arrive."""
    published = [re.search(r"consents(\(/[^)]+\)\?)", text) for text in ((ROOT / "README.md").read_text(), MANUAL["snippet"])]
    for found in published:
        assert found
        assert all(re.fullmatch(found[1], f"/{source}") for source in SOURCES)


def test_proxies_publish_every_call_of_pages() -> None:
    for text in ((ROOT / "README.md").read_text(), MANUAL["snippet"]):
        published = re.findall(r"\^(/id/\(visitor.*\)\$)", text)
        assert published
        for path in ("visitors", "verifications", "links", "consents", "sale-opt-ins"):
            assert all(re.fullmatch(one.removesuffix("$"), f"/id/v1/{path}") for one in published), path


def test_closed_sets_that_are_written_twice_agree() -> None:
    """Settings are below the model, and a description lists its values, so both repeat them."""
    keys, shops = fields_of(KeySettings), fields_of(ShopSettings)
    assert set(get_args(get_args(keys["scopes"].type)[0])) == set(Scope)
    assert set(get_args(get_args(get_args(shops["roles"].type)[0])[1])) == set(Role)
    for texts, values in ((ActText, Act), (ModeText, Mode), (ProofText, Proof), (SourceText, LinkSource), (LightText, Light)):
        assert set(get_args(texts)) == set(values)
