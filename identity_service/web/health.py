"""Health, metrics, the description of the API, and its documentation page. None of them needs a key."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec
from starlette.types import Receive, Scope, Send

from identity_service.errors import StoreUnavailable
from identity_service.metrics import exposition, tell_store
from identity_service.store import Store
from identity_service.store.client import Client
from identity_service.store.examination import examine
from identity_service.web.endpoints import Reply, send_reply
from identity_service.web.payloads import HealthAnswer

OK = HealthAnswer("ok")


@dataclass(frozen=True, slots=True)
class Page:
    """An answer without key or body."""

    answer: Callable[[], Awaitable[Reply]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 an ASGI application
        await send_reply(send, await self.answer())


async def alive() -> Reply:
    return Reply(OK)


def ready(store: Store) -> Callable[[], Awaitable[Reply]]:
    """Answers 503 while the store is away, cannot be written, or is one that loses links; and once it is refused, with the reason."""

    async def answer() -> Reply:
        await store.check_marks()
        if await examine(store.client):
            raise StoreUnavailable("The store is not fit for use; `identity-service check --store` says why.")
        return Reply(OK)

    return answer


def scrape(client: Client) -> Callable[[], Awaitable[Reply]]:
    async def answer() -> Reply:
        tell_store(client.open, bool(client.refused))
        return Reply(exposition(), media="text/plain; version=0.0.4; charset=utf-8")

    return answer


def fixed(body: object, media: str = "application/json", headers: Sequence[tuple[bytes, bytes]] = ()) -> Callable[[], Awaitable[Reply]]:
    encoded = body if isinstance(body, bytes) else msgspec.json.encode(body)

    async def answer() -> Reply:
        return Reply(encoded, media=media, headers=headers)

    return answer
