"""Opt-ins to sale: asked for, then confirmed. What lifts an opt-out, whose, what undoes it, and what does not."""

from random import Random
from typing import Any

import httpx2 as httpx
import pytest
import redis

from identity_service.app import Application
from identity_service.errors import StoreUnavailable
from identity_service.model.consent import Millis, OptOut
from identity_service.model.shop import ShopId
from identity_service.model.visitor import VisitorId
from identity_service.ops.verify import verified_receipts
from identity_service.store.redis.command import Command
from tests.conftest import Clock, Shopper
from tests.contract.desk import desk_of, text_of
from tests.test_privacy import dump

pytestmark = pytest.mark.anyio
PATH = "/v1/sale-opt-ins"
EMAIL = "luke@skywalker.com"
GPC = {"sec-gpc": "1"}
USNAT_OPTED_OUT = {"gpp": {"gpp_string": "DBABLA~CAAVAAAAAABA", "applicable_sections": [7], "signal_status": "ready"}}
BOTH = {"storage": "granted", "measurement": "granted"}


async def opted_out(shopper: Shopper) -> dict[str, Any]:
    """A persistent visitor whose browser sends GPC."""
    answer = await shopper.browser("/v1/consents", {"consent": "granted"}, **GPC)
    found: dict[str, Any] = answer.json()
    assert (found["mode"], found["sale_share_opt_out"]) == ("persistent", True)
    return found


async def own(shopper: Shopper, visitor: str, email: str = EMAIL) -> None:
    """A cookieless visitor with the shop's ID, linked by the shop and opted out."""
    await shopper.post("/v1/links", {"email": email, "visitor": visitor})
    await shopper.post("/v1/visitors", {"visitor": visitor, "client": {"gpc": True}})


async def ask(shopper: Shopper, **who: Any) -> str:
    answer = await shopper.post(PATH, who)
    assert answer.status_code == 200, answer.text
    confirmation: str = answer.json()["confirmation"]
    return confirmation


async def confirm(shopper: Shopper, confirmation: str, **who: Any) -> dict[str, Any]:
    answer = await shopper.post(PATH, {"confirmation": confirmation, **who})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def opt_in(shopper: Shopper, clock: Clock, **who: Any) -> dict[str, Any]:
    clock.forward(2)
    return await confirm(shopper, await ask(shopper, **who), **who)


async def is_out(shopper: Shopper, who: dict[str, Any], **headers: str) -> bool:
    found: bool = (await shopper.browser("/v1/visitors", {"token": who["token"]}, **headers)).json()["sale_share_opt_out"]
    return found


async def outs(shopper: Shopper, **asked: str) -> dict[str, bool]:
    return {one["visitor"]: one["sale_share_opt_out"] for one in await shopper.visitors(**asked)}


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_the_first_step_changes_nothing_and_the_second_one_lifts_the_opt_out_with_a_receipt(
    shopper: Shopper, clock: Clock, database: redis.Redis
) -> None:
    given = await opted_out(shopper)
    clock.forward(2)
    before = sorted(dump(database))
    asked = (await shopper.browser(PATH, {"token": given["token"]}, **GPC)).json()
    assert set(asked) == {"confirmation", "expires_at"}
    assert asked["expires_at"] == "2026-11-18T11:21:42Z"
    assert sorted(dump(database)) == before
    assert await is_out(shopper, given)

    done = (await shopper.browser(PATH, {"confirmation": asked["confirmation"], "token": given["token"]}, **GPC)).json()
    assert (done["visitor"], done["mode"], done["sale_share_opt_out"]) == (given["visitor"], "persistent", False)
    receipt = done["receipt"]
    assert (receipt["purposes"], receipt["source"], receipt["basis"]) == ({"sale_share": "granted"}, "sale_opt_in", "person")
    assert (receipt["event"], receipt["ends_at"], receipt["previous"]) == ("given", None, given["receipt"]["receipt_id"])
    assert not await is_out(shopper, given)


async def test_a_page_needs_no_token_beside_its_cookie(shopper: Shopper, clock: Clock) -> None:
    given = await opted_out(shopper)
    clock.forward(2)
    cookie = {"cookie": f"__Host-visitor={given['token']}"}
    asked = (await shopper.browser(PATH, {}, **cookie)).json()
    done = (await shopper.browser(PATH, {"confirmation": asked["confirmation"]}, **cookie)).json()
    assert (done["visitor"], done["sale_share_opt_out"]) == (given["visitor"], False)


