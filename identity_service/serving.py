"""The HTTP server: uvicorn's supervisor with one process a worker, and the line that says where it listens."""

import os
import resource
import sys
import threading
import time
import urllib.error
import urllib.request
from functools import partial
from multiprocessing.connection import wait

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.supervisors import Multiprocess, multiprocess

from identity_service.connection import Connection
from identity_service.logs import SERVER_LOGGING
from identity_service.protocol import allowances
from identity_service.sections import ServerSettings, Settings
from identity_service.slots import MEMORY_VARIABLE, create_memory

MOST_CONNECTIONS = 8192
"""Of a worker; above it calls are answered 503. Slow clients hold connections for seconds, so it is far above what a worker can answer."""

START_SECONDS = 60
"""In which a worker must be ready to replace another, or the other stays."""
END_SECONDS = 10
"""After the time for open calls, in which a worker that was told to end must have ended, or it is killed."""


class Worker(multiprocess.Process):
    """Whose death is noticed at once, also while the supervisor waits for its answer; whose end comes, also where it is frozen; and of
    whose gauges nothing is left then."""

    def join(self) -> None:
        self.process.join((self.config.timeout_graceful_shutdown or 0) + END_SECONDS)
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        mark_process_dead(self.pid)  # type: ignore[no-untyped-call]

    def wait_until_ready(self, timeout: float, should_exit: threading.Event | None = None) -> bool:  # noqa: ARG002 that of an answer
        return super().wait_until_ready(START_SECONDS, should_exit)

    def _healthcheck(self, timeout: float) -> bool | None:
        try:
            self.parent_conn.send(b"ping")
            if self.parent_conn in wait([self.parent_conn, self.process.sentinel], timeout):
                started: bool = self.parent_conn.recv()
                return started
        except (OSError, EOFError):
            pass
        return None


multiprocess.Process = Worker  # type: ignore[misc]  # the supervisor takes no other way


def run_workers(settings: Settings) -> None:
    """Always under the supervisor, also with one worker: it restarts workers that die, and on SIGHUP one by one."""
    server = settings.server
    _allow_connections()
    config = uvicorn.Config(
        "identity_service.worker:create",
        factory=True,
        host=server.host,
        port=server.port,
        workers=server.workers,
        loop="uvloop",
        http=partial(Connection, allowed=allowances(settings)),  # type: ignore[arg-type]
        ws="none",
        log_config=SERVER_LOGGING,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=server.drain_seconds,
        timeout_keep_alive=30,
        timeout_worker_healthcheck=10,
        backlog=4096,
        limit_concurrency=MOST_CONNECTIONS,
    )
    socket = config.bind_socket()
    os.environ[MEMORY_VARIABLE] = create_memory()
    threading.Thread(target=_announce, args=(server,), daemon=True).start()
    Multiprocess(config, sockets=[socket]).run()


def _allow_connections() -> None:
    """Systems often allow 1,024 open files, and more where a process asks for them."""
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + 256
    if resource.RLIM_INFINITY not in {soft, most}:
        wanted = min(wanted, most)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _announce(server: ServerSettings) -> None:
    """Says where the service listens, once it answers."""
    host, port = server.host, server.port
    shown = f"[{host}]" if ":" in host else host
    reached = "127.0.0.1" if host in {"0.0.0.0", "::"} else shown  # noqa: S104 the wildcard is compared, not bound
    for _ in range(1200):
        try:
            with urllib.request.urlopen(f"http://{reached}:{port}/healthz", timeout=1):
                _print(f"listening on http://{shown}:{port}")
                if server.demo:
                    _print(f"demo shop: http://localhost:{port}/shop")
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)


def _print(line: str) -> None:
    """Where nobody reads it, nothing is printed from then on, and the exit code stays what it is."""
    try:
        print(line, flush=True)
    except (OSError, ValueError):
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 it lives as long as the process
