"""Tokens that calls bring: which are the shop's own, and which of those still stand for a visitor. The only place that verifies them."""

from collections.abc import Sequence
from enum import StrEnum

from identity_service.errors import Invalid
from identity_service.model.consent import Millis
from identity_service.model.shop import Shop
from identity_service.model.token import Signing, Token
from identity_service.model.visitor import Kind, VisitorState
from identity_service.server.metrics import BAD_SIGNATURES
from identity_service.service.visit import token_expires
from identity_service.store import Clock, Store


class TokenFault(StrEnum):
    BAD_SIGNATURE = "bad_signature"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class Tokens:
    """`clock`: seconds since 1970. What no key of the shop signed is counted, once for each token."""

    def __init__(self, store: Store, signing: Signing, clock: Clock) -> None:
        self._store = store
        self._signing = signing
        self._clock = clock

    def verified(self, shop: Shop, texts: Sequence[str]) -> list[Token]:
        """Those that the shop's keys signed, whether or not they still live."""
        if not texts:
            return []
        found = [self._signing.verify(shop.shop_id, text) for text in texts]
        tokens = [token for token in found if token]
        if len(tokens) < len(found):
            BAD_SIGNATURES.inc(len(found) - len(tokens))
        return tokens

    def one(self, shop: Shop, text: str) -> Token:
        """Raises Invalid for what the shop's keys did not sign."""
        for token in self.verified(shop, (text,)):
            return token
        raise Invalid("token: is not a token of this shop; get one from POST /v1/visitors")

    async def check(self, shop: Shop, text: str) -> Token | TokenFault:
        """A token that lives, or why it is none."""
        for token in self.verified(shop, (text,)):
            now = int(self._clock())
            [state] = await self._store.visitors.states(shop.shop_id, [token.visitor], now)
            return _fault(shop, token, state, now) or token
        return TokenFault.BAD_SIGNATURE


def _fault(shop: Shop, token: Token, state: VisitorState, now: int) -> TokenFault | None:
    if state.gone_at is not None:
        return TokenFault.WITHDRAWN
    if token.kind is not Kind.PERSISTENT:
        return TokenFault.EXPIRED if token_expires(token, shop) <= now else None
    notice = shop.signals.notice_at(Millis(now * 1000))
    alive = state.record is not None and state.record.granted_to(notice)
    return None if alive else TokenFault.EXPIRED
