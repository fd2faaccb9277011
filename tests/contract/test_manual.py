"""The manual over HTTP: pages for people, Markdown for programs, a search, and nothing from elsewhere."""

import json
import re
from html.parser import HTMLParser

import pytest

from identity_service.errors import ServiceError
from identity_service.server.problems import problem_body
from identity_service.web.manual.book import FILES, FOLDER, NAMES
from tests.conftest import Shopper

PAGES = ["/docs", *(f"/docs/{name}" for name in NAMES), "/docs/search", "/docs/search?q=refusal"]


class Markup(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: list[str] = []
        self.tags: list[str] = []
        self.styled = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.styled |= "style" in found
        if found.get("id"):
            self.anchors.append(str(found["id"]))
        self.links += [str(found[name]) for name in ("href", "src", "action") if found.get(name)]


async def read(shopper: Shopper, path: str) -> Markup:
    return Markup((await shopper.client.get(path)).text)


@pytest.mark.anyio
@pytest.mark.parametrize("path", PAGES)
async def test_a_page_runs_no_script_and_loads_nothing_from_elsewhere(shopper: Shopper, path: str) -> None:
    answer = await shopper.client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    page = Markup(answer.text)
    assert "script" not in page.tags
    assert "style" not in page.tags
    assert not page.styled
    assert [link for link in page.links if "//" in link] == []


@pytest.mark.anyio
async def test_every_link_leads_to_a_page_and_its_anchor_also_behind_a_prefix(shopper: Shopper) -> None:
    """No link begins with a slash, so a proxy may put the service anywhere."""
    for path in PAGES:
        for link in (await read(shopper, path)).links:
            if link == "data:,":
                continue
            assert not link.startswith("/"), (path, link)
            target = shopper.client.base_url.join(path).join(link)
            answer = await shopper.client.get(target)
            assert answer.status_code == 200, (path, link)
            if target.fragment:
                assert target.fragment in Markup(answer.text).anchors, (path, link)


@pytest.mark.anyio
@pytest.mark.parametrize("path", PAGES)
async def test_no_anchor_stands_twice(shopper: Shopper, path: str) -> None:
    anchors = (await read(shopper, path)).anchors
    assert len(set(anchors)) == len(anchors)


@pytest.mark.anyio
async def test_a_page_is_markdown_too_with_its_files_printed(shopper: Shopper) -> None:
    for name in ("index", *NAMES):
        answer = await shopper.client.get(f"/docs/{name}.md")
        assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
        assert answer.text.startswith("# ")
        if name != "edges":
            assert answer.text == (FOLDER / f"{name}.md").read_text()
    edges = (await shopper.client.get("/docs/edges.md")).text
    for path in (FOLDER / "edges").glob("edge.*"):
        assert path.read_text() in edges


@pytest.mark.anyio
async def test_files_that_pages_name_are_served_as_text(shopper: Shopper) -> None:
    for name, path in FILES.items():
        answer = await shopper.client.get(f"/docs/{name}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
        assert answer.content == path.read_bytes()


@pytest.mark.anyio
async def test_programs_find_every_page(shopper: Shopper) -> None:
    listed = (await shopper.client.get("/llms.txt")).text
    links = re.findall(r"^- \[[^\]]+\]\(([^)]+)\): .+$", listed, re.MULTILINE)
    assert links == [*(f"docs/{name}.md" for name in NAMES), "openapi.json"]
    for link in links:
        assert (await shopper.client.get(f"/{link}")).status_code == 200


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("refusals", "consent#refusals"),
        ("POST /v1/lookups", "contract#calls"),
        ("IDENTITY_store_breaker_open", "operations#logs-and-metrics"),
        ("nginx caddy", "deploy#behind-a-proxy"),
        ("how do I rotate signing keys", "security#rotate-keys"),
        ("write my own banner", "own-banner#"),
        ("France", "consent#policies"),
        ("port", "operations#from-nothing-to-your-own-shop"),
    ],
)
async def test_a_search_finds_the_section_of_its_words_first(shopper: Shopper, words: str, first: str) -> None:
    page = (await shopper.client.get("/docs/search", params={"q": words})).text
    assert re.findall(r'<dt><a href="([^"]+)"', page)[0] == first


@pytest.mark.anyio
@pytest.mark.parametrize("asked", ["", "   ", "zebra crossing", "<script>alert(1)</script>", "%00", "x" * 5000, "a " * 3000, "ß\x00é"])
async def test_a_search_for_anything_is_answered_and_repeated_as_text(shopper: Shopper, asked: str) -> None:
    answer = await shopper.client.get("/docs/search", params={"q": asked})
    assert answer.status_code == 200
    page = Markup(answer.text)
    assert "script" not in page.tags
    assert '<p role="status">' in answer.text
    assert len(answer.text) < 20_000


@pytest.mark.anyio
@pytest.mark.parametrize(
    "path", ["/docs/nothing", "/docs/../config/development.toml", "/docs/edges/%2e%2e/index.md", "/docs/development.toml"]
)
async def test_nothing_else_is_served_beside_it(shopper: Shopper, path: str) -> None:
    answer = await shopper.client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.anyio
async def test_the_root_leads_to_the_manual(shopper: Shopper) -> None:
    answer = await shopper.client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "docs")


@pytest.mark.anyio
async def test_a_problems_type_leads_to_its_code(shopper: Shopper) -> None:
    anchors = (await read(shopper, "/docs/contract")).anchors
    for error in (*ServiceError.__subclasses__(), ServiceError):
        _, _, body = problem_body(error(), "request", "/v1/visitors")
        problem = json.loads(body)
        assert problem["type"] == f"/docs/contract#{problem['code']}"
        assert anchors.count(problem["code"]) == 1
    info = (await shopper.client.post("/v2/log/click")).json()["moreInfo"]
    path, _, anchor = info.partition("#")
    assert anchor in (await read(shopper, path)).anchors
