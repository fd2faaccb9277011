"""Several faults at once: the store is killed while the keys are rotated, under four times the load."""

import time
from pathlib import Path

from tests.faults.checker import AssertKept
from tests.faults.load import Load
from tests.faults.running import kill
from tests.faults.test_key_rotation import NEW, OLD, Instance
from tests.test_command import eventually

RECOVERY = 3
"""Seconds until writes are acknowledged again."""


def test_a_killed_store_rotated_keys_and_a_rush_at_once(tmp_path: Path, slack: float, writes: int, assert_kept: AssertKept) -> None:
    instance = Instance(tmp_path, tmp_path / "data", NEW, OLD, workers=2)
    with instance.service as service:
        with Load(service.url, clients=4) as load:
            load.wait(writes // 4)
            rush = Load(service.url, seed=2, clients=12)
            rush.history = load.history
            with rush:
                store = service.store_pid
                assert store
                kill(store)
                assert eventually(lambda: service.store_pid != store)
                killed = time.monotonic()
                instance.rotate(OLD, NEW)
                load.wait(writes // 4)
            load.wait_until(lambda history: history.acknowledged >= writes)
        assert load.recovery(killed) < RECOVERY * slack
        assert_kept(load.history, service)
