"""A refusal is always taken, stands until a yes is said now or dated later, and is finished by the first call that can."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import httpx2 as httpx
import pytest

from identity_service.model.utc import rfc3339
from identity_service.settings.load import load
from tests.conftest import START, Clock, Shopper, shopping

pytestmark = pytest.mark.anyio

FRENCH = {"ip": "198.51.100.9", "user_agent": "Mozilla/5.0 (Macintosh) Safari/605"}
BOTH = {"storage": "granted", "measurement": "granted"}
NONE = {"storage": "refused", "measurement": "refused"}
MINUTE = int(START) // 60
CHOICE = "__Host-visitor-choice"


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def told(answer: httpx.Response) -> tuple[str, str]:
    assert answer.status_code == 200, answer.text
    return answer.json()["mode"], answer.json()["decision"]["reason"]


def refusal_of(answer: httpx.Response) -> str | None:
    """The value that the answer sets, `cleared`, or None."""
    for line in answer.headers.get_list("set-cookie"):
        name, _, value = line.partition(";")[0].partition("=")
        if name == CHOICE:
            return value or "cleared"
    return None


async def known(shopper: Shopper) -> dict[str, Any]:
    """A persistent visitor with an email."""
    granted: dict[str, Any] = (await shopper.post("/v1/consents", {"consent": "granted", "client": FRENCH})).json()
    assert (await shopper.post("/v1/links", {"email": "luke@skywalker.com", "token": granted["token"]})).status_code == 200
    return granted


async def assert_refused(shopper: Shopper, token: str, answer: httpx.Response) -> None:
    assert told(answer) == ("null", "consent_refused")
    assert answer.json()["receipt"]["receipt_id"]
    assert refusal_of(answer) == f"refused.{MINUTE}"
    assert (await shopper.post("/v1/verifications", {"token": token})).json() == {"valid": False, "reason": "withdrawn"}
    assert await shopper.visitors(email="luke@skywalker.com") == []


@pytest.mark.parametrize(
    "body",
    [
        {"consent": "refused", "client": {"user_agent": "Googlebot/2.1"}},
        {"consent": "refused", "client": {"user_agent": "okhttp/4.12.0"}},
        {"consent": "refused", "client": {"user_agent": "Claude-User/1.0"}},
        {"consent": "refused", "client": {"region": "fr", "ip": 7, "user_agent": ["x"], "gpc": "maybe", "dnt": {}}},
        {"consent": "refused", "client": "nonsense"},
        {"consent": "refused", "visitor": "no id!"},
        {"consent": "refused", "visitor": ["x"]},
        {"consent": "refused", "viistor": "x"},
        {"consent": "refused", "age_ms": -5, "said": "yesterday"},
        {"consent": {"purposes": NONE, "decided_at": "yesterday"}},
        {"consent": {"purposes": NONE, "policy_version": 7, "tcf": 5, "gpp": [], "google": "x"}},
        {"consent": {"purposes": {"storage": "refused", "measurement": "denied"}}},
        {"consent": {"google": {"analytics_storage": "denied"}}, "client": {"ip": "198.51.100.9:80"}},
    ],
)
async def test_a_refusal_is_taken_whatever_stands_beside_it(shopper: Shopper, body: dict[str, Any]) -> None:
    token = (await known(shopper))["token"]
    await assert_refused(shopper, token, await shopper.post("/v1/consents", body | {"token": token}))


async def test_a_public_keys_refusal_is_taken_beside_a_client_that_it_may_not_describe(shopper: Shopper) -> None:
    token = (await known(shopper))["token"]
    answer = await shopper.browser("/v1/consents", {"consent": "refused", "token": token, "client": FRENCH}, sec_purpose="prefetch")
    await assert_refused(shopper, token, answer)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"consent": "granted", "viistor": "x"}, "viistor"),
        ({"consent": "granted", "token": 5}, "token"),
        ({"consent": "maybe"}, "consent"),
        ({"consent": {"purposes": BOTH, "decided_at": "yesterday"}}, "decided_at"),
        ({"visitor": "no id!"}, "visitor"),
        ({"consent": "granted", "luke@skywalker.com": 1}, "not a documented value"),
    ],
)
async def test_what_is_no_refusal_is_refused_by_name(shopper: Shopper, body: dict[str, Any], detail: str) -> None:
    for path in ("/v1/visitors", "/v1/consents"):
        answer = await shopper.post(path, body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
        assert detail in answer.json()["detail"]
        assert "luke" not in answer.text


YESES: list[tuple[str, dict[str, Any]]] = [
    ("/v1/visitors", {"consent": "granted"}),
    ("/v1/visitors", {"consent": {"purposes": BOTH}}),
    ("/v1/visitors", {"consent": {"purposes": BOTH, "decided_at": iso(START - 60)}}),
    ("/v1/visitors", {"visitor": "persistent"}),
    ("/v1/consents", {"consent": "granted", "said": "remembered"}),
    ("/v1/consents", {"consent": "granted", "age_ms": 1}),
    ("/v1/consents", {"consent": {"purposes": BOTH, "decided_at": iso(START - 7200)}}),
    ("/v1/consents/klaro", {"klaro": "%7B%22visitor-id%22%3Atrue%7D"}),
    ("/v1/consents/cookiebot", {"consent": {"statistics": True, "method": "explicit"}, "hasResponse": True}),
    ("/v1/consents/cookieyes", {"isUserActionCompleted": True, "categories": {"analytics": True}}),
]


@pytest.mark.parametrize(
    "cookie", [f"{CHOICE}=refused.{MINUTE}", f"{CHOICE}=x", "visitor-choice=refused", f"{CHOICE}=refused.{MINUTE + 9}"]
)
@pytest.mark.parametrize(("path", "body"), YESES)
async def test_no_remembered_or_earlier_yes_lifts_a_refusal(shopper: Shopper, path: str, body: dict[str, Any], cookie: str) -> None:
    answer = await shopper.post(path, body | {"client": FRENCH}, cookie=cookie)
    assert told(answer) == ("null", "consent_refused")
    assert refusal_of(answer) is None


@pytest.mark.parametrize("age", [0, 10, 200])
@pytest.mark.parametrize(("path", "body"), [one for one in YESES if "decided_at" not in json.dumps(one[1])])
async def test_nor_an_undated_one_a_refusal_that_does_not_refuse_any_more(
    shopper: Shopper, path: str, body: dict[str, Any], age: int
) -> None:
    """But for a yes with an age, which tells its time."""
    days = 181 + age
    answer = await shopper.post(path, body | {"client": FRENCH}, cookie=f"{CHOICE}=refused.{MINUTE - days * 1440}")
    later = "age_ms" in body
    assert told(answer) == (("persistent", "consent_granted") if later else ("cookieless", "no_signal"))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/consents", {"consent": "granted"}),
        ("/v1/consents", {"consent": {"purposes": BOTH, "decided_at": iso(START - 240)}}),
        ("/v1/consents/klaro", {"klaro": "%7B%22visitor-id%22%3Atrue%7D", "said": "now"}),
        ("/v1/consents/cookieyes", {"accepted": ["analytics"], "rejected": []}),
    ],
)
async def test_a_yes_that_is_said_now_lifts_every_refusal(shopper: Shopper, path: str, body: dict[str, Any]) -> None:
    cookie = f"{CHOICE}=refused.{MINUTE}; visitor-choice=refused"
    answer = await shopper.post(path, body | {"client": FRENCH}, cookie=cookie)
    assert told(answer) == ("persistent", "consent_granted")
    cleared = [line.partition("=")[0] for line in answer.headers.get_list("set-cookie") if "Max-Age=0" in line]
    assert cleared == [CHOICE, "visitor-choice"]


async def test_a_dated_yes_lifts_a_refusal_of_before_it(shopper: Shopper) -> None:
    body = {"consent": {"purposes": BOTH, "decided_at": iso(START - 7200)}, "client": FRENCH}
    for path in ("/v1/visitors", "/v1/consents"):
        assert told(await shopper.post(path, body, cookie=f"{CHOICE}=refused.{MINUTE - 180}")) == ("persistent", "consent_granted")
        assert told(await shopper.post(path, body, cookie=f"{CHOICE}=refused.{MINUTE - 60}")) == ("null", "consent_refused")


async def test_the_minute_of_a_dated_refusal_is_its_date_but_never_before_a_grant(shopper: Shopper) -> None:
    dated = {"purposes": NONE, "decided_at": iso(START - 7200)}
    assert refusal_of(await shopper.post("/v1/consents", {"consent": dated})) == f"refused.{MINUTE - 120}"
    granted = (await shopper.post("/v1/consents", {"consent": {"purposes": BOTH, "decided_at": iso(START - 3600)}})).json()
    late = await shopper.post("/v1/consents", {"consent": dated, "token": granted["token"]})
    assert told(late) == ("persistent", "consent_granted")
    assert refusal_of(late) is None
    assert late.json()["receipt"]["purposes"]["storage"] == "refused"


async def test_a_repeated_post_counts_when_it_was_said(shopper: Shopper, clock: Clock) -> None:
    token = (await shopper.post("/v1/consents", {"consent": "granted"})).json()["token"]
    clock.forward(30)
    late = await shopper.post("/v1/consents", {"consent": "refused", "token": token, "age_ms": 60_000})
    assert told(late) == ("persistent", "consent_granted")
    in_time = await shopper.post("/v1/consents", {"consent": "refused", "token": token, "age_ms": 10_000})
    assert told(in_time) == ("null", "consent_refused")


async def test_every_withdrawn_answer_to_a_dead_token_is_a_refusal_on_the_device(shopper: Shopper, clock: Clock) -> None:
    token = (await known(shopper))["token"]
    await shopper.post("/v1/erasures", {"email": "luke@skywalker.com"})
    clock.forward(86_400)
    answer = await shopper.post("/v1/visitors", {}, cookie=f"__Host-visitor={token}")
    assert told(answer) == ("null", "withdrawn")
    assert refusal_of(answer) == f"refused.{MINUTE}"
    assert "__Host-visitor=; Max-Age=0" in answer.headers["set-cookie"]


async def test_refusals_live_their_own_days(environment: dict[str, str], clock: Clock) -> None:
    settings = load("development", environment | {"IDENTITY_RETENTION__CONSENT_DAYS": "30"})
    async with shopping(settings, clock) as edge:
        for days, mode in ((31, "null"), (179, "null"), (181, "cookieless"), (399, "cookieless"), (401, "null"), (20_000, "null")):
            body = {"consent": {"purposes": NONE, "decided_at": iso(START - days * 86_400)}}
            assert (await edge.post("/v1/consents", body)).json()["mode"] == mode
        old = {"consent": {"purposes": BOTH, "decided_at": iso(START - 31 * 86_400)}}
        assert (await edge.post("/v1/consents", old)).json()["mode"] == "cookieless"


async def test_a_refusal_over_a_limit_is_obeyed_without_a_receipt(environment: dict[str, str], clock: Clock) -> None:
    limits = {"IDENTITY_LIMITS__ENABLED": "true", "IDENTITY_LIMITS__KEY_PER_SECOND": "1", "IDENTITY_LIMITS__BURST": "3"}
    settings = load("development", environment | limits)
    async with shopping(settings, clock) as edge:
        token = (await edge.post("/v1/consents", {"consent": "granted"}, key="demo-private-key")).json()["token"]
        answers = [await edge.post("/v1/consents", {"consent": "granted"}) for _ in range(6)]
        assert answers[-1].status_code == 429
        nobody = await edge.post("/v1/consents", {"consent": "refused"})
        assert (nobody.status_code, refusal_of(nobody)) == (429, f"refused.{MINUTE}")
        for _ in range(2):
            obeyed = await edge.post("/v1/consents", {"consent": "refused", "token": token})
            assert told(obeyed) == ("null", "consent_refused")
            assert obeyed.json()["receipt"] is None
            assert refusal_of(obeyed) == f"refused.{MINUTE}"
        other = await edge.post("/v1/verifications", {"token": token}, key="demo-public-key")
        assert other.json() == {"valid": False, "reason": "withdrawn"}


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        ({"signature_agent": '"https://agent.example"'}, None),
        ({"user_agent": "Mozilla/5.0 AppleWebKit/537.36; compatible; Claude-User/1.0; +Claude-User@anthropic.com"}, None),
        ({}, {"ip": "198.51.100.9", "user_agent": "Mozilla/5.0 (compatible; Perplexity-User/1.0; +https://perplexity.ai/perplexity-user)"}),
        ({}, {"ip": "198.51.100.9", "user_agent": "ChatGPT-User/1.0; +https://openai.com/bot"}),
        ({}, {"ip": "198.51.100.9", "user_agent": "Mozilla/5.0 (Linux; Android 6.0.1) Chrome/140.0 Mobile (compatible; Google-Agent)"}),
    ],
)
async def test_an_agent_is_nobody_and_shares_no_id(shopper: Shopper, headers: dict[str, str], client: dict[str, str] | None) -> None:
    if client:
        answer = await shopper.post("/v1/visitors", {"client": client})
    else:
        answer = await shopper.browser("/v1/visitors", {}, **headers)
    assert told(answer) == ("null", "agent")
    assert "set-cookie" not in answer.headers


async def test_an_agents_sale_is_kept_without_a_person(shopper: Shopper) -> None:
    body = {"key": "demo-public-key", "sale": "a-1", "products": [5], "visitor": "auto", "email": "luke@skywalker.com"}
    answer = await shopper.browser("/v2/log/sale", body, signature_agent='"https://agent.example"')
    assert answer.json() == {"status": "ok"}
    order = (await shopper.client.get("/v1/orders/a-1", headers={"authorization": "Bearer demo-private-key"})).json()
    assert (order["visitor"], order["mode"]) == (None, "null")
    assert await shopper.visitors(email="luke@skywalker.com") == []


async def test_switching_off_keeps_the_cookie_until_it_is_written(shopper: Shopper, cut_off: Shopper) -> None:
    token = (await known(shopper))["token"]
    answer = await cut_off.post("/v1/visitors", {"visitor": None}, cookie=f"__Host-visitor={token}")
    assert (answer.status_code, "set-cookie" in answer.headers) == (503, False)
    done = await shopper.post("/v1/visitors", {"visitor": None}, cookie=f"__Host-visitor={token}")
    assert "__Host-visitor=; Max-Age=0" in done.headers["set-cookie"]


async def test_the_shops_word_is_the_shops_wherever_it_is_kept(environment: dict[str, str], clock: Clock) -> None:
    async with shopping(load("development", environment), clock) as lax:
        first = (await lax.post("/v1/visitors", {"visitor": "persistent", "client": FRENCH})).json()
        assert told(await lax.post("/v1/visitors", {"token": first["token"]})) == ("persistent", "persistent_requested")
        await lax.post("/v1/consents", {"client": FRENCH, "consent": "refused"})
        marked = await lax.post("/v1/visitors", {"visitor": "persistent", "client": FRENCH})
        assert told(marked) == ("null", "withdrawn")
    async with shopping(load("development", environment | {"IDENTITY_SHOPS__DEMO__POLICY": "strict"}), clock) as strict:
        assert told(await strict.post("/v1/visitors", {"token": first["token"], "client": {"region": "FR"}})) == ("null", "no_signal")
        said = await strict.post("/v1/consents", {"token": first["token"], "consent": {"purposes": BOTH, "decided_at": iso(START - 600)}})
        assert told(said) == ("persistent", "consent_granted")
        assert told(await strict.post("/v1/visitors", {"token": first["token"]})) == ("persistent", "consent_granted")


async def test_cookieless_ids_need_the_pepper(shopper: Shopper, environment: dict[str, str], clock: Clock) -> None:
    """Two services on one store, so with one salt, and other peppers: the store alone tells nobody's address."""
    first = (await shopper.post("/v1/visitors", {"client": FRENCH})).json()["visitor"]
    pepper = hashlib.sha256(b"another").hexdigest()
    async with shopping(load("development", environment | {"IDENTITY_SECRETS__PEPPER": pepper}), clock) as other:
        second = (await other.post("/v1/visitors", {"client": FRENCH})).json()["visitor"]
        assert second != first
        assert (await other.post("/v1/visitors", {"client": FRENCH})).json()["visitor"] == second


