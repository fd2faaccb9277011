"""Who gets which mode: the rows of the contract that privacy officers ask about first."""

from typing import Any

import httpx2 as httpx
import pytest
import redis

from tests.conftest import START, Clock, Shopper

pytestmark = pytest.mark.anyio
FRENCH = {"ip": "198.51.100.9", "user_agent": "Mozilla/5.0 (Macintosh) Safari/605", "region": "FR"}
CLEARED = "__Host-visitor=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax"


def told(answer: httpx.Response) -> tuple[str, str]:
    assert answer.status_code == 200, answer.text
    return answer.json()["mode"], answer.json()["decision"]["reason"]


async def persistent(shopper: Shopper, key: str = "demo-private-key") -> dict[str, Any]:
    answer: dict[str, Any] = (await shopper.post("/v1/consents", {"consent": "granted"}, key=key)).json()
    assert answer["mode"] == "persistent"
    return answer


@pytest.mark.parametrize(
    ("body", "standard", "strict"),
    [
        ({}, ("cookieless", "no_signal"), ("null", "no_signal")),
        ({"visitor": None}, ("null", "visitor_disabled"), ("null", "visitor_disabled")),
        ({"visitor": "auto"}, ("cookieless", "no_signal"), ("null", "no_signal")),
        ({"visitor": "persistent"}, ("persistent", "persistent_requested"), ("null", "no_signal")),
        ({"visitor": "persistent", "consent": "refused"}, ("null", "consent_refused"), ("null", "consent_refused")),
        ({"visitor": "auto", "consent": "granted"}, ("cookieless", "requested_cookieless"), ("cookieless", "requested_cookieless")),
        ({"consent": "unknown"}, ("cookieless", "no_signal"), ("null", "no_signal")),
        ({"consent": {"google": {"analytics_storage": "granted"}}}, ("persistent", "consent_granted"), ("persistent", "consent_granted")),
        ({"consent": {"google": {"analytics_storage": "denied"}}}, ("null", "consent_refused"), ("null", "consent_refused")),
        ({"consent": {"google": {"analytics_storage": "maybe"}}}, ("cookieless", "no_signal"), ("null", "no_signal")),
        ({"consent": {"google": {"ad_storage": "granted"}}}, ("cookieless", "no_signal"), ("null", "no_signal")),
        ({"consent": {"purposes": {"storage": "granted"}}}, ("cookieless", "no_signal"), ("null", "no_signal")),
        ({"client": {"gpc": True}}, ("cookieless", "opted_out"), ("null", "opted_out")),
        ({"client": {"dnt": True}}, ("cookieless", "opted_out"), ("null", "opted_out")),
        ({"client": {"gpc": True}, "consent": "granted"}, ("persistent", "consent_granted"), ("persistent", "consent_granted")),
        ({"client": {"user_agent": "Googlebot/2.1"}, "consent": "granted"}, ("null", "bot"), ("null", "bot")),
        ({"visitor": "own-id"}, ("cookieless", "no_signal"), ("null", "no_signal")),
        ({"visitor": "own-id", "consent": "granted"}, ("persistent", "consent_granted"), ("persistent", "consent_granted")),
    ],
)
async def test_both_policies_decide_as_documented(
    shopper: Shopper, body: dict[str, Any], standard: tuple[str, str], strict: tuple[str, str]
) -> None:
    assert told(await shopper.post("/v1/visitors", body)) == standard
    assert told(await shopper.post("/v1/visitors", body, key="strict-private-key")) == strict


async def test_only_a_private_key_signs_an_own_id(shopper: Shopper) -> None:
    public = (await shopper.post("/v1/visitors", {"visitor": "own-id", "consent": "granted"}, key="demo-public-key")).json()
    private = (await shopper.post("/v1/visitors", {"visitor": "own-id", "consent": "granted"})).json()
    assert (public["visitor"], public["mode"], public["token"]) == ("own-id", "cookieless", None)
    assert (private["visitor"], private["mode"]) == ("own-id", "persistent")
    assert private["token"].startswith("1p.own-id.")


