"""Which ID cookieless mode would hand out: the caller's own, the one its token holds, the derived one, or a random one."""

from identity_service.model.cookieless import DAY, GRACE, Window, derive, window_at
from identity_service.model.event import event_of
from identity_service.model.shop import Shop
from identity_service.model.token import Token
from identity_service.model.visitor import Kind, VisitorId, new_visitor_id
from identity_service.service.visit import Candidate, Visit
from identity_service.store import Store


def token_expires(token: Token, shop: Shop) -> int:
    """End of a cookieless token in seconds since 1970. A derived ID ends with its window, and its grace if a session carries it over."""
    if token.kind is Kind.DERIVED:
        return window_at(token.issued_at, shop.window_days).salt_destroyed_at
    return token.issued_at + shop.window_days * DAY


class Candidates:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def choose(self, visit: Visit, tokens: list[Token], now: int) -> Candidate:
        """Raises StoreUnavailable where a salt is needed and cannot be had."""
        shop = visit.shop
        if visit.own is not None:
            return Candidate(visit.own, Kind.CHOSEN, now, now + shop.window_days * DAY)
        for token in tokens:
            held = await self._held(token, shop, now)
            if held:
                return held
        derived = await self.derived(visit, now)
        return derived or Candidate(new_visitor_id(), Kind.CHOSEN, now, now + shop.window_days * DAY, random=True)

    async def derived(self, visit: Visit, now: int) -> Candidate | None:
        """None where the visitor's own address or user agent is unknown."""
        address, user_agent = visit.surroundings.address, visit.surroundings.user_agent
        if not address or not user_agent:
            return None
        shop = visit.shop
        window = window_at(now, shop.window_days)
        earlier = await self._store.salts.earlier_key(shop.shop_id, window.previous(), now)
        if earlier:
            visitor = derive(earlier, shop.shop_id, address, user_agent)
            if await self._in_session(shop, visitor, now):
                return _carried_over(visitor, window.previous())
        key = await self._store.salts.key(shop.shop_id, window, now)
        return Candidate(derive(key, shop.shop_id, address, user_agent), Kind.DERIVED, now, window.end)

    async def _held(self, token: Token, shop: Shop, now: int) -> Candidate | None:
        if token.kind is Kind.PERSISTENT or token_expires(token, shop) <= now:
            return None
        window = window_at(token.issued_at, shop.window_days)
        if token.kind is Kind.CHOSEN:
            return Candidate(token.visitor, token.kind, token.issued_at, token_expires(token, shop), _kept_text(token))
        if now < window.end:
            return Candidate(token.visitor, token.kind, token.issued_at, window.end, _kept_text(token))
        return _carried_over(token.visitor, window) if await self._in_session(shop, token.visitor, now) else None

    async def _in_session(self, shop: Shop, visitor: VisitorId, now: int) -> bool:
        newest = await self._store.events.newest(shop.shop_id, visitor)
        return newest is not None and event_of(newest).time > now - GRACE


def _carried_over(visitor: VisitorId, window: Window) -> Candidate:
    """Stamped in its own window, so that no token of it outlives the salt."""
    return Candidate(visitor, Kind.DERIVED, window.end - 1, window.salt_destroyed_at)


def _kept_text(token: Token) -> str | None:
    return token.text if token.newest_key else None