@pytest.mark.parametrize("own", ["own-id-of-the-page", "a" * 21, "a" * 23])
async def test_a_bare_id_withdraws_only_what_a_caller_made(shopper: Shopper, own: str) -> None:
    await shopper.browser("/v2/log/search", {"key": "demo-public-key", "query": "x", "visitor": own})
    assert told(await shopper.browser("/v1/consents", {"visitor": own, "consent": "refused"})) == ("null", "consent_refused")
    assert (await shopper.post("/v1/events", {"visitor": own})).json()["events"] == []


@pytest.mark.parametrize("client", [FRENCH, {}])
async def test_a_bare_id_of_the_services_own_is_withdrawn_by_nobody(shopper: Shopper, client: dict[str, str]) -> None:
    issued = (await shopper.post("/v1/visitors", {"client": client})).json()
    await shopper.post("/v1/links", {"email": "luke@skywalker.com", "token": issued["token"]})
    await shopper.browser("/v1/consents", {"visitor": issued["visitor"], "consent": "refused"})
    assert (await shopper.post("/v1/verifications", {"token": issued["token"]})).json()["valid"] is True
    assert [one["visitor"] for one in await shopper.visitors(email="luke@skywalker.com")] == [issued["visitor"]]


class TickingClock(Clock):
    """Moves on by a millisecond whenever it is looked at, as a clock does on a machine that is busy."""

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


