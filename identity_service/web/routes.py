"""All addresses of the service on one page."""

from functools import cache, partial

import msgspec
from starlette.types import ASGIApp

from identity_service.errors import ConsentRequired, NotFound
from identity_service.model.shop import Scope
from identity_service.web import descriptions
from identity_service.web.admin.routes import admin_routes
from identity_service.web.bodies import Size
from identity_service.web.call import Services
from identity_service.web.calls import audit, figures, links, opt_ins, orders, tracking, visitors
from identity_service.web.calls.audit import AccessesAnswer, AuditAnswer, AuditBody, LookupCountsAnswer
from identity_service.web.calls.figures import FiguresAnswer
from identity_service.web.calls.links import (
    ErasureAnswer,
    ErasureBody,
    ExportAnswer,
    LinkAnswer,
    LinkBody,
    LookupAnswer,
    LookupBody,
    RemovalsAnswer,
    RightsBody,
    UnlinkAnswer,
)
from identity_service.web.calls.opt_ins import SaleOptInAnswer, SaleOptInBody
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
from identity_service.web.receipt_page import receipt_routes
from identity_service.web.routing import ByPort, ByRawPath, NamedRoute, Surface
from identity_service.web.security_text import security_text
from identity_service.web.snippet import snippet_page

issuing = partial(Row, scope=Scope.ISSUE)
consenting = partial(Row, scope=Scope.CONSENT, consent=True)
private = partial(Row, keys=Access.PRIVATE)
receipts = partial(private, scope=Scope.RECEIPTS)
reports = partial(private, scope=Scope.REPORTS)
read = partial(reports, method="GET")
rights = partial(private, scope=Scope.RIGHTS)
audited = partial(private, scope=Scope.AUDIT)
CALLS = (
    issuing("visitors", visitors.issue, IssueBody, IdentityAnswer, "issueVisitor", consent=True),
    issuing("verifications", visitors.verify, VerificationBody, VerificationAnswer, "verifyToken"),
    consenting("consents", visitors.report, ConsentsBody, ConsentAnswer, "reportConsent"),
    consenting(
        "consents/{source}", visitors.report_banner, BannerBody, ConsentAnswer, "reportBannerConsent", refuses=(NotFound,), free=True
    ),
    Row("sale-opt-ins", opt_ins.opt_in, SaleOptInBody, SaleOptInAnswer, "optIntoSale", scope=Scope.CONSENT, refuses=(ConsentRequired,)),
    receipts("receipts", visitors.receipts, ReceiptsBody, ReceiptsAnswer, "listReceipts"),
    receipts("receipts/verifications", visitors.verify_receipt, ReceiptVerificationBody, ReceiptVerificationAnswer, "verifyReceipt"),
    reports("decisions", visitors.decisions, DecisionsBody, DecisionsAnswer, "previewDecision"),
    Row("links", links.link, LinkBody, LinkAnswer, "linkVisitor", scope=Scope.LINK, refuses=(ConsentRequired,)),
    private("unlinks", links.unlink, LinkBody, UnlinkAnswer, "unlinkVisitor", scope=Scope.LINK),
    private("lookups", links.look_up, LookupBody, LookupAnswer, "lookUp", scope=Scope.LOOKUP, size=Size.LOOKUP),
    rights("exports", links.export, RightsBody, ExportAnswer, "exportPerson"),
    rights("erasures", links.erase, ErasureBody, ErasureAnswer, "erasePerson"),
    rights("removals", links.removals, None, RemovalsAnswer, "listRemovals", method="GET", query=links.OF_REMOVALS, refuses=(NotFound,)),
    audited("audit", audit.accesses, AuditBody, AccessesAnswer, "listAccesses"),
    audited("audit", audit.page, None, AuditAnswer, "listAudit", method="GET", query=audit.OF_AUDIT),
    audited("audit/lookups", audit.lookup_counts, None, LookupCountsAnswer, "countLookups", method="GET", query=audit.OF_LOOKUPS),
    private("events", orders.events, EventsBody, EventsAnswer, "listEvents", scope=Scope.LOOKUP),
    read("orders", orders.page, None, OrdersAnswer, "listOrders", query=orders.OF_ORDERS),
    read("orders/{sale}", orders.one, None, OrderAnswer, "readOrder", refuses=(NotFound,)),
    read("orders/{sale}/attribution", orders.attribution, None, AttributionAnswer, "explainOrder", refuses=(NotFound,)),
    read("labels", orders.labels, None, LabelsAnswer, "compareLabels", query=orders.OF_LABELS),
    read("figures", figures.page, None, FiguresAnswer, "readFigures", query=figures.OF_FIGURES),
    read("calls", orders.calls, None, CallsAnswer, "listCalls", query=page_query(MOST_CALLS)),
    read("products", orders.products, None, ProductsAnswer, "listProducts", query=page_query(MOST_PRODUCTS)),
    read("health/tracking", orders.health, None, TrackingHealthAnswer, "checkTracking"),
)
tracked = partial(Row, dialect=CLERK, scope=Scope.TRACK)
TRACKING = (
    tracked("log/sale", tracking.log_sale, SaleBody, TrackingAnswer, size=Size.SALE),
    tracked("log/sale/shopify", tracking.log_shopify_sale, ShopifySaleBody, TrackingAnswer),
    tracked("log/click", tracking.log_click, ClickBody, TrackingAnswer),
    tracked("log/email", tracking.log_email, EmailBody, TrackingAnswer),
    tracked("log/results", tracking.log_results, ResultsBody, TrackingAnswer, size=Size.SALE),
    tracked("log/product", tracking.log_product, ProductBody, TrackingAnswer),
    tracked("log/category", tracking.log_category, CategoryBody, TrackingAnswer),
    tracked("log/search", tracking.log_search, SearchBody, TrackingAnswer),
    tracked("log/basket/set", tracking.log_basket, BasketBody, TrackingAnswer),
    tracked("log/cart/add", tracking.log_basket, BasketBody, TrackingAnswer),
    tracked("log/cart/remove", tracking.log_basket, BasketBody, TrackingAnswer),
    tracked("log/cart/update", tracking.log_basket, BasketBody, TrackingAnswer),
    tracked("log/returned", tracking.log_returned, ReturnedBody, TrackingAnswer, keys=Access.PRIVATE),
    tracked("log/debug", tracking.log_debug, DebugBody, TrackingAnswer),
    issuing("misc/visitor_id", tracking.visitor_id, TrackingBody, VisitorIdAnswer, dialect=CLERK, keys=Access.DEVICE),
    issuing("token/verify", tracking.verify_token, TokenBody, TokenAnswer, dialect=CLERK),
    tracked("client/account/info", tracking.account_info, TrackingBody, TrackingAnswer, keys=Access.PRIVATE),
    rights("privacy/info", tracking.inform, PrivacyBody, PrivacyAnswer, dialect=CLERK),
    rights("privacy/forget", tracking.forget, PrivacyBody, TrackingAnswer, dialect=CLERK),
)


