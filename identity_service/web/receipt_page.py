"""The page that shows a person whether a receipt is genuine. It needs no key, reads nothing from the store, and keeps nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from identity_service.errors import Invalid, ServiceError
from identity_service.model.receipt_key import proof_fault, receipts_in
from identity_service.server.addresses import caller_source
from identity_service.web.admin.pages import read_form
from identity_service.web.call import Reply, Services
from identity_service.web.pages import DESIGN, HTML, PAGE_HEADERS, STATIC, Page, PageCall, file_page, render
from identity_service.web.routing import NamedRoute
from identity_service.web.visit import is_ours

NOT_ONE = "This is not one receipt. Paste one whole receipt, from the first brace to the last."
NOT_OURS = "This service did not sign it, or something of it was changed."
HEADERS = (*PAGE_HEADERS, (b"cache-control", b"no-store"))


@dataclass(frozen=True, slots=True)
class ReceiptPage:
    services: Services

    async def answer(self, call: PageCall) -> Reply:
        text, receipt, fault, status = "", None, None, 200
        if call.method == "POST":
            try:
                self.services.rates.client.count(caller_source(call.peer, call.headers, self.services.proxies))
                text = (await read_form(call, self.services.limits.body)).get("receipt", "")
                receipt = read_receipt(text)
                fault = self._fault_of(receipt)
            except ServiceError as error:
                fault, status = error.detail or error.title, error.status
        return Reply(render("receipt/page.html", text=text, receipt=receipt, fault=fault), status, HTML, headers=HEADERS)

    def _fault_of(self, members: Mapping[str, Any]) -> str | None:
        """Without a proof that anybody can verify, the service's own signature decides. A receipt of an earlier edition names no shop."""
        if "proof" in members:
            return proof_fault(members, self.services.receipt_keys.published)
        shops = [shop for shop in self.services.shops if members.get("shop") in (None, shop.shop_id)]
        return None if is_ours(self.services.receipts, shops, members) else NOT_OURS


def read_receipt(text: str) -> dict[str, Any]:
    """A receipt, or an answer with exactly one. Raises Invalid."""
    try:
        found = receipts_in(text.encode("utf-8", "replace"))
    except ValueError:
        raise Invalid(NOT_ONE) from None
    if len(found) != 1:
        raise Invalid(NOT_ONE)
    return found[0]


def receipt_routes(services: Services) -> list[NamedRoute]:
    page = Page(ReceiptPage(services).answer)
    styles = (STATIC / "vendor" / "pico.min.css", DESIGN)
    routes = [NamedRoute("/receipt", page, methods=["GET", "POST"])]
    return routes + [NamedRoute(f"/receipt/static/{path.name}", file_page(path), methods=["GET"]) for path in styles]
