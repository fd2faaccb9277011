"""Keys with names: each call needs its scope, and a key ends after its last day."""

from collections.abc import AsyncIterator

import httpx2 as httpx
import pytest

from identity_service.model.shop import PUBLIC_SCOPES, Scope, key_digest
from identity_service.settings.load import load
from identity_service.web.endpoint import Row
from identity_service.web.routes import CALLS, TRACKING
from tests.conftest import Clock, Shopper, shopping

pytestmark = pytest.mark.anyio
LAST_DAY = "2026-11-19"
"""The clock of the tests begins on the day before."""
DAY = 86_400
ADMIN = {"origin": "http://test", "sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}


def key_of(scope: Scope) -> str:
    return f"key-for-{scope}"


@pytest.fixture
async def shopper(environment: dict[str, str], clock: Clock) -> AsyncIterator[Shopper]:
    keys = {
        f"IDENTITY_SHOPS__DEMO__KEYS__{scope.upper()}__{member}": value
        for scope in Scope
        for member, value in {"SHA256": key_digest(key_of(scope)), "SCOPES": scope.value}.items()
    }
    keys["IDENTITY_SHOPS__DEMO__KEYS__LOOKUP__LAST_DAY"] = LAST_DAY
    async with shopping(load("development", environment | keys), clock) as one:
        yield one


async def call(shopper: Shopper, row: Row, key: str) -> httpx.Response:
    path = row.paths[0].replace("{source}", "google").replace("{sale}", "1")
    headers = {"authorization": f"Bearer {key}"}
    return await shopper.client.request(row.methods[0], path, headers=headers, json={} if row.methods[0] == "POST" else None)


@pytest.mark.parametrize("row", [*CALLS, *TRACKING], ids=lambda row: row.path)
async def test_a_call_needs_its_own_scope_and_no_other(shopper: Shopper, row: Row) -> None:
    for scope in Scope:
        answer = await call(shopper, row, key_of(scope))
        assert (answer.status_code == 403) == (scope is not row.scope), (scope, answer.text)
        assert (f"`{row.scope}`" in answer.text) == (scope is not row.scope)
        assert answer.status_code != 401
    assert (await call(shopper, row, "demo-private-key")).status_code not in {401, 403}
    allowed = (await call(shopper, row, "demo-public-key")).status_code not in {401, 403}
    assert allowed == (row.scope in PUBLIC_SCOPES and row.keys != "private key")


async def test_a_key_works_on_its_last_day_and_is_unknown_after_it(shopper: Shopper, clock: Clock) -> None:
    async def look_up(key: str) -> httpx.Response:
        return await shopper.post("/v1/lookups", {"visitor": "own-id"}, key=key)

    assert (await look_up(key_of(Scope.LOOKUP))).status_code == 200
    clock.forward(DAY)
    assert (await look_up(key_of(Scope.LOOKUP))).status_code == 200
    clock.forward(DAY)
    ended, unknown = await look_up(key_of(Scope.LOOKUP)), await look_up("no key")
    assert ended.status_code == unknown.status_code == 401
    members = [{name: value for name, value in one.json().items() if name != "request_id"} for one in (ended, unknown)]
    assert members[0] == members[1]


async def test_a_private_key_beside_a_public_one_needs_the_scope_too(shopper: Shopper) -> None:
    forget = {"key": "demo-public-key", "email": "luke@skywalker.com"}
    for scope, status in ((Scope.TRACK, 403), (Scope.RIGHTS, 200)):
        answer = await shopper.post("/v2/privacy/forget", forget | {"private_key": key_of(scope)}, key=None)
        assert answer.status_code == status, answer.text


async def sign_in(shopper: Shopper, key: str) -> httpx.Response:
    return await shopper.client.post("/admin/signin", content=f"private_key={key}", headers=ADMIN)


async def test_only_a_key_with_the_scope_admin_signs_in(shopper: Shopper) -> None:
    for scope in Scope:
        answer = await sign_in(shopper, key_of(scope))
        assert answer.status_code == (303 if scope is Scope.ADMIN else 403), (scope, answer.text)
    assert (await sign_in(shopper, "demo-private-key")).status_code == 303


async def test_the_page_of_keys_shows_names_and_scopes(shopper: Shopper, clock: Clock) -> None:
    clock.forward(2 * DAY)
    cookie = (await sign_in(shopper, "demo-private-key")).headers["set-cookie"].partition(";")[0]
    page = (await shopper.client.get("/admin/keys", headers={"cookie": cookie})).text
    rows = {row.partition("</td>")[0].rpartition(">")[2]: row for row in page.split("<tr>")[2:]}
    assert "ended" in rows["lookup"]
    assert "ended" not in rows["rights"]
    assert "consent, issue, link, track" in page
    assert "everything" in page
    assert all(key_of(scope) not in page for scope in Scope)
