"""Receipts say what was said and nothing else, and can be verified. They lie in pieces, many in one key: each is found by its own ID alone,
for as long as it is kept and no longer."""

import json
import re
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from identity_service.app import Application
from identity_service.cli import main
from identity_service.model.consent import Receipt
from identity_service.model.receipt_key import KeyList, proof_fault
from identity_service.service.receipts import RECEIPTS_OF_A_PIECE
from identity_service.settings.load import load
from identity_service.store.keys import PIECE_LENGTH
from identity_service.store.removals import MOST_KEPT_RECEIPTS
from identity_service.web.manual.book import FOLDER
from tests.conftest import Clock, Shopper, shopping

pytestmark = pytest.mark.anyio
DAY = 86_400
BOTH = {"storage": "granted", "measurement": "granted"}


async def said(shopper: Shopper, consent: Any, **members: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await shopper.post("/v1/consents", members | {"consent": consent})).json()["receipt"]
    return found


async def found(shopper: Shopper, receipt_id: str) -> list[dict[str, Any]]:
    return [without_proof(one) for one in await receipts(shopper, receipt_id=receipt_id)]


async def receipts(shopper: Shopper, **asked: Any) -> list[dict[str, Any]]:
    answer = await shopper.post("/v1/receipts", asked)
    assert answer.status_code == 200, answer.text
    kept: list[dict[str, Any]] = answer.json()["receipts"]
    return kept


def without_proof(receipt: dict[str, Any]) -> dict[str, Any]:
    """As the answer to the choice told it."""
    return {name: value for name, value in receipt.items() if name not in {"signed_at", "proof"}}


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


async def test_a_receipt_tells_what_was_asked_how_and_until_when(environment: dict[str, str], clock: Clock) -> None:
    told = {"NOTICE": "https://shop.example/privacy", "CONSENT_VERSION": "7"}
    settings = load("development", environment | {f"IDENTITY_SHOPS__DEMO__{name}": text for name, text in told.items()})
    async with shopping(settings, clock) as shopper:
        banner = {"version": "3.1", "language": "de", "method": "accept_all"}
        given = await said(shopper, {"purposes": BOTH, "banner": banner}, visitor="one")
        assert (given["shop"], given["event"], given["previous"]) == ("demo", "given", None)
        assert (given["notice"], given["consent_version"]) == ("https://shop.example/privacy", "7")
        assert (given["banner"], given["ends_at"]) == (banner, "2027-12-13T11:06:40Z")
        clock.forward(60)
        confirmed = await said(shopper, {"purposes": BOTH | {"linking": "granted"}}, visitor="one")
        assert (confirmed["event"], confirmed["previous"], confirmed["banner"]) == ("confirmed", given["receipt_id"], None)
        withdrawn = await said(shopper, "refused", visitor="one")
        assert (withdrawn["event"], withdrawn["previous"], withdrawn["ends_at"]) == ("withdrawn", confirmed["receipt_id"], None)
        for one in (given, confirmed, withdrawn):
            assert await found(shopper, one["receipt_id"]) == [one]
            assert await verified(shopper, one)
        assert {one["visitor_digest"] for one in (confirmed, withdrawn)} == {given["visitor_digest"]}


async def test_a_refusal_without_a_grant_withdraws_nothing(shopper: Shopper) -> None:
    assert (await said(shopper, "refused", visitor="one"))["event"] == "refused"
    assert (await said(shopper, {"purposes": {"linking": "refused"}}, visitor="two"))["event"] == "refused"
    await said(shopper, {"purposes": BOTH | {"linking": "granted"}}, visitor="three")
    assert (await said(shopper, {"purposes": {"linking": "refused"}}, visitor="three"))["event"] == "withdrawn"


@pytest.mark.parametrize("word", ["granted", "refused"])
async def test_an_equal_choice_within_a_day_has_no_new_receipt(shopper: Shopper, clock: Clock, database: redis.Redis, word: str) -> None:
    first = await said(shopper, word, visitor="one")
    clock.forward(DAY - 1)
    assert await said(shopper, word, visitor="one") == first
    assert sum(database.llen(key) for key in database.scan_iter("*:R:*")) == 1
    clock.forward(1)
    later = await said(shopper, word, visitor="one")
    assert (later["previous"], later["event"]) == (first["receipt_id"], {"granted": "confirmed", "refused": "refused"}[word])


