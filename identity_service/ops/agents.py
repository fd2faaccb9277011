"""`identity-service agents refresh`: fetches the keys of the directories in the settings, and keeps them in a file.

Directories are strangers' servers. Each fetch is bounded in time and size, follows no redirect, and never connects to an address of one's
own network: the name is resolved once, and the connection goes to an address that was checked.
"""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

from identity_service.model.agent_key import WELL_KNOWN, AgentKey, Directory, keys_in, origin_of
from identity_service.settings.schema import AgentSettings
from identity_service.store.agent_keys import AgentKeyFile

MEDIA = "application/http-message-signatures-directory+json"
SECONDS = 10
"""For one directory, from the connection to the last byte."""
MOST_BYTES = 256 << 10
ASSIGNED = ipaddress.IPv6Network("2000::/3")
"""The only public addresses of IPv6 (RFC 4291). Those that stand for an address of IPv4 are mostly elsewhere: ::/96, ::ffff:0:0:0/96, and
64:ff9b::/32."""
NOT_PUBLIC = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2002::/16", "3fff::/20")))
"""Relays to IPv4 (RFC 7526, RFC 3056), and what newer versions of Python know not to be public."""
ISATAP = 0x5EFE
"""Before the last 32 bits of an address, which are then one of IPv4 (RFC 5214). One more bit there may be set or not."""


class CannotFetch(Exception):
    """In words, for the operator."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """`fault`: why the keys that were fetched earlier stay. None for new ones."""

    origin: str
    keys: int
    fault: str | None

    @property
    def line(self) -> str:
        keys = f"{self.keys} {'key' if self.keys == 1 else 'keys'}"
        return f"{self.origin}: {keys}" if self.fault is None else f"{self.origin}: {self.fault}; {keys} of an earlier time stay"


Fetch = Callable[[str], list[AgentKey]]


def refresh(agents: AgentSettings, fetch: Fetch, now: int) -> list[Refreshed]:
    """Fetches every directory once, and replaces the file. A directory that cannot be fetched keeps its keys, because an outage is no
    revocation; one that answers without a key revokes it. Any other error of a fetch is that directory's fault, too: a stranger must not
    hold up what the others revoke. Raises OSError if the file cannot be written."""
    file = AgentKeyFile(agents.keys_file)
    try:
        held = {one.origin: one for one in file.read()}
    except ValueError:
        held = {}
    kept, found = [], []
    for origin in dict.fromkeys(origin_of(text) or text for text in agents.directories):
        earlier = held.get(origin, Directory(origin, 0, []))
        try:
            directory, fault = Directory(origin, now, fetch(origin)), None
        except CannotFetch as error:
            directory, fault = earlier, str(error)
        except Exception as error:
            directory, fault = earlier, f"it cannot be read ({type(error).__name__})"
        kept.append(directory)
        found.append(Refreshed(origin, len(directory.keys), fault))
    file.write(kept)
    return found


def is_public(address: str) -> bool:
    """Whether the address is neither of one's own machine nor of one's own network."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        low = int(found)
        embedded = ipaddress.IPv4Address(low & 0xFFFF_FFFF)
        if found.ipv4_mapped:
            return is_public(str(embedded))
        if found not in ASSIGNED or (low >> 32 & 0xFDFF_FFFF == ISATAP and not is_public(str(embedded))):
            return False
    return found.is_global and not found.is_multicast and not any(found in one for one in NOT_PUBLIC)


class PinnedConnection(HTTPSConnection):
    """Connects to `address`, whatever the name resolves to by then, and verifies the name's certificate."""

    def __init__(self, host: str, port: int, address: str, context: ssl.SSLContext, seconds: float) -> None:
        super().__init__(host, port, timeout=seconds, context=context)
        self._address = address
        self._tls = context

    def connect(self) -> None:
        raw = socket.create_connection((self._address, self.port), self.timeout)
        try:
            self.sock = self._tls.wrap_socket(raw, server_hostname=self.host)
        except BaseException:
            raw.close()
            raise

    def cut(self) -> None:
        """Ends whatever waits for the other side."""
        with suppress(OSError):
            if self.sock is not None:
                self.sock.shutdown(socket.SHUT_RDWR)


def fetch_keys(
    origin: str, context: ssl.SSLContext | None = None, allowed: Callable[[str], bool] = is_public, seconds: float = SECONDS
) -> list[AgentKey]:
    """The keys that the directory publishes now. `allowed`: which addresses it may have. Raises CannotFetch."""
    parts, ends = urlsplit(origin), time.monotonic() + seconds
    host, port = parts.hostname or "", parts.port or 443
    address = _checked_address(host, port, allowed)
    connection = PinnedConnection(host, port, address, context or ssl.create_default_context(), seconds)
    watch = threading.Timer(seconds, connection.cut)
    watch.start()
    try:
        connection.request("GET", WELL_KNOWN, headers={"Accept": MEDIA, "Accept-Encoding": "identity", "User-Agent": "identity-service"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise CannotFetch(f"it answers {answer.status} instead of 200; redirects are not followed")
        if (answer.headers.get("Content-Type") or "").partition(";")[0].strip().lower() != MEDIA or answer.headers.get("Content-Encoding"):
            raise CannotFetch(f"its answer is not {MEDIA}, or is compressed")
        return keys_in(_read(answer, ends))
    except (OSError, HTTPException) as error:  # an invalid certificate is a ValueError, too
        raise CannotFetch(f"it cannot be reached ({type(error).__name__})") from None
    except ValueError as error:
        raise CannotFetch(f"its answer is no directory: {error}") from None
    finally:
        watch.cancel()
        connection.close()


def _checked_address(host: str, port: int, allowed: Callable[[str], bool]) -> str:
    """One address of the host. If one of them is not allowed, none is."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise CannotFetch("its name cannot be resolved") from None
    addresses = [str(one[4][0]) for one in found]
    if not addresses or not all(map(allowed, addresses)):
        raise CannotFetch("its address is not a public one")
    return addresses[0]


def _read(answer: HTTPResponse, ends: float) -> bytes:
    """The whole body. Raises CannotFetch if it is too long or comes too slowly. `ends`: in monotonic seconds."""
    body = answer.read(MOST_BYTES + 1)
    if time.monotonic() >= ends:
        raise CannotFetch("its answer takes too long")
    if len(body) > MOST_BYTES:
        raise CannotFetch(f"its answer is larger than {MOST_BYTES:,} bytes")
    return body
