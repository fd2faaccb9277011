"""The HTTP server: uvicorn's supervisor with one process a worker, and the lines that say where it listens."""

import errno
import os
import pkgutil
import resource
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import wait
from typing import Any, cast

import uvicorn
from uvicorn.supervisors import Multiprocess, multiprocess

from identity_service.errors import SettingsError
from identity_service.model.shop import ShopId, no_longer_counting
from identity_service.server.limits import MEMORY_VARIABLE, create_memory
from identity_service.server.logs import SERVER_LOGGING, log
from identity_service.server.metric_files import add_up, count_in_supervisor
from identity_service.server.metrics import WORKER_DEATHS, WORKER_STARTS
from identity_service.server.protocol import ClientConnection, allowances
from identity_service.settings.schema import DEMO_KEY, Settings

NO_SHOPS = frozenset[ShopId]()
MOST_CONNECTIONS = 8192
"""Per worker; above it calls are answered 503. Slow clients hold connections for seconds, so it is far above a worker's throughput."""

BACKLOG = 4096
START_SECONDS = 60
"""Time for a new worker to become ready. If it does not, the old one stays."""
END_SECONDS = 10
"""Time for a stopping worker to end, after the time for open calls. Then it is killed."""
DYING_SECONDS = 2
"""Time for a worker that has closed its pipe to end."""
STOP_SECONDS = 5
"""Time for a worker to say that it stopped counting. Then it is killed."""

LOOPBACK = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 the wildcard is compared, not bound
"""Addresses at which this machine reaches a service that listens on all."""


class Worker(multiprocess.Process):
    """A worker process. Its death is noticed at once, even while the supervisor waits for its answer. A frozen one is killed, but not one
    that still starts, which takes long on a busy machine. When it ends, its gauges are removed, and its counts added to those of others
    that ended. A death that nobody asked for is logged and counted."""

    answered = False
    questions = 0
    started_at = 0.0
    asked_to_end = False
    frozen = False

    def start(self) -> None:
        self.started_at = time.monotonic()
        super().start()
        count_in_supervisor(WORKER_STARTS)

    def terminate(self) -> None:
        self.asked_to_end = True
        super().terminate()

    def kill(self) -> None:
        """The supervisor calls it for a worker that died, or does not answer. One that is dying may have closed its pipe already."""
        self.process.join(DYING_SECONDS)
        self.frozen = self.process.exitcode is None
        super().kill()

    def is_alive(self, timeout: float = 5) -> bool:
        starting = not self.answered and time.monotonic() - self.started_at < START_SECONDS
        return super().is_alive(timeout) or (starting and self.process.is_alive())

    def join(self) -> None:
        self.process.join((self.config.timeout_graceful_shutdown or 0) + END_SECONDS)
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        if not self.asked_to_end:
            self._report_death()
        add_up(self.process.pid or 0)

    def _report_death(self) -> None:
        code = self.process.exitcode or 0
        count_in_supervisor(WORKER_DEATHS)
        if self.frozen:
            log.warning("a worker did not answer and was killed; another one takes its place", worker=self.pid)
        elif code < 0:
            log.warning("a worker was killed; another one takes its place", worker=self.pid, signal=_signal_name(-code))
        else:
            log.warning("a worker ended by itself; another one takes its place", worker=self.pid, exit=code)

    def wait_until_ready(self, timeout: float, should_exit: threading.Event | None = None) -> bool:  # noqa: ARG002 that of an answer
        return super().wait_until_ready(START_SECONDS, should_exit)

    def ask(self, shops: frozenset[ShopId] = NO_SHOPS) -> None:
        """`shops`: those that stop counting visitors who say nothing. Without any it only asks whether the worker has started."""
        self.questions += 1
        with suppress(OSError):
            self.parent_conn.send((self.questions, shops))

    def answer(self, seconds: float) -> bool | None:
        """Whether the worker has started, if it answers the newest question in time. An answer to an earlier one may come before."""
        until = time.monotonic() + seconds
        with suppress(OSError, EOFError):
            while self.parent_conn in wait([self.parent_conn, self.process.sentinel], max(0, until - time.monotonic())):
                number, started = self.parent_conn.recv()
                self.answered = True
                if number == self.questions:
                    return bool(started)
        return None

    def end_unless_stopped(self, seconds: float) -> None:
        """Kills a worker that did not answer that it stopped counting, and one that still starts, because it would go on by the settings
        that it was started with."""
        if not self.answer(seconds):
            self.asked_to_end = True
            self.process.kill()

    def pong(self) -> None:
        """Answers a question of the supervisor, in the worker."""
        number, shops = self.child_conn.recv()
        if shops and self.server.started:
            self.config.loaded_app.stop_counting(shops)
        self.child_conn.send((number, self.server.started))

    def _healthcheck(self, timeout: float) -> bool | None:
        self.ask()
        return self.answer(timeout)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return str(number)


multiprocess.Process = Worker  # type: ignore[misc]  # the supervisor has no parameter for it


