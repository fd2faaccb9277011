"""Pages of the manual as HTML and Markdown, and their search. All pages are read and rendered once, at the first request."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count, pairwise
from pathlib import Path
from threading import Lock

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from identity_service.settings.load import config_directory

FOLDER = Path(__file__).parent
NAMES = (
    "contract",
    "consent",
    "counting",
    "receipts",
    "tracking",
    "snippet",
    "own-banner",
    "edges",
    "agents",
    "admin",
    "operations",
    "deploy",
    "security",
    "papers",
    "store",
    "scale",
    "measurements",
    "decisions",
    "changes",
)
"""In reading order. `index` comes before them."""
FILES = {
    **{f"edges/{path.name}": path for path in sorted((FOLDER / "edges").glob("edge.*"))},
    **{name: config_directory() / name for name in ("default.toml", "strict.toml", "production.toml")},
    **{path.name: path for path in sorted((config_directory() / "deploy").iterdir())},
}
"""Files that pages refer to, served as plain text."""
LANGUAGES = {".php": "php", ".mjs": "js", ".py": "python", ".go": "go"}
PRINTED = re.compile(r"^\[[^\]]+\]\((edges/edge\.\w+)\)$", re.MULTILINE)
"""A paragraph that only links to an edge's file. The file is printed below it."""
MOST_WORDS = 8
MOST_FOUND = 20
EXCERPT = 220
MAKING = Lock()
COMMON = re.compile("a|an|and|are|as|can|do|for|how|i|in|is|it|my|of|on|or|own|the|to|what|where|which|who|why|with|write")


@dataclass(frozen=True, slots=True)
class Passage:
    """The text under one heading, without markup."""

    page: str
    page_title: str
    anchor: str
    title: str
    text: str
    folded: str
    title_words: frozenset[str]
    words: Counter[str]

    def excerpt(self, words: Sequence[str]) -> str:
        """The text around the first of the words."""
        first = min((at for at in (self.folded.find(word) for word in words) if at >= 0), default=0)
        begin = max(0, first - EXCERPT // 3)
        return f"{'… ' if begin else ''}{self.text[begin : begin + EXCERPT].strip()} …"


@dataclass(frozen=True, slots=True)
class ManualPage:
    """`lead`: the first paragraph, one sentence about the page."""

    name: str
    title: str
    lead: str
    markdown: str
    html: Markup
    passages: tuple[Passage, ...]


def pages() -> dict[str, ManualPage]:
    with MAKING:  # so that only one thread makes them
        return _pages()


@cache
def _pages() -> dict[str, ManualPage]:
    return {name: _page(name) for name in ("index", *NAMES)}


def search(asked: str) -> list[tuple[Passage, str]]:
    """Passages that contain any of the words, best match first, each with an excerpt. Empty without words."""
    typed = asked.casefold().split()[:MOST_WORDS]
    words = [word for word in typed if not COMMON.fullmatch(word)] or typed
    scored = [(_score(passage, words), passage) for page in pages().values() for passage in page.passages]
    best = sorted((one for one in scored if one[0] > (0, 0)), key=lambda one: one[0], reverse=True)[:MOST_FOUND]
    return [(passage, passage.excerpt(words)) for _, passage in best]


def llms() -> str:
    """The list of pages in the format of llmstxt.org."""
    index, *others = pages().values()
    listed = "\n".join(f"- [{page.title}](docs/{page.name}.md): {page.lead}" for page in others)
    return f"# {index.title}\n\n> {index.lead}\n\n## Manual\n\n{listed}\n\n## API\n\n- [OpenAPI 3.1](openapi.json): every call\n"


def anchor_of(heading: str) -> str:
    """The anchor that GitHub makes, so that links work in the repository and under /docs."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _page(name: str) -> ManualPage:
    text = PRINTED.sub(_with_file, (FOLDER / f"{name}.md").read_text(encoding="utf-8"))
    tokens = _markdown().parse(text)
    title, lead, *_ = (_plain(token) for token in tokens if token.type == "inline")
    _rewrite(tokens, "docs/" if name == "index" else "")
    html = _html_of(_markdown().renderer.render(tokens, _markdown().options, {}))
    return ManualPage(name, title, lead, text, html, tuple(_passages(name, title, tokens)))


@cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def _html_of(html: str) -> Markup:
    """Makes wide tables and code scroll by themselves, also by keyboard. Pages contain no raw HTML, so every tag is the renderer's."""
    numbers = count(1)

    def scrolling(_: re.Match[str]) -> str:
        return f'<div class="scrolls" tabindex="0" role="region" aria-label="Table {next(numbers)}"><table>'

    html = html.replace("<pre>", '<pre tabindex="0">').replace("<th></th>", "<td></td>")  # an empty cell heads no column
    html = re.sub("<table>", scrolling, html).replace("</table>", "</table></div>")
    return Markup(html)  # noqa: S704 our own pages, without raw HTML


def _with_file(found: re.Match[str]) -> str:
    path = FOLDER / found[1]
    return f"{found[0]}\n\n```{LANGUAGES[path.suffix]}\n{path.read_text(encoding='utf-8')}```"


def _rewrite(tokens: list[Token], root: str) -> None:
    """Adds anchors to headings and to rows of a table of codes. Rewrites links to the addresses at which pages and files are served."""
    of_codes = False
    for before, token, following in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if token.type == "heading_open":
            token.attrSet("id", anchor_of(_plain(following)))
        elif before.type == "tr_open" and token.type == "th_open":
            of_codes = _plain(following) == "code"
        elif before.type == "tr_open" and of_codes:
            before.attrSet("id", anchor_of(_plain(following)))
    for child in (child for token in tokens for child in token.children or ()):
        if child.type == "link_open":
            child.attrSet("href", _address_of(str(child.attrGet("href")), root))


def _address_of(href: str, root: str) -> str:
    target, mark, anchor = href.partition("#")
    if "://" in href or not target:
        return href
    name = target if target in FILES else target.rsplit("/", 1)[-1]
    return f"{root}{name.removesuffix('.md')}{mark}{anchor}"


def _passages(page: str, page_title: str, tokens: list[Token]) -> Iterator[Passage]:
    anchor, title, texts = "", page_title, list[str]()
    for before, token in pairwise(tokens):
        if before.type == "heading_open":
            if texts:
                yield _passage(page, page_title, anchor, title, " ".join(texts))
            anchor, title, texts = str(before.attrGet("id") or ""), _plain(token), []
        elif token.type in {"inline", "fence", "code_block"}:
            texts.append(_plain(token))
    yield _passage(page, page_title, anchor, title, " ".join(texts))


def _passage(page: str, page_title: str, anchor: str, title: str, text: str) -> Passage:
    folded, heading = text.casefold(), title.casefold()
    return Passage(page, page_title, anchor, title, text, folded, frozenset(_words(heading)), Counter(_words(folded)))


def _words(text: str) -> list[str]:
    """The words with inner dots, dashes and slashes, and their parts."""
    whole = re.findall(r"[\w/{}.:-]*\w", text)
    return whole + [part for word in whole for part in re.findall(r"\w+", word) if part != word]


def _plain(token: Token) -> str:
    if token.children is None:
        return token.content
    return "".join(" " if child.type == "softbreak" else child.content for child in token.children)


def _score(passage: Passage, words: Sequence[str]) -> tuple[int, int]:
    """How many of the words it contains, and how prominently: in its title, as whole words, or inside others."""
    counts = [(10 * (word in passage.title_words) + 2 * min(5, passage.words[word])) or word in passage.folded for word in words]
    return sum(map(bool, counts)), sum(counts)
