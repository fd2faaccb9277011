"""Calls into the application without a client library: any header may be sent, and thousands a second."""

import json
from dataclasses import dataclass
from typing import Any

from identity_service.app import Application

HOST = (b"host", b"service.test")
AGENT = (b"user-agent", b"Mozilla/5.0 (X11) Gecko/20100101 Firefox/140.0")
PAGE = "http://localhost:8080"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for told, value in self.headers if told == name]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def bearer(key: str) -> tuple[bytes, bytes]:
    return (b"authorization", f"Bearer {key}".encode())


async def call(application: Application, method: str, target: str, *headers: tuple[bytes, bytes], body: Any = None) -> Answer:
    """`body`: bytes as they are, anything else as JSON. From one client's address."""
    path, _, query = target.partition("?")
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "client": ("203.0.113.7", 4711),
        "headers": [HOST, *headers],
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await application(scope, receive, send)
    told = [(name.decode(), value.decode("latin-1")) for name, value in sent[0]["headers"]]
    return Answer(sent[0]["status"], told, b"".join(message.get("body", b"") for message in sent[1:]))
