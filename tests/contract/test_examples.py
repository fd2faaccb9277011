"""Every example of /openapi.json is what the service really answers, and fits its schema."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from identity_service.app import Application
from identity_service.web.openapi import PAGES, PATH, document
from identity_service.web.routes import CALLS, TRACKING, described
from tests.conftest import Clock, Shopper
from tests.contract.examples import WITH_REMOVALS, Run, Stored, made, without_random

API: dict[str, Any] = json.loads(json.dumps(document(described())))
pytestmark = pytest.mark.anyio


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return environment | WITH_REMOVALS


def operations() -> Iterator[dict[str, Any]]:
    for methods in API["paths"].values():
        yield from methods.values()


def whole(part: dict[str, Any]) -> dict[str, Any]:
    """What a reference names."""
    if "$ref" not in part:
        return part
    found: Any = API
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name.replace("~1", "/")]
    return dict(found)


def faults(schema: dict[str, Any], value: Any) -> list[str]:
    return [f"{error.instance_path}: {error.message}" for error in validator(json.dumps(schema)).iter_errors(value)]


@cache
def validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator({**json.loads(schema), "components": API["components"]}, validate_formats=True)


def given(content: dict[str, Any]) -> list[tuple[dict[str, Any], Any]]:
    """Each example beside its schema."""
    return [(told["schema"], whole(one)["value"]) for told in content.values() for one in told.get("examples", {}).values()]


async def test_the_examples_are_what_the_service_answers(store_url: str, database: object) -> None:
    """`python -m tests.contract.examples` writes the file anew."""
    stored = json.loads(PATH.read_text())
    assert without_random(await made(store_url)) == without_random(stored)


def test_two_runs_differ_in_nothing_but_what_is_random() -> None:
    answer = {"visitor": "dKhs11QXt8ttuWF8nzeC6w", "mode": "cookieless", "receipts": [{"receipt_id": "a", "time": "2026-11-19T00:00:00Z"}]}
    other = {"visitor": "P4VEq7WW7BDKq3Hx7QlL9g", "mode": "cookieless", "receipts": [{"receipt_id": "b", "time": "2026-11-19T00:00:00Z"}]}
    assert without_random(answer) == without_random(other)
    changes: list[Stored] = [{"mode": "null"}, {"visitor": None}, {"visitor": "short"}, {"receipts": []}, {"more": True}]
    for changed in changes:
        assert without_random(answer) != without_random(other | changed)


@pytest.mark.parametrize(("version", "method"), [("v2", "GET"), ("v3", "POST"), ("v3", "GET")])
async def test_the_same_calls_are_answered_alike_by_query_and_under_v3(
    application: Application, shopper: Shopper, clock: Clock, version: str, method: str
) -> None:
    run = Run(shopper.client, clock, version, method)
    await run.whole()
    names = {one.operation: one.path for one in TRACKING}
    answered = [(name, one["answer"]) for name, one in run.answered if name in names]
    assert {name for name, _ in answered} == set(names)
    for name, answer in answered:
        content = API["paths"][f"/{version}/{names[name]}"][method.lower()]["responses"]["200"]["content"]["application/json"]
        assert faults(content["schema"], answer) == [], name


def test_every_example_fits_its_schema() -> None:
    found = []
    for one in operations():
        parts = [one["requestBody"]["content"]] if "requestBody" in one else []
        parts += [whole(answer)["content"] for answer in one["responses"].values() if "content" in whole(answer)]
        found += [(one["operationId"], schema, value) for content in parts for schema, value in given(content)]
        found += [(one["operationId"], told["schema"], told["example"]) for told in one.get("parameters", ()) if "example" in told]
    assert len(found) > 500
    assert {(name, str(faults(schema, value))) for name, schema, value in found if faults(schema, value)} == set()


def test_a_wrong_example_would_not_fit() -> None:
    answer: Stored = json.loads(PATH.read_text())["calls"]["lookUp"][0]["answer"]
    schema = {"$ref": "#/components/schemas/LookupAnswer"}
    assert faults(schema, answer) == []
    answer["visitors"][0]["first_seen"] = "yesterday"
    assert faults(schema, answer)
    for body in ({}, {"email": "a@example.com", "visitor": "a"}, {"email": "a@example.com", "unknown": 1}):
        assert faults({"$ref": "#/components/schemas/LookupBody"}, body)
    assert faults({"$ref": "#/components/schemas/LinkBody"}, {"email": "a@example.com", "customer": None}) == []
    assert faults({"$ref": "#/components/schemas/LinkBody"}, {"email": None})


def test_every_call_has_an_example_of_its_request_its_answer_and_its_errors() -> None:
    for one in operations():
        name = one["operationId"]
        for status, answer in one["responses"].items():
            content = whole(answer).get("content")
            assert (content is None) == (status == "304"), name
            if content:
                media = next(iter(content))
                assert content[media]["examples"], (name, status)
        if "requestBody" in one:
            assert one["requestBody"]["content"]["application/json"]["examples"], name
        required = [told for told in one.get("parameters", ()) if told["required"] and told["name"] != "callback"]
        assert all("example" in told for told in required), name


def test_nothing_is_an_example_of_no_call() -> None:
    stored = json.loads(PATH.read_text())
    assert set(stored["calls"]) == {one.operation for one in (*CALLS, *TRACKING)} | {one.name for one in PAGES}
    assert "luke@skywalker.com" in json.dumps(stored)


def test_the_document_is_in_the_order_of_the_calls_so_that_every_worker_gives_the_same() -> None:
    names = list(dict.fromkeys(key.partition(".")[0] for key in document(described())["components"]["examples"]))
    assert names == [name for name in dict.fromkeys(one.name for one in (*described(), *PAGES)) if name in names]