class Supervisor(Multiprocess):
    """`read`: reads the settings again on SIGHUP; raises SettingsError. A worker that dies is replaced with the settings of the others,
    even if the file has changed."""

    def __init__(
        self, config: uvicorn.Config, bound: list[socket.socket], settings: Settings, read: Callable[[], Settings], create: str
    ) -> None:
        super().__init__(config, sockets=bound)
        self._settings, self._read, self._create = settings, read, create

    def terminate_all(self) -> None:
        """Leaves listening to the workers, which stop it when they end. Otherwise the system would go on accepting connections that nobody
        answers, and reset them in the end."""
        for bound in self.sockets:
            bound.close()
        super().terminate_all()

    def handle_hup(self) -> None:
        try:
            settings = self._read()
            _set_workers(self.config, settings, self._create)
        except SettingsError as error:
            log.error(
                "the settings have faults; the workers keep the previous ones; correct them and send SIGHUP again", faults=error.faults
            )
        except Exception as error:  # no fault in the settings may stop the service
            log.error("the settings could not be read; the workers keep the previous ones", fault=type(error).__name__)
        else:
            self._stop_counting(no_longer_counting(self._settings.shops, settings.shops))
            self._settings = settings
            super().handle_hup()

    def _stop_counting(self, shops: frozenset[ShopId]) -> None:
        """At once, because restarting all workers takes seconds."""
        if shops:
            workers = [cast("Worker", worker) for worker in self.processes]
            for worker in workers:
                worker.ask(shops)
            until = time.monotonic() + STOP_SECONDS
            for worker in workers:
                worker.end_unless_stopped(max(0, until - time.monotonic()))
            log.info("visitors who say nothing are no longer counted", shops=sorted(shops))


class CannotListen(Exception):
    """One line for the user: the reason, and what to do next."""


def bind(host: str, port: int, chosen: str) -> socket.socket:
    """Binds the port without accepting connections yet. `chosen`: the option or setting that chose it. Raises CannotListen."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise CannotListen(_why_not(error, host, port, chosen)) from None
    return bound


def _why_not(error: OSError, host: str, port: int, chosen: str) -> str:
    if isinstance(error, socket.gaierror) or error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
        return f"{host} is not an address of this machine; choose one with --host, or 0.0.0.0 for all"
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is in use; stop the program that uses it, or choose another port with {chosen}"
    if error.errno == errno.EACCES:
        return f"port {port} is reserved for the system; choose one from 1024 on with {chosen}, and put a proxy before it"
    return f"cannot listen on port {port} of {host} ({error.strerror}); choose another with --host and {chosen}"


def run_workers(settings: Settings, bound: list[socket.socket], read: Callable[[], Settings], create: str) -> None:
    """Runs the supervisor, even for one worker. It restarts workers that die, and on SIGHUP all of them one by one, with the settings from
    `read`. Raises CannotListen if another service that bound the same port listens first. `create`: names, as `package.module:function`,
    what makes a worker's ASGI application from the settings. Workers alone import it."""
    server = settings.server
    _allow_connections()
    for one, (chosen, port) in zip(bound, server.ports.items(), strict=True):
        try:
            one.listen(BACKLOG)
        except OSError as error:
            raise CannotListen(_why_not(error, server.host, port, chosen)) from None
    config = uvicorn.Config(
        "",
        factory=True,
        host=server.host,
        port=server.port,
        workers=server.workers,
        loop="uvloop",
        ws="none",
        log_config=SERVER_LOGGING,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=server.drain_seconds,
        timeout_keep_alive=30,
        timeout_worker_healthcheck=10,
        backlog=BACKLOG,
        limit_concurrency=MOST_CONNECTIONS,
    )
    _set_workers(config, settings, create)
    os.environ[MEMORY_VARIABLE] = create_memory()
    threading.Thread(target=_announce, args=(settings,), daemon=True).start()
    Supervisor(config, bound, settings, read, create).run()


def _set_workers(config: uvicorn.Config, settings: Settings, create: str) -> None:
    """Sets the application and the limits of workers that start from now on."""
    config.app = partial(_application, create, settings)
    config.http = partial(ClientConnection, allowed=allowances(settings))  # type: ignore[assignment]


def _application(create: str, settings: Settings) -> Any:
    return pkgutil.resolve_name(create)(settings)


def _allow_connections() -> None:
    """Raises this process's limit on open files, which is often 1,024."""
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + 256
    if resource.RLIM_INFINITY not in {soft, most}:
        wanted = min(wanted, most)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _announce(settings: Settings) -> None:
    """Prints the addresses of the service once it answers."""
    host, port = settings.server.host, settings.server.port
    shown = f"[{host}]" if ":" in host else host
    reached = f"http://{LOOPBACK.get(shown, shown)}"
    for _ in range(1200):
        try:
            with urllib.request.urlopen(f"{reached}:{port}/healthz", timeout=1):  # noqa: S310 it is http
                break
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    else:
        return
    _print(f"listening on http://{shown}:{port}")
    internal = f"{reached}:{settings.server.internal_port or port}"
    _print(f"docs: {internal}/docs")
    _print(f"admin: {internal}/admin{_sign_in(settings)}")
    if settings.server.demo:
        _print(f"demo shop: http://localhost:{port}/shop")


def _sign_in(settings: Settings) -> str:
    """A hint with a demo key, which is public. Other keys are never printed."""
    known = [key for shop in settings.shops.values() for key in shop.private_keys if DEMO_KEY.fullmatch(key)]
    return f" (sign in with {known[0]})" if known else ""


def _print(line: str) -> None:
    """If nobody reads the output, later lines are dropped, and the exit code does not change."""
    try:
        print(line, flush=True)
    except (OSError, ValueError):
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 it lives as long as the process
