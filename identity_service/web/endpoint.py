"""The path of every call, from an ASGI request to a handler and back. The request object does not leave this file.

The steps: key of the header, size while reading, one scan of the body, key of the body, kind of key, limits, decoding, handler, answer.
"""

import re
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct
from starlette.types import Message, Receive, Send
from starlette.types import Scope as AsgiScope

from identity_service.errors import Forbidden, Invalid, MethodNotAllowed, RateLimited, ServiceError, Unauthorized
from identity_service.model.consent import millis_of
from identity_service.model.regions import REGION
from identity_service.model.shop import NO_ORIGIN, Caller, Scope
from identity_service.server.addresses import caller_source, client_address, is_proxy, limited_client
from identity_service.server.problems import problem_body
from identity_service.service.counters import LoggedCall
from identity_service.web.auth import WRONG_KEY, authenticate, bearer, check_scope, count_wrong_key, speaks_for_device
from identity_service.web.bodies import (
    NOTHING,
    KeyMembers,
    Size,
    all_members,
    as_json,
    check_text,
    fit,
    form_as_json,
    is_form,
    key_members,
    mended,
    read_body,
    says_counted,
)
from identity_service.web.call import Call, Handler, Reply, Services
from identity_service.web.dialects import NATIVE, Decoder, Dialect
from identity_service.web.lists import QueryParameters
from identity_service.web.payloads import Members

CALLBACK = re.compile(r"[A-Za-z_$][\w$.]{0,63}", re.ASCII)
SMALLEST_KEPT = 256
"""The fewest bytes that a call counts as. A key of the store takes that much, however little was sent."""
Query = Sequence[tuple[str, str]]


class Access(StrEnum):
    """The keys that a call accepts. DEVICE: either key, and a public one speaks for the visitor's device."""

    EITHER = "either key"
    PRIVATE = "private key"
    DEVICE = "public key for the device"
    NONE = "no key"


