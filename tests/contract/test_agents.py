"""Agents over HTTP: what they get, what they leave, and that no figure mixes them with people or robots."""

import random
from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from identity_service.settings.load import load
from identity_service.store.agent_keys import AgentKeyFile
from tests.conftest import Clock, Shopper, shopping
from tests.signing import ORIGIN, Signer

pytestmark = pytest.mark.anyio
AUTHORIZED = {"authorization": "Bearer demo-private-key"}
FIREFOX = "Mozilla/5.0 (X11) Gecko/20100101 Firefox/140.0"
ROBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
CLAUDE = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Claude-User/1.0)"
EGRESS = {"ip": "203.0.113.77", "user_agent": FIREFOX}
"""Many people's agents share it."""
PAGE = "localhost:8080"
"""A host of the shop."""


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture
async def store_front(environment: dict[str, str], clock: Clock, signer: Signer, tmp_path: Path) -> AsyncIterator[Shopper]:
    """A service that knows the signer's directory, under a host of its own behind a proxy that removes /id."""
    keys = tmp_path / "agent-keys.json"
    AgentKeyFile(str(keys)).write([signer.directory])
    agents = {"DIRECTORIES": ORIGIN, "KEYS_FILE": str(keys), "HOSTS": "service.test", "REMOVED_PREFIX": "/id"}
    settings = load("development", environment | {f"IDENTITY_AGENTS__{name}": text for name, text in agents.items()})
    async with shopping(settings, clock) as shopper:
        yield shopper


def told(headers: dict[str, str], authority: str = PAGE, target: str = "/") -> dict[str, Any]:
    """What an edge passes on."""
    names = {name.replace("-", "_"): text for name, text in headers.items()}
    return EGRESS | {"agent": names | {"authority": authority, "method": "GET", "target": target}}


async def get(shopper: Shopper, path: str) -> Any:
    answer = await shopper.client.get(path, headers=AUTHORIZED)
    assert answer.status_code == 200, answer.text
    return answer.json()


def outcome(answer: httpx.Response) -> tuple[Any, str, str]:
    assert answer.status_code == 200, answer.text
    assert "set-cookie" not in answer.headers
    found = answer.json()
    return found["visitor"], found["mode"], found["decision"]["reason"]


async def known_as(shopper: Shopper, client: dict[str, Any]) -> str:
    """How the decision says that the agent was known."""
    steps = (await shopper.post("/v1/decisions", {"client": client})).json()["trace"]
    return str(next(step["value"] for step in steps if step["fact"] == "agent"))


async def test_an_edge_passes_a_signature_on(store_front: Shopper, clock: Clock, signer: Signer) -> None:
    client = told(signer.headers(clock(), PAGE, target="/p?a=1"), target="/p?a=1")
    assert await known_as(store_front, client) == "agent.example (verified)"
    assert outcome(await store_front.post("/v1/visitors", {"client": client})) == (None, "null", "agent")
    clock.forward(59)
    assert await known_as(store_front, client) == "agent.example (verified)"
    clock.forward(2)
    assert await known_as(store_front, client) == "unknown (invalid)"
    assert await known_as(store_front, told(signer.headers(clock(), "evil.example"), "evil.example")) == "unknown (invalid)"
    stranger = Signer("https://stranger.example")
    assert await known_as(store_front, told(stranger.headers(clock(), PAGE))) == "unknown (unverified)"
    assert await known_as(store_front, told(stranger.headers(clock(), PAGE)) | {"user_agent": CLAUDE}) == "claude-user (unverified)"


async def test_an_edge_repeats_a_signature_for_its_own_page_view_only(store_front: Shopper, clock: Clock, signer: Signer) -> None:
    """One request of an agent is several calls of the edge. A signature that does not cover the path fits other pages, too."""
    headers = signer.headers(clock(), PAGE, covered='"@authority" "signature-agent";key="sig1"')
    for seconds in (0, 20, 20):
        clock.forward(seconds)
        assert await known_as(store_front, told(headers)) == "agent.example (verified)"
        assert await known_as(store_front, told(headers, target="/another")) == "unknown (invalid)"
    sold = {"sale": "r-1", "products": [{"id": 5, "price": 3}], "agent": told(headers)["agent"]}
    await store_front.post("/v2/log/sale", sold)
    await store_front.post("/v2/log/sale", sold | {"sale": "r-2", "agent": told(headers, target="/another")["agent"]})
    channels = {one["sale"]: one["channel"] for one in (await get(store_front, "/v1/orders"))["orders"]}
    assert channels == {"r-1": "agent:agent.example", "r-2": "agent:unknown"}
    direct = headers | {"host": PAGE}
    await store_front.browser("/v1/visitors", **direct)
    assert (await get(store_front, "/v1/labels"))["known_by"]["invalid"] == 1


