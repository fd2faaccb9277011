"""The demo shop without a browser: where it stands, what its pages carry, and whom its panel answers."""

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from identity_service.model.policy import Reason
from identity_service.ops.check import faults
from identity_service.settings.load import load
from identity_service.web.demo.catalogue import PRODUCTS, cart_of
from identity_service.web.demo.panel import REASONS
from identity_service.web.demo.routes import STATIC
from tests.commands import run
from tests.conftest import Clock, Shopper, shopping

PAGES = ["/shop", "/shop/product/101", "/shop/cart", "/shop/cart?item=101&item=101&item=999", "/shop/confirmation"]
FORM = {"item": "102", "email": "luke@skywalker.com", "sale": "demo-0123abcd"}
AGENT = "Mozilla/5.0 (X11) Gecko/20100101 Firefox/140.0"
OWN = {"host": "localhost:8080", "origin": "http://localhost:8080", "sec-fetch-site": "same-origin", "user-agent": AGENT}


@pytest.fixture
async def demo(environment: dict[str, str], clock: Clock) -> AsyncIterator[Shopper]:
    async with shopping(load("development", environment | {"IDENTITY_SERVER__DEMO": "true"}), clock) as shopper:
        yield shopper


async def panel(demo: Shopper, body: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
    sent = OWN | {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await demo.client.post("/shop/panel", json={"key": "demo-public-key"} | (body or {}), headers=sent)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.anyio
@pytest.mark.parametrize("path", [*PAGES, "/shop/static/shop.css", "/shop/panel", "/shop/start-over"])
async def test_the_shop_is_not_there_without_its_setting(shopper: Shopper, path: str) -> None:
    assert (await shopper.client.get(path)).status_code == 404
    assert (await shopper.client.post(path, json={"key": "demo-public-key"}, headers=OWN)).status_code == 404


@pytest.mark.anyio
async def test_every_form_of_a_page_orders_under_a_number_of_its_own(demo: Shopper) -> None:
    """Also on the page of an order: with the same number the next order would be a repetition, and lost."""
    answer = await demo.client.post("/shop/confirmation", data=FORM, headers=OWN)
    assert FORM["sale"] in answer.text
    [next_sale] = re.findall(r'name="sale" value="([^"]+)"', answer.text)
    assert re.fullmatch(r"demo-[0-9a-f]{8}", next_sale)
    assert next_sale != FORM["sale"]


@pytest.mark.anyio
@pytest.mark.parametrize("path", PAGES)
async def test_a_page_loads_nothing_from_elsewhere_and_sets_nothing(demo: Shopper, path: str) -> None:
    answer = await demo.client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert (answer.headers["x-content-type-options"], answer.headers["referrer-policy"]) == ("nosniff", "same-origin")
    assert "set-cookie" not in answer.headers
    assert "http://" not in answer.text
    assert "https://" not in answer.text
    assert "<style" not in answer.text
    assert "style=" not in answer.text


@pytest.mark.anyio
async def test_an_unknown_product_is_a_page_that_says_so(demo: Shopper) -> None:
    answer = await demo.client.get("/shop/product/%3Cb%3E")
    assert (answer.status_code, "Product not found" in answer.text, "<b>" in answer.text) == (404, True, False)


def test_a_cart_takes_what_the_shop_sells_and_no_more_than_twenty() -> None:
    assert cart_of("item=101&item=nonsense&other=102&item=103").query == "?item=101&item=103"
    assert len(cart_of("&".join(["item=104"] * 50)).items) == 20
    assert [(line.product.id, line.quantity) for line in cart_of("item=104&item=101&item=104").lines] == [(104, 2), (101, 1)]


@pytest.mark.anyio
async def test_an_order_comes_from_the_shops_own_form_and_repeats_its_sale(demo: Shopper) -> None:
    for _ in range(2):
        answer = await demo.client.post("/shop/confirmation", data=FORM, headers=OWN)
        assert answer.status_code == 200
        assert 'data-sale="demo-0123abcd"' in answer.text
        assert 'data-email="luke@skywalker.com"' in answer.text
    other = await demo.client.post("/shop/confirmation", data=FORM | {"sale": '"><b>'}, headers=OWN)
    assert '"><b>' not in other.text
    for headers in ({}, OWN | {"origin": "http://evil.example"}, OWN | {"sec-fetch-site": "cross-site"}, OWN | {"origin": "http://["}):
        assert (await demo.client.post("/shop/confirmation", data=FORM, headers=headers)).status_code == 403
    assert (await demo.client.post("/shop/confirmation", content=b"\xff", headers=OWN)).status_code == 400


@pytest.mark.anyio
async def test_files_are_known_by_their_tag_and_nothing_else_is_served(demo: Shopper) -> None:
    first = await demo.client.get("/shop/static/shop.css", headers={"accept-encoding": "gzip"})
    assert (first.status_code, first.headers["content-encoding"]) == (200, "gzip")
    plain = await demo.client.get("/shop/static/shop.css", headers={"accept-encoding": "identity"})
    assert plain.content == first.content == (STATIC / "shop.css").read_bytes()
    again = await demo.client.get("/shop/static/shop.css", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304
    for name in ("nothing.js", "../pages.py", "%2e%2e/pages.py", "vanilla-cookieconsent/LICENSE", ""):
        assert (await demo.client.get(f"/shop/static/{name}")).status_code == 404
    for product in PRODUCTS:
        assert (await demo.client.get(f"/shop/static/pictures/{product.picture}.svg")).headers["content-type"] == "image/svg+xml"


@pytest.mark.anyio
async def test_the_panel_shows_a_device_its_own_cookieless_id(demo: Shopper) -> None:
    seen = await panel(demo)
    issued = await demo.browser("/v2/misc/visitor_id", {})
    assert (seen["mode"], seen["reason"], seen["visitor"]) == ("cookieless", "no_signal", issued.json()["visitor"])
    assert (seen["cookie"], seen["refusal_cookie"], seen["held"], seen["links"]) == (False, False, None, None)
    assert (await panel(demo, user_agent=f"{AGENT} another"))["visitor"] != seen["visitor"]


@pytest.mark.anyio
async def test_the_panel_follows_the_cookie_through_grant_order_and_withdrawal(demo: Shopper) -> None:
    await demo.browser("/v2/log/click", {"visitor": "auto", "product": 102, "labels": ["Homepage - Trending"]})
    granted = (await demo.browser("/v1/consents", {"consent": "granted"})).json()
    demo.client.cookies.clear()
    cookie = f"__Host-visitor={granted['token']}"
    sale = {"visitor": granted["token"], "sale": "demo-1", "email": "luke@skywalker.com", "products": [{"id": 102, "price": 89}]}
    await demo.browser("/v2/log/sale", sale)
    seen = await panel(demo, {"email": "Luke@Skywalker.com"}, cookie=cookie)
    assert (seen["visitor"], seen["mode"], seen["reason"], seen["cookie"]) == (granted["visitor"], "persistent", "consent_granted", True)
    assert [(one["type"], one["earlier"]) for one in seen["events"]] == [("sale", False), ("click", True)]
    [order] = seen["orders"]
    assert [(one["product"], one["labels"]) for one in order["credits"]] == [(102, ["Homepage - Trending"])]
    assert seen["links"] == [{"visitor": granted["visitor"], "own": True, "mode": "persistent"}]
    assert len(seen["held"]["visitors"][0]["receipts"]) == 1
    assert "skywalker" not in str(seen)
    await demo.browser("/v1/consents", {"consent": "refused", "token": granted["token"]})
    demo.client.cookies.clear()
    gone = await panel(demo, {"email": "luke@skywalker.com"}, cookie="visitor-choice=refused")
    assert (gone["visitor"], gone["mode"], gone["reason"], gone["refusal_cookie"]) == (None, "null", "consent_refused", True)
    assert (gone["held"], gone["orders"], gone["links"]) == (None, [], [])
    assert gone["earlier"]["events"] == 1
    dead = await panel(demo, cookie=cookie)
    assert (dead["visitor"], dead["reason"], dead["cookie"]) == (None, "withdrawn", True)


@pytest.mark.anyio
async def test_ids_of_other_devices_are_cut_short(demo: Shopper) -> None:
    await demo.post("/v1/links", {"email": "luke@skywalker.com", "visitor": "somebody-else-entirely"})
    seen = await panel(demo, {"email": "luke@skywalker.com"})
    assert seen["links"] == [{"visitor": "somebo…", "own": False, "mode": "cookieless"}]
    assert (await panel(demo, {"email": "no email"}))["links"] == []


@pytest.mark.anyio
async def test_an_order_without_a_click_says_what_is_missing(demo: Shopper) -> None:
    await demo.browser("/v2/log/sale", {"visitor": "auto", "sale": "demo-2", "products": [{"id": 102, "price": 89}]})
    [order] = (await panel(demo))["orders"]
    assert order["credits"] == []
    assert order["explanation"].startswith("No click of this visitor was logged")


@pytest.mark.anyio
async def test_the_panel_answers_its_own_pages_only(demo: Shopper) -> None:
    body = {"key": "demo-public-key"}
    without = {name: value for name, value in OWN.items() if name != "origin"}
    for headers in (without, OWN | {"origin": "http://127.0.0.1:8080"}, OWN | {"sec-fetch-site": "same-site"}, {"user-agent": AGENT}):
        assert (await demo.client.post("/shop/panel", json=body, headers=headers)).status_code == 403
    private = await demo.client.post("/shop/panel", json={"key": "demo-private-key"}, headers=OWN)
    assert private.status_code == 403
    assert (await demo.client.post("/shop/panel", json={}, headers=OWN)).status_code == 401


async def start_over(demo: Shopper, key: str = "demo-public-key", **headers: str) -> httpx.Response:
    sent = OWN | {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await demo.client.post("/shop/start-over", json={"key": key}, headers=sent)
    demo.client.cookies.clear()
    return answer


def cleared(answer: httpx.Response) -> set[str]:
    assert answer.status_code == 200, answer.text
    lines = answer.headers.get_list("set-cookie")
    assert all("Max-Age=0" in line for line in lines)
    return {line.partition("=")[0] for line in lines}


@pytest.mark.anyio
async def test_after_a_withdrawal_the_demo_starts_over_for_this_browser_and_those_like_it(demo: Shopper) -> None:
    first = (await panel(demo))["visitor"]
    await demo.browser("/v2/log/click", {"visitor": "auto", "product": 102, "labels": ["Homepage - Trending"]})
    granted = (await demo.browser("/v1/consents", {"consent": "granted"})).json()
    await demo.browser("/v2/log/sale", {"visitor": granted["token"], "sale": "demo-1", "email": "luke@skywalker.com", "products": [102]})
    await demo.browser("/v1/consents", {"consent": "refused", "token": granted["token"]})
    await demo.browser("/v1/consents", {"consent": "refused"})
    demo.client.cookies.clear()
    assert (await panel(demo))["reason"] == "withdrawn"
    refusal = "__Host-visitor-choice=refused.29916666; visitor-choice=refused; __Host-visitor=" + granted["token"]
    assert cleared(await start_over(demo, cookie=refusal)) == {"__Host-visitor", "__Host-visitor-choice", "visitor-choice"}
    again = await panel(demo)
    assert (again["visitor"], again["mode"], again["reason"]) == (first, "cookieless", "no_signal")
    assert (again["held"], again["events"], again["orders"], again["earlier"]) == (None, [], [], None)
    assert (await demo.browser("/v2/misc/visitor_id", {})).json()["visitor"] == first
    await demo.browser("/v2/log/click", {"visitor": "auto", "product": 103})
    assert [one["products"] for one in (await panel(demo))["events"]] == [[103]]


@pytest.mark.anyio
async def test_starting_over_erases_a_visitor_that_never_withdrew_and_its_token_stays_dead(demo: Shopper) -> None:
    granted = (await demo.browser("/v1/consents", {"consent": "granted"})).json()
    demo.client.cookies.clear()
    await demo.post("/v1/links", {"email": "luke@skywalker.com", "token": granted["token"]})
    cookie = f"__Host-visitor={granted['token']}"
    for _ in range(2):
        assert "__Host-visitor" in cleared(await start_over(demo, cookie=cookie))
    assert await demo.visitors(email="luke@skywalker.com") == []
    verified = await demo.post("/v1/verifications", {"token": granted["token"]})
    assert verified.json() == {"valid": False, "reason": "withdrawn"}
    assert (await panel(demo, cookie=cookie))["reason"] == "withdrawn"
    assert (await panel(demo))["reason"] == "no_signal"


@pytest.mark.anyio
async def test_another_browser_keeps_its_refusal_when_one_starts_over(demo: Shopper) -> None:
    await demo.browser("/v1/consents", {"consent": "refused"}, **{"user-agent": f"{AGENT} another"})
    demo.client.cookies.clear()
    assert cleared(await start_over(demo)) == {"__Host-visitor", "__Host-visitor-choice"}
    assert (await panel(demo, user_agent=f"{AGENT} another"))["reason"] == "withdrawn"


@pytest.mark.anyio
async def test_the_demo_starts_over_on_its_own_pages_and_in_its_own_shop_alone(demo: Shopper) -> None:
    await demo.browser("/v1/consents", {"consent": "refused"})
    demo.client.cookies.clear()
    for key, headers in (
        ("demo-public-key", {"origin": "http://127.0.0.1:8080"}),
        ("demo-public-key", {"origin": "https://evil.example"}),
        ("demo-public-key", {"sec_fetch_site": "cross-site"}),
        ("demo-private-key", {}),
        ("other-public-key", {}),
        ("other-private-key", {}),
    ):
        assert (await start_over(demo, key, **headers)).status_code == 403, (key, headers)
    without = {name: value for name, value in OWN.items() if name != "origin"}
    assert (await demo.client.post("/shop/start-over", json={"key": "demo-public-key"}, headers=without)).status_code == 403
    assert (await demo.client.post("/shop/start-over", json={}, headers=OWN)).status_code == 401
    assert (await demo.client.get("/shop/start-over", headers=OWN)).status_code == 405
    assert (await panel(demo))["reason"] == "withdrawn"


def test_nothing_but_the_demo_takes_a_mark_away() -> None:
    package = STATIC.parent.parent.parent
    found = {path.relative_to(package).as_posix() for path in package.rglob("*.py") if ".unmark(" in path.read_text()}
    assert found == {"web/demo/start_over.py"}


def test_every_reason_is_explained() -> None:
    assert set(REASONS) == set(Reason)


@pytest.mark.parametrize("environment_name", ["", "IDENTITY_CONFIG"])
def test_the_command_refuses_another_configuration(environment_name: str) -> None:
    flags = [] if environment_name else ["--config", "production"]
    environment = os.environ | ({environment_name: "production"} if environment_name else {})
    told = run("demo", *flags, environment=environment)
    assert told.returncode == 2
    assert told.stderr == "server.demo: the demo shop needs the keys of the development configuration; leave out --config\n"


@pytest.mark.parametrize("changed", [{"SERVER__PRODUCTION": "true"}, {"SHOPS__DEMO__PUBLIC_KEYS": "mine"}])
def test_the_setting_is_refused_where_the_demo_keys_are_not(changed: dict[str, str]) -> None:
    environment = {f"IDENTITY_{name}": value for name, value in changed.items()}
    assert not any(fault.name == ("server", "demo") for fault in faults(load("development", environment)))
    assert any(fault.name == ("server", "demo") for fault in faults(load("development", environment | {"IDENTITY_SERVER__DEMO": "1"})))


def test_the_banner_library_comes_with_its_licence() -> None:
    folder: Path = STATIC / "vanilla-cookieconsent"
    assert "MIT License" in (folder / "LICENSE").read_text()
    assert "CookieConsent 3.1.0" in (folder / "cookieconsent.umd.js").read_text()
