"""The snippet beside another script of the same global, loaded twice, in a bundle, and inlined."""

import json
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Request

from identity_service.web.snippet import code
from tests.browser.pages import STUB, Pages
from tests.browser.test_choices_kept import until
from tests.browser.test_snippet import CONFIG, told
from tests.test_command import Service

CODE = code()
CARD = '<div data-labels=\'["Homepage"]\'><a id="card" data-clerk-product-id="12">card</a></div>'
SALE = """<span class="clerk" data-api="log/sale" data-sale="%s" data-products='[{"id": 12, "quantity": 1, "price": 5}]'></span>"""
THEIRS = """<script>var theirs = [], before = [].slice.call(window.__clerk_q || []);
window.Clerk = function () { theirs.push([].slice.call(arguments)); return 'theirs'; };
window.Clerk.version = 'theirs'; window.__clerk_q = {push: function (args) { Clerk.apply(null, args); }};
before.forEach(function (args) { Clerk.apply(null, args); });</script>"""


@pytest.fixture
def posts(profile: BrowserContext) -> list[tuple[str, Any]]:
    """Address and body of each call of the profile's pages."""
    found: list[tuple[str, Any]] = []

    def hear(request: Request) -> None:
        if request.method == "POST":
            found.append((request.url, json.loads(request.post_data or "null")))

    profile.on("request", hear)
    return found


def of(posts: list[tuple[str, Any]], endpoint: str) -> list[Any]:
    return [body for url, body in posts if url.endswith(endpoint)]


def open_document(profile: BrowserContext, shop_pages: Pages, path: str, document: str) -> tuple[Page, list[str]]:
    """A whole page, without the tag that other tests' pages have."""
    shop_pages.files[path] = f"<!doctype html><meta charset=utf-8><title>shop</title><body>{document}"
    page = profile.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(shop_pages.url + path)
    return page, errors


def tag(shop_pages: Pages, attributes: str = "", name: str = "visitor.js") -> str:
    return f"<script {attributes} src='{shop_pages.service}/{name}'></script>"


LATER = """<script>setTimeout(function () { var again = document.createElement('script'); again.src = '%s/visitor.js';
    document.body.append(again); }, 300)</script>"""


@pytest.mark.parametrize("order", ["both early", "second late", "second after the config"])
def test_a_snippet_that_is_loaded_twice_does_everything_once(
    profile: BrowserContext, shop_pages: Pages, service: Service, posts: list[tuple[str, Any]], order: str
) -> None:
    once, config, sale = tag(shop_pages), CONFIG % "", SALE % f"twice-{order.replace(' ', '-')}"
    if order == "both early":
        document = STUB + once + once + config
    elif order == "second late":
        document = STUB + config + once + LATER % shop_pages.service
    else:
        document = STUB + once + config + STUB + once
    page, errors = open_document(profile, shop_pages, "/twice", CARD + sale + document)
    if order == "second late":
        page.wait_for_function("document.querySelectorAll('script[src$=\"visitor.js\"]').length === 2")
    page.wait_for_load_state("networkidle")
    page.click("#card")
    page.evaluate("Clerk('cart', 'set', [9])")
    until(page, lambda: of(posts, "log/basket/set") and of(posts, "log/click"))
    page.wait_for_load_state("networkidle")
    found = [len(of(posts, path)) for path in ("log/sale", "log/click", "log/basket/set", "v1/visitors")]
    assert found == [1, 1, 1, 1]
    assert errors == []


@pytest.mark.parametrize("order", ["ours first", "theirs first"])
@pytest.mark.parametrize("queue", ["Visitor.q = Visitor.q || []", "window.__visitor_q = window.__visitor_q || []"])
def test_under_a_name_of_its_own_it_touches_nothing_of_its_neighbour(
    profile: BrowserContext, shop_pages: Pages, posts: list[tuple[str, Any]], order: str, queue: str
) -> None:
    config = (CONFIG % "").replace("<script>", "").replace("Clerk", "Visitor")
    own = f"<script>window.Visitor = window.Visitor || function () {{ ({queue}).push(arguments); }};\n{config}"
    commands = "<script>Clerk('config', {key: 'theirs'}); Clerk('content', '.clerk');</script>"
    ours = tag(shop_pages, "data-global=Visitor")
    scripts = ours + THEIRS if order == "ours first" else THEIRS + ours
    page, errors = open_document(profile, shop_pages, "/own-name", CARD + STUB + commands + own + scripts)
    page.wait_for_function("() => window.theirs && theirs.length === 2")
    assert page.evaluate("theirs") == [["config", {"key": "theirs"}], ["content", ".clerk"]]
    assert page.evaluate("[Clerk.version, Clerk('search')]") == ["theirs", "theirs"]
    page.evaluate("window.told = null; Visitor('visitor', (...told) => { window.told = told; })")
    page.wait_for_function("window.told")
    assert page.evaluate("told[1]") == "cookieless"
    assert {body["key"] for _, body in posts} == {"demo-public-key"}
    page.click("#card")
    until(page, lambda: of(posts, "log/click"))
    assert errors == []


