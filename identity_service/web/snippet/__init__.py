"""/visitor.js, put together from the parts in this folder when it is first asked for."""

import re
from functools import cache
from pathlib import Path

from identity_service.web.pages import MEDIA, Asset, Page, asset_of, document_page

FOLDER = Path(__file__).parent
PARTS = ("delivery", "identity", "banners", "pages", "commands")
"""Of the snippet, in their order: each may use at once what the ones before it define."""
TOKENS = re.compile(r"'(?:[^'\\]|\\.)*'|/(?:[^/\\[]|\\.|\[(?:[^\]\\]|\\.)*\])+/[a-z]*| *([=+*<>!?:;,&|(){}\[\]-]+) *")
"""Of JavaScript: a text, a regular expression, or operators with the spaces around them."""
FOREIGN = ((b"access-control-allow-origin", b"*"),)
"""Pages of other hosts may use it with an integrity hash."""


def code() -> str:
    """The parts in one function, without comments and the spaces that nothing needs. In the parts a comment is a whole line, texts have
    single quotes, every statement ends with its semicolon, and a slash outside of a text begins a regular expression."""
    lines = (line.strip() for part in PARTS for line in (FOLDER / f"{part}.js").read_text(encoding="utf-8").splitlines())
    code = " ".join(line for line in lines if not line.startswith("//"))
    return f"(function(w,d){{'use strict';{TOKENS.sub(lambda found: found[1] or found[0], code)}}})(window,document);\n"


@cache
def snippet() -> Asset:
    return asset_of(code().encode(), MEDIA[".js"])


def snippet_page() -> Page:
    return document_page(snippet, FOREIGN)
