"""Files and documents for browsers and programs, compressed once, with an entity tag for each encoding."""

import asyncio
import gzip
import hashlib
import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.types import Receive, Scope, Send

from identity_service.web.endpoints import Reply, send_reply

STATIC = Path(__file__).parent / "static"
SNIPPET = Path(__file__).parent / "snippet"
PARTS = ("delivery", "identity", "banners", "pages", "commands")
"""Of the snippet, in their order: each may use at once what the ones before it define."""
TOKENS = re.compile(r"'(?:[^'\\]|\\.)*'|/(?:[^/\\[]|\\.|\[(?:[^\]\\]|\\.)*\])+/[a-z]*| *([=+*<>!?:;,&|(){}\[\]-]+) *")
"""Of JavaScript: a text, a regular expression, or operators with the spaces around them."""
MEDIA = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
FOREIGN = ((b"access-control-allow-origin", b"*"),)
SHARED = ((b"cache-control", b"public, max-age=3600"), (b"vary", b"Accept-Encoding"))
GZIP = re.compile(r"\s*(?:x-)?gzip\s*(?:;\s*q\s*=\s*(?P<weight>[0-9.]*)\s*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Asset:
    """`integrity`: as a tag's attribute of that name takes it. `version`: eight characters of its hash."""

    plain: bytes
    compressed: bytes
    media: str
    integrity: str
    version: str


@cache
def asset(path: Path) -> Asset:
    """Raises FileNotFoundError, KeyError for a kind of file that is not served."""
    return asset_of(snippet().encode(), MEDIA[".js"]) if path == SNIPPET else asset_of(path.read_bytes(), MEDIA[path.suffix])


def snippet() -> str:
    """The parts in one function, without comments and the spaces that nothing needs. In the parts a comment is a whole line, texts have
    single quotes, every statement ends with its semicolon, and a slash outside of a text begins a regular expression."""
    lines = (line.strip() for part in PARTS for line in (SNIPPET / f"{part}.js").read_text(encoding="utf-8").splitlines())
    code = " ".join(line for line in lines if not line.startswith("//"))
    return f"(function(w,d){{'use strict';{TOKENS.sub(lambda found: found[1] or found[0], code)}}})(window,document);\n"


def asset_of(plain: bytes, media: str) -> Asset:
    integrity = f"sha384-{b64encode(hashlib.sha384(plain).digest()).decode()}"
    return Asset(plain, gzip.compress(plain, mtime=0), media, integrity, hashlib.sha256(plain).hexdigest()[:8])


@dataclass(frozen=True, slots=True)
class AssetPage:
    """One file as an ASGI application. `foreign`: pages of other hosts may use it with an integrity hash."""

    path: Path
    foreign: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 an ASGI application
        await _send(scope, send, asset(self.path), FOREIGN if self.foreign else ())


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """What is made when it is first asked for, as an ASGI application. Making it leaves the worker's loop to other calls."""

    content: Callable[[], Asset]
    headers: Sequence[tuple[bytes, bytes]] = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 an ASGI application
        await _send(scope, send, await asyncio.to_thread(self.content), self.headers)


async def _send(scope: Scope, send: Send, found: Asset, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    """The encodings are two representations, so each has a tag of its own (RFC 9110, 8.8.3.3), and only its own makes a 304."""
    asked = scope["state"]["headers"]
    zipped = _takes_gzip(asked.get("accept-encoding", ""))
    tag = f'"{found.version}-gzip"' if zipped else f'"{found.version}"'
    shared = [*SHARED, (b"etag", tag.encode()), *headers]
    if _names(asked.get("if-none-match", ""), tag):
        await send({"type": "http.response.start", "status": 304, "headers": shared})
        await send({"type": "http.response.body", "body": b""})
    elif zipped:
        await send_reply(send, Reply(found.compressed, 200, found.media, headers=[*shared, (b"content-encoding", b"gzip")]))
    else:
        await send_reply(send, Reply(found.plain, 200, found.media, headers=shared))


def _takes_gzip(accepted: str) -> bool:
    """An encoding of weight 0 is refused."""
    named = [one for one in map(GZIP.fullmatch, accepted.split(",")) if one]
    return any(one["weight"] is None or one["weight"].strip("0.") for one in named)


def _names(wanted: str, tag: str) -> bool:
    """`If-None-Match` compares weakly: a cache on the way may have weakened a tag."""
    return wanted.strip() == "*" or tag in {one.strip().removeprefix("W/") for one in wanted.split(",")}
