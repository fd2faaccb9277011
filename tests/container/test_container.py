"""The Dockerfile, built and run for real. Takes minutes, so it runs with --long alone."""

import errno
import http.client
import os
import signal
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container.image import NEEDLE, CannotBuild, Image, built
from tests.container.running import Container, healthy, running
from tests.test_command import eventually

LUKE = {"email": "luke@skywalker.com"}
TOOLS = {"cc", "gcc", "c++", "make", "ld", "git", "curl", "wget", "pip", "pip3", "uv", "hatch"}


@pytest.fixture(scope="module")
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    if not request.config.getoption("--long"):
        pytest.skip("takes minutes; --long runs it")
    try:
        with built(tmp_path_factory.mktemp("image")) as made:
            yield made
    except CannotBuild as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def container(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    with running(image, tmp_path_factory.mktemp("data"), "--workers", "2") as started:
        yield started


def test_it_answers_and_keeps_what_it_is_told(container: Container) -> None:
    assert container.call("/v1/links", LUKE | {"visitor": "abc123"})[0] == 200
    assert [one["visitor"] for one in container.call("/v1/lookups", LUKE)[1]["visitors"]] == ["abc123"]
    assert container.call("/readyz")[0] == 200


def test_all_its_processes_run_as_an_ordinary_user_without_rights(container: Container) -> None:
    """Supervisor, two workers, the store, and what Python starts beside them."""
    assert eventually(lambda: sum("spawn_main" in _of(pid, "cmdline") for pid in container.processes()) == 2, 30)
    status = [dict(line.split(":\t", 1) for line in _of(pid, "status").splitlines()) for pid in container.processes()]
    assert {one["Uid"].split()[0] for one in status} == {"10001"}
    assert {one["Gid"].split()[0] for one in status} == {"10001"}
    assert {one["CapEff"] for one in status} == {"0" * 16}


@pytest.mark.parametrize("place", ["", "tmp", "opt/identity", "var/tmp", "dev"])
def test_its_root_cannot_be_written(container: Container, place: str) -> None:
    """Not even by the root of this machine."""
    with pytest.raises(OSError, match="Read-only") as refused:
        (Path(f"/proc/{container.first}/root") / place / "written").write_text("x")
    assert refused.value.errno == errno.EROFS


def test_its_workers_share_their_memory(container: Container) -> None:
    """The limits hold for both together, which needs /proc and an anonymous file."""
    assert eventually(lambda: sum("memfd:identity-limits" in _of(pid, "maps") for pid in container.processes()) == 2, 30)


def _of(pid: int, file: str) -> str:
    return Path(f"/proc/{pid}/{file}").read_text()


def test_its_health_check_tells_a_service_from_none(image: Image, container: Container) -> None:
    assert healthy(image, container.url)
    assert not healthy(image, "http://127.0.0.1:9")


def test_sigterm_lets_a_call_in_flight_end_and_loses_nothing(image: Image, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with running(image, data, "--workers", "2") as container:
        assert container.call("/v1/links", LUKE | {"visitor": "before"})[0] == 200
        status, ended = _call_across_a_stop(container)
    assert (status, ended) == (200, 0)
    with running(image, data) as again:
        found = {one["visitor"] for one in again.call("/v1/lookups", LUKE)[1]["visitors"]}
        assert again.stop() == 0
    assert found == {"before", "during"}


def _call_across_a_stop(container: Container) -> tuple[int, int]:
    """A link whose body is finished only after the container was told to stop; its status, and the container's."""
    body = b'{"email": "luke@skywalker.com", "visitor": "during"}'
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(container.url).netloc, timeout=30)
    connection.putrequest("POST", "/v1/links")
    connection.putheader("Authorization", "Bearer demo-private-key")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[:20])
    log, stopped = container.log, threading.Event()
    os.kill(container.first, signal.SIGTERM)
    while "Shutting down" not in log.read_text():
        stopped.wait(0.02)
    connection.send(body[20:])
    status = connection.getresponse().status
    connection.close()
    return status, container.process.wait(30)


def test_nothing_is_in_the_image_but_what_it_runs(image: Image) -> None:
    """Neither tools that build, nor tests, nor what lies beside the sources in a checkout."""
    folders = [image.root / path.lstrip("/") for path in dict(one.split("=", 1) for one in image.config["Env"])["PATH"].split(":")]
    assert {name.name for folder in folders if folder.is_dir() for name in folder.iterdir()} & TOOLS == set()
    installed = {path.name.split("-")[0] for path in (image.root / "opt/identity").glob("lib/python*/site-packages/*.dist-info")}
    assert "identity_service" in installed
    assert installed & {"pip", "setuptools", "wheel", "hatchling", "pytest", "mypy"} == set()
    assert not (image.root / "build").exists()
    assert list((image.root / "opt/identity").rglob("tests")) == []
    search = subprocess.run(["grep", "-rlF", NEEDLE, str(image.root)], capture_output=True, text=True, check=False)
    assert search.stdout == ""


def test_its_user_may_change_nothing_that_it_runs(image: Image) -> None:
    for path in [image.root / "opt/identity", *(image.root / "opt/identity").rglob("*")]:
        status = path.lstat()
        assert (status.st_uid, status.st_gid) == (0, 0)
        assert path.is_symlink() or status.st_mode & 0o6022 == 0


def test_it_starts_under_a_longer_name_of_its_volume(image: Image, tmp_path: Path) -> None:
    """The store's socket then stands in /dev/shm: a path of a socket is short."""
    data = tmp_path / "data"
    (data / ("d" * 100)).mkdir(parents=True)
    os.chown(data / ("d" * 100), 10001, 10001)
    with running(image, data, "--data", f"/data/{'d' * 100}") as container:
        assert container.call("/readyz")[0] == 200
        assert container.stop() == 0
