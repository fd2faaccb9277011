"""From an ASGI request to a handler's call, and from its reply to an answer. No request object travels further than this file."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct
from starlette.types import Receive, Scope, Send

from identity_service.errors import Forbidden, Invalid, Malformed, RateLimited, ServiceError, Unauthorized
from identity_service.model.handle import Handles
from identity_service.model.shop import NO_ORIGIN, Caller, Shop, Shops
from identity_service.model.token import Signing
from identity_service.server.addresses import Proxies, caller_source, client_address, is_proxy, limited_client
from identity_service.server.limits import RateLimit
from identity_service.service.counters import Tally
from identity_service.service.health import Addresses, HealthCheck
from identity_service.service.identify import Visitors
from identity_service.service.links import Links
from identity_service.service.receipts import Receipts
from identity_service.service.reports import FigureReader, Orders
from identity_service.service.returns import Returns
from identity_service.service.rights import Rights
from identity_service.service.sell import Sales
from identity_service.service.track import Subjects, Tracking
from identity_service.settings.regions import PLACE
from identity_service.settings.schema import ServerSettings
from identity_service.store import Clock, Store
from identity_service.web.auth import authenticate, bearer, count_wrong_key, speaks_for_device
from identity_service.web.bodies import (
    BodyLimits,
    all_members,
    check_text,
    fitting,
    key_members,
    read_body,
    told,
    with_bounded_numbers,
    with_whole_texts,
)

REGION = re.compile(PLACE)


SMALLEST_KEPT = 256
"""Bytes that a call counts for at least: a key of the store takes as much, however little was sent."""


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that handlers use, made once by `app.py`. `stopping`: set when this process is told to end."""

    shops: Shops
    store: Store
    handles: Handles
    visitors: Visitors
    links: Links
    receipts: Receipts
    rights: Rights
    signing: Signing
    subjects: Subjects
    tracking: Tracking
    sales: Sales
    returns: Returns
    tally: Tally
    orders: Orders
    figures: FigureReader
    health: HealthCheck
    addresses: Addresses
    clock: Clock
    proxies: Proxies
    limits: BodyLimits
    client_limit: RateLimit | None
    key_limit: RateLimit | None
    lookup_limit: RateLimit | None
    client_quota: RateLimit | None
    public_key_quota: RateLimit | None
    refusal_limit: RateLimit | None
    wrong_keys: RateLimit | None
    refusal_days: int
    consent_days: int
    server: ServerSettings
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


class Call(Struct, frozen=True):
    """`device`: the call speaks for the visitor's device. `address` and `region`: of that device, if known. `headers`: names in lower case.
    `parameters`: of the path. `members`: the body's members as they came, for bodies that are somebody else's. `name`: of a tracking call.
    `from_query`: its values are text. `key`: what stands for the caller's key in limits. `request_id`: as answer and
    log tell it. `counted_as`: whom its limits count. `fault`: why the call is refused unless it carries a refusal of consent, which is
    always taken; `body` holds what fits."""

    services: Services
    shop: Shop
    private: bool
    device: bool
    address: str | None
    region: str | None
    headers: Mapping[str, str]
    query: Mapping[str, str]
    parameters: Mapping[str, str]
    members: Mapping[str, object]
    body: Any
    name: str = ""
    from_query: bool = False
    key: str = ""
    request_id: str = ""
    counted_as: str = ""
    fault: ServiceError | None = None


class Situation(Struct, frozen=True):
    """Of the visitor's device: `address` and `region` are None where it is a server that speaks, or nobody can vouch for them. `peer`: whom
    limits count, device or server."""

    device: bool
    address: str | None
    region: str | None
    peer: str | None


class Reply(Struct, frozen=True):
    """`body`: a struct, or bytes with their own `media`."""

    body: Any
    status: int = 200
    media: str = "application/json"
    cookies: Sequence[str] = ()
    headers: Sequence[tuple[bytes, bytes]] = ()


