"""After a restore: whoever has withdrawn, or was erased, since the backup was made is withdrawn again.

A gone mark names its visitor by a digest alone. In a restored store the visitor's links and orders still tell its ID, and with it the
withdrawal goes its usual way; of a visitor without any, everything is under the digest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from identity_service.consent import Millis
from identity_service.handle import handle_named, rekeyed
from identity_service.shop import ShopId
from identity_service.store import Store
from identity_service.store.batch import read, write
from identity_service.store.entries import Entry, Side
from identity_service.store.keys import VisitorKeys, of_shop, sales_in
from identity_service.store.kinds import Rekey, name_of
from identity_service.store.visitors import handle_names
from identity_service.visitor import VisitorId


@dataclass(frozen=True, slots=True)
class Gone:
    """`digest`: of the visitor, under today's peppers. `mark`: the key as it has to be."""

    shop: ShopId
    digest: str
    at: Millis
    mark: Entry


def gone_in(side: Side, peppers: Sequence[str], known: int) -> Iterator[list[Gone]]:
    """Batches of all gone marks of a store that is under the first `known` of the `peppers`."""
    rekey: Rekey = partial(rekeyed, peppers=peppers[known:])
    for names in side.names(of_shop("*", "V:*:gone")):
        yield [_gone(entry.rekeyed(rekey)) for entry in side.read(names)]


def _gone(mark: Entry) -> Gone:
    name = name_of(mark.name)
    return Gone(ShopId(name.owner.decode()), name.own.decode(), Millis(int(mark.value)), mark)


async def forget(store: Store, restored: Side, gone: Gone, now: Millis) -> bool:
    """Whether anything was left of the visitor. A grant that is newer than the mark stands. Safe to repeat. Raises StoreUnavailable."""
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
    """From where others name the visitor: links at its handles, and its orders."""
    fields, sales = await store.client.run(read("HKEYS", keys.record), read("HKEYS", keys.sales))
    candidates = [sale.get("visitor") for sale in await store.sales.read(gone.shop, sales_in(sales))]
    for name in handle_names(fields):
        at = store.keys.handle(gone.shop, handle_named(name))
        [linked] = await store.client.run(read("HKEYS", at.links))
        candidates += linked  # sales among them, which have no visitor's digest
    return next((VisitorId(one) for one in candidates if one and store.keys.visitor_digest(gone.shop, one) == gone.digest), None)
