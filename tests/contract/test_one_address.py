"""Several people behind one address with the same browser, who share a derived ID: one person's refusal stops the others only until a call
comes back with that refusal's cookie."""

from random import Random
from typing import Any

import httpx2 as httpx
import pytest
import redis

from identity_service.settings.load import load
from identity_service.settings.schema import Settings
from tests.conftest import START, Clock, Shopper, shopping

pytestmark = pytest.mark.anyio
AGENT = "Mozilla/5.0 (X11) Gecko/20100101 Firefox/140.0"
SAME = {"client": {"ip": "203.0.113.7", "user_agent": AGENT}}
"""The same derived ID as that of the browsers here, for calls of a server."""
COOKIELESS, WITHDRAWN, REFUSED = ("cookieless", "no_signal"), ("null", "withdrawn"), ("null", "consent_refused")
PERSISTENT = ("persistent", "consent_granted")
YES = {"purposes": {"storage": "granted", "measurement": "granted"}}


def told(answer: httpx.Response) -> tuple[str, str]:
    assert answer.status_code == 200, answer.text
    return answer.json()["mode"], answer.json()["decision"]["reason"]


def cookie_of(answer: httpx.Response) -> str:
    """The refusal cookie as a browser sends it back."""
    [found] = [line.partition(";")[0] for line in answer.headers.get_list("set-cookie") if line.startswith("__Host-visitor-choice=r")]
    return found


async def visit(shopper: Shopper, cookie: str = "", **body: Any) -> httpx.Response:
    return await shopper.browser("/v1/visitors", body, **({"cookie": cookie} if cookie else {}))


async def mode(shopper: Shopper, cookie: str = "", **body: Any) -> tuple[str, str]:
    return told(await visit(shopper, cookie, **body))


async def refuse(shopper: Shopper, cookie: str = "", **body: Any) -> str:
    answer = await shopper.browser("/v1/consents", {"consent": "refused"} | body, **({"cookie": cookie} if cookie else {}))
    assert told(answer) == REFUSED
    return cookie_of(answer)


async def order(shopper: Shopper, sale: str) -> dict[str, Any]:
    found: dict[str, Any] = (await shopper.client.get(f"/v1/orders/{sale}", headers={"authorization": "Bearer demo-private-key"})).json()
    return found


async def test_a_refusal_stops_the_others_until_its_cookie_comes_back(shopper: Shopper, clock: Clock) -> None:
    refusal = await refuse(shopper)
    clock.forward(5)
    assert await mode(shopper) == WITHDRAWN
    assert await mode(shopper, refusal) == REFUSED
    others = await visit(shopper)
    assert told(others) == COOKIELESS
    assert await mode(shopper, token=others.json()["token"]) == COOKIELESS
    assert [await mode(shopper, refusal), await mode(shopper, refusal, token=others.json()["token"])] == [REFUSED, REFUSED]


async def test_a_browser_that_keeps_no_cookies_leaves_the_mark(shopper: Shopper, clock: Clock) -> None:
    await refuse(shopper)
    for _ in range(3):
        clock.forward(600)
        assert await mode(shopper) == WITHDRAWN
    clock.forward(86_400)
    assert await mode(shopper) == COOKIELESS


@pytest.mark.parametrize("other", ["refused", f"refused.{int(START) // 60 - 9}", f"refused.{int(START) // 60 + 9}", "refused.x"])
async def test_another_refusals_cookie_lifts_nothing(shopper: Shopper, clock: Clock, other: str) -> None:
    await refuse(shopper)
    assert await mode(shopper, f"visitor-choice={other}") in (REFUSED, WITHDRAWN)
    assert await mode(shopper, f"__Host-visitor-choice={other}") == REFUSED
    assert await mode(shopper) == WITHDRAWN


