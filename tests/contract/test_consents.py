"""Consent over HTTP: forms, order in time, links that a person refuses, receipts, previews."""

from typing import Any

import pytest
import redis

from tests.conftest import Clock, Shopper
from tests.contract.test_receipts import receipts, without_proof

pytestmark = pytest.mark.anyio
EMAIL = "luke@skywalker.com"
BOTH = {"storage": "granted", "measurement": "granted"}
NO_LINKS = {"linking": "refused"}


async def reported(shopper: Shopper, consent: Any, **members: Any) -> dict[str, Any]:
    answer = await shopper.post("/v1/consents", members | {"consent": consent})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def linked(shopper: Shopper, token: str) -> int:
    return (await shopper.post("/v1/links", {"email": EMAIL, "token": token})).status_code


@pytest.mark.parametrize(
    ("consent", "mode", "signal"),
    [
        ("granted", "persistent", "plain"),
        ("refused", "null", "plain"),
        ("unknown", "cookieless", None),
        ({}, "cookieless", None),
        ({"purposes": {}}, "cookieless", None),
        ({"purposes": BOTH}, "persistent", "plain"),
        ({"purposes": BOTH | {"linking": "granted"}}, "persistent", "plain"),
        ({"purposes": {"storage": "granted"}}, "cookieless", None),
        ({"purposes": {"measurement": "granted"}}, "cookieless", None),
        ({"purposes": {"storage": "granted", "measurement": "refused"}}, "null", "plain"),
        ({"purposes": {"storage": "refused", "measurement": "granted"}}, "null", "plain"),
        ({"purposes": {"storage": "refused"}}, "null", "plain"),
        ({"google": {"analytics_storage": "granted", "ad_storage": "denied"}}, "persistent", "google"),
        ({"google": {"analytics_storage": "denied", "ad_storage": "granted"}}, "null", "google"),
        ({"google": {"ad_storage": "denied"}}, "cookieless", None),
        ({"google": {"analytics_storage": "GRANTED"}}, "cookieless", None),
        ({"google": {"analytics_storage": True}}, "cookieless", None),
        ({"google": {"analytics_storage": "granted"}, "purposes": {"storage": "refused"}}, "null", "plain"),
        ({"google": {"analytics_storage": "denied"}, "purposes": BOTH}, "null", "google"),
        ({"something": "else"}, "cookieless", None),
    ],
)
async def test_each_form_of_consent_is_read_as_documented(shopper: Shopper, consent: Any, mode: str, signal: str | None) -> None:
    answer = await reported(shopper, consent)
    assert (answer["mode"], answer["decision"]["signal"]) == (mode, signal)
    assert (answer["receipt"] is None) == (mode == "cookieless")


async def test_an_unreadable_choice_never_erases_an_earlier_one(shopper: Shopper) -> None:
    token = (await reported(shopper, "granted"))["token"]
    for consent in ("unknown", {}, {"google": {"analytics_storage": "maybe"}}, {"purposes": {"storage": "granted"}}):
        answer = await reported(shopper, consent, token=token)
        assert (answer["mode"], answer["decision"]["reason"]) == ("persistent", "consent_granted")


@pytest.mark.parametrize(
    "consent",
    [
        {"purposes": BOTH | NO_LINKS},
        {"purposes": NO_LINKS},
        {"purposes": NO_LINKS, "google": {"analytics_storage": "granted"}},
    ],
)
@pytest.mark.parametrize("path", ["/v1/consents", "/v1/visitors"])
async def test_a_persistent_visitor_that_refuses_links_loses_them_at_once(shopper: Shopper, path: str, consent: dict[str, Any]) -> None:
    token = (await reported(shopper, "granted"))["token"]
    assert await linked(shopper, token) == 200
    answer = (await shopper.post(path, {"token": token, "consent": consent})).json()
    assert (answer["mode"], answer["linkable"]) == ("persistent", False)
    assert await shopper.visitors(email=EMAIL) == []
    assert await linked(shopper, token) == 409


async def test_persistent_on_request_keeps_a_refusal_of_links(shopper: Shopper) -> None:
    answer = (await shopper.post("/v1/visitors", {"visitor": "persistent", "consent": {"purposes": NO_LINKS}})).json()
    assert (answer["mode"], answer["linkable"]) == ("persistent", False)
    assert await linked(shopper, answer["token"]) == 409


async def test_a_later_choice_allows_links_again(shopper: Shopper, clock: Clock) -> None:
    token = (await reported(shopper, {"purposes": BOTH | NO_LINKS}))["token"]
    clock.forward(60)
    assert (await reported(shopper, {"purposes": BOTH | {"linking": "granted"}}, token=token))["linkable"] is True
    assert await linked(shopper, token) == 200