async def test_a_refusal_that_names_nobody_marks_the_derived_id_until_its_window_ends(shopper: Shopper, clock: Clock) -> None:
    first = (await shopper.post("/v1/visitors", {"client": FRENCH})).json()
    assert told(await shopper.post("/v1/visitors", {"client": FRENCH, "consent": "refused"})) == ("null", "consent_refused")
    assert told(await shopper.post("/v1/visitors", {"client": FRENCH})) == ("null", "withdrawn")
    assert (await shopper.post("/v1/verifications", {"token": first["token"]})).json()["reason"] == "withdrawn"
    clock.forward(86_400)
    later = await shopper.post("/v1/visitors", {"client": FRENCH})
    assert told(later) == ("cookieless", "no_signal")
    assert later.json()["visitor"] != first["visitor"]


async def test_the_refusal_cookie_decides_until_a_grant_deletes_it(shopper: Shopper) -> None:
    cookie = "visitor-choice=refused"
    assert told(await shopper.post("/v1/visitors", {"visitor": "persistent"}, cookie=cookie)) == ("null", "consent_refused")
    assert told(await shopper.post("/v1/visitors", {"consent": "granted"}, cookie=cookie)) == ("null", "consent_refused")
    granted = await shopper.post("/v1/consents", {"consent": "granted"}, cookie=cookie)
    assert told(granted) == ("persistent", "consent_granted")
    cleared = [header for header in granted.headers.get_list("set-cookie") if "visitor-choice=; Max-Age=0" in header]
    assert [header.partition("=")[0] for header in cleared] == ["__Host-visitor-choice", "visitor-choice"]


async def test_a_living_cookie_with_a_refusal_cookie_ends_the_withdrawal_that_the_store_missed(shopper: Shopper) -> None:
    token = (await persistent(shopper))["token"]
    answer = await shopper.post("/v1/visitors", {}, cookie=f"visitor-choice=refused; __Host-visitor={token}")
    assert told(answer) == ("null", "consent_refused")
    assert (await shopper.post("/v1/verifications", {"token": token})).json() == {"valid": False, "reason": "withdrawn"}


@pytest.mark.parametrize("visitor", [None, "auto"])
async def test_null_and_auto_withdraw_a_living_token_and_clear_the_cookie(shopper: Shopper, visitor: str | None) -> None:
    token = (await persistent(shopper))["token"]
    answer = await shopper.post("/v1/visitors", {"visitor": visitor}, cookie=f"__Host-visitor={token}")
    assert answer.json()["mode"] == ("null" if visitor is None else "cookieless")
    assert CLEARED in answer.headers.get_list("set-cookie")
    assert (await shopper.post("/v1/verifications", {"token": token})).json()["reason"] == "withdrawn"


async def test_under_strict_gpc_after_a_grant_is_a_refusal_and_with_it_is_not(shopper: Shopper) -> None:
    key = "strict-private-key"
    before = await persistent(shopper, key)
    assert told(await shopper.post("/v1/visitors", {"token": before["token"], "client": {"gpc": True}}, key=key)) == (
        "null",
        "consent_refused",
    )
    told_then = {"consent": "granted", "client": {"gpc": True}}
    together = (await shopper.post("/v1/consents", told_then, key=key)).json()
    again = await shopper.post("/v1/visitors", {"token": together["token"], "client": {"gpc": True}}, key=key)
    assert told(again) == ("persistent", "consent_granted")
    assert again.json()["sale_share_opt_out"] is True


async def test_under_standard_gpc_never_touches_the_mode_of_a_grant_but_the_opt_out_sticks(shopper: Shopper) -> None:
    token = (await persistent(shopper))["token"]
    await shopper.post("/v1/links", {"email": "a@example.com", "token": token})
    assert (await shopper.post("/v1/visitors", {"token": token, "client": {"gpc": True}})).json()["mode"] == "persistent"
    assert (await shopper.visitors(email="a@example.com"))[0]["sale_share_opt_out"] is True


