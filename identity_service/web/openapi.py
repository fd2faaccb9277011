"""/openapi.json, made from the structs that decode the bodies."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import fields

from identity_service import errors
from identity_service.signals.statements import SOURCES
from identity_service.version import VERSION
from identity_service.web.orders import MOST_DAYS, MOST_ORDERS
from identity_service.web.payloads import HealthAnswer, Problem
from identity_service.web.problems import is_tracking
from identity_service.web.tracking_payloads import ProductLine, TrackingBody, TrackingError

ERRORS = {
    error.status: error
    for error in (
        errors.Malformed,
        errors.Unauthorized,
        errors.Forbidden,
        errors.NotFound,
        errors.ConsentRequired,
        errors.TooLarge,
        errors.Invalid,
        errors.RateLimited,
        errors.HeadersTooLarge,
        errors.StoreUnavailable,
    )
}
PAGED: dict[str, dict[str, Any]] = {
    "/v1/orders": {"cursor": {"type": "string"}, "limit": {"type": "integer", "minimum": 1, "maximum": MOST_ORDERS}},
    "/v1/labels": {"days": {"type": "integer", "minimum": 1, "maximum": MOST_DAYS}},
}


@dataclass(frozen=True, slots=True)
class Described:
    method: str
    path: str
    body: type[Struct] | None
    answer: type[Struct]
    keys: str
    summary: str


def document(operations: Sequence[Described]) -> dict[str, Any]:
    structs = {struct for o in operations for struct in (o.body, o.answer) if struct} | {Problem, TrackingError, HealthAnswer, ProductLine}
    _, components = msgspec.json.schema_components(
        sorted(structs, key=lambda one: one.__name__), ref_template="#/components/schemas/{name}"
    )
    for operation in operations:
        if operation.body and issubclass(operation.body, TrackingBody):
            components[operation.body.__name__]["required"] = list(operation.body.required)
    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    for path in ("/healthz", "/readyz"):
        answers = {"200": _answer("ok", HealthAnswer)} | ({"503": _error(path, 503)} if path == "/readyz" else {})
        paths[path] = {"get": {"summary": path[1:], "responses": answers, "security": []}}
    for path, media in (
        ("/metrics", "text/plain"),
        ("/docs", "text/html"),
        ("/openapi.json", "application/json"),
        ("/visitor.js", "text/javascript"),
    ):
        content: dict[str, Any] = {"description": "ok", "content": {media: {}}}
        paths[path] = {"get": {"summary": path[1:], "responses": {"200": content}, "security": []}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Visitor identity service", "version": VERSION},
        "security": [{"key": []}],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(operation: Described) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": operation.summary,
        "description": f"Takes {operation.keys}.",
        "operationId": f"{operation.method.lower()}{re.sub('[/{}]+', '_', operation.path).rstrip('_')}",
        "responses": {"200": _answer(operation.summary, operation.answer)},
    }
    if is_tracking(operation.path) and operation.method == "GET":
        described["responses"]["200"]["content"]["application/javascript"] = {}
    statuses = [status for status in ERRORS if _can_happen(operation, status)]
    described["responses"] |= {str(status): _error(operation.path, status) for status in statuses}
    if parameters := _parameters(operation):
        described["parameters"] = parameters
    if operation.body and operation.method == "POST":
        schema = {"$ref": f"#/components/schemas/{operation.body.__name__}"}
        described["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return described


def _parameters(operation: Described) -> list[dict[str, Any]]:
    """Of the path, of a page, and of a tracking call's query, where lists are JSON or `name[]`."""
    found: list[dict[str, Any]] = []
    if "{source}" in operation.path:
        found.append({"name": "source", "in": "path", "required": True, "schema": {"enum": SOURCES}})
    if "{sale}" in operation.path:
        found.append({"name": "sale", "in": "path", "required": True, "schema": {"type": "string"}, "description": "Percent-encoded"})
    schemas: dict[str, Any] = PAGED.get(operation.path, {})
    required: Sequence[str] = ()
    if operation.body and operation.method == "GET":
        schemas = {name: {"type": "string"} for name in (*(field.name for field in fields(operation.body)), "callback")}
        required = operation.body.required if issubclass(operation.body, TrackingBody) else ()
    return found + [{"name": name, "in": "query", "required": name in required, "schema": schema} for name, schema in schemas.items()]


def _can_happen(operation: Described, status: int) -> bool:
    if status == 409:
        return operation.path == "/v1/links"
    if status == 404:
        return "{" in operation.path
    if status == 413:
        return operation.method == "POST"
    return not (is_tracking(operation.path) and status == 422)


def _answer(description: str, answer: type[Struct]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{answer.__name__}"}}}}


def _error(path: str, status: int) -> dict[str, Any]:
    form, media = (TrackingError, "application/json") if is_tracking(path) else (Problem, "application/problem+json")
    schema = {"$ref": f"#/components/schemas/{form.__name__}"}
    return {"description": ERRORS[status].title, "content": {media: {"schema": schema}}}
