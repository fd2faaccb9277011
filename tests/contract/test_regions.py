"""The policies by region, as `config/strict.toml` tells them with its sources, asked through the preview; where a region comes from; and
what an operator changes."""

from collections import Counter
from datetime import date
from typing import Any

import pytest

from identity_service.model.regions import region_table
from identity_service.ops.check import faults
from identity_service.settings.load import load
from tests.conftest import Clock, Shopper, shopping

pytestmark = pytest.mark.anyio
STRICT = "strict-private-key"
OPT_IN = ["FR", "FR-IDF", "CH", "NO", "SJ", "IC", None, "XX", "T1", "NC", "BL", "AD", "VA", "TR", "CA-QC", "CA", "CN", "VN"]
SIGNAL_STATES = ["US-CA", "US-TX", "US-MN"]
BRITAIN = ["GB", "UK"]
UNITED_STATES = [*SIGNAL_STATES, "US-NY", "US-VA", "US", "PR", "GU"]
WITHOUT_CONSENT = ["BR", "CA-ON", "IN", "KR", "SA", "TH", "ZA"]
EVERYWHERE = [*OPT_IN, *BRITAIN, *UNITED_STATES, *WITHOUT_CONSENT]
MUST_HONOUR = {"CA", "CO", "CT", "DE", "MD", "MN", "MT", "NE", "NH", "NJ", "OR", "TX"}
REVISED = date(2026, 12, 1)


def expected(region: str | None, facts: str) -> tuple[str, bool]:
    """Mode and sale/share opt-out under `strict`, row by row."""
    first = region in OPT_IN
    gpc = "gpc" in facts
    if facts in {"robot"}:
        return "null", False
    if facts.startswith("refused") and region in UNITED_STATES and region not in SIGNAL_STATES:  # by caution
        return "null", True
    if facts.startswith("refused"):
        return ("cookieless", True) if region in SIGNAL_STATES else ("null", gpc)
    if facts.startswith("granted"):
        return "persistent", gpc
    if facts in {"gpc", "dnt"}:
        return ("null" if first or region in BRITAIN else "cookieless"), gpc
    if facts == "usp":
        return ("null" if first else "cookieless"), True
    return ("null" if first else "cookieless"), False


def test_every_row_has_its_source_and_day_and_no_place_two_rows() -> None:
    rows = region_table()
    assert all(row.source.strip() and row.revised == REVISED for row in rows.values())
    assert Counter(place for row in rows.values() for place in row.places).most_common(1)[0][1] == 1


def test_the_states_that_must_honour_a_signal_are_named_and_a_refusal_opts_out_in_all() -> None:
    table = region_table()
    assert {place.removeprefix("US-") for place in table["us-signal-states"].places} == MUST_HONOUR
    assert table["us-signal-states"].refusal_opts_out
    assert table["us"].refusal_opts_out


FACTS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "unreadable": {"consent": {"tcf": {"tc_string": "CP!"}}},
    "granted": {"consent": "granted"},
    "granted with gpc": {"consent": "granted", "client": {"gpc": True}},
    "granted by google": {"consent": {"google": {"analytics_storage": "granted"}}},
    "refused": {"consent": "refused"},
    "refused with gpc": {"consent": "refused", "client": {"gpc": True}},
    "gpc": {"client": {"gpc": True}},
    "dnt": {"client": {"dnt": True}},
    "usp": {"consent": {"us_privacy": "1YYN"}},
    "robot": {"client": {"user_agent": "Googlebot/2.1"}},
}


@pytest.mark.parametrize("facts", FACTS)
@pytest.mark.parametrize("region", EVERYWHERE)
async def test_the_preview_answers_every_row_of_the_table(shopper: Shopper, region: str | None, facts: str) -> None:
    body = FACTS[facts]
    client = {"ip": "198.51.100.7", "user_agent": "Mozilla/5.0", "region": region} | body.get("client", {})
    told = (await shopper.post("/v1/decisions", body | {"client": client}, key=STRICT)).json()
    assert (told["mode"], told["sale_share_opt_out"]) == expected(region, facts)
    assert told["decision"]["region"] == region
    assert told["trace"][-1] == {"fact": "rule", "value": told["decision"]["reason"]}
    standard = (await shopper.post("/v1/decisions", body | {"client": client, "policy": "standard"}, key=STRICT)).json()
    usual = expected("BR", facts)
    assert (standard["mode"], standard["sale_share_opt_out"]) == usual
    issued = (await shopper.post("/v1/visitors", body | {"client": client}, key=STRICT)).json()
    assert (issued["mode"], issued["sale_share_opt_out"], issued["decision"]) == (
        told["mode"],
        told["sale_share_opt_out"],
        told["decision"],
    )


@pytest.mark.parametrize(("region", "after"), [("FR", "null"), ("GB", "persistent"), ("US-CA", "persistent"), (None, "null")])
async def test_a_grant_older_than_the_first_gpc_counts_only_where_consent_is_not_needed_first(
    shopper: Shopper, region: str | None, after: str
) -> None:
    client = {"ip": "198.51.100.7", "user_agent": "Mozilla/5.0", "region": region}
    given = (await shopper.post("/v1/consents", {"consent": "granted", "client": client}, key=STRICT)).json()
    told = await shopper.post("/v1/visitors", {"token": given["token"], "client": client | {"gpc": True}}, key=STRICT)
    assert (told.json()["mode"], told.json()["sale_share_opt_out"]) == (after, True)