async def test_an_equal_grant_has_a_receipt_where_the_first_is_lost(
    application: Application, shopper: Shopper, clock: Clock, database: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record went between the read and the write."""
    first = await said(shopper, "granted", visitor="one")
    grants = application.services.store.visitors.grant

    async def erased_before(*arguments: Any) -> str:
        database.delete(*database.scan_iter("*:V:*"))
        return await grants(*arguments)

    monkeypatch.setattr(application.services.store.visitors, "grant", erased_before)
    clock.forward(60)
    again = await said(shopper, {"purposes": BOTH}, visitor="one")
    assert again["receipt_id"] != first["receipt_id"]
    assert [one["receipt_id"] for one in await receipts(shopper, visitor="one")] == [again["receipt_id"]]


@pytest.mark.parametrize(
    ("source", "event", "banner"),
    [
        (
            "cookiebot",
            {"consent": {"statistics": True, "method": "explicit"}, "consentUTC": "2026-11-18T11:00:00Z"},
            (None, None, "explicit"),
        ),
        ("usercentrics", {"type": "explicit", "action": "onAcceptAllServices", "functional": True}, (None, None, "onAcceptAllServices")),
        (
            "onetrust",
            {
                "OptanonConsent": "version=202409.1.0&groups=C0001%3A1%2CC0002%3A1&interactionCount=1",
                "OptanonAlertBoxClosed": "2026-11-18T11:00:00Z",
            },
            ("202409.1.0", None, None),
        ),
        (
            "vanilla-cookieconsent",
            {"cookie": {"categories": ["analytics"], "consentTimestamp": "2026-11-18T11:00:00Z", "languageCode": "sv"}},
            (None, "sv", None),
        ),
    ],
)
async def test_a_receipt_tells_of_the_banner_what_the_banner_tells(
    shopper: Shopper, source: str, event: dict[str, Any], banner: tuple[str | None, ...]
) -> None:
    told = (await shopper.post(f"/v1/consents/{source}", event)).json()["receipt"]
    assert told["banner"] == {name: text for name, text in zip(("version", "language", "method"), banner, strict=True) if text}
    assert await found(shopper, told["receipt_id"]) == [told]


async def test_a_receipt_of_a_grant_does_not_repeat_an_earlier_refusal_of_links(shopper: Shopper, clock: Clock) -> None:
    """The refusal keeps its force, by its own receipt."""
    token = (await shopper.post("/v1/consents", {"consent": {"purposes": BOTH | {"linking": "refused"}}})).json()["token"]
    clock.forward(60)
    body = {"token": token, "said": "remembered", "consent": {"purposes": BOTH, "decided_at": "2026-11-18T11:07:00Z"}}
    answer = (await shopper.post("/v1/consents", body)).json()
    assert (answer["linkable"], answer["receipt"]["purposes"]) == (False, BOTH)


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
    asked = await said(shopper, {"purposes": BOTH, "banner": {"language": "de"}})
    assert await verified(shopper, asked)
    for banner in ({"language": "fr"}, {"language": "de", "more": "said"}, {}, None):
        assert not await verified(shopper, asked | {"banner": banner})
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


async def test_receipts_of_a_withdrawn_visitor_are_found_by_its_token_or_cookie_alone(shopper: Shopper, clock: Clock) -> None:
    given = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    clock.forward(60)
    refused = (await shopper.post("/v1/consents", {"consent": "refused", "token": given["token"]})).json()
    both = [refused["receipt"], given["receipt"]]
    assert [without_proof(one) for one in await receipts(shopper, token=given["token"])] == both
    by_cookie = await shopper.post("/v1/receipts", cookie=f"__Host-visitor={given['token']}")
    assert [without_proof(one) for one in by_cookie.json()["receipts"]] == both
    assert await receipts(shopper, visitor=given["visitor"]) == []
    assert [without_proof(one) for one in await receipts(shopper, token=given["token"], at=given["receipt"]["time"])] == both[1:]
    assert (await shopper.post("/v1/receipts", {"token": "1p.x.y.z"})).status_code == 422
    await shopper.post("/v1/erasures", {"token": given["token"]})
    assert await receipts(shopper, token=given["token"]) == []
    assert await found(shopper, given["receipt"]["receipt_id"]) == [given["receipt"]]


async def test_a_new_grant_goes_on_where_the_withdrawal_ended(shopper: Shopper, clock: Clock) -> None:
    told = []
    for word in ("granted", "refused", "granted"):
        told.append(await said(shopper, word, visitor="one"))
        clock.forward(60)
    assert [one["previous"] for one in told] == [None, told[0]["receipt_id"], told[1]["receipt_id"]]
    assert [one["event"] for one in told] == ["given", "withdrawn", "given"]
    assert [without_proof(one) for one in await receipts(shopper, visitor="one")] == told[::-1]


async def test_a_gone_mark_keeps_the_newest_receipts_up_to_a_cap(shopper: Shopper, clock: Clock, database: redis.Redis) -> None:
    told = []
    for _ in range(MOST_KEPT_RECEIPTS):
        told.append(await said(shopper, "granted", visitor="one"))
        clock.forward(DAY)
    token = (await shopper.post("/v1/visitors", {"visitor": "one"})).json()["token"]
    told.append(await said(shopper, "refused", visitor="one"))
    [mark] = database.scan_iter("*:V:*:gone")
    assert len(str(database.get(mark))) <= 400
    assert [one["receipt_id"] for one in await receipts(shopper, token=token)] == [one["receipt_id"] for one in told[:0:-1]]


async def test_a_refusal_without_a_receipt_keeps_those_before(shopper: Shopper) -> None:
    given = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    assert (await shopper.post("/v1/visitors", {"visitor": None, "token": given["token"]})).json()["mode"] == "null"
    assert [without_proof(one) for one in await receipts(shopper, token=given["token"])] == [given["receipt"]]


ALONE = {"linking": "refused"}
HISTORIES: list[tuple[list[tuple[Any, str | None]], dict[str, list[int]]]] = [
    # a grant that came late held since it was given
    ([(BOTH, "10:00")], {"09:59": [], "10:00": [0], "11:00": [0], "11:30": [0]}),
    # a refusal of before that came late never held against the newer grant
    ([(BOTH, "11:00"), ({"storage": "refused"}, "10:00")], {"10:30": [1], "11:00": [0], "11:30": [0]}),
    # a grant of before that came late held until the refusal that came first
    ([({"storage": "refused"}, "11:00"), (BOTH, "10:00")], {"10:30": [1], "11:00": [0], "11:30": [0]}),
    # at the same second the refusal counts
    ([(BOTH, "10:00"), ({"storage": "refused"}, "10:00")], {"10:00": [1], "11:30": [1]}),
    # a later refusal of links stands beside the grant, an earlier one does not
    ([(BOTH, "10:00"), (ALONE, "10:30")], {"10:15": [0], "10:30": [1, 0]}),
    ([(ALONE, "10:00"), (BOTH, "10:30")], {"10:15": [0], "10:30": [1]}),
]


@pytest.mark.parametrize(("choices", "moments"), HISTORIES)
async def test_receipts_held_from_the_choice_on_whenever_they_arrived(
    application: Application, choices: list[tuple[Any, str | None]], moments: dict[str, list[int]]
) -> None:
    def at(text: str) -> int:
        return int(datetime.fromisoformat(f"2026-11-18T{text}:00Z").timestamp())

    made = [
        Receipt(str(number), at("11:06"), "persistent", purposes, "plain", "standard", decided_at=at(told or "11:06"))
        for number, (purposes, told) in enumerate(choices)
    ]
    for moment, expected in moments.items():
        held = application.services.receipts.in_force(made[::-1], at(moment))
        assert [int(one.receipt_id) for one in held] == expected, moment


async def test_a_refusal_that_came_late_is_found_at_its_own_time(shopper: Shopper, clock: Clock) -> None:
    """It ends nothing, since the yes is newer, and stands among the visitor's receipts."""
    given = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    clock.forward(60)
    late = {"purposes": {"storage": "refused"}, "decided_at": "2026-11-18T10:00:00Z"}
    answer = (await shopper.post("/v1/consents", {"consent": late, "token": given["token"]})).json()
    told = answer["receipt"]
    assert (answer["mode"], told["event"], told["previous"]) == ("persistent", "refused", given["receipt"]["receipt_id"])
    assert told["visitor_digest"] == given["receipt"]["visitor_digest"]
    assert [without_proof(one) for one in await receipts(shopper, visitor=given["visitor"])] == [told, given["receipt"]]
    for at, held in (("2026-11-18T11:00:00Z", [told]), ("2026-11-18T12:00:00Z", [given["receipt"]])):
        assert [without_proof(one) for one in await receipts(shopper, token=given["token"], at=at)] == held
    last = (await shopper.post("/v1/consents", {"consent": "refused", "token": given["token"]})).json()["receipt"]
    assert [without_proof(one) for one in await receipts(shopper, token=given["token"])] == [last, told, given["receipt"]]


async def test_a_grant_holds_until_its_end_and_a_refusal_has_none(shopper: Shopper, clock: Clock) -> None:
    given = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    for at, held in (("2027-12-13T11:06:39Z", 1), ("2027-12-13T11:06:40Z", 0)):
        assert len(await receipts(shopper, token=given["token"], at=at)) == held
    await shopper.post("/v1/consents", {"consent": "refused", "token": given["token"]})
    assert [one["event"] for one in await receipts(shopper, token=given["token"], at="2028-01-01T00:00:00Z")] == ["withdrawn"]


async def test_a_receipt_that_is_asked_for_has_a_proof_that_the_published_keys_verify(shopper: Shopper, clock: Clock) -> None:
    told = await said(shopper, {"purposes": BOTH, "policy_version": '2 "ü"'}, visitor="one")
    assert "proof" not in told
    keys = msgspec.json.decode((await shopper.client.get("/.well-known/consent-receipt-keys.json")).content, type=KeyList)
    [one] = await receipts(shopper, visitor="one")
    exported = (await shopper.post("/v1/exports", {"visitor": "one"})).json()["visitors"][0]["receipts"]
    clock.forward(1_096 * DAY)
    for signed in (one, *exported):
        assert signed["signed_at"] == "2026-11-18T11:06:40Z"
        assert proof_fault(signed, keys) is None
        assert await answered(shopper, signed) == {"valid": True, "signature": True, "proof": True}


async def test_a_proof_covers_every_member(shopper: Shopper) -> None:
    await said(shopper, {"purposes": BOTH, "banner": {"language": "de"}}, visitor="one", client={"region": "FR"})
    [signed] = await receipts(shopper, visitor="one")
    for name in signed.keys() - {"proof"}:
        assert not await verified(shopper, signed | {name: "x"}), name
        assert not await verified(shopper, {other: one for other, one in signed.items() if other != name}), name
    for name, text in signed["proof"].items():
        for changed in (text[:-2] + ("AA" if text[-2:] != "AA" else "BB"), "", None, "é"):
            assert not await verified(shopper, signed | {"proof": signed["proof"] | {name: changed}}), (name, changed)
    assert not await verified(shopper, signed | {"proof": None})
    assert not await verified(shopper, signed, key="other-private-key")
    assert await verified(shopper, without_proof(signed))


async def test_a_proof_decides_once_the_signing_key_is_gone(shopper: Shopper, environment: dict[str, str], clock: Clock) -> None:
    await said(shopper, "granted", visitor="one")
    [signed] = await receipts(shopper, visitor="one")
    settings = load("development", environment | {"IDENTITY_SECRETS__SIGNING_KEYS": "another-key-of-the-tests-with-43-characters_"})
    async with shopping(settings, clock) as later:
        assert await answered(later, signed) == {"valid": True, "signature": False, "proof": True}
        assert await answered(later, without_proof(signed)) == {"valid": False, "signature": False}
        assert not await verified(later, signed | {"mode": "null"})
        assert not await verified(later, signed, key="other-private-key")


@pytest.mark.parametrize("keys", ["", "2030-01-01:development-only-receipt-key-of-the-demos-0"])
async def test_without_a_key_a_receipt_has_no_proof(environment: dict[str, str], clock: Clock, keys: str) -> None:
    async with shopping(load("development", environment | {"IDENTITY_SECRETS__RECEIPT_KEYS": keys}), clock) as shopper:
        told = await said(shopper, "granted", visitor="one")
        assert await receipts(shopper, visitor="one") == [told]
        assert await answered(shopper, told) == {"valid": True, "signature": True}


async def answered(shopper: Shopper, receipt: Any) -> dict[str, Any]:
    answer = await shopper.post("/v1/receipts/verifications", {"receipt": receipt})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_receipts_of_the_second_edition_stay_readable_and_verifiable(
    application: Application, shopper: Shopper, database: redis.Redis
) -> None:
    """They ended with the time of the choice, and had words instead of letters."""
    body = {"receipt_id": "abcdef0123456789", "time": 1_794_999_980, "mode": "persistent", "purposes": BOTH, "source": "plain"}
    body |= {"policy": "strict", "policy_version": None, "raw_digest": None, "region": "FR", "override_reason": None}
    body |= {"visitor_digest": None, "decided_at": 1_794_999_900}
    text = msgspec.json.encode(body, order="sorted").decode()
    signature = application.services.signing.sign_receipt("demo", text, 1_794_999_980)
    packed = ["0123456789", 1_794_999_980, "persistent", "gg-", "plain", "strict", None, None, "FR", None, None, signature, 1_794_999_900]
    database.rpush("id:v2:{demo}:R:abcdef", msgspec.json.encode(packed).decode())
    [told] = await receipts(shopper, receipt_id="abcdef0123456789")
    assert (told["mode"], told["policy"], told["shop"], told["event"], told["ends_at"]) == ("persistent", "strict", None, None, None)
    assert await answered(shopper, told) == {"valid": True, "signature": True, "proof": True}
    assert not await verified(shopper, told, key="other-private-key")
    old = {name: one for name, one in without_proof(told).items() if name in {*body, "basis", "signature"}}
    assert await verified(shopper, old)
    assert not await verified(shopper, old | {"shop": "demo"})
    assert not await verified(shopper, without_proof(told) | {"event": "given"})


async def saved(shopper: Shopper, folder: Path, receipt: Any) -> tuple[Path, Path]:
    """A receipt and the published keys as files."""
    files = folder / "receipt.json", folder / "keys.json"
    files[0].write_bytes(msgspec.json.encode(receipt))
    files[1].write_bytes((await shopper.client.get("/.well-known/consent-receipt-keys.json")).content)
    return files


KEYS_OF_A_ROTATION = ",".join(
    f"2026-0{number}-01:development-only-receipt-key-of-the-demos-{letter}" for number, letter in enumerate("048", 1)
)


@pytest.mark.parametrize("keys", ["2026-01-01:development-only-receipt-key-of-the-demos-0", KEYS_OF_A_ROTATION])
@pytest.mark.parametrize("spaces", [0, 2])
async def test_openssl_alone_verifies_a_receipt_as_the_manual_shows(
    environment: dict[str, str], clock: Clock, tmp_path: Path, keys: str, spaces: int
) -> None:
    [commands] = re.findall("```sh\n(part.*?)```", (FOLDER / "receipts.md").read_text(), re.DOTALL)
    async with shopping(load("development", environment | {"IDENTITY_SECRETS__RECEIPT_KEYS": keys}), clock) as shopper:
        await said(shopper, {"purposes": BOTH, "policy_version": '2 "ü"', "banner": {"language": "de"}}, visitor="one")
        [receipt] = await receipts(shopper, visitor="one")
        for changed in (False, True):
            told = receipt | ({"proof": receipt["proof"] | {"signed": "e30="}} if changed else {})
            paths = await saved(shopper, tmp_path, told)
            for path in paths if spaces else ():
                path.write_text(json.dumps(json.loads(path.read_text()), indent=spaces))
            run = run_in_shell(commands, tmp_path)
            assert (run.returncode == 0, "Verified Successfully" in run.stdout) == (not changed, not changed), run.stderr
            without = {name: value for name, value in told.items() if name != "proof"}
            assert json.loads((tmp_path / "signed.json").read_text()) == ({} if changed else without)


def run_in_shell(commands: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["sh", "-ec", commands], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


async def test_the_command_verifies_without_the_service(shopper: Shopper, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = await said(shopper, "granted", visitor="one")
    answer = (await shopper.post("/v1/receipts", {"visitor": "one"})).json()
    [receipt] = answer["receipts"]
    for file, code, line in (
        (receipt, 0, f"genuine {told['receipt_id']}: storage granted, measurement granted, chosen 2026-11-18T11:06:40Z"),
        (answer, 0, f"genuine {told['receipt_id']}"),
        (receipt | {"mode": "null"}, 1, f"NOT GENUINE {told['receipt_id']}: its members are not those that were signed"),
        ({"visitor": "one", "receipt": receipt}, 0, f"genuine {told['receipt_id']}"),
        ({"receipt": told}, 1, f"NOT VERIFIED {told['receipt_id']}: it has no Ed25519 signature yet"),
        (told, 1, f"NOT VERIFIED {told['receipt_id']}"),
        (receipt | {"proof": None}, 1, "it has no Ed25519 signature"),
        ({}, 1, "NOT VERIFIED receipt without an ID"),
        ({"receipts": [receipt, told]}, 1, "NOT VERIFIED"),
        ({"receipts": []}, 1, "no receipt in the file"),
        ([], 1, "cannot be read"),
    ):
        path, keys = await saved(shopper, tmp_path, file)
        assert main(["receipt", "verify", str(path), "--keys", str(keys)]) == code, file
        printed = capsys.readouterr()
        assert line in printed.out + printed.err
    assert main(["receipt", "verify", str(tmp_path / "nowhere"), "--keys", str(keys)]) == 1


async def test_a_person_sees_on_a_page_whether_a_receipt_is_genuine(shopper: Shopper) -> None:
    told = await said(shopper, {"purposes": BOTH, "policy_version": "<b>2</b>"}, visitor="one", client={"region": "FR"})
    answer = (await shopper.post("/v1/receipts", {"visitor": "one"})).json()
    [receipt] = answer["receipts"]
    empty = await shopper.client.get("/receipt")
    assert (empty.status_code, "enuine." in empty.text) == (200, False)
    assert "default-src 'none'" in empty.headers["content-security-policy"]
    wrong: list[Any] = [told | {"mode": "null"}, receipt | {"mode": "null"}, told | {"shop": "other"}, {}]
    for pasted, genuine in [(one, True) for one in (told, receipt, answer, {"receipt": told})] + [(one, False) for one in wrong]:
        page = await shopper.client.post("/receipt", data={"receipt": json.dumps(pasted)})
        assert ("<strong>Genuine." in page.text, "Not genuine." in page.text) == (genuine, not genuine), pasted
        assert ("<td>granted</td>" in page.text) == genuine
        assert "<b>2" not in page.text
        assert page.headers["cache-control"] == "no-store"
    two, deep = json.dumps({"receipts": [told, told]}), '{"x":' + "[" * 5_000 + "]" * 5_000 + "}"
    for broken in ("{", "", '"text"', '{"receipt": 7}', "[]", '{"receipts": []}', '{"receipts": [7]}', two, deep):
        page = await shopper.client.post("/receipt", data={"receipt": broken})
        assert (page.status_code, "This is not one receipt" in page.text) == (422, True), broken
    assert (await shopper.client.get("/receipt/static/pico.min.css")).status_code == 200
