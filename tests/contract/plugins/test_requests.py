"""Every plugin's requests arrive: the order with all of its lines, its attribution and its link, however the page sends them."""

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import httpx2 as httpx
import pytest

from identity_service.settings.load import load
from tests.conftest import Clock, Shopper, shopping
from tests.contract.plugins.requests import (
    EMAIL,
    IDS_ALONE,
    KEY,
    PAGE,
    PIXEL,
    PRIVATE,
    SERVER_CALLS,
    TEMPLATES,
    VERIFIERS,
    ServerCall,
    Template,
)

pytestmark = pytest.mark.anyio
OK = {"status": "ok"}
LABEL = "Home - Popular"


def deep(name: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Lists as jQuery and PHP write them in a query."""
    return {f"{name}[{at}][{member}]": value for at, one in enumerate(lines) for member, value in one.items()}


def as_query(template: Template, more: dict[str, Any]) -> dict[str, Any]:
    said = {"key": KEY, "sale": template.sale} | template.more | more
    return {name: "null" if value is None else value for name, value in said.items()}


async def by_script(shopper: Shopper, template: Template, more: dict[str, Any]) -> httpx.Response:
    """Clerk.js asks by GET, with lists as JSON."""
    query = as_query(template, more) | {"products": json.dumps(template.products)}
    return await shopper.client.get(f"/v2/log/sale?{urlencode(query)}", headers=PAGE)


async def by_script_tag(shopper: Shopper, template: Template, more: dict[str, Any]) -> httpx.Response:
    query = as_query(template, more) | {"products": json.dumps(template.products, separators=(",", ":"))}
    answer = await shopper.client.get(f"/v3/log/sale?{urlencode(query | {'callback': 'Clerk._c1'})}", headers=PAGE)
    answer._content = answer.content.removeprefix(b"Clerk._c1(").removesuffix(b");")
    return answer


async def by_form(shopper: Shopper, template: Template, more: dict[str, Any]) -> httpx.Response:
    body = urlencode(as_query(template, more) | deep("products", template.products))
    headers = PAGE | {"content-type": "application/x-www-form-urlencoded; charset=UTF-8"}
    return await shopper.client.post("/v2/log/sale", content=body, headers=headers)


async def by_snippet(shopper: Shopper, template: Template, more: dict[str, Any]) -> httpx.Response:
    """What stands in an element's attributes is text, but for its products."""
    said = {"key": KEY, "sale": template.sale, "products": template.products} | template.more | more
    said |= {} if template.script else {"sale": str(template.sale), "markup": True}
    content = "\ufeff" + json.dumps({name: value for name, value in said.items() if value != ""})
    return await shopper.client.post("/v2/log/sale", content=content.encode(), headers=PAGE | {"content-type": "text/plain"})


async def sent(shopper: Shopper, call: ServerCall) -> httpx.Response:
    if call.method == "GET":
        return await shopper.client.get(f"/v2/{call.path}?{urlencode(call.said)}", headers=call.headers)
    return await shopper.client.post(f"/v2/{call.path}", content=json.dumps(call.said), headers=call.headers)


async def read(shopper: Shopper, path: str) -> Any:
    answer = await shopper.client.get(path, headers={"authorization": f"Bearer {PRIVATE}"})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_tag_names_products_by_their_ids_alone(shopper: Shopper) -> None:
    answer = await shopper.client.post("/v2/log/sale", json={"key": KEY, **IDS_ALONE}, headers=PAGE)
    assert answer.json() == OK
    order = await read(shopper, f"/v1/orders/{IDS_ALONE['sale']}")
    assert [(one["id"], one["quantity"]) for one in order["products"]] == [(111, 1), ("222", 1)]
    assert Decimal(order["revenue"]) == 0
    assert "unread" not in (await read(shopper, "/v1/calls"))["calls"][0]


@pytest.mark.parametrize("send", [by_script, by_script_tag, by_form, by_snippet], ids=lambda send: send.__name__)
@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.plugin)
async def test_an_order_of_every_template_arrives_whole(shopper: Shopper, template: Template, send: Any) -> None:
    issued = (await shopper.browser("/v1/visitors", {"consent": "granted"})).json()
    first = template.products[0]["id"]
    click = {"key": KEY, "product": first, "labels": [LABEL], "visitor": issued["token"]}
    assert (await shopper.client.post("/v2/log/click", json=click, headers=PAGE)).json() == OK
    answer = await send(shopper, template, {"visitor": issued["token"]})
    assert (answer.status_code, json.loads(answer.content)) == (200, OK)
    order = await read(shopper, f"/v1/orders/{template.sale}")
    assert [(str(one["id"]), Decimal(one["quantity"]), Decimal(one["price"])) for one in order["products"]] == [
        (str(one["id"]), Decimal(str(one["quantity"])), Decimal(str(one["price"]))) for one in template.products
    ]
    assert (Decimal(order["revenue"]), order["visitor"], order["labels"]) == (Decimal(template.revenue), issued["visitor"], [LABEL])
    [sale, clicked] = (await read(shopper, "/v1/calls"))["calls"]
    assert (sale["call"], sale.get("unread"), clicked["call"]) == ("log/sale", None, "log/click")
    linked = [(one["visitor"], one["proof"]) for one in await shopper.visitors(email=EMAIL)]
    proof = "none" if send is by_snippet and not template.script else "token"
    assert linked == ([(issued["visitor"], proof)] if template.linked else [])