async def test_all_that_one_call_says_is_said_at_one_moment(environment: dict[str, str]) -> None:
    """A refusal of the body, which is read first, does not lose to the yes that a banner's cookie still holds."""
    settings = load("development", environment | {"IDENTITY_SHOPS__DEMO__BANNER_COOKIES": "klaro"})
    async with shopping(settings, TickingClock()) as shopper:
        kept = {"cookie": "klaro=%7B%22visitor-id%22%3Atrue%7D"}
        assert told(await shopper.post("/v1/visitors", {"client": FRENCH}, **kept)) == ("persistent", "consent_granted")
        assert told(await shopper.post("/v1/visitors", {"client": FRENCH, "consent": "refused"}, **kept)) == ("null", "consent_refused")


@pytest.mark.parametrize("source", ["", "/google"])
async def test_a_remembered_yes_that_is_sent_again_lifts_no_refusal(shopper: Shopper, clock: Clock, source: str) -> None:
    """Its age tells when a page heard it, not when somebody said it."""
    refused = await shopper.browser("/v1/consents", {"consent": "refused"})
    clock.forward(3_600)
    yes = {"state": {"analytics_storage": "granted"}} if source else {"consent": "granted"}
    again = yes | {"said": "remembered", "age_ms": 14_570}
    answer = await shopper.browser(f"/v1/consents{source}", again, cookie=f"{CHOICE}={refusal_of(refused)}")
    assert told(answer) == ("null", "consent_refused")
    assert refusal_of(answer) is None


