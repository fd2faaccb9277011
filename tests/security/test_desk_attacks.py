"""Attacks on the admin pages that a browser carries out for a stranger: a planted session, a redirect to another site, and streams that
take everybody's place. Forged forms, headers, references and markup are in tests/contract."""

from contextlib import AsyncExitStack
from urllib.parse import urljoin, urlsplit

import pytest

from identity_service.app import Application
from identity_service.web.admin.sessions import COOKIE
from tests.conftest import Shopper
from tests.contract.desk import HOST, OWN, desk_of, log, streaming

pytestmark = pytest.mark.anyio
EVIL = "evil.example"
STREAMS = 25


async def test_a_planted_session_is_never_the_one_that_somebody_signs_in_to(application: Application) -> None:
    async with desk_of(application) as stranger, desk_of(application) as victim:
        await stranger.sign_in("other-private-key")
        planted = stranger.cookie
        victim.client.cookies.set(COOKIE, planted, domain=HOST, path="/")
        await victim.client.post("/admin/signin", data={"private_key": "demo-private-key"}, headers=OWN)
        assert victim.cookie != planted
        assert victim.cookie.split(":")[1].partition(".")[0] != planted.split(":")[1].partition(".")[0]
        assert (await stranger.client.get("/admin/overview")).status_code == 303, "what was planted ended"
        assert "demo" in (await victim.get("overview")).text


@pytest.mark.parametrize(
    "query", [f"{name}=https://{EVIL}" for name in ("next", "rd", "redirect", "ref", "shop")] + [f"//{EVIL}", "ref=a%0d%0ab"]
)
async def test_no_redirect_leads_to_another_site(application: Application, query: str) -> None:
    async with desk_of(application) as desk:
        told = {"x-forwarded-host": EVIL, "x-forwarded-proto": "gopher", "referer": f"https://{EVIL}/"}
        form = {"private_key": "demo-private-key", "next": f"https://{EVIL}", "shop": f"//{EVIL}"}
        answers = [
            await desk.client.get(path, headers=told) for path in (f"/admin?{query}", f"/admin/?{query}", f"/admin/overview?{query}")
        ]
        answers.append(await desk.client.post(f"/admin/signin?{query}", data=form, headers=OWN | told))
        await desk.sign_in()
        named = {"form_token": desk.token, "email": "luke@skywalker.com", "next": f"https://{EVIL}"}
        answers += [
            await desk.client.post(f"/admin/{page}?{query}", data=named, headers=OWN | told) for page in ("customers", "orders", "signout")
        ]
    for answer in answers:
        assert answer.status_code == 303
        leads = urlsplit(urljoin(f"https://{HOST}/admin/x", answer.headers["location"]))
        assert (leads.scheme, leads.netloc) == ("https", HOST)
        assert leads.path.startswith("/admin/")


async def test_streams_of_one_shop_leave_room_for_another_shops_calls_and_streams(application: Application, shopper: Shopper) -> None:
    async with AsyncExitStack() as held:

        async def opened(cookie: str) -> int:
            seen, _ = await held.enter_async_context(streaming(application, cookie))
            await seen.until_answered()
            return seen.status

        desks = [await held.enter_async_context(desk_of(application)) for _ in range(8)]
        for desk in desks[:7]:
            await desk.sign_in()
        asked = [await opened(desks[number % 7].cookie) for number in range(STREAMS)]
        assert sorted(asked) == [200] * 8 + [429] * (STREAMS - 8)
        await desks[7].sign_in("other-private-key")
        assert await opened(desks[7].cookie) == 200
        await log(shopper, "click", key="other-public-key", product=1, visitor="one")
        await desks[7].get("logs")