async def test_a_refusal_in_a_signal_state_ends_the_persistent_id_and_leaves_a_cookieless_one(shopper: Shopper) -> None:
    client = {"ip": "198.51.100.7", "user_agent": "Mozilla/5.0", "region": "US-CA"}
    given = (await shopper.post("/v1/consents", {"consent": "granted", "client": client}, key=STRICT)).json()
    refused = (await shopper.post("/v1/consents", {"consent": "refused", "token": given["token"], "client": client}, key=STRICT)).json()
    assert (refused["mode"], refused["decision"]["reason"]) == ("cookieless", "consent_refused")
    assert refused["visitor"] not in {None, given["visitor"]}
    assert (await shopper.post("/v1/verifications", {"token": given["token"]}, key=STRICT)).json()["reason"] == "withdrawn"
    again = (await shopper.post("/v1/visitors", {"token": refused["token"], "consent": "refused", "client": client}, key=STRICT)).json()
    assert again["visitor"] == refused["visitor"]


async def test_the_region_header_counts_only_from_a_proxy_of_ours(environment: dict[str, str], clock: Clock) -> None:
    changed = {"IDENTITY_SERVER__REGION_HEADER": "CF-IPCountry", "IDENTITY_SERVER__TRUSTED_PROXIES": "10.0.0.0/8"}

    async def region(peer: str, told: str) -> str | None:
        async with shopping(load("development", environment | changed), clock, peer) as edge:
            headers = {"cf-ipcountry": told, "x-forwarded-for": "198.51.100.7"}
            answer = await edge.browser("/v1/visitors", {}, key="strict-public-key", **headers)
            found: str | None = answer.json()["decision"]["region"]
            return found

    assert await region("10.1.2.3", "fr") == "FR"
    assert await region("10.1.2.3", "us-ca") == "US-CA"
    assert [await region("10.1.2.3", told) for told in ("France", "", "FR;", "../")] == [None] * 4
    assert await region("10.1.2.3", "T1") == "T1"
    assert await region("203.0.113.9", "BR") is None


async def test_the_region_counts_on_tracking_calls_too(environment: dict[str, str], clock: Clock) -> None:
    changed = {"IDENTITY_SERVER__REGION_HEADER": "CF-IPCountry", "IDENTITY_SERVER__TRUSTED_PROXIES": "10.0.0.0/8"}
    found = {}
    for region in ("GB", "FR"):
        async with shopping(load("development", environment | changed), clock, "10.1.2.3") as edge:
            headers = {"cf-ipcountry": region, "x-forwarded-for": "198.51.100.7", "origin": "http://localhost:8080", "user-agent": "M"}
            answer = await edge.client.get("/v2/misc/visitor_id?key=strict-public-key&visitor=auto", headers=headers)
            found[region] = bool(answer.json()["visitor"])
    assert found == {"GB": True, "FR": False}


async def test_a_looser_choice_needs_a_reason_which_the_receipts_carry(environment: dict[str, str], clock: Clock) -> None:
    looser = {"IDENTITY_SHOPS__STRICT__REGIONS__FR__REFUSAL": "cookieless", "IDENTITY_SHOPS__STRICT__REGIONS__BR__NO_SIGNAL": "null"}
    told = faults(load("development", environment | looser))
    assert [".".join(fault.name) for fault in told] == ["shops.strict.regions.fr.reason"]
    stated = looser | {"IDENTITY_SHOPS__STRICT__REGIONS__FR__REASON": "assessed on 2026-11-02"}
    assert faults(load("development", environment | stated)) == []
    async with shopping(load("development", environment | stated), clock) as edge:
        for region, reason in (("FR", "assessed on 2026-11-02"), ("DE", None)):
            sent = {"consent": "refused", "client": {"ip": "198.51.100.7", "user_agent": "M", "region": region}}
            answer = (await edge.post("/v1/consents", sent, key=STRICT)).json()
            assert answer["mode"] == ("cookieless" if reason else "null")
            assert (answer["receipt"]["region"], answer["receipt"]["override_reason"]) == (region, reason)
        nothing = {"client": {"ip": "198.51.100.8", "user_agent": "M", "region": "BR"}}
        assert (await edge.post("/v1/visitors", nothing, key=STRICT)).json()["mode"] == "null"


def test_nonsense_in_a_shops_choices_is_named(environment: dict[str, str]) -> None:
    wrong = {
        "IDENTITY_SHOPS__DEMO__REGIONS__FRANCE__NO_SIGNAL": "null",
        "IDENTITY_SHOPS__DEMO__REGIONS__BR__REVISED": "soon",
        "IDENTITY_SHOPS__DEMO__BANNER_COOKIES": "acme",
        "IDENTITY_SHOPS__DEMO__BANNER_CATEGORIES__ACME": "a",
        "IDENTITY_SERVER__GPC_SUPPORT_SINCE": "soon",
        "IDENTITY_SERVER__REGION_HEADER": "x-country",
    }
    named = {".".join(fault.name) for fault in faults(load("development", environment | wrong))}
    wanted = {"regions.france", "regions.br.revised", "banner_cookies", "banner_categories.acme"}
    assert named == {f"shops.demo.{name}" for name in wanted} | {"server.gpc_support_since", "server.region_header"}
