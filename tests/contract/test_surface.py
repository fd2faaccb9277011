"""The description against the service: random calls made from /openapi.json never surprise it."""

import json
from typing import Any

import anyio
import httpx2 as httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema_rs import validator_for

from identity_service.app import Application
from identity_service.settings import load
from identity_service.web.routes import OPERATIONS, TRACKING
from tests.conftest import Shopper

KEYS = {"authorization": "Bearer demo-private-key"}


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
    assert {(operation.method, operation.path) for operation in OPERATIONS} <= described
    named = set(json.dumps(api).split('"#/components/schemas/')[1:])
    assert {part.split('"')[0] for part in named} <= set(api["components"]["schemas"])
    statuses = api["paths"]["/v1/links"]["post"]["responses"]
    assert {"200", "400", "401", "403", "409", "413", "422", "429", "431", "503"} == set(statuses)


@pytest.mark.anyio
async def test_what_a_tracking_call_requires_is_described_and_asked_for(shopper: Shopper) -> None:
    api = (await shopper.client.get("/openapi.json")).json()
    for one in TRACKING:
        required = api["components"]["schemas"][one.body.__name__].get("required")
        if required:
            assert (await shopper.post(f"/v2/{one.name}")).json()["error"] == f"Missing required argument: {required[0]}"
        assert set(api["paths"][f"/v2/{one.name}"]["get"]["responses"]["200"]["content"]) == {"application/json", "application/javascript"}
    assert api["components"]["schemas"]["SaleBody"]["required"] == ["sale", "products"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
def test_random_calls_get_documented_answers(operation: Any, environment: dict[str, str]) -> None:
    """Bodies from the description, valid and broken; statuses and bodies of answers must be the described ones."""

    async def described() -> dict[str, Any]:
        application = Application(load("development", environment))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://service.test") as client:
            api: dict[str, Any] = (await client.get("/openapi.json")).json()
        await application.services.store.client.close()
        return api

    api = anyio.run(described)
    schema = schemathesis.openapi.from_dict(api)
    target = schema[operation.path][operation.method]
    answers = api["paths"][operation.path][operation.method.lower()]["responses"]
    junk = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=40), lambda inner: st.dictionaries(st.text(max_size=9), inner)
    )

    async def send(bodies: list[Any]) -> list[httpx.Response]:
        application = Application(load("development", environment))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://service.test") as client:
            sent = [await client.request(operation.method, operation.path, json=body, headers=KEYS) for body in bodies]
        await application.services.store.client.close()
        return sent

    @given(case=target.as_strategy(), broken=junk)
    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    def check(case: Any, broken: Any) -> None:
        body = case.body if operation.body else None
        if not isinstance(body, dict | list | str | int | float | bool | None):
            body = {}
        for answer in anyio.run(send, [body, broken, {"key": broken}]):
            assert answer.status_code < 500, answer.text
            told = answers[str(answer.status_code)]
            told = api["components"]["responses"][told["$ref"].rpartition("/")[2]] if "$ref" in told else told
            told = told["content"]
            media = answer.headers["content-type"]
            assert media in told
            check_schema = {"$ref": told[media]["schema"]["$ref"], "components": api["components"]}
            validator_for(check_schema).validate(answer.json())

    check()