@pytest.mark.parametrize("order", ["theirs first", "theirs later"])
def test_commands_that_are_not_ours_reach_a_neighbour(
    profile: BrowserContext, shop_pages: Pages, posts: list[tuple[str, Any]], order: str
) -> None:
    ours = tag(shop_pages) + CONFIG % ""
    early = "<script>Clerk('content', '.early');</script>"
    document = THEIRS + ours + early if order == "theirs first" else STUB + early + ours + THEIRS
    page, errors = open_document(profile, shop_pages, "/shared", CARD + document)
    page.evaluate(
        "Clerk('content', '.slider'); Clerk('search', 'shoes'); Clerk('on', 'rendered', () => {}); Clerk('ui', 'popup');"
        " Clerk('call', 'recommendations/popular', {limit: 1}); Clerk('unheard', 1)"
    )
    got = [one[0] for one in page.evaluate("theirs.map(each => each.map(String))")]
    assert [name for name in got if name != "config"] == ["content", "content", "search", "on", "ui", "call", "unheard"]
    assert told(page)[1] == "cookieless"
    page.evaluate("Clerk('cart', 'set', [9])")
    until(page, lambda: of(posts, "log/basket/set"))
    assert [url for url, _ in posts if "recommendations" in url] == []
    assert errors == []


def test_a_stand_in_for_a_neighbour_that_never_comes_breaks_nothing(profile: BrowserContext, shop_pages: Pages) -> None:
    """It would lead back to the snippet without end."""
    warnings: list[str] = []
    profile.on("console", lambda message: warnings.append(message.text) if message.type == "warning" else None)
    page, errors = open_document(profile, shop_pages, "/alone", STUB + CONFIG % "" + tag(shop_pages))
    page.evaluate("Clerk('content', '.clerk'); Clerk('on', 'rendered', () => {}); Clerk('consnet', 'refused')")
    assert told(page)[1] == "cookieless"
    assert [("consnet" in text) for text in warnings] == [True]
    assert errors == []


def bundled(shop_pages: Pages) -> str:
    shop_pages.files["/cache/all.js"] = "window.bundled = true;\n" + CODE
    return "/cache/all.js"


@pytest.mark.parametrize("way", ["attribute", "config", "module"])
def test_a_bundle_calls_the_address_that_is_named(
    profile: BrowserContext, shop_pages: Pages, posts: list[tuple[str, Any]], way: str
) -> None:
    source, kind = bundled(shop_pages), "type=module" if way == "module" else ""
    named = f"data-service='{shop_pages.service}'" if way == "attribute" else ""
    config = CONFIG % ("" if way == "attribute" else f", service: '{shop_pages.service}/'")
    document = f"{CARD}{STUB}{config}<script {kind} {named} src='{source}'></script>"
    page, errors = open_document(profile, shop_pages, "/bundle", document)
    assert told(page)[1] == "cookieless"
    page.click("#card")
    until(page, lambda: of(posts, "log/click"))
    assert {url.startswith(f"{shop_pages.service}/v") for url, _ in posts} == {True}
    assert errors == []


def test_an_inlined_snippet_calls_the_address_of_the_config(
    profile: BrowserContext, shop_pages: Pages, posts: list[tuple[str, Any]]
) -> None:
    config = CONFIG % f", service: '{shop_pages.service}'"
    queued = "<script>Clerk('click', 7, ['Queued'])</script>"
    page, errors = open_document(profile, shop_pages, "/inlined", f"{CARD}{STUB}{config}{queued}<script>{CODE}</script>")
    assert told(page)[1] == "cookieless"
    page.click("#card")
    until(page, lambda: len(of(posts, "log/click")) == 2)
    assert {url.startswith(f"{shop_pages.service}/v") for url, _ in posts} == {True}
    assert sorted(str(body["product"]) for body in of(posts, "log/click")) == ["12", "7"]
    assert errors == []


def test_a_monitoring_script_may_add_its_headers(profile: BrowserContext, shop_pages: Pages, posts: list[tuple[str, Any]]) -> None:
    profile.add_init_script("""var send = fetch; window.fetch = function (address, options) {
        options.headers = Object.assign({traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
            'X-Requested-With': 'XMLHttpRequest', 'sentry-trace': '1-1-1', baggage: 'a=b'}, options.headers);
        return send(address, options); };""")
    page, errors = open_document(profile, shop_pages, "/monitored", CARD + STUB + CONFIG % "" + tag(shop_pages))
    assert told(page)[1] == "cookieless"
    with page.expect_response("**/v2/log/click") as answered:
        page.click("#card")
    assert answered.value.json() == {"status": "ok"}
    assert errors == []