async def test_a_public_key_cannot_take_the_links_of_an_id_that_it_only_names(shopper: Shopper) -> None:
    granted = await reported(shopper, "granted")
    assert await linked(shopper, granted["token"]) == 200
    await shopper.browser("/v1/visitors", {"visitor": granted["visitor"], "consent": {"purposes": NO_LINKS}})
    assert len(await shopper.visitors(email=EMAIL)) == 1
    assert await linked(shopper, granted["token"]) == 200


async def test_refused_links_are_removed_from_every_email(shopper: Shopper) -> None:
    token = (await reported(shopper, "granted"))["token"]
    for handle in ({"email": EMAIL}, {"email": "leia@organa.com"}, {"customer": "1234"}):
        assert (await shopper.post("/v1/links", handle | {"token": token})).status_code == 200
    await reported(shopper, {"purposes": BOTH | NO_LINKS}, token=token)
    assert (
        await shopper.visitors(email=EMAIL)
        == await shopper.visitors(email="leia@organa.com")
        == await shopper.visitors(customer="1234")
        == []
    )


async def test_a_sale_of_a_visitor_that_refused_links_links_nothing(shopper: Shopper) -> None:
    granted = await reported(shopper, {"purposes": BOTH | NO_LINKS})
    sale = {"sale": 1, "products": [1], "visitor": granted["token"], "email": EMAIL, "customer": 12}
    assert (await shopper.post("/v2/log/sale", sale)).json() == {"status": "ok"}
    assert await shopper.visitors(email=EMAIL) == await shopper.visitors(customer="12") == []


async def test_a_stale_refusal_never_overwrites_a_newer_grant_and_a_tie_does(shopper: Shopper) -> None:
    at = "2026-11-18T10:00:00Z"
    token = (await reported(shopper, {"purposes": BOTH, "decided_at": at}))["token"]
    stale = {"purposes": {"storage": "refused"}, "decided_at": "2026-11-18T09:59:59Z"}
    assert (await reported(shopper, stale, token=token))["mode"] == "persistent"
    assert (await reported(shopper, stale | {"decided_at": at}, token=token))["mode"] == "null"


async def test_a_stale_grant_never_overwrites_a_newer_one(shopper: Shopper) -> None:
    newer = await reported(shopper, {"purposes": BOTH | NO_LINKS, "decided_at": "2026-11-18T10:00:00Z"})
    older = {"purposes": BOTH | {"linking": "granted"}, "decided_at": "2026-11-17T10:00:00Z"}
    answer = await reported(shopper, older, token=newer["token"])
    assert (answer["linkable"], answer["expires_at"], answer["receipt"]) == (False, newer["expires_at"], None)


async def test_a_grant_from_before_the_withdrawal_lifts_nothing(shopper: Shopper, clock: Clock) -> None:
    granted = await reported(shopper, {"purposes": BOTH, "decided_at": "2026-11-18T10:00:00Z"}, visitor="own-id")
    await reported(shopper, "refused", visitor="own-id")
    clock.forward(600)
    again = await reported(shopper, {"purposes": BOTH, "decided_at": "2026-11-18T10:00:00Z"}, visitor="own-id")
    assert granted["mode"] == "persistent"
    assert (again["mode"], again["decision"]["reason"]) == ("null", "withdrawn")


async def test_a_choice_from_a_clock_that_runs_ahead_counts_as_made_on_arrival(shopper: Shopper, clock: Clock) -> None:
    granted = await reported(shopper, {"purposes": BOTH, "decided_at": "2030-01-01T00:00:00Z"})
    now = await reported(shopper, "granted")
    assert granted["expires_at"] == now["expires_at"]
    clock.forward(1)
    assert (await reported(shopper, "refused", token=granted["token"]))["mode"] == "null"


async def test_a_choice_with_an_offset_is_the_same_moment(shopper: Shopper) -> None:
    token = (await reported(shopper, {"purposes": BOTH, "decided_at": "2026-11-18T10:00:00+02:00"}))["token"]
    late = {"purposes": {"storage": "refused"}, "decided_at": "2026-11-18T07:59:59Z"}
    assert (await reported(shopper, late, token=token))["mode"] == "persistent"


async def test_a_replayed_choice_does_nothing(shopper: Shopper, clock: Clock) -> None:
    consent = {"purposes": BOTH, "decided_at": "2026-11-18T10:00:00Z"}
    first = await reported(shopper, consent)
    clock.forward(3_600)
    again = await reported(shopper, consent, token=first["token"])
    assert (again["visitor"], again["token"], again["expires_at"], again["receipt"]) == (
        first["visitor"],
        first["token"],
        first["expires_at"],
        None,
    )
    held = (await shopper.post("/v1/receipts", {"visitor": first["visitor"]})).json()["receipts"]
    assert [without_proof(one) for one in held] == [first["receipt"]]


