"""The routes of the admin pages."""

from identity_service.web.admin import orders, people, rights, shop
from identity_service.web.admin.pages import SAFE, AdminHandler, AdminPage
from identity_service.web.admin.sessions import Sessions
from identity_service.web.admin.sign_in import SignIn, sign_out
from identity_service.web.admin.stream import LogStream
from identity_service.web.call import Services
from identity_service.web.pages import DESIGN, STATIC, Page, file_page, redirect_page
from identity_service.web.routing import NamedRoute

READ: dict[str, AdminHandler] = {
    "overview": shop.overview,
    "customers": people.customers,
    "visitors": people.visitors,
    "orders": orders.orders,
    "products": shop.products,
    "rights": rights.rights,
    "consent": people.consent,
    "logs": shop.logs,
    "health": shop.health,
    "keys": shop.keys,
}
"""Pages of the menu."""
INNER: dict[str, AdminHandler] = {"activity": people.activity, "certificate": rights.certificate}
"""Pages and parts of pages to which others lead."""
POSTED: dict[str, AdminHandler] = {
    "customers": people.customers,
    "visitors": people.visitors,
    "orders": orders.orders,
    "rights": rights.rights,
    "consent": people.consent,
    "export": rights.export,
    "erasure": rights.erasure,
    "signout": sign_out,
}
VENDORED = ("htmx.min.js", "htmx-sse.min.js", "pico.min.css", "uplot.min.css", "uplot.min.js")
IN_MENU = {"export": "rights", "erasure": "rights", "certificate": "rights", "activity": "visitors", "signout": "overview"}


def admin_routes(services: Services) -> list[NamedRoute]:
    sessions = Sessions(services.shops, services.signing)
    routes = [
        NamedRoute("/admin", redirect_page("admin/overview", SAFE), methods=["GET"]),
        NamedRoute("/admin/", redirect_page("overview", SAFE), methods=["GET"]),
    ]
    routes.append(NamedRoute("/admin/signin", Page(SignIn(services, sessions).answer), methods=["GET", "POST"]))
    routes.append(NamedRoute("/admin/logs/stream", LogStream(services, sessions), methods=["GET"]))
    for method, pages in (("GET", READ), ("GET", INNER), ("POST", POSTED)):
        for name, handler in pages.items():
            page = AdminPage(services, sessions, IN_MENU.get(name, name), handler)
            routes.append(NamedRoute(f"/admin/{name}", Page(page.answer), methods=[method]))
    files = [DESIGN, *(STATIC / "admin").iterdir(), *(STATIC / "vendor" / name for name in VENDORED)]
    return routes + [NamedRoute(f"/admin/static/{path.name}", file_page(path), methods=["GET"]) for path in files]
