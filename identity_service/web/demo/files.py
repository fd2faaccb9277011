"""The demo shop's files: read and compressed once, each with an entity tag."""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.types import Receive, Scope, Send

from identity_service.errors import NotFound
from identity_service.web.endpoints import Reply, send_reply

STATIC = Path(__file__).parent / "static"
MEDIA = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class File:
    plain: bytes
    compressed: bytes
    media: str
    tag: str


class Files:
    """As an ASGI application; the name is the path's parameter `name`."""

    def __init__(self) -> None:
        self._files = {path.relative_to(STATIC).as_posix(): _file(path) for path in STATIC.rglob("*") if path.suffix in MEDIA}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 an ASGI application
        found, headers = self._files.get(scope["path_params"]["name"]), scope["state"]["headers"]
        if found is None:
            raise NotFound("The demo shop has no such file.")
        shared = [(b"cache-control", b"public, no-cache"), (b"vary", b"Accept-Encoding"), (b"etag", found.tag.encode())]
        if found.tag in headers.get("if-none-match", ""):
            await send_reply(send, Reply(b"", 304, found.media, headers=shared))
        elif "gzip" in headers.get("accept-encoding", ""):
            await send_reply(send, Reply(found.compressed, 200, found.media, headers=[*shared, (b"content-encoding", b"gzip")]))
        else:
            await send_reply(send, Reply(found.plain, 200, found.media, headers=shared))


def _file(path: Path) -> File:
    plain = path.read_bytes()
    return File(plain, gzip.compress(plain, mtime=0), MEDIA[path.suffix], f'"{hashlib.sha256(plain).hexdigest()[:16]}"')
