"""The doctor, on real servers: silent about those that are set as the shipped file says, and naming each setting that differs."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from identity_service.cli import main
from identity_service.doctor import diagnose
from identity_service.store.inspection import Inspection, inspect
from tests.server import valkey
from tests.topologies import Cluster, Sentinels, cluster, sentinels

PRODUCTION = Path(__file__).parent.parent / "config" / "production.toml"
STATED = {name: value for name, value in re.findall(r"^#     ([a-z-]+) (.+)$", PRODUCTION.read_text(), re.MULTILINE)}
LOGIN = STATED.pop("user")
STATED.pop("sentinel")
REPLICATED = {name: STATED.pop(name) for name in ("min-replicas-to-write", "min-replicas-max-lag")}
CLUSTERED = {name: STATED.pop(name) for name in list(STATED) if name.startswith("cluster-")}
MEMORY = {"maxmemory": "100mb"}


def flags(*settings: dict[str, str]) -> list[str]:
    stated = {name: value.strip('"') for group in settings for name, value in group.items()}
    return [word for name, value in stated.items() for word in (f"--{name}", value)]


def told(url: str, *arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Exit code and lines."""
    code = main(["doctor", url, *arguments])
    return code, capsys.readouterr().out.splitlines()


def test_a_server_set_as_the_shipped_file_says_is_fit(capsys: pytest.CaptureFixture[str]) -> None:
    with valkey(*flags(STATED, MEMORY)) as url:
        code, lines = told(url, capsys=capsys)
    assert code == 0
    assert len(lines) == 1
    assert re.fullmatch(r"1 servers, round trip [\d.]+ ms, durable write [\d.]+ ms, slowest of 50 [\d.]+ ms", lines[0])


@pytest.mark.parametrize(
    ("setting", "value", "instead"),
    [
        ("maxmemory-policy", "allkeys-lru", "set it to noeviction"),
        ("appendonly", "no", "set appendonly yes"),
        ("appendfsync", "everysec", "set appendfsync always"),
        ("no-appendfsync-on-rewrite", "yes", "set no-appendfsync-on-rewrite no"),
        ("save", "3600 1", 'set save ""'),
        ("slowlog-log-slower-than", "10000", "set slowlog-log-slower-than -1"),
        ("crash-log-enabled", "yes", "set crash-log-enabled no"),
    ],
)
def test_each_wrong_setting_is_named_with_what_to_set(setting: str, value: str, instead: str, capsys: pytest.CaptureFixture[str]) -> None:
    with valkey(*flags(STATED | {setting: value}, MEMORY)) as url:
        code, lines = told(url, capsys=capsys)
    assert code == 1
    [wrong] = [line for line in lines if line.startswith("wrong")]
    assert f"{setting}" in wrong
    assert wrong.endswith(instead)
