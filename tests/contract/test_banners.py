"""Every banner over HTTP as a visitor meets it: first load, accept, change, partial, malformed, and its own cookie in contradiction."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from identity_service.settings.load import load
from identity_service.signals.banners import BANNERS, WITH_COOKIES
from tests.conftest import START, Clock, Shopper, shopping
from tests.signals.tc_strings import tc_string
from tests.signals.test_banners import ABSENT_EVENTS, CLOSED, REFUSED_COOKIES, borlabs, packed
from tests.signals.test_banners import GRANTED_EVENTS as GRANTED_EXAMPLES
from tests.signals.test_banners import REFUSED_EVENTS as REFUSED_EXAMPLES

pytestmark = pytest.mark.anyio
DAYS = 5 * 86_400
"""The examples' own times are then past."""
TODAY = datetime.fromtimestamp(START + DAYS, UTC)
ACCEPT, REJECT = (tc_string(purposes, updated=TODAY) for purposes in (frozenset({1, 8}), frozenset[int]()))
CALIFORNIA = {"gppString": "DBABLA~CVQVAAAAAACA.YA", "applicableSections": ["7"], "signalStatus": "ready"}
GRANTED_EVENTS = [*GRANTED_EXAMPLES, ("sourcepoint", {"tcString": ACCEPT, "eventStatus": "useractioncomplete", "gdprApplies": True})]
REFUSED_EVENTS = [*REFUSED_EXAMPLES, ("sourcepoint", {"tcString": REJECT, "eventStatus": "useractioncomplete"})]


def first_of(table: Any, source: str) -> Any:
    return next((event for name, event in table if name == source), None)