async def test_a_grant_keeps_a_chosen_id_and_replaces_a_derived_one(shopper: Shopper) -> None:
    chosen = (await shopper.post("/v1/visitors")).json()
    derived = (await shopper.post("/v1/visitors", {"client": FRENCH})).json()
    kept = (await shopper.post("/v1/visitors", {"token": chosen["token"], "consent": "granted"})).json()
    fresh = (await shopper.post("/v1/visitors", {"token": derived["token"], "consent": "granted", "client": FRENCH})).json()
    assert kept["visitor"] == chosen["visitor"]
    assert fresh["visitor"] != derived["visitor"]
    assert kept["mode"] == fresh["mode"] == "persistent"


async def test_only_a_later_grant_lifts_the_mark_of_an_own_id(shopper: Shopper, clock: Clock) -> None:
    await shopper.post("/v1/visitors", {"visitor": "own-id", "consent": "granted"})
    clock.forward(60)
    await shopper.post("/v1/visitors", {"visitor": "own-id", "consent": "refused"})
    clock.forward(60)
    assert told(await shopper.post("/v1/visitors", {"visitor": "own-id"})) == ("null", "withdrawn")
    old = {"purposes": {"storage": "granted", "measurement": "granted"}, "decided_at": "2026-11-18T11:07:00Z"}
    assert told(await shopper.post("/v1/visitors", {"visitor": "own-id", "consent": old})) == ("null", "withdrawn")
    assert told(await shopper.post("/v1/visitors", {"visitor": "own-id", "consent": "granted"})) == ("null", "withdrawn")
    assert told(await shopper.post("/v1/consents", {"visitor": "own-id", "consent": "granted"})) == ("persistent", "consent_granted")


async def test_a_late_refusal_never_overwrites_a_newer_grant(shopper: Shopper) -> None:
    token = (await persistent(shopper))["token"]
    late = {"purposes": {"storage": "refused"}, "decided_at": "2026-11-17T00:00:00Z"}
    assert told(await shopper.post("/v1/consents", {"token": token, "consent": late})) == ("persistent", "consent_granted")


async def test_midnight_cuts_no_session(shopper: Shopper, clock: Clock) -> None:
    clock.now = START - START % 86_400 + 86_400 - 600
    before = (await shopper.post("/v1/visitors", {"client": FRENCH})).json()
    await shopper.post("/v2/log/click", {"product": 1, "visitor": before["token"]})
    clock.forward(900)
    within = (await shopper.post("/v1/visitors", {"client": FRENCH})).json()
    by_token = (await shopper.post("/v1/visitors", {"token": before["token"]})).json()
    assert within["visitor"] == by_token["visitor"] == before["visitor"]
    clock.forward(1_200)
    after = (await shopper.post("/v1/visitors", {"client": FRENCH, "token": within["token"]})).json()
    assert after["visitor"] != before["visitor"]


async def test_an_idle_session_ends_at_midnight(shopper: Shopper, clock: Clock) -> None:
    clock.now = START - START % 86_400 + 86_400 - 600
    before = (await shopper.post("/v1/visitors", {"client": FRENCH})).json()
    clock.forward(900)
    after = (await shopper.post("/v1/visitors", {"client": FRENCH, "token": before["token"]})).json()
    assert after["visitor"] != before["visitor"]


async def test_repeating_a_grant_with_every_page_view_renews_nothing(shopper: Shopper, clock: Clock) -> None:
    first = await shopper.post("/v1/visitors", {"consent": "granted"})
    clock.forward(3_600)
    again = await shopper.post("/v1/visitors", {"consent": "granted", "token": first.json()["token"]})
    assert again.json()["expires_at"] == first.json()["expires_at"]
    assert "set-cookie" not in again.headers or not again.headers["set-cookie"].startswith("__Host-visitor=")


