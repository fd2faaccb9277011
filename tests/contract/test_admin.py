"""The admin pages, called in process: what each shows, who may see it, and what no form of anybody else can do."""

import asyncio
import html
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import pytest
import structlog

from identity_service.app import Application
from identity_service.settings.load import load
from identity_service.web.admin import stream
from identity_service.web.admin.routes import POSTED, READ
from identity_service.web.admin.sessions import COOKIE
from tests.conftest import Clock, Shopper
from tests.contract.desk import OWN, Desk, desk_of, filled, log, streaming, text_of

pytestmark = pytest.mark.anyio
LUKE, LEIA = "luke@skywalker.com", "leia@organa.com"
EMPTY = {
    "overview": "No visitor ID has been issued yet",
    "customers": "Find the visitor IDs of an email",
    "visitors": "Visitor ID",
    "orders": "No order has been logged yet. Call log/sale from",
    "products": "No product has been seen yet. log/click and log/sale add products to this list",
    "logs": "No tracking call has been logged yet. New calls appear here automatically",
    "health": "Not started: log a click and a sale to see that tracking works. No click has been logged yet. Put the snippet",
    "rights": "Answer a person’s request",
    "consent": "Preview a decision",
    "audit": "What was done",
    "keys": "private, for servers",
}
FILLED = {
    "overview": "Attributed orders 1 of 2 Revenue of attributed orders 7.50 EUR Revenue of other orders 10.00 EUR",
    "orders": "S-1 2026-11-18 11:06 5 7.50 EUR persistent a person Homepage - Trending",
    "products": "blue-6 string",
    "logs": "log/sale none ok",
    "health": "The last click was logged less than a minute ago",
    "keys": "this session",
}
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    """With patience: how fast the store is on a busy machine is not what is tested."""
    return environment | {"IDENTITY_STORE__TIMEOUT_SECONDS": "10"}


@pytest.fixture
async def desk(application: Application) -> AsyncIterator[Desk]:
    async with desk_of(application) as found:
        assert (await found.sign_in()).status_code == 303
        yield found


@pytest.fixture
async def outside(application: Application) -> AsyncIterator[Desk]:
    """Somebody without a session."""
    async with desk_of(application) as found:
        yield found


def signed_out(answer: Any) -> bool:
    return answer.status_code == 303 and str(answer.headers["location"]).partition("?")[0] == "signin"


# Pages


@pytest.mark.parametrize("page", READ)
async def test_an_empty_page_says_what_to_do_next(desk: Desk, page: str) -> None:
    assert EMPTY[page] in text_of(await desk.get(page))


@pytest.mark.parametrize("page", FILLED)
async def test_a_filled_page_shows_what_there_is(desk: Desk, shopper: Shopper, page: str) -> None:
    await filled(shopper)
    assert FILLED[page] in text_of(await desk.get(page))


async def test_the_health_page_tells_what_is_usual_once_something_is(desk: Desk, shopper: Shopper, clock: Clock) -> None:
    for clicks, seconds in ((2, 24 * 3_600), (2, 24 * 3_600), (1, 60)):
        assert "Usually" not in text_of(await desk.get("health"))
        for _ in range(clicks):
            await log(shopper, "click", product=5, visitor="one", labels=["Homepage - Trending"])
        clock.forward(seconds)
        await desk.sign_in()
    assert "green The last click was logged 1 minute ago. Usually one arrives every 12 hours." in text_of(await desk.get("health"))


@pytest.mark.parametrize("page", READ)
async def test_a_page_is_named_and_marked_in_the_menu(desk: Desk, page: str) -> None:
    answer = await desk.get(page)
    assert f'<a href="{page}" aria-current="page">' in answer.text
    assert f"<title>{page.capitalize()} · demo</title>" in answer.text


async def test_a_look_up_shows_each_visitor_and_how_it_is_known(desk: Desk, shopper: Shopper) -> None:
    visitor = await filled(shopper)
    await shopper.post("/v1/links", {"email": LUKE, "visitor": "shared-1"})
    await shopper.post("/v1/links", {"email": LEIA, "visitor": "shared-1"})
    shown = text_of(await desk.post("customers", email=" Luke@Skywalker.COM "))
    assert "2 visitors, newest first" in shown
    assert f"{visitor} Copy Open persistent 2026-11-18 11:06 token sale 2026-11-18 11:06 no no" in shown
    assert "shared-1 Copy Open cookieless 2026-11-18 11:06 key link 2026-11-18 11:06 yes no" in shown
    assert "No visitor is linked to this email" in text_of(await desk.post("customers", email="nobody@example.com"))
    assert "No visitor is linked to this customer ID" in text_of(await desk.post("customers", customer="77"))


@pytest.mark.parametrize("form", [{}, {"email": " "}, {"email": LUKE, "customer": "1"}])
async def test_a_look_up_needs_one_name_and_says_so_in_words_of_the_page(desk: Desk, form: dict[str, str]) -> None:
    assert "Enter either an email or a customer ID" in text_of(await desk.post("customers", 422, **form))


