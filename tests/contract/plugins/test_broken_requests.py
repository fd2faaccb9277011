"""No detail loses an order: whatever a plugin builds around a key, a sale ID and a list of products is answered ok, the order is there
with every line that can be read, and the log of calls names the rest."""

import asyncio
from decimal import Decimal, localcontext
from typing import Any

import httpx2 as httpx
import pytest

from identity_service.service.unread import REMEDIES, kinds_of
from identity_service.web.calls.arguments import MOST_NAMES
from tests.conftest import Shopper
from tests.contract.plugins import broken
from tests.contract.plugins.broken import Try
from tests.contract.plugins.requests import PAGE, PRIVATE

pytestmark = pytest.mark.anyio
AUTHORIZED = {"authorization": f"Bearer {PRIVATE}"}
TRIES, MANY, AT_ONCE = 400, 100_000, 100


async def sent(shopper: Shopper, made: Try) -> httpx.Response:
    if made.by_query:
        return await shopper.client.get(f"/v2/log/sale?{made.content.decode()}", headers=PAGE)
    return await shopper.client.post("/v2/log/sale", content=made.content, headers=PAGE)


def faults(made: Try, order: dict[str, Any], named: list[str]) -> list[str]:
    """What is wrong with an order, and with what the log names of its call."""
    lines = [
        (one["id"], Decimal(str(one["quantity"])), Decimal(one["price"]) if "price" in one else None) for one in order.get("products", [])
    ]
    with localcontext(prec=300):
        whole = sum((quantity * price for _, quantity, price in made.lines if price is not None), Decimal(0))
    of_lines = [name for name in named if name.startswith("products")]
    others = set(named) - set(of_lines)
    checks = {
        "lines": lines == made.lines,
        "revenue": "revenue" in order and Decimal(order["revenue"]) == whole,
        "named lines": of_lines == made.named[:MOST_NAMES],
        "remedies": set(kinds_of(named)) <= set(REMEDIES),
        "named others": made.lost <= others <= made.sent or len(named) == MOST_NAMES,
    }
    return [what for what, right in checks.items() if not right]


async def test_no_order_is_lost_for_a_broken_member(shopper: Shopper, long: bool) -> None:
    for first in range(0, MANY if long else TRIES, AT_ONCE):
        tries = {number: broken.of_number(number) for number in range(first, first + AT_ONCE)}
        for number, made in tries.items():
            answer = await sent(shopper, made)
            assert (answer.status_code, answer.content) == (200, b'{"status":"ok"}'), (number, made.content[:2_000])
        logged = (await shopper.client.get("/v1/calls", headers=AUTHORIZED)).json()["calls"][:AT_ONCE][::-1]
        orders = await asyncio.gather(*(shopper.client.get(f"/v1/orders/s-{number}", headers=AUTHORIZED) for number in tries))
        for (number, made), order, entry in zip(tries.items(), orders, logged, strict=True):
            assert faults(made, order.json(), entry.get("unread", [])) == [], (number, made.content[:2_000], order.json(), entry)
