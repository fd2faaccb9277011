"""A refusal of links to emails alone: the visitor keeps its ID and its mode, and loses its links at once, with proof."""

from msgspec.structs import replace

from identity_service.model.consent import Choice, Receipt, Signal
from identity_service.model.visitor import Kind, Mode, VisitorId
from identity_service.service.known import Scene
from identity_service.service.receipts import Receipts, new_receipt_key
from identity_service.store import Store


class LinkingRefusals:
    def __init__(self, store: Store, receipts: Receipts) -> None:
        self._store = store
        self._receipts = receipts

    async def refuse(self, scene: Scene, visitor: VisitorId, kind: Kind, expires: int) -> Receipt | None:
        """Proves and remembers the refusal, so that no link comes after it, and removes the links there are. `expires`: of a record made
        for it. Returns the receipt, None where the refusal was known already or came over a limit."""
        shop = scene.visit.shop
        record = scene.states[visitor].record if visitor in scene.states else None
        known = record is not None and record.linking is Choice.REFUSED
        key = record.receipt_key if record and record.receipt_key else new_receipt_key()
        if known and not await self._store.visitors.pointers(shop.shop_id, visitor):
            await self._store.visitors.confirm(shop.shop_id, visitor, scene.seconds)
            return None
        unproved = known or scene.visit.over_limit
        receipt = None if unproved else self._receipts.make(scene, _refusal(scene), _mode(kind), visitor, key)
        stored = self._receipts.as_stored(receipt) if receipt else None
        await self._store.visitors.refuse_linking(shop.shop_id, visitor, kind, expires, scene.seconds, stored, key)
        return receipt

    async def keep(self, scene: Scene, visitor: VisitorId, kind: Kind, expires: int) -> None:
        """For the ID that follows one whose links were refused, which has its receipt."""
        await self._store.visitors.refuse_linking(scene.visit.shop.shop_id, visitor, kind, expires, scene.seconds, None, new_receipt_key())


def refuses_links(scene: Scene) -> bool:
    return bool(_refusals(scene))


def _refusals(scene: Scene) -> list[Signal]:
    """By messages that are not older than what is stored."""
    consent = scene.record.consent if scene.record else None
    refusals = [signal for signal in scene.visit.signals if signal.linking is Choice.REFUSED]
    return [signal for signal in refusals if consent is None or not signal.is_older(consent.granted_at)]


def _refusal(scene: Scene) -> Signal:
    """As the receipt tells it: nothing but what was said of links, unless purposes were told by name."""
    return replace(_refusals(scene)[-1], choice=None)


def _mode(kind: Kind) -> Mode:
    return Mode.PERSISTENT if kind is Kind.PERSISTENT else Mode.COOKIELESS