Handler = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation as an ASGI application. `private`: only private keys; `free`: the body has members of somebody else's; `consent`: it
    may carry a refusal, so that its handler is asked before the call is refused."""

    services: Services
    handler: Handler
    body: type[msgspec.Struct] | None
    private: bool = False
    large: bool = False
    free: bool = False
    consent: bool = False
    decoder: Any = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.body:
            object.__setattr__(self, "decoder", msgspec.json.Decoder(self.body))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        services = self.services
        try:
            call = await self._call(scope, receive)
        except Unauthorized:
            count_wrong_key(services.wrong_keys, scope, services.proxies)
            raise
        await send_reply(send, await self.handler(call))

    async def _call(self, scope: Scope, receive: Receive) -> Call:
        services, headers = self.services, scope["state"]["headers"]
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)) if scope["query_string"] else {}
        key: object = bearer(headers.get("authorization"))
        found = authenticate(services.shops, key) if key is not None else None
        self._check_scope(found)
        most = services.limits.lookup if self.large and found else services.limits.body
        raw = await read_body(headers, receive, most) if self.body else b""
        check_text(raw, services.limits.depth)
        if self.consent:
            raw = with_bounded_numbers(with_whole_texts(raw))
        if found is None:
            members = key_members(raw)
            found = authenticate(services.shops, members.key if members.key is not None else query.get("key"))
            if members.key is None and found.private:
                raise Forbidden("A private key never stands in a URL: it ends up in logs. Replace it and send it in `Authorization`.")
            self._check_scope(found)
        where = situation(services, scope, found)
        body, fault = self._read(services, scope, found, where, raw)
        return Call(
            services=services,
            shop=found.shop,
            private=found.private,
            device=where.device,
            address=where.address,
            region=where.region,
            headers=headers,
            query=query,
            parameters=scope.get("path_params", {}),
            members=all_members(raw) if self.free else {},
            body=body,
            key=found.digest,
            request_id=scope["state"]["request_id"],
            counted_as=counted_as(services, scope, found, where),
            fault=fault,
        )

    def _check_scope(self, found: Caller | None) -> None:
        if self.private and found and not found.private:
            raise Forbidden("This call needs a private key, from a server.")

    def _read(self, services: Services, scope: Scope, caller: Caller, where: Situation, raw: bytes) -> tuple[Any, ServiceError | None]:
        """The body, and why it would be refused. Counts the call, before the body is decoded. Raises Malformed; RateLimited and Invalid
        only where the call can carry no word on consent."""
        fault: ServiceError | None = None
        try:
            count_call(services, scope, caller, where, len(raw))
        except RateLimited as error:
            if not self.consent:
                raise
            fault = error
        try:
            return self._decoded(raw), fault
        except Invalid as error:
            if not self.consent or self.body is None:
                raise
            return fitting(self.body, all_members(raw)), fault or error

    def _decoded(self, raw: bytes) -> Any:
        if self.decoder is None:
            return None
        try:
            return self.decoder.decode(raw)
        except msgspec.ValidationError as error:
            raise Invalid(told(str(error))) from None
        except (msgspec.DecodeError, RecursionError):
            raise Malformed("The body is not JSON in UTF-8.") from None


async def send_reply(send: Send, reply: Reply) -> None:
    body = reply.body if isinstance(reply.body, bytes) else msgspec.json.encode(reply.body)
    headers = [(b"content-type", reply.media.encode()), (b"content-length", b"%d" % len(body)), *reply.headers]
    if reply.cookies:
        headers += [(b"set-cookie", cookie.encode("latin-1")) for cookie in reply.cookies]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def situation(services: Services, scope: Scope, caller: Caller, *, always_device: bool = False) -> Situation:
    """Raises Forbidden for a page of anybody else."""
    headers = scope["state"]["headers"]
    peer = scope["client"][0] if scope["client"] else None
    device = speaks_for_device(caller, scope["method"], headers)
    device |= always_device and not caller.private and headers.get("origin") != NO_ORIGIN
    address = None if caller.private else client_address(peer, headers.get(services.proxies.header), services.proxies)
    return Situation(device, address if device else None, _region(services, peer, headers) if device else None, address)


def count_call(services: Services, scope: Scope, caller: Caller, where: Situation, size: int) -> None:
    """`size`: bytes of what was sent, most of which a call with a public key can make the store keep. Raises RateLimited for one call too
    many, or too much of them, of the key or of the client."""
    if services.key_limit:
        services.key_limit.count(caller.digest)
    if caller.private:
        return
    client = counted_as(services, scope, caller, where)
    if services.client_limit:
        services.client_limit.count(client)
    try:
        for quota, counted in ((services.client_quota, client), (services.public_key_quota, caller.digest)):
            if quota:
                quota.count(counted, max(size, SMALLEST_KEPT))
    except RateLimited:
        services.tally.beyond_quota(caller.shop.shop_id)
        raise


def counted_as(services: Services, scope: Scope, caller: Caller, where: Situation) -> str:
    """A private key, or a public key's client."""
    if caller.private:
        return caller.digest
    return limited_client(where.peer) if where.peer else caller_source(scope, services.proxies)


def _region(services: Services, peer: str | None, headers: Mapping[str, str]) -> str | None:
    """As a proxy of ours tells it."""
    header = services.server.region_header.lower()
    region = headers.get(header, "").upper() if header else ""
    return region if region and is_proxy(peer, services.proxies) and REGION.fullmatch(region) else None
