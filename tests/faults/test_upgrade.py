"""Two versions of the service on one store: an update and its rollback, instance by instance behind nginx with the deployment file, under
load. Nothing is lost, and no call fails, whatever the form of the store."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.deploy.files import certificate, replaced
from tests.edges.proxies import nginx
from tests.edges.shops import ROOT
from tests.faults.checker import AssertKept
from tests.faults.durable import FORMS, NEEDS_REDIS, REDIS, VALKEY
from tests.faults.load import PATIENT, Load
from tests.faults.running import RunningService
from tests.test_command import free_port
from tests.topologies import Topology

pytestmark = pytest.mark.thorough
BACK = 20
"""Commits from the present to the earlier version."""
PATIENCE = 90
"""Seconds of a client, on a machine that is busy."""


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment in which Python runs the earlier version, from its own wheel."""
    place = tmp_path_factory.mktemp("earlier")
    asked = ["git", "log", "--first-parent", "-1", f"--skip={BACK}", "--format=%H"]
    commit = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    if not commit:
        pytest.skip("needs the repository's history")
    (place / "source").mkdir()
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True)
    subprocess.run(["tar", "-x", "-C", place / "source"], input=archive.stdout, check=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(place / "installed"), str(place / "source")]
    installed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if installed.returncode:
        pytest.skip(f"the earlier version cannot be built: {installed.stderr[-300:]}")
    environment = {"PYTHONPATH": str(place / "installed"), "PYTHONSAFEPATH": "1"}
    assert package_in(environment).is_relative_to(place)
    return environment


@contextmanager
def balanced(place: Path, *instances: int) -> Iterator[str]:
    """nginx with the deployment file, but for TLS, before instances on these ports."""
    chain, key = certificate(place, "id.shop.example")
    port = free_port()
    places = {"/etc/ssl/id.shop.example.pem": str(chain), "/etc/ssl/id.shop.example.key": str(key)}
    addresses = dict(zip(("127.0.0.1:8080", "127.0.0.1:8090"), (f"127.0.0.1:{one}" for one in instances), strict=True))
    with nginx(place, port, replaced("nginx.conf", **places, **addresses, **{"443 ssl http2": f"127.0.0.1:{port}"})) as url:
        yield url


def instance(place: Path, store: Topology, port: int, version: Mapping[str, str]) -> RunningService:
    service = RunningService(place / f"instance-{port}", store.url, 2, IDENTITY_STORE__REPLICAS=str(store.replicas), **PATIENT, **version)
    service.port, service.url = port, f"http://127.0.0.1:{port}"
    return service


@contextmanager
def started(place: Path, store: Topology, ports: Sequence[int], version: Mapping[str, str]) -> Iterator[list[RunningService]]:
    """Whatever is in the list at the end is stopped."""
    running = [instance(place, store, port, version) for port in ports]
    try:
        for service in running:
            service.start()
        yield running
    finally:
        for service in running:
            service.stop()


@pytest.mark.parametrize("program", [VALKEY, pytest.param(REDIS, marks=NEEDS_REDIS)], ids=["valkey", "redis"])
@pytest.mark.parametrize("form", FORMS)
def test_an_update_and_a_rollback_lose_nothing_and_fail_no_call(
    tmp_path: Path,
    writes: int,
    earlier: Mapping[str, str],
    assert_kept: AssertKept,
    record_property: Callable[[str, object], None],
    form: str,
    program: str,
) -> None:
    ports = free_port(), free_port()
    with FORMS[form](program) as store, balanced(tmp_path, *ports) as url, started(tmp_path, store, ports, earlier) as running:
        with Load(url, seed=71, seconds=PATIENCE) as load:
            for version in ({}, earlier):
                for number, port in enumerate(ports):
                    load.wait(writes // 5)
                    assert running[number].stop() == 0
                    running[number] = instance(tmp_path, store, port, version)
                    running[number].start()
            load.wait(max(writes // 5, writes - load.history.acknowledged))
        statuses = load.history.statuses()
        record_property("statuses", dict(statuses))
        record_property("slowest", round(max(one.ended - one.began for one in load.history.operations), 2))
        assert set(statuses) <= {200, 409}, (statuses, *(service.log for service in running))
        assert_kept(load.history, running[0])


def package_in(environment: Mapping[str, str]) -> Path:
    """Where Python finds the service in that environment."""
    command = [sys.executable, "-c", "import identity_service; print(identity_service.__file__)"]
    return Path(subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True).stdout.strip())