async def test_a_server_may_convey_both_steps_of_a_visitor_with_an_id_of_its_own(shopper: Shopper, clock: Clock) -> None:
    await own(shopper, "own-id")
    assert await outs(shopper, email=EMAIL) == {"own-id": True}
    done = await opt_in(shopper, clock, visitor="own-id")
    assert (done["visitor"], done["mode"], done["sale_share_opt_out"]) == ("own-id", "cookieless", False)
    assert done["receipt"]["basis"] == "person"
    again = (await shopper.post("/v1/visitors", {"visitor": "own-id", "client": {"gpc": True}})).json()
    assert (again["sale_share_opt_out"], await outs(shopper, email=EMAIL)) == (False, {"own-id": False})


async def test_while_it_stands_a_state_of_the_browser_and_what_is_repeated_do_not_undo_it(shopper: Shopper, clock: Clock) -> None:
    given = await opted_out(shopper)
    await shopper.browser("/v1/links", {"email": EMAIL, "token": given["token"]})
    await opt_in(shopper, clock, token=given["token"])
    clock.forward(2 * 3_600)
    who = {"token": given["token"]}
    told = [
        await shopper.browser("/v1/visitors", who, **GPC),
        await shopper.browser("/v1/visitors", who | {"consent": USNAT_OPTED_OUT}),
        await shopper.browser("/v1/consents", who | {"consent": {"us_privacy": "1YYN"}, "said": "remembered"}),
        await shopper.browser("/v1/consents", who | {"consent": {"us_privacy": "1YYN"}, "age_ms": 3 * 3_600_000}),
        await shopper.browser("/v1/consents", who | {"consent": {"purposes": BOTH}}, **GPC),
    ]
    assert [answer.json()["sale_share_opt_out"] for answer in told] == [False] * 5
    assert told[4].json()["receipt"]["event"] in {"given", "confirmed"}
    await shopper.browser("/v2/log/click", {"key": "demo-public-key", "product": 1, "visitor": given["token"]}, **GPC)
    await shopper.browser("/v2/log/sale", {"key": "demo-public-key", "sale": "1", "products": [1], "visitor": given["token"]}, **GPC)
    await shopper.browser("/v1/links", {"email": EMAIL, "token": given["token"]}, **GPC)
    assert (await outs(shopper, email=EMAIL), await is_out(shopper, given, **GPC)) == ({given["visitor"]: False}, False)
    previewed = (await shopper.post("/v1/decisions", who | {"client": {"gpc": True}})).json()
    assert previewed["sale_share_opt_out"] is False
    assert {"fact": "sale opt-in", "value": "true"} in previewed["trace"]


async def test_gpc_counts_where_nobody_is_presented(shopper: Shopper, clock: Clock) -> None:
    given = await opted_out(shopper)
    await opt_in(shopper, clock, token=given["token"])
    assert (await shopper.browser("/v1/visitors", **GPC)).json()["sale_share_opt_out"]
    assert (await shopper.browser("/v1/visitors", {"token": given["token"], "visitor": "auto"}, **GPC)).json()["sale_share_opt_out"]


@pytest.mark.parametrize("consent", [{"us_privacy": "1YYN"}, USNAT_OPTED_OUT], ids=["us_privacy", "gpp"])
async def test_an_opt_out_said_now_ends_it_and_the_used_confirmation_lifts_nothing_more(
    shopper: Shopper, clock: Clock, consent: Any
) -> None:
    given = await opted_out(shopper)
    clock.forward(2)
    used = await ask(shopper, token=given["token"])
    await confirm(shopper, used)
    clock.forward(2)
    assert (await shopper.browser("/v1/consents", {"token": given["token"], "consent": consent})).json()["sale_share_opt_out"]
    assert await is_out(shopper, given)
    for who in ({}, {"token": given["token"]}):
        assert problem(await shopper.post(PATH, {"confirmation": used} | who)) == (422, "invalid")
    assert await is_out(shopper, given)
    again = await opt_in(shopper, clock, token=given["token"])
    assert (again["sale_share_opt_out"], again["receipt"]["event"]) == (False, "given")
    assert not await is_out(shopper, given, **GPC)


