"""Modes beyond the table of decisions: transitions, windows, the two cookies, and a lost store."""

from typing import Any

import httpx2 as httpx
import pytest
import redis

from identity_service.app import Application
from identity_service.settings.load import load
from tests.conftest import START, Clock, Shopper

pytestmark = pytest.mark.anyio
DAY = 86_400
MIDNIGHT = START - START % DAY + DAY
FRENCH = {"ip": "198.51.100.9", "user_agent": "Mozilla/5.0 (Macintosh) Safari/605", "region": "FR"}
GRANTED = {"purposes": {"storage": "granted", "measurement": "granted"}}
CLEARED = "__Host-visitor=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax"
REFUSED = f"__Host-visitor-choice=refused.{int(START) // 60}; Max-Age=34560000; Path=/; Secure; HttpOnly; SameSite=Lax"
FORGOTTEN = "__Host-visitor-choice=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax"


def told(answer: httpx.Response) -> tuple[str, str]:
    assert answer.status_code == 200, answer.text
    return answer.json()["mode"], answer.json()["decision"]["reason"]


def cookies(answer: httpx.Response) -> list[str]:
    return answer.headers.get_list("set-cookie")


async def issued(shopper: Shopper, **body: Any) -> dict[str, Any]:
    answer = await shopper.post("/v1/visitors", body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def fault(shopper: Shopper, token: str) -> str | None:
    reason: str | None = (await shopper.post("/v1/verifications", {"token": token})).json().get("reason")
    return reason


async def test_an_absent_visitor_is_not_a_null_one(shopper: Shopper) -> None:
    assert (await issued(shopper))["mode"] == "cookieless"
    assert (await issued(shopper, visitor=None))["mode"] == "null"


async def test_null_has_neither_id_nor_token_nor_end(shopper: Shopper) -> None:
    answer = await issued(shopper, visitor=None)
    assert (answer["visitor"], answer["token"], answer["expires_at"], answer["linkable"]) == (None, None, None, False)


async def test_a_null_consent_or_token_or_client_is_an_absent_one(shopper: Shopper) -> None:
    assert told(await shopper.post("/v1/visitors", {"consent": None, "token": None, "client": None})) == ("cookieless", "no_signal")


async def test_tokens_tell_how_their_id_came_to_be(shopper: Shopper) -> None:
    bodies: tuple[dict[str, Any], ...] = ({"client": FRENCH}, {}, {"visitor": "own-id"}, {"consent": "granted"})
    kinds = [(await issued(shopper, **body))["token"][:3] for body in bodies]
    assert kinds == ["1d.", "1c.", "1c.", "1p."]


async def test_tokens_have_at_most_120_characters(shopper: Shopper) -> None:
    answer = await issued(shopper, visitor="x" * 64, consent="granted")
    assert len(answer["token"]) <= 120
    assert await fault(shopper, answer["token"]) is None


async def test_own_ids_are_compared_byte_for_byte(shopper: Shopper) -> None:
    await shopper.post("/v1/links", {"email": "a@example.com", "visitor": "Own-Id"})
    assert await shopper.visitors(visitor="own-id") == []
    assert len(await shopper.visitors(visitor="Own-Id")) == 1


async def test_one_device_is_one_derived_id_and_shops_share_none(shopper: Shopper) -> None:
    first, again = await issued(shopper, client=FRENCH), await issued(shopper, client=FRENCH)
    other = (await shopper.post("/v1/visitors", {"client": FRENCH}, key="other-private-key")).json()
    neighbour = await issued(shopper, client=FRENCH | {"ip": "198.51.100.10"})
    browser = await issued(shopper, client=FRENCH | {"user_agent": "Mozilla/5.0 (X11) Firefox/140"})
    assert first["visitor"] == again["visitor"]
    assert len({one["visitor"] for one in (first, other, neighbour, browser)}) == 4


async def test_an_ipv6_device_is_known_by_its_64_bits(shopper: Shopper) -> None:
    first = await issued(shopper, client=FRENCH | {"ip": "2001:db8:1:2::1"})
    moved = await issued(shopper, client=FRENCH | {"ip": "2001:db8:1:2:ffff::9"})
    other = await issued(shopper, client=FRENCH | {"ip": "2001:db8:1:3::1"})
    assert first["visitor"] == moved["visitor"] != other["visitor"]


async def test_a_servers_own_address_derives_nothing(shopper: Shopper) -> None:
    first = (await shopper.post("/v1/visitors", key="demo-public-key", user_agent="Mozilla/5.0 shop server")).json()
    second = (await shopper.post("/v1/visitors", key="demo-public-key", user_agent="Mozilla/5.0 shop server")).json()
    assert first["token"].startswith("1c.")
    assert first["visitor"] != second["visitor"]


@pytest.mark.parametrize("header", [{"sec-gpc": "1"}, {"dnt": "1"}])
async def test_a_browsers_own_opt_out_counts_for_both_policies(shopper: Shopper, header: dict[str, str]) -> None:
    assert told(await shopper.browser("/v1/visitors", **header)) == ("cookieless", "opted_out")
    strict = await shopper.browser("/v1/visitors", key="strict-public-key", cookie="__Host-visitor=x", **header)
    assert told(strict) == ("null", "opted_out")
    assert cookies(strict) == [CLEARED]


@pytest.mark.parametrize("header", [{"sec-gpc": "0"}, {"sec-gpc": "true"}, {"dnt": "0"}, {"dnt": "unspecified"}, {"dnt": "null"}])
async def test_any_other_value_of_an_opt_out_header_is_no_signal(shopper: Shopper, header: dict[str, str]) -> None:
    answer = await shopper.browser("/v1/visitors", **header)
    assert told(answer) == ("cookieless", "no_signal")
    assert answer.json()["sale_share_opt_out"] is False


async def test_gpc_opts_out_of_sale_and_dnt_does_not(shopper: Shopper) -> None:
    assert (await issued(shopper, client={"gpc": True}))["sale_share_opt_out"] is True
    assert (await issued(shopper, client={"dnt": True}))["sale_share_opt_out"] is False
    assert (await issued(shopper, client={"gpc": True}, consent="granted"))["sale_share_opt_out"] is True


async def test_under_strict_dnt_after_a_grant_withdraws_it(shopper: Shopper) -> None:
    key = "strict-private-key"
    token = (await shopper.post("/v1/consents", {"consent": "granted"}, key=key)).json()["token"]
    answer = await shopper.post("/v1/visitors", {"token": token, "client": {"dnt": True}}, key=key)
    assert told(answer) == ("null", "consent_refused")
    assert CLEARED in cookies(answer)
    again = await shopper.post("/v1/visitors", {"token": token}, key=key)
    assert told(again) == ("null", "withdrawn")


@pytest.mark.parametrize("agent", ["Googlebot/2.1", "curl/8.5", "Mozilla/5.0 HeadlessChrome/126", "Mediapartners-Google"])
async def test_a_bot_gets_no_id_and_loses_nothing(shopper: Shopper, database: redis.Redis, agent: str) -> None:
    token = (await issued(shopper, consent="granted"))["token"]
    before = sorted(database.scan_iter())
    for body in ({}, {"visitor": None}, {"visitor": "auto"}, {"consent": "granted"}):
        answer = await shopper.post("/v1/visitors", {"client": {"user_agent": agent}} | body, cookie=f"__Host-visitor={token}")
        assert told(answer) == ("null", "bot")
        assert cookies(answer) == []
    assert sorted(database.scan_iter()) == before
    assert await fault(shopper, token) is None


@pytest.mark.parametrize("agent", ["okhttp/4.12.0", "Shop/5.1 CFNetwork/1410.0.3 Darwin/22.6.0", "Dart/3.2 (dart:io)", "axios/1.6.2"])
async def test_a_person_who_uses_an_app_is_no_bot(shopper: Shopper, agent: str) -> None:
    client = {"ip": "198.51.100.9", "user_agent": agent}
    assert told(await shopper.post("/v1/visitors", {"client": client})) == ("cookieless", "no_signal")
    assert told(await shopper.post("/v1/consents", {"consent": "granted", "client": client})) == ("persistent", "consent_granted")


@pytest.mark.parametrize("header", [{"sec-purpose": "prefetch"}, {"sec-purpose": "prefetch;prerender"}, {"purpose": "prefetch"}])
async def test_a_prefetched_page_is_seen_by_nobody(shopper: Shopper, header: dict[str, str]) -> None:
    answer = await shopper.browser("/v1/visitors", {"consent": "granted"}, **header)
    assert told(answer) == ("null", "bot")
    assert cookies(answer) == []


async def test_a_private_key_is_no_bot_itself(shopper: Shopper) -> None:
    assert told(await shopper.post("/v1/visitors", user_agent="python-httpx/1.0")) == ("cookieless", "no_signal")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"consent": "refused"}, "consent_refused"),
        ({"visitor": None}, "visitor_disabled"),
        ({"visitor": "auto"}, "no_signal"),
        ({"visitor": "auto", "consent": "granted"}, "requested_cookieless"),
        ({"visitor": "auto", "client": {"gpc": True}}, "opted_out"),
    ],
)
async def test_the_cookie_is_cleared_though_no_cookie_was_sent(shopper: Shopper, body: dict[str, Any], reason: str) -> None:
    answer = await shopper.post("/v1/visitors", body)
    assert told(answer)[1] == reason
    assert CLEARED in cookies(answer)


