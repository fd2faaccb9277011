"""Whose pages a public key speaks for, and what a bare ID gives nobody."""

from collections.abc import AsyncIterator

import pytest

from identity_service.settings.load import load
from tests.conftest import Clock, Shopper, shopping

pytestmark = pytest.mark.anyio
PUBLIC = "demo-public-key"
HEAD = {"user-agent": "Mozilla/5.0 (X11) Gecko/20100101 Firefox/140.0"}


@pytest.fixture
async def shops(environment: dict[str, str], clock: Clock) -> AsyncIterator[Shopper]:
    """Each on a host of its own; the first lists pages without an origin, too."""
    listed = {"IDENTITY_SHOPS__DEMO__ORIGINS": "https://shop-a.example,null", "IDENTITY_SHOPS__OTHER__ORIGINS": "https://shop-b.example"}
    async with shopping(load("development", environment | listed), clock) as shopper:
        yield shopper


@pytest.mark.parametrize("origin", ["https://evil.example", "https://shop-b.example", "https://shop-a.example.evil.example", "http://x"])
@pytest.mark.parametrize("site", [None, "same-origin", "same-site", "cross-site", "none"])
@pytest.mark.parametrize("path", ["/v1/visitors", "/v1/consents", "/v1/links", "/v2/log/click", "/v2/log/sale", "/v2/misc/visitor_id"])
async def test_no_page_that_is_not_listed_is_served_whatever_it_says(shops: Shopper, origin: str, site: str | None, path: str) -> None:
    headers = {"origin": origin, "host": origin.partition("://")[2]} | ({"sec-fetch-site": site} if site else {})
    assert (await shops.client.post(path, json={"key": PUBLIC}, headers=headers)).status_code == 403


async def test_a_frame_without_an_origin_logs_without_a_session(shops: Shopper) -> None:
    headers = HEAD | {"origin": "null", "sec-fetch-site": "cross-site"}
    told = await shops.client.post("/v2/log/sale", json={"key": PUBLIC, "sale": "f-1", "products": [5], "visitor": "auto"}, headers=headers)
    assert told.json() == {"status": "ok"}
    assert told.headers["access-control-allow-origin"] == "null"
    assert "access-control-allow-credentials" not in told.headers
    order = (await shops.client.get("/v1/orders/f-1", headers={"authorization": "Bearer demo-private-key"})).json()
    assert (order["visitor"], order["mode"]) == (None, "none")
    found = await shops.client.get("/v2/misc/visitor_id", params={"key": PUBLIC, "visitor": "auto"}, headers=headers)
    assert found.json() == {"status": "ok", "visitor": None}
    other = await shops.client.post("/v2/log/click", json={"key": "other-public-key", "product": 5}, headers=headers)
    assert other.status_code == 403


async def test_a_frame_with_a_token_logs_for_its_visitor(shops: Shopper) -> None:
    issued = (await shops.post("/v1/visitors")).json()
    body = {"key": PUBLIC, "sale": "f-2", "products": [5], "visitor": issued["token"]}
    await shops.client.post("/v2/log/sale", json=body, headers=HEAD | {"origin": "null"})
    order = (await shops.client.get("/v1/orders/f-2", headers={"authorization": "Bearer demo-private-key"})).json()
    assert order["visitor"] == issued["visitor"]


@pytest.mark.parametrize(("path", "body"), [("/v2/log/email", {}), ("/v2/log/sale", {"sale": "g-1", "products": [5]})])
async def test_gpc_beside_a_bare_id_opts_nobody_out(shopper: Shopper, path: str, body: dict[str, object]) -> None:
    granted = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    await shopper.post("/v1/links", {"email": "luke@skywalker.com", "token": granted["token"]})
    strange = {"key": PUBLIC, "email": "mallory@evil-mail.com"} | body
    for visitor, opted_out in ((granted["visitor"], False), (granted["token"], True)):
        assert (await shopper.browser(path, strange | {"visitor": visitor}, sec_gpc="1")).json() == {"status": "ok"}
        [found] = await shopper.visitors(email="luke@skywalker.com")
        assert found["sale_share_opt_out"] is opted_out
    await shopper.browser("/v1/visitors", {"visitor": granted["visitor"]}, sec_gpc="1")


async def test_nor_does_a_bare_id_at_the_issue(shopper: Shopper) -> None:
    await shopper.post("/v1/links", {"email": "luke@skywalker.com", "visitor": "own-1"})
    for call in (shopper.browser, shopper.post):
        key = PUBLIC if call == shopper.browser else "demo-private-key"
        client = {} if call == shopper.browser else {"client": {"gpc": True}}
        await call("/v1/visitors", {"visitor": "own-1"} | client, key=key, sec_gpc="1")
        [found] = await shopper.visitors(email="luke@skywalker.com")
        assert found["sale_share_opt_out"] is (call != shopper.browser)
