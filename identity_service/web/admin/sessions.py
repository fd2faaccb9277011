"""Sessions of the admin pages. A cookie that no script and no other site can use names a session of the store. It lasts an hour, and is
renewed while pages are used.

A session of a key ends when that key ends, or when the settings no longer have it. A session of somebody whom the staff's proxy signed in
is worth only what the proxy says at each request: the same person, and groups that have a role.
"""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from identity_service.errors import Forbidden
from identity_service.model.audit import Act, Actor
from identity_service.model.shop import Caller, Scope, Shop, Shops
from identity_service.model.staff import Role, StaffMember, StoredSession
from identity_service.model.token import Signing
from identity_service.server.addresses import REPEATED, StaffProxy, is_proxy
from identity_service.service.audit import Audit
from identity_service.store.sessions import SessionStore
from identity_service.web.auth import check_scope
from identity_service.web.cookies import read_cookies

COOKIE = "__Host-admin"
LIFE = 3_600
RENEWED_AFTER = 600
DIGEST_LENGTH = 22
LONGEST_NAME = 128
KEY = "key "
"""Begins the name of who signed in with a key, and of nobody else."""


@dataclass(frozen=True, slots=True)
class Session:
    """`signed_at`: when the cookie was renewed, in seconds since 1970."""

    shop: Shop
    session_id: str
    stored: StoredSession
    roles: frozenset[Role]
    signed_at: int

    @property
    def actor(self) -> Actor:
        return Actor(self.stored.person, person=True)

    @property
    def limited_as(self) -> str:
        """What stands for the person in limits."""
        return self.stored.key or self.stored.person


class Sessions:
    def __init__(self, shops: Shops, signing: Signing, staff: StaffProxy, store: SessionStore, audit: Audit) -> None:
        self._shops = shops
        self._signing = signing
        self._staff = staff
        self._store = store
        self._audit = audit

    def member(self, headers: Mapping[str, str], peer: str | None) -> StaffMember | None:
        """Whom the proxy signed in. None if it signed in nobody. Raises Forbidden if somebody else sends its headers, or one twice.

        Proxies join groups by commas without blanks, and escape none within a name. So a blank is part of a name: of "Sales, owners" the
        second half is not the group "owners"."""
        sent = [headers[name] for name in self._staff.headers if name in headers]
        if not sent:
            return None
        name, groups = headers.get(self._staff.user_header, "").strip(" \t"), headers.get(self._staff.groups_header, "")
        if not is_proxy(peer, self._staff) or any(REPEATED in text for text in sent):
            raise Forbidden("Only the staff's proxy may name a person. Use the address that it serves.")
        if not name or len(name) > LONGEST_NAME or not name.isprintable() or name.startswith(KEY):
            raise Forbidden("The staff's proxy names nobody whom this service can show. Check its headers.")
        return StaffMember(name, frozenset(group for group in groups.split(",") if group))

    def shops_of(self, member: StaffMember) -> list[Shop]:
        """The shops in which somebody has a role."""
        return [shop for shop in self._shops if member.roles(shop.settings.roles)]

    async def begin(self, caller: Caller, now: int) -> Session:
        """A session of a key. Raises Forbidden for a public key, and for one without the scope `admin`; RateLimited after very many."""
        if not caller.private:
            raise Forbidden("This is a public key, which every browser shows. Sign in with a private key.")
        check_scope(caller, Scope.ADMIN)
        name = caller.actor.name if caller.actor.name.startswith(KEY) else f"{KEY}{caller.actor.name}"
        stored = StoredSession(name, caller.digest[:DIGEST_LENGTH], _random(), now)
        return await self._keep(Session(caller.shop, _random(), stored, frozenset({Role.OWNER}), now))

    async def begin_as(self, member: StaffMember, shop_id: str, now: int) -> Session:
        """A session of somebody whom the proxy signed in. Raises Forbidden without a role in that shop."""
        shop = next((one for one in self.shops_of(member) if one.shop_id == shop_id), None)
        if shop is None:
            raise Forbidden("None of your groups has a role in this shop.")
        stored = StoredSession(member.name, "", _random(), now)
        return await self._keep(Session(shop, _random(), stored, member.roles(shop.settings.roles), now))

    async def _keep(self, session: Session) -> Session:
        self._audit.count(session.shop, session.actor)
        entry = self._audit.entry(session.shop, session.actor, Act.SIGN_IN, None)
        await self._store.begin(session.shop.shop_id, session.session_id, session.stored, entry)
        return session

    async def find(self, headers: Mapping[str, str], peer: str | None, now: int) -> Session | None:
        """Raises StoreUnavailable, and Forbidden as `member`."""
        member = self.member(headers, peer)
        for text in read_cookies(headers.get("cookie", ""), COOKIE):
            opened = self._signing.open_session(text)
            if opened and opened[1] <= now < opened[1] + LIFE:
                shop_id, _, session_id = opened[0].partition(":")
                shop = next((one for one in self._shops if one.shop_id == shop_id), None)
                stored = await self._store.find(shop.shop_id, session_id, now) if shop and session_id else None
                roles = self._roles(shop, stored, member, now) if shop and stored else frozenset()
                if shop and stored and roles:
                    return Session(shop, session_id, stored, roles, opened[1])
        return None

    def _roles(self, shop: Shop, stored: StoredSession, member: StaffMember | None, now: int) -> frozenset[Role]:
        """What the session is worth now."""
        if not stored.key:
            return member.roles(shop.settings.roles) if member and member.name == stored.person else frozenset()
        held = (one for one in self._shops.keys_of(shop) if one.digest.startswith(stored.key))
        return frozenset({Role.OWNER}) if any(Scope.ADMIN in one.scopes and one.ends > now for one in held) else frozenset()

    async def end(self, session: Session, session_id: str) -> bool:
        """Ends a session of the same shop, and returns whether it was alive. `session`: whose page asks for it."""
        act = Act.SIGN_OUT if session_id == session.session_id else Act.SESSION_ENDED
        entry = self._audit.entry(session.shop, session.actor, act, None)
        return await self._store.end(session.shop.shop_id, session_id, entry)

    def cookie(self, session: Session, now: int) -> str:
        payload = f"{session.shop.shop_id}:{session.session_id}"
        return f"{COOKIE}={self._signing.sign_session(payload, now)}; Max-Age={LIFE}; {RULES}"


RULES = "Path=/; Secure; HttpOnly; SameSite=Strict"
NO_COOKIE = f"{COOKIE}=; Max-Age=0; {RULES}"


def check_form(session: Session, form: Mapping[str, str]) -> None:
    """Raises Forbidden unless the form belongs to this session."""
    if not hmac.compare_digest(form.get("form_token", "").encode(), session.stored.form_token.encode()):
        raise Forbidden("This form belongs to an earlier session. Go back, reload the page and send the form again.")


def _random() -> str:
    return secrets.token_urlsafe(16)
