"""Living sessions of the admin pages. A cookie is worth nothing once its session is not here, so a sign-out ends its copies, too."""

import msgspec

from identity_service.model.audit import AuditEntry
from identity_service.model.event import compact
from identity_service.model.shop import ShopId
from identity_service.model.staff import StoredSession
from identity_service.model.utc import HOUR
from identity_service.store.audit import AuditStore
from identity_service.store.keys import Keys
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import call, read

LONGEST = 8 * HOUR
"""Seconds after the sign-in at which a session ends, however often its cookie is renewed."""
MOST_OF_A_PERSON = 10
"""The most sessions of a person in a shop. A further one ends the oldest."""
_session_of = msgspec.json.Decoder(StoredSession).decode


class SessionStore:
    def __init__(self, client: StoreClient, keys: Keys, audit: AuditStore) -> None:
        self._client = client
        self._keys = keys
        self._audit = audit

    async def begin(self, shop: ShopId, session_id: str, session: StoredSession, entry: AuditEntry) -> None:
        """`entry`: kept in the audit in the same step."""
        audit, entered = self._audit.part(shop, entry)
        ended = session.begun_at - LONGEST
        arguments = (session_id, compact(session), ended, LONGEST, MOST_OF_A_PERSON, *entered)
        await self._client.run(call("begin_session", (self._keys.sessions(shop), *audit), *arguments))

    async def find(self, shop: ShopId, session_id: str, now: int) -> StoredSession | None:
        [stored] = await self._client.run(read("HGET", self._keys.sessions(shop), session_id))
        found = _session_of(stored) if stored else None
        return found if found and now < found.begun_at + LONGEST else None

    async def end(self, shop: ShopId, session_id: str, entry: AuditEntry) -> bool:
        """Returns whether it was alive. `entry`: kept in the audit in the same step, if it was."""
        audit, entered = self._audit.part(shop, entry)
        [ended] = await self._client.run(call("end_session", (self._keys.sessions(shop), *audit), session_id, *entered))
        return bool(ended)

    async def living(self, shop: ShopId, now: int) -> dict[str, StoredSession]:
        """By ID, the newest first."""
        [stored] = await self._client.run(read("HGETALL", self._keys.sessions(shop)))
        found = {session_id: _session_of(text) for session_id, text in stored.items()}
        living = [(session_id, one) for session_id, one in found.items() if now < one.begun_at + LONGEST]
        return dict(sorted(living, key=lambda one: -one[1].begun_at))