@dataclass(frozen=True, slots=True)
class Row:
    """A call. Its endpoint and its description are made from this.

    path      after the dialect's prefixes
    name      of the method in generated clients; empty: made from the path
    refuses   errors in addition to those of every call
    scope     what the key has to have
    query     schema and description of the query's parameters
    free      the body contains members of another service
    consent   the call may carry a refusal of consent. That is always accepted, so the handler runs before the call is refused
    """

    path: str
    handler: Handler
    body: type[Members] | None
    answer: type[Struct]
    name: str = ""
    scope: Scope = field(kw_only=True)
    keys: Access = Access.EITHER
    method: str = ""
    dialect: Dialect = NATIVE
    size: Size = Size.USUAL
    refuses: tuple[type[ServiceError], ...] = ()
    query: QueryParameters = field(default_factory=dict)
    free: bool = False
    consent: bool = False

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(prefix + self.path for prefix in self.dialect.prefixes)

    @property
    def methods(self) -> tuple[str, ...]:
        return (self.method,) if self.method else self.dialect.methods

    @property
    def operation(self) -> str:
        """`log/cart/add` is `logCartAdd`."""
        first, *others = re.split("[/_]", self.path)
        return self.name or first + "".join(map(str.capitalize, others))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row as an ASGI application."""

    services: Services
    row: Row
    decode: Decoder | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "decode", self.row.dialect.decoder(self.row.body) if self.row.body else None)

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True) if scope["query_string"] else []
        try:
            reply = await self._reply(scope, receive, query)
        except ServiceError as error:
            reply = error_reply(error, scope["state"]["request_id"], scope["path"])
        if query and self.row.dialect.query_is_body and scope["method"] == "GET":
            reply = _for_script_tag(reply, dict(query).get("callback", ""))
        await send_reply(send, reply)

    async def _reply(self, scope: AsgiScope, receive: Receive, query: Query) -> Reply:
        services, row, fields = self.services, self.row, dict(query)
        if row.dialect.query_is_body and scope["method"] == "HEAD":
            raise MethodNotAllowed("A HEAD request would be logged as a call; send GET or POST.")
        caller: Caller | None = None
        raw = b""
        try:
            key = bearer(scope["state"]["headers"].get("authorization"))
            if key is not None:
                caller = authenticate(services.shops, key, services.clock())
                self._check_keys(caller)
            elif query and row.dialect.query_is_body and scope["method"] == "GET" and "key" in fields:
                caller = authenticate(services.shops, fields["key"], services.clock())
            raw, textual = await self._text(scope, receive, query, by_header=key is not None)
            if caller is None or key is None:
                members = key_members(raw)
                caller = self._by_members(members, fields)
                caller = self._with_private_key(caller, members, fields)
                self._check_keys(caller)
            return await row.handler(self._call(scope, fields, caller, raw, textual))
        except ServiceError as error:
            if caller and row.dialect.logs_failures:
                self._count_failure(caller, raw, error)
            if isinstance(error, Unauthorized):
                count_wrong_key(services.rates.wrong_keys, peer_of(scope), scope["state"]["headers"], services.proxies)
            raise

    def _count_failure(self, caller: Caller, raw: bytes, error: ServiceError) -> None:
        counters, shop = self.services.counters, caller.shop
        if shop.counts_silent and says_counted(raw):
            counters.days.count_failure(shop.shop_id, self.row.path)
        else:
            counters.count_call(shop.shop_id, LoggedCall(self.row.path, "none", None, error.detail or error.title))

    def _check_keys(self, caller: Caller) -> None:
        if self.row.keys is Access.PRIVATE and not caller.private:
            raise self.row.dialect.no_private_key()
        check_scope(caller, self.row.scope)

    async def _text(self, scope: AsgiScope, receive: Receive, query: Query, *, by_header: bool) -> tuple[bytes, bool]:
        """The members as JSON, within the row's size and depth, and whether their values are text. `by_header`: the key was in the header.
        Raises TooLarge, UnsupportedMedia and Malformed."""
        row, limits = self.row, self.services.limits
        textual = False
        if row.dialect.query_is_body and scope["method"] != "POST":
            raw, textual = as_json(query), True
        else:
            raw = await read_body(scope["state"]["headers"], receive, limits.most(row.size, by_header=by_header)) if row.body else b""
            if row.dialect.lenient and is_form(raw):
                raw, textual = form_as_json(raw), True
        check_text(raw, limits.depth)
        return (mended(raw) if row.consent or row.dialect.lenient else raw), textual

    def _by_members(self, members: KeyMembers, query: Mapping[str, str]) -> Caller:
        """The caller by the key in the body or the query. Raises Unauthorized, and Forbidden for a private key in a query."""
        key = members.key if members.key is not None else query.get("key")
        if key is None:
            raise Unauthorized(self.row.dialect.no_key)
        caller = authenticate(self.services.shops, key, self.services.clock())
        if not self.row.dialect.private_key_beside and members.key is None and caller.private:
            raise Forbidden("Logs record URLs, so this private key is no longer secret. Replace it, and send keys in `Authorization`.")
        return caller

    def _with_private_key(self, caller: Caller, members: KeyMembers, query: Mapping[str, str]) -> Caller:
        """The same shop's caller by its private key, if the call has one beside the public key. Raises Unauthorized if it is none of the
        shop's."""
        beside = members.private_key if members.private_key is not None else query.get("private_key")
        if not self.row.dialect.private_key_beside or not isinstance(beside, str) or beside in {"", *NOTHING}:
            return caller
        private = authenticate(self.services.shops, beside, self.services.clock())
        if private.private and private.shop.shop_id == caller.shop.shop_id:
            return private
        raise Unauthorized(WRONG_KEY)

    def _call(self, scope: AsgiScope, query: Mapping[str, str], caller: Caller, raw: bytes, textual: bool) -> Call:
        """Raises Forbidden for a page of another origin; RateLimited and Invalid like `_body`."""
        row, services, state = self.row, self.services, scope["state"]
        headers, peer = state["headers"], peer_of(scope)
        device = speaks_for_device(caller, scope["method"], headers)
        device |= row.keys is Access.DEVICE and not caller.private and headers.get("origin") != NO_ORIGIN
        address, counted = None, caller.digest
        if not caller.private:
            address = client_address(peer, headers.get(services.proxies.header), services.proxies)
            counted = limited_client(address) if address else caller_source(peer, headers, services.proxies)
        body, fault = self._body(caller, counted, raw, textual)
        return Call(
            services=services,
            now=millis_of(services.clock()),
            shop=caller.shop,
            private=caller.private,
            device=device,
            address=address if device else None,
            region=_region(services, peer, headers) if device else None,
            headers=headers,
            query=query if row.query else {},
            parameters=scope.get("path_params", {}),
            members=all_members(raw) if row.free else {},
            body=body,
            path=row.path,
            method=scope["method"],
            target=_target_of(scope) if "signature-input" in headers else "",
            from_query=textual,
            key=caller.digest,
            request_id=state["request_id"],
            counted_as=counted,
            fault=fault,
            actor=caller.actor,
        )

    def _body(self, caller: Caller, client: str, raw: bytes, textual: bool) -> tuple[Any, ServiceError | None]:
        """Counts the call, then decodes its body. Raises RateLimited and Invalid only if the call cannot carry a refusal of consent.
        Otherwise returns the error beside what fits of the body."""
        row = self.row
        fault: ServiceError | None = None
        try:
            count_call(self.services, caller, client, len(raw))
        except RateLimited as error:
            if not row.consent:
                raise
            fault = error
        try:
            return self.decode(raw, textual) if self.decode else None, fault
        except Invalid as error:
            if not row.consent or row.body is None:
                raise
            return fit(row.body, all_members(raw)), fault or error


