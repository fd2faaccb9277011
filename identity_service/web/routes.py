"""The whole surface on one page."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from msgspec import Struct
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from identity_service.errors import NotFound
from identity_service.web import (
    consents,
    health,
    link_payloads,
    links,
    order_payloads,
    orders,
    payloads,
    privacy,
    rights,
    tracking,
    tracking_payloads,
    visitors,
)
from identity_service.web.endpoints import Endpoint, Handler, Services
from identity_service.web.openapi import Described, docs_page, document
from identity_service.web.snippet import Snippet
from identity_service.web.tracking_endpoint import TrackingEndpoint

EITHER, PRIVATE, DEVICE = "either key", "private key", "public key for the device"


@dataclass(frozen=True, slots=True)
class Operation:
    """`keys`: which key it takes. `large`: takes a batch body with the key in `Authorization`. `free`: its body has members of somebody
    else's."""

    method: str
    path: str
    handler: Handler
    body: type[Struct] | None
    answer: type[Struct]
    keys: str
    summary: str
    large: bool = False
    free: bool = False


@dataclass(frozen=True, slots=True)
class TrackingCall:
    """A call of Clerk's API, under /v2 and /v3, by POST and GET alike."""

    name: str
    handler: Handler
    body: type[Struct]
    summary: str
    answer: type[Struct] = tracking_payloads.TrackingAnswer
    keys: str = EITHER

    @property
    def paths(self) -> tuple[str, str]:
        return f"/v2/{self.name}", f"/v3/{self.name}"


VISITOR = tracking_payloads.VisitorIdAnswer

OPERATIONS = (
    Operation("POST", "/v1/visitors", visitors.issue, payloads.IssueBody, payloads.IdentityAnswer, EITHER, "Issue a visitor ID"),
    Operation(
        "POST", "/v1/verifications", visitors.verify, payloads.VerificationBody, payloads.VerificationAnswer, EITHER, "Verify a token"
    ),
    Operation("POST", "/v1/consents", consents.report, payloads.IssueBody, payloads.ConsentAnswer, EITHER, "Report a consent choice"),
    Operation(
        "POST",
        "/v1/consents/{source}",
        consents.report_banner,
        payloads.BannerBody,
        payloads.ConsentAnswer,
        EITHER,
        "Report a banner's event",
        free=True,
    ),
    Operation("POST", "/v1/receipts", consents.receipts, payloads.ReceiptsBody, payloads.ReceiptsAnswer, PRIVATE, "Prove consent"),
    Operation("POST", "/v1/decisions", consents.decisions, payloads.DecisionsBody, payloads.DecisionsAnswer, PRIVATE, "Preview a decision"),
    Operation("POST", "/v1/links", links.link, link_payloads.LinkBody, link_payloads.LinkAnswer, EITHER, "Link an email or customer ID"),
    Operation("POST", "/v1/unlinks", links.unlink, link_payloads.LinkBody, link_payloads.UnlinkAnswer, PRIVATE, "Unlink one"),
    Operation(
        "POST",
        "/v1/lookups",
        links.look_up,
        link_payloads.LookupBody,
        link_payloads.LookupAnswer,
        PRIVATE,
        "Look up visitor IDs",
        large=True,
    ),
    Operation("POST", "/v1/exports", rights.export, link_payloads.RightsBody, link_payloads.ExportAnswer, PRIVATE, "Export what is held"),
    Operation("POST", "/v1/erasures", rights.erase, link_payloads.RightsBody, link_payloads.ErasureAnswer, PRIVATE, "Erase what is held"),
    Operation(
        "POST", "/v1/events", orders.events, order_payloads.EventsBody, order_payloads.EventsAnswer, PRIVATE, "Read a visitor's events"
    ),
    Operation("GET", "/v1/orders", orders.page, None, order_payloads.OrdersAnswer, PRIVATE, "List orders"),
    Operation("GET", "/v1/orders/{sale}", orders.one, None, order_payloads.OrderAnswer, PRIVATE, "Read an order"),
    Operation(
        "GET",
        "/v1/orders/{sale}/attribution",
        orders.attribution,
        None,
        order_payloads.AttributionAnswer,
        PRIVATE,
        "Explain an order's attribution",
    ),
    Operation("GET", "/v1/labels", orders.labels, None, order_payloads.LabelsAnswer, PRIVATE, "Compare labels"),
    Operation("GET", "/v1/calls", orders.calls, None, order_payloads.CallsAnswer, PRIVATE, "Read the log of tracking calls"),
    Operation("GET", "/v1/products", orders.products, None, order_payloads.ProductsAnswer, PRIVATE, "List products seen"),
    Operation("GET", "/v1/health/tracking", orders.health, None, order_payloads.TrackingHealthAnswer, PRIVATE, "Check tracking"),
)

