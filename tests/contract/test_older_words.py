"""No word lifts a refusal that is older than it, however it comes along; and no refusal is lost for what comes along with it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from identity_service.app import Application
from identity_service.settings.load import load
from identity_service.store.redis.command import Command, Reply
from tests.conftest import START, Clock, Shopper, shopping
from tests.contract.test_refusals import BOTH, CHOICE, FRENCH, MINUTE, NONE, iso, known, refusal_of, told
from tests.signals.tc_strings import tc_string

pytestmark = pytest.mark.anyio
PUBLIC = "demo-public-key"
LINKING = {"consent": {"purposes": {"linking": "refused"}}}


def remembering(minutes_ago: int) -> dict[str, str]:
    return {"cookie": f"{CHOICE}=refused.{MINUTE - minutes_ago}"}


@pytest.mark.parametrize(
    ("path", "older"),
    [
        ("/v1/consents", {"consent": "refused", "age_ms": 1_200_000}),
        ("/v1/visitors", {"consent": {"purposes": NONE, "decided_at": iso(START - 7 * 86_400)}}),
        ("/v1/consents", {"consent": {"purposes": NONE, "decided_at": iso(START - 1_200)}}),
    ],
)
async def test_an_older_refusal_never_makes_the_remembered_one_older(shopper: Shopper, path: str, older: dict[str, Any]) -> None:
    asked = await shopper.browser(path, older, **remembering(2))
    assert told(asked) == ("null", "consent_refused")
    assert refusal_of(asked) in {None, f"refused.{MINUTE - 2}"}
    between = {"consent": "granted", "age_ms": 600_000}
    assert told(await shopper.browser("/v1/consents", between, **remembering(2)))[0] == "null"


async def test_nor_does_one_that_cannot_be_taken(environment: dict[str, str], clock: Clock) -> None:
    limits = {"IDENTITY_LIMITS__ENABLED": "true", "IDENTITY_LIMITS__CLIENT_PER_SECOND": "1", "IDENTITY_LIMITS__BURST": "1"}
    older = {"consent": "refused", "age_ms": 1_200_000}
    async with shopping(load("development", environment | limits), clock) as edge:
        answers = [await edge.browser("/v1/consents", older, **remembering(2)) for _ in range(3)]
        assert (answers[-1].status_code, refusal_of(answers[-1])) == (429, f"refused.{MINUTE - 2}")
    async with shopping(load("development", {"IDENTITY_STORE__URL": "unix:///nonexistent"}), clock) as edge:
        away = await edge.browser("/v1/consents", older, **remembering(2))
        assert (away.status_code, refusal_of(away)) == (503, f"refused.{MINUTE - 2}")


@pytest.mark.parametrize("minutes", [1, 4, 10, 600])
@pytest.mark.parametrize("status", ["tcloaded", None])
async def test_a_loaded_tc_string_lifts_nothing_at_any_hour(
    environment: dict[str, str], clock: Clock, minutes: int, status: str | None
) -> None:
    clock.now = START // 86_400 * 86_400 + minutes * 60
    text = tc_string(updated=datetime.fromtimestamp(clock.now - 20, UTC))
    refused = {"cookie": f"{CHOICE}=refused.{int(clock.now) // 60}"}
    async with shopping(load("development", environment), clock) as edge:
        event = {"tcString": text, "gdprApplies": True} | ({"eventStatus": status} if status else {})
        assert told(await edge.browser("/v1/consents/tcf", event))[0] == "persistent"
        assert told(await edge.browser("/v1/consents/tcf", event, **refused)) == ("null", "consent_refused")
        dated = {"consent": {"tcf": {"tc_string": text, "event_status": "tcloaded"}, "decided_at": iso(clock.now)}}
        assert told(await edge.browser("/v1/visitors", dated, **refused)) == ("null", "consent_refused")


async def test_an_age_counts_beside_a_time_by_a_clock_that_is_ahead(shopper: Shopper) -> None:
    assert told(await shopper.browser("/v1/consents", {"consent": "granted", "age_ms": 1.5}))[0] == "persistent"
    ahead = {"consent": {"purposes": BOTH, "decided_at": iso(START + 240)}, "age_ms": 600_000}
    assert told(await shopper.browser("/v1/consents", ahead, **remembering(2))) == ("null", "consent_refused")
    assert told(await shopper.browser("/v1/consents", {"consent": "granted", "age_ms": 31 * 86_400_000}))[0] == "cookieless"
    assert told(await shopper.browser("/v1/consents", {"consent": "refused", "age_ms": 10.0**30}))[0] == "null"


@pytest.mark.parametrize(
    ("source", "event"),
    [
        ("onetrust", {"OptanonConsent": "groups=C0001%3A1%2CC0002%3A1", "OptanonAlertBoxClosed": iso(START - 240)}),
        ("usercentrics", {"isUserActionCompleted": True, "categories": {}}),
    ],
)
async def test_what_a_banner_keeps_is_remembered_however_late_it_tells(shopper: Shopper, source: str, event: dict[str, Any]) -> None:
    assert told(await shopper.browser(f"/v1/consents/{source}", event, **remembering(2)))[0] == "null"


@pytest.mark.parametrize(
    ("path", "repeated"),
    [
        ("/v1/visitors", {"consent": "granted"}),
        ("/v1/visitors", {"consent": {"purposes": BOTH}}),
        ("/v1/consents", {"consent": "granted", "said": "remembered"}),
        ("/v1/consents", {"consent": "granted", "age_ms": 60_000}),
        ("/v1/consents", {"consent": {"purposes": BOTH, "decided_at": iso(START + 200)}}),
    ],
)
@pytest.mark.parametrize("cookieless", [False, True])
async def test_links_that_were_refused_stay_so_until_a_yes_is_said_now(
    shopper: Shopper, clock: Clock, path: str, repeated: dict[str, Any], cookieless: bool
) -> None:
    token = (await shopper.post("/v1/visitors")).json()["token"] if cookieless else (await known(shopper))["token"]
    clock.forward(700)
    refused = (await shopper.post("/v1/consents", LINKING | {"token": token})).json()
    assert (refused["linkable"], bool(refused["receipt"])) == (False, True)
    clock.forward(30)
    again = (await shopper.post(path, repeated | {"token": token})).json()
    assert (again["mode"], again["linkable"]) == ("persistent", False)
    link = await shopper.post("/v1/links", {"email": "luke@skywalker.com", "token": again["token"]})
    assert link.status_code == 409
    clock.forward(5)
    now = (await shopper.post("/v1/consents", {"consent": "granted", "token": again["token"]})).json()
    assert now["linkable"] is True


@pytest.mark.parametrize(
    ("extra", "headers"),
    [
        ({"unheard": 1}, {}),
        ({"client": {"ip": "198.51.100.9"}}, {}),
        ({}, {"user-agent": "Googlebot/2.1"}),
        ({}, {"sec-purpose": "prefetch"}),
        ({}, {"signature-agent": '"https://chatgpt.com"'}),
    ],
)
async def test_a_refusal_of_links_alone_is_always_taken_too(shopper: Shopper, extra: dict[str, Any], headers: dict[str, str]) -> None:
    token = (await known(shopper))["token"]
    answer = await shopper.browser("/v1/consents", LINKING | {"token": token} | extra, **headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["receipt"]["receipt_id"]
    assert await shopper.visitors(email="luke@skywalker.com") == []


async def test_over_a_limit_it_is_taken_and_nothing_beside_it(environment: dict[str, str], clock: Clock) -> None:
    limits = {"IDENTITY_LIMITS__ENABLED": "true", "IDENTITY_LIMITS__KEY_PER_SECOND": "1", "IDENTITY_LIMITS__BURST": "4"}
    async with shopping(load("development", environment | limits), clock) as edge:
        token = (await known(edge))["token"]
        cookieless = (await edge.post("/v1/visitors")).json()["token"]
        while (await edge.post("/v1/visitors")).status_code == 200:
            pass
        answer = await edge.post("/v1/consents", LINKING | {"token": token})
        assert (answer.status_code, answer.json()["linkable"], answer.json()["receipt"]) == (200, False, None)
        sneaking = {"consent": {"purposes": BOTH | {"linking": "refused"}}, "token": cookieless}
        assert (await edge.post("/v1/consents", sneaking)).json()["mode"] == "cookieless"


async def test_refusals_over_a_limit_have_one_of_their_own(environment: dict[str, str], clock: Clock) -> None:
    limits = {"IDENTITY_LIMITS__ENABLED": "true", "IDENTITY_LIMITS__CLIENT_PER_SECOND": "20", "IDENTITY_LIMITS__BURST": "2"}
    async with shopping(load("development", environment | limits), clock) as edge:
        token = (await known(edge))["token"]
        answers = [await edge.browser("/v1/consents", {"consent": "refused", "token": token}) for _ in range(80)]
        assert {one.status_code for one in answers} == {200, 429}
        assert all(refusal_of(one) for one in answers)
        assert len([one for one in answers if one.status_code == 200 and one.json()["receipt"] is None]) < 20


@pytest.mark.parametrize("text", ['"x":"\\ud83d"', f'"x":{"9" * 5_000}', '"consent":"refused","x":[]'])
async def test_nothing_beside_a_refusal_makes_it_unreadable(shopper: Shopper, text: str) -> None:
    body = f'{{"key":"{PUBLIC}","consent":"refused",{text}}}'
    answer = await shopper.client.post("/v1/consents", content=body.encode(), headers={"origin": "http://localhost:8080"})
    assert told(answer) == ("null", "consent_refused")


@pytest.fixture
async def reading(environment: dict[str, str], clock: Clock) -> AsyncIterator[Shopper]:
    """A shop that has its banner's cookie read on every call."""
    settings = load("development", environment | {"IDENTITY_SHOPS__DEMO__BANNER_COOKIES": "cookieyes"})
    async with shopping(settings, clock) as edge:
        yield edge


