"""The pages without a key, and schemathesis' own checks over the description, against the application itself."""

from typing import Any

import httpx2 as httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from prometheus_client import REGISTRY
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from starlette.types import Receive, Scope, Send

from identity_service.app import Application
from identity_service.settings.load import load
from identity_service.web.routes import CALLS, TRACKING
from tests.conftest import Clock, Shopper

PAGES = {
    "/visitor.js": "text/javascript; charset=utf-8",
    "/healthz": "application/json",
    "/readyz": "application/json",
    "/metrics": "text/plain; version=0.0.4; charset=utf-8",
    "/openapi.json": "application/json",
    "/docs": "text/html; charset=utf-8",
}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
"""Left out. `negative_data_rejection`: unknown members are ignored, and a null token, consent or client counts as absent.
`positive_data_acceptance`: a schema cannot say that exactly one of `email` and `customer` is needed, nor what an email is.
`missing_required_header`, `use_after_free`, `ensure_resource_availability`: there are no such headers and no such resources.
`ignored_auth`: takes the key that is set here for an invented one; that calls without a key are 401 is tested below and in `test_keys`."""


@pytest.mark.anyio
@pytest.mark.parametrize("path", PAGES)
async def test_a_page_needs_no_key_and_is_told_as_what_it_is(shopper: Shopper, path: str) -> None:
    answer = await shopper.client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, PAGES[path])
    assert "set-cookie" not in answer.headers
    wrong = await shopper.client.get(path, headers={"authorization": "Bearer wrong", "origin": "http://evil.example"})
    assert wrong.status_code == 200
    posted = await shopper.client.post(path, json={})
    assert (posted.status_code, posted.json()["code"]) == (405, "method_not_allowed")


@pytest.mark.anyio
async def test_health_is_the_process_and_readiness_the_store(clock: Clock) -> None:
    application = Application(load("development", {"IDENTITY_STORE__URL": "unix:///nonexistent"}), clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://service.test") as client:
        answers = {path: await client.get(path) for path in PAGES}
    await application.services.store.client.close()
    assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(PAGES, 200) | {"/readyz": 503}
    assert answers["/healthz"].json() == {"status": "ok"}
    assert (answers["/readyz"].json()["code"], answers["/readyz"].headers["retry-after"]) == ("store_unavailable", "1")


@pytest.mark.anyio
async def test_metrics_count_by_route_and_name_nobody(shopper: Shopper) -> None:
    await shopper.post("/v1/links", {"email": "zqneedle@example.com", "visitor": "zqneedle"})
    await shopper.post("/v1/nowhere/zqneedle", {})
    text = (await shopper.client.get("/metrics")).text
    assert 'route="/v1/links"' in text
    assert "zqneedle" not in text


@pytest.mark.anyio
async def test_no_count_is_lost_between_two_scrapes_when_a_worker_ends(application: Application, shopper: Shopper) -> None:
    def told() -> float:
        return REGISTRY.get_sample_value("identity_requests_total", {"route": "/v1/verifications", "status": "200"}) or 0

    await shopper.client.get("/metrics")
    before = told()
    async with application.running():
        for _ in range(3):
            await shopper.post("/v1/verifications", {"token": "no token"})
    assert told() == before + 3


@pytest.mark.anyio
async def test_every_operation_is_described_and_every_description_answers(shopper: Shopper) -> None:
    api = (await shopper.client.get("/openapi.json")).json()
    described = {(method.upper(), path) for path, methods in api["paths"].items() for method in methods}
    called = {(method, path) for one in (*CALLS, *TRACKING) for path in one.paths for method in one.methods}
    assert described == called | {("GET", path) for path in PAGES}
    names = [methods[method]["operationId"] for path, methods in api["paths"].items() for method in methods if path not in PAGES]
    assert len(set(names)) == len(names)
    for method, path in described:
        answer = await shopper.client.request(method, path)
        assert answer.status_code == (200 if path in PAGES else 401), path


class PerCall:
    """A fresh application for each call, because schemathesis runs each call in an event loop of its own."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._settings = load("development", environment)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        application = Application(self._settings)
        try:
            await application(scope, receive, send)
        finally:
            if scope["type"] == "http":
                await application.services.store.client.close()


@pytest.fixture
def schema(environment: dict[str, str]) -> Any:
    return schemathesis.openapi.from_asgi("/openapi.json", PerCall(environment))


@pytest.mark.parametrize("mode", ["positive", "negative"])
@pytest.mark.parametrize("operation", CALLS, ids=lambda one: one.operation)
def test_schemathesis_finds_no_answer_that_is_not_described(schema: Any, operation: Any, mode: str, long: bool) -> None:
    target = schema[operation.paths[0]][operation.methods[0]]
    generation = schemathesis.GenerationMode.POSITIVE if mode == "positive" else schemathesis.GenerationMode.NEGATIVE

    @given(case=target.as_strategy(generation_mode=generation))
    @settings(
        max_examples=30 if long else 10, deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
    )
    def check(case: Any) -> None:
        try:
            case.call_and_validate(headers={"authorization": "Bearer demo-private-key"}, checks=CHECKS)
        except FailureGroup as group:
            raise AssertionError("\n".join(str(failure) for failure in group.exceptions)) from None

    check()


@pytest.mark.anyio
async def test_scripts_of_a_shop_may_not_read_the_admin_pages(shopper: Shopper) -> None:
    for path, allowed in (("/v2/log/debug", True), ("/admin/signin", False)):
        answer = await shopper.client.get(path, headers={"origin": "http://localhost:8080"})
        assert ("access-control-allow-origin" in answer.headers) is allowed
