"""Bodies and answers as JSON schemas, made from the structs, with the rules that a struct's types cannot say."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from identity_service.server.problems import Problem, TrackingError
from identity_service.web.calls.link_payloads import ExportedLink, ExportedOrder, ExportedVisitor
from identity_service.web.calls.order_payloads import CallEntry, EventEntry, SoldLine
from identity_service.web.calls.payloads import Body, HealthAnswer
from identity_service.web.calls.tracking_payloads import HeldOrder, ProductLine, TrackingBody

SHOWN = (Problem, TrackingError, HealthAnswer, ProductLine, SoldLine, EventEntry, CallEntry, HeldOrder)
"""Structs that no body and no answer names as the type of a member, beside the entries of an export."""
EXPORTED = (ExportedVisitor, ExportedLink, ExportedOrder)


def schemas_of(structs: Iterable[type[Struct]]) -> dict[str, Any]:
    """Of bodies and answers, and of what they name, by name."""
    every: set[type[Struct]] = {*structs, *SHOWN, *EXPORTED}
    named = sorted(every, key=lambda one: one.__name__)
    _, components = msgspec.json.schema_components(named, ref_template="#/components/schemas/{name}")
    for struct in named:
        if issubclass(struct, Body | TrackingBody):
            components[struct.__name__] |= _rules(struct, components[struct.__name__])
    return {name: _tidy(schema) for name, schema in sorted(components.items())}


def _rules(body: type[Body] | type[TrackingBody], schema: Mapping[str, Any]) -> dict[str, Any]:
    """What a call is refused without. They stand within `allOf`, beside which generators of clients still read the members."""
    found: dict[str, Any] = {}
    if issubclass(body, TrackingBody):
        found["required"] = list(body.required)
    if body.exactly_one:
        found["allOf"] = [{"oneOf": [_named(name, schema) for name in body.exactly_one]}]
    if issubclass(body, Body) and body.at_least_one:
        found["allOf"] = [{"anyOf": [_named(name, schema) for name in body.at_least_one]}]
    return found


def _named(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """A member that may be null is absent then."""
    nullable = {"type": "null"} in schema["properties"][name].get("anyOf", ())
    return {"required": [name]} | ({"properties": {name: {"not": {"type": "null"}}}} if nullable else {})


def _tidy(schema: Any) -> Any:
    """Descriptions on one line, words with their type, no empty list of required members, and no `default` that says no more than absence:
    generators for TypeScript would ask every caller for the member."""
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