async def test_each_of_two_refusals_waits_for_its_own_cookie(shopper: Shopper, clock: Clock) -> None:
    first = await refuse(shopper)
    clock.forward(60)
    second = await refuse(shopper)
    clock.forward(5)
    assert await mode(shopper, first) == REFUSED
    assert await mode(shopper) == WITHDRAWN
    assert await mode(shopper, second) == REFUSED
    assert await mode(shopper) == COOKIELESS
    clock.forward(60)
    third = await refuse(shopper)
    assert [await mode(shopper), await mode(shopper, first), await mode(shopper)] == [WITHDRAWN, REFUSED, WITHDRAWN]
    clock.forward(5)
    assert [await mode(shopper, third), await mode(shopper)] == [REFUSED, COOKIELESS]


async def test_two_refusals_of_one_minute_have_one_cookie_that_lifts_neither(shopper: Shopper, clock: Clock) -> None:
    first, second = await refuse(shopper), await refuse(shopper)
    assert first == second
    clock.forward(5)
    assert [await mode(shopper, first), await mode(shopper)] == [REFUSED, WITHDRAWN]
    clock.forward(60)
    later = await refuse(shopper)
    assert [await mode(shopper, later), await mode(shopper)] == [REFUSED, WITHDRAWN]


async def test_a_cookie_that_came_back_lifts_no_other_refusal_of_its_minute(shopper: Shopper, clock: Clock) -> None:
    first = await refuse(shopper)
    clock.forward(5)
    assert [await mode(shopper, first), await mode(shopper)] == [REFUSED, COOKIELESS]
    assert await refuse(shopper) == first
    clock.forward(5)
    assert [await mode(shopper, first), await mode(shopper)] == [REFUSED, WITHDRAWN]


async def test_a_late_refusal_stops_the_others_until_midnight(shopper: Shopper, clock: Clock) -> None:
    """Its cookie has an earlier minute, which another refusal may have, too."""
    first = await refuse(shopper)
    clock.forward(600)
    assert [await mode(shopper, first), await mode(shopper)] == [REFUSED, COOKIELESS]
    late = await refuse(shopper, age_ms=600_000)
    assert late == first
    assert [await mode(shopper, first), await mode(shopper)] == [REFUSED, WITHDRAWN]


async def test_a_refusal_that_a_page_repeats_stops_nobody_anew(shopper: Shopper, clock: Clock) -> None:
    cookie = await refuse(shopper)
    for _ in range(3):
        clock.forward(90)
        answer = await visit(shopper, cookie, consent="refused")
        assert told(answer) == REFUSED
        cookie = cookie_of(answer)
        assert await mode(shopper) == COOKIELESS
    clock.forward(86_400)
    assert [await mode(shopper, cookie, consent="refused"), await mode(shopper)] == [REFUSED, COOKIELESS]


async def test_a_refusal_that_was_kept_from_a_failed_call_still_withdraws(shopper: Shopper, clock: Clock) -> None:
    """While the store was away the cookie was set and nothing was written."""
    before = (await visit(shopper)).json()["token"]
    clock.forward(60)
    kept = f"__Host-visitor-choice=refused.{int(clock()) // 60}"
    clock.forward(60)
    await refuse(shopper, kept)
    assert await mode(shopper) == WITHDRAWN
    assert (await shopper.post("/v1/verifications", {"token": before})).json() == {"valid": False, "reason": "withdrawn"}


async def test_a_refusal_as_state_is_waited_for_as_well(shopper: Shopper, clock: Clock) -> None:
    first = await refuse(shopper)
    clock.forward(60)
    second = cookie_of(await visit(shopper, consent="refused"))
    clock.forward(5)
    assert [await mode(shopper, first), await mode(shopper)] == [REFUSED, WITHDRAWN]
    assert [await mode(shopper, second), await mode(shopper)] == [REFUSED, COOKIELESS]


async def test_a_servers_calls_are_stopped_until_midnight(shopper: Shopper, clock: Clock) -> None:
    refusal = await refuse(shopper)
    clock.forward(5)
    await mode(shopper, refusal)
    assert await mode(shopper) == COOKIELESS
    assert told(await shopper.post("/v1/visitors", SAME)) == WITHDRAWN
    assert told(await shopper.post("/v1/visitors", SAME | {"token": (await visit(shopper)).json()["token"]})) == COOKIELESS
    clock.forward(86_400)
    assert told(await shopper.post("/v1/visitors", SAME)) == COOKIELESS


