"""Starts the demo over: erases what the demo shop has stored about the calling browser, and clears its cookies.

A withdrawal also marks the ID that is derived from the browser's address and user agent. That ID is not issued again before its window
ends. So this browser, and similar browsers behind the same address, could not be a new visitor. This call erases everything under the
derived ID and then removes its mark. A persistent ID stays withdrawn, and its token stays invalid. The route exists only if `server.demo`
is set, which needs the development configuration. It accepts only calls of the demo's pages about the demo's shop.
"""

from msgspec.structs import replace

from identity_service.errors import Forbidden
from identity_service.web.auth import is_from_own_page
from identity_service.web.call import Call, Reply
from identity_service.web.cookies import clear_refusals, clear_visitor
from identity_service.web.demo.pages import PUBLIC_KEY
from identity_service.web.demo.panel import device_visit
from identity_service.web.demo.payloads import StartedOver


async def start_over(call: Call) -> Reply:
    demo = call.services.shops.find(PUBLIC_KEY)
    if call.private or demo is None or call.shop is not demo.shop or not is_from_own_page(call.headers):
        raise Forbidden("Start over from a page of the demo shop, with its public key.")
    visit = device_visit(call)
    named = [token.visitor for token in call.services.tokens.verified(call.shop, visit.tokens)]
    known, _ = await call.services.visitors.preview(replace(visit, tokens=()))
    derived = None if known.cookieless.random else known.cookieless.visitor
    for visitor in dict.fromkeys([*named, *([derived] if derived else [])]):
        await call.services.rights.erase_visitor(call.shop, visitor, None)
    if derived:
        await call.services.store.removals.unmark(call.shop.shop_id, derived)
    cookie, sent = call.shop.cookie, call.headers.get("cookie", "")
    return Reply(StartedOver(), cookies=[clear_visitor(cookie), *clear_refusals(cookie, sent)])
