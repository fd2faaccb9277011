"""Receipts lie in pieces, many in one key: each is found by its own ID alone, for as long as it is kept and no longer."""

from typing import Any

import pytest
import redis

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