async def test_a_refusal_that_is_repeated_with_its_date_stops_no_later_yes(shopper: Shopper, clock: Clock) -> None:
    """The mark of the withdrawn ID tells when the refusal was said, whenever it arrives."""
    clock.forward(86_400)
    said = clock.now
    clock.forward(10)
    late = {"consent": {"purposes": NONE, "decided_at": iso(START)}, "client": FRENCH}
    refused = await shopper.post("/v1/visitors", late)
    assert refusal_of(refused) == f"refused.{MINUTE}"
    clock.forward(10)
    yes = {"consent": "granted", "said": "now", "age_ms": (clock.now - said) * 1000, "client": FRENCH}
    answer = await shopper.post("/v1/consents", yes, cookie=f"{CHOICE}=refused.{MINUTE}")
    assert told(answer) == ("persistent", "consent_granted")


@pytest.mark.parametrize("hours", [-3, 3])
async def test_a_banners_date_follows_the_devices_clock(shopper: Shopper, clock: Clock, hours: int) -> None:
    """By a clock that is hours off, the banner's yes of before the refusal is older all the same, and a new one newer."""

    def banner(said_at: float) -> dict[str, Any]:
        state = {"consent": {"statistics": True, "method": "explicit"}, "hasResponse": True, "consentUTC": iso(said_at + 3_600 * hours)}
        return state | {"clock_ms": (clock.now + 3_600 * hours) * 1000}

    yes = clock.now
    await shopper.browser("/v1/consents/cookiebot", banner(yes) | {"said": "now"})
    clock.forward(3_600)
    refusal = refusal_of(await shopper.browser("/v1/consents", {"consent": "refused"}))
    clock.forward(3_600 * 3)
    repeated = await shopper.browser("/v1/consents/cookiebot", banner(yes) | {"said": "remembered"}, cookie=f"{CHOICE}={refusal}")
    assert told(repeated) == ("null", "consent_refused")
    anew = await shopper.browser("/v1/consents/cookiebot", banner(clock.now) | {"said": "now"}, cookie=f"{CHOICE}={refusal}")
    assert told(anew) == ("persistent", "consent_granted")