@pytest.mark.parametrize(
    "body", [{}, {"consent": "unknown"}, {"consent": {"google": {}}}, {"client": {"gpc": True}}, {"visitor": "own-id"}, {"client": FRENCH}]
)
async def test_the_cookie_is_never_touched_where_nothing_was_chosen(shopper: Shopper, body: dict[str, Any]) -> None:
    assert cookies(await shopper.post("/v1/visitors", body)) == []


async def test_the_cookie_is_cleared_with_the_words_that_set_it(environment: dict[str, str], clock: Clock) -> None:
    named = {"IDENTITY_SHOPS__DEMO__COOKIE_NAME": "__Secure-visitor", "IDENTITY_SHOPS__DEMO__COOKIE_DOMAIN": "shop.example"}
    application = Application(load("development", environment | named), clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://service.test") as client:
        shopper = Shopper(client)
        granted = await shopper.post("/v1/visitors", {"consent": "granted"})
        cleared = await shopper.post("/v1/visitors", {"visitor": None})
    await application.services.store.client.close()
    words = "Path=/; Domain=shop.example; Secure; HttpOnly; SameSite=Lax"
    assert cookies(granted)[0] == f"__Secure-visitor={granted.json()['token']}; Max-Age={390 * DAY}; {words}"
    assert cookies(cleared) == [f"__Secure-visitor=; Max-Age=0; {words}"]


async def test_the_cookie_is_renewed_only_when_due(shopper: Shopper, environment: dict[str, str], clock: Clock) -> None:
    token = (await issued(shopper, consent="granted"))["token"]
    clock.forward(10 * DAY)
    assert cookies(await shopper.post("/v1/visitors", {}, cookie=f"__Host-visitor={token}")) == []
    keys = "development-only-signing-key-of-the-demo-shops-0001,development-only-signing-key-of-the-demo-shops-0002"
    rotated = Application(load("development", environment | {"IDENTITY_SECRETS__SIGNING_KEYS": keys}), clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(rotated), base_url="http://service.test") as client:
        answer = await Shopper(client).post("/v1/visitors", {}, cookie=f"__Host-visitor={token}")
    await rotated.services.store.client.close()
    assert told(answer) == ("persistent", "consent_granted")
    assert answer.json()["token"] != token
    assert cookies(answer)[0].startswith(f"__Host-visitor={answer.json()['token']}; Max-Age={380 * DAY};")


async def test_a_token_in_the_body_outranks_the_cookie(shopper: Shopper) -> None:
    first, second = await issued(shopper, consent="granted"), await issued(shopper, consent="granted")
    answer = await shopper.post("/v1/visitors", {"token": first["token"]}, cookie=f"__Host-visitor={second['token']}")
    assert answer.json()["visitor"] == first["visitor"]


async def test_of_two_cookies_of_one_name_the_living_one_counts(shopper: Shopper) -> None:
    living = await issued(shopper, consent="granted")
    dead = await issued(shopper, consent="granted")
    await issued(shopper, token=dead["token"], consent="refused")
    answer = await shopper.post("/v1/visitors", {}, cookie=f"__Host-visitor={dead['token']}; __Host-visitor={living['token']}")
    assert answer.json()["visitor"] == living["visitor"]


@pytest.mark.parametrize("token", ["", "junk", "1p.abc.def.ghi", "\u0000", "é" * 20])
async def test_a_token_that_we_did_not_sign_is_no_signal(shopper: Shopper, token: str) -> None:
    assert told(await shopper.post("/v1/visitors", {"token": token})) == ("cookieless", "no_signal")


async def test_an_expired_grant_is_no_signal_and_gives_another_id(shopper: Shopper, clock: Clock) -> None:
    granted = await issued(shopper, consent="granted")
    clock.forward(390 * DAY)
    answer = await shopper.post("/v1/visitors", {"token": granted["token"]})
    assert told(answer) == ("cookieless", "no_signal")
    assert answer.json()["visitor"] != granted["visitor"]


async def test_a_withdrawn_token_never_becomes_that_visitor_again(shopper: Shopper, clock: Clock) -> None:
    granted = await issued(shopper, consent="granted")
    await issued(shopper, token=granted["token"], consent="refused")
    for body in ({}, {"visitor": "persistent"}, {"visitor": "auto"}):
        assert (await issued(shopper, token=granted["token"], **body))["visitor"] != granted["visitor"]
    clock.forward(60)
    state = await issued(shopper, token=granted["token"], consent="granted")
    assert (state["mode"], state["decision"]["reason"]) == ("null", "withdrawn")
    anew = (await shopper.post("/v1/consents", {"token": granted["token"], "consent": "granted"})).json()
    assert anew["mode"] == "persistent"
    assert anew["visitor"] != granted["visitor"]


async def test_auto_with_the_token_from_before_the_grant_hands_out_no_withdrawn_id(shopper: Shopper) -> None:
    before = await issued(shopper)
    await shopper.post("/v1/consents", {"token": before["token"], "consent": "granted"})
    after = await issued(shopper, token=before["token"], visitor="auto")
    assert await fault(shopper, before["token"]) == "withdrawn"
    assert after["visitor"] != before["visitor"]
    assert after["token"] is None or await fault(shopper, after["token"]) is None


async def test_a_refusal_withdraws_the_id_it_names_and_no_other(shopper: Shopper) -> None:
    derived = await issued(shopper, client=FRENCH)
    granted = await issued(shopper, consent="granted")
    await issued(shopper, client=FRENCH, token=granted["token"], consent="refused")
    assert await fault(shopper, granted["token"]) == "withdrawn"
    assert await fault(shopper, derived["token"]) is None


async def test_a_refusal_by_own_id_withdraws_its_links(shopper: Shopper) -> None:
    await shopper.post("/v1/links", {"email": "a@example.com", "visitor": "own-id"})
    assert told(await shopper.post("/v1/visitors", {"visitor": "own-id", "consent": "refused"})) == ("null", "consent_refused")
    assert await shopper.visitors(email="a@example.com") == []
    assert (await shopper.post("/v1/links", {"email": "a@example.com", "visitor": "own-id"})).status_code == 409


async def test_a_marked_derived_id_is_handed_out_to_nobody_for_the_whole_window(shopper: Shopper, clock: Clock) -> None:
    first = await issued(shopper, client=FRENCH)
    await issued(shopper, client=FRENCH, consent="refused")
    clock.now = MIDNIGHT - 1
    for body in ({}, {"visitor": "auto"}, {"token": first["token"]}):
        assert told(await shopper.post("/v1/visitors", {"client": FRENCH} | body)) == ("null", "withdrawn")
    device = {"ip": FRENCH["ip"], "user_agent": FRENCH["user_agent"]}
    assert told(await shopper.post("/v1/visitors", {"client": device})) == ("null", "withdrawn")
    clock.now = MIDNIGHT
    assert told(await shopper.post("/v1/visitors", {"client": FRENCH})) == ("cookieless", "no_signal")


async def test_a_refusal_of_another_device_marks_nothing_here(shopper: Shopper) -> None:
    first = await issued(shopper, client=FRENCH)
    await issued(shopper, client=FRENCH | {"ip": "198.51.100.77"}, consent="refused")
    assert (await issued(shopper, client=FRENCH))["visitor"] == first["visitor"]


async def test_the_refusal_cookie_is_set_by_a_refusal_and_left_alone_otherwise(shopper: Shopper) -> None:
    assert REFUSED in cookies(await shopper.post("/v1/visitors", {"consent": "refused"}))
    for body in ({"visitor": None}, {"visitor": "auto"}, {"client": {"gpc": True}}, {"consent": "unknown"}):
        assert not any("visitor-choice" in one for one in cookies(await shopper.post("/v1/visitors", body)))
    for cookie in ("visitor-choice=refused", REFUSED.partition(";")[0]):
        repeated = await shopper.post("/v1/visitors", {}, cookie=f"{cookie}; __Host-visitor=old")
        assert told(repeated) == ("null", "consent_refused")
        assert cookies(repeated) == [CLEARED]


@pytest.mark.parametrize("cookie", ["visitor-choice=granted", "visitor-choice=", "visitor-choice=REFUSED", "xvisitor-choice=refused"])
async def test_another_cookie_is_no_refusal(shopper: Shopper, cookie: str) -> None:
    assert told(await shopper.post("/v1/visitors", {}, cookie=cookie)) == ("cookieless", "no_signal")


async def test_a_browser_may_refuse_from_an_unlisted_servers_side_too(shopper: Shopper) -> None:
    assert told(await shopper.post("/v1/visitors", {"consent": "refused"}, key="demo-public-key")) == ("null", "consent_refused")


async def test_a_chosen_id_outlives_its_window_only_with_a_grant(shopper: Shopper, clock: Clock) -> None:
    chosen = await issued(shopper)
    clock.forward(DAY - 2)
    assert (await issued(shopper, token=chosen["token"]))["visitor"] == chosen["visitor"]
    clock.forward(2)
    assert (await issued(shopper, token=chosen["token"]))["visitor"] != chosen["visitor"]
    assert await fault(shopper, chosen["token"]) == "expired"


async def test_a_derived_id_ends_with_its_window(shopper: Shopper, clock: Clock) -> None:
    clock.now = MIDNIGHT - 3_600
    derived = await issued(shopper, client=FRENCH)
    assert derived["expires_at"].endswith("T00:00:00Z")
    clock.now = MIDNIGHT + 1_800
    assert await fault(shopper, derived["token"]) == "expired"
    assert (await issued(shopper, client=FRENCH))["visitor"] != derived["visitor"]


async def test_activity_carries_a_session_for_thirty_minutes_and_no_longer(shopper: Shopper, clock: Clock) -> None:
    clock.now = MIDNIGHT - 60
    derived = await issued(shopper, client=FRENCH)
    await shopper.post("/v2/log/click", {"product": 1, "visitor": derived["token"]})
    clock.now = MIDNIGHT + 1_600
    assert (await issued(shopper, client=FRENCH))["visitor"] == derived["visitor"]
    clock.now = MIDNIGHT + 1_800
    assert (await issued(shopper, client=FRENCH))["visitor"] != derived["visitor"]


async def test_windows_last_as_many_days_as_the_shop_says(environment: dict[str, str], clock: Clock) -> None:
    application = Application(load("development", environment | {"IDENTITY_SHOPS__DEMO__WINDOW_DAYS": "30"}), clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://service.test") as client:
        shopper = Shopper(client)
        clock.now = START - START % (30 * DAY)
        first = await issued(shopper, client=FRENCH)
        clock.forward(30 * DAY - 1)
        last = await issued(shopper, client=FRENCH)
        clock.forward(1)
        after = await issued(shopper, client=FRENCH)
    await application.services.store.client.close()
    assert first["visitor"] == last["visitor"] != after["visitor"]


async def test_persistent_on_request_is_the_shops_word_and_not_the_persons(shopper: Shopper) -> None:
    answer = await shopper.post("/v1/visitors", {"visitor": "persistent"}, cookie="visitor-choice=refused")
    assert told(answer) == ("null", "consent_refused")
    token = (await issued(shopper, consent="granted"))["token"]
    await issued(shopper, token=token, consent="refused")
    assert told(await shopper.post("/v1/visitors", {"visitor": "persistent", "token": token})) == ("null", "withdrawn")
    await issued(shopper, visitor="own-id", consent="refused")
    assert told(await shopper.post("/v1/visitors", {"visitor": "own-id"})) == ("null", "withdrawn")


async def test_persistent_ids_expire_390_days_after_the_choice(shopper: Shopper, clock: Clock) -> None:
    decided = await issued(shopper, consent=GRANTED | {"decided_at": "2026-11-01T00:00:00Z"})
    assert decided["expires_at"] == "2027-11-26T00:00:00Z"
    clock.forward(300 * DAY)
    assert (await issued(shopper, token=decided["token"]))["expires_at"] == "2027-11-26T00:00:00Z"


async def test_after_null_nothing_of_the_visitor_is_left(shopper: Shopper, database: redis.Redis) -> None:
    granted = await issued(shopper, consent="granted")
    await shopper.post("/v1/links", {"email": "a@example.com", "token": granted["token"]})
    await shopper.post("/v2/log/click", {"product": 1, "visitor": granted["token"]})
    await issued(shopper, token=granted["token"], visitor=None)
    assert await shopper.visitors(email="a@example.com") == await shopper.visitors(visitor=granted["visitor"]) == []
    left = [str(key) for key in database.scan_iter("id:v2:{*}:V:*")]
    assert [key.rpartition(":")[2] for key in left] == ["gone"]
    assert list(database.scan_iter("id:v2:{*}:E:*")) == []


async def test_without_the_store_a_cookieless_token_still_works(shopper: Shopper, cut_off: Shopper) -> None:
    for chosen in (await issued(shopper), await issued(shopper, visitor="own-id")):
        answer = await cut_off.post("/v1/visitors", {"token": chosen["token"]})
        assert told(answer) == ("cookieless", "no_signal")
        assert answer.json()["visitor"] == chosen["visitor"]


@pytest.mark.parametrize("body", [{}, {"visitor": "persistent"}, {"consent": "granted"}, {"client": FRENCH}])
async def test_without_the_store_a_persistent_token_is_nobody_and_its_cookie_stays(
    shopper: Shopper, cut_off: Shopper, body: dict[str, Any]
) -> None:
    token = (await issued(shopper, consent="granted"))["token"]
    answer = await cut_off.post("/v1/visitors", body, cookie=f"__Host-visitor={token}")
    assert told(answer) == ("null", "store_unavailable")
    assert (answer.json()["visitor"], answer.json()["token"]) == (None, None)
    assert cookies(answer) == []


@pytest.mark.parametrize("path", ["/v1/visitors", "/v1/consents"])
@pytest.mark.parametrize("consent", ["refused", {"google": {"analytics_storage": "denied"}}, {"purposes": {"storage": "refused"}}])
async def test_without_the_store_a_refusal_is_repeated_later_and_kept_on_the_device(cut_off: Shopper, path: str, consent: Any) -> None:
    answer = await cut_off.post(path, {"client": FRENCH, "consent": consent})
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "store_unavailable", "1")
    assert cookies(answer) == [REFUSED]


@pytest.mark.parametrize(
    ("body", "cookie"),
    [
        ({"visitor": None, "client": FRENCH}, ""),
        ({"client": FRENCH}, "visitor-choice=refused; __Host-visitor=old"),
        ({"visitor": None}, ""),
    ],
)
async def test_without_the_store_a_device_is_emptied_all_the_same(cut_off: Shopper, body: dict[str, Any], cookie: str) -> None:
    answer = await cut_off.post("/v1/visitors", body, cookie=cookie)
    assert answer.status_code in {200, 503}
    assert CLEARED in cookies(answer)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/links", {"email": "a@example.com", "visitor": "own-id"}),
        ("/v1/unlinks", {"email": "a@example.com", "visitor": "own-id"}),
        ("/v1/lookups", {"email": "a@example.com"}),
        ("/v1/exports", {"email": "a@example.com"}),
        ("/v1/erasures", {"email": "a@example.com"}),
        ("/v1/receipts", {"visitor": "own-id"}),
        ("/v2/log/sale", {"sale": 1, "products": [1], "visitor": "own-id"}),
        ("/v2/log/click", {"product": 1, "visitor": "own-id"}),
    ],
)
async def test_without_the_store_a_call_is_503_and_told_when_to_repeat(cut_off: Shopper, path: str, body: dict[str, Any]) -> None:
    answer = await cut_off.post(path, body)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
