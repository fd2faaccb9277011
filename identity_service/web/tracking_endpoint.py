"""A tracking call as an ASGI application: body, form or query, key beside or in it, JSONP, and always an answer in Clerk's form."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import UNSET
from starlette.types import Receive, Scope, Send

from identity_service.errors import Invalid, Malformed, MethodNotAllowed, ServiceError, Unauthorized
from identity_service.model.shop import Caller
from identity_service.server.problems import problem_body
from identity_service.service.counters import Called
from identity_service.web.auth import authenticate, bearer, count_wrong_key
from identity_service.web.bodies import (
    NOTHING,
    as_json,
    check_text,
    form_as_json,
    is_form,
    key_members,
    read_body,
    told_to_plugin,
    with_bounded_numbers,
    with_whole_texts,
)
from identity_service.web.calls.arguments import exact_number
from identity_service.web.calls.tracking import TrackingBody
from identity_service.web.endpoint import Call, Handler, Reply, Services, count_call, counted_as, send_reply, situation

LARGE = frozenset({"log/sale", "log/results"})
"""They may name a thousand products."""
CALLBACK = re.compile(r"[A-Za-z_$][\w$.]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TrackingEndpoint:
    """`name`: the call without its version, for the log. `private`: takes only a private key, which plugins send beside the public one."""

    services: Services
    name: str
    handler: Handler
    body: type[TrackingBody]
    private: bool = False
    always_device: bool = False
    decoders: Any = field(init=False, default=None)

    def __post_init__(self) -> None:
        made = [msgspec.json.Decoder(self.body, strict=strict, float_hook=exact_number) for strict in (True, False)]
        object.__setattr__(self, "decoders", made)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True) if scope["query_string"] else []
        callback = dict(query).get("callback") if scope["method"] == "GET" else None
        try:
            if scope["method"] == "HEAD":
                raise MethodNotAllowed("A HEAD call would be logged; send GET or POST.")
            try:
                reply = await self._reply(scope, receive, query)
            except Unauthorized:
                count_wrong_key(self.services.wrong_keys, scope, self.services.proxies)
                raise
        except ServiceError as error:
            status, media, body = problem_body(error, scope["state"]["request_id"], scope["path"])
            after = [(b"retry-after", str(error.retry_after).encode())] if error.retry_after else []
            reply = Reply(body, status, media, error.cookies, after)
        await send_reply(send, _wrapped(reply, callback) if callback and CALLBACK.fullmatch(callback) else reply)

    async def _reply(self, scope: Scope, receive: Receive, query: list[tuple[str, str]]) -> Reply:
        headers, posted = scope["state"]["headers"], scope["method"] == "POST"
        key, beside = bearer(headers.get("authorization")), dict(query)
        caller = self._by(key if key is not None or posted else beside.get("key"))
        try:
            most = self.services.limits.sale if self.name in LARGE else self.services.limits.body
            raw = await read_body(headers, receive, most) if posted else as_json(query)
            from_query = not posted or is_form(raw)
            raw = form_as_json(raw) if posted and from_query else raw
            check_text(raw, self.services.limits.depth)
            raw = with_whole_texts(raw)
            if key is None:
                members = key_members(raw)
                caller = self._by(members.key if members.key is not None else beside.get("key"))
                caller = self._with_private(caller, members.private_key, beside)
            if caller is None:
                raise Unauthorized("Missing required argument: key")
            if self.private and not caller.private:
                raise Unauthorized("Missing required argument: private_key")
            return await self.handler(self._call(scope, headers, caller, raw, from_query=from_query))
        except ServiceError as error:
            if caller:
                self.services.tally.called(caller.shop.shop_id, Called(self.name, "none", None, error.detail or error.title))
            raise

    def _by(self, key: object) -> Caller | None:
        """None where no key is sent; a wrong one is answered before anything else is read."""
        return authenticate(self.services.shops, key) if key is not None else None

    def _with_private(self, caller: Caller | None, member: object, query: Mapping[str, str]) -> Caller | None:
        """As by the private key that comes beside, in the body or in the query. Raises Unauthorized for another shop's, or none's."""
        beside = member if member is not None else query.get("private_key")
        if caller is None or not isinstance(beside, str) or beside in {"", *NOTHING}:
            return caller
        private = authenticate(self.services.shops, beside)
        return private if private.private and private.shop is caller.shop else authenticate(self.services.shops, None)

    def _call(self, scope: Scope, headers: Mapping[str, str], caller: Caller, raw: bytes, *, from_query: bool) -> Call:
        where = situation(self.services, scope, caller, always_device=self.always_device)
        count_call(self.services, scope, caller, where, len(raw))
        return Call(
            services=self.services,
            shop=caller.shop,
            private=caller.private,
            device=where.device,
            address=where.address,
            region=where.region,
            headers=headers,
            query={},
            parameters={},
            members={},
            body=self._decoded(raw, strict=not from_query),
            name=self.name,
            from_query=from_query,
            key=caller.digest,
            counted_as=counted_as(self.services, scope, caller, where),
        )

    def _decoded(self, raw: bytes, *, strict: bool) -> Any:
        decode = self.decoders[0 if strict else 1].decode
        try:
            try:
                body = decode(raw)
            except msgspec.ValidationError as error:
                if not str(error).startswith("Integer value out of range"):
                    raise
                body = decode(with_bounded_numbers(raw))
        except msgspec.ValidationError as error:
            raise Invalid(told_to_plugin(str(error))) from None
        except (msgspec.DecodeError, RecursionError):
            raise Malformed("The request is not JSON in UTF-8.") from None
        for name in self.body.required:
            if getattr(body, name) is UNSET:
                raise Invalid(f"Missing required argument: {name}")
        return body


def note_call(call: Call) -> None:
    """A call that is about no visit, in the counters and in the log."""
    call.services.tally.called(call.shop.shop_id, Called(call.name, None))


def _wrapped(reply: Reply, callback: str) -> Reply:
    """A script tag cannot read a status, so it is always 200."""
    body = reply.body if isinstance(reply.body, bytes) else msgspec.json.encode(reply.body)
    return Reply(f"{callback}(".encode() + body + b");", 200, "application/javascript; charset=utf-8", reply.cookies, reply.headers)
