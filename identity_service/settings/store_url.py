"""store.url: one server, a primary that sentinels know by name, or a cluster. Each of their servers has a URL that redis-py reads.

    redis://[USER:PASSWORD@]HOST:PORT[/DB]    rediss:// with TLS    unix://PATH
    redis+sentinel://[USER:PASSWORD@]HOST[:26379],HOST…/NAME[?sentinel_password=…]    rediss+sentinel://
    redis+cluster://[USER:PASSWORD@]HOST[:6379],HOST…    rediss+cluster://

User and password belong to the data servers. After a question mark follow options of redis-py's URLs: `db`, `protocol`, `client_name`, and
those that begin with `ssl_` or `socket_`.
"""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

EMBEDDED = "embedded:"
LOGIN, OPTIONS = r"((?P<login>[^@/?#]*)@)?", r"(\?(?P<options>[^@#]*))?"
SINGLE = re.compile(rf"(?P<scheme>rediss?)://{LOGIN}(?P<hosts>[^@/?#]+)(?P<path>/[^@?#]*)?{OPTIONS}")
SOCKET = re.compile(rf"(?P<scheme>unix)://{LOGIN}(?P<hosts>)(?P<path>/[^@?#]+){OPTIONS}")
SEVERAL = re.compile(
    rf"(?P<scheme>rediss?)\+(?P<topology>sentinel|cluster)://{LOGIN}(?P<hosts>[^@/?#]+)(?P<path>/(?P<name>[^@/?#]*))?{OPTIONS}"
)
HOST = re.compile(r"(?P<host>[^\s:\[\],]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{1,5}))?")
OPTION_NAMES = "db, protocol, client_name, sentinel_username, sentinel_password, ssl_… and socket_…"
KNOWN = re.compile(r"db|protocol|client_name|sentinel_(username|password)|(ssl|socket)_[a-z_]+")
PORTS = {"sentinel": 26379, "cluster": 6379}
LAST_PORT = 65_535
FORMS = (
    "embedded:DIR, redis://, rediss://, unix://, redis+sentinel://HOST,HOST/NAME or redis+cluster://HOST,HOST "
    f"(a port is a number from 1 to {LAST_PORT:,}; write @ / ? # in a user or password as %40 %2F %3F %23)"
)


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """`servers`: URLs of the single server, of the sentinels, or of a cluster's first contacts. `service`: the sentinels' name for the
    primary."""

    topology: Literal["single", "sentinel", "cluster"]
    servers: tuple[str, ...]
    service: str = ""
    scheme: str = ""
    login: str = ""
    options: str = ""

    def server(self, host: str, port: int) -> str:
        """The URL of a server reported by the sentinels or the cluster."""
        return _url(self.scheme, self.login, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", self.options)

    def beside(self, url: str, port: int) -> str:
        """The URL of another server on the same host as `url`."""
        return self.server(urlsplit(url).hostname or "", port)


def parse_address(url: str) -> StoreAddress:
    """Raises ValueError for a URL of no known form, without repeating any part of it. embedded:DIR is not accepted: its server gets a
    URL when it starts."""
    if SOCKET.fullmatch(url) or ((one := SINGLE.fullmatch(url)) and _host(one["hosts"])):
        return StoreAddress("single", (url,))
    found = SEVERAL.fullmatch(url)
    hosts = [_host(text) for text in found["hosts"].split(",")] if found else []
    if not found or not all(hosts) or (found["topology"] == "sentinel") != bool(found["name"]):
        raise ValueError(f"is none of {FORMS}")
    topology: Literal["sentinel", "cluster"] = "sentinel" if found["topology"] == "sentinel" else "cluster"
    options = dict(parse_qsl(found["options"] or ""))
    sentinel = {name: options.pop(f"sentinel_{name}", "") for name in ("username", "password")}
    login = found["login"] or ""
    asked, asked_login = urlencode(options), login
    if topology == "sentinel":
        asked = urlencode({name: value for name, value in options.items() if name != "db"})
        asked_login = ":".join(quote(part, safe="") for part in sentinel.values()) if sentinel["password"] else ""
    places = [f"{host['host']}:{host['port'] or PORTS[topology]}" for host in hosts if host]
    servers = tuple(_url(found["scheme"], asked_login, place, asked) for place in places)
    return StoreAddress(topology, servers, found["name"] or "", found["scheme"], login, urlencode(options))


def check_options(url: str) -> None:
    """Raises ValueError for an unknown option. The library would refuse it at each connection, as if the store were down."""
    names = [part.partition("=")[0] for part in url.partition("?")[2].split("&") if part]
    if not all(map(KNOWN.fullmatch, names)):
        raise ValueError(f"has an unknown option; the options are {OPTION_NAMES}")


def store_name(where: str) -> str:
    """A store.url for people, without login and options. A URL of no known form is not shown, because any part may belong to a password."""
    if where.startswith(EMBEDDED):
        return where
    try:
        parse_address(where)
    except ValueError:
        return "this address"
    scheme, place = where.partition("?")[0].split("://", 1)
    return f"{scheme}://{place.rpartition('@')[2]}"


def place_of(url: str) -> str:
    """Host and port of a server's URL, or the path of its socket, without login and options."""
    parts = urlsplit(url)
    return parts.path if parts.scheme == "unix" else parts.netloc.rpartition("@")[2]


def _host(text: str) -> re.Match[str] | None:
    found = HOST.fullmatch(text)
    return found if found and 0 < int(found["port"] or 1) <= LAST_PORT else None


def _url(scheme: str, login: str, place: str, options: str) -> str:
    return f"{scheme}://{login}{'@' if login else ''}{place}{'?' if options else ''}{options}"
