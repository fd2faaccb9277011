"""/openapi.json, made from the structs that decode the bodies, and /docs, a page made from it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, select_autoescape
from msgspec import Struct

from identity_service import errors
from identity_service.signals.statements import SOURCES
from identity_service.web.payloads import HealthAnswer, Problem
from identity_service.web.problems import is_tracking
from identity_service.web.tracking_payloads import TrackingError

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
VERSION = "0.1.0"


@dataclass(frozen=True, slots=True)
class Described:
    method: str
    path: str
    body: type[Struct] | None
    answer: type[Struct]
    keys: str
    summary: str


def document(operations: Sequence[Described]) -> dict[str, Any]:
    structs = {struct for o in operations for struct in (o.body, o.answer) if struct} | {Problem, TrackingError, HealthAnswer}
    _, components = msgspec.json.schema_components(
        sorted(structs, key=lambda one: one.__name__), ref_template="#/components/schemas/{name}"
    )
    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    for path in ("/healthz", "/readyz"):
        answers = {"200": _answer("ok", HealthAnswer)} | ({"503": _error(path, 503)} if path == "/readyz" else {})
        paths[path] = {"get": {"summary": path[1:], "responses": answers, "security": []}}
    for path, media in (("/metrics", "text/plain"), ("/docs", "text/html"), ("/openapi.json", "application/json")):
        content: dict[str, Any] = {"description": "ok", "content": {media: {}}}
        paths[path] = {"get": {"summary": path[1:], "responses": {"200": content}, "security": []}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Visitor identity service", "version": VERSION},
        "security": [{"key": []}],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


def docs_page(api: dict[str, Any]) -> bytes:
    """One page, no script, no foreign host."""
    environment = Environment(loader=PackageLoader("identity_service.web"), autoescape=select_autoescape())
    return environment.get_template("docs.html").render(api=api, errors=ERRORS.values()).encode()


def _operation(operation: Described) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": operation.summary,
        "description": f"Takes {operation.keys}.",
        "operationId": f"{operation.method.lower()}{re.sub('[/{}]+', '_', operation.path).rstrip('_')}",
        "responses": {"200": _answer(operation.summary, operation.answer)},
    }
    statuses = [status for status in ERRORS if _can_happen(operation, status)]
    described["responses"] |= {str(status): _error(operation.path, status) for status in statuses}
    parameters = [{"name": "source", "in": "path", "required": True, "schema": {"enum": SOURCES}}] if "{source}" in operation.path else []
    if parameters:
        described["parameters"] = parameters
    if operation.body:
        schema = {"$ref": f"#/components/schemas/{operation.body.__name__}"}
        described["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    else:
        described["parameters"] = [
            {"name": "key", "in": "query", "schema": {"type": "string"}},
            {"name": "visitor", "in": "query", "schema": {"const": "auto"}},
        ]
    return described


def _can_happen(operation: Described, status: int) -> bool:
    if status == 409:
        return operation.path == "/v1/links"
    if status == 404:
        return "{" in operation.path
    return not (is_tracking(operation.path) and status == 422)


def _answer(description: str, answer: type[Struct]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{answer.__name__}"}}}}


def _error(path: str, status: int) -> dict[str, Any]:
    form, media = (TrackingError, "application/json") if is_tracking(path) else (Problem, "application/problem+json")
    schema = {"$ref": f"#/components/schemas/{form.__name__}"}
    return {"description": ERRORS[status].title, "content": {media: {"schema": schema}}}
