"""The wall clock of a store's server, moved while it runs."""

import struct
from pathlib import Path

import pytest

from tests.faults.power import library


class StoreClock:
    """`environment`: of the server. Skips the test where there is no compiler to build what the server loads."""

    def __init__(self, directory: Path) -> None:
        built = library(Path(__file__).with_suffix(".c"))
        if built is None:
            pytest.skip("needs a C compiler: apt-get install gcc")
        self._file = directory / "clock"
        self._file.write_bytes(struct.pack("q", 0))
        self.environment = {"LD_PRELOAD": str(built), "MOVED_CLOCK": str(self._file)}

    def move(self, ahead: int) -> None:
        """Seconds ahead of the real time."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("q", ahead))