async def test_a_yes_told_as_said_now_is_newer_than_a_refusal_that_comes_late(shopper: Shopper, clock: Clock) -> None:
    """Though the banner says the same as before."""
    yes = {"orejime": '{"visitor-id":true}', "said": "now"}
    token = (await shopper.post("/v1/consents/orejime", yes)).json()["token"]
    clock.forward(100)
    assert told(await shopper.post("/v1/consents/orejime", yes | {"token": token})) == ("persistent", "consent_granted")
    late = {"orejime": '{"visitor-id":false}', "said": "now", "age_ms": 50_000, "token": token}
    assert told(await shopper.post("/v1/consents/orejime", late)) == ("persistent", "consent_granted")


async def test_a_call_that_only_the_refusal_cookie_refuses_takes_no_cookie_away(shopper: Shopper) -> None:
    """A grant of another tab may have overtaken it."""
    answer = await shopper.browser("/v1/visitors", cookie=f"{CHOICE}=refused.{MINUTE}")
    assert told(answer) == ("null", "consent_refused")
    assert "set-cookie" not in answer.headers


async def test_a_browser_without_a_visitors_cookie_has_none_taken_away(shopper: Shopper) -> None:
    """The same: while the call was on its way, a grant of another tab may have set one."""
    answer = await shopper.browser("/v1/visitors", key="strict-public-key", sec_gpc="1")
    assert told(answer) == ("null", "opted_out")
    assert "set-cookie" not in answer.headers
    await shopper.browser("/v1/consents", {"consent": "refused"})
    answer = await shopper.browser("/v1/visitors")
    assert told(answer) == ("null", "withdrawn")
    assert "set-cookie" not in answer.headers


