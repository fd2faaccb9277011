"""Starting the demo over: what the demo shop holds of the browser that asks is erased, and its cookies are cleared.

A withdrawal also marks the ID that the browser's address and user agent give, which comes back to nobody before its window ends: in the
demo that would keep this browser, and every other one like it behind the same address, from being a new visitor again. So here, for this
one derived ID and after everything under it is gone, the mark is taken away. A persistent ID stays withdrawn, and its token dead. Neither
is anywhere but in the demo: the route exists where `server.demo` is set, which takes the development configuration, and answers the demo's
own pages about the demo's own shop.
"""

from msgspec.structs import replace

from identity_service.errors import Forbidden
from identity_service.web.call import Call, Reply
from identity_service.web.cookies import clear_refusals, clear_visitor
from identity_service.web.demo.pages import PUBLIC_KEY
from identity_service.web.demo.panel import device_visit
from identity_service.web.demo.payloads import StartedOver
from identity_service.web.origin import is_from_own_page


async def start_over(call: Call) -> Reply:
    demo = call.services.shops.find(PUBLIC_KEY)
    if call.private or demo is None or call.shop is not demo.shop or not is_from_own_page(call.headers):
        raise Forbidden("Start over from the demo shop's own pages, in the demo shop.")
    visit = device_visit(call)
    named = [token.visitor for token in call.services.visitors.verified(call.shop, visit.tokens)]
    known, _ = await call.services.visitors.preview(replace(visit, tokens=()))
    derived = None if known.cookieless.random else known.cookieless.visitor
    for visitor in dict.fromkeys([*named, *([derived] if derived else [])]):
        await call.services.rights.erase_visitor(call.shop, visitor)
    if derived:
        await call.services.store.removals.unmark(call.shop.shop_id, derived)
    cookie, sent = call.shop.cookie, call.headers.get("cookie", "")
    return Reply(StartedOver(), cookies=[clear_visitor(cookie), *clear_refusals(cookie, sent)])