@pytest.mark.parametrize(
    ("agent", "known"),
    [
        ({"name": "ChatGPT.com", "verified": True}, "chatgpt.com (edge)"),
        ({"name": "two words", "verified": 1}, "unknown (edge)"),
        ({"verified": "true"}, "unknown (edge)"),
        ({"name": "chatgpt.com", "verified": False}, "unknown (unverified)"),
        ({"name": "chatgpt.com"}, "unknown (unverified)"),
        ({"signature_agent": '"https://chatgpt.com"', "verified": True}, "unknown (unverified)"),
        ({"signature": "sig1=:AAAA:"}, "unknown (unverified)"),
        ("https://chatgpt.com", "unknown (unverified)"),
        ([1], "unknown (unverified)"),
        ({"signature_agent": None, "signature_input": "", "signature": None, "authority": PAGE}, "none"),
        ({"signature_input": 'sig1=("@method");created=1;tag="x"', "signature": "sig1=:AAAA:"}, "unknown (unverified)"),
        ({}, "none"),
        (None, "none"),
    ],
)
async def test_an_edge_says_what_it_knows_and_anything_else_is_nobodys_name(shopper: Shopper, agent: Any, known: str) -> None:
    assert await known_as(shopper, EGRESS | {"agent": agent}) == known


async def test_a_robot_that_signs_stays_a_robot_unless_its_directory_is_named(store_front: Shopper, clock: Clock, signer: Signer) -> None:
    stranger = Signer("https://stranger.example")
    for one, reason in ((stranger, "bot"), (signer, "agent")):
        client = told(one.headers(clock(), PAGE)) | {"user_agent": ROBOT}
        assert outcome(await store_front.post("/v1/visitors", {"client": client})) == (None, "null", reason)


async def test_an_agent_that_calls_itself_signs_host_and_path_as_it_sees_them(store_front: Shopper, clock: Clock, signer: Signer) -> None:
    async def figures() -> dict[str, int]:
        found = (await get(store_front, "/v1/labels"))["known_by"]
        return {name: number for name, number in found.items() if number}

    headers = signer.headers(clock(), "service.test", "POST", "/id/v1/visitors")
    assert outcome(await store_front.browser("/v1/visitors", **headers)) == (None, "null", "agent")
    assert await figures() == {"verified": 1}
    await store_front.browser("/v1/visitors", **headers)
    await store_front.browser("/v1/visitors", **signer.headers(clock(), "service.test", "POST", "/v1/visitors"))
    assert await figures() == {"verified": 1, "invalid": 2}


async def test_keys_that_were_fetched_again_count_at_once(store_front: Shopper, clock: Clock, signer: Signer, tmp_path: Path) -> None:
    application, newer = store_front.application, Signer()
    assert await known_as(store_front, told(newer.headers(clock(), PAGE))) == "unknown (unverified)"
    AgentKeyFile(str(tmp_path / "agent-keys.json")).write([newer.directory])
    application.read_agent_keys()
    assert await known_as(store_front, told(newer.headers(clock(), PAGE))) == "agent.example (verified)"
    assert await known_as(store_front, told(signer.headers(clock(), PAGE))) == "unknown (unverified)"
    (tmp_path / "agent-keys.json").write_text("{")
    application.read_agent_keys()
    assert await known_as(store_front, told(newer.headers(clock(), PAGE))) == "agent.example (verified)"


async def test_a_persons_token_that_an_agent_brings_is_nobodys(shopper: Shopper) -> None:
    person = (await shopper.browser("/v1/consents", {"consent": "granted"})).json()
    token, cookie = person["token"], f"__Host-visitor={person['token']}"
    agent = {"user-agent": CLAUDE}
    assert outcome(await shopper.browser("/v1/visitors", {"token": token}, cookie=cookie, **agent)) == (None, "null", "agent")
    await shopper.browser("/v2/log/click", {"product": 5, "labels": ["Home"], "visitor": token}, **agent)
    await shopper.browser("/v2/log/email", {"email": "luke@skywalker.com", "visitor": token}, **agent)
    link = await shopper.browser("/v1/links", {"email": "luke@skywalker.com", "token": token}, **agent)
    assert (link.status_code, link.json()["code"]) == (409, "consent_required")
    assert await shopper.visitors(email="luke@skywalker.com") == []
    await shopper.browser("/v2/log/sale", {"sale": "p-1", "products": [{"id": 5, "price": 3}], "visitor": token})
    order = await get(shopper, "/v1/orders/p-1")
    assert (order["visitor"], order["attributed"], order["channel"]) == (person["visitor"], False, None)
    events = (await shopper.post("/v1/events", {"visitor": person["visitor"]})).json()["events"]
    assert [one["type"] for one in events] == ["sale"]


