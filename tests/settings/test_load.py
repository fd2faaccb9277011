"""Settings: three layers, and every fault told with the setting's name before anything starts."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields

from identity_service.errors import SettingsError
from identity_service.model.shop import key_digest
from identity_service.ops.check import faults, receipt_key_notes, sound_settings
from identity_service.settings.load import load
from identity_service.settings.schema import Settings, in_words, is_section, is_struct, member
from identity_service.settings.toml_file import key_lines
from identity_service.version import VERSION
from tests import commands

KEY, OTHER_KEY, PEPPER = "A" * 43, "B" * 43, "C" * 43
SEED, OTHER_SEED = "A" * 43, "B" * 42 + "E"
ROOT = Path(__file__).parent.parent.parent
SOUND = {
    "IDENTITY_SECRETS__SIGNING_KEYS": KEY,
    "IDENTITY_SECRETS__PEPPER": PEPPER,
    "IDENTITY_SHOPS__MINE__PUBLIC_KEYS": "pk_0123456789abcdef",
    "IDENTITY_SHOPS__MINE__PRIVATE_KEYS": f"sha256:{key_digest('private')}",
    "IDENTITY_SHOPS__MINE__ORIGINS": "https://mine.example",
}


def refused(named: str, **environment: str) -> list[str]:
    """What `check` prints, one line a fault."""
    try:
        sound_settings(named, environment)
    except SettingsError as error:
        return error.faults
    return []


def production(**changes: str) -> list[str]:
    return refused("production", **SOUND | changes)


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("IDENTITY_")}
    return commands.run(*arguments, environment=clean | environment, cwd=ROOT)


def test_shipped_files_are_sound_once_production_has_its_secrets_and_shop() -> None:
    assert refused("development") == []
    assert production() == []


def test_each_layer_lies_over_the_one_below(tmp_path: Path) -> None:
    named = tmp_path / "own.toml"
    named.write_text("[server]\nport = 1111\nworkers = 3\n[limits]\nburst = 7\n")
    settings = load(str(named), {"IDENTITY_SERVER__PORT": "2222"})
    assert (settings.server.port, settings.server.workers, settings.limits.burst) == (2222, 3, 7)
    assert settings.server.host == "127.0.0.1"
    assert settings.server.production is True


def test_without_a_word_the_service_is_in_production_and_knows_no_shop() -> None:
    settings = load(os.devnull, {})
    assert (settings.server.production, settings.shops, settings.secrets.signing_keys) == (True, {}, [])


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        (" a , b ,", ["a", "b"]),
        ("", []),
        (",", []),
        ('["a", "b,c"]', ["a", "b,c"]),
        ("[]", []),
    ],
)
@pytest.mark.parametrize("name", ["SERVER__TRUSTED_PROXIES", "SECRETS__SIGNING_KEYS", "SHOPS__DEMO__PUBLIC_KEYS", "SHOPS__DEMO__ORIGINS"])
def test_lists_in_the_environment_are_json_or_comma_separated(name: str, text: str, read: list[str]) -> None:
    value: Any = msgspec.to_builtins(load("development", {f"IDENTITY_{name}": text}))
    for part in name.lower().split("__"):
        value = value[part]
    assert value == read


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("server.workers", "4", 4),
        ("server.production", "true", True),
        ("server.production", "0", False),
        ("store.timeout_seconds", "0.25", 0.25),
        ("store.url", "redis://h/0?a=1,2", "redis://h/0?a=1,2"),
        ("shops.demo.accept_unsigned", "false", False),
        ("shops.demo.window_days", "30", 30),
    ],
)
def test_a_value_in_the_environment_takes_the_settings_type(name: str, text: str, value: object) -> None:
    read: Any = msgspec.to_builtins(load("development", {f"IDENTITY_{name.upper().replace('.', '__')}": text}))
    for part in name.split("."):
        read = read[part]
    assert read == value
    assert type(read) is type(value)


def test_other_variables_are_nothing_to_us() -> None:
    plain = load("development", {})
    assert load("development", {"IDENTITY_CONFIG": "production", "PATH": "/bin", "OTHER__SERVER__PORT": "1"}) == plain


def test_origins_follow_the_port() -> None:
    settings = load("development", {"IDENTITY_SERVER__PORT": "9999"})
    assert settings.shops["demo"].origins == ["http://localhost:9999", "http://127.0.0.1:9999"]
    other = load("development", {"IDENTITY_SHOPS__DEMO__ORIGINS": "https://mine.example,https://mine.example:{port}"})
    assert other.shops["demo"].origins == ["https://mine.example", "https://mine.example:8080"]


def test_a_shop_can_be_made_in_the_environment_alone() -> None:
    settings = load(os.devnull, SOUND)
    assert settings.shops["mine"].public_keys == ["pk_0123456789abcdef"]
    assert settings.shops["mine"].policy == "standard"


@pytest.mark.parametrize("named", ["nowhere", "no/such/file.toml", "", ".", "../config/development"])
def test_a_file_that_is_not_there_is_named(named: str) -> None:
    shape = r".+: cannot be read \(.+\); name a shipped file, a file, or a folder that holds settings.toml"
    assert re.fullmatch(shape, "\n".join(refused(named)))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"[server", "1:8: is not TOML: close the section's name with ] (Expected ']' at the end of a table declaration)"),
        (b"[server]\nport = ", "2:8: is not TOML: a value is missing or cannot be read; write strings in quotes, lists in [ ], "),
        (b"[server]\nhost = 'x'\nport = 80 80\n", "3:11: is not TOML: something follows the value; write one setting a line ("),
        (b'[server]\nhost = "a\n', "2:10: is not TOML: close the string with its quote"),
        (b"[server]\nport 8080\n", "2:6: is not TOML: write NAME = VALUE (Expected '=' after a key"),
        (b"a = 1\n\xff\xfe", "2:1: is not TOML: a character is not UTF-8; save the file in UTF-8"),
        (b"a = 1\na = 2", "2:6: is not TOML: this setting is set twice; keep one (Cannot overwrite a value)"),
        (b"[a]\n[b]\n[a]\n", "3:3: is not TOML: this section is there twice; keep one (Cannot declare ('a',) twice)"),
        (b"a = [1,\n2\n[b]\nc = 1", "3:1: is not TOML: close the list with ], and separate its values with commas (Unclosed array)"),
    ],
)
def test_a_file_that_is_no_toml_is_told_with_line_and_column(tmp_path: Path, content: bytes, told: str) -> None:
    named = tmp_path / "own.toml"
    named.write_bytes(content)
    [fault] = refused(str(named))
    assert fault.startswith(f"{named}:{told}")


@pytest.mark.parametrize("text", ["[server]\r\nport = 99999\r\n", "\ufeff[server]\nport = 99999\n"])
def test_a_fault_has_its_line_however_the_file_was_saved(tmp_path: Path, text: str) -> None:
    path = tmp_path / "own.toml"
    path.write_bytes(text.encode())
    assert refused(str(path), **SOUND) == [f"server.port: must be a whole number from 1 to 65,535 ({path}:2:1)"]


def test_a_file_that_is_nested_too_deeply_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text("x = " + "[" * 5_000)
    [told] = refused(str(path), **SOUND)
    assert "nested too deeply" in told


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"IDENTITY_SERVER__PORT": "\udcff"}, "server.port: must be a whole number"),
        ({"IDENTITY_STORE__URL": "redis://u:hidden@h/?foo=bar"}, "store.url: has an unknown option; the options are db"),
        ({"IDENTITY_SHOPS__MINE__PRIVATE_KEYS": f"sha256:{key_digest(SOUND['IDENTITY_SHOPS__MINE__PUBLIC_KEYS'])}"}, "a key is used twice"),
    ],
)
def test_what_would_fail_later_is_told_at_once(environment: dict[str, str], told: str) -> None:
    [line] = refused("production", **SOUND | environment)
    assert told in line
    assert "hidden" not in line


def test_a_section_that_is_none_is_told_whatever_the_environment_adds(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text("server = []\n")
    assert refused(str(path), **SOUND, IDENTITY_SERVER__DEMO="maybe")


def test_faults_of_syntax_that_end_with_their_lines_are_told_together(tmp_path: Path) -> None:
    named = tmp_path / "own.toml"
    named.write_text('[server]\nport 8080\nhost = "a\nworkers = 2\n[store]\nurl = redis\n')
    assert [fault.partition(" ")[0] for fault in refused(str(named))] == [f"{named}:{place}:" for place in ("2:6", "3:10", "6:7")]
    named.write_text('[server]\nport 8080\ntrusted_proxies = [\n"a",\nworkers = 2\n[store]\nurl = redis\n')
    assert len(refused(str(named))) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("server.port", "0"),
        ("server.port", "65536"),
        ("server.port", "http"),
        ("server.workers", "0"),
        ("server.workers", "257"),
        ("server.production", "perhaps"),
        ("server.drain_seconds", "0"),
        ("server.log_level", "loud"),
        ("store.timeout_seconds", "0"),
        ("store.timeout_seconds", "31"),
        ("limits.enabled", "maybe"),
        ("limits.client_per_second", "0"),
        ("limits.burst", "101"),
        ("limits.json_depth", "3"),
        ("limits.visitors_per_handle", "1"),
        ("limits.emails_per_visitor", "1001"),
        ("limits.events_per_visitor", "-1"),
        ("retention.consent_days", "391"),
        ("retention.gone_days", "399"),
        ("retention.sale_days", "1.5"),
    ],
)
def test_a_value_out_of_range_is_told_with_its_setting(name: str, value: str) -> None:
    [fault] = refused("development", **{f"IDENTITY_{name.upper().replace('.', '__')}": value})
    assert fault.startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("name", "value"), [("window_days", "31"), ("policy", "lenient"), ("continuity", "none"), ("accept_unsigned", "maybe")]
)
def test_a_wrong_value_of_a_shop_is_told_with_the_shops_name(name: str, value: str) -> None:
    [fault] = refused("development", **{f"IDENTITY_SHOPS__DEMO__{name.upper()}": value})
    assert fault.startswith(f"shops.demo.{name}: ")


def test_an_unknown_setting_is_refused_by_name() -> None:
    assert "prot" in refused("development", IDENTITY_SERVER__PROT="8080")[0]
    assert "sevrer" in refused("development", IDENTITY_SEVRER__PORT="8080")[0]


@pytest.mark.parametrize("text", ["[", '["a"', "[a]", "[1]"])
def test_a_list_that_is_no_json_is_told_with_its_setting(text: str) -> None:
    found = refused("development", IDENTITY_SERVER__TRUSTED_PROXIES=text)
    assert found
    assert found[0].startswith("server.trusted_proxies")


@pytest.mark.parametrize("order", [1, -1])
def test_a_variable_below_another_variables_value_is_a_fault_and_no_crash(order: int) -> None:
    pair = [("IDENTITY_SERVER__PORT", "8080"), ("IDENTITY_SERVER__PORT__EXTRA", "1")]
    found = refused("development", **dict(pair[::order]))
    assert found
    assert "port" in found[0]


def test_all_values_out_of_range_are_named_at_once() -> None:
    found = refused("development", IDENTITY_SERVER__PORT="0", IDENTITY_LIMITS__BURST="0", IDENTITY_RETENTION__GONE_DAYS="1")
    assert {fault.partition(":")[0] for fault in found} == {"server.port", "limits.burst", "retention.gone_days"}


@pytest.mark.parametrize("proxy", ["nonsense", "10.0.0.0/33", "10.0.0", "2001:db8::/129", "proxy.example"])
def test_a_proxy_that_is_no_network_is_refused_before_the_start(proxy: str) -> None:
    found = refused("development", IDENTITY_SERVER__TRUSTED_PROXIES=proxy)
    assert [fault.partition(":")[0] for fault in found] == ["server.trusted_proxies"]


@pytest.mark.parametrize("url", ["", "http://127.0.0.1", "127.0.0.1:6379", "redis", "embedded"])
def test_a_store_url_of_an_unknown_form_is_refused_before_the_start(url: str) -> None:
    found = refused("development", IDENTITY_STORE__URL=url)
    assert [fault.partition(":")[0] for fault in found] == ["store.url"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"LIMITS__LOOKUP_BODY_BYTES": "100", "LIMITS__BODY_BYTES": "200"}, "limits.lookup_body_bytes"),
        ({"SECRETS__SIGNING_KEYS": ""}, "secrets.signing_keys"),
        ({"SECRETS__SIGNING_KEYS": "short"}, "secrets.signing_keys[0]"),
        ({"SECRETS__SIGNING_KEYS": f"{KEY},!!"}, "secrets.signing_keys[1]"),
        ({"SECRETS__SIGNING_KEYS": f"{KEY},{KEY}"}, "secrets"),
        ({"SECRETS__SIGNING_KEYS": PEPPER}, "secrets"),
        ({"SECRETS__PEPPER": ""}, "secrets.pepper"),
        ({"SECRETS__PEPPER": "A" * 42}, "secrets.pepper"),
        ({"SECRETS__PEPPER": "A" * 44 + "\u00e4"}, "secrets.pepper"),
        ({"SECRETS__PEPPER": "development-only-pepper-of-the-demo-shops-00000001--"}, "secrets.pepper"),
        ({"SECRETS__FORMER_PEPPERS": f"{OTHER_KEY},short"}, "secrets.former_peppers[1]"),
        ({"SECRETS__FORMER_PEPPERS": f"{OTHER_KEY},{PEPPER}"}, "secrets"),
        ({"SECRETS__SIGNING_KEYS": "development-only-signing-key-of-the-demo-shops-0001"}, "secrets.signing_keys[0]"),
        ({"SECRETS__RECEIPT_KEYS": "A" * 43}, "secrets.receipt_keys"),
        ({"SECRETS__RECEIPT_KEYS": f"2026-12-01:{'A' * 42}"}, "secrets.receipt_keys"),
        ({"SECRETS__RECEIPT_KEYS": f"2026-12-01:{'A' * 43},2026-11-01:{'B' * 42}A"}, "secrets.receipt_keys"),
        ({"SECRETS__RECEIPT_KEYS": "2026-01-01:development-only-receipt-key-of-the-demos-0"}, "secrets.receipt_keys"),
        ({"SHOPS__MINE__PUBLIC_KEYS": ""}, "shops.mine.public_keys"),
        ({"SHOPS__MINE__PUBLIC_KEYS": "short"}, "shops.mine.public_keys"),
        ({"SHOPS__MINE__PUBLIC_KEYS": "demo-public-key"}, "shops.mine.public_keys, private_keys"),
        ({"SHOPS__MINE__PRIVATE_KEYS": "a-plain-private-key-of-enough-characters"}, "shops.mine.private_keys"),
        ({"SHOPS__MINE__PRIVATE_KEYS": f"sha256:{'A' * 64}"}, "shops.mine.private_keys"),
        ({"SHOPS__MINE__PRIVATE_KEYS": f"sha256:{'a' * 63}"}, "shops.mine.private_keys"),
        ({"SHOPS__MINE__ORIGINS": "http://mine.example"}, "shops.mine.origins"),
        ({"SHOPS__MINE__ORIGINS": "https://mine.example/"}, "shops.mine.origins"),
        ({"SHOPS__MINE__ORIGINS": "mine.example"}, "shops.mine.origins"),
        ({"SHOPS__MINE__ORIGINS": "*"}, "shops.mine.origins"),
        ({"SHOPS__MINE__ORIGINS": "https://Mine.example"}, "shops.mine.origins"),
        ({"SHOPS__MINE__COOKIE_NAME": "visitor"}, "shops.mine.cookie_name"),
        ({"SHOPS__MINE__COOKIE_NAME": "a b"}, "shops.mine.cookie_name"),
        ({"SHOPS__MINE__COOKIE_NAME": "__Host-a;b"}, "shops.mine.cookie_name"),
        ({"SHOPS__MINE__COOKIE_NAME": "__Secure-v"}, "shops.mine.cookie_name"),
        ({"SHOPS__MINE__COOKIE_DOMAIN": "mine.example"}, "shops.mine.cookie_name"),
        ({"SHOPS__MINE__COOKIE_DOMAIN": ".mine.example", "SHOPS__MINE__COOKIE_NAME": "__Secure-v"}, "shops.mine.cookie_domain"),
        ({"SHOPS__MINE__COOKIE_DOMAIN": "example", "SHOPS__MINE__COOKIE_NAME": "__Secure-v"}, "shops.mine.cookie_domain"),
        ({"SHOPS__MINE__COOKIE_DOMAIN": "a.example; Path=/x", "SHOPS__MINE__COOKIE_NAME": "__Secure-v"}, "shops.mine.cookie_domain"),
        ({"SHOPS__BAD NAME__PUBLIC_KEYS": "pk_of_the_other_shop", "SHOPS__BAD NAME__PRIVATE_KEYS": ""}, "shops.bad name.name"),
    ],
)
def test_production_refuses_and_names_the_setting(changes: dict[str, str], named: str) -> None:
    found = production(**{f"IDENTITY_{name}": value for name, value in changes.items()})
    assert named in [re.split(r": ", fault)[0] for fault in found]
    secret = changes.get("SECRETS__PEPPER") or changes.get("SECRETS__SIGNING_KEYS") or changes.get("SHOPS__MINE__PRIVATE_KEYS") or ""
    assert len(secret) < 6 or secret not in "\n".join(found)


@pytest.mark.parametrize("key", ["demo-private-key", "other-public-key", "strict-private-key"])
def test_every_demo_key_is_refused_in_production(key: str) -> None:
    for kind in ("PUBLIC", "PRIVATE"):
        assert any("demo keys" in fault for fault in production(**{f"IDENTITY_SHOPS__MINE__{kind}_KEYS": key}))


@pytest.mark.parametrize("domain", ["mine.example", "shop.mine.co.uk", "xn--bcher-kva.example"])
def test_a_cookie_for_subdomains_needs_its_prefix(domain: str) -> None:
    assert production(IDENTITY_SHOPS__MINE__COOKIE_DOMAIN=domain, IDENTITY_SHOPS__MINE__COOKIE_NAME="__Secure-v") == []


@pytest.mark.parametrize(
    "origin", ["https://mine.example", "https://mine.example:8443", "https://xn--bcher-kva.example", "https://a-b.c.example"]
)
def test_an_exact_https_origin_is_taken(origin: str) -> None:
    assert production(IDENTITY_SHOPS__MINE__ORIGINS=origin) == []


def test_development_takes_http_and_plain_keys() -> None:
    changes = SOUND | {"IDENTITY_SHOPS__MINE__ORIGINS": "http://[::1]:8080,http://localhost", "IDENTITY_SHOPS__MINE__PRIVATE_KEYS": "plain"}
    assert refused("development", **changes) == []


def test_a_key_belongs_to_one_shop_and_one_list() -> None:
    assert any("used twice" in fault for fault in refused("development", IDENTITY_SHOPS__DEMO__PUBLIC_KEYS="other-public-key"))
    both = {"IDENTITY_SHOPS__DEMO__PUBLIC_KEYS": "x", "IDENTITY_SHOPS__DEMO__PRIVATE_KEYS": "x"}
    assert any("used twice" in fault for fault in refused("development", **both))


def test_a_service_without_a_shop_is_refused() -> None:
    found = refused("production", IDENTITY_SECRETS__SIGNING_KEYS=KEY, IDENTITY_SECRETS__PEPPER=PEPPER)
    assert [fault.partition(":")[0] for fault in found] == ["shops"]


def test_a_withdrawn_token_cannot_outlive_its_gone_mark() -> None:
    sound = load("development", {})
    retention = msgspec.structs.replace(sound.retention, gone_days=389, consent_days=390)
    found = faults(msgspec.structs.replace(sound, retention=retention))
    assert [".".join(fault.name) for fault in found] == ["retention.gone_days"]


def test_settings_cannot_be_changed_after_loading() -> None:
    settings: Settings = load("development", {})
    with pytest.raises(AttributeError):
        settings.server.port = 1  # type: ignore[misc]


def test_check_exits_with_2_and_names_every_fault() -> None:
    changes = {"IDENTITY_SECRETS__PEPPER": "short", "IDENTITY_SHOPS__MINE__ORIGINS": "*", "IDENTITY_SHOPS__MINE__PUBLIC_KEYS": ""}
    changes |= {
        "IDENTITY_SHOPS__MINE__COOKIE_NAME": "v",
        "IDENTITY_LIMITS__LOOKUP_BODY_BYTES": "1",
        "IDENTITY_SHOPS__MINE__PRIVATE_KEYS": "plain",
    }
    told = run("check", "--config", "production", **SOUND | changes)
    assert (told.returncode, told.stdout) == (2, "")
    named = [line.partition(": ")[0] for line in told.stderr.splitlines()]
    wanted = ["limits.lookup_body_bytes", "secrets.pepper"]
    wanted += [f"shops.mine.{name}" for name in ("cookie_name", "origins", "private_keys", "public_keys")]
    assert sorted(named) == wanted
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("", ["secrets.receipt_keys is empty"]),
        (f"2026-12-01:{SEED}", []),
        (f"2027-01-01:{SEED}", ["no key signs today (the last one starts on 2027-01-01)"]),
        (f"2026-01-01/2026-12-01:{SEED}", ["no key signs today (the last one ended on 2026-12-01)"]),
        (f"2023-01-01/2023-12-02:{SEED},2026-01-01:{OTHER_SEED}", []),
        (f"2023-01-01/2023-12-01:{SEED},2026-01-01:{OTHER_SEED}", ["the key of 2023-01-01 signed no receipt that is still kept"]),
    ],
)
def test_check_tells_of_receipt_keys_that_do_not_sign(keys: str, told: list[str]) -> None:
    settings = load("development", {"IDENTITY_SECRETS__RECEIPT_KEYS": keys})
    notes = receipt_key_notes(settings, date(2026, 12, 1))
    assert [part in note for part, note in zip(told, notes, strict=True)] == [True] * len(told)


def test_check_says_that_sound_settings_are_sound() -> None:
    told = run("check")
    assert (told.returncode, told.stderr) == (0, "")
    assert "demo (standard), other (standard), strict (strict)" in told.stdout
    assert run("check", "--config", "production", **SOUND).returncode == 0


def test_the_command_line_stands_above_the_environment() -> None:
    told = run("check", "--port", "0", IDENTITY_SERVER__PORT="8080")
    assert (told.returncode, told.stderr) == (2, "server.port: must be a whole number from 1 to 65,535 (--port)\n")


def test_new_keys_can_be_pasted_into_either_form_and_are_never_twice_the_same(tmp_path: Path) -> None:
    printed = [run("keys", "new") for _ in range(2)]
    assert [told.returncode for told in printed] == [0, 0]
    one, other = (dict(line.split("=", 1) for line in told.stdout.splitlines() if line.startswith("IDENTITY_")) for told in printed)
    assert all(one[name] != other[name] for name in one)
    assert one["IDENTITY_SHOPS__SHOP__PRIVATE_KEYS"] == f"sha256:{key_digest(one.pop('IDENTITY_KEY'))}"
    assert refused("production", **one) == []
    named = tmp_path / "settings.toml"
    named.write_text("".join(line for line in printed[0].stdout.splitlines(keepends=True) if not line.startswith("IDENTITY_")))
    assert load(str(named), {}) == load(os.devnull, one)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "shop.example", "localhost.example"])
def test_development_settings_are_refused_where_other_machines_reach_them(host: str) -> None:
    [fault] = faults(load("development", {"IDENTITY_SERVER__HOST": host}))
    assert str(fault).startswith("server.host: ")
    assert "--config" in str(fault)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_development_settings_start_where_only_this_machine_reaches_them(host: str) -> None:
    assert faults(load("development", {"IDENTITY_SERVER__HOST": host})) == []


def test_a_shop_may_list_pages_without_an_origin() -> None:
    assert production(IDENTITY_SHOPS__MINE__ORIGINS="https://mine.example,null") == []


def secret_file(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


@pytest.mark.parametrize(
    ("name", "content", "value"),
    [
        ("store.url", "redis://u:pw@h\n", "redis://u:pw@h"),
        ("secrets.pepper", PEPPER, PEPPER),
        ("secrets.pepper", f"{PEPPER}\r\n", PEPPER),
        ("secrets.pepper", f" {PEPPER} \n", f" {PEPPER} "),
        ("secrets.signing_keys", f"{KEY}\n\n {OTHER_KEY} \n", [KEY, OTHER_KEY]),
        ("secrets.former_peppers", OTHER_KEY, [OTHER_KEY]),
        ("secrets.former_peppers", "", []),
        ("shops.demo.private_keys", "a,b\n[c]\n", ["a,b", "[c]"]),
    ],
)
def test_a_secret_comes_from_a_file_that_either_layer_names(tmp_path: Path, name: str, content: str, value: object) -> None:
    path = secret_file(tmp_path, "secrets/one", content)
    *section, key = name.split(".")
    named = tmp_path / "own.toml"
    named.write_text(f'[{".".join(section)}]\n{key}_file = "secrets/one"\n{"public_keys = []" if "demo" in name else ""}')
    for settings in (
        load("development", {f"IDENTITY_{name.upper().replace('.', '__')}_FILE": path}),
        load(str(named), {}),
    ):
        read: Any = msgspec.to_builtins(settings)
        for part in name.split("."):
            read = read[part]
        assert read == value


def test_a_file_of_one_layer_gives_way_to_a_value_above_it_and_is_not_read_then(tmp_path: Path) -> None:
    named = tmp_path / "own.toml"
    named.write_text('[secrets]\npepper_file = "nowhere"\nsigning_keys = ["below"]\n')
    above = {"IDENTITY_SECRETS__PEPPER": PEPPER, "IDENTITY_SECRETS__SIGNING_KEYS_FILE": secret_file(tmp_path, "keys", KEY)}
    settings = load(str(named), above)
    assert (settings.secrets.pepper, settings.secrets.signing_keys) == (PEPPER, [KEY])


def test_a_secret_and_its_file_in_one_layer_are_a_fault(tmp_path: Path) -> None:
    path = secret_file(tmp_path, "one", PEPPER)
    told = "secrets.pepper: is set, and pepper_file too; keep one of them"
    assert production(IDENTITY_SECRETS__PEPPER_FILE=path) == [f"{told} (IDENTITY_SECRETS__PEPPER)"]
    named = tmp_path / "own.toml"
    named.write_text(f'[secrets]\npepper_file = "one"\npepper = "{PEPPER}"\n')
    assert f"{told} ({named}:3:1)" in refused(str(named))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"hidden-\xff", "is not text in UTF-8"),
        (b"hidden-" * 10_000, "must be a plain file of at most 65,536 bytes"),
        (b"hidden-short", "needs at least 32 random bytes"),
    ],
)
def test_a_secrets_file_that_cannot_be_used_is_told_without_its_content(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = secret_file(tmp_path, "one", content) if content else str(tmp_path / "none")
    found = [fault for fault in refused("development", IDENTITY_SECRETS__PEPPER_FILE=path) if fault.startswith("secrets.pepper: ")]
    assert [told in fault for fault in found] == [True]
    assert found[0].endswith(" (IDENTITY_SECRETS__PEPPER_FILE)")
    assert "hidden" not in found[0]


def test_a_secrets_file_that_may_never_end_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, "/dev/zero"):
        [fault] = refused("development", IDENTITY_SECRETS__PEPPER_FILE=str(path))
        assert f"its file {path} must be a plain file" in fault


def test_only_secrets_come_from_files(tmp_path: Path) -> None:
    path = secret_file(tmp_path, "one", "8080")
    for name in ("SERVER__PORT_FILE", "SHOPS__DEMO__PUBLIC_KEYS_FILE"):
        [fault] = refused("development", **{f"IDENTITY_{name}": path})
        setting = name.lower().replace("__", ".")
        assert fault == f"{setting}: is not a setting; only secrets can be read from files (IDENTITY_{name})"
    named = tmp_path / "own.toml"
    named.write_text("[secrets]\npepper_file = 3\n")
    assert f"secrets.pepper: the path of its file must be a string ({named}:2:1)" in refused(str(named))


def test_the_command_line_stands_above_a_store_from_a_file(tmp_path: Path) -> None:
    path = secret_file(tmp_path, "one", "no store")
    told = run("check", IDENTITY_STORE__URL_FILE=path)
    assert (told.returncode, "(IDENTITY_STORE__URL_FILE)" in told.stderr, "no store" in told.stderr) == (2, True, False)
    assert run("check", "--data", str(tmp_path / "data"), IDENTITY_STORE__URL_FILE=path).returncode == 0


def test_relative_paths_of_a_file_begin_in_its_folder_and_others_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    named = tmp_path / "settings.toml"
    named.write_text('[store]\nurl = "embedded:data/store"\n')
    monkeypatch.chdir(tmp_path / "elsewhere")
    for one in (str(tmp_path), str(named), "../settings.toml", ".."):
        url = load(one, {}).store.url
        assert Path(url.removeprefix("embedded:")).resolve() == tmp_path / "data/store"
        assert url.startswith("embedded:/")
        assert load(one, {"IDENTITY_STORE__URL": "embedded:data"}).store.url == "embedded:data"
    named.write_text("")
    assert load(str(named), {}).store.url == load("development", {}).store.url == "embedded:data"
    named.write_text('[store]\nurl_file = "address"\n')
    secret_file(tmp_path, "address", "embedded:data\n")
    assert load("..", {}).store.url == f"embedded:{tmp_path / 'elsewhere' / '..'}/data"


WRONG = """\
[server]
port = 99999
workers = "two"
trusted_proxies = [
    "10.0.0.0/8",
    "lb.local",
]
prot = 1

