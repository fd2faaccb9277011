"""An admin page: session, form, handler, HTML.

Pages call the handlers of the HTTP calls with the rights of a private key. So a page and a call always show the same.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from identity_service.errors import Forbidden, Invalid, Malformed, ServiceError
from identity_service.model.consent import millis_of
from identity_service.model.shop import Shop
from identity_service.model.staff import Role
from identity_service.web.admin.sessions import NO_COOKIE, RENEWED_AFTER, Session, Sessions, check_form
from identity_service.web.auth import check_poster, check_reader
from identity_service.web.bodies import error_text
from identity_service.web.call import Call, Reply, Services
from identity_service.web.pages import HTML, PAGE_HEADERS, PageCall, render

FORM = "application/x-www-form-urlencoded"
SAFE = (
    *PAGE_HEADERS,
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"vary", b"Cookie, HX-Request"),
)
ROWS_A_PAGE = 100
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AdminCall:
    """One request for a page. `form`: the posted form, None for a GET. `request_id`: as in the answer and the log."""

    services: Services
    session: Session
    query: Mapping[str, str]
    form: Mapping[str, str] | None
    request_id: str = ""

    @property
    def shop(self) -> Shop:
        return self.session.shop

    def call(self, body: Any = None, *, query: Mapping[str, str] | None = None, parameters: Mapping[str, str] | None = None) -> Call:
        """The HTTP call that answers the same question, as made with a private key."""
        now = millis_of(self.services.clock())
        return Call(
            services=self.services,
            now=now,
            shop=self.shop,
            private=True,
            device=False,
            address=None,
            region=None,
            headers={},
            query=query or {},
            parameters=parameters or {},
            members={},
            body=body,
            key=self.session.limited_as,
            request_id=self.request_id,
            actor=self.session.actor,
        )

    def cursor(self, usual: int) -> int:
        text = (self.query if self.form is None else self.form).get("cursor", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else usual

    def rows(self, most: int = ROWS_A_PAGE) -> slice:
        """Which rows of a long list the page shows: those at the cursor."""
        start = self.cursor(0)
        return slice(start, start + most)

    def part(self, found: Sequence[T]) -> tuple[Sequence[T], int | None]:
        """The part of a long list at the cursor, and the next cursor."""
        rows = self.rows()
        return found[rows], next_cursor(rows, len(found))

    def body(self, wanted: type[T], *names: str) -> T:
        """A body from the form's non-empty fields. Raises Invalid."""
        filled = {name: self.form[name].strip() for name in names if self.form and self.form.get(name, "").strip()}
        return convert(filled, wanted)


def next_cursor(rows: slice, count: int) -> int | None:
    """None if there are no rows after these."""
    end: int = rows.stop
    return end if count > end else None


def convert(members: object, wanted: type[T]) -> T:
    try:
        return msgspec.convert(members, wanted)
    except msgspec.ValidationError as error:
        raise Invalid(error_text(str(error))) from None


@dataclass(frozen=True, slots=True)
class View:
    """The content of a page: a template and its values. `large`: it is rendered in a thread, so that other calls do not wait for it."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    headers: Sequence[tuple[bytes, bytes]] = ()
    large: bool = False


AdminHandler = Callable[[AdminCall], Awaitable[View | Reply]]


@dataclass(frozen=True, slots=True)
class AdminPage:
    """`name`: its entry in the menu. `seen_by`: the roles that it is for. `menu`: the pages for somebody's roles. Redirects to the sign-in
    if there is no session."""

    services: Services
    sessions: Sessions
    name: str
    seen_by: frozenset[Role]
    menu: Callable[[frozenset[Role]], Sequence[str]]
    handler: AdminHandler

    async def answer(self, call: PageCall) -> Reply:
        now = int(self.services.clock())
        (check_poster if call.method == "POST" else check_reader)(call.headers)
        session: Session | None = None
        try:
            session = await self.sessions.find(call.headers, call.peer, now)
            if session is None:
                return _redirect_to_sign_in(call.headers)
            if not session.roles & self.seen_by:
                raise Forbidden("Your role does not include this page. Ask an owner of the shop.")
            shown = await self.handler(await self._admin_call(call, session))
        except ServiceError as error:
            shown = _fault_view(error)
        reply = shown if isinstance(shown, Reply) else await self._page(shown, session)
        cookies = list(reply.cookies)
        if session and not cookies and now - session.signed_at >= RENEWED_AFTER:
            cookies = [self.sessions.cookie(session, now)]
        return Reply(reply.body, reply.status, reply.media, cookies, [*SAFE, *reply.headers])

    async def _admin_call(self, call: PageCall, session: Session) -> AdminCall:
        form = await read_form(call, self.services.limits.body) if call.method == "POST" else None
        if form is not None:
            check_form(session, form)
        return AdminCall(self.services, session, dict(parse_qsl(call.query)), form, call.request_id)

    async def _page(self, shown: View, session: Session | None) -> Reply:
        """`session`: None if it could not be read."""
        frame: dict[str, Any] = {"menu": [], "page": self.name, "shop": "", "session": session}
        if session:
            frame |= {"menu": self.menu(session.roles), "shop": session.shop.shop_id, "form_token": session.stored.form_token}
        values = {**frame, **shown.values}
        page = await asyncio.to_thread(render, shown.template, **values) if shown.large else render(shown.template, **values)
        return Reply(page, shown.status, HTML, headers=shown.headers)


def _fault_view(error: ServiceError) -> View:
    headers = [(b"retry-after", str(error.retry_after).encode())] if error.retry_after else []
    return View("admin/fault.html", {"fault": error.detail or error.title, "title": error.title}, error.status, headers)


async def read_form(call: PageCall, most: int) -> dict[str, str]:
    """Raises Malformed for anything but a form in UTF-8."""
    raw = await call.read(most)
    if call.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise Malformed("Send a form: this page accepts application/x-www-form-urlencoded only.")
    try:
        return dict(parse_qsl(raw.decode(), keep_blank_values=True, errors="strict"))
    except (UnicodeDecodeError, ValueError):
        raise Malformed("Send the form in UTF-8.") from None


def saved_as(file: str) -> tuple[bytes, bytes]:
    """The header with which a browser saves an answer as a file of that name."""
    return b"content-disposition", f'attachment; filename="{file}"'.encode()


def redirect(where: str, *cookies: str) -> Reply:
    """`where`: relative, so that it works under any path of a proxy."""
    return Reply(b"", 303, HTML, cookies, [*SAFE, (b"location", where.encode())])


def _redirect_to_sign_in(headers: Mapping[str, str]) -> Reply:
    """Redirects to the sign-in. A script that requests part of a page gets 401 and a header that makes it load the sign-in page."""
    if "hx-request" in headers or headers.get("accept") == "text/event-stream":
        return Reply(b"", 401, HTML, (NO_COOKIE,), [*SAFE, (b"hx-redirect", b"signin?expired=1")])
    return redirect("signin?expired=1" if "__Host-admin=" in headers.get("cookie", "") else "signin", NO_COOKIE)
