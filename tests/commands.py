"""Commands of the operator, run in the process of the tests. Tests of what a process does start one of their own."""

import io
import os
from collections.abc import Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import patch

from identity_service.cli import main


def run(*arguments: str, environment: Mapping[str, str], cwd: Path | None = None) -> CompletedProcess[str]:
    """`environment`: all of it. What is printed is encoded as a process encodes it."""
    printed, told = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors, write_through=True) for errors in ("strict", "backslashreplace"))
    with patch.dict(os.environ, environment, clear=True), chdir(cwd or Path()), redirect_stdout(printed), redirect_stderr(told):
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
    return CompletedProcess(arguments, code, *(read(stream) for stream in (printed, told)))


def read(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()
