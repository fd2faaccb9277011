"""`identity-service forget CURRENT RESTORED`: whoever has withdrawn since a backup was made is withdrawn from what was restored of it."""

import asyncio
import time

from identity_service.app import make_store
from identity_service.model.consent import Millis
from identity_service.model.handle import Handles
from identity_service.ops.forgetting import forget, gone_in
from identity_service.ops.key_copy import MoveRefused
from identity_service.ops.stores import TIMEOUT, Place, opened, told, wait_for_quiet
from identity_service.settings.schema import Settings
from identity_service.store.redis.client import Client
from identity_service.store.schema import SeenMark, continues, examine_marks, misfit, schema_in, schema_of


def forget_gone(current: str, restored: str, settings: Settings) -> int:
    def forgotten() -> None:
        with opened(current, exists=True) as here, opened(restored, exists=True) as there:
            for place in (here, there):
                wait_for_quiet(place)
                place.side.load_scripts()
            marks, withdrawn = asyncio.run(_forget(here, there, settings))
        print(f"{withdrawn:,} visitors withdrawn again from {there.name}, of {marks:,} whose mark {here.name} holds")

    return told(forgotten)


async def _forget(current: Place, restored: Place, settings: Settings) -> tuple[int, int]:
    own = schema_of(settings.secrets.peppers)
    stored = schema_in(current.side, own)
    if not continues(stored, own) or stored.version != own.version:
        raise MoveRefused(misfit(stored, own))
    client = Client(restored.url, TIMEOUT, replicas=settings.store.replicas)
    store, now = make_store(settings, client, Handles(*settings.secrets.peppers)), Millis(int(time.time() * 1000))
    marks = withdrawn = 0
    try:
        for fault in await examine_marks(client, own, SeenMark()):
            raise MoveRefused(fault)
        for batch in gone_in(current.side, settings.secrets.peppers, len(stored.peppers)):
            marks += len(batch)
            withdrawn += sum([await forget(store, restored.side, gone, now) for gone in batch])
    finally:
        await client.close()
    return marks, withdrawn
