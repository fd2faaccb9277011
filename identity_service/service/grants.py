"""Persistent mode: which ID it has, new grants with their receipts, and when the cookie is set. Also refusals of links alone: the visitor
keeps its ID and mode, loses its links at once, and gets a receipt."""

from msgspec.structs import replace

from identity_service.model.consent import SHOP, Choice, Consent, OptOut, Receipt, ReceiptEvent, Signal
from identity_service.model.policy import Decision, Reason
from identity_service.model.token import Signing, Token
from identity_service.model.utc import HOUR
from identity_service.model.visitor import Kind, Mode, VisitorId, VisitorRecord, new_visitor_id
from identity_service.service.links import is_opted_out
from identity_service.service.receipts import Receipts, new_receipt_key
from identity_service.service.visit import CookieAct, Identity, Known, identity_of, null_identity, refusal_cookie
from identity_service.store import Store
from identity_service.store.visitors import Grant

TOUCH_AFTER = HOUR
RAW_LENGTH = 11
REPEATABLE = frozenset({"plain", SHOP})
"""Sources that may report the same content as a new choice. From a banner, the same content is a replay, detected by its digest."""


class LinkingRefusals:
    def __init__(self, store: Store, receipts: Receipts) -> None:
        self._store = store
        self._receipts = receipts

    async def refuse(self, known: Known, visitor: VisitorId, kind: Kind, expires: int) -> Receipt | None:
        """Stores the refusal with a receipt, which prevents new links, and removes the existing ones. `expires`: for a record that has
        to be made. Returns the receipt; None if the refusal was already known or the caller is over its rate limit."""
        shop = known.visit.shop
        record = known.states[visitor].record if visitor in known.states else None
        refused_before = record is not None and record.linking is Choice.REFUSED
        key = known.receipts_of(visitor).key or new_receipt_key()
        if refused_before and not await self._store.visitors.pointers(shop.shop_id, visitor):
            await self._store.visitors.confirm(shop.shop_id, visitor, known.seconds)
            return None
        unproved = refused_before or known.visit.over_limit
        receipt = None if unproved else self._receipts.make(known, _refusal(known), kind.mode, visitor, key)
        stored = self._receipts.as_stored(receipt) if receipt else None
        await self._store.visitors.refuse_linking(shop.shop_id, visitor, kind, expires, known.seconds, stored, key)
        return receipt

    async def keep(self, known: Known, visitor: VisitorId, kind: Kind, expires: int) -> None:
        """Copies a refusal of links to the visitor's next ID. The first one has the receipt."""
        await self._store.visitors.refuse_linking(known.visit.shop.shop_id, visitor, kind, expires, known.seconds, None, new_receipt_key())


def _refusal(known: Known) -> Signal:
    """The refusal for the receipt: without a choice about storage, except purposes that were named."""
    return replace(known.link_refusals[-1], choice=None)


