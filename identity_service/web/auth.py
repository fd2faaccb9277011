"""Authentication: the shop of a call, by its key."""

from collections.abc import Mapping

from identity_service.errors import Unauthorized
from identity_service.model.shop import Caller, Shops
from identity_service.server.addresses import Proxies, caller_source
from identity_service.server.limits import RateLimit

WRONG_KEY = "The key is missing or wrong; send it as `Authorization: Bearer KEY` or as the member `key`."


def bearer(authorization: str | None) -> str | None:
    """The key in the header. None if there is none, if it is empty, or for another scheme, such as a proxy's password. Raises
    Unauthorized for a malformed header."""
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


def count_wrong_key(limit: RateLimit, peer: str | None, headers: Mapping[str, str], proxies: Proxies) -> None:
    """Raises RateLimited for too many wrong keys from an address. A right key still works: keys are too long to guess, and another
    caller behind the same address must not cost anybody an order."""
    limit.count(caller_source(peer, headers, proxies))
