"""The client's address, from the connection or the header of the operator's own proxies; and whether it can be a visitor's."""

import ipaddress
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from identity_service.settings.schema import ServerSettings, StaffSettings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
FORWARDED = "forwarded"
"""The header of RFC 7239. Any other header holds one address, or a list with the nearest hop last."""
WITH_PORT = re.compile(r"\[(.*)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")
PARAMETER = re.compile(
    r"""[ \t]*+(?:([!#$%&'*+.^_`|~\w-]++)[ \t]*+=[ \t]*+(?:"((?:[^"\\]|\\.)*+)"|([^\s",;]*+)))?[ \t]*+([,;]|\Z)""", re.ASCII
)
"""Name, quoted value, plain value, and separator. An empty parameter has no name."""
LOCAL_IPV4 = re.compile(r"(?:10|127)\.|192\.168\.|169\.254\.|172\.(?:1[6-9]|2\d|3[01])\.|0\.0\.0\.0\Z", re.ASCII)
PRIVATE_IPV6 = ipaddress.IPv6Network("fc00::/7")


@dataclass(frozen=True, slots=True)
class Proxies:
    """The operator's own proxies. `header`: the header in which they send the client's address, in lower case."""

    networks: tuple[Network, ...] = ()
    header: str = "x-forwarded-for"


NO_PROXIES = Proxies()


REPEATED = "\n"
"""Joins repeated headers of the staff's proxy. No header contains it, so a repeated one is recognised, and refused."""


@dataclass(frozen=True, slots=True)
class StaffProxy:
    """The proxy that signs the staff in, and the headers in which it names a person and its groups, in lower case. `user_header`: empty if
    there is none."""

    networks: tuple[Network, ...] = ()
    user_header: str = ""
    groups_header: str = ""
    sign_out_address: str = ""

    @property
    def headers(self) -> list[str]:
        return [name for name in (self.user_header, self.groups_header) if name]


def staff_proxy_of(staff: StaffSettings) -> StaffProxy:
    headers = (staff.user_header.lower(), staff.groups_header.lower())
    return StaffProxy(parse_networks(staff.proxies), *headers, staff.sign_out_address)


def proxies_of(server: ServerSettings) -> Proxies:
    return Proxies(parse_networks(server.trusted_proxies), server.client_address_header.lower())


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Raises ValueError for a text that is neither an address nor a network."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def client_address(peer: str | None, told: str | None, proxies: Proxies) -> str | None:
    """The right-most hop that is not one of the proxies. None if it could be somebody else's address. `told`: the proxies' header."""
    peer = _address(peer or "")
    if peer is None:
        return None
    if told is None:
        return None if _is_ours(peer, proxies) else peer
    if not _is_ours(peer, proxies):
        return None
    for hop in reversed(list(_forwarded_hops(told)) if proxies.header == FORWARDED else told.split(",")):
        address = _address(hop.strip())
        if address is None:
            return None
        if not _is_ours(address, proxies):
            return address
    return None


def _forwarded_hops(told: str) -> Iterator[str]:
    """The client of each hop, empty if a hop names none. A syntax error makes the nearest hop unknown, because it may have been written to
    hide what the proxies wrote."""
    client, at = "", 0
    while at < len(told):
        found = PARAMETER.match(told, at)
        if found is None:
            yield ""
            return
        name, quoted, plain, end = found.groups()
        if name and name.lower() == "for":
            client = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
        if end != ";":
            yield client
            client = ""
        at = found.end()


def is_local(address: str) -> bool:
    """Whether it belongs to one machine or one network: loopback, private (RFC 1918, fc00::/7) or link-local. It is then a proxy's, a
    balancer's or a colleague's, and all visitors behind it would share one ID. `address`: from `client_address`."""
    if ":" not in address:
        return LOCAL_IPV4.match(address) is not None
    parsed = ipaddress.IPv6Address(address)
    return parsed.is_loopback or parsed.is_link_local or parsed.is_unspecified or parsed in PRIVATE_IPV6


def is_proxy(peer: str | None, proxies: Proxies | StaffProxy) -> bool:
    address = _address(peer or "")
    return address is not None and _is_ours(address, proxies)


def limited_client(address: str) -> str:
    """The unit that limits count: the IPv4 address, or the IPv6 /64. `address`: from `client_address`."""
    return address if ":" not in address else str(ipaddress.ip_network(f"{address.partition('%')[0]}/64", strict=False))


def caller_source(peer: str | None, headers: Mapping[str, str], proxies: Proxies) -> str:
    """Who is charged for a wrong key or a call too many: the client, or the connection's address if the client's is unknown."""
    address = client_address(peer, headers.get(proxies.header), proxies) or client_address(peer, None, NO_PROXIES)
    return limited_client(address) if address else "unknown"


def _is_ours(address: str, proxies: Proxies | StaffProxy) -> bool:
    if not proxies.networks:
        return False
    parsed = ipaddress.ip_address(address)
    return any(parsed in network for network in proxies.networks)


def _address(text: str) -> str | None:
    """The address, without a port. An IPv4-mapped address (`::ffff:a.b.c.d`) becomes the IPv4 address. None for any other text."""
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