async def test_an_agents_grant_grants_nothing_and_its_refusal_counts(shopper: Shopper) -> None:
    agent = {"user-agent": CLAUDE}
    granted = (await shopper.browser("/v1/consents", {"consent": "granted"}, **agent)).json()
    assert (granted["mode"], granted["decision"]["reason"], granted["receipt"]) == ("null", "agent", None)
    token = (await shopper.browser("/v1/consents", {"consent": "granted"})).json()["token"]
    refused = (await shopper.browser("/v1/consents", {"consent": "refused", "token": token}, **agent)).json()
    assert (refused["decision"]["reason"], refused["receipt"]["purposes"]["storage"]) == ("consent_refused", "refused")
    assert (await shopper.post("/v1/verifications", {"token": token})).json() == {"valid": False, "reason": "withdrawn"}


CHATGPT = {"name": "chatgpt.com", "verified": True}


async def test_an_agents_order_names_its_buyer_only_by_a_private_key(shopper: Shopper) -> None:
    sold = {"products": [{"id": 5, "price": "19.95", "quantity": 2}], "email": "luke@skywalker.com", "visitor": "auto"}
    await shopper.browser("/v2/log/sale", sold | {"sale": "a-1", "agent": CHATGPT}, **{"user-agent": CLAUDE})
    await shopper.post("/v2/log/sale", sold | {"sale": "a-2", "agent": CHATGPT})
    await shopper.post("/v2/log/sale", sold | {"sale": "a-3", "agent": CHATGPT, "visitor": None})
    await shopper.post("/v2/log/sale", sold | {"sale": "a-4", "agent": CHATGPT}, cookie="visitor-choice=refused")
    orders = {one["sale"]: one for one in (await get(shopper, "/v1/orders"))["orders"]}
    assert {sale: (one["channel"], one["mode"], one["visitor"]) for sale, one in orders.items()} == {
        "a-1": ("agent:claude-user", "null", None),
        **dict.fromkeys(("a-2", "a-3", "a-4"), ("agent:chatgpt.com", "null", None)),
    }
    exported = (await shopper.post("/v1/exports", {"email": "luke@skywalker.com"})).json()
    assert ([one["sale"] for one in exported["orders"]], exported["visitors"]) == (["a-2"], [])
    why = await get(shopper, "/v1/orders/a-2/attribution")
    assert (why["attributed"], why["broken"]) == (False, "agent")
    assert await shopper.visitors(email="luke@skywalker.com") == []


async def test_a_call_that_logs_nothing_needs_no_word_about_an_agent(shopper: Shopper) -> None:
    assert (await shopper.post("/v2/misc/visitor_id", {})).json()["status"] == "ok"


async def test_a_public_keys_word_about_an_agent_is_ignored(shopper: Shopper) -> None:
    await shopper.browser("/v2/log/sale", {"sale": "b-1", "products": [5], "agent": CHATGPT})
    assert (await get(shopper, "/v1/orders/b-1"))["channel"] is None


@pytest.mark.parametrize(("agent", "channel"), [({}, "agent:claude-user"), ({"agent": CHATGPT}, "agent:chatgpt.com")])
async def test_an_order_that_the_shop_repeats_keeps_its_channel_and_moves_its_figures(
    shopper: Shopper, agent: dict[str, Any], channel: str
) -> None:
    body = {"sale": "c-1", "products": [{"id": 5, "price": 10, "quantity": 3}]}
    await shopper.browser("/v2/log/sale", body | {"visitor": "auto"}, **{"user-agent": CLAUDE})
    await shopper.post("/v2/log/sale", body | {"products": [{"id": 5, "price": 20, "quantity": 3}]} | agent)
    await shopper.post("/v2/log/returned", {"order": "c-1", "product": 5})
    assert (await get(shopper, "/v1/orders/c-1"))["channel"] == channel
    found = await get(shopper, "/v1/labels")
    assert (found["other_orders"], found["other_revenue"]) == (0, "0")
    assert {one["name"]: (one["orders"], one["revenues"]) for one in found["agents"] if one["orders"]} == {
        channel.removeprefix("agent:"): (1, {"EUR": "40"})
    }


async def test_a_session_that_a_browser_proved_is_not_the_agents(shopper: Shopper) -> None:
    token = (await shopper.browser("/v1/visitors")).json()["token"]
    body = {"sale": "d-1", "products": [{"id": 5, "price": 10}]}
    await shopper.browser("/v2/log/click", {"product": 5, "labels": ["Home"], "visitor": token})
    await shopper.browser("/v2/log/sale", body | {"visitor": token})
    assert (await get(shopper, "/v1/orders/d-1"))["attributed"] is True
    await shopper.post("/v2/log/sale", body | {"agent": CHATGPT})
    order = await get(shopper, "/v1/orders/d-1")
    assert (order["channel"], order["visitor"], order["attributed"]) == ("agent:chatgpt.com", None, False)


