"""Every address of the admin pages."""

from identity_service.web.admin import people, shop
from identity_service.web.admin.pages import AdminPage, PageHandler
from identity_service.web.admin.sessions import Sessions
from identity_service.web.admin.sign_in import Lead, SignIn, sign_out
from identity_service.web.admin.stream import LogStream
from identity_service.web.call import Services
from identity_service.web.pages import STATIC, AssetPage
from identity_service.web.routing import Named

READ: dict[str, PageHandler] = {
    "overview": shop.overview,
    "customers": people.customers,
    "visitors": people.visitors,
    "orders": shop.orders,
    "products": shop.products,
    "logs": shop.logs,
    "health": shop.health,
    "consent": people.consent,
    "keys": shop.keys,
}
POSTED: dict[str, PageHandler] = {
    "customers": people.customers,
    "visitors": people.visitors,
    "consent": people.consent,
    "export": people.export,
    "erasure": people.erasure,
    "signout": sign_out,
}
VENDORED = ("htmx.min.js", "htmx-sse.min.js", "pico.min.css", "uplot.min.css", "uplot.min.js")
IN_MENU = {"export": "customers", "erasure": "customers", "signout": "overview"}


def admin_routes(services: Services) -> list[Named]:
    sessions = Sessions(services.shops, services.signing)
    routes = [Named("/admin", Lead("admin/overview"), methods=["GET"]), Named("/admin/", Lead("overview"), methods=["GET"])]
    routes.append(Named("/admin/signin", SignIn(services, sessions), methods=["GET", "POST"]))
    routes.append(Named("/admin/logs/stream", LogStream(services, sessions), methods=["GET"]))
    for method, pages in (("GET", READ), ("POST", POSTED)):
        for name, handler in pages.items():
            page = AdminPage(services, sessions, IN_MENU.get(name, name), handler)
            routes.append(Named(f"/admin/{name}", page, methods=[method]))
    files = [*(STATIC / "admin").iterdir(), *(STATIC / "vendor" / name for name in VENDORED)]
    return routes + [Named(f"/admin/static/{path.name}", AssetPage(path), methods=["GET"]) for path in files]
