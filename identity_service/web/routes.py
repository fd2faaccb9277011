"""The whole surface on one page."""

from dataclasses import dataclass

from msgspec import Struct
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from identity_service.errors import NotFound
from identity_service.web import consents, health, link_payloads, links, payloads, rights, tracking, tracking_payloads, visitors
from identity_service.web.endpoints import Endpoint, Handler, Services
from identity_service.web.openapi import Described, docs_page, document

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
    *(
        operation
        for version in ("/v2", "/v3")
        for operation in (
            Operation(
                "POST",
                f"{version}/log/sale",
                tracking.log_sale,
                tracking_payloads.SaleBody,
                tracking_payloads.TrackingAnswer,
                EITHER,
                "Log a sale",
            ),
            Operation(
                "POST",
                f"{version}/log/click",
                tracking.log_click,
                tracking_payloads.ClickBody,
                tracking_payloads.TrackingAnswer,
                EITHER,
                "Log a click",
            ),
            Operation(
                "POST",
                f"{version}/log/email",
                tracking.log_email,
                tracking_payloads.EmailBody,
                tracking_payloads.TrackingAnswer,
                EITHER,
                "Log an email",
            ),
            Operation(
                "GET", f"{version}/misc/visitor_id", tracking.visitor_id, None, tracking_payloads.VisitorIdAnswer, DEVICE, "Cookieless ID"
            ),
        )
    ),
)


def build(services: Services) -> ASGIApp:
    client = services.store.client
    described = [Described(o.method, o.path, o.body, o.answer, o.keys, o.summary) for o in OPERATIONS]
    api = document(described)
    pages = {
        "/healthz": health.alive,
        "/readyz": health.ready(client),
        "/metrics": health.scrape(client),
        "/openapi.json": health.fixed(api),
        "/docs": health.fixed(docs_page(api), "text/html; charset=utf-8"),
    }
    if services.gpc_support_since:
        pages["/.well-known/gpc.json"] = health.fixed({"gpc": True, "lastUpdate": services.gpc_support_since})
    routes = [Named(o.path, _endpoint(services, o), methods=[o.method]) for o in OPERATIONS]
    routes += [Named(path, health.Page(answer), methods=["GET"]) for path, answer in pages.items()]
    return Router(routes, default=_nowhere, redirect_slashes=False)


class Named(Route):
    """Leaves its own template in the scope, so that logs and metrics never need the raw path."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["route"] = self.path
        await super().handle(scope, receive, send)


def _endpoint(services: Services, operation: Operation) -> Endpoint:
    return Endpoint(
        services,
        operation.handler,
        operation.body,
        private=operation.keys == PRIVATE,
        always_device=operation.keys == DEVICE,
        large=operation.large,
        free=operation.free,
    )


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 an ASGI application
    if scope["path"].startswith(("/v2/", "/v3/")):
        raise NotFound("This call is outside this service, which tracks visitors and keeps no catalogue.")
    raise NotFound("See /docs for what there is.")
