"""Links, look-ups, exports and erasures over HTTP."""

import hashlib
from collections.abc import AsyncIterator

import httpx2 as httpx
import pytest
import redis

from identity_service.app import Application
from identity_service.settings.load import load
from tests.conftest import Clock, Shopper
from tests.contract.test_receipts import receipts, without_proof
from tests.stores import sale_at

pytestmark = pytest.mark.anyio
LUKE = "luke@skywalker.com"


async def issued(shopper: Shopper, **body: object) -> dict[str, str]:
    answer: dict[str, str] = (await shopper.post("/v1/visitors", body)).json()
    return answer


async def linked(shopper: Shopper, email: str, visitor: str) -> None:
    answer = await shopper.post("/v1/links", {"email": email, "visitor": visitor})
    assert answer.json() == {"linked": True, "visitor": visitor, "verified": True, "proof": "key"}


async def test_one_email_holds_many_visitors_newest_first(shopper: Shopper, clock: Clock) -> None:
    for number in range(3):
        clock.forward(10)
        await linked(shopper, LUKE, f"visitor-{number}")
    assert [one["visitor"] for one in await shopper.visitors(email=" Luke@SKYWALKER.com ")] == ["visitor-2", "visitor-1", "visitor-0"]


async def test_an_email_can_be_asked_for_by_its_sha256(shopper: Shopper) -> None:
    await linked(shopper, LUKE, "visitor-1")
    assert len(await shopper.visitors(email_sha256=hashlib.sha256(LUKE.encode()).hexdigest())) == 1


async def test_a_visitor_tells_its_emails_as_digests_and_whether_it_is_shared(shopper: Shopper) -> None:
    await linked(shopper, LUKE, "visitor-1")
    await linked(shopper, "leia@organa.com", "visitor-1")
    [found] = await shopper.visitors(visitor="visitor-1")
    assert len(found["emails"]) == 2
    assert found["shared"] is True
    assert (await shopper.visitors(email=LUKE))[0]["shared"] is True


async def test_a_public_key_links_by_token_and_never_verified(shopper: Shopper) -> None:
    token = (await issued(shopper))["token"]
    answer = await shopper.browser("/v1/links", {"email": LUKE, "token": token})
    assert (answer.json()["verified"], answer.json()["proof"]) == (False, "token")
    named = await shopper.browser("/v1/links", {"email": LUKE, "visitor": "somebody-else"})
    assert (named.status_code, named.json()["code"]) == (403, "forbidden")
    await shopper.post("/v1/links", {"email": LUKE, "token": token})
    assert (await shopper.visitors(email=LUKE))[0]["verified"] is True


