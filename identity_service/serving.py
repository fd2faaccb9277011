"""The HTTP server: uvicorn's supervisor with one process a worker, and the line that says where it listens."""

import threading
import time
import urllib.error
import urllib.request

import uvicorn
from uvicorn.supervisors import Multiprocess

from identity_service.connection import Connection
from identity_service.logs import SERVER_LOGGING
from identity_service.sections import ServerSettings, Settings


def run_workers(settings: Settings) -> None:
    """Always under the supervisor, also with one worker: it restarts workers that die, and on SIGHUP one by one."""
    server = settings.server
    config = uvicorn.Config(
        "identity_service.worker:create",
        factory=True,
        host=server.host,
        port=server.port,
        workers=server.workers,
        loop="uvloop",
        http=Connection,
        ws="none",
        log_config=SERVER_LOGGING,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=server.drain_seconds,
        timeout_keep_alive=30,
        timeout_worker_healthcheck=10,
        backlog=4096,
        limit_concurrency=1024,
    )
    socket = config.bind_socket()
    threading.Thread(target=_announce, args=(server,), daemon=True).start()
    Multiprocess(config, sockets=[socket]).run()


def _announce(server: ServerSettings) -> None:
    """Says where the service listens, once it answers."""
    host, port = server.host, server.port
    shown = f"[{host}]" if ":" in host else host
    reached = "127.0.0.1" if host in {"0.0.0.0", "::"} else shown  # noqa: S104 the wildcard is compared, not bound
    for _ in range(1200):
        try:
            with urllib.request.urlopen(f"http://{reached}:{port}/healthz", timeout=1):
                print(f"listening on http://{shown}:{port}", flush=True)
                if server.demo:
                    print(f"demo shop: http://localhost:{port}/shop", flush=True)
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