async def test_nor_does_the_banners_undated_cookie(reading: Shopper) -> None:
    kept = {"cookie": "cookieyes-consent=consent:yes,action:yes,necessary:yes,functional:yes,analytics:yes,performance:yes"}
    for extra in ({"unheard": 1}, {"age_ms": 60_000, "unheard": 1}):
        refused = await reading.browser("/v1/consents", {"consent": "refused"} | extra, **kept)
        assert told(refused) == ("null", "consent_refused")
        assert refusal_of(refused)


async def test_a_token_that_has_ended_names_nobody(shopper: Shopper, clock: Clock) -> None:
    """A page that stayed open overnight: its refusal is the client's."""
    ended = (await shopper.browser("/v1/visitors")).json()["token"]
    clock.forward(36 * 3_600)
    assert told(await shopper.browser("/v1/consents", {"consent": "refused", "token": ended})) == ("null", "consent_refused")
    assert told(await shopper.browser("/v1/visitors")) == ("null", "withdrawn")


async def test_a_remembered_yes_of_another_version_renews_nothing(shopper: Shopper, clock: Clock) -> None:
    granted = {"consent": {"purposes": BOTH, "policy_version": "7"}, "age_ms": 600_000, "client": FRENCH}
    first = (await shopper.post("/v1/consents", granted)).json()
    again = (await shopper.post("/v1/visitors", {"token": first["token"], "consent": "granted"})).json()
    assert again["expires_at"] == first["expires_at"]
    late = await shopper.post("/v1/consents", {"token": first["token"], "consent": "refused", "age_ms": 300_000})
    assert told(late) == ("null", "consent_refused")