async def test_a_banners_opt_out_counts_if_it_is_dated_after_the_opt_in(shopper: Shopper, clock: Clock) -> None:
    given = await opted_out(shopper)
    await opt_in(shopper, clock, token=given["token"])
    clock.forward(3_600)
    out = {"token": given["token"], "consent": {"us_privacy": "1YYN"}}
    assert (await shopper.browser("/v1/consents", out | {"age_ms": 2 * 3_600_000})).json()["sale_share_opt_out"] is False
    assert (await shopper.browser("/v1/consents", out | {"age_ms": 1_800_000})).json()["sale_share_opt_out"] is True
    assert await is_out(shopper, given)


async def test_repeating_the_second_step_is_harmless_and_an_equal_opt_in_makes_no_new_receipt(shopper: Shopper, clock: Clock) -> None:
    given = await opted_out(shopper)
    clock.forward(2)
    confirmation = await ask(shopper, token=given["token"])
    first = await confirm(shopper, confirmation)
    assert await confirm(shopper, confirmation) == first
    later = await opt_in(shopper, clock, token=given["token"])
    assert later == first
    held = (await shopper.post("/v1/receipts", {"visitor": given["visitor"]})).json()["receipts"]
    assert [one["purposes"] for one in held] == [{"sale_share": "granted"}, BOTH]


async def test_a_wrong_a_foreign_a_tampered_and_an_old_confirmation_change_nothing(
    shopper: Shopper, clock: Clock, database: redis.Redis
) -> None:
    given, other = await opted_out(shopper), await opted_out(shopper)
    clock.forward(2)
    right = await ask(shopper, token=given["token"])
    of_other_shop = await shopper.post("/v1/consents", {"consent": "granted"}, key="other-private-key")
    foreign = (await shopper.post(PATH, {"token": of_other_shop.json()["token"]}, key="other-private-key")).json()["confirmation"]
    before = sorted(dump(database))
    for wrong in ("", "x", given["token"], given["receipt"]["signature"], foreign, right + "A", right.replace("~", "~x"), right[:-1]):
        assert problem(await shopper.post(PATH, {"confirmation": wrong})) == (422, "invalid"), wrong
    strangers: list[dict[str, Any]] = [{"token": other["token"]}, {"visitor": "own-id"}, {"token": "no token"}]
    for stranger in strangers:
        assert problem(await shopper.post(PATH, {"confirmation": right} | stranger)) == (422, "invalid"), stranger
    with_cookie = await shopper.browser(PATH, {"confirmation": right}, cookie=f"__Host-visitor={other['token']}")
    assert problem(with_cookie) == (422, "invalid")
    assert (await shopper.post("/v1/verifications", {"token": right})).json() == {"valid": False, "reason": "bad_signature"}
    assert (await shopper.post("/v1/links", {"email": EMAIL, "token": right})).status_code == 422
    clock.forward(900)
    assert problem(await shopper.post(PATH, {"confirmation": right})) == (422, "invalid")
    assert sorted(dump(database)) == before


async def test_whoever_is_not_one_known_person_is_told_409_at_both_steps(shopper: Shopper, clock: Clock, database: redis.Redis) -> None:
    given = await opted_out(shopper)
    clock.forward(2)
    confirmation = await ask(shopper, token=given["token"])
    derived = (await shopper.browser("/v1/visitors", **{"user-agent": "another", "sec-gpc": "1"})).json()
    await shopper.post("/v1/links", {"email": EMAIL, "token": derived["token"]})
    unlinked = (await shopper.post("/v1/visitors")).json()
    robot = {"user_agent": "Googlebot/2.1"}
    before = sorted(dump(database))
    nobodies: list[dict[str, Any]] = [
        {},
        {"token": derived["token"]},
        {"token": unlinked["token"]},
        {"visitor": "never-seen"},
        {"token": given["token"], "visitor": None},
        {"token": given["token"], "visitor": "auto"},
        {"token": given["token"], "client": robot},
        {"token": given["token"], "client": {"user_agent": "Claude-User/1.0"}},
    ]
    for nobody in nobodies:
        assert problem(await shopper.post(PATH, nobody)) == (409, "consent_required"), nobody
    assert problem(await shopper.post(PATH, {"confirmation": confirmation, "client": robot})) == (409, "consent_required")
    assert sorted(dump(database)) == before
    clock.forward(1)
    await shopper.post("/v1/consents", {"token": given["token"], "consent": "refused"})
    gone = sorted(dump(database))
    for body in ({"token": given["token"]}, {"confirmation": confirmation}, {"confirmation": confirmation, "token": given["token"]}):
        assert problem(await shopper.post(PATH, body)) == (409, "consent_required"), body
    assert sorted(dump(database)) == gone


