"""Addresses of the manual: /docs, its pages as HTML and as Markdown, their search, the API reference, and the files that pages print. None
needs a key."""

import asyncio
from functools import cache, partial
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from identity_service.web.assets import STATIC, Asset, DocumentPage, asset, asset_of
from identity_service.web.endpoints import Reply, send_reply
from identity_service.web.manual.book import FILES, NAMES, llms, pages, search
from identity_service.web.rendering import HTML, PAGE_HEADERS, rendered
from identity_service.web.routing import Named

PLAIN = "text/plain; charset=utf-8"
MARKDOWN = "text/markdown; charset=utf-8"
MOST_ASKED = 100
"""Characters of a search; more are left out."""
VENDORED = ("pico.min.css", "swagger-ui.min.css", "swagger-ui.min.js")
FIXED = (*(STATIC / "vendor" / name for name in VENDORED), *sorted((STATIC / "docs").iterdir()))


def manual_routes() -> list[Named]:
    routes = [Named(path, DocumentPage(partial(_text, path)), methods=["GET"]) for path in _texts()]
    for path, name in {"/docs": "index", "/docs/api": "api", **{f"/docs/{name}": name for name in NAMES}}.items():
        routes.append(Named(path, DocumentPage(partial(_html, name), PAGE_HEADERS), methods=["GET"]))
    routes.append(Named("/docs/search", SearchPage(), methods=["GET"]))
    return routes + [Named(f"/docs/static/{path.name}", DocumentPage(partial(asset, path)), methods=["GET"]) for path in FIXED]


class SearchPage:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 an ASGI application
        asked = parse_qs(scope["query_string"][: 4 * MOST_ASKED].decode("latin-1")).get("q", [""])[0][:MOST_ASKED]
        await asyncio.to_thread(pages)
        found = search(asked)
        await send_reply(send, Reply(_page("docs/search.html", root="", asked=asked, found=found), media=HTML, headers=PAGE_HEADERS))


def _texts() -> list[str]:
    return ["/llms.txt", *(f"/docs/{name}.md" for name in ("index", *NAMES)), *(f"/docs/{name}" for name in FILES)]


@cache
def _text(path: str) -> Asset:
    name = path.removeprefix("/docs/")
    if name in FILES:
        return asset_of(FILES[name].read_bytes(), PLAIN)
    if path.endswith(".md"):
        return asset_of(pages()[name.removesuffix(".md")].markdown.encode(), MARKDOWN)
    return asset_of(llms().encode(), PLAIN)


@cache
def _html(name: str) -> Asset:
    if name == "api":
        return asset_of(rendered("docs/reference.html"), HTML)
    return asset_of(_page("docs/page.html", root="docs/" if name == "index" else "", page=pages()[name]), HTML)


def _page(template: str, **values: object) -> bytes:
    return rendered(template, menu=[page for page in pages().values() if page.name != "index"], **values)