async def test_two_hundred_people_behind_one_agent_share_nothing(store_front: Shopper, clock: Clock, signer: Signer) -> None:
    issued, number = [], 200
    for person in range(number):
        client = told(signer.headers(clock(), PAGE)) if person % 2 else EGRESS | {"agent": {"signature_agent": f'"{ORIGIN}"'}}
        answer = await store_front.post("/v1/visitors", {"client": client})
        assert outcome(answer) == (None, "null", "agent")
        issued.append(answer.json()["token"])
        agent = {"agent": client["agent"]}
        await store_front.post("/v2/log/click", {"product": person % 7, "labels": [f"of {person}"], "visitor": "auto"} | agent)
        sale = {"sale": f"s-{person}", "products": [{"id": person % 7, "price": 2}], "email": f"p{person}@example.com"}
        await store_front.post("/v2/log/sale", sale | agent)
    found = await get(store_front, "/v1/labels?limit=1")
    assert (set(issued), found["attributed_orders"], found["other_orders"], found["labels"]) == ({None}, 0, 0, [])
    assert {one["name"]: (one["visits"], one["clicks"], one["orders"]) for one in found["agents"]} == {
        "agent.example": (100, 100, 100),
        "unknown": (100, 100, 100),
    }
    for person in range(0, number, 20):
        exported = (await store_front.post("/v1/exports", {"email": f"p{person}@example.com"})).json()
        assert ([one["sale"] for one in exported["orders"]], exported["visitors"]) == ([f"s-{person}"], [])


async def test_a_mixed_day_is_told_apart_in_every_figure(shopper: Shopper, clock: Clock) -> None:
    chosen, counted, revenue = random.Random(25), Counter[tuple[str, str]](), Counter[str]()
    agents = {"claude-user": CLAUDE, "perplexity-user": "Perplexity-User/1.0", "bot": ROBOT}
    for number in range(150):
        who = chosen.choice(["person", "person", *agents])
        user_agent = {"user-agent": agents.get(who, FIREFOX)}
        token = (await shopper.browser("/v1/visitors", **user_agent)).json()["token"]
        counted[who, "visits"] += 1
        visitor = {"visitor": token} if token else {"visitor": "auto"}
        if chosen.random() < 0.7:
            await shopper.browser("/v2/log/click", {"product": number, "labels": ["Home"]} | visitor, **user_agent)
            counted[who, "clicks"] += 1
        if chosen.random() < 0.6:
            sold = {"sale": str(number), "products": [{"id": number, "price": number}], "currency": chosen.choice(["EUR", None])}
            await shopper.browser("/v2/log/sale", sold | visitor, **user_agent)
            counted[who, "orders"] += 1
            revenue[who] += number
        clock.forward(200)
    found = await get(shopper, "/v1/labels?days=2")
    people = counted["person", "orders"]
    assert found["attributed_orders"] + found["other_orders"] == people
    assert Decimal(found["attributed_revenue"]) + Decimal(found["other_revenue"]) == revenue["person"]
    assert [one["clicks"] for one in found["labels"]] == [counted["person", "clicks"]]
    for name in agents:
        [one] = [found["robots"]] if name == "bot" else [one for one in found["agents"] if one["name"] == name]
        assert (one["visits"], one["clicks"], one["orders"]) == tuple(counted[name, kind] for kind in ("visits", "clicks", "orders"))
        assert Decimal(one["revenues"]["EUR"]) == revenue[name]
    orders = (await get(shopper, "/v1/orders?limit=200"))["orders"]
    channels = Counter(one["channel"] or "person" for one in orders)
    expected = {"bot" if name == "bot" else f"agent:{name}": counted[name, "orders"] for name in agents}
    assert channels == expected | {"person": people}
    shop = next(one for one in shopper.application.services.shops if one.shop_id == "demo")
    figures = await shopper.application.services.figures.of_shop(shop, 2)
    of_agents = counted["claude-user", "visits"] + counted["perplexity-user", "visits"]
    without = figures.without_id.lines
    assert [sum(filter(None, without[kind])) for kind in ("agents", "robots")] == [of_agents, counted["bot", "visits"]]
    assert 0 < sum(sum(filter(None, line)) for line in figures.visitors.lines.values()) <= counted["person", "visits"]
    calls = Counter(one["mode"] for one in (await get(shopper, "/v1/calls"))["calls"] if one["call"] == "log/click")
    assert calls["agent"] == counted["claude-user", "clicks"] + counted["perplexity-user", "clicks"]
    assert calls["bot"] == counted["bot", "clicks"]
    health = await get(shopper, "/v1/health/tracking")
    assert (health["without_visitor"], health["without_labels"]) == (0, 0)
