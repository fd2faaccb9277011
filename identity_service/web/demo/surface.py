"""What the demo shop adds to the surface, where `server.demo` is set."""

from identity_service.web.demo import pages
from identity_service.web.demo.files import Files
from identity_service.web.demo.pages import ShopPage
from identity_service.web.demo.panel import show
from identity_service.web.demo.payloads import PanelBody
from identity_service.web.endpoints import Endpoint, Services
from identity_service.web.routing import Named


def demo_shop(services: Services) -> list[Named]:
    return [
        Named("/shop", ShopPage(pages.product_list), methods=["GET"]),
        Named("/shop/product/{id}", ShopPage(pages.product), methods=["GET"]),
        Named("/shop/cart", ShopPage(pages.cart), methods=["GET"]),
        Named("/shop/confirmation", ShopPage(pages.confirmation, services.limits.body), methods=["GET", "POST"]),
        Named("/shop/static/{name:path}", Files(), methods=["GET"]),
        Named("/shop/panel", Endpoint(services, show, PanelBody), methods=["POST"]),
    ]