async def test_the_shops_word_never_stands_against_the_clients_refusal_whatever_comes_with_it(shopper: Shopper) -> None:
    token = (await shopper.post("/v1/visitors")).json()["token"]
    assert told(await shopper.post("/v1/consents", {"client": FRENCH, "consent": "refused"}))[0] == "null"
    asked = {"client": FRENCH, "visitor": "persistent"}
    assert told(await shopper.post("/v1/visitors", asked)) == ("null", "withdrawn")
    assert (await shopper.post("/v1/visitors", asked | {"token": token})).json()["mode"] != "persistent"
    granted = (await shopper.post("/v1/consents", asked | {"token": token, "consent": "granted"})).json()
    assert granted["decision"]["reason"] == "consent_granted"


async def test_an_opt_out_of_a_cookieless_visitor_is_told(shopper: Shopper) -> None:
    token = (await shopper.browser("/v1/visitors")).json()["token"]
    await shopper.browser("/v1/links", {"email": "luke@skywalker.com", "token": token}, sec_gpc="1")
    assert (await shopper.browser("/v1/visitors", {"token": token})).json()["sale_share_opt_out"] is True
    granted = (await shopper.browser("/v1/consents", {"token": token, "consent": "granted"})).json()
    assert (granted["mode"], granted["visitor"] is not None) == ("persistent", True)


