"""The whole surface on one page."""

import re
from dataclasses import dataclass
from functools import cache

import msgspec
from msgspec import Struct
from starlette.types import ASGIApp

from identity_service.web import descriptions
from identity_service.web import pages as health
from identity_service.web.admin.routes import admin_routes
from identity_service.web.admin.sign_in import Lead
from identity_service.web.calls import links, orders, tracking, visitors
from identity_service.web.calls import links as rights
from identity_service.web.calls import tracking as privacy
from identity_service.web.calls import visitors as consents
from identity_service.web.calls.links import (
    ErasureAnswer,
    ErasureBody,
    ExportAnswer,
    LinkAnswer,
    LinkBody,
    LookupAnswer,
    LookupBody,
    RightsBody,
    UnlinkAnswer,
)
from identity_service.web.calls.orders import (
    AttributionAnswer,
    CallsAnswer,
    EventsAnswer,
    EventsBody,
    LabelsAnswer,
    OrderAnswer,
    OrdersAnswer,
    ProductsAnswer,
    TrackingHealthAnswer,
)
from identity_service.web.calls.tracking import (
    BasketBody,
    CategoryBody,
    ClickBody,
    DebugBody,
    EmailBody,
    PrivacyAnswer,
    PrivacyBody,
    ProductBody,
    ResultsBody,
    ReturnedBody,
    SaleBody,
    SearchBody,
    TokenAnswer,
    TokenBody,
    TrackingAnswer,
    TrackingBody,
    VisitorIdAnswer,
)
from identity_service.web.calls.visitors import (
    BannerBody,
    ConsentsBody,
    DecisionsAnswer,
    DecisionsBody,
    IssueBody,
    ReceiptsAnswer,
    ReceiptsBody,
    ReceiptVerificationAnswer,
    ReceiptVerificationBody,
    VerificationAnswer,
    VerificationBody,
)
from identity_service.web.demo.routes import demo_shop
from identity_service.web.descriptions import section_of
from identity_service.web.endpoint import Endpoint, Handler, Services
from identity_service.web.manual.routes import manual_routes
from identity_service.web.openapi import DEVICE, EITHER, PRIVATE, Described, document
from identity_service.web.pages import SNIPPET, Asset, AssetPage, DocumentPage, asset_of
from identity_service.web.payloads import Body, ConsentAnswer, IdentityAnswer
from identity_service.web.routing import ByPort, ByRawPath, Named, Surface
from identity_service.web.tracking_endpoint import TrackingEndpoint


@dataclass(frozen=True, slots=True)
class Operation:
    """`name`: by which generated clients call it. `keys`: which key it takes. `large`: takes a batch body with the key in `Authorization`.
    `free`: its body has members of somebody else's. `consent`: it may carry a refusal, which is always accepted."""

    name: str
    method: str
    path: str
    handler: Handler
    body: type[Body] | None
    answer: type[Struct]
    keys: str
    large: bool = False
    free: bool = False
    consent: bool = False


@dataclass(frozen=True, slots=True)
class TrackingCall:
    """A call of Clerk's API, under /v2 and /v3, by POST and GET alike."""

    name: str
    handler: Handler
    body: type[TrackingBody]
    answer: type[Struct] = TrackingAnswer
    keys: str = EITHER

    @property
    def paths(self) -> tuple[str, str]:
        return f"/v2/{self.name}", f"/v3/{self.name}"

    @property
    def operation(self) -> str:
        """`log/cart/add` is `logCartAdd`."""
        first, *others = re.split("[/_]", self.name)
        return first + "".join(map(str.capitalize, others))


OPERATIONS = (
    Operation("issueVisitor", "POST", "/v1/visitors", visitors.issue, IssueBody, IdentityAnswer, EITHER, consent=True),
    Operation("verifyToken", "POST", "/v1/verifications", visitors.verify, VerificationBody, VerificationAnswer, EITHER),
    Operation("reportConsent", "POST", "/v1/consents", consents.report, ConsentsBody, ConsentAnswer, EITHER, consent=True),
    Operation(
        "reportBannerConsent",
        "POST",
        "/v1/consents/{source}",
        consents.report_banner,
        BannerBody,
        ConsentAnswer,
        EITHER,
        free=True,
        consent=True,
    ),
    Operation("listReceipts", "POST", "/v1/receipts", consents.receipts, ReceiptsBody, ReceiptsAnswer, PRIVATE),
    Operation(
        "verifyReceipt",
        "POST",
        "/v1/receipts/verifications",
        consents.verify_receipt,
        ReceiptVerificationBody,
        ReceiptVerificationAnswer,
        PRIVATE,
    ),
    Operation("previewDecision", "POST", "/v1/decisions", consents.decisions, DecisionsBody, DecisionsAnswer, PRIVATE),
    Operation("linkVisitor", "POST", "/v1/links", links.link, LinkBody, LinkAnswer, EITHER),
    Operation("unlinkVisitor", "POST", "/v1/unlinks", links.unlink, LinkBody, UnlinkAnswer, PRIVATE),
    Operation("lookUp", "POST", "/v1/lookups", links.look_up, LookupBody, LookupAnswer, PRIVATE, large=True),
    Operation("exportPerson", "POST", "/v1/exports", rights.export, RightsBody, ExportAnswer, PRIVATE),
    Operation("erasePerson", "POST", "/v1/erasures", rights.erase, ErasureBody, ErasureAnswer, PRIVATE),
    Operation("listEvents", "POST", "/v1/events", orders.events, EventsBody, EventsAnswer, PRIVATE),
    Operation("listOrders", "GET", "/v1/orders", orders.page, None, OrdersAnswer, PRIVATE),
    Operation("readOrder", "GET", "/v1/orders/{sale}", orders.one, None, OrderAnswer, PRIVATE),
    Operation("explainOrder", "GET", "/v1/orders/{sale}/attribution", orders.attribution, None, AttributionAnswer, PRIVATE),
    Operation("compareLabels", "GET", "/v1/labels", orders.labels, None, LabelsAnswer, PRIVATE),
    Operation("listCalls", "GET", "/v1/calls", orders.calls, None, CallsAnswer, PRIVATE),
    Operation("listProducts", "GET", "/v1/products", orders.products, None, ProductsAnswer, PRIVATE),
    Operation("checkTracking", "GET", "/v1/health/tracking", orders.health, None, TrackingHealthAnswer, PRIVATE),
)

