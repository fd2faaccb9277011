"""The routes of the admin pages."""

from identity_service.model.staff import EVERY_ROLE, Role
from identity_service.web.admin import orders, people, rights, shop, staff
from identity_service.web.admin.pages import SAFE, AdminHandler, AdminPage
from identity_service.web.admin.sessions import Sessions
from identity_service.web.admin.sign_in import SignIn, SignOut
from identity_service.web.admin.staff import LivingSessions
from identity_service.web.admin.stream import LogStream
from identity_service.web.call import Services
from identity_service.web.pages import DESIGN, STATIC, Page, file_page, redirect_page
from identity_service.web.routing import NamedRoute

SEES_PERSONS = frozenset({Role.SUPPORT, Role.PRIVACY, Role.OWNER})
MEETS_RIGHTS = frozenset({Role.PRIVACY, Role.OWNER})
OWNERS = frozenset({Role.OWNER})
SEEN_BY: dict[str, frozenset[Role]] = {
    "overview": EVERY_ROLE,
    "customers": SEES_PERSONS,
    "visitors": SEES_PERSONS,
    "orders": SEES_PERSONS,
    "products": EVERY_ROLE,
    "rights": MEETS_RIGHTS,
    "consent": MEETS_RIGHTS,
    "logs": frozenset({Role.SUPPORT, Role.OWNER}),
    "health": EVERY_ROLE,
    "audit": OWNERS,
    "sessions": OWNERS,
    "keys": OWNERS,
    "export": MEETS_RIGHTS,
    "erasure": MEETS_RIGHTS,
    "certificate": MEETS_RIGHTS,
    "activity": SEES_PERSONS,
    "signout": EVERY_ROLE,
}
"""The roles that a page is for, in the order of the menu."""
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
    "audit": staff.audit,
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
    "audit": staff.audit,
}
VENDORED = ("htmx.min.js", "htmx-sse.min.js", "pico.min.css", "uplot.min.css", "uplot.min.js")
IN_MENU = {"export": "rights", "erasure": "rights", "certificate": "rights", "activity": "visitors", "signout": "overview"}


def menu_of(roles: frozenset[Role]) -> list[str]:
    """The pages of the menu for somebody with these roles."""
    return [name for name, seen_by in SEEN_BY.items() if name not in IN_MENU and seen_by & roles]


def admin_routes(services: Services) -> list[NamedRoute]:
    sessions = Sessions(services.shops, services.signing, services.admin.staff, services.store.sessions, services.audit)
    living, sign_out = LivingSessions(sessions), SignOut(sessions)
    routes = [
        NamedRoute("/admin", redirect_page("admin/overview", SAFE), methods=["GET"]),
        NamedRoute("/admin/", redirect_page("overview", SAFE), methods=["GET"]),
    ]
    routes.append(NamedRoute("/admin/signin", Page(SignIn(services, sessions).answer), methods=["GET", "POST"]))
    routes.append(NamedRoute("/admin/logs/stream", LogStream(services, sessions, SEEN_BY["logs"]), methods=["GET"]))
    shown, posted = READ | INNER | {"sessions": living}, POSTED | {"sessions": living, "signout": sign_out}
    for method, pages in (("GET", shown), ("POST", posted)):
        for name, handler in pages.items():
            page = AdminPage(services, sessions, IN_MENU.get(name, name), SEEN_BY[name], menu_of, handler)
            routes.append(NamedRoute(f"/admin/{name}", Page(page.answer), methods=[method]))
    files = [DESIGN, *(STATIC / "admin").iterdir(), *(STATIC / "vendor" / name for name in VENDORED)]
    return routes + [NamedRoute(f"/admin/static/{path.name}", file_page(path), methods=["GET"]) for path in files]
