"""The sign-in and the sign-out."""

from dataclasses import dataclass
from urllib.parse import parse_qsl

from identity_service.errors import ServiceError, Unauthorized
from identity_service.model.shop import Caller
from identity_service.server.addresses import caller_source
from identity_service.web.admin.pages import SAFE, AdminCall, read_form, redirect
from identity_service.web.admin.sessions import NO_COOKIE, Sessions
from identity_service.web.auth import authenticate, check_poster
from identity_service.web.call import Reply, Services
from identity_service.web.pages import HTML, PageCall, render

WRONG = "This key is not known here. Sign in with one of the shop's private keys, or with a key that has the scope `admin`."


@dataclass(frozen=True, slots=True)
class SignIn:
    services: Services
    sessions: Sessions

    async def answer(self, call: PageCall) -> Reply:
        fault, status = None, 200
        if call.method == "POST":
            try:
                return await self._sign_in(call)
            except ServiceError as error:
                fault, status = WRONG if isinstance(error, Unauthorized) else error.detail or error.title, error.status
        expired = "expired" in dict(parse_qsl(call.query))
        return Reply(render("admin/signin.html", fault=fault, expired=expired), status, HTML, headers=SAFE)

    async def _sign_in(self, call: PageCall) -> Reply:
        """Pages of other origins are refused. The limit of calls of a client also limits how fast keys can be guessed. Raises Forbidden,
        RateLimited and Unauthorized."""
        check_poster(call.headers)
        source = caller_source(call.peer, call.headers, self.services.proxies)
        self.services.rates.client.count(source)
        form = await read_form(call, self.services.limits.body)
        now = int(self.services.clock())
        session = self.sessions.begin(self._authenticate(form.get("private_key", "").strip(), source), now)
        return redirect("overview", self.sessions.cookie(session, now))

    def _authenticate(self, key: str, source: str) -> Caller:
        """After too many wrong keys, a right key is refused for a while, too. This delays only a page, never an order. Raises RateLimited
        and Unauthorized."""
        limit, who = self.services.rates.wrong_keys, f"sign-in {source}"
        limit.count(who, 0)
        try:
            return authenticate(self.services.shops, key, self.services.clock())
        except Unauthorized:
            limit.count(who)
            raise


async def sign_out(asked: AdminCall) -> Reply:  # noqa: ARG001 the session is in the cookie only
    return redirect("signin", NO_COOKIE)
