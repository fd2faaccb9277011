"""The browser snippet `/visitor.js`: compressed once, with an entity tag, and the integrity hash that its tag may carry."""

import gzip
import hashlib
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.types import Receive, Scope, Send

from identity_service.web.endpoints import Reply, send_reply

MEDIA = "text/javascript; charset=utf-8"
SHARED = ((b"cache-control", b"public, max-age=3600"), (b"vary", b"Accept-Encoding"), (b"access-control-allow-origin", b"*"))


@dataclass(frozen=True, slots=True)
class Script:
    plain: bytes
    compressed: bytes
    integrity: str

    @property
    def version(self) -> str:
        """Eight characters of its hash; a page that asks for `/visitor.js?v=VERSION` gets what it was tested with, or is told otherwise by
        the integrity hash."""
        return hashlib.sha256(self.plain).hexdigest()[:8]


@cache
def script() -> Script:
    plain = (Path(__file__).parent / "static" / "visitor.js").read_bytes()
    return Script(plain, gzip.compress(plain, mtime=0), f"sha384-{b64encode(hashlib.sha384(plain).digest()).decode()}")


class Snippet:
    """As an ASGI application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 an ASGI application
        headers, found = scope["state"]["headers"], script()
        tag = f'"{found.version}"'
        shared = [*SHARED, (b"etag", tag.encode())]
        if tag in headers.get("if-none-match", ""):
            await send_reply(send, Reply(b"", 304, MEDIA, headers=shared))
        elif "gzip" in headers.get("accept-encoding", ""):
            await send_reply(send, Reply(found.compressed, 200, MEDIA, headers=[*shared, (b"content-encoding", b"gzip")]))
        else:
            await send_reply(send, Reply(found.plain, 200, MEDIA, headers=shared))
