"""Addresses of the manual: /docs, its pages as HTML and Markdown, their search, the API reference, and files that pages refer to. None
needs a key."""

import asyncio
from collections.abc import Callable
from functools import cache, partial
from urllib.parse import parse_qs

from identity_service.web.call import Reply
from identity_service.web.manual.book import FILES, NAMES, llms, pages, search
from identity_service.web.pages import DESIGN, HTML, PAGE_HEADERS, STATIC, Asset, Page, PageCall, asset, asset_of, document_page, render
from identity_service.web.routing import NamedRoute

PLAIN = "text/plain; charset=utf-8"
MARKDOWN = "text/markdown; charset=utf-8"
MOST_ASKED = 100
"""Most characters of a search. The rest is cut off."""
Makers = dict[str, Callable[[], Asset]]
VENDORED = ("pico.min.css", "swagger-ui.min.css", "swagger-ui.min.js")
FIXED = (DESIGN, *(STATIC / "vendor" / name for name in VENDORED), *sorted((STATIC / "docs").iterdir()))


@cache
def manual_routes() -> list[NamedRoute]:
    """The same for every service in this process."""
    texts: Makers = {"/llms.txt": _llms, **{f"/docs/{name}": partial(_file, name) for name in FILES}}
    texts |= {f"/docs/{name}.md": partial(_markdown, name) for name in ("index", *NAMES)}
    shown: Makers = {"/docs": partial(_html, "index"), "/docs/api": _reference, **{f"/docs/{name}": partial(_html, name) for name in NAMES}}
    routes = [NamedRoute(path, document_page(made), methods=["GET"]) for path, made in texts.items()]
    routes += [NamedRoute(path, document_page(made, PAGE_HEADERS), methods=["GET"]) for path, made in shown.items()]
    routes += [NamedRoute(f"/docs/static/{path.name}", document_page(partial(asset, path)), methods=["GET"]) for path in FIXED]
    return [*routes, NamedRoute("/docs/search", Page(_search_page), methods=["GET"])]


async def _search_page(call: PageCall) -> Reply:
    asked = parse_qs(call.query[: 4 * MOST_ASKED]).get("q", [""])[0][:MOST_ASKED]
    await asyncio.to_thread(pages)
    return Reply(_page("docs/search.html", root="", asked=asked, found=search(asked)), media=HTML, headers=PAGE_HEADERS)


@cache
def _llms() -> Asset:
    return asset_of(llms().encode(), PLAIN)


@cache
def _file(name: str) -> Asset:
    return asset_of(FILES[name].read_bytes(), PLAIN)


@cache
def _markdown(name: str) -> Asset:
    return asset_of(pages()[name].markdown.encode(), MARKDOWN)


@cache
def _html(name: str) -> Asset:
    return asset_of(_page("docs/page.html", root="docs/" if name == "index" else "", page=pages()[name]), HTML)


@cache
def _reference() -> Asset:
    return asset_of(render("docs/reference.html"), HTML)


def _page(template: str, **values: object) -> bytes:
    return render(template, menu=[pages()[name] for name in NAMES], **values)
