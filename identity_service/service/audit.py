"""Who looked at a person, or acted for one.

What people do is entered before they get the answer, and so are exports, erasures and receipts of services. Look-ups of services are
counted, and each person keeps its newest accesses; both are written once a second, and are lost with a worker that is killed.
"""

from collections import Counter
from collections.abc import Iterable

from msgspec.structs import replace

from identity_service.errors import RateLimited, StoreUnavailable
from identity_service.model.audit import Act, Actor, AuditEntry
from identity_service.model.consent import millis_of
from identity_service.model.handle import Handle, Handles
from identity_service.model.person import Person, name_of
from identity_service.model.shop import Shop, ShopId
from identity_service.model.utc import HOUR
from identity_service.server.limits import RateLimit
from identity_service.store import Clock, Store

MOST_WAITING = 20_000
"""The most accesses of services that wait to be written, the newest, and the most of the hour that are remembered."""
FULL = "This key or person has made too many entries in the audit today. Repeat the call later. Erasures still work."
_Access = tuple[str, str]
"""The name of the person, and of the key."""


class Audit:
    """`clock`: seconds since 1970. `limit`: of entries by one actor, so that nobody fills the store, or hides others' entries among its
    own. Erasures are not limited."""

    def __init__(self, store: Store, handles: Handles, clock: Clock, limit: RateLimit) -> None:
        self._store = store
        self._handles = handles
        self._clock = clock
        self.limit = limit
        self.most_waiting = MOST_WAITING
        self._hour = 0
        self._seen: dict[ShopId, set[_Access]] = {}
        self._waiting: dict[ShopId, dict[_Access, AuditEntry]] = {}
        self._lookups: dict[ShopId, Counter[tuple[int, str]]] = {}

    def subject(self, shop: Shop, person: Person) -> str:
        return self._handles.audit_subject(shop.shop_id, name_of(person))

    async def about(self, shop: Shop, person: Person) -> list[AuditEntry]:
        """The newest entries about a person, newest first, also those under earlier peppers."""
        earlier = self._handles.earlier_names(shop.shop_id, person) if isinstance(person, Handle) else []
        subjects = [self._handles.audit_subject(shop.shop_id, name) for name in (name_of(person), *earlier)]
        return await self._store.audit.about(shop.shop_id, subjects)

    def entry(self, shop: Shop, actor: Actor, act: Act, person: Person | None, found: int = 0) -> AuditEntry:
        subject = None if person is None else self.subject(shop, person)
        return AuditEntry(millis_of(self._clock()), act, actor.name, actor.person, subject, found)

    async def record(self, shop: Shop, actor: Actor, act: Act, person: Person | None, found: int = 0) -> None:
        """Raises StoreUnavailable if the entry cannot be kept, and RateLimited if the actor has made too many."""
        self.count(shop, actor)
        await self._store.audit.record(shop.shop_id, self.entry(shop, actor, act, person, found))

    def count(self, shop: Shop, actor: Actor) -> None:
        """Counts an entry of the actor. Raises RateLimited."""
        try:
            self.limit.count(f"{shop.shop_id} {actor.person} {actor.name}")
        except RateLimited as error:
            raise RateLimited(FULL, retry_after=error.retry_after) from None

    async def look(self, shop: Shop, actor: Actor, act: Act, found: Iterable[tuple[Person, int]]) -> None:
        """`found`: whom somebody looked at, each with how many visitors or entries there were. Raises as `record` for a person."""
        if actor.person:
            for person, number in found:
                await self.record(shop, actor, act, person, number)
            return
        self._count(shop.shop_id, actor.name, act, list(found))

    def count_lookups(self, shop: ShopId, name: str, number: int = 1) -> None:
        """Counts look-ups of a service. `name`: of its key."""
        now = int(self._clock())
        self._lookups.setdefault(shop, Counter())[now - now % HOUR, name] += number

    def _count(self, shop: ShopId, name: str, act: Act, found: list[tuple[Person, int]]) -> None:
        """A key's accesses to one person count as one for an hour, so that a busy service does not push others out. Nobody who is unknown
        gets an entry."""
        now = millis_of(self._clock())
        hour = now // 1000 - now // 1000 % HOUR
        if hour != self._hour:
            self._hour, self._seen = hour, {}
        self.count_lookups(shop, name, len(found))
        seen, waiting = self._seen.setdefault(shop, set()), self._waiting.setdefault(shop, {})
        for person, number in found:
            access = name_of(person), name
            if number and access not in seen:
                if len(seen) >= self.most_waiting:
                    seen.clear()  # an entry twice is better than none
                if len(waiting) >= self.most_waiting:
                    del waiting[next(iter(waiting))]
                seen.add(access)
                waiting[access] = AuditEntry(now, act, name, False, None, number)

    async def write(self) -> None:
        """Writes what waits, all shops. Raises StoreUnavailable after all of them were tried; then theirs waits for the next time."""
        failure: StoreUnavailable | None = None
        for shop in list(self._lookups):
            lookups, waiting = self._lookups.pop(shop), self._waiting.pop(shop, {})
            try:
                await self._store.audit.write(shop, [self._with_subject(shop, *one) for one in waiting.items()], lookups)
            except StoreUnavailable as error:
                failure = error
                self._lookups.setdefault(shop, Counter()).update(lookups)
                self._waiting[shop] = waiting | self._waiting.get(shop, {})
        if failure:
            raise failure

    def _with_subject(self, shop: ShopId, access: _Access, entry: AuditEntry) -> AuditEntry:
        """The digest is made here, and not while the caller waits."""
        return replace(entry, subject=self._handles.audit_subject(shop, access[0]))
