"""A shop's server around the edge, with sessions in its memory."""

import importlib.util
import json
import os
import secrets
from collections import defaultdict
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

spec = importlib.util.spec_from_file_location("edge", os.environ["EDGE"])
assert spec is not None
assert spec.loader is not None
edge = importlib.util.module_from_spec(spec)
spec.loader.exec_module(edge)
sessions: defaultdict[str, dict[str, Any]] = defaultdict(dict)


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        sent = SimpleCookie(self.headers.get("cookie", "")).get("sid")
        name = sent.value if sent else secrets.token_hex(8)
        cookies = [f"sid={name}"]
        visit = edge.Visit(self.headers, self.client_address[0], sessions[name], cookies.append, self.command, self.path)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        text = self.ordered(visit, body) if self.path == "/order" else edge.visitor(visit) or "nobody"
        self.send_response(200)
        for cookie in cookies:
            self.send_header("Set-Cookie", cookie)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def ordered(self, visit: Any, body: bytes) -> str:
        return "kept" if edge.sale(visit, json.loads(body)) else "lost"

    def log_message(self, *_: object) -> None: ...


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Page).serve_forever()
