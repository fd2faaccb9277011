"""Health, metrics, the description of the API, and its documentation page. None of them needs a key."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec
from starlette.types import Receive, Scope, Send

from identity_service.errors import StoreRefused, StoreUnavailable
from identity_service.model.shop import ShopId
from identity_service.server.metrics import exposition, tell_store
from identity_service.store import Store
from identity_service.store.examination import examine_servers
from identity_service.store.redis.client import Client
from identity_service.web.calls.payloads import HealthAnswer
from identity_service.web.endpoint import Reply, send_reply

OK = HealthAnswer("ok")


@dataclass(frozen=True, slots=True)
class Page:
    """An answer without key or body."""

    answer: Callable[[], Awaitable[Reply]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 an ASGI application
        await send_reply(send, await self.answer())


async def alive() -> Reply:
    return Reply(OK)


def ready(store: Store, shops: Sequence[ShopId]) -> Callable[[], Awaitable[Reply]]:
    """Answers 503 while no shop can be written, or the store is one that loses links; and once it is refused, with the reason. While some
    shops can be, it says which cannot."""

    async def answer() -> Reply:
        asked = (store.away(shops), store.check_marks(), examine_servers(store.client))
        away, marks, faults = await asyncio.gather(*asked, return_exceptions=True)
        if isinstance(away, BaseException):
            raise away
        for failure in (marks, faults):
            if isinstance(failure, BaseException) and (len(away) == len(shops) or not _is_away(failure)):
                raise failure
        if (faults and not isinstance(faults, BaseException)) or (away and len(away) == len(shops)):
            raise StoreUnavailable("The store is not fit for use; `identity-service check --store` says why.")
        return Reply(HealthAnswer("ok", list(away)) if away else OK)

    return answer


def _is_away(failure: BaseException) -> bool:
    return isinstance(failure, StoreUnavailable) and not isinstance(failure, StoreRefused)


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
