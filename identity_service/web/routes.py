"""All addresses of the service on one page."""

from functools import cache, partial

import msgspec
from starlette.types import ASGIApp

from identity_service.errors import ConsentRequired, NotFound
from identity_service.web import descriptions
from identity_service.web.admin.routes import admin_routes
from identity_service.web.bodies import Size
from identity_service.web.call import Services
from identity_service.web.calls import links, orders, tracking, visitors
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
    ShopifySaleBody,
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
from identity_service.web.dialects import CLERK
from identity_service.web.endpoint import Access, Endpoint, Row
from identity_service.web.lists import MOST_CALLS, MOST_PRODUCTS, page_query
from identity_service.web.manual.routes import manual_routes
from identity_service.web.openapi import Described, document
from identity_service.web.pages import Asset, Page, alive, asset_of, document_page, fixed, ready, redirect_page, scrape
from identity_service.web.payloads import ConsentAnswer, IdentityAnswer
from identity_service.web.routing import ByPort, ByRawPath, NamedRoute, Surface
from identity_service.web.snippet import snippet_page

CALLS = (
    Row("visitors", visitors.issue, IssueBody, IdentityAnswer, "issueVisitor", consent=True),
    Row("verifications", visitors.verify, VerificationBody, VerificationAnswer, "verifyToken"),
    Row("consents", visitors.report, ConsentsBody, ConsentAnswer, "reportConsent", consent=True),
    Row(
        "consents/{source}",
        visitors.report_banner,
        BannerBody,
        ConsentAnswer,
        "reportBannerConsent",
        refuses=(NotFound,),
        free=True,
        consent=True,
    ),
    Row("receipts", visitors.receipts, ReceiptsBody, ReceiptsAnswer, "listReceipts", Access.PRIVATE),
    Row(
        "receipts/verifications",
        visitors.verify_receipt,
        ReceiptVerificationBody,
        ReceiptVerificationAnswer,
        "verifyReceipt",
        Access.PRIVATE,
    ),
    Row("decisions", visitors.decisions, DecisionsBody, DecisionsAnswer, "previewDecision", Access.PRIVATE),
    Row("links", links.link, LinkBody, LinkAnswer, "linkVisitor", refuses=(ConsentRequired,)),
    Row("unlinks", links.unlink, LinkBody, UnlinkAnswer, "unlinkVisitor", Access.PRIVATE),
    Row("lookups", links.look_up, LookupBody, LookupAnswer, "lookUp", Access.PRIVATE, size=Size.LOOKUP),
    Row("exports", links.export, RightsBody, ExportAnswer, "exportPerson", Access.PRIVATE),
    Row("erasures", links.erase, ErasureBody, ErasureAnswer, "erasePerson", Access.PRIVATE),
    Row("events", orders.events, EventsBody, EventsAnswer, "listEvents", Access.PRIVATE),
    Row("orders", orders.page, None, OrdersAnswer, "listOrders", Access.PRIVATE, "GET", query=orders.OF_ORDERS),
    Row("orders/{sale}", orders.one, None, OrderAnswer, "readOrder", Access.PRIVATE, "GET", refuses=(NotFound,)),
    Row(
        "orders/{sale}/attribution", orders.attribution, None, AttributionAnswer, "explainOrder", Access.PRIVATE, "GET", refuses=(NotFound,)
    ),
    Row("labels", orders.labels, None, LabelsAnswer, "compareLabels", Access.PRIVATE, "GET", query=orders.OF_LABELS),
    Row("calls", orders.calls, None, CallsAnswer, "listCalls", Access.PRIVATE, "GET", query=page_query(MOST_CALLS)),
    Row("products", orders.products, None, ProductsAnswer, "listProducts", Access.PRIVATE, "GET", query=page_query(MOST_PRODUCTS)),
    Row("health/tracking", orders.health, None, TrackingHealthAnswer, "checkTracking", Access.PRIVATE, "GET"),
)
clerk = partial(Row, dialect=CLERK)
TRACKING = (
    clerk("log/sale", tracking.log_sale, SaleBody, TrackingAnswer, size=Size.SALE),
    clerk("log/sale/shopify", tracking.log_shopify_sale, ShopifySaleBody, TrackingAnswer),
    clerk("log/click", tracking.log_click, ClickBody, TrackingAnswer),
    clerk("log/email", tracking.log_email, EmailBody, TrackingAnswer),
    clerk("log/results", tracking.log_results, ResultsBody, TrackingAnswer, size=Size.SALE),
    clerk("log/product", tracking.log_product, ProductBody, TrackingAnswer),
    clerk("log/category", tracking.log_category, CategoryBody, TrackingAnswer),
    clerk("log/search", tracking.log_search, SearchBody, TrackingAnswer),
    clerk("log/basket/set", tracking.log_basket, BasketBody, TrackingAnswer),
    clerk("log/cart/add", tracking.log_basket, BasketBody, TrackingAnswer),
    clerk("log/cart/remove", tracking.log_basket, BasketBody, TrackingAnswer),
    clerk("log/cart/update", tracking.log_basket, BasketBody, TrackingAnswer),
    clerk("log/returned", tracking.log_returned, ReturnedBody, TrackingAnswer, keys=Access.PRIVATE),
    clerk("log/debug", tracking.log_debug, DebugBody, TrackingAnswer),
    clerk("misc/visitor_id", tracking.visitor_id, TrackingBody, VisitorIdAnswer, keys=Access.DEVICE),
    clerk("token/verify", tracking.verify_token, TokenBody, TokenAnswer),
    clerk("client/account/info", tracking.account_info, TrackingBody, TrackingAnswer, keys=Access.PRIVATE),
    clerk("privacy/info", tracking.inform, PrivacyBody, PrivacyAnswer, keys=Access.PRIVATE),
    clerk("privacy/forget", tracking.forget, PrivacyBody, TrackingAnswer, keys=Access.PRIVATE),
)


