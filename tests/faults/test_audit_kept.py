"""What people do at the desk leaves its entry, whatever happens to the workers meanwhile."""

import asyncio
import re
from collections import Counter

import httpx2 as httpx

from identity_service.model.handle import Handles
from tests.faults.running import RunningService, kill

PEPPER = "development-only-pepper-of-the-demo-shops-00000001--"
AT_ONCE = 8
TOKEN = re.compile(r'name="form_token" value="([^"]+)"')
BEARER = {"authorization": "Bearer demo-private-key"}


def email(number: int) -> str:
    return f"person-{number}@asked.example"


def subject(number: int) -> str:
    handles = Handles(PEPPER)
    return handles.audit_subject("demo", handles.of_email("demo", email(number)).name)


async def signed_in(client: httpx.AsyncClient, url: str) -> tuple[dict[str, str], str]:
    """The headers of a session, and its forms' token."""
    answer = await client.post("/admin/signin", data={"private_key": "demo-private-key"}, headers={"origin": url})
    headers = {"origin": url, "cookie": answer.headers["set-cookie"].partition(";")[0]}
    return headers, TOKEN.findall((await client.get("/admin/overview", headers=headers)).text)[0]


async def act(client: httpx.AsyncClient, url: str, numbers: "asyncio.Queue[int]", done: list[int]) -> None:
    """Exports person after person, each until it is answered."""
    headers, token = await signed_in(client, url)
    while not numbers.empty():
        number = numbers.get_nowait()
        form = {"form_token": token, "email": email(number)}
        while True:
            try:
                answer = await client.post("/admin/export", data=form, headers=headers)
            except httpx.HTTPError:
                continue
            assert answer.status_code in {200, 503}, answer.text
            if answer.status_code == 200:
                break
        done.append(number)


async def acts_under_kills(service: RunningService, acts: int, every: int) -> int:
    """Returns how many workers were killed."""
    numbers: asyncio.Queue[int] = asyncio.Queue()
    for number in range(acts):
        numbers.put_nowait(number)
    done: list[int] = []
    killed = 0
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        people = [asyncio.ensure_future(act(client, service.url, numbers, done)) for _ in range(AT_ONCE)]
        while not all(one.done() for one in people):
            await asyncio.sleep(0.01)
            if len(done) >= (killed + 1) * every and len(done) < acts - every // 2 and len(service.workers) == 2:
                await asyncio.to_thread(kill, service.workers[0])
                killed += 1
        await asyncio.gather(*people)
    return killed


async def entries(service: RunningService) -> Counter[str | None]:
    """Exports by person."""
    found: Counter[str | None] = Counter()
    cursor: str | None = ""
    async with httpx.AsyncClient(base_url=service.url, headers=BEARER, timeout=60) as client:
        while cursor is not None:
            page = (await client.get("/v1/audit", params={"act": "export"} | ({"cursor": cursor} if cursor else {}))).json()
            found.update(one["subject"] for one in page["entries"])
            cursor = page["next"]
    return found


def test_every_act_of_a_person_has_its_entry_while_workers_are_killed(service: RunningService, long: bool) -> None:
    acts, every = (10_000, 500) if long else (300, 100)
    assert asyncio.run(acts_under_kills(service, acts, every)) >= 2
    found = asyncio.run(entries(service))
    assert found.keys() == {subject(number) for number in range(acts)}
    assert min(found.values()) >= 1  # a repeated act has two
