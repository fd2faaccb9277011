"""Makes /openapi.json from the route table, the structs of bodies and answers, and real examples, which the tests write to
`examples.json`."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from identity_service import errors
from identity_service.model.shop import Scope
from identity_service.server.problems import Problem, TrackingError, is_tracking
from identity_service.signals.reader import SOURCES
from identity_service.version import VERSION
from identity_service.web.calls.links import ExportedLink, ExportedVisitor
from identity_service.web.calls.orders import CallEntry, EventEntry, ExportedOrder, SoldLine
from identity_service.web.calls.tracking import ProductLine
from identity_service.web.descriptions import ABOUT, BY_QUERY, SAME_AS_V2, SECTIONS, SERVICE, TRACKING_V3
from identity_service.web.endpoint import Access, Row
from identity_service.web.lists import QueryParameters
from identity_service.web.payloads import HealthAnswer, Members

Parameter = dict[str, Any]
SHOWN = (Problem, TrackingError, HealthAnswer, ProductLine, SoldLine, EventEntry, CallEntry)
"""Structs that no body and no answer refers to by a member's type, except the entries of an export."""
EXPORTED = (ExportedVisitor, ExportedLink, ExportedOrder)
PATH = Path(__file__).parent / "examples.json"
ERRORS = {
    error.status: error
    for error in (
        errors.Malformed,
        errors.Unauthorized,
        errors.Forbidden,
        errors.NotFound,
        errors.ConsentRequired,
        errors.TooLarge,
        errors.TargetTooLong,
        errors.UnsupportedMedia,
        errors.Invalid,
        errors.RateLimited,
        errors.HeadersTooLarge,
        errors.StoreUnavailable,
    )
}
Requirement = dict[str, list[str]]
BEARER: Requirement = {"bearer": []}
IN_QUERY: Requirement = {"key": []}
PRIVATE_IN_QUERY: Requirement = {"key": [], "private_key": []}
SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key of the shop. It may be the member `key` of a body instead."},
    "key": {"type": "apiKey", "in": "query", "name": "key", "description": "A public key of the shop."},
    "private_key": {"type": "apiKey", "in": "query", "name": "private_key", "description": "The shop's private key beside its public one."},
}
RETRY = {"Retry-After": {"description": "Wait this many seconds before you repeat the call.", "schema": {"type": "integer", "minimum": 1}}}
COOKIES = {
    "Set-Cookie": {
        "description": "Sets or clears the visitor's two cookies: its ID and its refusal. Pass it on to the visitor's browser.",
        "schema": {"type": "string"},
    }
}
KEPT = {
    "Cache-Control": {"description": "How long the answer may be cached.", "schema": {"type": "string"}},
    "ETag": {"description": "Send it as `If-None-Match`. Each encoding has its own tag.", "schema": {"type": "string"}},
}


OF_PATHS: Mapping[str, tuple[dict[str, Any], str]] = {
    "source": ({"type": "string", "enum": list(SOURCES)}, "The banner that reports the choice, or the framework of the string."),
    "sale": ({"type": "string", "minLength": 1}, "The shop's order ID, percent-encoded."),
}
CALLBACK = {"type": "string", "pattern": r"^[A-Za-z_$][A-Za-z0-9_$.]{0,63}$"}
IN_BODIES = frozenset({"key", "private_key"})
"""Members with keys. The security schemes describe them."""
WORDS = {"type": "string"}
LABELS = {"type": "array", "items": {"type": "string", "maxLength": 255}, "maxItems": 20}


def of_path(one: "Described") -> list[Parameter]:
    found = [_parameter(name, "path", *told) for name, told in OF_PATHS.items() if f"{{{name}}}" in one.path]
    return found + [_parameter(name, "query", *told) for name, told in one.query.items()]


def of_query(schema: Mapping[str, Any]) -> list[Parameter]:
    """The query parameters that replace a body. `schema`: the body's. Values of a query are text."""
    members = {name: member for name, member in schema["properties"].items() if name not in IN_BODIES}
    found = [
        _parameter(name, "query", LABELS if name == "labels" else WORDS, member["description"], required=name in schema.get("required", ()))
        for name, member in members.items()
    ]
    return [*found, _parameter("callback", "query", CALLBACK, "The name of a function. The answer is a script that calls it.")]


def _parameter(name: str, place: str, schema: dict[str, Any], description: str, *, required: bool = False) -> Parameter:
    return {"name": name, "in": place, "required": required or place == "path", "schema": schema, "description": description}


def schemas_of(structs: Iterable[type[Struct]]) -> dict[str, Any]:
    """The schemas of bodies and answers and of their members, by name."""
    every: set[type[Struct]] = {*structs, *SHOWN, *EXPORTED}
    named = sorted(every, key=lambda one: one.__name__)
    _, components = msgspec.json.schema_components(named, ref_template="#/components/schemas/{name}")
    for struct in named:
        if issubclass(struct, Members):
            components[struct.__name__] |= _rules(struct, components[struct.__name__])
    return {name: _tidy(schema) for name, schema in sorted(components.items())}


