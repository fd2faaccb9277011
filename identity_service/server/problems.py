"""Errors as answers: RFC 9457 problems; for tracking calls under /v2 and /v3, Clerk's format."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from identity_service.errors import ServiceError

TRACKING_TYPES = {401: "AuthenticationError", 400: "ParsingError", 422: "ParsingError", 500: "InternalError", 503: "InternalError"}
MORE_INFO = "/docs/contract#errors"


class Problem(Struct, frozen=True):
    """An error as application/problem+json, RFC 9457."""

    type: Annotated[str, Meta(description="Address of the error's description.", extra_json_schema={"format": "uri-reference"})]
    title: Annotated[str, Meta(description="The kind of error, for people.")]
    status: Annotated[int, Meta(description="The HTTP status.", extra_json_schema={"minimum": 400, "maximum": 599})]
    detail: Annotated[str, Meta(description="What to do next. It never repeats what was sent.")]
    code: Annotated[str, Meta(description="The kind of error, for programs: `invalid`, `rate_limited` and so on.")]
    request_id: Annotated[str, Meta(description="The request's ID, as the service's log has it.")]


class TrackingError(Struct, frozen=True, rename={"more_info": "moreInfo"}):
    """An error in the form of Clerk's API."""

    status: Annotated[Literal["error"], Meta(description="Always `error`.")]
    error: Annotated[str, Meta(description="What is wrong, and what to do.")]
    message: Annotated[str, Meta(description="The same as `error`.")]
    type: Annotated[
        Literal["AuthenticationError", "ParsingError", "LogicalError", "InternalError"],
        Meta(description="The kind of error, for programs."),
    ]
    id: Annotated[str, Meta(description="The request's ID, as the service's log has it.")]
    more_info: Annotated[str, Meta(description="Address of the errors' description.", extra_json_schema={"format": "uri-reference"})]


def is_tracking(path: str) -> bool:
    return path.startswith(("/v2/", "/v3/"))


def problem_body(error: ServiceError, request_id: str, path: str) -> tuple[int, str, bytes]:
    """Status, content type and body. Tracking clients get 400 instead of 422, which they do not know."""
    if is_tracking(path):
        status = 400 if error.status == 422 else error.status
        text = error.detail or error.title
        kind = TRACKING_TYPES.get(error.status, "LogicalError")
        body = TrackingError("error", text, text, kind, request_id, MORE_INFO)  # type: ignore[arg-type]
        return status, "application/json", msgspec.json.encode(body)
    problem = Problem(f"/docs/contract#{error.code}", error.title, error.status, error.detail, error.code, request_id)
    return error.status, "application/problem+json", msgspec.json.encode(problem)