async def test_a_visitor_shows_record_consent_activity_and_orders(desk: Desk, shopper: Shopper) -> None:
    visitor = await filled(shopper)
    shown = text_of(await desk.post("visitors", visitor=f" {visitor} "))
    for part in (
        "Mode persistent",
        "granted by plain",
        "storage granted",
        "search none none red shoes",
        "click 5 Homepage - Trending",
        "S-1",
    ):
        assert part in shown
    assert "Nothing is stored about unknown-1" in text_of(await desk.post("visitors", visitor="unknown-1"))
    assert "your own ID must be 1 to 64 of" in text_of(await desk.post("visitors", 422, visitor="<b>"))
    await shopper.post("/v1/erasures", {"visitor": visitor})
    assert "This visitor withdrew or was erased on 2026-11-18" in text_of(await desk.post("visitors", visitor=visitor))


async def test_an_order_tells_its_products_and_why_it_is_attributed(desk: Desk, shopper: Shopper) -> None:
    visitor = await filled(shopper)
    shown = text_of(await desk.get("orders?sale=S-1"))
    for part in ("Order S-1", "Revenue 7.5", visitor, "5 3 2.5", "Homepage - Trending", "Credited clicks"):
        assert part in shown
    assert "First missing step" in text_of(await desk.get("orders?sale=S-2"))
    assert "No order with this sale ID was logged" in text_of(await desk.get("orders?sale=nothing", 404))


async def test_a_sale_id_of_any_letters_leads_to_its_order(desk: Desk, shopper: Shopper) -> None:
    sale = "ä/ö?&=#%2F+ \"<b>'"
    await log(shopper, "sale", sale=sale, products=[1])
    [link] = re.findall(r'href="(orders\?sale=[^"]+)"', (await desk.get("orders")).text)
    assert f"Order {sale}" in html.unescape((await desk.get(html.unescape(link))).text)


async def test_receipts_are_found_by_visitor_and_by_their_own_id(desk: Desk, shopper: Shopper) -> None:
    answer = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    receipt = answer["receipt"]["receipt_id"]
    assert receipt in text_of(await desk.post("consent", visitor=answer["visitor"], receipt_id=""))
    assert receipt in text_of(await desk.post("consent", visitor="", receipt_id=receipt))
    assert "No receipt was found" in text_of(await desk.post("consent", visitor="unknown-1", receipt_id=""))
    assert "send a visitor ID, or receipt_id" in text_of(await desk.post("consent", 422, visitor="", receipt_id=""))


async def test_a_decision_is_previewed_with_its_trace_and_changes_nothing(desk: Desk, shopper: Shopper) -> None:
    call = {"consent": "refused", "client": {"region": "FR"}, "policy": "strict"}
    shown = text_of(await desk.post("consent", call=json.dumps(call)))
    assert "null , reason" in shown
    assert "Facts behind the decision Fact Value" in shown
    example = html.unescape(re.findall(r"<textarea[^>]*>(.*?)</textarea>", (await desk.get("consent")).text, re.S)[0])
    assert "persistent , reason" in text_of(await desk.post("consent", call=example))
    for wrong in ("", "{", "[]", '{"visitor": 7}', '{"visitor": "\\ud800"}', "[" * 3_000, '{"policy": "none"}'):
        await desk.post("consent", 422, call=wrong)


async def test_keys_are_told_apart_and_none_is_shown(desk: Desk) -> None:
    shown = await desk.get("keys")
    assert "public, for browsers" in shown.text
    assert not re.search("demo-p|other-p", shown.text)


@pytest.mark.parametrize("days", ["1", "7", "30", "90", "0", "x", "-1", "1e9"])
async def test_charts_and_table_tell_the_same_for_every_period(desk: Desk, shopper: Shopper, clock: Clock, days: str) -> None:
    """Whatever hour of the day it is: an order of the last 7 days is in both, or in neither."""
    await filled(shopper)
    clock.forward(7 * 86_400 - 4 * 3_600 if days == "7" else 60)
    await desk.sign_in()
    page = html.unescape((await desk.get(f"overview?days={days}")).text)
    charted = [sum(json.loads(lines).get("Homepage - Trending", [])) for lines in re.findall(r'data-lines="(.*?)"></figure>', page)]
    assert max(charted, default=0) == float(re.findall(r"<dt>Revenue of attributed orders</dt><dd>([0-9.]+) EUR</dd>", page)[0]) == 7.5


async def test_lines_of_a_chart_keep_their_order(desk: Desk, shopper: Shopper) -> None:
    """Modes as everywhere, labels by revenue."""
    await filled(shopper)
    await shopper.post("/v1/visitors", {"client": {"ip": "198.51.100.7", "user_agent": "Mozilla/5.0"}})
    page = html.unescape((await desk.get("overview")).text)
    assert list(json.loads(re.findall(r'data-lines="(.*?)"></figure>', page)[0])) == ["persistent", "cookieless"]


async def test_charts_start_at_what_exists_with_hours_for_a_day_and_days_for_a_month(desk: Desk, shopper: Shopper, clock: Clock) -> None:
    await filled(shopper)
    clock.forward(3 * 3_600)
    await desk.sign_in()
    for days, step, steps in ((1, 3_600, 4), (7, 86_400, 1), (30, 86_400, 1)):
        found = re.findall(r'data-times="(.*?)"', (await desk.get(f"overview?days={days}")).text)
        times = json.loads(found[-1])
        assert len(times) == steps
        assert all(later - earlier == step for earlier, later in pairwise(times))


# Long lists