async def test_a_servers_refusal_stops_everybody_until_midnight(shopper: Shopper, clock: Clock) -> None:
    cookie = cookie_of(await shopper.post("/v1/consents", SAME | {"consent": "refused"}))
    clock.forward(60)
    late = await refuse(shopper)
    clock.forward(5)
    assert [await mode(shopper, cookie), await mode(shopper, late), await mode(shopper)] == [REFUSED, REFUSED, WITHDRAWN]


async def test_a_servers_refusal_stops_those_whom_the_mark_let_pass(shopper: Shopper, clock: Clock) -> None:
    refusal = await refuse(shopper)
    clock.forward(5)
    await mode(shopper, refusal)
    assert await mode(shopper) == COOKIELESS
    assert told(await shopper.post("/v1/visitors", SAME | {"consent": "refused"})) == REFUSED
    assert [await mode(shopper, refusal), await mode(shopper)] == [REFUSED, WITHDRAWN]


async def test_a_token_from_before_stays_withdrawn_and_sets_no_refusal_in_another_browser(shopper: Shopper, clock: Clock) -> None:
    before = (await visit(shopper)).json()["token"]
    await shopper.browser("/v1/links", {"email": "leia@example.com", "token": before})
    refusal = await refuse(shopper, token=before)
    clock.forward(5)
    await mode(shopper, refusal)
    answer = await visit(shopper, token=before)
    assert told(answer) == WITHDRAWN
    assert "visitor-choice" not in answer.headers.get("set-cookie", "")
    assert (await shopper.post("/v1/verifications", {"token": before})).json() == {"valid": False, "reason": "withdrawn"}
    linked = await shopper.browser("/v1/links", {"email": "luke@skywalker.com", "token": before})
    assert (linked.status_code, linked.json()["code"]) == (409, "consent_required")
    clock.forward(1)
    since = (await visit(shopper)).json()["token"]
    assert (await shopper.post("/v1/verifications", {"token": since})).json()["valid"]
    assert (await shopper.browser("/v1/links", {"email": "luke@skywalker.com", "token": since})).status_code == 200
    dead = await shopper.browser("/v1/links", {"email": "luke@skywalker.com", "token": before})
    assert (dead.status_code, dead.json()["code"]) == (409, "consent_required")
    assert [len(await shopper.visitors(email=email)) for email in ("leia@example.com", "luke@skywalker.com")] == [0, 1]


async def test_a_token_from_before_shows_and_erases_nothing_of_the_others(shopper: Shopper, clock: Clock) -> None:
    before = (await visit(shopper)).json()["token"]
    refusal = await refuse(shopper)
    clock.forward(5)
    await mode(shopper, refusal)
    since = (await visit(shopper)).json()["token"]
    await shopper.browser("/v2/log/click", {"key": "demo-public-key", "product": 7, "visitor": since})
    await shopper.browser("/v1/links", {"email": "luke@skywalker.com", "token": since})
    assert (await shopper.post("/v1/receipts", {"token": before})).json()["receipts"] == []
    assert (await shopper.post("/v1/exports", {"token": before})).json()["visitors"] == []
    assert (await shopper.post("/v2/privacy/info", {"key": "demo-private-key", "visitor": before})).json()["activity"] == []
    assert (await shopper.post("/v1/erasures", {"token": before})).json()["erased"] == {"visitors": 0, "links": 0, "events": 0}
    assert (await shopper.post("/v1/unlinks", {"token": before, "email": "luke@skywalker.com"})).json()["unlinked"] is False
    assert len(await shopper.visitors(email="luke@skywalker.com")) == 1
    [shown] = (await shopper.post("/v1/exports", {"token": since})).json()["visitors"]
    assert len(shown["events"]) == 1