async def test_nobody_opts_in_by_an_id_alone_from_a_foreign_page_or_by_get(shopper: Shopper, clock: Clock) -> None:
    await own(shopper, "own-id")
    assert problem(await shopper.browser(PATH, {"visitor": "own-id"})) == (403, "forbidden")
    given = await opted_out(shopper)
    assert problem(await shopper.browser(PATH, {"token": given["token"]}, origin="https://elsewhere.example")) == (403, "forbidden")
    assert (await shopper.client.get(PATH, params={"key": "demo-public-key", "token": given["token"]})).status_code == 405


async def test_an_ended_consent_cannot_opt_in(shopper: Shopper, clock: Clock) -> None:
    given = await opted_out(shopper)
    clock.forward(391 * 86_400)
    assert problem(await shopper.post(PATH, {"token": given["token"]})) == (409, "consent_required")
    assert problem(await shopper.post(PATH, {"visitor": given["visitor"]})) == (409, "consent_required")


async def test_it_lifts_the_opt_outs_of_the_persons_other_visitors_that_the_shop_linked(shopper: Shopper, clock: Clock) -> None:
    first, second, unlinked = [await opted_out(shopper) for _ in range(3)]
    for one in (first, second):
        await shopper.post("/v1/links", {"email": EMAIL, "token": one["token"]})
    await own(shopper, "own-id")
    await shopper.post("/v1/links", {"customer": "77", "token": second["token"]})
    await own(shopper, "stranger", "other@example.com")
    assert set((await outs(shopper, email=EMAIL)).values()) == {True}
    await opt_in(shopper, clock, token=first["token"])
    assert await outs(shopper, email=EMAIL) == {first["visitor"]: False, second["visitor"]: False, "own-id": False}
    assert await outs(shopper, visitor=second["visitor"]) == await outs(shopper, customer="77") == {second["visitor"]: False}
    assert await outs(shopper, email="other@example.com") == {"stranger": True}
    assert [await is_out(shopper, one, **GPC) for one in (first, second, unlinked)] == [False, False, True]
    assert (await outs(shopper, email=EMAIL))[first["visitor"]] is False
    clock.forward(2)
    await shopper.browser("/v1/consents", {"token": second["token"], "consent": {"us_privacy": "1YYN"}})
    assert [await is_out(shopper, one) for one in (first, second)] == [True, True]
    assert set((await outs(shopper, email=EMAIL)).values()) == {True}


async def test_whoever_links_itself_to_a_strangers_email_by_token_lifts_nothing_of_the_stranger(shopper: Shopper, clock: Clock) -> None:
    stranger, attacker, by_markup = [await opted_out(shopper) for _ in range(3)]
    await shopper.post("/v1/links", {"email": EMAIL, "token": stranger["token"]})
    await shopper.browser("/v1/links", {"email": EMAIL, "token": attacker["token"]})
    await shopper.browser("/v1/links", {"email": EMAIL, "token": by_markup["token"], "markup": True})
    for one in (attacker, by_markup):
        assert (await opt_in(shopper, clock, token=one["token"]))["sale_share_opt_out"] is False
    assert [await is_out(shopper, one) for one in (stranger, attacker, by_markup)] == [True, False, False]
    assert (await outs(shopper, email=EMAIL))[stranger["visitor"]] is True
    await opt_in(shopper, clock, token=stranger["token"])
    assert await outs(shopper, email=EMAIL) == dict.fromkeys((one["visitor"] for one in (stranger, attacker, by_markup)), False)


