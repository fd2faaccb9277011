"""The log of tracking calls as server-sent events. Each new entry is sent as a row of the page.

When a stream ends, the browser reconnects and sends the last ID that it received
(https://html.spec.whatwg.org/multipage/server-sent-events.html). The ID is the position in the log up to which it has seen entries. The
page sends its first position as `after`.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Receive, Scope, Send

from identity_service.errors import ServiceError
from identity_service.model.shop import ShopId
from identity_service.model.staff import Role
from identity_service.web.admin.pages import SAFE, AdminCall
from identity_service.web.admin.sessions import Session, Sessions
from identity_service.web.admin.shop import log_entries, log_filter, matching, position_of
from identity_service.web.auth import check_reader
from identity_service.web.call import Reply, Services
from identity_service.web.endpoint import peer_of, send_reply
from identity_service.web.pages import render

Entry = dict[str, Any]
EVERY = 1.0
LONGEST, LONGEST_OF_A_MEMBER = 300, 30
"""EVERY: seconds between two reads of the log. LONGEST: seconds after which a stream ends. OF_A_MEMBER: for somebody whom the proxy signed
in, since only a new request has the groups of now."""
MOST_OF_A_SESSION, MOST_OF_A_SHOP, MOST_OF_A_WORKER = 4, 8, 32
"""The maximum of open streams. All streams of a shop share one read of its log, so that they do not slow other shops' calls."""


@dataclass(frozen=True, slots=True)
class LogStream:
    services: Services
    sessions: Sessions
    seen_by: frozenset[Role]
    readers: Counter[ShopId] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    logs: dict[ShopId, tuple[float, "asyncio.Future[list[Entry]]"]] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope["state"]["headers"]
        check_reader(headers)
        session = await self.sessions.find(headers, peer_of(scope), int(self.services.clock()))
        if session is None or not session.roles & self.seen_by:
            await send_reply(send, Reply(b"", 401, "text/plain", headers=SAFE))
            return
        shop, its = session.shop.shop_id, session.session_id
        full = self.readers[shop] >= MOST_OF_A_SHOP or self.readers.total() >= MOST_OF_A_WORKER
        if full or self.held[its] >= MOST_OF_A_SESSION:
            await send_reply(send, Reply(b"", 429, "text/plain", headers=[*SAFE, (b"retry-after", b"%d" % LONGEST)]))
            return
        self.readers[shop] += 1
        self.held[its] += 1
        try:
            await self._stream(scope, receive, send, session)
        finally:
            self.held[its] -= 1
            if not self.held[its]:
                del self.held[its]
            self.readers[shop] -= 1
            if not self.readers[shop]:
                del self.readers[shop]
                self.logs.pop(shop, None)

    async def _stream(self, scope: Scope, receive: Receive, send: Send, session: Session) -> None:
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no"), *SAFE]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        place = scope["state"]["headers"].get("last-event-id") or query.get("after", "")
        asked = AdminCall(self.services, session, query, None)
        ends = [
            asyncio.ensure_future(one)
            for one in (self._write(asked, place, send), _wait_for_disconnect(receive), self.services.stopping.wait())
        ]
        longest = LONGEST if session.stored.key else LONGEST_OF_A_MEMBER
        await asyncio.wait(ends, timeout=longest, return_when=asyncio.FIRST_COMPLETED)
        for task in ends:
            task.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
        await send({"type": "http.response.body", "body": b""})

    async def _write(self, asked: AdminCall, place: str, send: Send) -> None:
        known: Sequence[Entry] | None = None
        while True:
            await send({"type": "http.response.body", "body": b": still here\n\n", "more_body": True})
            with contextlib.suppress(ServiceError):  # the stream stays open while the store is down
                found = matching(await self._log(asked), log_filter(asked.query))
                events = [_event(entry) for entry in reversed(newer(found, up_to(found, place) if known is None else known))]
                if events or known is None:
                    events.append(f"id: {position_of(found)}\n\n".encode())
                    await send({"type": "http.response.body", "body": b"".join(events), "more_body": True})
                known = found
                if not await self._is_living(asked):
                    return
            await asyncio.sleep(EVERY)

    async def _is_living(self, asked: AdminCall) -> bool:
        now, session = int(self.services.clock()), asked.session
        return await self.services.store.sessions.find(session.shop.shop_id, session.session_id, now) is not None

    async def _log(self, asked: AdminCall) -> list[Entry]:
        """The log of the shop, read once for all its streams. Raises StoreUnavailable."""
        now, shop = asyncio.get_running_loop().time(), asked.shop.shop_id
        read = self.logs.get(shop)
        if read is None or now - read[0] >= EVERY:
            read = self.logs[shop] = now, asyncio.ensure_future(log_entries(asked, {}))
            read[1].add_done_callback(_mark_seen)
        return await asyncio.shield(read[1])  # a stream that ends must not cancel the read of the others


def _mark_seen(reading: "asyncio.Future[list[Entry]]") -> None:
    """Marks the exception as handled: all streams that wait for it may have ended."""
    if not reading.cancelled():
        reading.exception()


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def newer(found: Sequence[Entry], known: Sequence[Entry]) -> Sequence[Entry]:
    """Entries that are not in `known`, newest first. Entries have no IDs and may be equal within a second, so equal entries are
    counted."""
    left = Counter(map(msgspec.json.encode, known))
    news = []
    for entry in reversed(found):
        text = msgspec.json.encode(entry)
        left[text] -= 1
        if left[text] < 0:
            news.append(entry)
    return news[::-1]


def up_to(found: Sequence[Entry], place: str) -> Sequence[Entry]:
    """The entries that a reader at position `place` has seen. All of them for an invalid position."""
    time, _, number = place.rpartition(" ")
    if not (number.isascii() and number.isdigit() and len(number) < 9):
        return found
    alike = [entry for entry in found if entry["time"] == time]
    return alike[max(len(alike) - int(number), 0) :] + [entry for entry in found if entry["time"] < time]


def _event(entry: Entry) -> bytes:
    row = render("admin/log_rows.html", entries=[entry]).decode()
    return "".join(["event: entry\n", *(f"data: {line}\n" for line in row.splitlines()), "\n"]).encode()
