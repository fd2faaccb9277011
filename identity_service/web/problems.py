"""Errors as answers: RFC 9457 problems, and Clerk's form for the tracking calls under /v2 and /v3."""

import msgspec

from identity_service.errors import ServiceError
from identity_service.web.payloads import Problem
from identity_service.web.tracking_payloads import TrackingError

TRACKING_TYPES = {401: "AuthenticationError", 400: "ParsingError", 422: "ParsingError", 500: "InternalError", 503: "InternalError"}
MORE_INFO = "/docs/contract#errors"


def is_tracking(path: str) -> bool:
    return path.startswith(("/v2/", "/v3/"))


def problem_body(error: ServiceError, request_id: str, path: str) -> tuple[int, str, bytes]:
    """Status, content type and body. Tracking clients know no 422, so it is a 400 there."""
    if is_tracking(path):
        status = 400 if error.status == 422 else error.status
        text = error.detail or error.title
        kind = TRACKING_TYPES.get(error.status, "LogicalError")
        body = TrackingError("error", text, text, kind, request_id, MORE_INFO)  # type: ignore[arg-type]
        return status, "application/json", msgspec.json.encode(body)
    problem = Problem(f"/docs/contract#{error.code}", error.title, error.status, error.detail, error.code, request_id)
    return error.status, "application/problem+json", msgspec.json.encode(problem)
