"""Pages without a key: health and metrics, files and documents, which are compressed once, and HTML from templates.

Every value in a template is escaped. Pages have no inline scripts and load nothing from other hosts, and no frame may show them.
"""

import asyncio
import gzip
import hashlib
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import Protocol

import msgspec
from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from starlette.types import Receive, Scope, Send

from identity_service.errors import StoreRefused, StoreUnavailable
from identity_service.model.shop import ShopId
from identity_service.model.utc import moment_of, rfc3339
from identity_service.server.metrics import exposition, set_store_gauges
from identity_service.service.health import every
from identity_service.store import Store
from identity_service.store.examine import examine_servers
from identity_service.store.redis.client import StoreClient
from identity_service.web.bodies import read_body
from identity_service.web.call import Reply
from identity_service.web.endpoint import peer_of, send_reply
from identity_service.web.payloads import HealthAnswer

STATIC = Path(__file__).parent / "static"
DESIGN = STATIC / "design.css"
"""What the pages of the service have in common."""
MEDIA = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
SHARED = ((b"cache-control", b"public, max-age=3600"), (b"vary", b"Accept-Encoding"))
GZIP = re.compile(r"\s*(?:x-)?gzip\s*(?:;\s*q\s*=\s*(?P<weight>[0-9.]*)\s*)?", re.IGNORECASE)
HTML = "text/html; charset=utf-8"
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
    b"base-uri 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS = ((b"content-security-policy", POLICY), (b"referrer-policy", b"same-origin"))
"""With this referrer policy, browsers send the origin of forms. With no-referrer they would send `null`."""
OK = HealthAnswer("ok")
HIDDEN = "<10"
WITHOUT_DECIMALS = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"}
)
"""ISO 4217 gives these currencies no decimals."""


