"""Figures of days: people and not calls, in `GET /v1/figures` and on the overview."""

from typing import Any

import pytest

from tests.conftest import Clock, Shopper

pytestmark = pytest.mark.anyio
DAY = 86_400
TOLERANCE = 0.03


async def figures(shopper: Shopper, query: str = "days=1") -> list[dict[str, Any]]:
    answer = await shopper.client.get(f"/v1/figures?{query}", headers={"authorization": "Bearer demo-private-key"})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["figures"]
    return found


def client(number: int) -> dict[str, str]:
    return {"ip": f"198.51.{100 + number // 250}.{number % 250 + 1}", "user_agent": "Mozilla/5.0"}


async def test_visitors_are_distinct_by_day_and_mode_and_answers_without_an_id_are_calls(shopper: Shopper, clock: Clock) -> None:
    for _ in range(3):
        for number in range(100):
            await shopper.post("/v1/visitors", {"client": client(number)})
        await shopper.post("/v1/visitors", {"visitor": None})
    tokens = [(await shopper.post("/v1/consents", {"consent": "granted"})).json()["token"] for _ in range(5)]
    for token in tokens * 2:
        await shopper.post("/v2/log/click", {"product": 1, "visitor": token}, key="demo-public-key")
    await shopper.post("/v2/log/click", {"product": 1, "visitor": "own-1"}, key="demo-public-key")
    [today] = await figures(shopper)
    assert abs(today["visitors"]["cookieless"]["low"] - 101) <= TOLERANCE * 101
    assert today["visitors"]["persistent"] == {"low": 5, "high": 5, "hidden": False}
    assert today["without_id"] == 3
    assert "counted" not in today
    clock.forward(DAY)
    await shopper.post("/v1/visitors", {"token": tokens[0]})
    newest, before = await figures(shopper, "days=2")
    assert newest["visitors"] == {"persistent": {"low": 1, "high": 1, "hidden": False}}
    assert before == today


async def test_the_consent_rate_is_of_people_and_not_of_pages(shopper: Shopper) -> None:
    """A banner repeats its choice on each page; who changes their mind counts for both."""
    granted = (await shopper.browser("/v1/consents", {"consent": "granted"})).json()
    for said in ("now", "remembered", "now"):
        await shopper.browser("/v1/consents", {"consent": "granted", "said": said, "token": granted["token"]})
    refused = await shopper.browser("/v1/consents", {"consent": "refused", "token": granted["token"]})
    [cookie] = [one.partition(";")[0] for one in refused.headers.get_list("set-cookie") if "refused." in one]
    for said in ("now", "remembered"):
        await shopper.browser("/v1/consents", {"consent": "refused", "said": said}, cookie=cookie)
    await shopper.browser("/v1/consents", {"consent": "granted"}, user_agent="Mozilla/5.0 another")
    await shopper.browser("/v1/consents", {"consent": "granted"}, user_agent="Googlebot/2.1 (+http://www.google.com/bot.html)")
    [today] = await figures(shopper)
    assert (today["granted"], today["refused"], today["consent_rate"]) == (2, 1, 0.6667)


async def test_nobody_chose_and_nobody_came(shopper: Shopper) -> None:
    [today] = await figures(shopper)
    assert (today["visitors"], today["consent_rate"], today["without_id"]) == ({}, None, 0)
