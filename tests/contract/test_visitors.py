"""Rows of the contract about issuing: the modes, their reasons, tokens and cookies."""

import pytest

from tests.conftest import Clock, Shopper

pytestmark = pytest.mark.anyio
FRENCH = {"ip": "198.51.100.9", "user_agent": "Mozilla/5.0 (Macintosh) Safari/605", "region": "FR"}
GRANTED = {"purposes": {"storage": "granted", "measurement": "granted"}}


async def test_no_signal_gives_a_cookieless_id_and_touches_nothing(shopper: Shopper) -> None:
    answer = await shopper.post("/v1/visitors", {"client": FRENCH})
    body = answer.json()
    assert answer.status_code == 200
    assert (body["mode"], body["decision"]["reason"], body["linkable"]) == ("cookieless", "no_signal", True)
    assert len(body["visitor"]) == 22
    assert "set-cookie" not in answer.headers
    assert answer.headers["cache-control"] == "private, no-store"
    again = await shopper.post("/v1/visitors", {"client": FRENCH})
    assert again.json()["visitor"] == body["visitor"]


async def test_an_unknown_address_gets_a_random_id_held_by_its_token(shopper: Shopper) -> None:
    first = (await shopper.post("/v1/visitors")).json()
    second = (await shopper.post("/v1/visitors", {"token": first["token"]})).json()
    third = (await shopper.post("/v1/visitors")).json()
    assert second["visitor"] == first["visitor"] != third["visitor"]


async def test_a_grant_gives_a_persistent_id_and_one_signed_cookie(shopper: Shopper) -> None:
    answer = await shopper.post("/v1/visitors", {"client": FRENCH, "consent": GRANTED})
    body = answer.json()
    assert (body["mode"], body["decision"]["reason"], body["decision"]["signal"]) == ("persistent", "consent_granted", "plain")
    cookie = answer.headers.get_list("set-cookie")[0]
    assert cookie.startswith(f"__Host-visitor={body['token']}; Max-Age={390 * 86400}; Path=/; Secure; HttpOnly; SameSite=Lax")
    known = await shopper.post("/v1/visitors", cookie=f"__Host-visitor={body['token']}")
    assert known.json()["visitor"] == body["visitor"]
    assert "set-cookie" not in known.headers


async def test_a_refusal_withdraws_at_once_and_for_good(shopper: Shopper, clock: Clock) -> None:
    token = (await shopper.post("/v1/visitors", {"consent": GRANTED})).json()
    await shopper.post("/v1/links", {"email": "luke@skywalker.com", "token": token["token"]})
    assert len(await shopper.visitors(email="luke@skywalker.com")) == 1
    refused = await shopper.post("/v1/visitors", {"token": token["token"], "consent": "refused"})
    assert (refused.json()["mode"], refused.json()["decision"]["reason"]) == ("null", "consent_refused")
    cookies = refused.headers.get_list("set-cookie")
    assert any(cookie.startswith("__Host-visitor=; Max-Age=0") for cookie in cookies)
    minute = int(clock.now) // 60
    assert f"__Host-visitor-choice=refused.{minute}; Max-Age=34560000; Path=/; Secure; HttpOnly; SameSite=Lax" in cookies
    assert await shopper.visitors(email="luke@skywalker.com") == []
    replayed = (await shopper.post("/v1/visitors", {"token": token["token"]})).json()
    assert (replayed["visitor"], replayed["decision"]["reason"]) == (None, "withdrawn")
    verified = (await shopper.post("/v1/verifications", {"token": token["token"]})).json()
    assert verified == {"valid": False, "reason": "withdrawn"}