def build(services: Services) -> ASGIApp:
    public, internal = _public_routes(services), _internal_routes(services)
    everything = Surface([*public, *internal])
    return ByPort(services.server.internal_port, everything, Surface(public)) if services.server.internal_port else everything


def _public_routes(services: Services) -> list[NamedRoute]:
    endpoints = {row.path: (row, Endpoint(services, row)) for row in (*CALLS, *TRACKING)}
    by_sale = ByRawPath(endpoints.pop("orders/{sale}")[1], endpoints.pop("orders/{sale}/attribution")[1])
    routes = [NamedRoute(path, endpoint, methods=row.methods) for row, endpoint in endpoints.values() for path in row.paths]
    routes.append(NamedRoute("/v1/orders/{rest:text}", by_sale, methods=["GET"]))
    routes.append(NamedRoute("/visitor.js", snippet_page(), methods=["GET"]))
    pages = {"/healthz": alive, "/readyz": ready(services.store, [shop.shop_id for shop in services.shops])}
    if services.server.gpc_support_since:
        pages["/.well-known/gpc.json"] = fixed({"gpc": True, "lastUpdate": services.server.gpc_support_since})
    routes += [NamedRoute(path, Page(answer), methods=["GET"]) for path, answer in pages.items()]
    return routes + (demo_shop(services) if services.server.demo else [])


def _internal_routes(services: Services) -> list[NamedRoute]:
    """Addresses for the operator's staff and programs. With `server.internal_port`, they are served only there."""
    return [
        NamedRoute("/", redirect_page("shop" if services.server.demo else "docs"), methods=["GET"]),
        NamedRoute("/metrics", Page(scrape(services.store.client)), methods=["GET"]),
        NamedRoute("/openapi.json", document_page(description), methods=["GET"]),
        *manual_routes(),
        *admin_routes(services),
    ]


@cache
def description() -> Asset:
    """/openapi.json. It is the same for every service in this process."""
    return asset_of(msgspec.json.encode(document(described())), "application/json")


def described() -> list[Described]:
    """Every call, for /openapi.json."""
    found = []
    for row in (*CALLS, *TRACKING):
        for path in row.paths:
            for method in row.methods:
                version, way = ("V3" if path.startswith("/v3/") else ""), ("ByQuery" if row.dialect.plugins and method == "GET" else "")
                section = descriptions.TRACKING_V3 if version else section_of(row.operation)
                found.append(Described.of_row(row, f"{row.operation}{way}{version}", method, path, section.tag))
    return found