async def test_a_crowds_handle_carries_no_opt_in(shopper: Shopper, clock: Clock) -> None:
    given = await opted_out(shopper)
    await shopper.post("/v1/links", {"email": EMAIL, "token": given["token"]})
    await own(shopper, "own-id")
    for number in range(100):
        await shopper.post("/v1/links", {"email": EMAIL, "visitor": f"own-{number}"})
    assert (await opt_in(shopper, clock, token=given["token"]))["sale_share_opt_out"] is False
    assert (await outs(shopper, visitor="own-id"))["own-id"] is True


async def test_an_opt_out_of_an_address_stays_its_own_and_does_not_reach_who_opted_in(shopper: Shopper, clock: Clock) -> None:
    """The ID of an address and browser may be a neighbour's, too: it is not lifted."""
    shared = (await shopper.browser("/v1/visitors")).json()
    given = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    for one in (shared, given):
        await shopper.post("/v1/links", {"email": EMAIL, "token": one["token"]})
    await shopper.browser("/v1/visitors", {"token": shared["token"]}, **GPC)
    assert await is_out(shopper, given)
    assert (await opt_in(shopper, clock, token=given["token"]))["sale_share_opt_out"] is False
    assert await outs(shopper, email=EMAIL) == {shared["visitor"]: True, given["visitor"]: False}
    assert await outs(shopper, visitor=given["visitor"]) == {given["visitor"]: False}
    assert [await is_out(shopper, one) for one in (given, shared)] == [False, True]


async def test_a_grant_keeps_it_and_a_withdrawal_and_an_erasure_remove_it(shopper: Shopper, clock: Clock, database: redis.Redis) -> None:
    cookieless = (await shopper.post("/v1/visitors", {"client": {"gpc": True}})).json()
    await shopper.post("/v1/links", {"email": EMAIL, "token": cookieless["token"]})
    await opt_in(shopper, clock, token=cookieless["token"])
    clock.forward(2)
    granted = (await shopper.post("/v1/consents", {"token": cookieless["token"], "consent": "granted", "client": {"gpc": True}})).json()
    assert (granted["visitor"], granted["sale_share_opt_out"]) == (cookieless["visitor"], False)
    [exported] = (await shopper.post("/v1/exports", {"token": granted["token"]})).json()["visitors"]
    assert (exported["sale_share_opt_out"], exported["sale_opt_in_at"]) == (False, "2026-11-18T11:06:42Z")
    assert [one["source"] for one in exported["receipts"]] == ["plain", "sale_opt_in"]
    clock.forward(2)
    refused = (await shopper.post("/v1/consents", {"token": granted["token"], "consent": "refused"})).json()["receipt"]
    clock.forward(2)
    again = (await shopper.post("/v1/consents", {"consent": "granted", "visitor": granted["visitor"], "client": {"gpc": True}})).json()
    assert (again["mode"], again["sale_share_opt_out"]) == ("persistent", True)
    assert refused["event"] == "withdrawn"
    await opt_in(shopper, clock, visitor=granted["visitor"])
    await shopper.post("/v1/erasures", {"visitor": granted["visitor"]})
    assert not [line for line in dump(database) if "sale_opt_in" in line and ":V:" in line]
    assert (await shopper.post("/v1/exports", {"token": granted["token"]})).json()["visitors"] == []


async def test_a_receipt_of_it_is_verified_by_every_means_and_is_no_choice_about_cookies(shopper: Shopper, clock: Clock) -> None:
    given = await opted_out(shopper)
    done = await opt_in(shopper, clock, token=given["token"])
    [held, grant] = (await shopper.post("/v1/receipts", {"visitor": given["visitor"]})).json()["receipts"]
    assert {name: held[name] for name in done["receipt"]} == done["receipt"]
    for one in (done["receipt"], held):
        assert (await shopper.post("/v1/receipts/verifications", {"receipt": one})).json()["valid"] is True
    changed = held | {"purposes": {"sale_share": "refused"}}
    assert (await shopper.post("/v1/receipts/verifications", {"receipt": changed})).json()["valid"] is False
    shown = await shopper.client.post("/receipt", data={"receipt": httpx.Response(200, json=held).text})
    assert (shown.status_code, "sale_share" in shown.text) == (200, True)
    keys = (await shopper.client.get("/.well-known/consent-receipt-keys.json")).content
    [offline] = verified_receipts(httpx.Response(200, json=held).content, keys)
    assert (offline.fault, "sale_share granted" in offline.line) == (None, True)
    clock.forward(10)
    at = {"visitor": given["visitor"], "at": "2026-11-18T11:06:45Z"}
    in_force = (await shopper.post("/v1/receipts", at)).json()["receipts"]
    assert [one["receipt_id"] for one in in_force] == [grant["receipt_id"]]


