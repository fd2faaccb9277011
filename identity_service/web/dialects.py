"""The two dialects of calls, as values: NATIVE under /v1, and CLERK under /v2 and /v3, the wire format of Clerk's public API.

An endpoint's steps are the same for both. What a dialect reads in addition, it reads before anything is decided.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET

from identity_service.errors import Forbidden, Invalid, Malformed, ServiceError, Unauthorized
from identity_service.web.auth import WRONG_KEY
from identity_service.web.bodies import error_text, plugin_error_text
from identity_service.web.calls.arguments import exact_number
from identity_service.web.payloads import Members

Decoder = Callable[[bytes, bool], Any]
"""From a body to its struct. The flag: all values are text, as in a query or a form. Raises Invalid and Malformed."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a family of calls reads requests and logs them.

    prefixes            of each call's addresses
    methods             of each call, unless its row names one
    query_is_body       a GET has its members in the query, and its answer may be a script
    lenient             a body may be a form; halves of surrogate pairs and very long numbers are repaired
    private_key_beside  a private key may accompany the public one, also in a query
    logs_failures       the shop's log of calls contains failed ones
    decoder             makes the decoder of a body, once
    no_key              the error text of a call without a key
    no_private_key      the error of a call that needs a private key and has none
    """

    prefixes: tuple[str, ...]
    methods: tuple[str, ...]
    query_is_body: bool
    lenient: bool
    private_key_beside: bool
    logs_failures: bool
    decoder: Callable[[type[Members]], Decoder]
    no_key: str
    no_private_key: Callable[[], ServiceError]


def _native_decoder(body: type[Members]) -> Decoder:
    decoder = msgspec.json.Decoder(body)

    def decode(raw: bytes, _: bool) -> Any:
        try:
            return decoder.decode(raw)
        except msgspec.ValidationError as error:
            raise Invalid(error_text(str(error))) from None
        except (msgspec.DecodeError, RecursionError):
            raise Malformed("The body is not JSON in UTF-8.") from None

    return decode


def _clerk_decoder(body: type[Members]) -> Decoder:
    strict, lenient = (msgspec.json.Decoder(body, strict=strict, float_hook=exact_number) for strict in (True, False))

    def decode(raw: bytes, textual: bool) -> Any:
        try:
            found = (lenient if textual else strict).decode(raw)
        except msgspec.ValidationError as error:
            raise Invalid(plugin_error_text(str(error))) from None
        except (msgspec.DecodeError, RecursionError):
            raise Malformed("The request is not JSON in UTF-8.") from None
        for name in body.required:
            if getattr(found, name) is UNSET:
                raise Invalid(f"Missing required argument: {name}")
        return found

    return decode


NATIVE = Dialect(
    prefixes=("/v1/",),
    methods=("POST",),
    query_is_body=False,
    lenient=False,
    private_key_beside=False,
    logs_failures=False,
    decoder=_native_decoder,
    no_key=WRONG_KEY,
    no_private_key=lambda: Forbidden("This call needs a private key, from a server."),
)
CLERK = Dialect(
    prefixes=("/v2/", "/v3/"),
    methods=("POST", "GET"),
    query_is_body=True,
    lenient=True,
    private_key_beside=True,
    logs_failures=True,
    decoder=_clerk_decoder,
    no_key="Missing required argument: key",
    no_private_key=lambda: Unauthorized("Missing required argument: private_key"),
)
