"""Who calls: the shop, by its key, and the page that makes the call. This is the one policy on origins.

A foreign page must neither speak for a shop's visitors nor act for a signed-in person. Browsers name the page in `Origin` (in every POST
and every call to another host), in `Sec-Fetch-Site`, and in `Referer`; scripts of a page cannot set them. A call without all three comes
from a server, because a caller that can omit them has no visitor's cookies.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from identity_service.errors import Forbidden, Unauthorized
from identity_service.model.shop import NO_ORIGIN, Caller, Scope, Shops
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


def authenticate(shops: Shops, key: object, now: float) -> Caller:
    """`now`: seconds since 1970. Raises Unauthorized for an unknown key and for one that has ended, alike."""
    found = shops.find(key) if isinstance(key, str) and key else None
    if found is None or found.ends <= now:
        raise Unauthorized(WRONG_KEY)
    return found


def check_scope(caller: Caller, scope: Scope) -> None:
    """Raises Forbidden for a key that may not do this."""
    if scope not in caller.scopes:
        raise Forbidden(f"This key does not have the scope `{scope}`; use another key, or add the scope in the shop's settings.")


def count_wrong_key(limit: RateLimit, peer: str | None, headers: Mapping[str, str], proxies: Proxies) -> None:
    """Raises RateLimited for too many wrong keys from an address. A right key still works: keys are too long to guess, and another
    caller behind the same address must not cost anybody an order."""
    limit.count(caller_source(peer, headers, proxies))


def speaks_for_device(caller: Caller, method: str, headers: Mapping[str, str]) -> bool:
    """True for a public key sent by a page of the shop. False for a server, and for a page without an origin if the shop lists `null`.
    Raises Forbidden for any other page."""
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
        raise Forbidden("The origin of this page is not among the shop's origins; add it to the setting `origins`.")
    return origin != NO_ORIGIN


def _is_listed(origin: str, origins: frozenset[str], own: str) -> bool:
    """`own`: the called host. A proxy may serve the shop under it with another scheme than the listed one."""
    if origin in origins:
        return True
    host = origin.partition("://")[2]
    return host != "" and host == own and own in {one.partition("://")[2] for one in origins}


def _is_own_page(site: str | None, referer: str | None, origins: frozenset[str], own: str) -> bool:
    """For a call without `Origin`, such as a script or a picture. `Referer` counts before the called host, which any page can choose."""
    if referer is not None:
        return _is_listed(_origin_of(referer), origins, own)
    return site in {"same-origin", "none"} and own in {one.partition("://")[2] for one in origins}


def _origin_of(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}"


def is_from_own_page(headers: Mapping[str, str]) -> bool:
    """Whether a page of the called host posts. All browsers send `Origin` with a post, but only some send `Sec-Fetch-Site`."""
    try:
        host = urlsplit(headers.get("origin", "")).netloc
    except ValueError:
        return False
    return host != "" and host == headers.get("host") and headers.get("sec-fetch-site", "same-origin") == "same-origin"


def check_poster(headers: Mapping[str, str]) -> None:
    """Raises Forbidden for a form of a foreign page. If the browser sends `Sec-Fetch-Site`, only that counts, because a proxy may change
    the host."""
    site = headers.get("sec-fetch-site")
    own = site == "same-origin" if site else headers.get("origin", "").partition("://")[2] == headers.get("host")
    if not own:
        raise Forbidden("Another site sent this request, so nothing was done. Use the page itself.")


def check_reader(headers: Mapping[str, str]) -> None:
    """Raises Forbidden for a script of another origin. A shop's page on a neighbouring host is of the same site, so its requests carry the
    cookie, and CORS lets it read answers. Following a link sends no origin."""
    if "origin" in headers:
        check_poster(headers)
