"""Sessions of the admin pages: the shop of a key with the scope `admin`, for an hour, in a cookie that no script and no other site can use.

A session contains its key's digest, so it ends when that key ends, or when the settings no longer have it.
"""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from identity_service.errors import Forbidden
from identity_service.model.shop import Caller, Scope, Shop, Shops
from identity_service.model.token import Signing
from identity_service.web.auth import check_scope
from identity_service.web.cookies import read_cookies

COOKIE = "__Host-admin"
LIFE = 3_600
LONGEST = 8 * 3_600
"""Seconds after the sign-in at which a session ends, however often its cookie is renewed."""
RENEWED_AFTER = 600
DIGEST_LENGTH = 22


@dataclass(frozen=True, slots=True)
class Session:
    """`form_token`: part of every form. `begun_at`: when the person signed in; `signed_at`: when the cookie was renewed; both in seconds
    since 1970."""

    shop: Shop
    key: str
    form_token: str
    begun_at: int
    signed_at: int

    @property
    def payload(self) -> str:
        return f"{self.shop.shop_id}:{self.key}:{self.form_token}:{self.begun_at}"


class Sessions:
    def __init__(self, shops: Shops, signing: Signing) -> None:
        self._shops = shops
        self._signing = signing

    def begin(self, caller: Caller, now: int) -> Session:
        """Raises Forbidden for a public key, and for one without the scope `admin`."""
        if not caller.private:
            raise Forbidden("This is a public key, which every browser shows. Sign in with a private key.")
        check_scope(caller, Scope.ADMIN)
        return Session(caller.shop, caller.digest[:DIGEST_LENGTH], secrets.token_urlsafe(16), now, now)

    def find(self, headers: Mapping[str, str], now: int) -> Session | None:
        for text in read_cookies(headers.get("cookie", ""), COOKIE):
            opened = self._signing.open_session(text)
            if opened and opened[1] <= now < opened[1] + LIFE:
                shop_id, key, form_token, begun_at = (*opened[0].split(":"), "0")[:4]  # earlier sessions have no begin, and end
                shop = next((one for one in self._shops if one.shop_id == shop_id), None)
                if shop and now < int(begun_at) + LONGEST and self._holds(shop, key, now):
                    return Session(shop, key, form_token, int(begun_at), opened[1])
        return None

    def _holds(self, shop: Shop, key: str, now: int) -> bool:
        held = (one for one in self._shops.keys_of(shop) if one.digest.startswith(key))
        return any(Scope.ADMIN in one.scopes and one.ends > now for one in held)

    def cookie(self, session: Session, now: int) -> str:
        return f"{COOKIE}={self._signing.sign_session(session.payload, now)}; Max-Age={LIFE}; {RULES}"


RULES = "Path=/; Secure; HttpOnly; SameSite=Strict"
NO_COOKIE = f"{COOKIE}=; Max-Age=0; {RULES}"


def check_form(session: Session, form: Mapping[str, str]) -> None:
    """Raises Forbidden unless the form belongs to this session."""
    if not hmac.compare_digest(form.get("form_token", "").encode(), session.form_token.encode()):
        raise Forbidden("This form belongs to an earlier session. Go back, reload the page and send the form again.")
