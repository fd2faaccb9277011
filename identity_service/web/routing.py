"""From an address to its endpoint."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from starlette.convertors import PathConvertor, register_url_convertor
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from identity_service.errors import NotFound
from identity_service.server.problems import is_tracking
from identity_service.web.endpoint import Endpoint


class AnyText(PathConvertor):
    """The rest of a path, including line breaks."""

    regex = r"[\s\S]*"


register_url_convertor("text", AnyText())


class Surface:
    """Finds addresses without parameters in one look-up. The library's router handles the rest: parameters, other methods, wrong
    addresses."""

    def __init__(self, routes: Sequence["NamedRoute"]) -> None:
        self._fixed = {(method, route.path): route for route in routes if "{" not in route.path for method in route.methods or ()}
        self._router = Router(routes, default=_nowhere, redirect_slashes=False)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        route = self._fixed.get((scope["method"], scope["path"]))
        if route is None:
            return self._router(scope, receive, send)
        scope["state"]["route"] = route.path
        return route.app(scope, receive, send)


@dataclass(frozen=True, slots=True)
class ByPort:
    """Serves everything on the internal port, and only the public addresses on any other."""

    internal_port: int
    everything: Surface
    public: Surface

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        surface = self.everything if scope["server"][1] == self.internal_port else self.public
        return surface(scope, receive, send)


class NamedRoute(Route):
    """A route that puts its template into the scope, so that logs and metrics never use the raw path."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["route"] = self.path
        await super().handle(scope, receive, send)


@dataclass(frozen=True, slots=True)
class ByRawPath:
    """Finds an order by its percent-encoded sale ID, from the raw path: the ID may contain a slash, so its end is lost in the decoded
    path."""

    order: Endpoint
    attribution: Endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sale, *rest = scope["raw_path"].partition(b"?")[0].decode("latin-1").split("/")[3:]
        scope["path_params"] = {"sale": unquote(sale)}
        if not sale or rest not in ([], ["attribution"]):
            raise NotFound("There is no such address; /docs lists them all. Percent-encode sale IDs in paths.")
        await (self.attribution if rest else self.order)(scope, receive, send)


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 an ASGI application
    if is_tracking(scope["path"]):
        raise NotFound("This service does not have this call: it tracks visitors and keeps no catalogue.")
    raise NotFound("There is no such address; /docs lists them all.")