async def test_orders_page_by_cursor_and_none_is_missed(desk: Desk, shopper: Shopper, clock: Clock) -> None:
    for number in range(120):
        await log(shopper, "sale", sale=number, products=[1])
        clock.forward(1)
    found, where = [], "orders"
    while where:
        page = (await desk.get(where)).text
        found += re.findall(r'href="orders\?sale=(\d+)"', page)
        where = html.unescape("".join(re.findall(r'rel="next" href="([^"]+)"', page)))
        assert 'href="orders">Newest' in page or len(found) == 50
    assert found == [str(number) for number in reversed(range(120))]
    assert "no more orders" in text_of(await desk.get(f"orders?cursor={'x' * 22}"))
    await desk.get("orders?cursor=x", 422)


async def test_products_page_by_cursor(desk: Desk, shopper: Shopper) -> None:
    await log(shopper, "sale", sale=1, products=list(range(100)))
    await log(shopper, "sale", sale=2, products=[f"text-{number}" for number in range(50)])
    first, second = (await desk.get("products")).text, (await desk.get("products?cursor=100")).text
    assert ("150 products were seen" in text_of(await desk.get("products")), first.count("<tr>"), second.count("<tr>")) == (True, 101, 51)
    assert 'rel="next" href="products?cursor=100"' in first
    assert 'rel="next"' not in second
    for odd in ("-1", "x", "9" * 30, "%C2%B2"):
        assert (await desk.get(f"products?cursor={odd}")).text == first


# Logs


async def test_the_log_is_filtered_by_call_and_outcome(desk: Desk, shopper: Shopper) -> None:
    await filled(shopper)

    async def rows(query: str) -> int:
        return (await desk.get(f"logs?{query}")).text.count("<tr><td>")

    assert [await rows(one) for one in ("", "call=log/sale", "outcome=error", "call=log/sale&outcome=ok", "call=&outcome=")] == [
        5,
        3,
        1,
        2,
        5,
    ]
    assert "No call matches this filter yet" in text_of(await desk.get("logs?call=log/basket/set"))
    page = (await desk.get("logs?outcome=error")).text
    assert 'sse-connect="logs/stream?outcome=error&amp;after=2026-11-18T11%3A06%3A40Z+1"' in page
    assert "<option selected>error</option>" in page


async def test_a_page_of_the_log_is_not_a_thousand_rows(desk: Desk, shopper: Shopper) -> None:
    for _ in range(250):
        await log(shopper, "search", query="shoes", visitor="v-1")
    first, second = await desk.get("logs"), await desk.get("logs?cursor=50")
    assert (first.text.count("<tr><td>"), second.text.count("<tr><td>")) == (200, 50)
    assert 'rel="next" href="logs?cursor=50"' in first.text
    assert ("sse-connect" in first.text, "sse-connect" in second.text) == (True, False)
    assert 'href="logs?call=log%2Fsearch&amp;cursor=50"' in (await desk.get("logs?call=log%2Fsearch")).text
    await log(shopper, "search", query="new", visitor="v-1")
    assert (await desk.get("logs?cursor=50")).text.count("<tr><td>") == 50
    assert (await desk.get("logs?cursor=x")).text.count("<tr><td>") == 200


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "EVERY", 0.01)


async def test_the_stream_brings_new_calls_the_first_of_all_too(
    desk: Desk, shopper: Shopper, application: Application, quick: None
) -> None:
    async with streaming(application, desk.cookie) as (seen, _):
        await seen.until(": still here")
        await log(shopper, "click", product=1, visitor="one", labels=["<b>Home</b>"])
        assert "<td>log/click</td>" in await seen.until("data: </tr>" if "data: </tr>" in seen.text else "</tr>")
        assert "&lt;b&gt;Home&lt;/b&gt;" in seen.text
        assert (seen.status, seen.text.count("event: entry")) == (200, 1)
        for _ in range(3):  # within one second, and alike
            await log(shopper, "click", product=1, visitor="one", labels=["<b>Home</b>"])
        await log(shopper, "search", query="end", visitor="one")
        assert (await seen.until("log/search")).count("event: entry") == 5
        assert seen.text.index("log/click") < seen.text.index("log/search")


async def test_a_stream_holds_to_its_filter(desk: Desk, shopper: Shopper, application: Application, quick: None) -> None:
    await log(shopper, "sale", sale=1, products=[1])
    async with streaming(application, desk.cookie, "call=log%2Fsale&outcome=ok") as (seen, _):
        await seen.until(": still here\n\n: still here")
        await log(shopper, "click", product=1, visitor="one")
        await shopper.post("/v2/log/sale", {"sale": 2, "products": "?"}, key="demo-public-key")
        await log(shopper, "sale", sale=3, products=[1])
        await seen.until("</tr>")
        assert (seen.text.count("event: entry"), seen.text.count("log/sale"), "log/click" in seen.text) == (1, 1, False)


async def test_a_stream_of_one_shop_is_silent_about_another(desk: Desk, shopper: Shopper, application: Application, quick: None) -> None:
    async with streaming(application, desk.cookie) as (seen, _):
        await seen.until(": still here")
        await log(shopper, "click", key="other-public-key", product=1, visitor="one", labels=["Theirs"])
        await log(shopper, "search", query="ours", visitor="one")
        assert "Theirs" not in await seen.until("log/search")