async def test_a_receipt_holds_what_was_decided_and_nobodys_name(shopper: Shopper) -> None:
    consent = {"purposes": BOTH | NO_LINKS, "policy_version": "2026-05", "decided_at": "2026-11-18T10:00:00Z"}
    answer = await reported(shopper, consent)
    receipt = answer["receipt"]
    assert receipt["purposes"] == {"storage": "granted", "measurement": "granted", "linking": "refused"}
    assert (receipt["mode"], receipt["source"], receipt["policy"], receipt["policy_version"]) == (
        "persistent",
        "plain",
        "standard",
        "2026-05",
    )
    assert len(receipt["raw_digest"]) == 64
    assert receipt["signature"]
    assert answer["visitor"] not in str(receipt)


async def test_receipts_are_newest_first_and_at_names_the_one_in_force(shopper: Shopper, clock: Clock) -> None:
    first = await reported(shopper, "granted")
    clock.forward(60)
    second = await reported(shopper, {"purposes": BOTH | NO_LINKS}, token=first["token"])
    visitor = first["visitor"]
    assert [without_proof(one) for one in await receipts(shopper, visitor=visitor)] == [second["receipt"], first["receipt"]]
    for at, expected in (
        ("2020-01-01T00:00:00Z", []),
        (first["receipt"]["time"], [first["receipt"]]),
        (second["receipt"]["time"], [second["receipt"]]),
        ("2027-06-01T00:00:00Z", [second["receipt"]]),
        ("2099-01-01T00:00:00Z", []),
    ):
        assert [without_proof(one) for one in await receipts(shopper, visitor=visitor, at=at)] == expected


async def test_an_erased_visitors_receipts_are_found_by_their_own_id_alone(shopper: Shopper) -> None:
    granted = await reported(shopper, "granted")
    erased = (await shopper.post("/v1/erasures", {"visitor": granted["visitor"]})).json()
    assert erased["erased"]["visitors"] == 1
    assert (await shopper.post("/v1/receipts", {"visitor": granted["visitor"]})).json()["receipts"] == []
    proof = (await shopper.post("/v1/receipts", {"receipt_id": granted["receipt"]["receipt_id"]})).json()["receipts"]
    assert [without_proof(one) for one in proof] == [granted["receipt"]]


async def test_receipts_of_another_shop_are_not_shown(shopper: Shopper) -> None:
    granted = await reported(shopper, "granted")
    for asked in ({"visitor": granted["visitor"]}, {"receipt_id": granted["receipt"]["receipt_id"]}):
        assert (await shopper.post("/v1/receipts", asked, key="other-private-key")).json()["receipts"] == []


@pytest.mark.parametrize("body", [{}, {"at": "2026-11-18T10:00:00Z"}, {"visitor": "own-id", "at": "yesterday"}, {"visitor": "a b"}])
async def test_receipts_are_asked_for_by_name(shopper: Shopper, body: dict[str, Any]) -> None:
    answer = await shopper.post("/v1/receipts", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


@pytest.mark.parametrize(
    ("asked", "standard", "strict"),
    [
        ({}, ("cookieless", "no_signal"), ("null", "no_signal")),
        ({"client": {"gpc": True}}, ("cookieless", "opted_out"), ("null", "opted_out")),
        ({"visitor": "persistent"}, ("persistent", "persistent_requested"), ("null", "no_signal")),
        ({"consent": "granted"}, ("persistent", "consent_granted"), ("persistent", "consent_granted")),
        ({"consent": "refused"}, ("null", "consent_refused"), ("null", "consent_refused")),
    ],
)
async def test_a_preview_decides_as_the_named_policy_does(
    shopper: Shopper, database: redis.Redis, asked: dict[str, Any], standard: tuple[str, str], strict: tuple[str, str]
) -> None:
    for policy, expected in ((None, standard), ("standard", standard), ("strict", strict)):
        answer = (await shopper.post("/v1/decisions", asked | ({"policy": policy} if policy else {}))).json()
        assert (answer["mode"], answer["decision"]["reason"]) == expected
        assert answer["trace"][-1] == {"fact": "rule", "value": expected[1]}
    assert database.dbsize() == 0


async def test_a_preview_of_a_refusal_withdraws_nothing(shopper: Shopper) -> None:
    token = (await reported(shopper, "granted"))["token"]
    answer = (await shopper.post("/v1/decisions", {"token": token, "consent": "refused"})).json()
    assert (answer["mode"], answer["decision"]["reason"]) == ("null", "consent_refused")
    assert {"fact": "stored grant", "value": "true"} in answer["trace"]
    assert (await shopper.post("/v1/verifications", {"token": token})).json()["valid"] is True


@pytest.mark.parametrize("decided_at", ["2020-01-01T00:00:00Z", "2026-11-01T00:00:00Z", "2030-01-01T00:00:00Z"])
async def test_a_preview_decides_as_the_call_itself_would(shopper: Shopper, decided_at: str) -> None:
    asked = {"consent": {"purposes": BOTH, "decided_at": decided_at}}
    preview = (await shopper.post("/v1/decisions", asked)).json()
    made = (await shopper.post("/v1/visitors", asked)).json()
    assert (preview["mode"], preview["decision"]) == (made["mode"], made["decision"])