def _rules(body: type[Members], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The members that a call needs. The rules are inside `allOf`, because generators of clients then still read the members."""
    found: dict[str, Any] = {"required": list(body.required)} if body.required else {}
    for names, rule in ((body.exactly_one, "oneOf"), (body.at_least_one, "anyOf")):
        if names:
            found["allOf"] = [{rule: [_present(name, schema) for name in names]}]
    return found


def _present(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The member must be present. If it may be null, null counts as absent."""
    nullable = {"type": "null"} in schema["properties"][name].get("anyOf", ())
    return {"required": [name]} | ({"properties": {name: {"not": {"type": "null"}}}} if nullable else {})


def _tidy(schema: Any) -> Any:
    """Puts descriptions on one line and adds the type of an enumeration of texts. Removes an empty `required`, and a `default` that means
    the same as absence, because generators for TypeScript would make such a member required."""
    if isinstance(schema, list):
        return [_tidy(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _tidy(one) for name, one in schema.items() if not _says_nothing(name, one)}
    if isinstance(found.get("description"), str):
        found["description"] = " ".join(found["description"].split())
    if isinstance(found.get("enum"), list) and "type" not in found and all(isinstance(one, str) for one in found["enum"]):
        found["type"] = "string"
    return found


def _says_nothing(name: str, value: Any) -> bool:
    return (name == "required" and value == []) or (name == "default" and not value)


@dataclass(frozen=True, slots=True)
class Example:
    """One call: its body or its query, parameters of its path, and its answer with status 200."""

    title: str
    answer: Any
    body: Any = None
    query: Mapping[str, Any] | None = None
    path: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Examples:
    """Calls by name. Errors by code, as problems and in the format of tracking calls."""

    calls: Mapping[str, tuple[Example, ...]]
    problems: Mapping[str, Any]
    tracking_errors: Mapping[str, Any]


@cache
def examples() -> Examples:
    return parsed(json.loads(PATH.read_text()))


def parsed(stored: Mapping[str, Any]) -> Examples:
    calls = {name: tuple(Example(**one) for one in listed) for name, listed in stored["calls"].items()}
    return Examples(calls, stored["problems"], stored["tracking_errors"])


@dataclass(frozen=True, slots=True)
class Described:
    """`name`: the key of its wording and examples. `operation_id`: the method's name in generated clients. `media`: the type of its answer.
    `cached`: it has an entity tag. `cookies`: its answers may set cookies. `refuses` and `query`: see `Row`."""

    name: str
    operation_id: str
    method: str
    path: str
    tag: str
    keys: Access
    body: type[Members] | None = None
    answer: type[Struct] | None = None
    media: str = "application/json"
    cached: bool = False
    cookies: bool = False
    refuses: tuple[type[errors.ServiceError], ...] = ()
    query: QueryParameters = field(default_factory=dict)
    scope: Scope | None = None

    @classmethod
    def of_row(cls, row: Row, operation_id: str, method: str, path: str, tag: str) -> "Described":
        return cls(
            row.operation,
            operation_id,
            method,
            path,
            tag,
            row.keys,
            row.body,
            row.answer,
            cookies=row.consent,
            refuses=row.refuses,
            query=row.query,
            scope=row.scope,
        )

    @property
    def tracking(self) -> bool:
        return is_tracking(self.path)


def _page(name: str, path: str, answer: type[Struct] | None = None, media: str = "application/json", *, cached: bool = False) -> Described:
    return Described(name, name, "GET", path, SERVICE.tag, Access.NONE, None, answer, media, cached)


PAGES = (
    _page("checkAlive", "/healthz", HealthAnswer),
    _page("checkReady", "/readyz", HealthAnswer),
    _page("readMetrics", "/metrics", media="text/plain"),
    _page("readDescription", "/openapi.json", cached=True),
    _page("readDocs", "/docs", media="text/html", cached=True),
    _page("readSnippet", "/visitor.js", media="text/javascript", cached=True),
)


def document(operations: Sequence[Described]) -> dict[str, Any]:
    """Operations are in the order of the sections' tags. The server is relative to the document, so it also works under a prefix."""
    described = [*operations, *PAGES]
    components = schemas_of([struct for one in described for struct in (one.body, one.answer) if struct])
    paths: dict[str, Any] = {}
    for section in SECTIONS:
        for one in (one for one in described if one.tag == section.tag):
            paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, components)
    shown = dict.fromkeys(one.name for one in described)  # in order, so that all workers give one document and one tag
    return {
        "openapi": "3.1.0",
        "info": {"title": "Visitor identity service", "version": VERSION, "description": ABOUT},
        "servers": [{"url": ".", "description": "The address of this document."}],
        "tags": [{"name": section.tag, "description": section.meaning} for section in SECTIONS],
        "security": [BEARER],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": _error_responses(),
            "examples": {name: part for name in shown for name, part in _example_parts(name)},
            "securitySchemes": SCHEMES,
        },
    }