[secrets]
signing_keys = ["%s", "hidden-key"]

[shops.mine]
private_keys = 7
origins = ["http://mine.example"]
policy = "hidden"
banner_categories = { klaro = "x" }
regions.FR.no_signal = "no"

[shops."a b"]
public_keys = ["pk_0123456789abcdef"]

[limits.burst]
x = 1
"""


def test_all_faults_are_told_in_one_run_each_with_its_place_or_variable(tmp_path: Path) -> None:
    named = tmp_path / "settings.toml"
    named.write_text(WRONG % KEY)
    told = run("check", "--config", str(tmp_path), "--host", "", IDENTITY_SECRETS__PEPPER="hidden", IDENTITY_RETENTION__GONE_DAYS="0")
    assert (told.returncode, told.stdout) == (2, "")
    assert "hidden" not in told.stderr
    places = dict(re.findall(r"^([^:]+): .*?(?: \((\S+)\))?$", told.stderr, re.MULTILINE))
    lines = {
        "server.port": 2,
        "server.workers": 3,
        "server.trusted_proxies": 4,
        "server.prot": 8,
        "secrets.signing_keys[1]": 11,
        "shops.mine.private_keys": 14,
        "shops.mine.public_keys": 13,
        "shops.mine.origins": 15,
        "shops.mine.policy": 16,
        "shops.mine.banner_categories.klaro": 17,
        "shops.mine.regions.FR.no_signal": 18,
        "shops.a b.name": 20,
        "shops.a b.private_keys": 20,
        "limits.burst": 23,
    }
    variables = {"secrets.pepper": "IDENTITY_SECRETS__PEPPER", "retention.gone_days": "IDENTITY_RETENTION__GONE_DAYS"}
    assert places == {name: f"{named}:{line}:1" for name, line in lines.items()} | variables


def test_what_follows_from_a_wrong_value_is_no_fault_of_its_own() -> None:
    changes = {"SERVER__PRODUCTION": "perhaps", "SHOPS__MINE__ORIGINS": "http://mine.example", "LIMITS__BODY_BYTES": "many"}
    found = production(**{f"IDENTITY_{name}": value for name, value in changes.items()}, IDENTITY_LIMITS__LOOKUP_BODY_BYTES="10")
    assert {fault.partition(":")[0] for fault in found} == {"limits.body_bytes", "server.production"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SERVER__PORT", "a whole number from 1 to 65,535"),
        ("SERVER__PRODUCTION", "true or false"),
        ("SERVER__LOG_LEVEL", '"debug" or "error" or "info" or "warning"'),
        ("STORE__TIMEOUT_SECONDS", "a number above 0, at most 30"),
        ("SHOPS__DEMO__TCF_PURPOSES", "a list of whole numbers from 1 to 24"),
        ("SHOPS__DEMO__POLICY", '"standard" or "strict"'),
        ("SHOPS__DEMO", "a section, as [shops.demo]"),
        ("LIMITS__BURST__X", "a whole number from 1 to 100"),
    ],
)
def test_a_fault_says_what_its_setting_takes(name: str, words: str) -> None:
    setting = ".".join(name.lower().removesuffix("__x").split("__"))
    assert refused("development", **{f"IDENTITY_{name}": "??"}) == [f"{setting}: must be {words} (IDENTITY_{name})"]


def test_a_name_that_is_nearly_one_is_told_the_right_one() -> None:
    assert "did you mean pepper_file?" in refused("development", IDENTITY_SECRETS__PEPER_FILE="x")[0]
    assert refused("development", IDENTITY_SEVRER__PORT="1")[0].startswith("sevrer: is not a section of settings; did you mean server?")


@given(
    st.dictionaries(
        st.text("ab.\n\"'[]# é", min_size=1, max_size=4),
        st.one_of(st.integers(), st.text("a=[]\n'\"#", max_size=6), st.lists(st.text("a,[]\n#=", max_size=4), max_size=3)),
        max_size=5,
    ),
    st.lists(st.sampled_from(["", "# a = 1", "  "]), max_size=3),
)
def test_the_line_of_a_setting_is_where_the_file_has_it(values: dict[str, Any], between: list[str]) -> None:
    """Of any texts, in one line or several, between comments and empty lines."""
    lines, wanted = ["[first]", "[second.part]"], {("first",): 1, ("second", "part"): 2}
    for key, value in values.items():
        lines += between
        wanted["second", "part", key] = len(lines) + 1
        shown = ",\n".join(map(json.dumps, value)) if isinstance(value, list) else ""
        lines += f"{json.dumps(key)} = {f'[{shown}]' if isinstance(value, list) else json.dumps(value)}".split("\n")
    assert key_lines("\n".join(lines)) == wanted


def test_the_version_is_the_same_everywhere() -> None:
    told = run("--version")
    assert (told.returncode, told.stdout) == (0, f"identity-service {VERSION}\n")
    assert metadata.version("identity-service") == VERSION


def test_a_named_key_is_printed_as_settings_take_it(tmp_path: Path) -> None:
    told = run("keys", "new", "--name", "newsletter", "--scopes", "lookup", "link", "--last-day", "2027-06-30")
    assert (told.returncode, told.stderr) == (0, "")
    section, _, key = told.stdout.partition("IDENTITY_KEY=")
    named = tmp_path / "settings.toml"
    named.write_text(section.replace("[shops.shop.", "[shops.mine."))
    found = load(str(named), SOUND).shops["mine"].keys["newsletter"]
    assert (found.sha256, found.scopes, found.last_day) == (key_digest(key.strip()), ["lookup", "link"], "2027-06-30")
    assert refused(str(named), **SOUND) == []


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        (["--name", "A B", "--scopes", "lookup"], "keys.A B: a key's name"),
        (["--name", "a"], "keys.a.scopes: needs at least one scope"),
        (["--name", "a", "--scopes", "lookup", "--last-day", "June"], "keys.a.last_day: must be a day"),
        (["--scopes", "lookup"], "--scopes and --last-day belong to a key with a --name"),
    ],
)
def test_a_named_key_with_faults_is_not_printed(flags: list[str], fault: str) -> None:
    told = run("keys", "new", *flags)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith(fault)


@pytest.mark.parametrize(
    ("member", "value", "fault"),
    [
        ("SHA256", "sha256:0", "shops.mine.keys.edge.sha256"),
        ("SHA256", key_digest("private"), "shops.mine: a key is used twice"),
        ("SCOPES", "[]", "shops.mine.keys.edge.scopes: needs at least one scope"),
        ("SCOPES", "everything", 'shops.mine.keys.edge.scopes: must be a list of "admin" or "audit"'),
        ("LAST_DAY", "2027-06-31", "shops.mine.keys.edge.last_day: must be a day"),
    ],
)
def test_faults_of_named_keys_are_told_with_their_place(member: str, value: str, fault: str) -> None:
    sound = {"SHA256": key_digest("edge"), "SCOPES": "issue"}
    told = refused(
        "production", **SOUND, **{f"IDENTITY_SHOPS__MINE__KEYS__EDGE__{name}": text for name, text in {**sound, member: value}.items()}
    )
    assert len(told) == 1
    assert told[0].startswith(fault)


def every_type(kind: Any) -> Iterator[Any]:
    """Of the settings that are no sections."""
    for one in fields(kind):
        inner = one.type if not is_section(one.type) or is_struct(one.type) else member(one.type, "any")
        yield from every_type(inner) if is_struct(inner) else [inner]


def test_each_setting_says_in_words_what_it_takes() -> None:
    """A bound that is missing would end the check in a fault of its own."""
    assert all(in_words(kind) for kind in every_type(Settings))
