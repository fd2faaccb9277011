"""Signing in and out."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from identity_service.errors import ServiceError, Unauthorized
from identity_service.model.shop import Caller
from identity_service.server.addresses import caller_source
from identity_service.web.admin.pages import SAFE, Asked, read_form, redirect
from identity_service.web.admin.sessions import NO_COOKIE, Sessions
from identity_service.web.auth import authenticate
from identity_service.web.call import Reply, Services, send_reply
from identity_service.web.origin import check_poster
from identity_service.web.pages import HTML, rendered

WRONG = "This key is not known here. Private keys are those of the shop's private_keys in the settings."


@dataclass(frozen=True, slots=True)
class SignIn:
    services: Services
    sessions: Sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, fault, status = scope["state"]["headers"], None, 200
        if scope["method"] == "POST":
            try:
                await send_reply(send, await self._entered(scope, headers, receive))
                return
            except ServiceError as error:
                fault, status = WRONG if isinstance(error, Unauthorized) else error.detail or error.title, error.status
        expired = "expired" in dict(parse_qsl(scope["query_string"].decode("latin-1")))
        await send_reply(send, Reply(rendered("admin/signin.html", fault=fault, expired=expired), status, HTML, headers=SAFE))

    async def _entered(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> Reply:
        """A page that somebody else made must not sign anybody in, nor try keys faster than a client may call."""
        check_poster(headers)
        if self.services.client_limit:
            self.services.client_limit.count(caller_source(scope, self.services.proxies))
        form = await read_form(headers, receive, self.services.limits.body)
        now = int(self.services.clock())
        session = self.sessions.begin(self._authenticated(form.get("private_key", "").strip(), scope), now)
        return redirect("overview", self.sessions.cookie(session, now))

    def _authenticated(self, key: str, scope: Scope) -> Caller:
        """After too many wrong keys a right one is refused, too: nothing but a page is lost meanwhile."""
        limit, who = self.services.wrong_keys, f"sign-in {caller_source(scope, self.services.proxies)}"
        if limit:
            limit.count(who, 0)
        try:
            return authenticate(self.services.shops, key)
        except Unauthorized:
            if limit:
                limit.count(who)
            raise


async def sign_out(asked: Asked) -> Reply:  # noqa: ARG001 the session is left, whosever it is
    return redirect("signin", NO_COOKIE)


@dataclass(frozen=True, slots=True)
class Lead:
    """To the first page, relative to where it was asked for."""

    where: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 an ASGI application
        await send_reply(send, redirect(self.where))
