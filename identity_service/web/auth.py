"""Who calls: which shop by which key, and whether the call speaks for the visitor's device or for a server."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.types import Scope

from identity_service.errors import Forbidden, Unauthorized
from identity_service.model.shop import NO_ORIGIN, Caller, Shops
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


def speaks_for_device(caller: Caller, method: str, headers: Mapping[str, str]) -> bool:
    """True for a public key sent by a page of the shop; False for a server, and for a page without an origin of its own where the shop
    lists `null`. Raises Forbidden for a page of anybody else."""
    if caller.private:
        return False
    origin, site, referer = headers.get("origin"), headers.get("sec-fetch-site"), headers.get("referer")
    if origin is None and site is None and referer is None:
        return False
    own = headers.get("host", "")
    if origin is not None:
        listed = _is_listed(origin, caller.shop.origins, own)
    else:
        listed = method in {"GET", "HEAD"} and _is_own_page(site, referer, caller.shop.origins, own)
    if not listed:
        raise Forbidden("This page's origin is not listed for the shop; add it to the shop's origins.")
    return origin != NO_ORIGIN


def _is_listed(origin: str, origins: frozenset[str], own: str) -> bool:
    """`own`: the host that was called, under which a proxy may serve the shop by another scheme than is listed."""
    if origin in origins:
        return True
    host = origin.partition("://")[2]
    return host != "" and host == own and own in {one.partition("://")[2] for one in origins}


def _is_own_page(site: str | None, referer: str | None, origins: frozenset[str], own: str) -> bool:
    """Of a call that carries no origin, as scripts and pictures do. What a page says of itself goes before the host that it calls, which
    any page may choose."""
    if referer is not None:
        return _is_listed(_origin_of(referer), origins, own)
    return site in {"same-origin", "none"} and own in {one.partition("://")[2] for one in origins}


def _origin_of(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}"


def count_wrong_key(limit: RateLimit | None, scope: Scope, proxies: Proxies) -> None:
    """Raises RateLimited for one too many from an address. A right key is taken all the same: keys are too long to be guessed, and what a
    neighbour behind the same address does wrong must cost nobody an order."""
    if limit:
        limit.count(caller_source(scope, proxies))