@pytest.mark.parametrize("call", SERVER_CALLS, ids=lambda call: call.name)
async def test_every_call_of_an_api_class_is_answered(shopper: Shopper, call: ServerCall, capsys: pytest.CaptureFixture[str]) -> None:
    """No server's call makes a visitor or a link: it names nobody but an email."""
    answer = await sent(shopper, call)
    told = answer.json()
    assert (answer.status_code, told["status"]) == (call.status, "ok" if call.status == 200 else "error")
    logged = [(one["call"], one["outcome"]) for one in (await read(shopper, "/v1/calls"))["calls"]]
    assert logged == ([(call.path, "ok")] if call.status == 200 else [])
    assert await shopper.visitors(email=EMAIL) == []
    written = "".join(capsys.readouterr()) + answer.text
    assert [secret for secret in (KEY, PRIVATE, EMAIL) if secret in written] == []


@pytest.mark.parametrize("call", [one for one in SERVER_CALLS if one.path == "log/returned"], ids=lambda call: call.name)
async def test_a_return_of_every_api_class_lowers_the_order(shopper: Shopper, call: ServerCall) -> None:
    template = next(one for one in TEMPLATES if one.plugin == "magento 2")
    product = call.said["product"]
    lines = [one | {"id": product if one["id"] == "12793" else one["id"]} for one in template.products]
    sold = {"key": KEY, "private_key": PRIVATE, "sale": "000000567", "products": lines}
    assert (await shopper.client.post("/v2/log/sale", json=sold)).json() == OK
    assert (await sent(shopper, call)).json() == OK
    order = await read(shopper, "/v1/orders/000000567")
    assert (Decimal(order["revenue"]), order["products"][0]["returned"]) == (Decimal("113.95"), 1)


@pytest.mark.parametrize("plugin", VERIFIERS)
async def test_every_plugin_gets_a_token_verified(shopper: Shopper, plugin: str) -> None:
    issued = (await shopper.post("/v1/visitors")).json()
    for token, status in ((issued["token"], "ok"), (f"{issued['token']}x", "error")):
        query = urlencode({"token": token, "key": KEY})
        assert (await shopper.client.get(f"/v2/token/verify?{query}", headers=VERIFIERS[plugin])).json()["status"] == status


@pytest.fixture
async def pixels(environment: dict[str, str], clock: Clock) -> AsyncIterator[Shopper]:
    """A shop that lists sandboxed pixels among its origins."""
    origins = {"IDENTITY_SHOPS__DEMO__ORIGINS": "http://localhost:8080,null"}
    async with shopping(load("development", environment | origins), clock) as shopper:
        yield shopper


@pytest.mark.parametrize(
    ("path", "more", "lines"),
    [
        ("log/sale/shopify", {}, []),
        ("log/sale", {"products": [{"id": 8012345678901, "quantity": 1, "price": 19.99}], "email": EMAIL}, [8012345678901]),
    ],
)
async def test_a_shopify_pixel_has_no_session_unless_it_passes_one(
    pixels: Shopper, path: str, more: dict[str, Any], lines: list[int]
) -> None:
    issued = (await pixels.browser("/v1/visitors", {"consent": "granted"})).json()
    for sale, visitor in ((5873120124001, None), (5873120124002, issued["token"])):
        body = {"sale": sale, "key": KEY} | more | ({"visitor": visitor} if visitor else {})
        answer = await pixels.client.post(f"/v2/{path}", content=json.dumps(body), headers=PIXEL)
        assert (answer.status_code, answer.json()) == (200, OK)
        order = await read(pixels, f"/v1/orders/{sale}")
        assert [one["id"] for one in order["products"]] == lines
        assert (order["visitor"], order["verified"]) == (issued["visitor"] if visitor else None, False)
    assert [one["visitor"] for one in await pixels.visitors(email=EMAIL)] == ([issued["visitor"]] if lines else [])
