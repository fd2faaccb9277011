"""Links: who may link what, verifications, key rotation, tampered tokens."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx2 as httpx
import pytest
import redis

from identity_service.app import Application
from identity_service.settings.load import load
from tests.conftest import Clock, Shopper

pytestmark = pytest.mark.anyio
EMAIL = "luke@skywalker.com"
OLD_KEY = "development-only-signing-key-of-the-demo-shops-0001"
NEW_KEY = "development-only-signing-key-of-the-demo-shops-0002"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


async def issued(shopper: Shopper, **body: Any) -> dict[str, Any]:
    answer: dict[str, Any] = (await shopper.post("/v1/visitors", body)).json()
    return answer


async def verified(shopper: Shopper, token: str, key: str = "demo-private-key") -> dict[str, Any]:
    answer = await shopper.post("/v1/verifications", {"token": token}, key=key)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def signed_with(environment: dict[str, str], clock: Clock) -> Callable[[str], AbstractAsyncContextManager[Shopper]]:
    """The same shops and store under other signing keys."""

    @asynccontextmanager
    async def service(keys: str) -> AsyncIterator[Shopper]:
        application = Application(load("development", environment | {"IDENTITY_SECRETS__SIGNING_KEYS": keys}), clock)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://service.test") as client:
            yield Shopper(client)
        await application.services.store.client.close()

    return service


async def test_a_private_key_links_by_token_or_by_id(shopper: Shopper) -> None:
    visitor = await issued(shopper)
    for who in ({"token": visitor["token"]}, {"visitor": visitor["visitor"]}):
        answer = await shopper.post("/v1/links", {"email": EMAIL} | who)
        assert answer.json() == {"linked": True, "visitor": visitor["visitor"], "verified": True, "proof": "key"}
    assert len(await shopper.visitors(email=EMAIL)) == 1


async def test_the_cookie_names_the_visitor_where_the_body_does_not(shopper: Shopper) -> None:
    visitor = await issued(shopper, consent="granted")
    answer = await shopper.browser("/v1/links", {"email": EMAIL}, cookie=f"__Host-visitor={visitor['token']}")
    assert answer.json() == {"linked": True, "visitor": visitor["visitor"], "verified": False, "proof": "token"}


async def test_an_unverified_link_never_weakens_a_verified_one(shopper: Shopper) -> None:
    token = (await issued(shopper))["token"]
    await shopper.post("/v1/links", {"email": EMAIL, "token": token})
    await shopper.browser("/v1/links", {"email": EMAIL, "token": token})
    assert [one["verified"] for one in await shopper.visitors(email=EMAIL)] == [True]


async def test_linking_again_keeps_the_first_time_and_moves_the_last(shopper: Shopper, clock: Clock) -> None:
    token = (await issued(shopper, consent="granted"))["token"]
    await shopper.post("/v1/links", {"email": EMAIL, "token": token})
    [before] = await shopper.visitors(email=EMAIL)
    clock.forward(3_600)
    await shopper.post("/v1/links", {"email": EMAIL, "token": token})
    [after] = await shopper.visitors(email=EMAIL)
    assert after["first_seen"] == before["first_seen"] == before["last_seen"] < after["last_seen"]


@pytest.mark.parametrize(
    "email",
    [
        "",
        " ",
        "null",
        "NULL",
        "undefined",
        "none",
        "guest",
        "test@test",
        "a@",
        "@b.example",
        "a b@c.example",
        "a@b@c.example",
        "<a@b.example>",
        "a@b.example\r\nBcc: c@d.example",
        "a@b.example\x00",
        "a@" + "b" * 64 + ".example",
        "a@[127.0.0.1]",
        "[object Object]",
    ],
)
async def test_junk_emails_are_422_and_store_nothing(shopper: Shopper, database: redis.Redis, email: str) -> None:
    answer = await shopper.post("/v1/links", {"email": email, "visitor": "own-id"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert len(email) < 4 or email not in answer.text
    assert database.dbsize() == 0


@pytest.mark.parametrize(
    "customer", ["", " ", "null", "undefined", "0", "-1", "NaN", "guest", "a\nb", "a\x00", "x" * 256, 0, 1.5, None, True, ["1"]]
)
async def test_junk_customers_are_422_and_store_nothing(shopper: Shopper, database: redis.Redis, customer: object) -> None:
    answer = await shopper.post("/v1/links", {"customer": customer, "visitor": "own-id"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert database.dbsize() == 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": EMAIL},
        {"visitor": "own-id"},
        {"email": None, "visitor": "own-id"},
        {"email": EMAIL, "customer": "12", "visitor": "own-id"},
        {"email": EMAIL, "visitor": "a b"},
        {"email": EMAIL, "visitor": "undefined"},
        {"email": EMAIL, "token": "junk"},
        {"email": EMAIL, "visitor": None, "token": None},
    ],
)
async def test_a_link_needs_one_handle_and_one_visitor(shopper: Shopper, database: redis.Redis, body: dict[str, Any]) -> None:
    for path in ("/v1/links", "/v1/unlinks"):
        answer = await shopper.post(path, body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert database.dbsize() == 0


async def test_a_withdrawn_visitor_is_409_by_token_and_by_name(shopper: Shopper) -> None:
    visitor = await issued(shopper, consent="granted")
    await issued(shopper, token=visitor["token"], consent="refused")
    for who in ({"token": visitor["token"]}, {"visitor": visitor["visitor"]}):
        answer = await shopper.post("/v1/links", {"email": EMAIL} | who)
        assert (answer.status_code, answer.json()["code"]) == (409, "consent_required")
    assert await shopper.visitors(email=EMAIL) == []


async def test_a_marked_derived_id_is_409(shopper: Shopper) -> None:
    client = {"ip": "198.51.100.9", "user_agent": "Mozilla/5.0 Safari/605"}
    token = (await issued(shopper, client=client))["token"]
    await issued(shopper, client=client, consent="refused")
    assert (await shopper.post("/v1/links", {"email": EMAIL, "token": token})).status_code == 409


async def test_under_strict_a_cookieless_token_does_not_link(shopper: Shopper) -> None:
    key = "strict-private-key"
    cookieless = (await shopper.post("/v1/visitors", {"visitor": "auto", "consent": "granted"}, key=key)).json()
    assert (cookieless["mode"], cookieless["linkable"]) == ("cookieless", False)
    refused = await shopper.post("/v1/links", {"email": EMAIL, "token": cookieless["token"]}, key=key)
    assert (refused.status_code, refused.json()["code"]) == (409, "consent_required")
    persistent = (await shopper.post("/v1/visitors", {"consent": "granted"}, key=key)).json()
    assert persistent["linkable"] is True
    assert (await shopper.post("/v1/links", {"email": EMAIL, "token": persistent["token"]}, key=key)).status_code == 200


async def test_unlinking_frees_the_visitor_of_being_shared(shopper: Shopper) -> None:
    for email in (EMAIL, "leia@organa.com"):
        await shopper.post("/v1/links", {"email": email, "visitor": "own-id"})
    await shopper.post("/v1/unlinks", {"email": EMAIL, "visitor": "own-id"})
    [found] = await shopper.visitors(visitor="own-id")
    assert (found["shared"], len(found["emails"])) == (False, 1)
    assert (await shopper.post("/v1/links", {"email": EMAIL, "visitor": "own-id"})).status_code == 200


async def test_unlinking_by_customer_leaves_the_email(shopper: Shopper) -> None:
    await shopper.post("/v1/links", {"email": EMAIL, "visitor": "own-id"})
    await shopper.post("/v1/links", {"customer": "12", "visitor": "own-id"})
    assert (await shopper.post("/v1/unlinks", {"customer": " 12 ", "visitor": "own-id"})).json()["unlinked"] is True
    assert await shopper.visitors(customer="12") == []
    assert len(await shopper.visitors(email=EMAIL)) == 1


@pytest.mark.parametrize(
    ("body", "mode"), [({}, "cookieless"), ({"visitor": "own-id"}, "cookieless"), ({"consent": "granted"}, "persistent")]
)
@pytest.mark.parametrize("key", ["demo-private-key", "demo-public-key"])
async def test_a_living_token_verifies_with_either_key(shopper: Shopper, body: dict[str, Any], mode: str, key: str) -> None:
    visitor = await issued(shopper, **body)
    answer = await verified(shopper, visitor["token"], key)
    assert answer == {"valid": True, "visitor": visitor["visitor"], "mode": mode, "issued_at": "2026-11-18T11:06:40Z"}


async def test_a_token_of_another_shop_is_a_bad_signature(shopper: Shopper) -> None:
    for body in ({}, {"consent": "granted"}):
        token = (await issued(shopper, **body))["token"]
        for key in ("other-private-key", "strict-public-key"):
            assert await verified(shopper, token, key) == {"valid": False, "reason": "bad_signature"}


async def test_an_expired_grant_and_an_ended_window_are_expired(shopper: Shopper, clock: Clock) -> None:
    cookieless, granted = await issued(shopper), await issued(shopper, consent="granted")
    clock.forward(86_400)
    assert await verified(shopper, cookieless["token"]) == {"valid": False, "reason": "expired"}
    assert (await verified(shopper, granted["token"]))["valid"] is True
    clock.forward(389 * 86_400)
    assert await verified(shopper, granted["token"]) == {"valid": False, "reason": "expired"}


async def test_a_retired_key_signs_nobody_any_more(
    shopper: Shopper, signed_with: Callable[[str], AbstractAsyncContextManager[Shopper]]
) -> None:
    granted = await issued(shopper, consent="granted")
    async with signed_with(NEW_KEY) as later:
        assert await verified(later, granted["token"]) == {"valid": False, "reason": "bad_signature"}
        assert (await issued(later, token=granted["token"]))["visitor"] != granted["visitor"]
        assert (await later.post("/v1/links", {"email": EMAIL, "token": granted["token"]})).status_code == 422


async def test_during_a_rotation_old_and_new_tokens_verify_and_new_ones_have_the_new_key(
    shopper: Shopper, signed_with: Callable[[str], AbstractAsyncContextManager[Shopper]]
) -> None:
    old = [await issued(shopper, **body) for body in ({}, {"visitor": "own-id"}, {"consent": "granted"})]
    async with signed_with(f"{OLD_KEY},{NEW_KEY}") as rotating:
        for visitor in old:
            assert (await verified(rotating, visitor["token"]))["visitor"] == visitor["visitor"]
        renewed = [await issued(rotating, token=visitor["token"]) for visitor in old]
    assert [one["visitor"] for one in renewed] == [one["visitor"] for one in old]
    async with signed_with(NEW_KEY) as later:
        for visitor in renewed:
            assert (await verified(later, visitor["token"]))["visitor"] == visitor["visitor"]


@pytest.mark.parametrize("body", [{}, {"consent": "granted"}])
async def test_one_changed_bit_anywhere_is_a_bad_signature(shopper: Shopper, body: dict[str, Any]) -> None:
    token = (await issued(shopper, **body))["token"]
    forged = {token[:place] + chr(ord(token[place]) ^ 1 << bit) + token[place + 1 :] for place in range(len(token)) for bit in range(7)}
    forged |= {token[:place] + token[place + 1 :] for place in range(len(token))}
    assert token not in forged
    for text in forged:
        assert await verified(shopper, text) == {"valid": False, "reason": "bad_signature"}


async def test_a_signature_has_one_spelling(shopper: Shopper) -> None:
    """The last of 43 characters holds four bits of the signature and two that must be zero."""
    token = (await issued(shopper, consent="granted"))["token"]
    last = ALPHABET.index(token[-1])
    assert last % 4 == 0
    spelled = [token[:-1] + ALPHABET[last + unused] for unused in (1, 2, 3)]
    trailing = [token + extra for extra in ("A", "=", "==", ".", " ", "\n", "\r\n", "\t", "\u0000", "%00", "\u200b")]
    leading = [f"{extra}{token}" for extra in (" ", "\ufeff", "\n", "0")]
    for text in (*spelled, *trailing, *leading, token.swapcase(), token.replace("1p.", "1c.", 1), token.replace("1p.", "2p.", 1)):
        assert await verified(shopper, text) == {"valid": False, "reason": "bad_signature"}


@pytest.mark.parametrize("token", ["", " ", ".", "....", "\u0000", "é", "🙂" * 60, "1p." * 40, "x" * 30_000])
async def test_any_string_is_verified(shopper: Shopper, token: str) -> None:
    assert await verified(shopper, token) == {"valid": False, "reason": "bad_signature"}


async def test_a_link_leaves_the_store_after_its_end(
    shopper: Shopper, application: Application, clock: Clock, database: redis.Redis
) -> None:
    """Also while another visitor holds the email."""
    session, person = await issued(shopper), await issued(shopper, consent="granted")
    for visitor in (session, person):
        assert (await shopper.post("/v1/links", {"email": EMAIL, "token": visitor["token"]})).json()["linked"]
    clock.forward(3 * 86_400)
    await application.keep_up()
    [name] = list(database.scan_iter("*:E:*"))
    assert list(database.hgetall(name)) == [person["visitor"]]
    assert [one["visitor"] for one in await shopper.visitors(email=EMAIL)] == [person["visitor"]]