async def test_a_refusal_of_a_page_that_slept_withdraws_the_cookies_visitor_too(shopper: Shopper) -> None:
    before = (await shopper.post("/v1/visitors")).json()["token"]
    held = (await known(shopper))["token"]
    answer = await shopper.browser("/v1/consents", {"token": before, "consent": "refused"}, cookie=f"__Host-visitor={held}")
    await assert_refused(shopper, held, answer)


async def test_a_refusal_that_is_sent_again_is_not_overtaken_by_the_yes_before_it(shopper: Shopper, clock: Clock) -> None:
    """The yes was two seconds on its way, and seems to be said as much later."""
    token = (await known(shopper))["token"]
    clock.forward(2)
    yes = {"consent": "granted", "said": "now", "age_ms": 1_000, "token": token}
    assert told(await shopper.post("/v1/consents", yes)) == ("persistent", "consent_granted")
    clock.forward(1)
    late = {"consent": "refused", "said": "now", "age_ms": 3_500, "token": token}
    assert told(await shopper.post("/v1/consents", late)) == ("null", "consent_refused")


async def test_a_clock_that_was_set_back_lifts_no_refusal_by_an_old_yes(shopper: Shopper, clock: Clock) -> None:
    said_at = int(clock()) * 1000
    clock.forward(3_600)
    refused = await shopper.browser("/v1/consents", {"consent": "refused"})
    cookie = "; ".join(one.partition(";")[0] for one in refused.headers.get_list("set-cookie"))
    clock.forward(7_200)
    yes = {"purposes": {"storage": "granted", "measurement": "granted"}, "decided_at": rfc3339(said_at // 1000)}
    for clock_ms in (int(clock() - 9_000) * 1000, 3_600_000):
        body = {"consent": yes, "said": "remembered", "clock_ms": clock_ms}
        assert (await shopper.browser("/v1/consents", body, cookie=cookie)).json()["mode"] == "null"


async def test_a_clock_that_was_set_ahead_makes_no_refusal_old(shopper: Shopper, clock: Clock) -> None:
    granted = (await shopper.browser("/v1/consents", {"consent": "granted"})).json()
    clock.forward(120)
    no = {"purposes": {"storage": "refused", "measurement": "refused"}, "decided_at": rfc3339(int(clock()) - 1)}
    body = {"token": granted["token"], "consent": no, "said": "now", "clock_ms": int(clock() + 86_400) * 1000}
    assert (await shopper.browser("/v1/consents", body)).json()["mode"] == "null"


@pytest.mark.parametrize("clock_ms", [9e15, 1e300, -1, "soon"])
async def test_a_clock_that_is_none_costs_no_refusal(shopper: Shopper, clock: Clock, clock_ms: object) -> None:
    granted = (await shopper.browser("/v1/consents", {"consent": "granted"})).json()
    clock.forward(120)
    no = {"purposes": {"storage": "refused", "measurement": "refused"}, "decided_at": rfc3339(int(clock()) - 1)}
    answer = await shopper.browser("/v1/consents", {"token": granted["token"], "consent": no, "clock_ms": clock_ms})
    assert (answer.status_code, answer.json()["mode"]) == (200, "null")
