"""A storefront's answer never tells whether an email or a key is known: not by its bytes, and not by its time."""

import random
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from identity_service.app import Application
from tests.security.asgi import AGENT, PAGE, Answer, bearer, call

pytestmark = pytest.mark.anyio
KNOWN = 40
PUBLIC, PRIVATE, ORIGIN = bearer("demo-public-key"), bearer("demo-private-key"), (b"origin", PAGE.encode())
Ask = Callable[[int], Awaitable[Answer]]


@dataclass(frozen=True)
class Precision:
    """A median difference above both `seconds` and `part` of the median would show. Wide where a busy machine runs few samples."""

    samples: int
    seconds: float
    part: float


@pytest.fixture(scope="session")
def precision(long: bool) -> Precision:
    return Precision(5_000, 0.000_1, 0.01) if long else Precision(400, 0.000_5, 0.1)


async def assert_alike(one: Ask, other: Ask, precision: Precision, *, status: int = 200) -> None:
    """Both are asked in turn, the first of each pair by chance."""
    chance, answers, differences, times = random.Random(3), set(), [], []
    for number in range(precision.samples):
        taken = {}
        for ask in chance.sample([one, other], 2):
            began = time.perf_counter()
            answer = await ask(number)
            taken[ask] = time.perf_counter() - began
            answers.add(shown(answer))
        differences.append(taken[one] - taken[other])
        times.append(taken[other])
    difference, median = abs(statistics.median(differences)), statistics.median(times)
    assert [answer[:3] for answer in answers] == [str(status)], answers
    assert difference < precision.seconds or difference < precision.part * median, f"{difference * 1e6:.0f} µs of {median * 1e6:.0f} µs"


def shown(answer: Answer) -> str:
    """All of it but what is random in every answer."""
    headers = [(name, "" if name == "x-request-id" else value) for name, value in answer.headers]
    body = answer.json | {"request_id": "", "visitor": "", "id": ""}
    return f"{answer.status} {headers} {body} {len(answer.body)}"


async def tokens(application: Application, count: int) -> list[str]:
    return [(await call(application, "POST", "/v1/visitors", PRIVATE, body={})).json["token"] for _ in range(count)]


@pytest.mark.parametrize("path", ["/v1/links", "/v2/log/email"])
async def test_a_known_email_is_linked_as_an_unknown_one_is(application: Application, path: str, precision: Precision) -> None:
    emails = [f"known{number:04}@example.com" for number in range(KNOWN)]
    for token, email in zip(await tokens(application, 2 * KNOWN), emails * 2, strict=True):
        await call(application, "POST", "/v1/links", PRIVATE, body={"email": email, "token": token})
    fresh = await tokens(application, 2 * precision.samples)
    member = "token" if path.startswith("/v1") else "visitor"

    async def known(number: int) -> Answer:
        body = {"email": emails[number % KNOWN], member: fresh[2 * number]}
        return await call(application, "POST", path, PUBLIC, AGENT, ORIGIN, body=body)

    async def unknown(number: int) -> Answer:
        body = {"email": f"other{number:04}@example.com", member: fresh[2 * number + 1]}
        return await call(application, "POST", path, PUBLIC, AGENT, ORIGIN, body=body)

    await assert_alike(known, unknown, precision)


async def test_a_wrong_key_is_refused_as_an_unknown_one_is(application: Application, precision: Precision) -> None:
    async def wrong(_: int) -> Answer:
        return await call(application, "POST", "/v1/lookups", bearer("demo-private-kez"), body={"email": "a@example.com"})

    async def unknown(_: int) -> Answer:
        return await call(application, "POST", "/v1/lookups", bearer("zzzz-zzzzzzz-zzz"), body={"email": "a@example.com"})

    await assert_alike(wrong, unknown, precision, status=401)


async def test_the_comparison_sees_a_difference(application: Application, precision: Precision) -> None:
    async def slow(_: int) -> Answer:
        until = time.perf_counter() + 0.001
        while time.perf_counter() < until:
            pass
        return await call(application, "GET", "/healthz")

    async def quick(_: int) -> Answer:
        return await call(application, "GET", "/healthz")

    with pytest.raises(AssertionError, match="µs"):
        await assert_alike(slow, quick, precision)