@pytest.mark.parametrize("word", [{"consent": "granted"}, {"visitor": "persistent"}], ids=["repeated", "the shop's"])
async def test_a_late_refusal_ends_a_grant_whose_time_nobody_knows(shopper: Shopper, clock: Clock, word: dict[str, str]) -> None:
    given = (await shopper.post("/v1/visitors", word)).json()
    assert given["mode"] == "persistent"
    clock.forward(60)
    late = await shopper.post("/v1/consents", {"consent": "refused", "token": given["token"], "age_ms": 600_000})
    assert told(late) == ("null", "consent_refused")
    assert (await shopper.post("/v1/visitors", {"consent": "granted", "token": given["token"]})).json()["mode"] == "null"


async def test_a_yes_with_a_time_replaces_one_without_and_outlives_an_older_refusal(shopper: Shopper) -> None:
    token = (await shopper.post("/v1/visitors", {"consent": "granted"})).json()["token"]
    for choice, age in (("granted", 300_000), ("refused", 600_000)):
        told_late = await shopper.post("/v1/consents", {"consent": choice, "token": token, "age_ms": age})
        assert told_late.json()["mode"] == "persistent", choice
    assert told(await shopper.post("/v1/consents", {"consent": "refused", "token": token, "age_ms": 200_000}))[0] == "null"


async def test_the_refusal_cookie_counts_against_a_grant_whose_time_nobody_knows(shopper: Shopper) -> None:
    token = (await shopper.post("/v1/visitors", {"consent": "granted"})).json()["token"]
    before = f"__Host-visitor={token}; {remembering(5)['cookie']}"
    assert told(await shopper.browser("/v1/visitors", {}, cookie=before))[0] == "null"


@asynccontextmanager
async def overtaken(application: Application, script: str, call: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """The call comes between the reads of the next one and its script."""
    client, run, waiting = application.services.store.client, application.services.store.client.run, [call]

    async def overtaking(*unit: Command) -> list[Reply]:
        if waiting and any(one.source and one.source.name == script for one in unit):
            await waiting.pop()()
        return await run(*unit)

    client.run = overtaking  # type: ignore[method-assign]
    try:
        yield
    finally:
        client.run = run  # type: ignore[method-assign]
    assert not waiting


@pytest.mark.parametrize("late", [{}, {"age_ms": 600_000}], ids=["now", "late"])
@pytest.mark.parametrize("word", [{"consent": "granted"}, {"visitor": "persistent"}], ids=["repeated", "the shop's"])
async def test_a_refusal_that_overtakes_a_grant_whose_time_nobody_knows_stands(
    application: Application, shopper: Shopper, word: dict[str, str], late: dict[str, int]
) -> None:
    token = (await shopper.post("/v1/visitors")).json()["token"]
    async with overtaken(application, "grant", lambda: shopper.post("/v1/consents", {"consent": "refused", "token": token} | late)):
        await shopper.post("/v1/visitors", word | {"token": token})
    assert (await shopper.post("/v1/visitors", {"token": token})).json()["mode"] == "null"


async def test_a_refusal_of_links_that_overtakes_a_repeated_grant_stands(application: Application, shopper: Shopper) -> None:
    token = (await shopper.post("/v1/visitors")).json()["token"]
    async with overtaken(application, "grant", lambda: shopper.post("/v1/consents", LINKING | {"token": token})):
        await shopper.post("/v1/visitors", {"consent": "granted", "token": token})
    assert not (await shopper.post("/v1/visitors", {"token": token})).json()["linkable"]
    assert (await shopper.post("/v1/links", {"email": "luke@skywalker.com", "token": token})).status_code == 409


async def test_a_grant_whose_time_nobody_knows_is_to_no_text_that_it_does_not_name(environment: dict[str, str], clock: Clock) -> None:
    async with shopping(load("development", environment), clock) as before:
        token = (await before.post("/v1/visitors", {"consent": "granted"})).json()["token"]
    text = {"IDENTITY_SHOPS__DEMO__CONSENT_VERSION": "2", "IDENTITY_SHOPS__DEMO__CONSENT_VERSION_SINCE": iso(START - 300)}
    async with shopping(load("development", environment | text), clock) as after:
        assert (await after.post("/v1/visitors", {"token": token})).json()["mode"] != "persistent"