TRACKING = (
    TrackingCall("log/sale", tracking.log_sale, tracking_payloads.SaleBody, "Log a sale"),
    TrackingCall("log/click", tracking.log_click, tracking_payloads.ClickBody, "Log a click"),
    TrackingCall("log/email", tracking.log_email, tracking_payloads.EmailBody, "Link an email"),
    TrackingCall("log/results", tracking.log_results, tracking_payloads.ResultsBody, "Log what an element showed"),
    TrackingCall("log/product", tracking.log_product, tracking_payloads.ProductBody, "Log a product seen"),
    TrackingCall("log/category", tracking.log_category, tracking_payloads.CategoryBody, "Log a category seen"),
    TrackingCall("log/search", tracking.log_search, tracking_payloads.SearchBody, "Log a search"),
    TrackingCall("log/basket/set", tracking.log_basket, tracking_payloads.BasketBody, "Log the basket"),
    TrackingCall("log/cart/add", tracking.log_basket, tracking_payloads.BasketBody, "Log products added"),
    TrackingCall("log/cart/remove", tracking.log_basket, tracking_payloads.BasketBody, "Log products removed"),
    TrackingCall("log/cart/update", tracking.log_basket, tracking_payloads.BasketBody, "Log products changed"),
    TrackingCall("log/returned", tracking.log_returned, tracking_payloads.ReturnedBody, "Log a return", keys=PRIVATE),
    TrackingCall("log/debug", tracking.log_debug, tracking_payloads.DebugBody, "Take a plugin's debug message"),
    TrackingCall("misc/visitor_id", tracking.visitor_id, tracking_payloads.TrackingBody, "Cookieless ID of the device", VISITOR, DEVICE),
    TrackingCall("token/verify", tracking.verify_token, tracking_payloads.TokenBody, "Verify a token", tracking_payloads.TokenAnswer),
    TrackingCall("privacy/info", privacy.inform, tracking_payloads.PrivacyBody, "What is held", tracking_payloads.PrivacyAnswer, PRIVATE),
    TrackingCall("privacy/forget", privacy.forget, tracking_payloads.PrivacyBody, "Erase what is held", keys=PRIVATE),
)


def build(services: Services) -> ASGIApp:
    client = services.store.client
    api = document(described())
    pages = {
        "/healthz": health.alive,
        "/readyz": health.ready(client),
        "/metrics": health.scrape(client),
        "/openapi.json": health.fixed(api),
        "/docs": health.fixed(docs_page(api), "text/html; charset=utf-8"),
    }
    if services.gpc_support_since:
        pages["/.well-known/gpc.json"] = health.fixed({"gpc": True, "lastUpdate": services.gpc_support_since})
    by_path = {o.path: _endpoint(services, o) for o in OPERATIONS}
    routes = [Named(o.path, by_path[o.path], methods=[o.method]) for o in OPERATIONS if "{sale}" not in o.path]
    routes.append(
        Named("/v1/orders/{rest:path}", ByRawPath(by_path["/v1/orders/{sale}"], by_path["/v1/orders/{sale}/attribution"]), methods=["GET"])
    )
    routes += [Named(path, _tracking_endpoint(services, o), methods=["POST", "GET"]) for o in TRACKING for path in o.paths]
    routes.append(Named("/visitor.js", Snippet(), methods=["GET"]))
    routes += [Named(path, health.Page(answer), methods=["GET"]) for path, answer in pages.items()]
    return Surface(routes)


class Surface:
    """Addresses without parameters are found in one step; the others, other methods, and wrong addresses by the library's router."""

    def __init__(self, routes: Sequence["Named"]) -> None:
        self._fixed = {(method, route.path): route for route in routes if "{" not in route.path for method in route.methods or ()}
        self._router = Router(routes, default=_nowhere, redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._fixed.get((scope["method"], scope["path"]))
        if route is None:
            await self._router(scope, receive, send)
        else:
            await route.handle(scope, receive, send)


class Named(Route):
    """Leaves its own template in the scope, so that logs and metrics never need the raw path."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["route"] = self.path
        await super().handle(scope, receive, send)


@dataclass(frozen=True, slots=True)
class ByRawPath:
    """Orders by a percent-encoded sale ID, which may hold a slash: the decoded path would not tell where it ends."""

    order: Endpoint
    attribution: Endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sale, *rest = scope["raw_path"].partition(b"?")[0].decode("latin-1").split("/")[3:]
        scope["path_params"] = {"sale": unquote(sale)}
        if not sale or rest not in ([], ["attribution"]):
            raise NotFound("See /docs for what there is; sale IDs in paths are percent-encoded.")
        await (self.attribution if rest else self.order)(scope, receive, send)


def described() -> list[Described]:
    found = [Described(o.method, o.path, o.body, o.answer, o.keys, o.summary) for o in OPERATIONS]
    for one in TRACKING:
        found += [Described(method, path, one.body, one.answer, one.keys, one.summary) for path in one.paths for method in ("POST", "GET")]
    return found


def _tracking_endpoint(services: Services, one: TrackingCall) -> TrackingEndpoint:
    return TrackingEndpoint(services, one.name, one.handler, one.body, private=one.keys == PRIVATE, always_device=one.keys == DEVICE)


def _endpoint(services: Services, operation: Operation) -> Endpoint:
    return Endpoint(
        services,
        operation.handler,
        operation.body,
        private=operation.keys == PRIVATE,
        large=operation.large,
        free=operation.free,
    )


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 an ASGI application
    if scope["path"].startswith(("/v2/", "/v3/")):
        raise NotFound("This call is outside this service, which tracks visitors and keeps no catalogue.")
    raise NotFound("See /docs for what there is.")
