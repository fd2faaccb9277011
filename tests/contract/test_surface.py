"""The description of the service: complete, well formed, and in agreement with its calls. Random calls made from it are in test_pages."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import pytest
import schemathesis
from jsonschema_rs import validator_for

from identity_service.web.calls.links import LookupBody
from identity_service.web.openapi import PAGES, document
from identity_service.web.routes import CALLS, TRACKING, described
from tests.conftest import Shopper


@pytest.mark.anyio
async def test_the_pages_answer_without_a_key(shopper: Shopper) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"):
        answer = await shopper.client.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "identity_issued_total" in (await shopper.client.get("/metrics")).text
    assert (await shopper.client.delete("/v1/visitors")).json()["code"] == "method_not_allowed"
    assert (await shopper.client.get("/nowhere")).json()["code"] == "not_found"


@pytest.mark.anyio
async def test_the_description_is_complete(shopper: Shopper) -> None:
    api = (await shopper.client.get("/openapi.json")).json()
    assert api["openapi"] == "3.1.0"
    described = {(method.upper(), path) for path, methods in api["paths"].items() for method in methods}
    assert {(row.methods[0], row.paths[0]) for row in CALLS} <= described
    named = set(json.dumps(api).split('"#/components/schemas/')[1:])
    assert {part.split('"')[0] for part in named} <= set(api["components"]["schemas"])
    statuses = api["paths"]["/v1/links"]["post"]["responses"]
    assert {"200", "400", "401", "403", "409", "413", "415", "422", "429", "431", "503"} == set(statuses)


def test_the_description_is_openapi_3_1_and_relative() -> None:
    api = document(described())
    schemathesis.openapi.from_dict(api).validate()
    broken = api | {"info": {"title": "no version"}}
    with pytest.raises(Exception, match="version"):
        schemathesis.openapi.from_dict(broken).validate()
    for prefix in ("/", "/id/"):
        assert urljoin(f"https://shop.example{prefix}openapi.json", api["servers"][0]["url"]) == f"https://shop.example{prefix}"


def test_every_operation_has_a_tag_a_name_and_what_it_does() -> None:
    api = document(described())
    tags = [tag["name"] for tag in api["tags"]]
    assert all(tag["description"].endswith(".") for tag in api["tags"])
    found = [operation for methods in api["paths"].values() for operation in methods.values()]
    names = [operation["operationId"] for operation in found]
    assert len(set(names)) == len(names) == len(CALLS) + 4 * len(TRACKING) + len(PAGES)
    assert all(re.fullmatch("[a-z][A-Za-z0-9]{4,30}", name) for name in names)
    assert [tags.index(one["tags"][0]) for one in found] == sorted(tags.index(one["tags"][0]) for one in found)
    assert {one["tags"][0] for one in found} == set(tags)
    for one in found:
        assert (len(one["tags"]), one["summary"][-1].isalpha(), one["description"][-1]) == (1, True, "."), one["operationId"]
        assert all(told["description"] for told in one.get("parameters", ())), one["operationId"]


def test_every_operation_tells_its_refusals() -> None:
    api = document(described())
    for path, methods in api["paths"].items():
        for method, one in methods.items():
            statuses = set(one["responses"])
            assert {"200", "400", "431"} <= statuses, path
            assert not one["security"] or {"401", "403", "429", "503"} <= statuses, path
            assert ("413" in statuses) == (method == "post"), path
            assert ("404" in statuses) == ("{" in path or path == "/v1/removals"), path
    limited = api["components"]["responses"]["RateLimited"]
    assert set(limited["headers"]) == {"Retry-After", "Set-Cookie"}
    assert "Set-Cookie" in api["paths"]["/v1/consents"]["post"]["responses"]["200"]["headers"]


def members(schema: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, member in schema.get("properties", {}).items():
        yield f"{place}.{name}", member


def test_every_struct_and_every_member_says_what_it_means() -> None:
    schemas = document(described())["components"]["schemas"]
    assert [name for name, schema in schemas.items() if not schema.get("description")] == []
    found = [one for name, schema in schemas.items() for one in members(schema, name)]
    assert len(found) > 200
    silent = [place for place, member in found if not str(member.get("description", "")).endswith(".")]
    assert silent == []


def test_every_list_of_an_answer_is_bounded_or_says_what_bounds_it() -> None:
    schemas = document(described())["components"]["schemas"]
    found = [one for name, schema in schemas.items() for one in members(schema, name)]
    lists = [(place, member) for place, member in found if member.get("type") == "array" and not place.split(".")[0].endswith("Body")]
    assert len(lists) > 20
    bound = re.compile(r"at most|bound them|in the order|proves nothing|carried|applicable|sections")
    assert [place for place, member in lists if "maxItems" not in member and not bound.search(member["description"])] == []


def test_texts_of_errors_and_times_have_their_form() -> None:
    schemas = document(described())["components"]["schemas"]
    found = [one for name, schema in schemas.items() for one in members(schema, name)]
    times = [(place, json.dumps(member)) for place, member in found if "RFC 3339" in member["description"]]
    assert len(times) > 10
    assert [place for place, told in times if '"date-time"' not in told] == []
    assert schemas["LookupBody"]["allOf"] == [{"oneOf": [{"required": [name]} for name in LookupBody.exactly_one]}]


@pytest.mark.anyio
async def test_a_body_that_needs_one_of_some_members_is_refused_with_none_and_with_two(shopper: Shopper) -> None:
    schemas = document(described())["components"]["schemas"]
    for one in CALLS:
        if one.body is None or not one.body.exactly_one:
            continue
        for number in (0, 2):
            body = dict.fromkeys(("email", "customer")[:number], "a@example.com")
            assert not validator_for({"$ref": f"#/components/schemas/{one.body.__name__}", "components": {"schemas": schemas}}).is_valid(
                body
            )
            answer = await shopper.post(one.paths[0], body)
            assert (answer.status_code, "exactly one" in answer.json()["detail"]) == (422, True), one.path


@pytest.mark.anyio
async def test_what_a_tracking_call_requires_is_described_and_asked_for(shopper: Shopper) -> None:
    api = (await shopper.client.get("/openapi.json")).json()
    for one in TRACKING:
        required = api["components"]["schemas"][one.body.__name__ if one.body else ""].get("required")
        if required:
            assert (await shopper.post(f"/v2/{one.path}")).json()["error"] == f"Missing required argument: {required[0]}"
        assert set(api["paths"][f"/v2/{one.path}"]["get"]["responses"]["200"]["content"]) == {"application/json", "application/javascript"}
    assert api["components"]["schemas"]["SaleBody"]["required"] == ["sale", "products"]
