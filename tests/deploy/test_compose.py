"""The compose file: its settings are real ones, its files are there, its ports agree with the proxy's, and its store is one that `doctor`
has nothing against."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from identity_service.cli import main
from identity_service.server.supervisor import END_SECONDS
from identity_service.store.embedded import server_binary
from tests.deploy.files import DEPLOY, replaced, settings_of, written_by_init
from tests.edges.proxies import needed
from tests.edges.shops import ROOT
from tests.topologies import Server, free_port

COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
PROXY, SERVICE, STORE = (COMPOSE["services"][name] for name in ("proxy", "service", "store"))
PASSWORD = "0123456789abcdef"
URL = f"redis://identity:{PASSWORD}@store:6379"


def test_its_service_runs_with_settings_that_exist(tmp_path: Path) -> None:
    settings = settings_of(SERVICE["environment"], SERVICE["command"], written_by_init(tmp_path / "shop", URL))
    assert (settings.server.workers, settings.server.port, settings.store.url) == (2, 8080, URL)
    assert settings.server.trusted_proxies == [COMPOSE["networks"]["inside"]["ipam"]["config"][0]["subnet"]]
    assert int(SERVICE["stop_grace_period"].removesuffix("s")) > settings.server.drain_seconds + END_SECONDS
    assert f":{settings.server.internal_port}:{settings.server.internal_port}" in SERVICE["ports"][0]
    assert all(port.startswith("127.0.0.1:") for port in SERVICE["ports"])


def test_compose_reads_it() -> None:
    """It needs no engine for that."""
    command = [needed("docker-compose"), "--file", str(DEPLOY / "compose.yaml"), "config", "--quiet"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_its_proxy_reaches_the_service_and_publishes_it() -> None:
    assert PROXY["environment"]["IDENTITY_INSTANCES"] == "service:8080"
    assert all(f"{{${name}:" in (DEPLOY / "Caddyfile").read_text() for name in PROXY["environment"])
    assert PROXY["depends_on"] == {"service": {"condition": "service_healthy"}}
    assert "8080/healthz" in (ROOT / "Dockerfile").read_text()


def test_every_file_and_name_that_it_mentions_is_there(tmp_path: Path) -> None:
    folder = written_by_init(tmp_path / "my-shop", URL)
    shutil.copy(DEPLOY / "store-users.acl", folder / "secrets" / "store_users")
    for service in COMPOSE["services"].values():
        assert set(service.get("networks", [])) <= COMPOSE["networks"].keys()
        assert set(service.get("secrets", [])) <= COMPOSE["secrets"].keys()
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (DEPLOY / source).is_file() or (tmp_path / source).is_file(), source
    assert all((tmp_path / secret["file"]).is_file() for secret in COMPOSE["secrets"].values())
    told = [one for one in SERVICE["environment"].values() if one.startswith("/run/secrets/")]
    assert sorted(one.rpartition("/")[2] for one in told) == sorted(SERVICE["secrets"])
    [line] = re.findall(r"identity-service init .*", (DEPLOY / "compose.yaml").read_text())
    assert line == 'identity-service init my-shop --origin https://www.example.com --store "redis://identity:$PASSWORD@store:6379"'


@contextmanager
def store(place: Path, program: str) -> Iterator[str]:
    """The store with its files, and its URL with `{login}` in the place of user and password."""
    users = place / "store_users"
    users.write_text(replaced("store-users.acl", PASSWORD=PASSWORD, OPERATOR=PASSWORD))
    config = place / "redis.conf"
    config.write_text(replaced("redis.conf", **{"dir /data": f"dir {place}", "/run/secrets/store_users": str(users)}))
    assert STORE["command"] == ["redis-server", "/etc/redis.conf"]
    port = free_port()
    server = Server("store", port, place, str(config), "--port", str(port), program=program)
    server.client.connection_pool.connection_kwargs |= {"username": "health", "password": "any"}
    server.start()
    try:
        yield f"redis://{{login}}:{PASSWORD}@127.0.0.1:{server.port}"
    finally:
        server.kill()


@pytest.mark.parametrize("program", [str(server_binary()), shutil.which("redis-server")], ids=["valkey", "redis"])
def test_doctor_finds_nothing_wrong_with_its_store(program: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if program is None:
        pytest.skip("needs Debian's redis-server")
    with store(tmp_path, program) as url:
        statuses = [main(["doctor", url.format(login=login)]) for login in ("identity", "operator")]
    lines = capsys.readouterr().out.splitlines()
    assert (statuses, [line for line in lines if line.startswith("wrong")]) == ([0, 0], [])
    assert sum("does not show its settings to this login" in line for line in lines) == 1


def test_the_stores_files_say_what_the_service_needs() -> None:
    """`production.toml` lists it."""
    production = (ROOT / "config" / "production.toml").read_text()
    config = (DEPLOY / "redis.conf").read_text()
    for line in re.findall(r"^#     ((?!sentinel|cluster|user)[a-z-]+ \S+)$", production, re.MULTILINE):
        assert line in config
    [login] = re.findall(r"^#     (user identity .*)$", production, re.MULTILINE)
    assert login in (DEPLOY / "store-users.acl").read_text().splitlines()
