"""Files for browsers, read and compressed once, with an entity tag."""

import gzip
import hashlib
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.types import Receive, Scope, Send

from identity_service.web.endpoints import Reply, send_reply

STATIC = Path(__file__).parent / "static"
SNIPPET = STATIC / "visitor.js"
MEDIA = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
SHARED = ((b"cache-control", b"public, max-age=3600"), (b"vary", b"Accept-Encoding"))


@dataclass(frozen=True, slots=True)
class Asset:
    """`integrity`: as a tag's attribute of that name takes it."""

    plain: bytes
    compressed: bytes
    media: str
    integrity: str

    @property
    def version(self) -> str:
        """Eight characters of its hash."""
        return hashlib.sha256(self.plain).hexdigest()[:8]


@cache
def asset(path: Path) -> Asset:
    """Raises FileNotFoundError, KeyError for a kind of file that is not served."""
    plain = path.read_bytes()
    integrity = f"sha384-{b64encode(hashlib.sha384(plain).digest()).decode()}"
    return Asset(plain, gzip.compress(plain, mtime=0), MEDIA[path.suffix], integrity)


@dataclass(frozen=True, slots=True)
class AssetPage:
    """One file as an ASGI application. `foreign`: pages of other hosts may use it with an integrity hash."""

    path: Path
    foreign: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 an ASGI application
        headers, found = scope["state"]["headers"], asset(self.path)
        tag = f'"{found.version}"'
        shared = [*SHARED, (b"etag", tag.encode()), *([(b"access-control-allow-origin", b"*")] if self.foreign else [])]
        if tag in headers.get("if-none-match", ""):
            await send_reply(send, Reply(b"", 304, found.media, headers=shared))
        elif "gzip" in headers.get("accept-encoding", ""):
            await send_reply(send, Reply(found.compressed, 200, found.media, headers=[*shared, (b"content-encoding", b"gzip")]))
        else:
            await send_reply(send, Reply(found.plain, 200, found.media, headers=shared))
