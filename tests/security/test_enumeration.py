"""A storefront's answer never tells whether an email or a key is known: not by its bytes, and not by its time."""

import random
import statistics
import time
from collections.abc import Awaitable, Callable

import pytest

from identity_service.app import Application
from tests.security import LONG
from tests.security.asgi import AGENT, PAGE, Answer, bearer, call

pytestmark = pytest.mark.anyio
SAMPLES = 5_000 if LONG else 400
MOST_DIFFERENCE = (0.000_1, 0.01) if LONG else (0.000_5, 0.1)
"""Seconds, and part of the median: a difference above both would show. Wide where a busy machine runs few samples."""
KNOWN = 40
PUBLIC, PRIVATE, ORIGIN = bearer("demo-public-key"), bearer("demo-private-key"), (b"origin", PAGE.encode())
Ask = Callable[[int], Awaitable[Answer]]


async def compare(one: Ask, other: Ask) -> tuple[set[str], float, float]:
    """Both asked in turn, the first of each pair by chance. The different answers, the median difference and the median, in seconds."""
    chance, answers, differences, times = random.Random(3), set(), [], []
    for number in range(SAMPLES):
        taken = {}
        for ask in chance.sample([one, other], 2):
            began = time.perf_counter()
            answer = await ask(number)
            taken[ask] = time.perf_counter() - began
            answers.add(shown(answer))
        differences.append(taken[one] - taken[other])
        times.append(taken[other])
    return answers, abs(statistics.median(differences)), statistics.median(times)


def shown(answer: Answer) -> str:
    """All of it but what is random in every answer."""
    headers = [(name, "" if name == "x-request-id" else value) for name, value in answer.headers]
    body = answer.json | {"request_id": "", "visitor": "", "id": ""}
    return f"{answer.status} {headers} {body} {len(answer.body)}"


async def tokens(application: Application, count: int) -> list[str]:
    return [(await call(application, "POST", "/v1/visitors", PRIVATE, body={})).json["token"] for _ in range(count)]


def assert_alike(answers: set[str], difference: float, median: float, *, status: int = 200) -> None:
    assert [answer[:3] for answer in answers] == [str(status)], answers
    seconds, part = MOST_DIFFERENCE
    assert difference < seconds or difference < part * median, f"{difference * 1e6:.0f} µs of {median * 1e6:.0f} µs"


@pytest.mark.parametrize("path", ["/v1/links", "/v2/log/email"])
async def test_a_known_email_is_linked_as_an_unknown_one_is(application: Application, path: str) -> None:
    emails = [f"known{number:04}@example.com" for number in range(KNOWN)]
    for token, email in zip(await tokens(application, 2 * KNOWN), emails * 2, strict=True):
        await call(application, "POST", "/v1/links", PRIVATE, body={"email": email, "token": token})
    fresh = await tokens(application, 2 * SAMPLES)
    member = "token" if path.startswith("/v1") else "visitor"

    async def known(number: int) -> Answer:
        body = {"email": emails[number % KNOWN], member: fresh[2 * number]}
        return await call(application, "POST", path, PUBLIC, AGENT, ORIGIN, body=body)

    async def unknown(number: int) -> Answer:
        body = {"email": f"other{number:04}@example.com", member: fresh[2 * number + 1]}
        return await call(application, "POST", path, PUBLIC, AGENT, ORIGIN, body=body)

    assert_alike(*await compare(known, unknown))


async def test_a_wrong_key_is_refused_as_an_unknown_one_is(application: Application) -> None:
    async def wrong(_: int) -> Answer:
        return await call(application, "POST", "/v1/lookups", bearer("demo-private-kez"), body={"email": "a@example.com"})

    async def unknown(_: int) -> Answer:
        return await call(application, "POST", "/v1/lookups", bearer("zzzz-zzzzzzz-zzz"), body={"email": "a@example.com"})

    assert_alike(*await compare(wrong, unknown), status=401)


async def test_the_comparison_sees_a_difference(application: Application) -> None:
    async def slow(_: int) -> Answer:
        until = time.perf_counter() + 0.001
        while time.perf_counter() < until:
            pass
        return await call(application, "GET", "/healthz")

    async def quick(_: int) -> Answer:
        return await call(application, "GET", "/healthz")

    with pytest.raises(AssertionError, match="µs"):
        assert_alike(*await compare(slow, quick))
