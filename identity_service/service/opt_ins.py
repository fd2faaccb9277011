"""Opt-ins to sale and sharing, which lift an opt-out in two steps: the person asks for it, then confirms (Cal. Code Regs. tit. 11 para
7028(a)). The opt-in stands until the person opts out again. It is the visitor's and goes with it."""

from msgspec import Struct
from msgspec.structs import replace

from identity_service.errors import ConsentRequired, Invalid
from identity_service.model.consent import SALE_OPT_IN, Choice, Millis, Purpose, Receipt, Signal
from identity_service.model.link import LinkSource
from identity_service.model.policy import Asked, Decision
from identity_service.model.shop import Shop
from identity_service.model.token import Signing
from identity_service.model.visitor import Kind, Mode, VisitorId, VisitorRecord
from identity_service.service.identify import Visitors
from identity_service.service.links import is_opted_out, others_of_person
from identity_service.service.receipts import Receipts, new_receipt_key
from identity_service.service.visit import Known, Tokens, Visit
from identity_service.store import Store
from identity_service.store.visitors import NO_RECEIPT

PERSONAL = frozenset({LinkSource.LINK})
"""Links of emails that the shop's server itself connects with a visitor, as after a sign-in."""
CONFIRMATION_LIFE = 900
"""Seconds for which a confirmation is good."""
NOBODY_KNOWN = (
    "Only a visitor with a record of its own may opt in: a persistent one, or one with your own ID that is linked. Null, withdrawn and"
    " ended visitors, robots, agents and the shared ID of an address may not."
)
NOT_GOOD = "confirmation: is not one of this shop, or older than 15 minutes; ask for another one by a call without it"
NOT_ITS_VISITOR = "confirmation: is another visitor's than the one that this call presents; ask for one by a call without it"
USED = "confirmation: was used, and the visitor opted out again since; ask for another one by a call without it"


class Confirmation(Struct, frozen=True):
    """The first step. `expires_at`: seconds since 1970."""

    text: str
    expires_at: int


class OptedIn(Struct, frozen=True):
    """The second step. `sale_share_opt_out`: as of now; another visitor of the person may have opted out meanwhile. `receipt`: of the
    opt-in that stands; None once it has expired."""

    visitor: VisitorId
    mode: Mode
    sale_share_opt_out: bool
    receipt: Receipt | None


class SaleOptIns:
    def __init__(self, store: Store, signing: Signing, tokens: Tokens, visitors: Visitors, receipts: Receipts) -> None:
        self._store = store
        self._signing = signing
        self._tokens = tokens
        self._visitors = visitors
        self._receipts = receipts

    async def ask(self, visit: Visit) -> Confirmation:
        """Changes nothing. Raises ConsentRequired and StoreUnavailable."""
        known, decision = await self._visitors.preview(visit)
        visitor, _ = _visitor_of_its_own(known, decision)
        text = self._signing.sign_opt_in(visit.shop.shop_id, visitor, known.seconds)
        return Confirmation(text, known.seconds + CONFIRMATION_LIFE)

    async def confirm(self, visit: Visit, confirmation: str, now: Millis) -> OptedIn:
        """The presented visitor comes last: a failure before it is mended by repeating the call. Raises Invalid, ConsentRequired and
        StoreUnavailable."""
        visitor, asked_at = self._opened(visit.shop, confirmation, now)
        visit = self._presenting(visit, visitor)
        known, decision = await self._visitors.preview(visit)
        known_visitor, record = _visitor_of_its_own(known, decision)
        if known_visitor != visitor:
            raise ConsentRequired(NOBODY_KNOWN)
        # The script decides it again. A used confirmation changes nothing of the person's other visitors: what they said since stands.
        used = record.newest_opt_in is not None and record.newest_opt_in >= asked_at
        if used and record.opted_out:
            raise Invalid(USED)
        if not used:
            await self._lift_others(known, visitor, asked_at)
        receipt = await self._opt_in(known, decision, visitor, asked_at)
        known, decision = await self._visitors.preview(visit)
        opted_out = decision.sale_share_opt_out or await is_opted_out(self._store, known, visitor)
        return OptedIn(visitor, decision.mode, opted_out, receipt)

    async def _lift_others(self, known: Known, visitor: VisitorId, asked_at: Millis) -> None:
        """Of the same person. Orders link an email that anybody may have typed, so such links do not count here."""
        shop = known.visit.shop
        for other, record in (await others_of_person(self._store, shop, visitor, known.seconds, sources=PERSONAL)).items():
            if record.kind is not Kind.DERIVED:
                await self._store.visitors.opt_in(shop.shop_id, other, asked_at, known.now, NO_RECEIPT, "")

    def _opened(self, shop: Shop, confirmation: str, now: Millis) -> tuple[VisitorId, Millis]:
        """The visitor, and when it asked."""
        opened = self._signing.open_opt_in(shop.shop_id, confirmation)
        if opened is None or not 0 <= now // 1000 - opened[1] < CONFIRMATION_LIFE:
            raise Invalid(NOT_GOOD)
        return opened[0], Millis(opened[1] * 1000)

    def _presenting(self, visit: Visit, visitor: VisitorId) -> Visit:
        """The confirmation itself names the visitor if the call does not. Raises Invalid if the call presents another one."""
        if visit.asked is Asked.NOTHING and not visit.tokens:
            return replace(visit, asked=Asked.OWN, own=visitor, trusted=True)
        presented = [visit.own] if visit.own else [token.visitor for token in self._tokens.verified(visit.shop, visit.tokens)]
        if visitor not in presented:
            raise Invalid(NOT_ITS_VISITOR)
        return visit

    async def _opt_in(self, known: Known, decision: Decision, visitor: VisitorId, asked_at: Millis) -> Receipt | None:
        """Returns the receipt of the opt-in that stands."""
        shop, key = known.visit.shop, known.receipts_of(visitor).key or new_receipt_key()
        said = Signal(SALE_OPT_IN, None, known.now, purposes=((Purpose.SALE_SHARE, Choice.GRANTED),))
        receipt = self._receipts.make(known, said, decision.mode, visitor, key)
        stored = self._receipts.as_stored(receipt)
        outcome = await self._store.visitors.opt_in(shop.shop_id, visitor, asked_at, known.now, stored, key)
        if outcome == "gone":
            raise ConsentRequired(NOBODY_KNOWN)
        if outcome == "used":
            raise Invalid(USED)
        if outcome == "stands":
            held = await self._receipts.of_visitor(shop, visitor)
            return next((one for one in held if one.is_about_sale), None)
        return receipt


def _visitor_of_its_own(known: Known, decision: Decision) -> tuple[VisitorId, VisitorRecord]:
    """The visitor that the call presents. Raises ConsentRequired unless it has a record, is one person's and has the mode of its record."""
    visit = known.visit
    if visit.own is not None and not visit.trusted:
        raise ConsentRequired(NOBODY_KNOWN)
    by_grant = known.living.visitor if known.living and decision.mode is Mode.PERSISTENT else None
    visitor = visit.own or by_grant or known.cookieless.visitor
    record = known.states[visitor].record
    if record is None or record.kind is Kind.DERIVED or record.mode is not decision.mode:
        raise ConsentRequired(NOBODY_KNOWN)
    return visitor, record
