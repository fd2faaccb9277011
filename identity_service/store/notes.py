"""What is noted for the repair before work begins, so that a crash leaves nothing open that nobody knows of."""

from identity_service.consent import Millis
from identity_service.shop import ShopId
from identity_service.store.batch import Command, call
from identity_service.store.keys import REWRITE, Keys


def note_first(keys: Keys, shop: ShopId, note: str, now: Millis) -> Command:
    """What repair has to end if it is not ended otherwise: the first command of a unit. It comes with its source, so that the others never
    run without it."""
    return call("note_removal", [keys.notes(shop)], now, note).with_source()


def note_removal(keys: Keys, shop: ShopId, note: str, now: Millis) -> tuple[Command, Command]:
    """Before a removal begins: what repair has to end if it does not, and that the append-only file will hold what it destroyed."""
    return note_first(keys, shop, note, now), note_destroyed(now)


def note_destroyed(at: Millis) -> Command:
    """The append-only file holds what was destroyed then, until it is rewritten."""
    return call("note_rewrite", [REWRITE], at // 1000)
