"""Every list takes `limit` and `cursor`, and its pages together are the list."""

from typing import Any

import pytest

from tests.conftest import Clock, Shopper

pytestmark = pytest.mark.anyio
NUMBER = 5
BEARER = {"authorization": "Bearer demo-private-key"}


async def filled(shopper: Shopper, clock: Clock) -> str:
    """Several of everything, some within one second; returns the visitor's ID."""
    granted = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    for number in range(NUMBER):
        clock.forward(number % 2)
        token = {"visitor": granted["token"]}
        await shopper.post("/v2/log/click", {"product": f"p{number}", "labels": [f"L{number} \u00e9"]} | token)
        if number:
            purposes = {"storage": "granted", "measurement": "granted", "linking": ["granted", "refused"][number % 2]}
            consent = {"purposes": purposes, "policy_version": str(number)}
            await shopper.post("/v1/consents", {"token": granted["token"], "consent": consent})
    visitor: str = granted["visitor"]
    return visitor


async def page(shopper: Shopper, path: str, body: dict[str, Any] | None, asked: dict[str, Any]) -> Any:
    if body is None:
        return await shopper.client.get(path, params=asked, headers=BEARER)
    return await shopper.post(path, body | asked)


LISTS = ["/v1/calls", "/v1/products", "/v1/labels", "/v1/figures", "/v1/events", "/v1/receipts"]


@pytest.mark.parametrize("path", LISTS)
async def test_pages_together_are_the_list(shopper: Shopper, clock: Clock, path: str) -> None:
    visitor = await filled(shopper, clock)
    body = {"visitor": visitor} if path in {"/v1/events", "/v1/receipts"} else None
    member = path.removeprefix("/v1/")
    all_of_it = (await page(shopper, path, body, {})).json()
    assert len(all_of_it[member]) >= 3
    assert all_of_it["next"] is None
    found, asked = [], {"limit": 2}
    while True:
        answer = (await page(shopper, path, body, asked)).json()
        assert len(answer[member]) <= 2
        found += answer[member]
        if answer["next"] is None:
            break
        asked = {"limit": 2, "cursor": answer["next"]}
    assert found == all_of_it[member]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("asked", [{"limit": 0}, {"limit": 1_000_000}, {"limit": "x"}, {"cursor": "?"}, {"cursor": "bm8"}])
async def test_what_is_no_limit_and_no_cursor_is_refused(shopper: Shopper, path: str, asked: dict[str, Any]) -> None:
    body = {"visitor": "one"} if path in {"/v1/events", "/v1/receipts"} else None
    answer = await page(shopper, path, body, asked)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
