"""Who calls: which shop, by which key."""

from collections.abc import Mapping

from identity_service.errors import Unauthorized
from identity_service.model.shop import Caller, Shops
from identity_service.server.addresses import Proxies, caller_source
from identity_service.server.limits import RateLimit

WRONG_KEY = "The key is missing or wrong; send it as `Authorization: Bearer KEY` or as the member `key`."


def bearer(authorization: str | None) -> str | None:
    """The key in the header; None without one, where it is empty, or for credentials of another scheme, which are meant for whoever stands
    before this service. Raises Unauthorized for what is neither."""
    if authorization is None:
        return None
    scheme, _, key = authorization.partition(" ")
    if not authorization.strip() or (scheme.lower() == "bearer" and not key.strip()):
        return None
    if not scheme or not key:
        raise Unauthorized(WRONG_KEY)
    return key.strip() if scheme.lower() == "bearer" else None


def authenticate(shops: Shops, key: object) -> Caller:
    found = shops.find(key) if isinstance(key, str) and key else None
    if found is None:
        raise Unauthorized(WRONG_KEY)
    return found


def count_wrong_key(limit: RateLimit | None, peer: str | None, headers: Mapping[str, str], proxies: Proxies) -> None:
    """Raises RateLimited for one too many from an address. A right key is taken all the same: keys are too long to be guessed, and what a
    neighbour behind the same address does wrong must cost nobody an order."""
    if limit:
        limit.count(caller_source(peer, headers, proxies))