async def test_a_stream_ends_when_its_reader_leaves_and_in_any_case_after_a_while(
    desk: Desk, application: Application, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with streaming(application, desk.cookie) as (seen, task):
        await seen.until(": still here")
        seen.leaves.set()
        await asyncio.wait_for(task, 5)
    monkeypatch.setattr(stream, "LONGEST", 0.05)
    async with streaming(application, desk.cookie) as (_, task):
        await asyncio.wait_for(task, 5)


@pytest.mark.parametrize("before", [0, 1, 3])
async def test_a_stream_goes_on_where_the_last_one_ended(
    desk: Desk, shopper: Shopper, application: Application, quick: None, before: int, clock: Clock
) -> None:
    """What came while the browser connected again is shown, too, and nothing twice."""
    for _ in range(before):
        await log(shopper, "click", product=1, visitor="one")
    async with streaming(application, desk.cookie) as (seen, _):
        place = re.findall("id: (.*)", await seen.until("id: "))[-1]
    await log(shopper, "click", product=1, visitor="one")
    clock.forward(2)
    await log(shopper, "search", query="late", visitor="one")
    async with streaming(application, desk.cookie, last=place) as (seen, _):
        assert (await seen.until("id: ")).count("event: entry") == 2
    async with streaming(application, desk.cookie, f"after={quote(place)}") as (seen, _):
        assert (await seen.until("id: ")).count("event: entry") == 2
    for odd in ("x", "2026 x", " ", "9" * 50, "ä 1"):
        async with streaming(application, desk.cookie, last=odd) as (seen, _):
            assert "event: entry" not in await seen.until("id: ")


async def test_without_a_session_there_is_no_stream(desk: Desk, outside: Desk, clock: Clock) -> None:
    assert (await outside.get("logs/stream", 401)).content == b""
    clock.forward(3_600)
    assert "text/event-stream" not in (await desk.get("logs/stream", 401)).headers["content-type"]


async def test_a_stream_outlasts_a_store_that_is_away(application: Application, desk: Desk, quick: None) -> None:
    async with streaming(application, desk.cookie) as (seen, _):
        await seen.until(": still here")
        application.services.store.client.refuse("away")
        seen.text = ""
        await seen.until(": still here\n\n: still here")


async def test_a_session_has_four_streams_a_shop_eight_and_whoever_leaves_makes_room(application: Application, quick: None) -> None:
    async with desk_of(application) as one, desk_of(application) as two, desk_of(application) as three:
        for desk in (one, two, three):
            await desk.sign_in()
        async with AsyncExitStack() as held:

            async def opened(desk: Desk) -> int:
                seen, _ = await held.enter_async_context(streaming(application, desk.cookie))
                await seen.until_answered()
                return seen.status

            assert [await opened(one) for _ in range(5)] == [200] * 4 + [429]
            assert [await opened(two) for _ in range(4)] == [200] * 4
            assert await opened(three) == 429
        async with streaming(application, one.cookie) as (seen, _):
            await seen.until(": still here")


# Signing in and out


async def test_a_private_key_opens_a_short_closed_cookie_and_nothing_else_does(outside: Desk) -> None:
    answer = await outside.sign_in()
    assert (answer.status_code, answer.headers["location"]) == (303, "overview")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=demo:")
    assert cookie.endswith("; Max-Age=3600; Path=/; Secure; HttpOnly; SameSite=Strict")
    assert "demo-private-key" not in cookie


@pytest.mark.parametrize(
    ("key", "status", "text"),
    [
        ("wrong", 401, "This key is not known"),
        ("", 401, "This key is not known"),
        ("demo-private-key\0", 401, "This key is not known"),
        ("ä" * 1_000, 401, "This key is not known"),
        ("demo-public-key", 403, "This is a public key"),
        ("x" * 40_000, 413, "Send a body of at most"),
    ],
)
async def test_another_key_is_told_and_opens_nothing(outside: Desk, key: str, status: int, text: str) -> None:
    answer = await outside.sign_in(key)
    assert (answer.status_code, "set-cookie" in answer.headers) == (status, False)
    assert text in text_of(answer)
    assert not key or key not in answer.text
    assert signed_out(await outside.get("overview", 303))


async def test_a_key_is_taken_with_the_blanks_that_copying_adds(outside: Desk) -> None:
    assert (await outside.sign_in(" demo-private-key\n")).status_code == 303


async def test_keys_cannot_be_tried_faster_than_a_client_may_call(environment: dict[str, str], clock: Clock) -> None:
    limits = {"IDENTITY_LIMITS__ENABLED": "true", "IDENTITY_LIMITS__CLIENT_PER_SECOND": "1", "IDENTITY_LIMITS__BURST": "2"}
    application = Application(load("development", environment | limits), clock)
    async with desk_of(application) as outside:
        statuses = [(await outside.sign_in("wrong")).status_code for _ in range(4)]
    await application.services.store.client.close()
    assert (statuses[0], statuses[-1]) == (401, 429)


@pytest.mark.parametrize("page", READ)
async def test_without_a_session_every_page_leads_to_the_sign_in(outside: Desk, page: str) -> None:
    answer = await outside.get(page, 303)
    assert (answer.headers["location"], answer.content) == ("signin", b"")


@pytest.mark.parametrize("page", POSTED)
async def test_without_a_session_nothing_is_done(outside: Desk, shopper: Shopper, page: str) -> None:
    await filled(shopper)
    assert signed_out(await outside.post(page, 303, email=LUKE, confirmation=LUKE, form_token="x"))
    assert len(await shopper.visitors(email=LUKE)) == 1


async def test_a_part_of_a_page_leads_the_whole_page_to_the_sign_in(outside: Desk) -> None:
    assert (await outside.get("logs", 401, hx_request="true", **{"hx-request": "true"})).headers["hx-redirect"] == "signin?expired=1"


async def test_a_session_ends_after_an_hour_of_silence(desk: Desk, clock: Clock) -> None:
    clock.forward(3_599)
    await desk.get("keys")
    kept = desk.cookie
    desk.client.cookies.clear()
    clock.forward(3_600)
    answer = await desk.get("keys", 303, cookie=f"{COOKIE}={kept}")
    assert answer.headers["location"] == "signin?expired=1"
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert "Your session has ended" in text_of(await desk.get("signin?expired=1"))


async def test_a_session_is_renewed_while_it_is_used_and_its_forms_stay_good(desk: Desk, clock: Clock) -> None:
    for _ in range(6):
        clock.forward(1_200)
        assert COOKIE in (await desk.get("keys")).headers["set-cookie"]
    assert "set-cookie" not in (await desk.get("keys")).headers
    await desk.post("customers", email=LUKE)


async def test_a_session_of_the_future_is_none(desk: Desk, clock: Clock) -> None:
    clock.forward(-60)
    assert signed_out(await desk.get("keys", 303))


@pytest.mark.parametrize("after", [0, 700, 3_000])
async def test_signing_out_ends_it_however_long_it_has_lasted(desk: Desk, clock: Clock, after: int) -> None:
    clock.forward(after)
    answer = await desk.post("signout", 303)
    assert answer.headers["location"] == "signin"
    assert signed_out(await desk.get("keys", 303))


@pytest.mark.parametrize("keys", ["another-private-key", ""])
async def test_a_session_ends_with_its_key(desk: Desk, environment: dict[str, str], clock: Clock, keys: str) -> None:
    """The same secrets, but the shop's settings no longer hold the key as a private one."""
    changed = {"IDENTITY_SHOPS__DEMO__PRIVATE_KEYS": keys or "x", "IDENTITY_SHOPS__DEMO__PUBLIC_KEYS": "demo-private-key"}
    application = Application(load("development", environment | changed), clock)
    async with desk_of(application) as later:
        assert signed_out(await later.get("keys", 303, cookie=f"{COOKIE}={desk.cookie}"))
    await application.services.store.client.close()


async def test_a_session_is_of_one_shop_and_cannot_be_moved_or_made_up(desk: Desk, outside: Desk, shopper: Shopper) -> None:
    token = (await shopper.post("/v1/consents", {"consent": "granted"})).json()["token"]
    own = desk.cookie
    made_up = [own.replace("demo:", "other:"), own[:-1], own[:-1] + ("A" if own[-1] != "A" else "E"), own + "A", own.replace(".", "..", 1)]
    made_up += [token, "", ".", "a", "abcde", "a.b.c", "a.b.abcde", "demo:x:y", own.replace(":", ":x:", 1), "ä", "x" * 5_000, '"' + own[2:]]
    for text in made_up:
        answer = await outside.client.get("/admin/keys", headers=[(b"cookie", f"{COOKIE}={text}".encode("latin-1"))])
        assert signed_out(answer), text
    neighbours = f"{COOKIE}=abcde; {COOKIE}={own}; other=1"
    assert (await outside.get("keys", cookie=neighbours)).status_code == 200


async def test_two_shops_never_see_each_other(desk: Desk, outside: Desk, shopper: Shopper) -> None:
    visitor = await filled(shopper)
    await outside.sign_in("other-private-key")
    for page in READ:
        assert not re.search(f"S-1|Trending|blue-6|{visitor}|demo", (await outside.get(page)).text)
    assert "No visitor is linked" in text_of(await outside.post("customers", email=LUKE))
    assert "Nothing is stored about" in text_of(await outside.post("visitors", visitor=visitor))
    assert "No receipt was found" in text_of(await outside.post("consent", visitor=visitor, receipt_id=""))
    await outside.get("orders?sale=S-1", 404)
    assert (await outside.post("export", email=LUKE)).json() == {"visitors": [], "unproven": [], "orders": []}
    assert "0 visitors, 0 links and 0 events" in text_of(await outside.post("erasure", email=LUKE, confirmation=LUKE))
    assert len(await shopper.visitors(email=LUKE)) == 1


async def test_a_form_of_one_session_is_nothing_to_another(desk: Desk, outside: Desk) -> None:
    await outside.sign_in()
    await outside.post("customers", 403, email=LUKE, form_token=desk.token)


# Forms of somebody else

FORGED = [
    ({}, {"form_token": ""}),
    ({}, {"form_token": "wrong"}),
    ({}, {"form_token": "ä" * 22}),
    ({"origin": "https://evil.example"}, {}),
    ({"origin": "null"}, {}),
    ({"origin": ""}, {}),
    ({"origin": "http://[::1"}, {}),
    ({"origin": "https://service.test.evil.example"}, {}),
    ({"origin": "https://service.test:444"}, {}),
    ({"sec-fetch-site": "cross-site"}, {}),
    ({"sec-fetch-site": "same-site"}, {}),
    ({"sec-fetch-site": "none"}, {}),
]


@pytest.mark.parametrize("page", POSTED)
@pytest.mark.parametrize(("headers", "form"), FORGED)
async def test_a_forged_form_is_refused_and_nothing_is_done(
    desk: Desk, shopper: Shopper, page: str, headers: dict[str, str], form: dict[str, str]
) -> None:
    await filled(shopper)
    answer = await desk.post(page, 403, headers, **({"email": LUKE, "confirmation": LUKE} | form))
    assert LUKE not in answer.text
    assert len(await shopper.visitors(email=LUKE)) == 1
    assert (await desk.get("keys")).status_code == 200
    for link in re.findall(r'<p><a href="([^"]+)"', answer.text):
        await desk.get(link)


@pytest.mark.parametrize("headers", [one for one, _ in FORGED if one])
async def test_no_other_site_signs_anybody_in(outside: Desk, headers: dict[str, str]) -> None:
    answer = await outside.sign_in(**(OWN | headers))
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


@pytest.mark.parametrize("page", [*READ, "logs/stream"])
async def test_a_script_of_another_origin_reads_nothing_although_the_shop_lists_it(desk: Desk, shopper: Shopper, page: str) -> None:
    """A shop's page on a neighbouring host is the same site, so its requests carry the cookie."""
    answer = await desk.get(page, 403, **{"origin": "http://localhost:8080", "sec-fetch-site": "same-site", "sec-fetch-mode": "cors"})
    assert "demo" not in answer.text


async def test_a_form_without_its_origin_is_refused(desk: Desk) -> None:
    answer = await desk.client.post("/admin/customers", data={"form_token": desk.token, "email": LUKE})
    assert answer.status_code == 403


@pytest.mark.parametrize("page", [*POSTED, "overview", "orders", "logs/stream"])
async def test_other_methods_do_nothing(desk: Desk, page: str) -> None:
    for method in ("PUT", "DELETE", "PATCH"):
        assert (await desk.client.request(method, f"/admin/{page}", headers=OWN)).status_code == 405
    if page not in READ and page in POSTED:
        assert (await desk.client.get(f"/admin/{page}")).status_code == 405


# Headers, addresses, logs


@pytest.mark.parametrize("page", [*READ, "signin", "nothing-here", "orders?sale=nothing", "orders?cursor=x"])
async def test_every_page_is_closed_to_other_sites_and_caches(desk: Desk, outside: Desk, page: str) -> None:
    for one in (desk, outside):
        answer = await one.client.get(f"/admin/{page}")
        assert answer.headers["cache-control"] == "private, no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        if page != "nothing-here":
            assert answer.headers["content-security-policy"] == CSP
            assert answer.headers["cross-origin-opener-policy"] == "same-origin"
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
            assert answer.headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize("page", [*READ, "signin"])
async def test_a_page_holds_no_script_style_or_host_of_its_own(desk: Desk, shopper: Shopper, page: str) -> None:
    await filled(shopper)
    text = (await desk.get(page)).text
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:|https?://|=.//", text)
    assert ("htmx" in text) == (page == "logs")
    for file in re.findall(r'(?:src|href)="(static/[^"]+)"', text):
        answer = await desk.get(file)
        assert "max-age=" in answer.headers["cache-control"]
        assert "https://" not in answer.headers.get("link", "")


async def test_the_vendored_files_carry_their_licences(desk: Desk) -> None:
    from identity_service.web.pages import STATIC

    for file in (STATIC / "vendor").iterdir():
        if file.suffix in {".js", ".css"}:
            assert (STATIC / "vendor" / f"{file.name.partition('.')[0]}.LICENSE.txt").read_text().strip()


async def test_the_first_address_leads_on_relatively(outside: Desk) -> None:
    assert [(await outside.client.get(path)).headers["location"] for path in ("/admin", "/admin/")] == ["admin/overview", "overview"]


async def test_an_email_stands_in_no_address_no_redirect_and_no_log_line(
    desk: Desk, outside: Desk, shopper: Shopper, capsys: pytest.CaptureFixture[str]
) -> None:
    await filled(shopper)
    await asyncio.sleep(0)
    capsys.readouterr()
    answers = [await desk.post(page, email=LUKE) for page in ("customers", "orders", "rights", "export", "erasure")]
    answers += [await desk.post(page, 303, email=LUKE) for page in ("customers", "orders", "rights")]
    answers += [
        await desk.post("erasure", 422, email=LUKE, confirmation="x"),
        await desk.post("erasure", email=LUKE, confirmation=LUKE),
    ]
    answers.append(await outside.post("customers", 303, email=LUKE, form_token="x"))
    answers.append(await desk.post("customers", 403, email=LUKE, form_token="x"))
    answers += [await desk.get("logs"), await desk.get("overview")]
    await asyncio.sleep(0)
    told = capsys.readouterr()
    lines = [json.loads(line) for line in told.err.splitlines()]
    for answer in answers:
        assert "luke" not in str(answer.url) + str(answer.headers)
        assert not re.search(r'(?:href|action|src)="[^"]*(?:luke|@|%40)', answer.text)
    assert "luke" not in told.out + told.err
    pages = ("customers", "orders", "rights", "certificate", "export", "erasure", "logs", "overview")
    assert {line["route"] for line in lines} == {f"/admin/{name}" for name in pages}


# Export and erasure


async def test_an_export_is_a_file_of_everything_held(desk: Desk, shopper: Shopper) -> None:
    visitor = await filled(shopper)
    for form in ({"email": LUKE}, {"email": LUKE, "customer": ""}, {"visitor": visitor}):
        answer = await desk.post("export", **form)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["content-disposition"] == 'attachment; filename="export.json"'
        assert answer.headers["content-security-policy"] == CSP
        assert answer.json() == (await shopper.post("/v1/exports", {name: value for name, value in form.items() if value})).json()
    await desk.post("export", 422)


async def held(shopper: Shopper, visitor: str) -> tuple[Any, Any]:
    return await shopper.visitors(email=LUKE), (await shopper.post("/v1/exports", {"visitor": visitor})).json()


@pytest.mark.parametrize("typed", ["", " ", "x", LEIA, "luke@skywalker.co", "null", "\0", "*"])
@pytest.mark.parametrize("by", ["email", "visitor"])
async def test_a_wrong_confirmation_changes_nothing(desk: Desk, shopper: Shopper, typed: str, by: str) -> None:
    visitor = await filled(shopper)
    before = await held(shopper, visitor)
    answer = await desk.post("erasure", 422, **{by: LUKE if by == "email" else visitor}, confirmation=typed)
    assert "so nothing was erased" in text_of(answer)
    assert await held(shopper, visitor) == before


@pytest.mark.parametrize("typed", [LUKE, " LUKE@skywalker.com "])
async def test_what_is_shown_goes_once_the_email_is_typed_again(desk: Desk, shopper: Shopper, typed: str) -> None:
    visitor = await filled(shopper)
    await shopper.post("/v1/links", {"email": LUKE, "visitor": "shared-1"})
    await shopper.post("/v1/links", {"email": LEIA, "visitor": "shared-1"})
    await log(shopper, "email", email=LUKE, visitor="somebodys")
    shown = text_of(await desk.post("erasure", email=LUKE))
    for row in ("Visitors 1 2 go", "Links 3 3 go", "Events 3 3 go", "Orders 1 1 stay", "Consent receipts 1 1 stay"):
        assert row in shown
    assert "Shared visitors 1 1 lose the link" in shown
    assert "Visitors without proof 1 0 lose the link" in shown
    assert len(await shopper.visitors(email=LUKE)) == 3
    gone = text_of(await desk.post("erasure", email=LUKE, confirmation=typed))
    assert "1 visitor, 3 links and 3 events were erased" in gone
    assert "1 visitor lost only the link, because another email or customer ID is linked with proof." in gone
    assert "1 visitor lost only the link, because nothing proves whose it is." in gone
    assert "the email, customer ID and visitor in 1 order; the orders themselves stay" in gone
    assert "1 consent receipt kept as proof. Receipts name nobody." in gone
    assert await shopper.visitors(email=LUKE) == []
    assert [one["visitor"] for one in await shopper.visitors(email=LEIA)] == ["shared-1"]
    assert "erased" in text_of(await desk.post("visitors", visitor=visitor))
    assert "S-1" in (await desk.get("orders")).text


async def test_orders_of_a_visitor_that_goes_whole_are_counted_too(desk: Desk, shopper: Shopper) -> None:
    """They name the person by the visitor alone."""
    await log(shopper, "sale", sale="by-visitor", products=[1], visitor="one")
    await shopper.post("/v1/links", {"email": LUKE, "visitor": "one"})
    assert "Orders 1 stay" in text_of(await desk.post("erasure", email=LUKE))
    assert "the email, customer ID and visitor in 1 order" in text_of(await desk.post("erasure", email=LUKE, confirmation=LUKE))
    assert "Visitor none" in text_of(await desk.get("orders?sale=by-visitor"))


async def test_a_visitor_is_erased_by_its_id_typed_letter_for_letter(desk: Desk, shopper: Shopper) -> None:
    visitor = await filled(shopper)
    shown = text_of(await desk.post("erasure", visitor=visitor))
    assert all(row in shown for row in ("Visitors 1 go", "Links 1 go", "Events 3 go"))
    await desk.post("erasure", 422, visitor=visitor, confirmation=visitor.swapcase())
    assert "1 visitor, 1 link and 3 events were erased" in text_of(await desk.post("erasure", visitor=visitor, confirmation=f" {visitor} "))
    assert await held(shopper, visitor) == ([], {"visitors": [], "unproven": [], "orders": []})


async def test_a_customer_is_erased_by_its_id(desk: Desk, shopper: Shopper) -> None:
    await shopper.post("/v1/links", {"customer": "1234", "visitor": "one"})
    await desk.post("erasure", 422, customer="1234", confirmation="12345")
    await desk.post("erasure", customer="1234", confirmation="1234")
    assert await shopper.visitors(customer="1234") == []


@pytest.mark.parametrize(
    "form", [{}, {"email": ""}, {"email": LUKE, "visitor": "one"}, {"email": "x"}, {"visitor": "<b>"}, {"customer": "\0"}]
)
@pytest.mark.parametrize("confirmed", [{}, {"confirmation": "x"}, {"confirmation": LUKE}])
async def test_an_erasure_of_nobody_is_refused(desk: Desk, form: dict[str, str], confirmed: dict[str, str]) -> None:
    await desk.post("erasure", 422, **form, **confirmed)


# What goes wrong


async def test_while_the_store_is_away_every_page_and_the_sign_in_say_so(application: Application, desk: Desk) -> None:
    application.services.store.client.refuse("away")
    answers = [await desk.get(page, 503) for page in READ]
    answers += [await desk.post(one, 503, email=LUKE) for one in ("customers", "orders", "rights", "export", "erasure")]
    answers += [await desk.post("visitors", 503, visitor="one"), await desk.post("sessions", 503), await desk.post("signout", 503)]
    again = await desk.sign_in()
    assert again.status_code == 503
    assert "Repeat the call" in text_of(again)
    for one in answers:
        assert "The store cannot be reached" in text_of(one)
        assert "Traceback" not in one.text
        assert one.headers["retry-after"] == "1"


ODD = [
    "\0",
    "\ud800",
    "ä" * 300,
    "x" * 2_000,
    "{{7*7}}",
    "<img src=x>",
    "%00",
    "' OR 1=1 --",
    "\u202e",
    "𝒳",
    "\r\nset-cookie: a=b",
    "[object Object]",
]


@pytest.mark.parametrize("odd", ODD, ids=ascii)
async def test_odd_input_is_answered_and_never_a_fault(desk: Desk, odd: str) -> None:
    raw = odd.encode("utf-8", "surrogatepass")
    names = ("email", "customer", "visitor", "receipt_id", "call", "confirmation", "private_key")
    encoded = "".join(f"%{byte:02X}" for byte in raw)
    with structlog.testing.capture_logs() as lines:
        for page in [*POSTED, "signin"]:
            for name in names:
                body = f"form_token={desk.token}&{name}={encoded}"
                answer = await desk.client.post(f"/admin/{page}", content=body, headers=OWN | {"content-type": FORM})
                assert answer.status_code < 500, (page, name)
                assert "49" not in text_of(answer) or odd != "{{7*7}}"
            await desk.sign_in()
        for page in READ:
            for name in ("days", "cursor", "sale", "call", "outcome"):
                assert (await desk.client.get(f"/admin/{page}?{name}={encoded}")).status_code < 500, (page, name)
    assert not [line for line in lines if line["event"] == "fault"]


FORM = "application/x-www-form-urlencoded"
BODIES = [
    (b"", FORM, 403),
    (b"form_token", FORM, 403),
    (b"&&&===", FORM, 403),
    (b"form_token=%ff", FORM, 400),
    (b"\xff\xfe", FORM, 400),
    (b"{}", "application/json", 400),
    (b"form_token=x", "text/plain", 400),
    (b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x", 415),
    (b"a=b&" * 8_000, FORM, 403),
    (b"x" * 40_000, FORM, 413),
]


@pytest.mark.parametrize(("body", "media", "status"), BODIES)
async def test_a_body_that_is_no_form_of_ours_is_told_as_what_it_is(desk: Desk, body: bytes, media: str, status: int) -> None:
    for page in POSTED:
        answer = await desk.client.post(f"/admin/{page}", content=body, headers=OWN | {"content-type": media})
        assert answer.status_code == status
        assert 'role="alert"' in answer.text


async def test_a_field_sent_twice_counts_once(desk: Desk, shopper: Shopper) -> None:
    visitor = await filled(shopper)
    body = f"form_token={desk.token}&form_token={desk.token}&email=x%40example.com&email={LUKE}&confirmation={LUKE}&confirmation=x"
    answer = await desk.client.post("/admin/erasure", content=body, headers=OWN | {"content-type": FORM})
    assert answer.status_code == 422
    assert (await held(shopper, visitor))[0]


async def test_markup_is_shown_as_text_on_every_page(desk: Desk, shopper: Shopper) -> None:
    markup = "<img src=x onerror=hacked=1>\"'{{7*7}}</textarea><script>"
    await log(shopper, "click", product=markup, visitor="one", labels=[markup])
    await log(shopper, "search", query=markup, visitor="one")
    await log(shopper, "sale", sale=markup, products=[{"id": markup, "price": 1}], visitor="one", customer=markup)
    pages = [await desk.get(page) for page in READ]
    pages += [await desk.get("orders?sale=" + re.sub(".", lambda one: f"%{ord(one[0]):02X}", markup)), await desk.get("logs?call=<script>")]
    pages += [await desk.post("visitors", visitor="one"), await desk.post("customers", customer=markup)]
    pages += [await desk.post("visitors", 422, visitor=markup), await desk.post("customers", 422, email=markup)]
    pages += [await desk.post("consent", 422, call=markup), await desk.post("erasure", customer=markup)]
    for page in pages:
        assert not re.search('<img|<script>|onerror=hacked=1>"|{{49|>49<', page.text)


async def test_long_lists_of_a_customer_and_of_a_visitor_come_in_parts(desk: Desk, shopper: Shopper) -> None:
    for number in range(130):
        await shopper.post("/v1/links", {"email": "many@example.org", "visitor": f"own-{number}"})
        await shopper.post("/v2/log/sale", {"sale": f"sale-{number}", "products": [1], "visitor": "buyer"})
    for page, named, row in (
        ("customers", {"email": "many@example.org"}, r"<code>(own-\d+)<"),
        ("rights", {"email": "many@example.org"}, r"<td[^>]*><span class=\"id\"><code>(own-\d+)<"),
        ("visitors", {"visitor": "buyer"}, r">(sale-\d+)</a>"),
    ):
        parts = [(await desk.post(page, **named)).text]
        while more := re.findall(r'rel="next" href="([^"]+)"', parts[-1]):
            parts.append((await desk.get(html.unescape(more[0]))).text)
        rows = [re.findall(row, part) for part in parts]
        assert [len(one) for one in rows] == ([50, 50, 30] if page == "visitors" else [100, 30])
        assert len({one for part in rows for one in part}) == 130
