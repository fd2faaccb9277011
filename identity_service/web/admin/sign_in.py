"""The sign-in, with a key or as somebody whom the staff's proxy signed in, and the sign-out."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from identity_service.errors import ServiceError, Unauthorized
from identity_service.model.shop import Caller
from identity_service.model.staff import StaffMember
from identity_service.server.addresses import caller_source
from identity_service.web.admin.pages import SAFE, AdminCall, read_form, redirect
from identity_service.web.admin.sessions import NO_COOKIE, Session, Sessions
from identity_service.web.auth import authenticate, check_poster
from identity_service.web.call import Reply, Services
from identity_service.web.pages import HTML, PageCall, render

WRONG = "This key is not known here. Sign in with one of the shop's private keys, or with a key that has the scope `admin`."


@dataclass(frozen=True, slots=True)
class SignIn:
    """Somebody whom the proxy signed in chooses a shop in a form, too. The cookie is not sent with a redirect from the proxy's own sign-in
    page, so a session that began without a form would not be found."""

    services: Services
    sessions: Sessions

    async def answer(self, call: PageCall) -> Reply:
        values: dict[str, Any] = {"fault": None, "expired": "expired" in dict(parse_qsl(call.query)), "member": None, "shops": []}
        status = 200
        try:
            member = self.sessions.member(call.headers, call.peer)
            if member:
                values |= {"member": member.name, "shops": [shop.shop_id for shop in self.sessions.shops_of(member)]}
            if call.method == "POST":
                return await self._sign_in(call, member)
        except ServiceError as error:
            values["fault"] = WRONG if isinstance(error, Unauthorized) else error.detail or error.title
            status = error.status
        return Reply(render("admin/signin.html", **values), status, HTML, headers=SAFE)

    async def _sign_in(self, call: PageCall, member: StaffMember | None) -> Reply:
        """Pages of other origins are refused. The limit of calls of a client also limits how fast keys can be guessed. A session that the
        browser has ends. Raises Forbidden, RateLimited, StoreUnavailable and Unauthorized."""
        check_poster(call.headers)
        source = caller_source(call.peer, call.headers, self.services.proxies)
        self.services.rates.client.count(source)
        form = await read_form(call, self.services.limits.body)
        now = int(self.services.clock())
        before = await self.sessions.find(call.headers, call.peer, now)
        session = await self._begin(form, source, member, now)
        if before:
            await self.sessions.end(before, before.session_id)
        return redirect("overview", self.sessions.cookie(session, now))

    async def _begin(self, form: dict[str, str], source: str, member: StaffMember | None, now: int) -> Session:
        if member and "shop" in form:
            return await self.sessions.begin_as(member, form["shop"], now)
        return await self.sessions.begin(self._authenticate(form.get("private_key", "").strip(), source), now)

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


@dataclass(frozen=True, slots=True)
class SignOut:
    """It ends the session in the store, so that copies of the cookie are worth nothing either."""

    sessions: Sessions

    async def __call__(self, asked: AdminCall) -> Reply:
        await self.sessions.end(asked.session, asked.session.session_id)
        where = asked.services.admin.staff.sign_out_address or "signin"
        return Reply(b"", 303, HTML, (NO_COOKIE,), [(b"location", where.encode())])
