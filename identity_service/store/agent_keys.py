"""The file with the keys of agents. `identity-service agents refresh` writes it, and every worker reads it."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from identity_service.model.agent_key import Directory, KeyFile

MOST_BYTES = 8 << 20


class AgentKeyFile:
    """`path`: empty for none, which holds no keys."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._named = bool(path)
        self._read: tuple[int, int] | None = None

    def changed(self) -> bool:
        """Whether it was written since it was last read. It costs one system call."""
        return self._state() != self._read

    def read(self) -> list[Directory]:
        """Empty if there is no file yet. Raises ValueError, with what to do, for a file that this service did not write."""
        self._read = self._state()
        if self._read is None:
            return []
        try:
            with self._path.open("rb") as file:
                return msgspec.json.decode(file.read(MOST_BYTES), type=KeyFile).directories
        except (OSError, msgspec.DecodeError):
            raise ValueError("the file with the agents' keys cannot be read; run `identity-service agents refresh`") from None

    def write(self, directories: Sequence[Directory]) -> None:
        """Replaces the file in one step, so that no worker reads half of it. Raises OSError."""
        with tempfile.NamedTemporaryFile(dir=self._path.parent, prefix=f".{self._path.name}.", delete=False) as file:
            try:
                file.write(msgspec.json.format(msgspec.json.encode(KeyFile(list(directories)))))
                file.flush()
                os.fsync(file.fileno())
                os.chmod(file.name, 0o644)
                os.replace(file.name, self._path)
            except BaseException:
                os.unlink(file.name)
                raise

    def _state(self) -> tuple[int, int] | None:
        """Time of the last change and number of the file. None if there is none."""
        try:
            found = self._path.stat() if self._named else None
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_ino) if found else None