class Range(Protocol):
    """An interval whose figure may be hidden."""

    @property
    def low(self) -> int: ...
    @property
    def high(self) -> int: ...
    @property
    def hidden(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class PageCall:
    """A request for a page or a file, without a key. `query`: as sent. `peer`: the connection's address. `read`: reads the body, up to
    the given number of bytes; raises like `read_body`. `request_id`: as in the answer and the log."""

    method: str
    headers: Mapping[str, str]
    query: str
    parameters: Mapping[str, str]
    peer: str | None
    read: Callable[[int], Awaitable[bytes]]
    request_id: str = ""


PageHandler = Callable[[PageCall], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Page:
    """A page or a file as an ASGI application."""

    handler: PageHandler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope["state"]["headers"]
        query, parameters = scope["query_string"].decode("latin-1"), scope.get("path_params", {})
        request_id = scope["state"]["request_id"]
        call = PageCall(scope["method"], headers, query, parameters, peer_of(scope), partial(read_body, headers, receive), request_id)
        await send_reply(send, await self.handler(call))


@dataclass(frozen=True, slots=True)
class Asset:
    """`integrity`: the value of a tag's attribute of that name. `version`: eight characters of the hash."""

    plain: bytes
    compressed: bytes
    media: str
    integrity: str
    version: str


async def alive(_: PageCall) -> Reply:
    return Reply(OK)


def ready(store: Store, shops: Sequence[ShopId]) -> PageHandler:
    """Answers 503 with the cause if no shop can be written, if a server may lose data, or if the store is refused. If only some shops can
    be written, the answer names those that cannot. Every text is for operators, and has no address and no secret."""

    async def answer(_: PageCall) -> Reply:
        asked = (store.away(shops), store.check_marks(), examine_servers(store.client))
        away, marks, faults = await asyncio.gather(*asked, return_exceptions=True)
        if isinstance(away, BaseException):
            raise away
        for failure in (marks, faults):
            if isinstance(failure, BaseException) and not _is_away(failure):
                raise failure
        if faults and not isinstance(faults, BaseException):
            raise StoreUnavailable("; ".join(faults))
        if away and len(away) == len(shops):
            raise StoreUnavailable(" ".join(f"{cause}: {cause.sentence}" for cause in sorted(set(away.values()))))
        return Reply(HealthAnswer("ok", list(away)) if away else OK)

    return answer


def _is_away(failure: BaseException) -> bool:
    return isinstance(failure, StoreUnavailable) and not isinstance(failure, StoreRefused)


def scrape(client: StoreClient) -> PageHandler:
    async def answer(_: PageCall) -> Reply:
        set_store_gauges(client.open, bool(client.refused))
        return Reply(exposition(), media="text/plain; version=0.0.4; charset=utf-8")

    return answer


def fixed(body: object, media: str = "application/json", headers: Sequence[tuple[bytes, bytes]] = ()) -> PageHandler:
    encoded = body if isinstance(body, bytes) else msgspec.json.encode(body)

    async def answer(_: PageCall) -> Reply:
        return Reply(encoded, media=media, headers=headers)

    return answer


def file_page(path: Path) -> Page:
    async def show(call: PageCall) -> Reply:
        return _cached_reply(call, asset(path))

    return Page(show)


def document_page(content: Callable[[], Asset], headers: Sequence[tuple[bytes, bytes]] = ()) -> Page:
    """A document that is made at its first request, in a thread, so that other calls are not blocked."""

    async def show(call: PageCall) -> Reply:
        return _cached_reply(call, await asyncio.to_thread(content), headers)

    return Page(show)


def redirect_page(where: str, headers: Sequence[tuple[bytes, bytes]] = PAGE_HEADERS) -> Page:
    """`where`: relative, so that it works under any path of a proxy."""

    async def show(_: PageCall) -> Reply:
        return Reply(b"", 303, HTML, headers=[*headers, (b"location", where.encode())])

    return Page(show)


def _cached_reply(call: PageCall, found: Asset, headers: Sequence[tuple[bytes, bytes]] = ()) -> Reply:
    """The encodings are two representations, so each has its own tag (RFC 9110, 8.8.3.3). Only that tag leads to a 304."""
    zipped = _takes_gzip(call.headers.get("accept-encoding", ""))
    tag = f'"{found.version}-gzip"' if zipped else f'"{found.version}"'
    shared = [*SHARED, (b"etag", tag.encode()), *headers]
    if _names(call.headers.get("if-none-match", ""), tag):
        return Reply(b"", 304, headers=shared)
    if zipped:
        return Reply(found.compressed, 200, found.media, headers=[*shared, (b"content-encoding", b"gzip")])
    return Reply(found.plain, 200, found.media, headers=shared)


def _takes_gzip(accepted: str) -> bool:
    """An encoding of weight 0 is refused."""
    named = [one for one in map(GZIP.fullmatch, accepted.split(",")) if one]
    return any(one["weight"] is None or one["weight"].strip("0.") for one in named)


def _names(wanted: str, tag: str) -> bool:
    """`If-None-Match` compares weakly: a cache on the way may have weakened a tag."""
    return wanted.strip() == "*" or tag in {one.strip().removeprefix("W/") for one in wanted.split(",")}


@cache
def asset(path: Path) -> Asset:
    """Raises FileNotFoundError, and KeyError for a type of file that is not served."""
    return asset_of(path.read_bytes(), MEDIA[path.suffix])


def asset_of(plain: bytes, media: str) -> Asset:
    integrity = f"sha384-{b64encode(hashlib.sha384(plain).digest()).decode()}"
    return Asset(plain, gzip.compress(plain, mtime=0), media, integrity, hashlib.sha256(plain).hexdigest()[:8])


def render(template: str, **values: object) -> bytes:
    return _environment().get_template(template).render(**values).encode()


@cache
def _environment() -> Environment:
    found = Environment(loader=PackageLoader("identity_service.web"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    found.policies["json.dumps_kwargs"] = {}  # lines of a chart keep their order
    found.filters["moment"] = moment
    found.filters |= {"every": every, "amount": amount, "money": money, "estimate": estimate}
    return found


def amount(number: float | None) -> str:
    """A number for people to read. None: a figure below ten that is hidden."""
    if number is None:
        return HIDDEN
    return f"{number:,.0f}" if number == int(number) else f"{number:,.2f}"


def money(number: str | Decimal, currency: str) -> str:
    """An amount in its currency, with the currency's usual decimals."""
    return f"{Decimal(number):,.{0 if currency in WITHOUT_DECIMALS else 2}f} {currency}"


def estimate(found: Range | None) -> str:
    """An interval. None: there is none to show."""
    if found is None or found.hidden:
        return HIDDEN
    return f"{found.low:,}" if found.low == found.high else f"{found.low:,} to {found.high:,}"


def moment(time: int | str, form: str = "%Y-%m-%d %H:%M") -> Markup:
    """A time in UTC, for people to read. `time`: seconds since 1970, or RFC 3339."""
    text = rfc3339(time) if isinstance(time, int) else time
    read = moment_of(text).strftime(form)
    return Markup('<time datetime="{}">{}</time>').format(text, read)
