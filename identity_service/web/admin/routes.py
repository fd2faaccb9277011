"""The routes of the admin pages."""

from identity_service.web.admin import people, shop
from identity_service.web.admin.pages import SAFE, AdminHandler, AdminPage
from identity_service.web.admin.sessions import Sessions
from identity_service.web.admin.sign_in import SignIn, sign_out
from identity_service.web.admin.stream import LogStream
from identity_service.web.call import Services
from identity_service.web.pages import STATIC, Page, file_page, redirect_page
from identity_service.web.routing import NamedRoute

READ: dict[str, AdminHandler] = {
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
POSTED: dict[str, AdminHandler] = {
    "customers": people.customers,
    "visitors": people.visitors,
    "consent": people.consent,
    "export": people.export,
    "erasure": people.erasure,
    "signout": sign_out,
}
VENDORED = ("htmx.min.js", "htmx-sse.min.js", "pico.min.css", "uplot.min.css", "uplot.min.js")
IN_MENU = {"export": "customers", "erasure": "customers", "signout": "overview"}


def admin_routes(services: Services) -> list[NamedRoute]:
    sessions = Sessions(services.shops, services.signing)
    routes = [
        NamedRoute("/admin", redirect_page("admin/overview", SAFE), methods=["GET"]),
        NamedRoute("/admin/", redirect_page("overview", SAFE), methods=["GET"]),
    ]
    routes.append(NamedRoute("/admin/signin", Page(SignIn(services, sessions).answer), methods=["GET", "POST"]))
    routes.append(NamedRoute("/admin/logs/stream", LogStream(services, sessions), methods=["GET"]))
    for method, pages in (("GET", READ), ("POST", POSTED)):
        for name, handler in pages.items():
            page = AdminPage(services, sessions, IN_MENU.get(name, name), handler)
            routes.append(NamedRoute(f"/admin/{name}", Page(page.answer), methods=[method]))
    files = [*(STATIC / "admin").iterdir(), *(STATIC / "vendor" / name for name in VENDORED)]
    return routes + [NamedRoute(f"/admin/static/{path.name}", file_page(path), methods=["GET"]) for path in files]