def peer_of(scope: AsgiScope) -> str | None:
    return scope["client"][0] if scope["client"] else None


def _target_of(scope: AsgiScope) -> str:
    """Path and query of the request as they were sent."""
    path, query = scope.get("raw_path") or scope["path"].encode(), scope["query_string"]
    return f"{path.decode('latin-1')}{'?' if query else ''}{query.decode('latin-1')}"


def _region(services: Services, peer: str | None, headers: Mapping[str, str]) -> str | None:
    """The region in the header of one of the operator's own proxies."""
    header = services.server.region_header.lower()
    region = headers.get(header, "").upper() if header else ""
    return region if region and is_proxy(peer, services.proxies) and REGION.fullmatch(region) else None


def count_call(services: Services, caller: Caller, client: str, size: int) -> None:
    """`size`: bytes sent, of which a call with a public key can make the store keep most. Raises RateLimited if the key or the client is
    over its limit of calls or bytes."""
    services.rates.key.count(caller.digest)
    if caller.private:
        return
    services.rates.client.count(client)
    try:
        services.rates.client_quota.count(client, max(size, SMALLEST_KEPT))
        services.rates.public_key_quota.count(caller.digest, max(size, SMALLEST_KEPT))
    except RateLimited:
        services.counters.count_beyond_quota(caller.shop.shop_id)
        raise


def _for_script_tag(reply: Reply, callback: str) -> Reply:
    """The reply as a script that calls `callback`, if that is a name. A script tag cannot read the status, so it is always 200."""
    if not CALLBACK.fullmatch(callback):
        return reply
    body = reply.body if isinstance(reply.body, bytes) else msgspec.json.encode(reply.body)
    return Reply(f"{callback}(".encode() + body + b");", 200, "application/javascript; charset=utf-8", reply.cookies, reply.headers)


class AnswerSend:
    """An ASGI `send` that adds headers to the answer, and keeps its status; 0 before the answer."""

    __slots__ = ("_added", "_send", "_write_whole", "status")

    def __init__(self, send: Send, added: list[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._write_whole = getattr(send, "write_whole", None)  # the service's own server has it
        self._added = added
        self.status = 0

    def __call__(self, message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            self._add_headers(message)
        return self._send(message)

    def write_whole(self, start: Message, end: Message) -> bool:
        """Sends a whole answer in one step. False if it must be sent in two."""
        self._add_headers(start)
        return self._write_whole is not None and self._write_whole(start, end)

    def _add_headers(self, start: Message) -> None:
        """Once: what the answer has already is not added."""
        self.status = start["status"]
        own = dict(start["headers"])
        start["headers"] = [*start["headers"], *[header for header in self._added if header[0] not in own]]


async def send_reply(send: Send, reply: Reply) -> None:
    body = reply.body if isinstance(reply.body, bytes) else msgspec.json.encode(reply.body)
    headers = [(b"content-type", reply.media.encode()), (b"content-length", b"%d" % len(body)), *reply.headers]
    if reply.status == 304:  # it has neither type nor length
        headers = list(reply.headers)
    if reply.cookies:
        headers += [(b"set-cookie", cookie.encode("latin-1")) for cookie in reply.cookies]
    start: Message = {"type": "http.response.start", "status": reply.status, "headers": headers}
    end: Message = {"type": "http.response.body", "body": body}
    if isinstance(send, AnswerSend) and send.write_whole(start, end):
        return
    await send(start)
    await send(end)


def error_reply(error: ServiceError, request_id: str, path: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> Reply:
    """The error in the format of the address."""
    status, media, body = problem_body(error, request_id, path)
    after = [(b"retry-after", str(error.retry_after).encode())] if error.retry_after else []
    return Reply(body, status, media, error.cookies, [*headers, *after])
