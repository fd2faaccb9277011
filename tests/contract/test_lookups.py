"""Look-ups: by email, digest, customer and visitor, in batches, under caps."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx2 as httpx
import pytest
import redis

from identity_service.app import Application
from identity_service.settings.load import load
from tests.conftest import Clock, Shopper, shopping

pytestmark = pytest.mark.anyio
EMAIL = "luke@skywalker.com"


async def linked(shopper: Shopper, visitor: str, **handle: str) -> int:
    return (await shopper.post("/v1/links", handle | {"visitor": visitor})).status_code


async def test_a_found_visitor_is_told_in_full(shopper: Shopper, clock: Clock) -> None:
    granted = (await shopper.post("/v1/visitors", {"consent": "granted", "client": {"gpc": True}})).json()
    await linked(shopper, granted["visitor"], email=EMAIL)
    clock.forward(60)
    await linked(shopper, granted["visitor"], email=EMAIL)
    assert await shopper.visitors(email=EMAIL) == [
        {
            "visitor": granted["visitor"],
            "mode": "persistent",
            "first_seen": "2026-11-18T11:06:40Z",
            "last_seen": "2026-11-18T11:07:40Z",
            "source": "link",
            "verified": True,
            "proof": "key",
            "shared": False,
            "sale_share_opt_out": True,
            "consent_ends_at": granted["expires_at"],
        }
    ]


async def test_a_visitor_whose_consent_has_ended_is_null_from_that_second_on(shopper: Shopper, clock: Clock) -> None:
    granted = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    await linked(shopper, granted["visitor"], email=EMAIL)
    await linked(shopper, "own-id", email=EMAIL)
    for seconds, mode in ((390 * 86_400 - 1, "persistent"), (1, "null")):
        clock.forward(seconds)
        for asked in ({"email": EMAIL}, {"visitor": granted["visitor"]}):
            [found] = [one for one in await shopper.visitors(**asked) if one["visitor"] == granted["visitor"]]
            assert (found["mode"], found["consent_ends_at"]) == (mode, granted["expires_at"])


async def test_an_export_and_a_verification_end_with_the_same_second(shopper: Shopper, clock: Clock) -> None:
    """Also of a grant that came later than it was said."""
    granted = (await shopper.post("/v1/consents", {"consent": "granted", "age_ms": 86_400_000})).json()
    await linked(shopper, granted["visitor"], email=EMAIL)
    for seconds, mode, valid in ((389 * 86_400 - 1, "persistent", True), (1, "null", False)):
        clock.forward(seconds)
        [found] = await shopper.visitors(email=EMAIL)
        for asked in ({"email": EMAIL}, {"visitor": granted["visitor"]}, {"token": granted["token"]}):
            [shown] = (await shopper.post("/v1/exports", asked)).json()["visitors"]
            assert (shown["mode"], shown["expires_at"]) == (mode, granted["expires_at"]) == (found["mode"], found["consent_ends_at"])
            assert (shown["consent"] is not None) is valid
        assert (await shopper.post("/v1/verifications", {"token": granted["token"]})).json()["valid"] is valid
        linking = await shopper.post("/v1/links", {"customer": "7", "token": granted["token"]})
        assert linking.status_code == (200 if valid else 409)


async def test_the_shops_word_ends_with_the_policy_that_takes_it(environment: dict[str, str], clock: Clock) -> None:
    async with shopping(load("development", environment), clock) as lax:
        given = (await lax.post("/v1/visitors", {"visitor": "persistent"})).json()
        await linked(lax, given["visitor"], email=EMAIL)
        assert [one["mode"] for one in await lax.visitors(email=EMAIL)] == ["persistent"]
    async with shopping(load("development", environment | {"IDENTITY_SHOPS__DEMO__POLICY": "strict"}), clock) as strict:
        assert (await strict.post("/v1/visitors", {"token": given["token"]})).json()["mode"] == "null"
        for asked in ({"email": EMAIL}, {"visitor": given["visitor"]}):
            assert [one["mode"] for one in await strict.visitors(**asked)] == ["null"]
            [shown] = (await strict.post("/v1/exports", asked)).json()["visitors"]
            assert (shown["mode"], shown["consent"]["source"]) == ("null", "shop")
        assert (await strict.post("/v1/verifications", {"token": given["token"]})).json() == {"valid": False, "reason": "expired"}
        for who in ({"token": given["token"]}, {"visitor": given["visitor"]}):
            refused = await strict.post("/v1/links", who | {"email": "leia@example.com"})
            assert (refused.status_code, refused.json()["code"]) == (409, "consent_required")


async def test_a_cookieless_visitor_has_no_end_of_consent(shopper: Shopper) -> None:
    await linked(shopper, "own-id", email=EMAIL)
    [found] = await shopper.visitors(email=EMAIL)
    assert (found["mode"], "consent_ends_at" in found) == ("cookieless", False)


async def opted_out_of(shopper: Shopper, **asked: Any) -> dict[str, bool]:
    return {one["visitor"]: one["sale_share_opt_out"] for one in await shopper.visitors(**asked)}


async def test_an_opt_out_seen_with_one_visitor_holds_for_all_that_the_email_has_by_proof(shopper: Shopper) -> None:
    given = [(await shopper.post("/v1/consents", {"consent": "granted"})).json() for _ in range(3)]
    first, second, later = (one["visitor"] for one in given)
    for one in given[:2]:
        await shopper.post("/v1/links", {"email": EMAIL, "token": one["token"]}, key="demo-public-key")
    await shopper.post("/v1/links", {"email": EMAIL, "token": given[2]["token"], "markup": True})
    await linked(shopper, "own-id", email="other@example.com")
    assert await opted_out_of(shopper, email=EMAIL) == dict.fromkeys((first, second, later), False)
    await shopper.post("/v1/visitors", {"token": given[0]["token"], "client": {"gpc": True}})
    assert await opted_out_of(shopper, email=EMAIL) == {first: True, second: True, later: False}
    assert await opted_out_of(shopper, visitor=second) == {second: True}
    assert await opted_out_of(shopper, visitor=later) == {later: False}
    await linked(shopper, later, email=EMAIL)
    await linked(shopper, "own-id", email=EMAIL)
    assert await opted_out_of(shopper, email=EMAIL) == dict.fromkeys((first, second, later, "own-id"), True)
    assert await opted_out_of(shopper, visitor="own-id") == {"own-id": True}
    assert await opted_out_of(shopper, email="other@example.com") == {"own-id": False}


async def test_an_opt_out_of_the_person_is_told_to_each_of_its_visitors(shopper: Shopper) -> None:
    given = [(await shopper.post("/v1/consents", {"consent": "granted"})).json() for _ in range(4)]
    for one in given[:2]:
        await shopper.post("/v1/links", {"email": EMAIL, "token": one["token"]})
    await shopper.post("/v1/links", {"email": EMAIL, "token": given[2]["token"]}, key="demo-public-key")
    await linked(shopper, given[3]["visitor"], email="other@example.com")
    cookieless = (await shopper.post("/v1/visitors")).json()
    await shopper.post("/v1/links", {"email": EMAIL, "token": cookieless["token"]})
    given.append(cookieless)

    async def opted_out(path: str) -> list[bool]:
        return [(await shopper.post(path, {"token": one["token"]})).json()["sale_share_opt_out"] for one in given]

    assert await opted_out("/v1/visitors") == await opted_out("/v1/decisions") == [False] * 5
    await shopper.post("/v1/visitors", {"token": given[0]["token"], "client": {"gpc": True}})
    assert await opted_out("/v1/visitors") == await opted_out("/v1/decisions") == [True, True, False, False, True]
    again = (await shopper.post("/v1/consents", {"token": given[1]["token"], "consent": "granted"})).json()
    assert (again["mode"], again["sale_share_opt_out"]) == ("persistent", True)
    assert await opted_out_of(shopper, visitor=given[3]["visitor"]) == {given[3]["visitor"]: False}


@pytest.mark.parametrize(
    "said",
    ["granted", {"us_privacy": "1YNN"}, {"gpp": {"gpp_string": "DBABLA~CVVqAAAAAABA"}}, {"google": {"analytics_storage": "granted"}}],
)
async def test_neither_a_yes_to_cookies_nor_a_banners_no_opt_out_lifts_an_opt_out_of_sale(
    shopper: Shopper, clock: Clock, said: Any
) -> None:
    given = (await shopper.post("/v1/consents", {"consent": "granted", "client": {"gpc": True}})).json()
    await linked(shopper, given["visitor"], email=EMAIL)
    clock.forward(600)
    again = (await shopper.post("/v1/consents", {"consent": said, "token": given["token"], "client": {"gpc": False}})).json()
    assert (again["visitor"], again["mode"], again["sale_share_opt_out"]) == (given["visitor"], "persistent", True)
    assert await opted_out_of(shopper, email=EMAIL) == {given["visitor"]: True}


async def test_an_opt_out_of_an_unproven_visitor_is_its_own(shopper: Shopper) -> None:
    given = (await shopper.post("/v1/consents", {"consent": "granted", "client": {"gpc": True}})).json()
    await shopper.post("/v1/links", {"email": EMAIL, "token": given["token"], "markup": True})
    await linked(shopper, "own-id", email=EMAIL)
    assert await opted_out_of(shopper, email=EMAIL) == {given["visitor"]: True, "own-id": False}


async def test_an_opt_out_reaches_a_batch_from_beyond_what_it_shows(shopper: Shopper, clock: Clock) -> None:
    oldest = (await shopper.post("/v1/consents", {"consent": "granted", "client": {"gpc": True}})).json()
    await linked(shopper, oldest["visitor"], email=EMAIL)
    clock.forward(1)
    for number in range(22):
        await linked(shopper, f"own-{number}", email=EMAIL)
    [result] = (await shopper.post("/v1/lookups", {"emails": [EMAIL]})).json()["results"]
    assert {one["sale_share_opt_out"] for one in result["visitors"]} == {True}
    assert oldest["visitor"] not in {one["visitor"] for one in result["visitors"]}


@pytest.mark.parametrize("spelled", ["luke@skywalker.com", " luke@skywalker.com\t", "LUKE@SKYWALKER.COM", "Luke@Skywalker.Com"])
async def test_spellings_of_one_email_are_one_handle(shopper: Shopper, spelled: str) -> None:
    await linked(shopper, "own-id", email=EMAIL)
    assert len(await shopper.visitors(email=spelled)) == 1


@pytest.mark.parametrize(
    "other", ["l.uke@skywalker.com", "luke+shop@skywalker.com", "luke@skywalker.co", "luкe@skywalker.com", "luke@skywalker.com.example"]
)
async def test_other_emails_are_other_people(shopper: Shopper, other: str) -> None:
    await linked(shopper, "own-id", email=EMAIL)
    assert await shopper.visitors(email=other) == []


async def test_composed_and_decomposed_letters_are_one_email(shopper: Shopper) -> None:
    await linked(shopper, "own-id", email="jos\u00e9@example.com")
    assert len(await shopper.visitors(email="jose\u0301@example.com")) == 1


async def test_an_international_domain_is_one_handle_in_both_spellings(shopper: Shopper) -> None:
    await linked(shopper, "own-id", email="jane@xn--bcher-kva.example")
    assert len(await shopper.visitors(email="jane@BÜCHER.example")) == 1


@pytest.mark.parametrize("spelling", [str.lower, str.upper])
async def test_a_sha256_of_the_normalised_email_finds_it(shopper: Shopper, spelling: Any) -> None:
    await linked(shopper, "own-id", email=f" {EMAIL.title()}")
    digest = hashlib.sha256(EMAIL.encode()).hexdigest()
    assert [one["visitor"] for one in await shopper.visitors(email_sha256=spelling(digest))] == ["own-id"]


async def test_a_digest_is_no_customer_and_a_customer_no_email(shopper: Shopper) -> None:
    await linked(shopper, "own-id", customer=EMAIL)
    assert await shopper.visitors(email=EMAIL) == []
    assert await shopper.visitors(email_sha256=hashlib.sha256(EMAIL.encode()).hexdigest()) == []
    assert len(await shopper.visitors(customer=EMAIL)) == 1


async def test_a_visitor_tells_one_entry_with_the_digest_of_each_email(shopper: Shopper) -> None:
    await linked(shopper, "own-id", email=EMAIL)
    await linked(shopper, "own-id", customer="12")
    [alone] = await shopper.visitors(visitor="own-id")
    assert (len(alone["emails"]), alone["shared"]) == (1, False)
    await linked(shopper, "own-id", email="leia@organa.com")
    [both] = await shopper.visitors(visitor="own-id")
    assert (len(set(both["emails"])), both["shared"]) == (2, True)
    assert EMAIL not in str(both)


async def test_a_visitor_with_a_customer_alone_has_no_emails(shopper: Shopper) -> None:
    await linked(shopper, "own-id", customer="12")
    [found] = await shopper.visitors(visitor="own-id")
    assert found["emails"] == []


async def test_newest_come_first(shopper: Shopper, clock: Clock) -> None:
    for visitor in ("first", "second", "third", "first"):
        clock.forward(1)
        await linked(shopper, visitor, email=EMAIL)
    assert [one["visitor"] for one in await shopper.visitors(email=EMAIL)] == ["first", "third", "second"]


async def test_a_look_up_writes_nothing(shopper: Shopper, database: redis.Redis) -> None:
    for body in ({"email": EMAIL}, {"customer": "12"}, {"visitor": "own-id"}, {"emails": [EMAIL, "junk"]}):
        assert (await shopper.post("/v1/lookups", body)).status_code == 200
    assert database.dbsize() == 0


async def test_a_batch_shows_the_20_newest_and_says_when_there_are_more(shopper: Shopper, clock: Clock) -> None:
    for number in range(21):
        clock.forward(1)
        await linked(shopper, f"visitor-{number}", email="many@example.com")
        if number < 20:
            await linked(shopper, f"visitor-{number}", email="exact@example.com")
    body = {"emails": ["exact@example.com", "many@example.com", "", "MANY@example.com", "none@example.com"]}
    exact, many, junk, again, none = (await shopper.post("/v1/lookups", body)).json()["results"]
    assert (len(exact["visitors"]), exact["more"]) == (20, False)
    assert [one["visitor"] for one in many["visitors"]] == [f"visitor-{number}" for number in range(20, 0, -1)]
    assert (many["more"], again) == (True, many)
    assert junk == {"error": "invalid"}
    assert none == {"visitors": [], "more": False}
    assert len(await shopper.visitors(email="many@example.com")) == 21


async def test_5000_emails_with_invalid_ones_among_them_are_answered_in_order(shopper: Shopper) -> None:
    await linked(shopper, "own-id", email="p4999@example.com")
    emails = ["junk" if number % 5 == 0 else f"p{number}@example.com" for number in range(5_000)]
    answer = await shopper.post("/v1/lookups", {"emails": emails})
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [index for index, result in enumerate(results) if result == {"error": "invalid"}] == list(range(0, 5_000, 5))
    assert [one["visitor"] for one in results[4_999]["visitors"]] == ["own-id"]
    assert sum(bool(result.get("visitors")) for result in results) == 1


async def test_an_empty_batch_is_an_empty_answer(shopper: Shopper) -> None:
    assert (await shopper.post("/v1/lookups", {"emails": []})).json() == {"results": []}


async def test_a_batch_may_be_a_mebibyte_with_the_key_in_the_header_alone(shopper: Shopper) -> None:
    emails = [f"{'p' * 50}{number}@example.com" for number in range(5_000)]
    assert (await shopper.post("/v1/lookups", {"emails": emails})).status_code == 200
    beside = await shopper.post("/v1/lookups", {"emails": emails, "key": "demo-private-key"}, key=None)
    assert (beside.status_code, beside.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": EMAIL, "visitor": "own-id"},
        {"emails": [EMAIL], "email": EMAIL},
        {"email": ""},
        {"email": "junk"},
        {"email": None},
        {"email": 7},
        {"customer": ""},
        {"customer": "null"},
        {"email_sha256": "z" * 64},
        {"email_sha256": "a" * 63},
        {"visitor": ""},
        {"visitor": "auto"},
        {"visitor": None},
        {"emails": [None]},
        {"emails": {}},
    ],
)
async def test_a_look_up_of_nothing_usable_is_422(shopper: Shopper, body: dict[str, Any]) -> None:
    answer = await shopper.post("/v1/lookups", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


@pytest.fixture
async def capped(environment: dict[str, str], clock: Clock) -> AsyncIterator[Shopper]:
    """At most six visitors an email and six emails a visitor."""
    caps = {"IDENTITY_LIMITS__VISITORS_PER_HANDLE": "6", "IDENTITY_LIMITS__EMAILS_PER_VISITOR": "6"}
    application = Application(load("development", environment | caps), clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://service.test") as client:
        yield Shopper(client)
    await application.services.store.client.close()


async def unverified(shopper: Shopper, email: str) -> int:
    token = (await shopper.post("/v1/visitors")).json()["token"]
    return (await shopper.browser("/v1/links", {"email": email, "token": token})).status_code


async def test_unverified_links_never_take_the_last_half(capped: Shopper) -> None:
    assert [await unverified(capped, EMAIL) for _ in range(5)] == [200, 200, 200, 422, 422]
    assert [await linked(capped, f"v{number}", email=EMAIL) for number in range(3)] == [200, 200, 200]
    assert [one["verified"] for one in await capped.visitors(email=EMAIL)].count(True) == 3
    assert len(await capped.visitors(email=EMAIL)) == 6


async def test_unverified_links_yield_one_by_one_to_verified_ones(capped: Shopper, clock: Clock) -> None:
    for _ in range(3):
        await unverified(capped, EMAIL)
    for number in range(6):
        assert await linked(capped, f"v{number}", email=EMAIL) == 200
        assert len(await capped.visitors(email=EMAIL)) <= 6
    assert {one["visitor"] for one in await capped.visitors(email=EMAIL)} == {f"v{number}" for number in range(6)}
    assert await linked(capped, "v6", email=EMAIL) == 422
    assert await linked(capped, "v0", email=EMAIL) == 200


async def test_a_full_handle_has_room_again_after_an_unlink(capped: Shopper) -> None:
    for number in range(6):
        await linked(capped, f"v{number}", email=EMAIL)
    await capped.post("/v1/unlinks", {"email": EMAIL, "visitor": "v0"})
    assert await linked(capped, "v6", email=EMAIL) == 200


async def test_customers_do_not_use_up_a_visitors_emails(capped: Shopper) -> None:
    for number in range(6):
        assert await linked(capped, "own-id", customer=f"customer-{number}") == 200
    for number in range(6):
        assert await linked(capped, "own-id", email=f"p{number}@example.com") == 200
    assert await linked(capped, "own-id", email="p6@example.com") == 422
    assert await linked(capped, "own-id", customer="customer-6") == 422


async def test_a_sale_over_the_cap_is_recorded_all_the_same(capped: Shopper) -> None:
    for number in range(6):
        await linked(capped, f"v{number}", email=EMAIL)
    sale = {"sale": 1, "products": [1], "visitor": "v6", "email": EMAIL}
    assert (await capped.post("/v2/log/sale", sale)).json() == {"status": "ok"}
    assert len((await capped.post("/v1/exports", {"visitor": "v6"})).json()["orders"]) == 1
    assert len(await capped.visitors(email=EMAIL)) == 6


async def test_whoever_links_a_strangers_email_learns_and_changes_nothing_of_its_opt_out(shopper: Shopper) -> None:
    customer = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    await shopper.post("/v1/links", {"email": EMAIL, "token": customer["token"]})

    async def opted_out(one: dict[str, Any]) -> bool:
        found: bool = (await shopper.post("/v1/visitors", {"token": one["token"]})).json()["sale_share_opt_out"]
        return found

    stranger = (await shopper.browser("/v1/consents", {"consent": "granted"})).json()
    await shopper.browser("/v1/links", {"email": EMAIL, "token": stranger["token"]})
    await shopper.browser("/v1/visitors", {"token": stranger["token"]}, **{"sec-gpc": "1"})
    assert not await opted_out(customer)
    await shopper.post("/v1/visitors", {"token": customer["token"], "client": {"gpc": True}})
    other = (await shopper.browser("/v1/consents", {"consent": "granted"})).json()
    await shopper.browser("/v1/links", {"email": EMAIL, "token": other["token"]})
    assert [await opted_out(customer), await opted_out(other)] == [True, False]


async def test_an_email_of_a_crowd_is_no_persons(shopper: Shopper) -> None:
    people = [(await shopper.post("/v1/consents", {"consent": "granted"})).json() for _ in range(2)]
    for one in people:
        await shopper.post("/v1/links", {"email": EMAIL, "token": one["token"]})
    await shopper.post("/v1/visitors", {"token": people[0]["token"], "client": {"gpc": True}})
    told = [(await shopper.post("/v1/visitors", {"token": people[1]["token"]})).json()["sale_share_opt_out"]]
    for number in range(100):
        await shopper.post("/v1/links", {"email": EMAIL, "visitor": f"own-{number}"})
    told.append((await shopper.post("/v1/visitors", {"token": people[1]["token"]})).json()["sale_share_opt_out"])
    assert told == [True, False]
