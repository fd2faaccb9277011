"""The routes of the admin pages."""

from identity_service.model.staff import EVERY_ROLE, Role
from identity_service.web.admin import people, shop, staff
from identity_service.web.admin.pages import SAFE, AdminHandler, AdminPage
from identity_service.web.admin.sessions import Sessions
from identity_service.web.admin.sign_in import SignIn, SignOut
from identity_service.web.admin.staff import LivingSessions
from identity_service.web.admin.stream import LogStream
from identity_service.web.call import Services
from identity_service.web.pages import STATIC, Page, file_page, redirect_page
from identity_service.web.routing import NamedRoute

EVERYBODY = EVERY_ROLE
DESKS = frozenset({Role.SUPPORT, Role.PRIVACY, Role.OWNER})
RIGHTS = frozenset({Role.PRIVACY, Role.OWNER})
OWNERS = frozenset({Role.OWNER})
SEEN_BY: dict[str, frozenset[Role]] = {
    "overview": EVERYBODY,
    "customers": DESKS,
    "visitors": DESKS,
    "orders": DESKS,
    "products": EVERYBODY,
    "logs": frozenset({Role.SUPPORT, Role.OWNER}),
    "health": EVERYBODY,
    "consent": RIGHTS,
    "audit": OWNERS,
    "sessions": OWNERS,
    "keys": OWNERS,
    "export": RIGHTS,
    "erasure": RIGHTS,
    "signout": EVERYBODY,
}
"""The roles that a page is for, in the order of the menu."""
READ: dict[str, AdminHandler] = {
    "overview": shop.overview,
    "customers": people.customers,
    "visitors": people.visitors,
    "orders": shop.orders,
    "products": shop.products,
    "logs": shop.logs,
    "health": shop.health,
    "consent": people.consent,
    "audit": staff.audit,
    "keys": shop.keys,
}
POSTED: dict[str, AdminHandler] = {
    "customers": people.customers,
    "visitors": people.visitors,
    "consent": people.consent,
    "export": people.export,
    "erasure": people.erasure,
    "audit": staff.audit,
}
VENDORED = ("htmx.min.js", "htmx-sse.min.js", "pico.min.css", "uplot.min.css", "uplot.min.js")
IN_MENU = {"export": "customers", "erasure": "customers", "signout": "overview"}


def menu_of(roles: frozenset[Role]) -> list[str]:
    """The pages of the menu for somebody with these roles."""
    return [name for name, seen_by in SEEN_BY.items() if name not in IN_MENU and seen_by & roles]


def admin_routes(services: Services) -> list[NamedRoute]:
    sessions = Sessions(services.shops, services.signing, services.staff, services.store.sessions, services.audit)
    living, sign_out = LivingSessions(sessions), SignOut(sessions)
    routes = [
        NamedRoute("/admin", redirect_page("admin/overview", SAFE), methods=["GET"]),
        NamedRoute("/admin/", redirect_page("overview", SAFE), methods=["GET"]),
    ]
    routes.append(NamedRoute("/admin/signin", Page(SignIn(services, sessions).answer), methods=["GET", "POST"]))
    routes.append(NamedRoute("/admin/logs/stream", LogStream(services, sessions, SEEN_BY["logs"]), methods=["GET"]))
    for method, pages in (("GET", READ | {"sessions": living}), ("POST", POSTED | {"sessions": living, "signout": sign_out})):
        for name, handler in pages.items():
            page = AdminPage(services, sessions, IN_MENU.get(name, name), SEEN_BY[name], menu_of, handler)
            routes.append(NamedRoute(f"/admin/{name}", Page(page.answer), methods=[method]))
    files = [*(STATIC / "admin").iterdir(), *(STATIC / "vendor" / name for name in VENDORED)]
    return routes + [NamedRoute(f"/admin/static/{path.name}", file_page(path), methods=["GET"]) for path in files]