TRACKING = (
    TrackingCall("log/sale", tracking.log_sale, SaleBody),
    TrackingCall("log/click", tracking.log_click, ClickBody),
    TrackingCall("log/email", tracking.log_email, EmailBody),
    TrackingCall("log/results", tracking.log_results, ResultsBody),
    TrackingCall("log/product", tracking.log_product, ProductBody),
    TrackingCall("log/category", tracking.log_category, CategoryBody),
    TrackingCall("log/search", tracking.log_search, SearchBody),
    TrackingCall("log/basket/set", tracking.log_basket, BasketBody),
    TrackingCall("log/cart/add", tracking.log_basket, BasketBody),
    TrackingCall("log/cart/remove", tracking.log_basket, BasketBody),
    TrackingCall("log/cart/update", tracking.log_basket, BasketBody),
    TrackingCall("log/returned", tracking.log_returned, ReturnedBody, keys=PRIVATE),
    TrackingCall("log/debug", tracking.log_debug, DebugBody),
    TrackingCall("misc/visitor_id", tracking.visitor_id, TrackingBody, VisitorIdAnswer, DEVICE),
    TrackingCall("token/verify", tracking.verify_token, TokenBody, TokenAnswer),
    TrackingCall("privacy/info", privacy.inform, PrivacyBody, PrivacyAnswer, PRIVATE),
    TrackingCall("privacy/forget", privacy.forget, PrivacyBody, keys=PRIVATE),
)


def build(services: Services) -> ASGIApp:
    public, internal = _public_routes(services), _internal_routes(services)
    everything = Surface([*public, *internal])
    return ByPort(services.server.internal_port, everything, Surface(public)) if services.server.internal_port else everything


def _public_routes(services: Services) -> list[Named]:
    by_path = {o.path: _endpoint(services, o) for o in OPERATIONS}
    routes = [Named(o.path, by_path[o.path], methods=[o.method]) for o in OPERATIONS if "{sale}" not in o.path]
    routes.append(
        Named("/v1/orders/{rest:text}", ByRawPath(by_path["/v1/orders/{sale}"], by_path["/v1/orders/{sale}/attribution"]), methods=["GET"])
    )
    routes += [Named(path, _tracking_endpoint(services, o), methods=["POST", "GET"]) for o in TRACKING for path in o.paths]
    routes.append(Named("/visitor.js", AssetPage(SNIPPET, foreign=True), methods=["GET"]))
    pages = {"/healthz": health.alive, "/readyz": health.ready(services.store, [shop.shop_id for shop in services.shops])}
    if services.server.gpc_support_since:
        pages["/.well-known/gpc.json"] = health.fixed({"gpc": True, "lastUpdate": services.server.gpc_support_since})
    routes += [Named(path, health.Page(answer), methods=["GET"]) for path, answer in pages.items()]
    return routes + (demo_shop(services) if services.server.demo else [])


def _internal_routes(services: Services) -> list[Named]:
    """For the operator's own people and programs, where `server.internal_port` keeps them from others."""
    return [
        Named("/", Lead("shop" if services.server.demo else "docs"), methods=["GET"]),
        Named("/metrics", health.Page(health.scrape(services.store.client)), methods=["GET"]),
        Named("/openapi.json", DocumentPage(description), methods=["GET"]),
        *manual_routes(),
        *admin_routes(services),
    ]


@cache
def description() -> Asset:
    """/openapi.json, the same for every service of a process."""
    return asset_of(msgspec.json.encode(document(described())), "application/json")


def described() -> list[Described]:
    """Every call, for /openapi.json."""
    found = [
        Described(o.name, o.name, o.method, o.path, section_of(o.name).tag, o.keys, o.body, o.answer, cookies=o.consent) for o in OPERATIONS
    ]
    for one in TRACKING:
        for path, section, version in zip(one.paths, (descriptions.TRACKING, descriptions.TRACKING_V3), ("", "V3"), strict=True):
            for method, way in (("POST", ""), ("GET", "ByQuery")):
                name = f"{one.operation}{way}{version}"
                found.append(Described(one.operation, name, method, path, section.tag, one.keys, one.body, one.answer))
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