async def test_the_others_clicks_and_sales_count_and_the_refused_persons_do_not(shopper: Shopper, clock: Clock) -> None:
    refusal = await refuse(shopper)
    click = {"key": "demo-public-key", "product": 7, "visitor": "auto"}
    sale = {"key": "demo-public-key", "products": [7], "visitor": "auto", "email": "luke@skywalker.com"}
    clock.forward(5)

    async def log(number: int, cookie: str = "") -> dict[str, Any]:
        headers = {"cookie": cookie} if cookie else {}
        for path, body in (("log/click", click), ("log/sale", sale | {"sale": str(number)})):
            assert (await shopper.browser(f"/v2/{path}", body, **headers)).json() == {"status": "ok"}
        return await order(shopper, str(number))

    assert (await log(1))["visitor"] is None
    await mode(shopper, refusal)
    derived = (await visit(shopper)).json()["visitor"]
    assert (await log(2))["visitor"] == derived
    assert (await log(3, refusal))["visitor"] is None
    assert (await shopper.post("/v2/log/click", click | SAME | {"key": "demo-private-key"})).json() == {"status": "ok"}
    events = (await shopper.post("/v1/events", {"visitor": derived})).json()["events"]
    assert [event["type"] for event in events] == ["sale", "click"]
    clock.forward(5)
    await refuse(shopper)
    assert (await shopper.post("/v1/events", {"visitor": derived})).json()["events"] == []
    assert (await log(4))["visitor"] is None


async def test_a_servers_word_on_an_order_keeps_the_others_session(shopper: Shopper, clock: Clock) -> None:
    refusal = await refuse(shopper)
    clock.forward(5)
    await mode(shopper, refusal)
    since = (await visit(shopper)).json()
    clock.forward(5)
    sale = {"sale": "o-1", "products": [7]}
    await shopper.browser("/v2/log/sale", sale | {"key": "demo-public-key", "visitor": since["token"]})
    await shopper.post("/v2/log/sale", sale | {"key": "demo-private-key"})
    found = await order(shopper, "o-1")
    assert (found["visitor"], found["verified"]) == (since["visitor"], True)


async def test_links_can_be_refused_alone_by_the_others(shopper: Shopper, clock: Clock) -> None:
    refusal = await refuse(shopper)
    clock.forward(5)
    await mode(shopper, refusal)
    alone = await shopper.browser("/v1/consents", {"consent": {"purposes": {"linking": "refused"}}})
    assert (told(alone), alone.json()["linkable"]) == (COOKIELESS, False)
    clock.forward(1)
    again = await visit(shopper)
    assert (told(again), again.json()["linkable"]) == (COOKIELESS, False)
    click = {"key": "demo-public-key", "product": 7, "visitor": again.json()["token"]}
    assert (await shopper.browser("/v2/log/click", click)).json() == {"status": "ok"}
    assert len((await shopper.post("/v1/events", {"visitor": again.json()["visitor"]})).json()["events"]) == 1


async def test_nothing_but_a_yes_said_now_or_later_makes_anybody_persistent(shopper: Shopper, clock: Clock) -> None:
    """Whoever forges the cookie of another person's refusal gets a cookieless ID at most."""
    old = {"decided_at": "2026-11-18T11:00:00Z"}
    await refuse(shopper)
    clock.forward(5)
    assert await mode(shopper, f"__Host-visitor-choice=refused.{int(START) // 60}") == REFUSED
    assert await mode(shopper) == COOKIELESS
    for body in ({"visitor": "persistent"}, {"consent": "granted"}, {"consent": YES | old}):
        assert await mode(shopper, **body) == COOKIELESS
    remembered = await shopper.browser("/v1/consents", {"consent": "granted", "said": "remembered"})
    assert told(remembered) == COOKIELESS
    assert told(await shopper.browser("/v1/consents", {"consent": "granted"})) == PERSISTENT


async def test_a_yes_of_the_person_who_refused_lets_the_others_pass(shopper: Shopper, clock: Clock) -> None:
    refusal = await refuse(shopper)
    clock.forward(5)
    assert told(await shopper.browser("/v1/consents", {"consent": "granted"}, cookie=refusal)) == PERSISTENT
    assert await mode(shopper) == COOKIELESS