@pytest.mark.parametrize("email", ["", " ", "null", "undefined", "test@test", "no-at-sign", "a@b", '"null"', "a" * 10_000 + "@example.com"])
async def test_junk_never_links(shopper: Shopper, database: redis.Redis, email: str) -> None:
    before = database.dbsize()
    answer = await shopper.post("/v1/links", {"email": email, "visitor": "visitor-1"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert database.dbsize() == before


async def test_homoglyphs_are_other_people_and_idn_spellings_the_same(shopper: Shopper) -> None:
    await linked(shopper, "luke@example.com", "visitor-1")
    await linked(shopper, "jane@bücher.example", "visitor-2")
    assert await shopper.visitors(email="luk\u0435@example.com") == []
    assert len(await shopper.visitors(email="jane@xn--bcher-kva.example")) == 1


async def test_unlinking_removes_one_link(shopper: Shopper) -> None:
    await linked(shopper, LUKE, "visitor-1")
    await linked(shopper, LUKE, "visitor-2")
    answer = await shopper.post("/v1/unlinks", {"email": LUKE, "visitor": "visitor-1"})
    assert answer.json() == {"unlinked": True, "visitor": "visitor-1"}
    assert [one["visitor"] for one in await shopper.visitors(email=LUKE)] == ["visitor-2"]
    assert (await shopper.post("/v1/unlinks", {"email": LUKE, "visitor": "visitor-1"})).json()["unlinked"] is False


async def test_a_batch_of_5000_is_answered_in_order(shopper: Shopper) -> None:
    for number in range(0, 5_000, 500):
        await linked(shopper, f"p{number}@example.com", f"visitor-{number}")
    emails = [f"p{number}@example.com" for number in range(5_000)]
    emails[7] = "no email"
    results = (await shopper.post("/v1/lookups", {"emails": emails})).json()["results"]
    assert len(results) == 5_000
    assert results[7] == {"error": "invalid"}
    assert results[1] == {"visitors": [], "more": False}
    assert [one["visitor"] for one in results[1_500]["visitors"]] == ["visitor-1500"]
    assert (await shopper.post("/v1/lookups", {"emails": [*emails, LUKE]})).status_code == 422


async def test_an_unknown_handle_is_an_empty_list(shopper: Shopper) -> None:
    assert await shopper.visitors(email=LUKE) == await shopper.visitors(customer="77") == await shopper.visitors(visitor="nobody") == []


@pytest.mark.parametrize("body", [{}, {"email": LUKE, "customer": "1"}, {"email_sha256": "12"}, {"emails": "x"}])
async def test_a_lookup_names_one_thing(shopper: Shopper, body: dict[str, str]) -> None:
    answer = await shopper.post("/v1/lookups", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


@pytest.fixture
async def capped(environment: dict[str, str], clock: Clock) -> AsyncIterator[Shopper]:
    """At most four visitors an email and four emails a visitor."""
    caps = {"IDENTITY_LIMITS__VISITORS_PER_HANDLE": "4", "IDENTITY_LIMITS__EMAILS_PER_VISITOR": "4"}
    application = Application(load("development", environment | caps), clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://service.test") as client:
        yield Shopper(client)
    await application.services.store.client.close()


async def test_unverified_links_take_half_a_cap_and_yield_to_verified_ones(capped: Shopper) -> None:
    for number in range(4):
        token = (await issued(capped))["token"]
        status = (await capped.browser("/v1/links", {"email": LUKE, "token": token})).status_code
        assert status == (200 if number < 2 else 422)
    for number in range(4):
        await linked(capped, LUKE, f"visitor-{number}")
    assert {one["visitor"] for one in await capped.visitors(email=LUKE)} == {f"visitor-{number}" for number in range(4)}
    assert (await capped.post("/v1/links", {"email": LUKE, "visitor": "visitor-5"})).status_code == 422


async def test_emails_of_a_visitor_are_capped_the_same_way(capped: Shopper) -> None:
    token = (await issued(capped))["token"]
    for number in range(4):
        status = (await capped.browser("/v1/links", {"email": f"u{number}@example.com", "token": token})).status_code
        assert status == (200 if number < 2 else 422)
    for number in range(4):
        assert (await capped.post("/v1/links", {"email": f"v{number}@example.com", "token": token})).status_code == 200
    assert await capped.visitors(email="u0@example.com") == []
    assert (await capped.post("/v1/links", {"email": "w@example.com", "token": token})).status_code == 422


async def test_links_end_with_their_cookieless_visitor_and_live_on_with_a_grant(shopper: Shopper, clock: Clock) -> None:
    ending, granted = await issued(shopper), await issued(shopper)
    for one in (ending, granted):
        await shopper.post("/v1/links", {"email": LUKE, "token": one["token"]})
    await shopper.post("/v1/consents", {"token": granted["token"], "consent": "granted"})
    clock.forward(2 * 86_400)
    assert [one["visitor"] for one in await shopper.visitors(email=LUKE)] == [granted["visitor"]]
    clock.forward(389 * 86_400)
    [after] = await shopper.visitors(email=LUKE)
    assert after["visitor"] == granted["visitor"]
    clock.forward(30 * 86_400)
    assert await shopper.visitors(email=LUKE) == []


async def test_under_strict_only_persistent_ids_link(shopper: Shopper) -> None:
    key = "strict-private-key"
    answer = await shopper.post("/v1/links", {"email": LUKE, "visitor": "own-id"}, key=key)
    assert (answer.status_code, answer.json()["code"]) == (409, "consent_required")
    await shopper.post("/v1/consents", {"visitor": "own-id", "consent": "granted"}, key=key)
    assert (await shopper.post("/v1/links", {"email": LUKE, "visitor": "own-id"}, key=key)).status_code == 200


async def test_shops_never_see_each_other(shopper: Shopper) -> None:
    visitor = await issued(shopper, consent="granted")
    await shopper.post("/v1/links", {"email": LUKE, "token": visitor["token"]})
    other = await shopper.post("/v1/lookups", {"email": LUKE}, key="other-private-key")
    assert other.json() == {"visitors": []}
    verified = await shopper.post("/v1/verifications", {"token": visitor["token"]}, key="other-private-key")
    assert verified.json() == {"valid": False, "reason": "bad_signature"}
    assert (await shopper.post("/v1/links", {"email": LUKE, "token": visitor["token"]}, key="other-private-key")).status_code == 422


async def test_an_erasure_takes_what_the_export_showed(shopper: Shopper) -> None:
    """Once of all that hold the visitor by proof."""
    visitor = (await issued(shopper, consent="granted"))["visitor"]
    await linked(shopper, LUKE, visitor)
    sale = {"sale": 7, "products": [{"id": 1, "price": 2.5, "quantity": 2}], "visitor": visitor, "email": LUKE, "customer": 12}
    assert (await shopper.post("/v2/log/sale", sale)).json() == {"status": "ok"}
    await shopper.post("/v2/log/click", {"product": 1, "visitor": visitor, "labels": ["Home"]})
    shown = (await shopper.post("/v1/exports", {"email": LUKE})).json()
    assert [event["type"] for event in shown["visitors"][0]["events"]] == ["click", "sale"]
    assert shown["orders"][0]["products"] == [{"id": 1, "quantity": 2, "price": "2.5"}]
    assert len(shown["visitors"][0]["receipts"]) == 1
    first = (await shopper.post("/v1/erasures", {"email": LUKE})).json()
    assert (first["erased"], first["kept"]) == ({"visitors": 0, "links": 1, "events": 0}, {"unproven": 0, "shared": 1})
    erased = (await shopper.post("/v1/erasures", {"customer": "12"})).json()
    assert (erased["erased"], erased["kept"]) == ({"visitors": 1, "links": 1, "events": 2}, {"unproven": 0, "shared": 0})
    assert (await shopper.post("/v1/exports", {"email": LUKE})).json() == {"visitors": [], "unproven": [], "orders": []}
    assert (await shopper.post("/v1/exports", {"visitor": visitor})).json() == {"visitors": [], "unproven": [], "orders": []}
    assert await shopper.visitors(customer="12") == []
    again = (await shopper.post("/v1/erasures", {"email": LUKE})).json()
    assert (again["erased"], again["kept"]) == ({"visitors": 0, "links": 0, "events": 0}, {"unproven": 0, "shared": 0})


async def test_an_erased_order_keeps_what_was_bought_and_nobody(shopper: Shopper, database: redis.Redis) -> None:
    await shopper.post("/v2/log/sale", {"sale": 7, "products": [1], "visitor": "visitor-1", "email": LUKE, "customer": 12})
    await shopper.post("/v1/erasures", {"visitor": "visitor-1"})
    [key] = list(database.scan_iter("id:v2:{*}:S:*"))
    assert set(sale_at(database, key)) == {"sale", "time", "products", "revenue", "mode", "missing", "verified"}


async def test_a_shared_visitor_loses_only_the_erased_link(shopper: Shopper) -> None:
    await linked(shopper, LUKE, "visitor-1")
    await linked(shopper, "leia@organa.com", "visitor-1")
    erased = (await shopper.post("/v1/erasures", {"email": LUKE})).json()["erased"]
    assert (erased["visitors"], erased["links"]) == (0, 1)
    assert [one["shared"] for one in await shopper.visitors(email="leia@organa.com")] == [False]
    assert (await shopper.post("/v1/links", {"email": "leia@organa.com", "visitor": "visitor-1"})).status_code == 200


async def test_an_erased_id_stays_refused(shopper: Shopper) -> None:
    visitor = await issued(shopper, consent="granted")
    await linked(shopper, LUKE, visitor["visitor"])
    await shopper.post("/v1/erasures", {"email": LUKE})
    link = await shopper.post("/v1/links", {"email": LUKE, "token": visitor["token"]})
    assert (link.status_code, link.json()["code"]) == (409, "consent_required")
    assert (await shopper.post("/v2/log/click", {"product": 1, "visitor": visitor["visitor"]})).json() == {"status": "ok"}
    assert (await shopper.post("/v1/exports", {"visitor": visitor["visitor"]})).json() == {"visitors": [], "unproven": [], "orders": []}


async def test_receipts_prove_each_choice_and_outlive_the_visitor(shopper: Shopper, clock: Clock) -> None:
    first = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    clock.forward(86_400)
    second = (await shopper.post("/v1/consents", {"consent": "granted", "token": first["token"]})).json()
    held = await receipts(shopper, visitor=first["visitor"])
    assert [one["receipt_id"] for one in held] == [second["receipt"]["receipt_id"], first["receipt"]["receipt_id"]]
    [then] = await receipts(shopper, visitor=first["visitor"], at=first["receipt"]["time"])
    assert without_proof(then) == first["receipt"]
    refused = (await shopper.post("/v1/consents", {"consent": "refused", "token": second["token"]})).json()
    assert refused["receipt"]["purposes"] == {"storage": "refused", "measurement": "refused"}
    assert await receipts(shopper, visitor=first["visitor"]) == []
    [proof] = await receipts(shopper, receipt_id=first["receipt"]["receipt_id"])
    assert without_proof(proof) == first["receipt"]


async def test_a_preview_changes_nothing_and_tells_why(shopper: Shopper, database: redis.Redis) -> None:
    asked = {"consent": "granted", "client": {"gpc": True}, "policy": "strict"}
    answer = (await shopper.post("/v1/decisions", asked)).json()
    assert (answer["mode"], answer["decision"]["policy"], answer["sale_share_opt_out"]) == ("persistent", "strict", True)
    assert {"fact": "gpc", "value": "true"} in answer["trace"]
    assert answer["trace"][-1] == {"fact": "rule", "value": "consent_granted"}
    assert database.dbsize() == 0
