"""Addresses of the manual: /docs, its pages as HTML and as Markdown, their search and the files they print. None needs a key."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from identity_service.web.assets import MEDIA, STATIC, AssetPage
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


@dataclass(frozen=True, slots=True)
class ManualAnswer:
    """`answer` gets what was searched for. The first answers render pages, so they leave the worker's loop to other calls."""

    answer: Callable[[str], Reply]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 an ASGI application
        asked = parse_qs(scope["query_string"][: 4 * MOST_ASKED].decode("latin-1")).get("q", [""])[0]
        await send_reply(send, await asyncio.to_thread(self.answer, asked[:MOST_ASKED]))


def manual_routes() -> list[Named]:
    answers: dict[str, Callable[[str], Reply]] = {
        "/docs": lambda _: _html("index"),
        "/docs/api": lambda _: _page("docs/reference.html"),
        "/docs/search": _found,
        "/llms.txt": lambda _: Reply(llms().encode(), media=PLAIN),
        "/docs/index.md": lambda _: _source("index"),
    }
    for name in NAMES:
        answers[f"/docs/{name}"] = lambda _, name=name: _html(name)  # type: ignore[misc]
        answers[f"/docs/{name}.md"] = lambda _, name=name: _source(name)  # type: ignore[misc]
    for name, path in FILES.items():
        answers[f"/docs/{name}"] = lambda _, path=path: Reply(path.read_bytes(), media=PLAIN)  # type: ignore[misc]
    routes = [Named(path, ManualAnswer(answer), methods=["GET"]) for path, answer in answers.items()]
    return routes + [Named(f"/docs/static/{path.name}", AssetPage(path), methods=["GET"]) for path in FIXED if path.suffix in MEDIA]


def _html(name: str) -> Reply:
    return _page("docs/page.html", root="docs/" if name == "index" else "", page=pages()[name])


def _source(name: str) -> Reply:
    return Reply(pages()[name].markdown.encode(), media=MARKDOWN)


def _found(asked: str) -> Reply:
    return _page("docs/search.html", root="", asked=asked, found=search(asked))


def _page(template: str, **values: object) -> Reply:
    menu = [page for page in pages().values() if page.name != "index"]
    return Reply(rendered(template, menu=menu, **values), media=HTML, headers=PAGE_HEADERS)