async def told(shopper: Shopper, source: str, event: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = await shopper.post(f"/v1/consents/{source}", event | more)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("source", sorted(BANNERS))
async def test_accepting_grants_and_changing_ones_mind_withdraws(shopper: Shopper, clock: Clock, source: str) -> None:
    clock.forward(DAYS)
    nothing = await told(shopper, source, first_of(ABSENT_EVENTS, source))
    assert (nothing["mode"], nothing["receipt"]) == ("cookieless", None)
    accepted = await told(shopper, source, first_of(GRANTED_EVENTS, source))
    assert (accepted["mode"], accepted["decision"]["signal"]) == ("persistent", source)
    assert accepted["receipt"]["source"] == source
    undecided = await told(shopper, source, first_of(ABSENT_EVENTS, source), token=accepted["token"])
    assert undecided["visitor"] == accepted["visitor"]


@pytest.mark.parametrize("source", sorted(BANNERS))
async def test_a_refusal_withdraws_the_visitor_it_names(shopper: Shopper, clock: Clock, source: str) -> None:
    granted = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    clock.forward(DAYS)
    refused = await told(shopper, source, first_of(REFUSED_EVENTS, source), token=granted["token"])
    assert (refused["mode"], refused["visitor"]) == ("null", None)
    assert refused["decision"]["reason"] == "consent_refused"
    assert (await shopper.post("/v1/verifications", {"token": granted["token"]})).json()["reason"] == "withdrawn"


NO_COOKIE = BANNERS - WITH_COOKIES


@pytest.mark.parametrize("source", sorted(BANNERS - NO_COOKIE - {"didomi"}))
async def test_a_posted_grant_that_its_own_cookie_contradicts_is_none(shopper: Shopper, clock: Clock, source: str) -> None:
    """Not of those that have no cookie of their own, nor of Didomi, whose example is a server's webhook."""
    clock.forward(DAYS)
    cookies = first_of(REFUSED_COOKIES, source)
    header = "; ".join(f"{name}={value if '%' in value or ' ' not in value else quote(value)}" for name, value in cookies.items())
    event = first_of(GRANTED_EVENTS, source)
    assert (await shopper.browser(f"/v1/consents/{source}", event)).json()["mode"] == "persistent"
    contradicted = (await shopper.browser(f"/v1/consents/{source}", event, cookie=header)).json()
    assert (contradicted["mode"], contradicted["receipt"]) == ("cookieless", None)


@pytest.mark.parametrize("source", sorted(BANNERS))
@pytest.mark.parametrize("event", [{}, {"consent": 7}, {"purposes": "all"}, {"a": {"b": [[]]}}, {"type": None, "detail": "x"}])
async def test_a_malformed_event_is_absent(shopper: Shopper, source: str, event: dict[str, Any]) -> None:
    assert (await told(shopper, source, event))["mode"] == "cookieless"


SPOKEN: list[tuple[str, dict[str, Any], str, bool]] = [
    ("sourcepoint", {"euconsent": ACCEPT, "consentUUID": "u"}, "persistent", False),
    ("sourcepoint", {"message_type": "gdpr", "uuid": "u", "string": ACCEPT}, "persistent", False),
    ("sourcepoint", {"message_type": "gdpr", "uuid": "u", "string": REJECT}, "null", False),
    ("sourcepoint", {"message_type": "usnat", "uuid": "u", "string": ACCEPT}, "cookieless", False),
    ("sourcepoint", {"euconsent-v2": REJECT}, "null", False),
    ("sourcepoint", CALIFORNIA, "cookieless", True),
    ("sourcepoint", {**CALIFORNIA, "signalStatus": "not ready"}, "cookieless", False),
    ("sourcepoint", {"tcString": ACCEPT[:30], "eventStatus": "useractioncomplete"}, "cookieless", False),
    ("consentmanager", {"__cmpconsentx12345": ACCEPT}, "persistent", False),
    ("consentmanager", {"__cmpconsent12345": REJECT}, "null", False),
    ("consentmanager", {"__cmpconsents12345": ACCEPT, "__cmpconsentx12346": ACCEPT}, "cookieless", False),
    ("consentmanager", {"__cmpconsentx12345": "B" + ACCEPT[1:]}, "cookieless", False),
    ("consentmanager", {"pingData": CALIFORNIA}, "cookieless", True),
]


@pytest.mark.parametrize(("source", "event", "mode", "opted_out"), SPOKEN)
async def test_a_banner_that_speaks_a_standard_is_read_by_it(
    shopper: Shopper, clock: Clock, source: str, event: dict[str, Any], mode: str, opted_out: bool
) -> None:
    clock.forward(DAYS)
    answer = await told(shopper, source, event)
    assert (answer["mode"], answer["sale_share_opt_out"]) == (mode, opted_out)
    assert answer["decision"]["signal"] == (None if mode == "cookieless" else source)


async def test_a_tc_string_in_a_banners_own_cookie_is_read_with_every_call(environment: dict[str, str], clock: Clock) -> None:
    clock.forward(DAYS)
    wanted = {"IDENTITY_SHOPS__DEMO__BANNER_COOKIES": "consentmanager,sourcepoint"}
    async with shopping(load("development", environment | wanted), clock) as edge:
        for cookie, mode in (("__cmpconsentx1=C", "cookieless"), (f"__cmpconsentx1={ACCEPT}", "persistent")):
            assert (await edge.browser("/v1/visitors", {}, cookie=cookie)).json()["mode"] == mode
        assert (await edge.browser("/v1/visitors", {}, cookie=f"euconsent-v2={REJECT}")).json()["mode"] == "null"


async def test_a_tc_string_in_a_banners_own_cookie_contradicts_its_event(shopper: Shopper, clock: Clock) -> None:
    clock.forward(DAYS)
    event = {"event": "consentapproved"}
    contradicted = await shopper.browser("/v1/consents/consentmanager", event, cookie=f"__cmpconsent7={REJECT}")
    assert (contradicted.json()["mode"], contradicted.json()["receipt"]) == ("cookieless", None)


async def test_a_stored_yes_that_the_banner_counts_as_ended_is_none(environment: dict[str, str], clock: Clock) -> None:
    """A browser drops the cookie then; a server may still repeat it."""
    clock.forward(DAYS)
    yes, no = borlabs(statistics=["google-analytics"]), borlabs()
    past = {"expires": "Sun, 11 Jan 2026 08:07:14 GMT"}
    wanted = {"IDENTITY_SHOPS__DEMO__BANNER_COOKIES": "borlabs"}
    async with shopping(load("development", environment | wanted), clock) as edge:
        for consent, mode in ((yes, "persistent"), (yes | past, "cookieless"), (no | past, "null")):
            assert (await told(edge, "borlabs", consent))["mode"] == mode
            cookie = f"borlabs-cookie={packed(consent)}"
            assert (await edge.browser("/v1/visitors", {}, cookie=cookie)).json()["mode"] == mode


async def test_a_banners_unencoded_json_is_read_from_the_cookie_header(environment: dict[str, str], clock: Clock) -> None:
    """As vanilla-cookieconsent 2 writes it by default."""
    clock.forward(DAYS)
    wanted = {"IDENTITY_SHOPS__DEMO__BANNER_COOKIES": "vanilla-cookieconsent"}
    times = f'"consent_date":"{CLOSED}","consent_uuid":"u","last_consent_update":"{CLOSED}"'
    async with shopping(load("development", environment | wanted), clock) as edge:
        for accepted, mode in (('["necessary","analytics"]', "persistent"), ('["necessary"]', "null")):
            cookie = f'cc_cookie={{"categories":{accepted},"level":{accepted},"revision":0,"data":null,"rfc_cookie":false,{times}}}'
            assert (await edge.browser("/v1/visitors", {}, cookie=f"a=1; {cookie}; b=2")).json()["mode"] == mode


TODAYS_NO = tc_string(frozenset[int](), updated=datetime.fromtimestamp(START, UTC))


@pytest.mark.parametrize(
    ("source", "event"),
    [
        ("consentmanager", {"event": "consentapproved", "said": "now", "__cmpconsent7": TODAYS_NO}),
        ("sourcepoint", {"euconsent": TODAYS_NO, "tcString": ACCEPT, "eventStatus": "useractioncomplete"}),
    ],
)
async def test_a_post_that_contradicts_itself_is_no_grant(shopper: Shopper, clock: Clock, source: str, event: dict[str, Any]) -> None:
    clock.forward(DAYS)
    assert (await told(shopper, source, event))["decision"]["reason"] == "consent_refused"