async def test_the_mark_is_one_key_that_ends_with_its_window(shopper: Shopper, clock: Clock, database: redis.Redis) -> None:
    refusal = await refuse(shopper)
    [name] = database.keys("*:gone")
    life = database.ttl(name)
    clock.forward(5)
    await mode(shopper, refusal)
    mark = database.get(name)
    assert mark == f"{int(START * 1000)}:{int(START)}:"
    assert database.ttl(name) in (life, life - 1, life - 2)


async def test_many_refusals_keep_the_mark_small(shopper: Shopper, clock: Clock, database: redis.Redis) -> None:
    for _ in range(45):
        await refuse(shopper)
        clock.forward(60)
    [name] = database.keys("*:gone")
    assert database.strlen(name) < 350
    assert await mode(shopper) == WITHDRAWN


async def test_strict_lets_the_others_pass_where_it_issues_ids(environment: dict[str, str], clock: Clock) -> None:
    settings = load("development", environment | {"IDENTITY_SHOPS__DEMO__POLICY": "strict", "IDENTITY_SERVER__REGION_HEADER": ""})
    async with shopping(settings, clock) as shopper:
        refusal = await refuse(shopper)
        clock.forward(5)
        assert [await mode(shopper, refusal), await mode(shopper)] == [REFUSED, ("null", "no_signal")]


class Person:
    """One browser behind the address. `keeps`: whether it keeps cookies."""

    def __init__(self, shopper: Shopper, *, keeps: bool) -> None:
        self.shopper = shopper
        self.keeps = keeps
        self.cookie, self.refused_on = "", -1

    async def refuse(self, day: int) -> None:
        kept = await refuse(self.shopper, self.cookie)
        self.cookie, self.refused_on = kept if self.keeps else "", day

    async def visits(self, day: int) -> tuple[str, str]:
        """Raises AssertionError where its refusal is not obeyed: with cookies for good, without until the window ends."""
        found = await mode(self.shopper, self.cookie)
        assert found[0] != "persistent"
        if self.refused_on == day or self.cookie:
            assert found[0] == "null", (self.keeps, found)
        return found


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_the_people_behind_one_address_do_each_refusal_is_obeyed(shopper: Shopper, clock: Clock, seed: int) -> None:
    random = Random(seed)
    people = [Person(shopper, keeps=keeps) for keeps in (True, True, True, seed % 2 == 0)]
    clock.now = START // 86_400 * 86_400
    for _ in range(150):
        clock.forward(random.choice((1, 5, 30, 61, 600, 7_200)))
        day, person = int(clock() // 86_400), random.choice(people)
        if random.random() < 0.15:
            await person.refuse(day)
        else:
            await person.visits(day)


async def test_once_everybody_who_refused_came_back_nobody_else_is_stopped(shopper: Shopper, clock: Clock) -> None:
    people = [Person(shopper, keeps=True) for _ in range(12)]
    clock.now = START // 86_400 * 86_400
    for day in range(2):
        today = int(clock() // 86_400)
        for person in people:
            clock.forward(61)
            await person.refuse(today)
        clock.forward(61)
        for person in Random(day).sample(people, len(people)):
            await person.visits(today)
        assert await mode(shopper) == COOKIELESS
        clock.forward(86_400 - 13 * 61)


@pytest.mark.parametrize("named", ["id", "token", "nothing"])
async def test_nobody_elsewhere_ends_a_mark_by_naming_its_id(shopper: Shopper, clock: Clock, settings: Settings, named: str) -> None:
    """Nothing signs the refusal cookie, and its minute can be guessed."""
    before = (await visit(shopper)).json()
    clock.forward(5)
    await refuse(shopper)
    clock.forward(60)
    cookies = [f"__Host-visitor-choice=refused.{int(clock()) // 60 - ago}" for ago in range(4)]
    body = {"id": {"visitor": before["visitor"]}, "token": {"token": before["token"]}, "nothing": {}}[named]
    for cookie in cookies:
        async with shopping(settings, clock, "198.51.100.99") as elsewhere:
            await elsewhere.browser("/v1/visitors", body, cookie=cookie)
    assert await mode(shopper) == WITHDRAWN
