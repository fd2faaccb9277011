"""What a worker process runs. The supervisor gives it the settings, so that all workers have the same."""

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
from pathlib import Path

from identity_service.app import Application
from identity_service.logs import configure
from identity_service.sections import Settings
from identity_service.slots import MEMORY_VARIABLE, open_memory
from identity_service.store.schema import MARK_VARIABLE, SeenMark

PR_SET_PDEATHSIG = 1
OBJECTS = 20_000
"""Made and not yet freed, at which unused cycles are looked for. Requests leave none, so it is rarely worth a look."""


def create(settings: Settings) -> Application:
    _end_with_parent()
    configure(settings.server.log_level)
    memory = os.environ.get(MEMORY_VARIABLE)
    mark = os.environ.get(MARK_VARIABLE)
    application = Application(settings, memory=open_memory(memory) if memory else None, mark=SeenMark(Path(mark)) if mark else None)
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS)
    return application


def _end_with_parent() -> None:
    """A worker whose supervisor was killed must not go on serving: its store has ended, too. Linux only; elsewhere it lives on."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    supervisor = multiprocessing.parent_process()
    if supervisor and supervisor.pid != os.getppid():
        sys.exit("the supervisor ended while this worker started")
