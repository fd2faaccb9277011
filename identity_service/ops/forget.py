"""`identity-service forget CURRENT RESTORED`: repeats, in a store restored from a backup, the withdrawals and erasures since that backup.

A gone mark names its visitor only by a digest. In the restored store, the visitor's links and orders still have its ID, which a withdrawal
needs. If the visitor has neither, everything about it is under the digest.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from identity_service.app import make_store
from identity_service.model.consent import Millis
from identity_service.model.handle import Handles, handle_named, rekey_digest
from identity_service.model.shop import ShopId
from identity_service.model.visitor import VisitorId
from identity_service.ops.entries import Side, StoredKey
from identity_service.ops.kinds import Rekey, name_of
from identity_service.ops.stores import TIMEOUT, CommandRefused, OpenStore, exit_code_of, open_store, schema_in, wait_for_quiet
from identity_service.settings.schema import Settings
from identity_service.store import Store
from identity_service.store.keys import VisitorKeys, of_shop, sales_in
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import read, write
from identity_service.store.schema import SeenMark, continues, examine_marks, misfit, schema_of
from identity_service.store.visitors import gone_mark, handle_names


@dataclass(frozen=True, slots=True)
class Gone:
    """`digest`: of the visitor, under the current peppers. `mark`: the key to write into the restored store."""

    shop: ShopId
    digest: str
    at: Millis
    mark: StoredKey


def gone_in(side: Side, peppers: Sequence[str], known: int) -> Iterator[list[Gone]]:
    """All gone marks of a store, in batches. The store is under the first `known` of the `peppers`."""
    rekey: Rekey = partial(rekey_digest, peppers=peppers[known:])
    for names in side.names(of_shop("*", "V:*:gone")):
        yield [_gone(entry.with_new_digests(rekey)) for entry in side.read(names)]


def _gone(mark: StoredKey) -> Gone:
    name = name_of(mark.name)
    return Gone(ShopId(name.owner.decode()), name.own.decode(), gone_mark(mark.value.decode()).at, mark)


async def forget(store: Store, restored: Side, gone: Gone, now: Millis) -> bool:
    """Returns whether anything of the visitor was left. A grant newer than the mark stays. Can be repeated. Raises StoreUnavailable."""
    keys = store.keys.visitor_of(gone.shop, gone.digest)
    held = (keys.record, keys.events, keys.receipts, keys.sales)
    marked, granted, *there = await store.client.run(
        read("GET", keys.gone), read("HGET", keys.record, "g"), *(read("EXISTS", key) for key in held)
    )
    if (not any(there) and marked) or int(granted or 0) > gone.at:
        return False
    visitor = await _clear_id(store, gone, keys)
    if visitor:
        await store.removals.withdraw(gone.shop, visitor, gone.at, unless_newer=True)
    await store.client.run(write("HINCRBY", store.keys.rewrite(gone.shop), now // 1000, 1), write("DEL", *held))
    restored.write([gone.mark])
    return any(there)


async def _clear_id(store: Store, gone: Gone, keys: VisitorKeys) -> VisitorId | None:
    """The visitor's ID, from links at its handles or from its orders. None if there are none."""
    fields, sales = await store.client.run(read("HKEYS", keys.record), read("HKEYS", keys.sales))
    candidates = [sale.get("visitor") for sale in await store.sales.read(gone.shop, sales_in(sales))]
    for name in handle_names(fields):
        [linked] = await store.client.run(read("HKEYS", store.keys.handle(gone.shop, handle_named(name))))
        candidates += linked  # sales among them, which have no visitor's digest
    return next((VisitorId(one) for one in candidates if one and store.keys.visitor_digest(gone.shop, one) == gone.digest), None)


def forget_gone(current: str, restored: str, settings: Settings) -> int:
    def run() -> None:
        with open_store(current, exists=True) as here, open_store(restored, exists=True) as there:
            for place in (here, there):
                wait_for_quiet(place)
                place.side.load_scripts()
            marks, withdrawn = asyncio.run(_forget(here, there, settings))
        print(f"{withdrawn:,} visitors withdrawn again from {there.name}, of {marks:,} whose mark {here.name} holds")

    return exit_code_of(run)


async def _forget(current: OpenStore, restored: OpenStore, settings: Settings) -> tuple[int, int]:
    own = schema_of(settings.secrets.peppers)
    stored = schema_in(current.side, own)
    if not continues(stored, own) or stored.version != own.version:
        raise CommandRefused(misfit(stored, own).text)
    client = StoreClient(restored.url, TIMEOUT, replicas=settings.store.replicas)
    store, now = make_store(settings, client, Handles(*settings.secrets.peppers)), Millis(int(time.time() * 1000))
    marks = withdrawn = 0
    try:
        if fault := await examine_marks(client, own, SeenMark()):
            raise CommandRefused(fault.text)
        for batch in gone_in(current.side, settings.secrets.peppers, len(stored.peppers)):
            marks += len(batch)
            withdrawn += sum([await forget(store, restored.side, gone, now) for gone in batch])
    finally:
        await client.close()
    return marks, withdrawn
