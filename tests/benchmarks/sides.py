"""The sides: each a server on cores of its own, and a store; started once, idle while another is timed."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.install import CACHE, ROOT, nginx
from tests.benchmarks.work import BARE, EXPRESS, FASTIFY, IMAGE_BARE, NEVER_LIMITED, NGINX, OURS
from tests.test_command import free_port

# A rewrite of the append-only file would fall into one side's round and not into another's.
STORE = ("--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0")
NGINX_CONF = """
pid {place}/nginx.pid;
error_log stderr error;
worker_processes 1;
events {{ }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;
  uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
  server {{
    listen 127.0.0.1:{port};
    userid on; userid_name visitor; userid_path /; userid_expires 390d; userid_flags secure httponly samesite=lax;
    location / {{ default_type application/json; return 200 '{{"visitor":"$uid_set"}}'; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Side:
    """A running server."""

    name: str
    url: str
    pid: int


def two_cores() -> tuple[int, int]:
    """One for a side, one for the load and the store. Raises SystemExit where there is one core alone."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("the benchmark needs two cores: one for a side, one for the load")
    return cores[0], cores[-1]


def third_core() -> int | None:
    """One for a second worker; None where it has to share that of the load and the store."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[1] if len(cores) > 2 else None


@contextmanager
def pinned(*cores: int) -> Iterator[None]:
    """Processes started meanwhile stay on the cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def started(names: Iterable[str], store: str, place: Path, core: int, pythons: Mapping[str, str]) -> Iterator[dict[str, Side]]:
    """`store`: unix:// URL. `pythons`: interpreters of the sides that have one."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(side(name, store, place, core, python=pythons.get(name, sys.executable))) for name in names}


@contextmanager
def side(name: str, store: str, place: Path, *cores: int, python: str = sys.executable) -> Iterator[Side]:
    """Has a worker a core, where it has workers."""
    port = free_port()
    environment = os.environ | _environment(store, port, len(cores))
    with pinned(*cores):
        process = subprocess.Popen(
            _command(name, place, port, python), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    try:
        _wait(name, process, port)
        yield Side(name, f"http://127.0.0.1:{port}", process.pid)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment(store: str, port: int, workers: int) -> dict[str, str]:
    """The peers wait for the store as long as it takes, so the service does, nearly. It counts and logs every call; the peers do not."""
    peers = {"PORT": str(port), "STORE": store.removeprefix("unix://"), "NODE_ENV": "production"}
    service = {"IDENTITY_STORE__URL": store, "IDENTITY_STORE__TIMEOUT_SECONDS": "10", "IDENTITY_SERVER__WORKERS": str(workers)}
    return peers | service | NEVER_LIMITED | {"PYTHONPATH": str(ROOT)}


def _command(name: str, place: Path, port: int, python: str) -> list[str]:
    if name in (EXPRESS, FASTIFY):
        return ["node", str(CACHE / f"{name.lower()}.js")]
    if name == NGINX:
        (place / "nginx.conf").write_text(NGINX_CONF.format(place=place, port=port))
        return [nginx() or "nginx", "-p", str(place), "-e", "stderr", "-c", str(place / "nginx.conf"), "-g", "daemon off;"]
    if name in OURS:
        return [python, "-m", "identity_service", "serve", "--port", str(port)]
    assert name in {BARE, IMAGE_BARE}
    server = [python, "-m", "uvicorn", "tests.benchmarks.bare:app", "--port", str(port), "--no-access-log"]
    return [*server, "--log-level", "warning", "--loop", "uvloop", "--http", "httptools"]


def _wait(name: str, process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise SystemExit(f"{name} did not start")
