"""The routes of the demo shop. They exist if `server.demo` is set."""

from pathlib import Path

from identity_service.model.shop import Scope
from identity_service.web.call import Services
from identity_service.web.demo import pages
from identity_service.web.demo.pages import shop_page
from identity_service.web.demo.panel import show
from identity_service.web.demo.payloads import PanelAnswer, PanelBody, StartedOver
from identity_service.web.demo.start_over import start_over
from identity_service.web.endpoint import Endpoint, Row
from identity_service.web.pages import MEDIA, file_page
from identity_service.web.payloads import Body
from identity_service.web.routing import NamedRoute

STATIC = Path(__file__).parent / "static"


def demo_shop(services: Services) -> list[NamedRoute]:
    routes = [
        NamedRoute("/shop", shop_page(pages.product_list), methods=["GET"]),
        NamedRoute("/shop/product/{id}", shop_page(pages.product), methods=["GET"]),
        NamedRoute("/shop/cart", shop_page(pages.cart), methods=["GET"]),
        NamedRoute("/shop/confirmation", shop_page(pages.confirmation, services.limits.body), methods=["GET", "POST"]),
        NamedRoute("/shop/panel", Endpoint(services, Row("shop/panel", show, PanelBody, PanelAnswer, scope=Scope.ISSUE)), methods=["POST"]),
        NamedRoute(
            "/shop/start-over",
            Endpoint(services, Row("shop/start-over", start_over, Body, StartedOver, scope=Scope.ISSUE)),
            methods=["POST"],
        ),
    ]
    files = sorted(path for path in STATIC.rglob("*") if path.suffix in MEDIA)
    return routes + [NamedRoute(f"/shop/static/{path.relative_to(STATIC).as_posix()}", file_page(path), methods=["GET"]) for path in files]
