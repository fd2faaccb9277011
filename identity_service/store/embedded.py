"""embedded:DIR, the store without a server to set up: one server process on one directory, held from start() to stop().

Nobody but this process reaches it (no TCP port, a socket of mode 700). Restarted whenever it dies, and it never outlives the service.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO
from urllib.parse import quote

from identity_service.store.binary import EmbeddedError, server_binary
from identity_service.store.lock import locked

SOCKET_PATH_BYTES = 100
LOCK_SECONDS = 5.0
START_SECONDS = 30.0
LOADING_SECONDS = 60.0
STOP_SECONDS = 10.0
ANSWER_SECONDS = 1.0
POLL_SECONDS = 0.005
FIRST_PAUSE, LAST_PAUSE = 0.05, 1.0
STEADY_SECONDS = 5.0
LOG_BYTES = 65_536

# Runs in the child before the server does: a hook between fork and exec is not safe in a process with threads.
# The kernel sends the signal when the thread that forked ends; a parent already gone by then is noticed by its ID.
SHIM = """
import os, signal, sys
if sys.platform == "linux":
    import ctypes
    if ctypes.CDLL(None).prctl(1, signal.SIGTERM) != 0:
        sys.exit("The kernel refused to tie the server's life to the service's")
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""

Log = Callable[[str, dict[str, object]], None]


def _flags(directory: Path, socket_path: Path) -> list[str]:
    """No log of slow calls and no crash report: both would quote what callers sent."""
    place = ["--port", "0", "--unixsocket", str(socket_path), "--unixsocketperm", "700", "--dir", str(directory)]
    durable = ["--appendonly", "yes", "--appendfsync", "always", "--no-appendfsync-on-rewrite", "no", "--save", ""]
    quiet = ["--slowlog-log-slower-than", "-1", "--slowlog-max-len", "0", "--crash-log-enabled", "no", "--loglevel", "warning"]
    return [*place, *durable, *quiet, "--maxmemory-policy", "noeviction", "--daemonize", "no"]


def _answer(socket_path: Path) -> bytes:
    """The beginning of the reply to PING, empty while there is none."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(str(socket_path))
        connection.sendall(b"PING\r\n")
        return connection.recv(64)
    return b""


class EmbeddedStore:
    """`log` is told each death of the server, from another thread. On systems other than Linux only stop() ends the server."""

    def __init__(self, directory: Path, *, log: Log = lambda _event, _fields: None, lock_wait: float = LOCK_SECONDS) -> None:
        self._directory = directory.absolute()
        self._log = log
        self._lock_wait = lock_wait
        self._log_path = self._directory / "server.log"
        self._socket_path = self._directory / "server.sock"
        self._command: list[str] = []
        self._lock_descriptor = -1
        self._process: subprocess.Popen[bytes] | None = None
        self._guard = threading.Lock()
        self._stopping = threading.Event()
        self._died = threading.Event()
        self._held = ExitStack()

    @property
    def url(self) -> str:
        """Final once start() has returned; the same after each restart of the server."""
        return f"unix://{quote(os.fsencode(self._socket_path))}"

    @property
    def pid(self) -> int | None:
        """None while no server runs."""
        process = self._process
        return process.pid if process else None

    def start(self) -> None:
        """Returns when the server answers. Raises EmbeddedError; then nothing is left running or locked."""
        binary = server_binary()
        with ExitStack() as held:
            try:
                self._claim(held)
            except OSError as error:
                raise EmbeddedError(f"Cannot use {self._directory}: {error.strerror}; name another --data directory") from error
            flags = _flags(self._directory, self._socket_path)
            self._command = [sys.executable, "-I", "-S", "-c", SHIM, str(os.getpid()), str(binary), *flags]
            self._supervise_until_closed(held)
            self._wait_for_answer()
            self._held = held.pop_all()

    def stop(self) -> None:
        """Orderly: what was acknowledged is on disk. Does nothing when already stopped."""
        self._held.close()

    def _claim(self, held: ExitStack) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock_descriptor = held.enter_context(locked(self._directory / "lock", self._lock_wait))
        self._log_path.unlink(missing_ok=True)
        self._socket_path = self._directory / "server.sock"
        if len(os.fsencode(self._socket_path)) >= SOCKET_PATH_BYTES:
            scratch = tempfile.mkdtemp(prefix="identity-service-")
            held.callback(shutil.rmtree, scratch, ignore_errors=True)
            self._socket_path = Path(scratch, "server.sock")
        held.callback(self._socket_path.unlink, missing_ok=True)

    def _supervise_until_closed(self, held: ExitStack) -> None:
        self._stopping.clear()
        self._died.clear()
        thread = threading.Thread(target=self._supervise, name="embedded-store", daemon=True)
        thread.start()
        held.callback(self._end, thread)

    def _wait_for_answer(self) -> None:
        began, limit = time.monotonic(), START_SECONDS
        while not self._died.wait(POLL_SECONDS):
            reply = _answer(self._socket_path)
            if reply.startswith(b"+PONG"):
                return
            if reply.startswith(b"-LOADING"):
                limit = LOADING_SECONDS
            if time.monotonic() - began > limit:
                raise EmbeddedError(f"The store in {self._directory} did not answer within {limit:g} seconds; see {self._log_path}")
        raise EmbeddedError(f"The store in {self._directory} cannot start: {self._last_line()} (see {self._log_path})")

    def _last_line(self) -> str:
        with suppress(OSError, IndexError):
            line = self._log_path.read_text(errors="replace").strip().splitlines()[-1]
            return re.sub(r"^\d+:\w [^#]*# ", "", line)
        return "it ended without a message"

    def _supervise(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            code = self._serve()
            lived = time.monotonic() - began
            if self._stopping.is_set():
                return
            self._died.set()
            # The server lives no longer than this thread: not even a broken log may end it.
            with suppress(Exception):
                self._log("store_died", {"exit": code, "lived": round(lived, 1)})
            if lived >= STEADY_SECONDS:
                pause = FIRST_PAUSE
            self._stopping.wait(pause)
            pause = min(2 * pause, LAST_PAUSE)

    def _serve(self) -> int | None:
        """The exit code of one server; None when it could not be started."""
        try:
            with self._guard:
                if self._stopping.is_set():
                    return None
                self._process = process = self._spawn()
        except OSError:
            return None
        code = process.wait()
        with self._guard:
            self._process = None
        return code

    def _spawn(self) -> subprocess.Popen[bytes]:
        """In a session of its own: the interrupt key of a terminal must reach the service alone, which then stops in order."""
        self._drop_unfinished_rewrites()
        with self._open_log() as log:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(self._lock_descriptor,),
                start_new_session=True,
                umask=0o077,
            )

    def _open_log(self) -> IO[bytes]:
        """Kept small however often the server dies."""
        size = self._log_path.stat().st_size if self._log_path.exists() else 0
        return self._log_path.open("wb" if size > LOG_BYTES else "ab")

    def _drop_unfinished_rewrites(self) -> None:
        """A rewrite that was killed leaves a copy that nobody would rewrite again, so erased data would stay in it."""
        for pattern in ("temp-rewriteaof-*.aof", "appendonlydir/temp-*"):
            for left in self._directory.glob(pattern):
                left.unlink(missing_ok=True)

    def _end(self, thread: threading.Thread) -> None:
        self._stopping.set()
        with self._guard:
            process = self._process
            if process:
                process.terminate()
        thread.join(STOP_SECONDS)
        if thread.is_alive() and process:
            process.kill()
            thread.join()
