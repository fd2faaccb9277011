"""The whole surface on one page."""

from dataclasses import dataclass

from msgspec import Struct
from starlette.types import ASGIApp

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
from identity_service.web.admin.door import Lead
from identity_service.web.admin.surface import admin_routes
from identity_service.web.assets import SNIPPET, AssetPage
from identity_service.web.demo.surface import demo_shop
from identity_service.web.endpoints import Endpoint, Handler, Services
from identity_service.web.manual.surface import manual_routes
from identity_service.web.openapi import Described, document
from identity_service.web.routing import ByRawPath, Named, Surface
from identity_service.web.tracking_endpoint import TrackingEndpoint

EITHER, PRIVATE, DEVICE = "either key", "private key", "public key for the device"


@dataclass(frozen=True, slots=True)
class Operation:
    """`keys`: which key it takes. `large`: takes a batch body with the key in `Authorization`. `free`: its body has members of somebody
    else's. `consent`: it may carry a refusal, which is always accepted."""

    method: str
    path: str
    handler: Handler
    body: type[Struct] | None
    answer: type[Struct]
    keys: str
    summary: str
    large: bool = False
    free: bool = False
    consent: bool = False


@dataclass(frozen=True, slots=True)
class TrackingCall:
    """A call of Clerk's API, under /v2 and /v3, by POST and GET alike."""

    name: str
    handler: Handler
    body: type[tracking_payloads.TrackingBody]
    summary: str
    answer: type[Struct] = tracking_payloads.TrackingAnswer
    keys: str = EITHER

    @property
    def paths(self) -> tuple[str, str]:
        return f"/v2/{self.name}", f"/v3/{self.name}"


VISITOR = tracking_payloads.VisitorIdAnswer

OPERATIONS = (
    Operation(
        "POST", "/v1/visitors", visitors.issue, payloads.IssueBody, payloads.IdentityAnswer, EITHER, "Issue a visitor ID", consent=True
    ),
    Operation(
        "POST", "/v1/verifications", visitors.verify, payloads.VerificationBody, payloads.VerificationAnswer, EITHER, "Verify a token"
    ),
    Operation(
        "POST",
        "/v1/consents",
        consents.report,
        payloads.ConsentsBody,
        payloads.ConsentAnswer,
        EITHER,
        "Report a consent choice",
        consent=True,
    ),
    Operation(
        "POST",
        "/v1/consents/{source}",
        consents.report_banner,
        payloads.BannerBody,
        payloads.ConsentAnswer,
        EITHER,
        "Report a banner's event",
        free=True,
        consent=True,
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
    Operation("POST", "/v1/erasures", rights.erase, link_payloads.ErasureBody, link_payloads.ErasureAnswer, PRIVATE, "Erase what is held"),
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
        "/readyz": health.ready(services.store),
        "/metrics": health.scrape(client),
        "/openapi.json": health.fixed(api),
    }
    if services.gpc_support_since:
        pages["/.well-known/gpc.json"] = health.fixed({"gpc": True, "lastUpdate": services.gpc_support_since})
    by_path = {o.path: _endpoint(services, o) for o in OPERATIONS}
    routes = [Named(o.path, by_path[o.path], methods=[o.method]) for o in OPERATIONS if "{sale}" not in o.path]
    routes.append(
        Named("/v1/orders/{rest:text}", ByRawPath(by_path["/v1/orders/{sale}"], by_path["/v1/orders/{sale}/attribution"]), methods=["GET"])
    )
    routes += [Named(path, _tracking_endpoint(services, o), methods=["POST", "GET"]) for o in TRACKING for path in o.paths]
    routes.append(Named("/visitor.js", AssetPage(SNIPPET, foreign=True), methods=["GET"]))
    routes.append(Named("/", Lead("shop" if services.demo else "docs"), methods=["GET"]))
    routes += manual_routes() + admin_routes(services)
    routes += [Named(path, health.Page(answer), methods=["GET"]) for path, answer in pages.items()]
    if services.demo:
        routes += demo_shop(services)
    return Surface(routes)


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
        consent=operation.consent,
    )
