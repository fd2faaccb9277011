"""Identifying: what is looked up, and what is not, before a visitor's mode is decided."""

import pytest
import redis

from tests.conftest import Clock, Shopper

pytestmark = pytest.mark.anyio


async def granted(shopper: Shopper) -> str:
    """A persistent token whose grant is the person's."""
    answer = (await shopper.post("/v1/visitors", {"consent": "granted"})).json()
    assert answer["mode"] == "persistent"
    token: str = answer["token"]
    return token


def salts(database: redis.Redis) -> list[bytes]:
    return list(database.scan_iter(match="id:v2:{demo}:Z:*"))


async def test_a_click_by_a_living_grant_seeks_no_id_of_cookieless_mode(shopper: Shopper, database: redis.Redis) -> None:
    token = await granted(shopper)
    await shopper.post("/v1/visitors", {"token": token})  # from now on the worker knows the visitor
    assert (await shopper.browser("/v2/log/click", {"product": 1, "visitor": token})).json() == {"status": "ok"}
    assert salts(database) == []
    await shopper.browser("/v1/visitors")
    assert len(salts(database)) == 1


async def test_a_token_whose_grant_has_ended_gives_way_to_the_derived_id(shopper: Shopper, clock: Clock) -> None:
    token = await granted(shopper)
    clock.now += 391 * 86_400
    derived = (await shopper.browser("/v1/visitors")).json()["visitor"]
    answer = (await shopper.browser("/v1/visitors", {"token": token})).json()
    assert (answer["mode"], answer["visitor"]) == ("cookieless", derived)


async def test_the_shops_word_never_stands_against_a_refusal_of_the_same_device(shopper: Shopper) -> None:
    """Of which the mark lies at the derived ID: it is sought although the token's grant lives."""
    token = (await shopper.post("/v1/visitors", {"visitor": "persistent"})).json()["token"]
    assert (await shopper.browser("/v1/consents", {"consent": "refused"})).json()["mode"] == "null"
    assert (await shopper.browser("/v1/visitors", {"token": token})).json()["mode"] == "null"


async def test_an_opt_out_of_the_cookieless_session_holds_after_the_grant(shopper: Shopper, clock: Clock) -> None:
    """Global Privacy Control came with the session, and not with the choice or what follows; also once the session has ended."""
    cookieless = (await shopper.browser("/v1/visitors")).json()
    await shopper.browser("/v1/links", {"email": "luke@skywalker.com", "token": cookieless["token"]})
    assert (await shopper.browser("/v1/visitors", **{"sec-gpc": "1"})).json()["sale_share_opt_out"] is True
    granted = (await shopper.browser("/v1/consents", {"consent": "granted"})).json()
    assert (granted["mode"], granted["sale_share_opt_out"]) == ("persistent", True)
    assert (await shopper.browser("/v1/visitors", {"token": granted["token"]})).json()["sale_share_opt_out"] is True
    clock.forward(5 * 86_400)
    assert (await shopper.browser("/v1/visitors", {"token": granted["token"]})).json()["sale_share_opt_out"] is True