async def test_refusing_links_removes_those_there_are_and_forbids_new_ones(shopper: Shopper) -> None:
    token = (await persistent(shopper))["token"]
    await shopper.post("/v1/links", {"email": "a@example.com", "token": token})
    purposes = {"storage": "granted", "measurement": "granted", "linking": "refused"}
    answer = await shopper.post("/v1/consents", {"token": token, "consent": {"purposes": purposes}})
    assert answer.json()["linkable"] is False
    assert await shopper.visitors(email="a@example.com") == []
    refused = await shopper.post("/v1/links", {"email": "a@example.com", "token": token})
    assert (refused.status_code, refused.json()["code"]) == (409, "consent_required")


async def test_refusing_links_counts_without_a_grant_too(shopper: Shopper) -> None:
    visitor = (await shopper.post("/v1/visitors")).json()
    await shopper.post("/v1/links", {"email": "a@example.com", "token": visitor["token"]})
    asked = {"token": visitor["token"], "consent": {"purposes": {"linking": "refused"}}}
    assert (await shopper.post("/v1/visitors", asked)).json()["linkable"] is False
    assert await shopper.visitors(email="a@example.com") == []
    assert (await shopper.post("/v1/links", {"email": "a@example.com", "token": visitor["token"]})).status_code == 409


async def test_a_public_key_cannot_withdraw_a_persistent_id_by_its_name(shopper: Shopper) -> None:
    visitor = (await persistent(shopper))["visitor"]
    answer = await shopper.browser("/v1/visitors", {"visitor": visitor, "consent": "refused"})
    assert told(answer) == ("null", "consent_refused")
    assert told(await shopper.post("/v1/visitors", {"visitor": visitor})) == ("persistent", "consent_granted")


async def test_without_the_store_no_page_breaks_and_nothing_revives(shopper: Shopper, cut_off: Shopper) -> None:
    chosen = (await shopper.post("/v1/visitors")).json()["token"]
    grant = (await persistent(shopper))["token"]
    assert told(await cut_off.post("/v1/visitors", {"token": chosen})) == ("cookieless", "no_signal")
    held = await cut_off.post("/v1/visitors", {}, cookie=f"__Host-visitor={grant}")
    assert told(held) == ("null", "store_unavailable")
    assert "set-cookie" not in held.headers
    assert told(await cut_off.post("/v1/visitors", {"consent": "granted"})) == ("null", "store_unavailable")
    assert told(await cut_off.post("/v1/visitors", {"client": FRENCH})) == ("null", "store_unavailable")


async def test_a_refusal_that_the_store_missed_is_an_error_that_the_device_remembers(shopper: Shopper, cut_off: Shopper) -> None:
    token = (await persistent(shopper))["token"]
    answer = await cut_off.post("/v1/visitors", {"token": token, "consent": "refused"})
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "store_unavailable", "1")
    [kept] = answer.headers.get_list("set-cookie")
    assert kept.startswith(f"__Host-visitor-choice=refused.{int(START) // 60}; Max-Age=34560000; Path=/; Secure")
    for _ in range(2):  # the pages after it, while the store is away: the token stays, or nothing could name its visitor again
        page = await cut_off.post("/v1/visitors", {}, cookie=f"{kept.partition(';')[0]}; __Host-visitor={token}")
        assert told(page) == ("null", "consent_refused")
        assert "set-cookie" not in page.headers
    back = await shopper.post("/v1/visitors", {}, cookie=f"{kept.partition(';')[0]}; __Host-visitor={token}")
    assert told(back) == ("null", "consent_refused")
    assert CLEARED in back.headers.get_list("set-cookie")
    assert (await shopper.post("/v1/verifications", {"token": token})).json() == {"valid": False, "reason": "withdrawn"}


async def test_nothing_is_stored_for_cookieless_and_null_at_issue(shopper: Shopper, database: redis.Redis) -> None:
    for body in ({}, {"client": FRENCH}, {"visitor": None}, {"visitor": "own-id"}):
        await shopper.post("/v1/visitors", body)
    kept = sorted(str(key).partition(":1794960000")[0] for key in database.scan_iter())
    assert kept == ["id:v2:{demo}:Z", "id:v2:{demo}:rewrite"]