def build(services: Services) -> ASGIApp:
    public, internal = _public_routes(services), _internal_routes(services)
    everything = Surface([*public, *internal])
    return ByPort(services.server.internal_port, everything, Surface(public)) if services.server.internal_port else everything


def _public_routes(services: Services) -> list[NamedRoute]:
    endpoints = [(row, Endpoint(services, row)) for row in (*CALLS, *TRACKING)]
    of_sale = {row.path: endpoint for row, endpoint in endpoints if row.path.startswith("orders/{sale}")}
    by_sale = ByRawPath(of_sale["orders/{sale}"], of_sale["orders/{sale}/attribution"])
    routes = [NamedRoute(path, one, methods=row.methods) for row, one in endpoints if row.path not in of_sale for path in row.paths]
    routes.append(NamedRoute("/v1/orders/{rest:text}", by_sale, methods=["GET"]))
    routes.append(NamedRoute("/visitor.js", snippet_page(), methods=["GET"]))
    pages = {"/healthz": alive, "/readyz": ready(services.store, [shop.shop_id for shop in services.shops])}
    pages["/.well-known/consent-receipt-keys.json"] = fixed(services.receipt_keys.published)
    if services.server.gpc_support_since:
        pages["/.well-known/gpc.json"] = fixed({"gpc": True, "lastUpdate": services.server.gpc_support_since})
    if services.server.security_contact:
        pages["/.well-known/security.txt"] = security_text(services.server, services.clock)
    routes += [NamedRoute(path, Page(answer), methods=["GET"]) for path, answer in pages.items()]
    routes += receipt_routes(services)
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
                version = "V3" if path.startswith("/v3/") else ""
                way = "ByQuery" if row.dialect.query_is_body and method == "GET" else ""
                section = descriptions.TRACKING_V3 if version else section_of(row.operation)
                found.append(Described.of_row(row, f"{row.operation}{way}{version}", method, path, section.tag))
    return found