async def test_a_store_that_fails_between_two_visitors_is_mended_by_repeating_the_step(
    application: Application, shopper: Shopper, clock: Clock
) -> None:
    given = await opted_out(shopper)
    await shopper.post("/v1/links", {"email": EMAIL, "token": given["token"]})
    await own(shopper, "own-id")
    clock.forward(2)
    confirmation = await ask(shopper, token=given["token"])
    client = application.services.store.client
    run, calls = client.run, []

    async def failing(*unit: Command) -> list[Any]:
        if any(one.source and one.source.name == "opt_in" for one in unit):
            calls.append(unit)
            if len(calls) == 2:
                raise StoreUnavailable
        return await run(*unit)

    setattr(client, "run", failing)  # noqa: B010
    assert problem(await shopper.post(PATH, {"confirmation": confirmation})) == (503, "store_unavailable")
    assert await outs(shopper, visitor=given["visitor"]) == {given["visitor"]: True}
    done = await confirm(shopper, confirmation)
    assert (done["sale_share_opt_out"], done["receipt"]["event"]) == (False, "given")
    assert set((await outs(shopper, email=EMAIL)).values()) == {False}


class Person:
    """A persistent visitor, and what it last said: the whole model. `confirmation`: the newest, and when it was asked for."""

    def __init__(self, shopper: Shopper, clock: Clock, email: str, token: str) -> None:
        self.shopper = shopper
        self.clock = clock
        self.email = email
        self.who: dict[str, Any] = {"token": token}
        self.out = False
        self.opted_in_at: float | None = None
        self.confirmation: tuple[str, float] | None = None

    async def does(self, act: str) -> None:
        browser, who = self.shopper.browser, self.who
        if act == "ask":
            self.confirmation = (await ask(self.shopper, **who), self.clock.now)
        elif act == "confirm":
            await self._confirm()
        elif act == "say":
            await browser("/v1/consents", who | {"consent": {"us_privacy": "1YYN"}})
            self.out = True
        elif act == "say no opt-out":
            await browser("/v1/consents", who | {"consent": {"us_privacy": "1YNN"}})
        elif act == "click":
            await browser("/v2/log/click", {"product": 1, "visitor": who["token"]}, **GPC)
        else:
            if act == "link":
                await browser("/v1/links", {"email": self.email, **who}, **GPC)
            elif act == "repeat":
                await browser("/v1/visitors", who | {"consent": USNAT_OPTED_OUT})
            else:
                await browser("/v1/consents", who | {"consent": "granted"}, **GPC)
            self.out = self.out or self.opted_in_at is None

    async def _confirm(self) -> None:
        if self.confirmation is None:
            return
        text, asked_at = self.confirmation
        answer = await self.shopper.post(PATH, {"confirmation": text})
        used = self.out and self.opted_in_at is not None and self.opted_in_at >= asked_at
        refused = used or self.clock.now - asked_at >= 900
        assert answer.status_code == (422 if refused else 200), answer.text
        if not refused:
            self.out, self.opted_in_at = False, self.clock.now


async def test_after_any_history_a_visitor_is_opted_out_as_the_person_last_said(shopper: Shopper, clock: Clock, long: bool) -> None:
    acts = ("ask", "confirm", "ask", "confirm", "say", "say no opt-out", "click", "link", "repeat", "grant")
    lifted = 0
    for seed in range(500 if long else 12):
        chance = Random(seed)
        token = (await shopper.browser("/v1/consents", {"consent": "granted"})).json()["token"]
        person = Person(shopper, clock, f"person{seed}@example.com", token)
        for _ in range(12):
            clock.forward(chance.choice([2, 60, 600]))
            before, act = person.out, chance.choice(acts)
            await person.does(act)
            told = (await shopper.post("/v1/decisions", person.who)).json()["sale_share_opt_out"]
            assert told is person.out, (seed, act)
            lifted += before and not person.out
            assert not (before and not person.out) or act == "confirm"
    assert lifted > 3


