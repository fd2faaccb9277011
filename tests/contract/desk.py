"""The admin pages as somebody at a desk uses them: signed in with a key, reading pages and sending their forms."""

import asyncio
import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2 as httpx

from identity_service.app import Application
from identity_service.web.admin.sessions import COOKIE
from tests.conftest import Shopper

HOST = "service.test"
OWN = {"origin": f"https://{HOST}"}
TOKEN = re.compile(r'name="form_token" value="([^"]+)"')
TAG = re.compile(r"<[^>]*>")


def text_of(answer: httpx.Response) -> str:
    """What a page says, with single spaces."""
    return " ".join(html.unescape(TAG.sub(" ", answer.text)).split())


class Desk:
    """Forms carry this session's token and this site's origin unless a test says otherwise."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.token = ""

    @property
    def cookie(self) -> str:
        found = self.client.cookies.get(COOKIE)
        assert found
        return found

    async def sign_in(self, key: str = "demo-private-key", **headers: str) -> httpx.Response:
        answer = await self.client.post("/admin/signin", data={"private_key": key}, headers=headers or OWN)
        if answer.status_code == 303:
            self.token = TOKEN.findall((await self.get("keys")).text)[0]
        return answer

    async def get(self, page: str, status: int = 200, **headers: str) -> httpx.Response:
        answer = await self.client.get(f"/admin/{page}", headers=headers)
        assert answer.status_code == status, answer.text
        return answer

    async def post(self, page: str, status: int = 200, headers: dict[str, str] | None = None, /, **form: str) -> httpx.Response:
        """A form whose result has an address of its own leads there."""
        answer = await self.client.post(f"/admin/{page}", data={"form_token": self.token} | form, headers=OWN | (headers or {}))
        if status != 303 and answer.status_code == 303:
            return await self.get(answer.headers["location"], status)
        assert answer.status_code == status, answer.text
        return answer


@asynccontextmanager
async def desk_of(application: Application) -> AsyncIterator[Desk]:
    transport = httpx.ASGITransport(application, client=("203.0.113.7", 4711))
    async with httpx.AsyncClient(transport=transport, base_url=f"https://{HOST}") as client:
        yield Desk(client)


async def filled(shopper: Shopper) -> str:
    """A shop with something on every page; returns its persistent visitor."""
    granted = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    visitor: str = granted["visitor"]
    await log(shopper, "click", product=5, visitor=visitor, labels=["Homepage - Trending"])
    await log(shopper, "search", query="red shoes", visitor=visitor)
    await log(
        shopper, "sale", sale="S-1", products=[{"id": 5, "price": 2.5, "quantity": 3}], visitor=granted["token"], email="luke@skywalker.com"
    )
    await log(shopper, "sale", sale="S-2", products=[{"id": "blue-6", "price": 10}], email="leia@organa.com")
    await shopper.post("/v2/log/sale", {"sale": "S-3", "products": "?"}, key="demo-public-key")
    return visitor


async def log(shopper: Shopper, call: str, key: str = "demo-public-key", **body: Any) -> None:
    answer = await shopper.post(f"/v2/log/{call}", body, key=key)
    assert answer.json() == {"status": "ok"}


class Stream:
    """The event stream, called without a client between: what was sent is read as it comes."""

    def __init__(self) -> None:
        self._came: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.leaves = asyncio.Event()
        self.status = 0
        self.text = ""

    async def receive(self) -> dict[str, Any]:
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self._came.put_nowait(message)

    async def until_answered(self) -> None:
        async with asyncio.timeout(10):
            self.status = (await self._came.get())["status"]

    async def until(self, text: str) -> str:
        """Everything sent so far, once `text` is among it."""
        async with asyncio.timeout(10):
            while text not in self.text:
                message = await self._came.get()
                self.status = message.get("status", self.status)
                self.text += message.get("body", b"").decode()
        return self.text


@asynccontextmanager
async def streaming(
    application: Application, cookie: str, query: str = "", last: str = ""
) -> AsyncIterator[tuple[Stream, "asyncio.Task[None]"]]:
    stream = Stream()
    headers = [(b"host", HOST.encode()), (b"cookie", f"{COOKIE}={cookie}".encode()), (b"accept", b"text/event-stream")]
    headers += [(b"last-event-id", last.encode())] if last else []
    scope = {"type": "http", "method": "GET", "path": "/admin/logs/stream", "raw_path": b"/admin/logs/stream", "http_version": "1.1"}
    scope |= {"headers": headers, "query_string": query.encode(), "client": ("203.0.113.7", 4711)}
    task = asyncio.create_task(application(scope, stream.receive, stream.send))
    try:
        yield stream, task
    finally:
        stream.leaves.set()
        await asyncio.wait_for(task, 10)