class Grants:
    """`life`: seconds from the choice that a grant, its record and its cookie last."""

    def __init__(self, store: Store, signing: Signing, receipts: Receipts, linking: LinkingRefusals, life: int) -> None:
        self._store = store
        self._signing = signing
        self._receipts = receipts
        self._linking = linking
        self._life = life

    async def persistent_identity(self, known: Known, decision: Decision) -> Identity:
        choice = decision.choice or Signal(SHOP, Choice.GRANTED, known.now)
        visitor = persistent_id(known)
        record = known.record
        receipt: Receipt | None = None
        expires = record.expires if record else 0
        granting = record is None or _is_new(known, record, choice)
        came = choice in known.visit.signals
        if granting:
            expires = int(choice.decided_at) // 1000 + self._life
            outcome, receipt = await self._grant(known, visitor, choice, expires, decision)
            if outcome == "gone":
                return null_identity(known, _as_withdrawn(decision))
            if outcome == "older":
                [state] = await self._store.visitors.states(known.visit.shop.shop_id, [visitor], known.seconds)
                record, granting = state.record, False
                expires = record.expires if record else expires
        elif record:
            if came:
                await self._store.visitors.confirm(known.visit.shop.shop_id, visitor, known.seconds)
            await self._touch(known, visitor, record, decision.opt_out)
        linking = _with_linking_kept(known, choice).linking if granting or not record else record.linking
        if known.link_refusals and not (granting and linking is Choice.REFUSED):
            linking = Choice.REFUSED
            receipt = await self._linking.refuse(known, visitor, Kind.PERSISTENT, expires) or receipt
        kept = None if granting else _reusable_token(known)
        opted_out = decision.sale_share_opt_out or known.opted_out_as(visitor) or await is_opted_out(self._store, known, visitor)
        return identity_of(
            decision,
            mode=Mode.PERSISTENT,
            visitor=visitor,
            token=kept.text if kept else self._signing.sign(known.visit.shop.shop_id, Kind.PERSISTENT, visitor, known.seconds),
            expires_at=expires,
            linkable=Mode.PERSISTENT in known.visit.shop.policy.linkable and linking is not Choice.REFUSED,
            opted_out=opted_out,
            cookie=CookieAct.KEEP if kept else CookieAct.SET,
            refusal=refusal_cookie(known, decision),
            receipt=receipt,
        )

    async def _grant(self, known: Known, visitor: VisitorId, said: Signal, expires: int, decision: Decision) -> tuple[str, Receipt | None]:
        """Returns the outcome of the store, and the proof of what was said. A new receipt is made only if the newest does not prove it."""
        choice = _with_linking_kept(known, said)
        shop, kept = known.visit.shop, known.receipts_of(visitor)
        key = kept.key or new_receipt_key()
        receipt = self._receipts.make(known, said, Mode.PERSISTENT, visitor, key)
        standing = await self._receipts.equal_to(shop, receipt, kept.newest) if receipt.event is ReceiptEvent.CONFIRMED else None
        known_by = None if choice.source in REPEATABLE or choice.raw_digest is None else choice.raw_digest[:RAW_LENGTH]
        grant = Grant(
            consent=Consent(
                *(choice.decided_at, choice.source, choice.linking, choice.policy_version, known_by),
                repeated=choice.remembered and not choice.dated,
            ),
            expires=expires,
            opt_out=decision.opt_out or (OptOut.STATE if known.opted_out_as(visitor) else OptOut.NONE),
            opt_outs_seen=known.opt_outs_at(choice.decided_at),
            receipt=self._receipts.as_stored(receipt),
            receipt_key=key,
            bridged_from=_bridged_session(known, visitor),
            proven_by=standing.receipt_id if standing else None,
            said_now=said.said_now,
        )
        outcome = await self._store.visitors.grant(shop.shop_id, visitor, grant, known.seconds)
        return outcome, standing if outcome == "proven" else receipt

    async def _touch(self, known: Known, visitor: VisitorId, record: VisitorRecord, opt_out: OptOut) -> None:
        here, before = known.opt_outs_at(known.now), record.opt_outs_seen
        first_seen = (here.gpc and before.gpc is None) or (here.dnt and before.dnt is None)
        if first_seen or (opt_out and not record.opted_out) or known.seconds - record.last_seen >= TOUCH_AFTER:
            await self._store.visitors.touch(known.visit.shop.shop_id, visitor, known.seconds, opt_out, here)


def _reusable_token(known: Known) -> Token | None:
    """The token that may stay on the device unchanged."""
    token = None if known.visit.own else known.living
    return token if token and token.newest_key and token.kind is Kind.PERSISTENT else None


def persistent_id(known: Known) -> VisitorId:
    """A chosen ID stays. A derived one is replaced by a random one, because several people may share it."""
    if known.visit.own:
        return known.visit.own
    if known.living:
        return known.living.visitor
    cookieless = known.cookieless
    kept = cookieless.kind is Kind.CHOSEN and known.states[cookieless.visitor].gone_at is None
    return cookieless.visitor if kept else new_visitor_id()


def _is_new(known: Known, record: VisitorRecord, choice: Signal) -> bool:
    """Whether the choice changes what is stored. Repeating `granted` with every page view renews nothing."""
    stored = record.consent
    if stored is None:
        return True
    if choice not in known.visit.signals:
        return False
    if stored.is_of_the_shop:
        return True
    if choice.is_older(stored.given_at):
        return False
    if choice.decided_at == stored.granted_at:
        return False
    repeatable = choice.source in REPEATABLE or choice.told_now
    replayed = not repeatable and choice.raw_digest is not None and choice.raw_digest[:RAW_LENGTH] == stored.raw_digest
    if replayed and not choice.dated:
        return False
    return choice.dated or not choice.remembered


def _with_linking_kept(known: Known, choice: Signal) -> Signal:
    """Refused links stay refused, unless the person grants again now."""
    refused = any(state.record is not None and state.record.linking is Choice.REFUSED for state in known.states.values())
    return replace(choice, linking=Choice.REFUSED) if refused and not choice.said_now else choice


def _bridged_session(known: Known, visitor: VisitorId) -> VisitorId | None:
    shop, cookieless = known.visit.shop, known.cookieless
    bridges = shop.settings.continuity == "bridge" and shop.policy.may_bridge
    wanted = bridges and cookieless.kind is Kind.DERIVED and cookieless.visitor != visitor
    return cookieless.visitor if wanted and not known.stopped else None


def _as_withdrawn(decision: Decision) -> Decision:
    return Decision(Mode.NULL, Reason.WITHDRAWN, decision.policy, decision.region, decision.opt_out)