def _operation(one: Described, components: Mapping[str, Any]) -> dict[str, Any]:
    wording = next(section for section in SECTIONS if section.tag == one.tag).calls[one.name]
    by_query = one.tracking and one.method == "GET"
    texts = [wording.text, *([SAME_AS_V2] if one.tag == TRACKING_V3.tag else []), *([BY_QUERY] if by_query else [])]
    described: dict[str, Any] = {
        "operationId": one.operation_id,
        "tags": [one.tag],
        "summary": wording.summary,
        "description": " ".join(texts),
        "security": _security(one),
        "responses": {"200": _answer(one, by_query=by_query)} | _refusals(one),
    }
    found = of_path(one)
    if one.body and by_query:
        found += of_query(components[one.body.__name__])
    if found:
        described["parameters"] = [_with_example(parameter, one) for parameter in found]
    if one.body and not by_query:
        content = {"schema": {"$ref": f"#/components/schemas/{one.body.__name__}"}, "examples": _references(one, "request")}
        needed = {"required", "allOf"} & components[one.body.__name__].keys()
        described["requestBody"] = {"required": bool(needed), "content": {"application/json": content}}
    return described


def _security(one: Described) -> list[Requirement]:
    """The keys that a call takes, each with the scope that it needs."""
    if one.scope is None:
        return []
    ways = [BEARER] if not one.tracking else [BEARER, PRIVATE_IN_QUERY if one.keys is Access.PRIVATE else IN_QUERY]
    return [{key: [str(one.scope)] for key in way} for way in ways]


def _answer(one: Described, *, by_query: bool) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{one.answer.__name__}"} if one.answer else None
    other = {"type": "object"} if one.media == "application/json" else {"type": "string"}
    content: dict[str, Any] = {one.media: {"schema": reference or other, "examples": _references(one, "answer")}}
    if by_query:
        content["application/javascript"] = {"schema": {"type": "string"}}
    headers = (COOKIES if one.cookies else {}) | (KEPT if one.cached else {})
    return {"description": "The answer.", "content": content} | ({"headers": headers} if headers else {})


def _refusals(one: Described) -> dict[str, Any]:
    prefix = "Tracking" if one.tracking else ""
    found = {str(status): _response(f"{prefix}{error.__name__}") for status, error in ERRORS.items() if _can_happen(one, status)}
    return found | ({"304": {"description": "The document has not changed. Use the cached one."}} if one.cached else {})


def _can_happen(one: Described, status: int) -> bool:
    """Pages without a key only have errors of every request, and /readyz those of the store."""
    if one.keys is Access.NONE:
        return status in {400, 431} or (status == 503 and one.path == "/readyz")
    if status in {404, 409}:
        return ERRORS[status] in one.refuses
    if status == 414:
        return one.method == "GET" and one.tracking
    if status in {413, 415}:
        return one.method == "POST"
    if status == 422:
        return not one.tracking and (one.method == "POST" or bool(one.query))
    return True


def _response(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/responses/{name}"}


def _error_responses() -> dict[str, Any]:
    found = {error.__name__: _error(error, Problem, "application/problem+json", examples().problems) for error in ERRORS.values()}
    tracking = [error for error in ERRORS.values() if error.status not in {404, 409, 422}]
    return found | {
        f"Tracking{error.__name__}": _error(error, TrackingError, "application/json", examples().tracking_errors) for error in tracking
    }


def _error(error: type[errors.ServiceError], form: type[Struct], media: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Tracking calls answer `invalid` with 400, because plugins do not handle 422."""
    codes = [error.code, *([errors.Invalid.code] if form is TrackingError and error is errors.Malformed else [])]
    content = {
        "schema": {"$ref": f"#/components/schemas/{form.__name__}"},
        "examples": {code: {"value": given[code]} for code in codes if code in given},
    }
    headers = RETRY | COOKIES if error.status in {429, 503} else {}
    return {"description": f"{error.title}.", "content": {media: content}} | ({"headers": headers} if headers else {})


def _given(name: str) -> list[tuple[str, Example]]:
    return [(name if number == 0 else f"{name}.{number + 1}", one) for number, one in enumerate(examples().calls.get(name, ()))]


def _example_parts(name: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for key, one in _given(name):
        found += [(f"{key}.request", {"summary": one.title, "value": one.body})] if one.body is not None else []
        found.append((f"{key}.answer", {"summary": one.title, "value": one.answer}))
    return found


def _references(described: Described, part: str) -> dict[str, Any]:
    return {
        key: {"$ref": f"#/components/examples/{key}.{part}"}
        for key, one in _given(described.name)
        if part == "answer" or one.body is not None
    }


def _with_example(parameter: dict[str, Any], described: Described) -> dict[str, Any]:
    for _, one in _given(described.name):
        for values in (one.path or {}, one.query or {}):
            if parameter["name"] in values:
                return parameter | {"example": values[parameter["name"]]}
    return parameter
