"""Who calls: which shop by which key, and whether the call speaks for the visitor's device or for a server."""

import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from starlette.types import Scope

from identity_service.errors import Forbidden, Unauthorized
from identity_service.limits import RateLimit
from identity_service.shop import NO_ORIGIN, Caller, Shops

WRONG_KEY = "The key is missing or wrong; send it as `Authorization: Bearer KEY` or as the member `key`."
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
WITH_PORT = re.compile(r"\[(.*)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")


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


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Raises ValueError for what is neither an address nor a network."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def client_address(peer: str | None, forwarded: str | None, proxies: tuple[Network, ...]) -> str | None:
    """The right-most hop that is no proxy of ours; None rather than an address that may be somebody else's."""
    peer = _address(peer or "")
    if peer is None:
        return None
    if forwarded is None:
        return None if _is_ours(peer, proxies) else peer
    if not _is_ours(peer, proxies):
        return None
    for hop in reversed(forwarded.split(",")):
        address = _address(hop.strip())
        if address is None:
            return None
        if not _is_ours(address, proxies):
            return address
    return None


def is_proxy(peer: str | None, proxies: tuple[Network, ...]) -> bool:
    address = _address(peer or "")
    return address is not None and _is_ours(address, proxies)


def limited_client(address: str) -> str:
    """What one client counts as: its IPv4 address, or its IPv6 /64. `address`: as `client_address` tells it."""
    return address if ":" not in address else str(ipaddress.ip_network(f"{address.partition('%')[0]}/64", strict=False))


def count_wrong_key(limit: RateLimit | None, scope: Scope, proxies: tuple[Network, ...]) -> None:
    """Raises RateLimited for one too many from an address. A right key is taken all the same: keys are too long to be guessed, and what a
    neighbour behind the same address does wrong must cost nobody an order."""
    if limit:
        limit.count(caller_source(scope, proxies))


def caller_source(scope: Scope, proxies: tuple[Network, ...]) -> str:
    """Whom a wrong key, or a call too many, counts for: the client; where nobody can vouch for its address, whoever's connection it is."""
    peer, forwarded = scope["client"][0] if scope["client"] else None, scope["state"]["headers"].get("x-forwarded-for")
    address = client_address(peer, forwarded, proxies) or client_address(peer, None, ())
    return limited_client(address) if address else "unknown"


def _is_ours(address: str, proxies: tuple[Network, ...]) -> bool:
    if not proxies:
        return False
    parsed = ipaddress.ip_address(address)
    return any(parsed in network for network in proxies)


def _address(text: str) -> str | None:
    """With or without a port. An IPv4 address as a socket of both families shows it (`::ffff:a.b.c.d`) is that IPv4 address; None for what
    is no address."""
    try:
        socket.inet_pton(socket.AF_INET, text)  # reads the same IPv4 addresses as the library below, ten times as fast
        return text
    except (OSError, ValueError):
        pass
    with_port = WITH_PORT.fullmatch(text)
    text = with_port[1] or with_port[2] if with_port else text
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped) if mapped else text
