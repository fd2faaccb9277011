"""A shop's pages on an origin of their own: a path gives the page of that name, with the snippet at its end."""

import mimetypes
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

STUB = "<script>window.__clerk_q=window.__clerk_q||[];window.Clerk=window.Clerk||function(){window.__clerk_q.push(arguments)};</script>"


def each(names: Iterable[str], *first: str) -> list[Any]:
    """Of many that are alike: the `first` in every run, the others with --long."""
    return [name if name in first else pytest.param(name, marks=pytest.mark.thorough) for name in names]


@dataclass
class Pages:
    """`bodies`: by path, without the snippet, whose tag may have `attributes` there. `service`: where the snippet comes from; set it to
    break it. `libraries`: folders by name, each served under `/libraries/NAME/`. `files`: whole answers by path."""

    port: int
    service: str = ""
    bodies: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)
    libraries: dict[str, Path] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def page(self, path: str) -> str:
        plain = path.partition("?")[0]
        tag = f"<script async src='{self.service}/visitor.js' {self.attributes.get(plain, '')}></script>"
        return f"<!doctype html><meta charset=utf-8><title>shop</title>{STUB}{self.bodies.get(plain, '')}{tag}"

    def answer(self, path: str) -> tuple[bytes, str]:
        """The content, and its media type."""
        plain = path.partition("?")[0]
        if plain in self.files:
            return self.files[plain].encode(), "text/javascript" if plain.endswith(".js") else "text/html; charset=utf-8"
        for name, folder in self.libraries.items():
            if plain.startswith(f"/libraries/{name}/"):
                file = folder / plain.removeprefix(f"/libraries/{name}/")
                return file.read_bytes(), mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        return self.page(path).encode(), "text/html; charset=utf-8"


@contextmanager
def pages() -> Iterator[Pages]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content, media = found.answer(self.path)
            self.send_response(200)
            self.send_header("content-type", media)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 the library's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Pages(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