async def test_a_visitor_that_goes_between_reading_and_writing_gets_no_opt_in(application: Application, shopper: Shopper) -> None:
    store, now = application.services.store.visitors, Millis(1_795_000_000_000)
    given = await opted_out(shopper)
    visitor, shop = VisitorId(given["visitor"]), ShopId("demo")
    receipt = application.services.receipts.as_stored
    await shopper.post("/v1/consents", {"token": given["token"], "consent": "refused"})
    found = await application.services.receipts.by_id(next(iter(application.services.shops)), given["receipt"]["receipt_id"])
    assert found
    assert await store.opt_in(shop, visitor, now, now, receipt(found), "q") == "gone"
    assert not await store.touch(shop, visitor, now // 1000, OptOut.SAID)


async def test_gpc_of_a_call_that_read_the_visitor_before_the_opt_in_does_not_undo_it(
    application: Application, shopper: Shopper, clock: Clock
) -> None:
    given = await opted_out(shopper)
    await opt_in(shopper, clock, token=given["token"])
    store, visitor = application.services.store.visitors, VisitorId(given["visitor"])
    for told, out in ((OptOut.STATE, False), (OptOut.SAID, True)):
        assert await store.touch(ShopId("demo"), visitor, int(clock()), told)
        assert await is_out(shopper, given) is out


async def test_the_page_about_a_visitor_shows_when_it_opted_in(application: Application, shopper: Shopper, clock: Clock) -> None:
    given = await opted_out(shopper)
    await opt_in(shopper, clock, token=given["token"])
    async with desk_of(application) as desk:
        await desk.sign_in()
        assert "Opted out of sale and sharing no Last opted in to sale" in text_of(await desk.post("visitors", visitor=given["visitor"]))


async def test_a_record_without_the_new_member_is_read_as_before(shopper: Shopper, clock: Clock, database: redis.Redis) -> None:
    given = await opted_out(shopper)
    [record] = [name for name in database.scan_iter("id:v2:{demo}:V:*") if database.type(name) == "hash" and name.count(":") == 4]
    assert (database.hget(record, "w"), database.hget(record, "y")) == ("1", None)
    assert "sale_opt_in_at" not in (await shopper.post("/v1/exports", {"visitor": given["visitor"]})).json()["visitors"][0]
    await opt_in(shopper, clock, token=given["token"])
    assert (database.hget(record, "w"), database.hget(record, "y")) == (None, "1795000002250")


async def test_a_confirmation_that_is_sent_again_lifts_nothing_that_was_said_since(shopper: Shopper, clock: Clock) -> None:
    """Neither of a visitor that was linked meanwhile, nor, told late, of its own."""
    first, other = await opted_out(shopper), (await shopper.browser("/v1/consents", {"consent": "granted"})).json()
    await shopper.post("/v1/links", {"email": EMAIL, "token": first["token"]})
    confirmation = await ask(shopper, token=first["token"])
    await confirm(shopper, confirmation)
    clock.forward(60)
    await shopper.browser("/v1/consents", {"consent": {"us_privacy": "1YYN"}, "token": other["token"]})
    await shopper.post("/v1/links", {"email": EMAIL, "token": other["token"]})
    clock.forward(60)
    await shopper.post(PATH, {"confirmation": confirmation})
    assert await is_out(shopper, other)
    clock.forward(120)
    await shopper.browser("/v1/consents", {"consent": {"us_privacy": "1YYN"}, "token": first["token"], "age_ms": 180_000})
    assert await is_out(shopper, first)


@pytest.mark.parametrize("call", ["/v2/log/sale", "/v2/log/email"])
async def test_a_typed_email_lifts_no_strangers_opt_out(shopper: Shopper, call: str) -> None:
    """A plugin logs orders with its private key, whatever email was typed."""
    stranger, guest = await opted_out(shopper), (await shopper.browser("/v1/consents", {"consent": "granted"})).json()
    await shopper.post("/v1/links", {"email": EMAIL, "token": stranger["token"]})
    await shopper.post(call, {"key": "demo-private-key", "sale": "7", "products": [1], "email": EMAIL, "visitor": guest["token"]})
    await confirm(shopper, await ask(shopper, token=guest["token"]))
    assert await is_out(shopper, stranger)
