"""The demo shop's pages. They load nothing from other hosts, have no inline script, and store nothing on the device."""

import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from identity_service.errors import Forbidden, Malformed
from identity_service.web.auth import is_from_own_page
from identity_service.web.call import Reply
from identity_service.web.demo.catalogue import PRODUCTS, SHELVES, Cart, beside, cart_of, product_named
from identity_service.web.pages import PAGE_HEADERS, Page, PageCall

PUBLIC_KEY = "demo-public-key"
SALE = re.compile(r"demo-[0-9a-f]{8}")
LONGEST_EMAIL = 254
TEMPLATES = Environment(
    loader=ChoiceLoader([PackageLoader("identity_service.web.demo"), PackageLoader("identity_service.web")]),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class DemoCall:
    """A request for a page: the path's parameters, the cart in the URL, and the posted form."""

    parameters: Mapping[str, str]
    cart: Cart
    form: Mapping[str, str]


def shop_page(show: Callable[[DemoCall], Reply], most: int = 0) -> Page:
    """`most`: the maximum size of a posted form, in bytes. Raises Forbidden for a form of another page, and Malformed."""

    async def answer(call: PageCall) -> Reply:
        posted = await _form(call, most) if call.method == "POST" else ""
        return show(DemoCall(call.parameters, cart_of(posted or call.query), dict(parse_qsl(posted))))

    return Page(answer)


async def _form(call: PageCall, most: int) -> str:
    if not is_from_own_page(call.headers):
        raise Forbidden("Send this form from a page of the demo shop.")
    try:
        return (await call.read(most)).decode()
    except UnicodeDecodeError:
        raise Malformed("Send the form in UTF-8.") from None


def product_list(asked: DemoCall) -> Reply:
    return _page("list.html", asked.cart, shelves=SHELVES)


def product(asked: DemoCall) -> Reply:
    found = product_named(asked.parameters["id"])
    if found is None:
        return _page(
            "notice.html", asked.cart, status=404, title="Product not found", text="This shop has six products. Choose one of them."
        )
    return _page("product.html", asked.cart, pressed=asked.cart.ordered(found), product=found, shelf=beside(found))


def cart(asked: DemoCall) -> Reply:
    return _page("cart.html", asked.cart)


def confirmation(asked: DemoCall) -> Reply:
    """The email is posted, so that it appears in no URL. A form that is sent again has the same sale ID, so the order counts once."""
    email = asked.form.get("email", "").strip()[:LONGEST_EMAIL]
    if not asked.cart.items or not email:
        return _page("notice.html", asked.cart, title="No order yet", text="Add a product to the cart and order it with an email.")
    sent = asked.form.get("sale", "")
    sale = sent if SALE.fullmatch(sent) else new_sale()
    lines = [{"id": line.product.id, "quantity": line.quantity, "price": float(line.product.price)} for line in asked.cart.lines]
    return _page("confirmation.html", Cart(), bought=asked.cart, sale=sale, email=email, lines=json.dumps(lines))


def new_sale() -> str:
    return f"demo-{secrets.token_hex(4)}"


def _page(template: str, cart: Cart, *, pressed: Cart | None = None, status: int = 200, **values: Any) -> Reply:
    """`pressed`: the product that the panel's order button buys."""
    shared = {"cart": cart, "pressed": pressed or cart.ordered(PRODUCTS[0]), "next_sale": new_sale(), "email": ""}
    text = TEMPLATES.get_template(template).render(shared | values)
    return Reply(text.encode(), status, "text/html; charset=utf-8", headers=PAGE_HEADERS)
