"""What the plugins of shop systems send: confirmation pages by their templates, and calls of their API classes. Data only.

A template's members are in the types that its system prints: Magento casts prices to floats, PrestaShop keeps IDs and quantities as text,
WooCommerce divides a line's total by its quantity. A page sends them through Clerk.js by GET, or through the snippet by POST.
"""

from dataclasses import dataclass, field
from typing import Any

KEY, PRIVATE = "demo-public-key", "demo-private-key"
EMAIL = "luke@skywalker.com"
BROWSER = "Mozilla/5.0 (X11) Gecko/20100101 Firefox/140.0"
PAGE = {"origin": "http://localhost:8080", "referer": "http://localhost:8080/checkout/success", "user-agent": BROWSER}
PIXEL = {"origin": "null", "sec-fetch-site": "cross-site", "content-type": "text/plain;charset=UTF-8", "user-agent": BROWSER}
PHP_CURL = {"accept": "*/*", "content-type": "application/x-www-form-urlencoded"}
"""PHP's curl names no agent, and calls JSON a form unless it is given a content type."""
PHP_CURL_JSON = {"accept": "*/*", "content-type": "application/json"}
ZEND = {"user-agent": "Zend_Http_Client", "accept-encoding": "gzip, deflate", "connection": "close"}
WORDPRESS = {"user-agent": "WordPress/6.8.2; https://shop.example", "accept": "*/*", "accept-encoding": "deflate, gzip, br"}
WOOCOMMERCE = WORDPRESS | {"user-agent": "ClerkExtensionBot WooCommerce/v6.8.2 Clerk/v4.1.2 PHP/v8.3.6"}
SYMFONY = {"user-agent": "Symfony HttpClient (Curl)", "accept": "*/*"}


@dataclass(frozen=True)
class Template:
    """A confirmation page. `revenue`: what the order is worth. `linked`: whether the page names the buyer's email.

    `script`: the order is said by a script's `Clerk('call', …)`, not by an element in the markup, so that its email can be proof."""

    plugin: str
    sale: str | int
    products: list[dict[str, Any]]
    revenue: str
    more: dict[str, Any] = field(default_factory=dict)
    linked: bool = True
    script: bool = False


@dataclass(frozen=True)
class ServerCall:
    """A call of a plugin's API class. GET sends `said` as a query, POST as JSON. `status`: 404 for a call that is no tracking."""

    plugin: str
    method: str
    path: str
    said: dict[str, Any]
    headers: dict[str, str]
    status: int = 200

    @property
    def name(self) -> str:
        return f"{self.plugin} {self.method} {self.path}"


def line(product: object, quantity: object, price: object) -> dict[str, Any]:
    return {"id": product, "quantity": quantity, "price": price}


