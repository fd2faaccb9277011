"""Proxies before a service, run with lines of the manual and of the deployment files; a laptop without them skips."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.benchmarks.install import CACHE
from tests.benchmarks.install import nginx as nginx_program
from tests.debian import install_program
from tests.edges.shops import wait_for
from tests.test_command import PATIENCE


@contextmanager
def running(command: Sequence[str | Path], port: int) -> Iterator[str]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


@contextmanager
def nginx(place: Path, port: int, http: str) -> Iterator[str]:
    """`http`: the lines inside of `http`."""
    CACHE.mkdir(parents=True, exist_ok=True)
    program = nginx_program()
    if program is None:
        pytest.skip("needs nginx, and Debian's package could not be fetched")
    temporary = "".join(f"{kind}_temp_path {place}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    whose = "user root;" if os.geteuid() == 0 else ""  # whose bodies on disk nobody else may read
    settings = f"daemon off; {whose} pid {place}/pid; error_log stderr; events {{}}\nhttp {{ access_log off; {temporary}\n{http}\n}}\n"
    (place / "nginx.conf").write_text(settings)
    with running([program, "-c", place / "nginx.conf", "-p", place], port) as url:
        yield url


@contextmanager
def caddy(place: Path, port: int, sites: str, *options: str) -> Iterator[str]:
    """`options`: more global ones."""
    (place / "Caddyfile").write_text("".join(f"{line}\n" for line in ("{", "admin off", *options, "}", sites)))
    with running([needed("caddy"), "run", "--adapter", "caddyfile", "--config", place / "Caddyfile"], port) as url:
        yield url


@contextmanager
def haproxy(place: Path, port: int, upstream: str) -> Iterator[str]:
    (place / "haproxy.cfg").write_text(
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 20s\n  timeout server 20s\n  option forwardfor\n"
        f"listen shop\n  bind 127.0.0.1:{port}\n  server identity {upstream}\n"
    )
    with running([needed("haproxy"), "-db", "-f", place / "haproxy.cfg"], port) as url:
        yield url


@contextmanager
def varnish(place: Path, port: int, upstream: str) -> Iterator[str]:
    """As it comes: it caches what it may."""
    command: list[str | Path] = [needed("varnishd", "varnish"), "-F", "-n", place / "varnish", "-a", f"127.0.0.1:{port}", "-b", upstream]
    with running(command, port) as url:
        yield url


def needed(program: str, package: str = "") -> str:
    found = install_program(program, package or program)
    if found is None:
        pytest.skip(f"needs {program}: apt-get install {package or program}")
    return found
