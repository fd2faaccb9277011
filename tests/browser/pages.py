"""A shop's pages on an origin of their own: a path gives the page of that name, with the snippet at its end."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STUB = "<script>window.__clerk_q=window.__clerk_q||[];window.Clerk=window.Clerk||function(){window.__clerk_q.push(arguments)};</script>"


@dataclass
class Pages:
    """`bodies`: by path, without the snippet. `service`: where the snippet comes from; set it to break it."""

    port: int
    service: str = ""
    bodies: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def page(self, path: str) -> str:
        body = self.bodies.get(path.partition("?")[0], "")
        return f"<!doctype html><meta charset=utf-8><title>shop</title>{STUB}{body}<script async src='{self.service}/visitor.js'></script>"


@contextmanager
def pages() -> Iterator[Pages]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = found.page(self.path).encode()
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
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
