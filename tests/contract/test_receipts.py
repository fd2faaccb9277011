"""Receipts say what was said and nothing else, and can be verified. They lie in pieces, many in one key: each is found by its own ID alone,
for as long as it is kept and no longer."""

from typing import Any

import msgspec
import pytest
import redis

from identity_service.app import Application
from identity_service.service.receipts import RECEIPTS_OF_A_PIECE
from identity_service.store.keys import PIECE_LENGTH
from tests.conftest import Clock, Shopper

pytestmark = pytest.mark.anyio
DAY = 86_400


async def said(shopper: Shopper, consent: Any, **members: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await shopper.post("/v1/consents", members | {"consent": consent})).json()["receipt"]
    return found


async def found(shopper: Shopper, receipt_id: str) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = (await shopper.post("/v1/receipts", {"receipt_id": receipt_id})).json()["receipts"]
    return kept


@pytest.mark.parametrize(
    "consent",
    [
        "granted",
        "refused",
        {"purposes": {"linking": "refused"}},
        {"purposes": {"storage": "granted", "measurement": "granted", "linking": "refused"}, "policy_version": '2 "ü"'},
    ],
)
async def test_a_receipt_is_found_as_it_was_answered(shopper: Shopper, consent: Any) -> None:
    told = await said(shopper, consent, visitor="own-id", client={"region": "US-CA"})
    assert await found(shopper, told["receipt_id"]) == [told]


async def test_receipts_share_keys_and_only_a_whole_id_finds_one(shopper: Shopper, database: redis.Redis) -> None:
    told = [await said(shopper, "granted") for _ in range(RECEIPTS_OF_A_PIECE + 1)]
    assert sorted(database.llen(key) for key in database.scan_iter("*:R:*")) == [1, RECEIPTS_OF_A_PIECE]
    assert [await found(shopper, one["receipt_id"]) for one in told] == [[one] for one in told]
    piece = told[0]["receipt_id"][:PIECE_LENGTH]
    for guess in (piece, piece + "A" * 10, told[0]["receipt_id"][:-1], told[0]["receipt_id"] + "A", piece + '"', ""):
        assert await found(shopper, guess) == []


async def test_a_receipt_is_not_answered_after_its_end_though_its_piece_lives(shopper: Shopper, clock: Clock) -> None:
    first = await said(shopper, "granted")
    clock.forward(DAY - 1)
    second = await said(shopper, "granted")
    assert first["receipt_id"][:PIECE_LENGTH] == second["receipt_id"][:PIECE_LENGTH]
    clock.forward(1)
    assert (await said(shopper, "granted"))["receipt_id"][:PIECE_LENGTH] != first["receipt_id"][:PIECE_LENGTH]
    clock.forward(1_095 * DAY - DAY)
    assert (await found(shopper, first["receipt_id"]), await found(shopper, second["receipt_id"])) == ([], [second])


async def test_a_piece_lives_as_long_as_its_newest_receipt(shopper: Shopper, clock: Clock, database: redis.Redis) -> None:
    told = await said(shopper, "granted")
    [key] = database.scan_iter("*:R:*")
    database.expire(key, 60)
    clock.forward(60)
    await said(shopper, "granted")
    assert database.ttl(key) > 1_094 * DAY
    assert await found(shopper, told["receipt_id"]) == [told]


BOTH = {"storage": "granted", "measurement": "granted"}


@pytest.mark.parametrize(
    ("consent", "purposes"),
    [
        ("granted", BOTH),
        ("refused", {"storage": "refused", "measurement": "refused"}),
        ({"purposes": BOTH}, BOTH),
        ({"purposes": BOTH | {"linking": "granted"}}, BOTH | {"linking": "granted"}),
        ({"purposes": {"storage": "granted", "measurement": "refused"}}, {"storage": "granted", "measurement": "refused"}),
        ({"purposes": {"storage": "refused"}}, {"storage": "refused"}),
        ({"purposes": {"linking": "refused"}}, {"linking": "refused"}),
        ({"google": {"analytics_storage": "granted", "ad_storage": "denied"}}, BOTH),
    ],
)
async def test_purposes_that_were_not_asked_are_in_no_receipt(shopper: Shopper, consent: Any, purposes: dict[str, str]) -> None:
    told = await said(shopper, consent)
    assert (told["purposes"], told["basis"]) == (purposes, "person")


async def test_the_shops_word_proves_no_grant(shopper: Shopper) -> None:
    visitor = (await shopper.post("/v1/visitors", {"visitor": "persistent"})).json()["visitor"]
    [told] = (await shopper.post("/v1/receipts", {"visitor": visitor})).json()["receipts"]
    assert (told["basis"], told["source"], told["purposes"]) == ("shop", "shop", {})


async def test_a_receipt_tells_when_it_was_chosen_beside_when_it_arrived(shopper: Shopper, clock: Clock) -> None:
    told = await said(shopper, {"purposes": BOTH, "decided_at": "2026-11-10T12:00:00.750Z"})
    assert (told["decided_at"], told["time"]) == ("2026-11-10T12:00:00Z", "2026-11-18T11:06:40Z")
    told = await said(shopper, "granted")
    assert told["decided_at"] == told["time"]


async def verified(shopper: Shopper, receipt: Any, key: str = "demo-private-key") -> bool:
    answer = await shopper.post("/v1/receipts/verifications", {"receipt": receipt}, key=key)
    assert answer.status_code == 200, answer.text
    valid: bool = answer.json()["valid"]
    return valid


async def test_a_receipt_is_verified_as_long_as_nothing_of_it_was_changed(shopper: Shopper, clock: Clock) -> None:
    told = await said(shopper, {"purposes": BOTH, "decided_at": "2026-11-10T12:00:00Z"}, visitor="one", client={"region": "FR"})
    clock.forward(1_096 * DAY)
    assert await verified(shopper, told)
    for name, value in told.items():
        changed = {"purposes": {**told["purposes"], "linking": "granted"}}.get(name, f"{value}x" if value else "x")
        assert not await verified(shopper, told | {name: changed}), name
        assert not await verified(shopper, {other: one for other, one in told.items() if other != name}) or name in {"basis"}, name
    assert not await verified(shopper, told | {"decided_at": told["time"]})
    assert not await verified(shopper, told | {"basis": "shop"})
    assert not await verified(shopper, told | {"more": "said"})
    assert not await verified(shopper, told, key="other-private-key")
    assert not await verified(shopper, {})


async def test_a_receipt_of_the_first_edition_stays_verifiable(application: Application, shopper: Shopper) -> None:
    """It told no time of the choice, and no basis."""
    first = {"receipt_id": "kept___________0", "time": 1_794_999_980, "mode": "persistent", "purposes": BOTH, "source": "plain"}
    first |= {"policy": "standard", "visitor_digest": "yDXvqg_HyjrWJ3oq4E64yg", "raw_digest": None, "region": None}
    first |= {"override_reason": None, "policy_version": None}
    body = msgspec.json.encode(first, order="sorted").decode()
    signature = application.services.signing.sign_receipt("demo", body, 1_794_999_980)
    told = first | {"time": "2026-11-18T11:06:20Z", "signature": signature}
    assert await verified(shopper, told)
    assert await verified(shopper, told | {"decided_at": told["time"], "basis": "person"})
    assert not await verified(shopper, told | {"purposes": BOTH | {"linking": "granted"}})