TEMPLATES = [
    Template("magento 1", "100000567", [line("231", 2, "99.9500"), line("877", 1, "14.0000")], "213.9", {"email": EMAIL, "customer": "12"}),
    Template("magento 1, guest", "100000568", [line("231", 1, "99.9500")], "99.95", {"email": EMAIL, "customer": ""}),
    Template("magento 2", "000000567", [line("12793", 2, 99.95), line("1546", 1, 14)], "213.9", {"email": EMAIL}),
    Template("magento 2, no emails", "000000568", [line("12793", 1, 99.95)], "99.95", {"email": ""}, linked=False),
    Template("woocommerce", "1077", [line(12, 3, 33.333333333333336), line(13, 1, 0.1)], "100.100000000000008", {"email": EMAIL}),
    Template("prestashop", "42", [line("4", "2", 23.9), line("19", "1", 4.199999999999999)], "51.999999999999999", {"email": EMAIL}),
    Template("prestashop, no emails", "43", [line("4", "1", 23.9)], "23.9", linked=False),
    Template("shopware 5", "20005", [line("SW10178", "2", "19.95"), line("SW10012.1", "1", "7.5")], "47.4", {"email": EMAIL}),
    Template(
        "shopware 6",
        "10005",
        [line("0189f1b5c2d07000a8f1c2d3e4f5a6b7", 1, 495.95), line("0189f1b5c2d07000a8f1c2d3e4f5a6b8", 2, 20)],
        "535.95",
        {"email": EMAIL},
    ),
    Template(
        "shopware 6, no emails", "10006", [line("0189f1b5c2d07000a8f1c2d3e4f5a6b7", 1, 495.95)], "495.95", {"email": ""}, linked=False
    ),
    Template("sylius", "118", [line(57, 2, 45.5), line(3, 1, 12)], "103", {"email": EMAIL, "customer": "31"}),
    Template("sylius, guest", "119", [line(57, 1, 45.5)], "45.5", {"email": "", "customer": ""}, linked=False),
    Template("jtl", "B-2026-1881", [line(90211, 1, 129.9)], "129.9", {"email": EMAIL}),
    Template("vtex", "1305371685465-01", [line("310118450", 1, 8.5), line("12", 3, 2)], "14.5", {"email": EMAIL}, script=True),
    Template("wix", "5f3e0c1a-7b1d-4a0f-9c66-2f0e5a3b9d10", [line("df19c1f7-07d8-a265-42f8-e8dfa824cc6e", 1, 35)], "35", linked=False),
    Template(
        "tag manager",
        "T-98121",
        [line("SKU_12345", 3, 9.99) | {"name": "Tee", "currency": "DKK"}, line("SKU_12346", "1", "21.01")],
        "50.98",
        {"email": None, "currency": "DKK", "value": 72.05, "tax": 4.9},
        linked=False,
        script=True,
    ),
]
IDS_ALONE = {"sale": "ORD-9876", "products": [111, "222"], "email": EMAIL}
"""What a tag of a tag manager says of an order: IDs of products without quantities and prices."""
BASKET = {"key": KEY, "email": EMAIL}
RETURN = {"key": KEY, "private_key": PRIVATE, "order": "000000567"}
MESSAGE = {
    "key": KEY,
    "time": 1_795_000_000,
    "type": "warn",
    "message": f"no stock for {EMAIL}",
    "metadata": {"uri": "/cart", "params": [1]},
}
BOTH_KEYS = {"key": KEY, "private_key": PRIVATE}
SERVER_CALLS = [
    ServerCall("magento 1", "POST", "log/basket/set", BASKET | {"products": ["231", "877"]}, PHP_CURL),
    ServerCall("magento 1", "POST", "log/returned", RETURN | {"product": "231", "quantity": "1.0000"}, PHP_CURL_JSON),
    ServerCall("magento 1", "POST", "log/debug", MESSAGE | {"source": "Magento1"}, PHP_CURL),
    ServerCall("magento 1", "GET", "client/account/info", BOTH_KEYS, ZEND),
    ServerCall("magento 1", "GET", "product/remove", BOTH_KEYS | {"products": '["231"]'}, ZEND, 404),
    ServerCall("magento 2", "POST", "log/basket/set", BASKET | {"products": ["12793", "1546"]}, PHP_CURL),
    ServerCall("magento 2", "GET", "log/returned", RETURN | {"product": "12793", "quantity": 1}, {"accept": "*/*"}),
    ServerCall("magento 2", "POST", "log/debug", MESSAGE | {"source": "Magento2"}, PHP_CURL),
    ServerCall("magento 2", "GET", "client/account/info", BOTH_KEYS, {"accept": "*/*"}),
    ServerCall("magento 2", "POST", "product/add", BOTH_KEYS | {"products": [{"id": "12793"}]}, PHP_CURL, 404),
    ServerCall("woocommerce", "POST", "log/basket/set", BASKET | {"products": [12, 13]}, WORDPRESS | PHP_CURL),
    ServerCall("woocommerce", "POST", "log/debug", MESSAGE | {"source": "WooCommerce"}, WOOCOMMERCE | PHP_CURL),
    ServerCall("woocommerce", "POST", "products", BOTH_KEYS | {"products": [{"id": 12}]}, WORDPRESS | PHP_CURL_JSON, 404),
    ServerCall("prestashop", "POST", "log/basket/set", BASKET | {"products": [4, 19]}, PHP_CURL),
    ServerCall("prestashop", "POST", "log/debug", MESSAGE | {"source": "Prestashop"}, PHP_CURL),
    ServerCall("shopware 6", "GET", "recommendations/popular", {"key": KEY}, {"accept": "*/*"}, 404),
]
VERIFIERS = {
    "magento 1": ZEND,
    "magento 2": {"accept": "*/*"},
    "woocommerce": WORDPRESS,
    "prestashop": {"accept": "*/*"},
    "sylius": SYMFONY,
}
"""Plugins that let the service verify a token, and with which headers."""
