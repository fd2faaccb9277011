"""Parameters of calls as /openapi.json describes them: of a path, of a page of a list, and of a tracking call's query."""

from collections.abc import Mapping
from typing import Any

from identity_service.signals.reader import SOURCES
from identity_service.web.calls.orders import MOST_DAYS, MOST_ORDERS, USUAL_ORDERS
from identity_service.web.lists import MOST_CALLS, MOST_LABELS, MOST_PRODUCTS

Parameter = dict[str, Any]


def _page(most: int) -> dict[str, tuple[dict[str, Any], str]]:
    return {
        "cursor": ({"type": "string", "maxLength": 1_000}, "`next` of the page before. Absent, the first page."),
        "limit": ({"type": "integer", "minimum": 1, "maximum": most, "default": most}, f"Entries of a page, 1 to {most:,}."),
    }


OF_PATHS: Mapping[str, tuple[dict[str, Any], str]] = {
    "source": ({"type": "string", "enum": list(SOURCES)}, "The banner that reports, or the framework whose string it is."),
    "sale": ({"type": "string", "minLength": 1}, "The shop's order ID, percent-encoded."),
}
OF_PAGES: Mapping[str, Mapping[str, tuple[dict[str, Any], str]]] = {
    "/v1/orders": {
        "cursor": (
            {"type": "string", "pattern": "^[A-Za-z0-9_-]{22}$"},
            "`next` of the page before. Absent, the first page.",
        ),
        "limit": (
            {"type": "integer", "minimum": 1, "maximum": MOST_ORDERS, "default": USUAL_ORDERS},
            f"Orders a page, 1 to {MOST_ORDERS}.",
        ),
    },
    "/v1/calls": _page(MOST_CALLS),
    "/v1/products": _page(MOST_PRODUCTS),
    "/v1/labels": _page(MOST_LABELS)
    | {
        "days": ({"type": "integer", "minimum": 1, "maximum": MOST_DAYS}, "Days to count. Absent, the shop's `attribution_days`."),
    },
}
CALLBACK = {"type": "string", "pattern": r"^[A-Za-z_$][A-Za-z0-9_$.]{0,63}$"}
IN_BODIES = frozenset({"key", "private_key"})
"""Members that are keys: the security schemes describe them."""
WORDS = {"type": "string"}
LABELS = {"type": "array", "items": {"type": "string", "maxLength": 255}, "maxItems": 20}


def of_path(path: str) -> list[Parameter]:
    found = [_parameter(name, "path", *told) for name, told in OF_PATHS.items() if f"{{{name}}}" in path]
    return found + [_parameter(name, "query", *told) for name, told in OF_PAGES.get(path, {}).items()]


def of_query(schema: Mapping[str, Any]) -> list[Parameter]:
    """`schema`: of the body that the query stands for. Its values are text."""
    members = {name: member for name, member in schema["properties"].items() if name not in IN_BODIES}
    found = [
        _parameter(name, "query", LABELS if name == "labels" else WORDS, member["description"], required=name in schema.get("required", ()))
        for name, member in members.items()
    ]
    return [*found, _parameter("callback", "query", CALLBACK, "Name of a function. The answer is a script that calls it.")]


def _parameter(name: str, place: str, schema: dict[str, Any], description: str, *, required: bool = False) -> Parameter:
    return {"name": name, "in": place, "required": required or place == "path", "schema": schema, "description": description}
