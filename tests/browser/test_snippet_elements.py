"""Elements, clicks and typed emails: whenever and wherever they appear, with IDs exactly as they are written."""

import html
import json
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.pages import Pages
from tests.browser.test_banner_libraries import found_by
from tests.browser.test_choices_kept import until
from tests.browser.test_snippet import CONFIG, open_page, told
from tests.browser.test_snippet_neighbours import of
from tests.browser.test_snippet_neighbours import posts as posts
from tests.test_command import Service, eventually

Posts = list[tuple[str, Any]]
BIG = 1729384756102938475


def sale(name: str, products: str = '[{"id": 12, "quantity": 1, "price": 5}]', **more: str) -> str:
    members = "".join(f' data-{key}="{html.escape(value)}"' for key, value in more.items())
    return f'<span class="clerk" data-api="log/sale" data-sale="{name}" data-products="{html.escape(products)}"{members}></span>'


def order_of(service: Service, name: str) -> Any:
    found = [order for order in service.call("/v1/orders")[1]["orders"] if order["sale"] == name]
    assert len(found) <= 1
    return found[0] if found else None


def insert(markup: str) -> str:
    return f"document.body.insertAdjacentHTML('beforeend', {json.dumps(markup)})"


def test_a_sale_with_odd_lines_is_there_whole(profile: BrowserContext, shop_pages: Pages, service: Service, posts: Posts) -> None:
    lines = '[{"id": 12, "quantity": "1", "price": 5}, {"id": 13, "quantity": 1, "price": -2}, {"id": null, "quantity": 1, "price": 3}]'
    page, errors = open_page(profile, shop_pages, "/odd", sale("odd-1", lines, email="odd@example.com") + CONFIG % "")
    until(page, lambda: order_of(service, "odd-1") and of(posts, "log/sale"))
    [sent] = of(posts, "log/sale")
    assert sent["products"] == json.loads(lines)
    assert len(found_by(service, "odd@example.com")) == 1
    assert errors == []


def test_an_element_that_appears_late_is_sent_once(profile: BrowserContext, shop_pages: Pages, service: Service, posts: Posts) -> None:
    page, errors = open_page(profile, shop_pages, "/single-page", "<body>" + CONFIG % "")
    assert told(page)[1] == "cookieless"
    own_class = sale("late-1").replace('class="clerk"', 'class="clerk-manual"')
    page.evaluate(insert(sale("late-1")))
    until(page, lambda: of(posts, "log/sale"))
    page.evaluate(insert(own_class) + "; Clerk('content', '.clerk'); Clerk('content', '.clerk-manual')")
    page.evaluate("Clerk('cart', 'set', [1])")
    until(page, lambda: of(posts, "log/basket/set"))
    assert len(of(posts, "log/sale")) == 1
    assert order_of(service, "late-1")
    assert errors == []


def test_an_element_of_another_class_is_sent_when_the_page_asks_for_it(profile: BrowserContext, shop_pages: Pages, posts: Posts) -> None:
    own_class = sale("manual-1").replace('class="clerk"', 'class="clerk-manual"')
    page, errors = open_page(profile, shop_pages, "/manual", f"<body>{own_class}" + CONFIG % "")
    assert told(page)[1] == "cookieless"
    assert of(posts, "log/sale") == []
    page.evaluate("Clerk('content', '.clerk-manual')")
    until(page, lambda: of(posts, "log/sale"))
    assert errors == []


def test_an_element_whose_attributes_come_later_is_sent_when_it_is_whole(profile: BrowserContext, shop_pages: Pages, posts: Posts) -> None:
    """As frameworks and custom elements fill theirs; one that is used again for another order is sent again."""
    body = """<body><script>customElements.define('shop-order', class extends HTMLElement { connectedCallback() {
        this.className = 'clerk'; this.dataset.api = 'log/sale'; } });</script><shop-order></shop-order>"""
    page, errors = open_page(profile, shop_pages, "/custom", body + CONFIG % "")
    assert told(page)[1] == "cookieless"
    fill = "name => Object.assign(document.querySelector('shop-order').dataset, {sale: name, products: '[1]'})"
    for name in ("custom-1", "custom-2"):
        page.evaluate(fill, name)
        until(page, lambda name=name: [one for one in of(posts, "log/sale") if one["sale"] == name])  # type: ignore[misc]
    assert [one["sale"] for one in of(posts, "log/sale")] == ["custom-1", "custom-2"]
    assert errors == []


def test_a_page_that_swaps_its_body_sends_what_is_new_and_no_copy(profile: BrowserContext, shop_pages: Pages, posts: Posts) -> None:
    """As Turbo does: a body from the network is new, one from its cache is a copy."""
    view = '<span class="clerk" data-api="log/product" data-product="%d"></span>'
    page, errors = open_page(profile, shop_pages, "/swap", f"<body>{view % 1}" + CONFIG % "")
    until(page, lambda: of(posts, "log/product"))
    swap = """markup => { window.cached = document.body.cloneNode(true); const body = document.createElement('body');
        body.innerHTML = markup; document.body.replaceWith(body); }"""
    page.evaluate(swap, view % 2)
    until(page, lambda: len(of(posts, "log/product")) == 2)
    page.evaluate("document.body.replaceWith(cached)")
    page.evaluate(swap, view % 1)
    until(page, lambda: len(of(posts, "log/product")) == 3)
    assert [one["product"] for one in of(posts, "log/product")] == [1, 2, 1]
    assert errors == []


OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "log/basket/set": ("""data-products='[{"id": 12, "quantity": 2}]'""", {"products": [{"id": 12, "quantity": 2}]}),
    "log/product": ('data-product="0042"', {"product": "0042"}),
    "log/email": ('data-email="element@example.com"', {"email": "element@example.com"}),
    "log/category": ('data-category="shoes"', {"category": "shoes"}),
}


@pytest.mark.parametrize("when", ["at load", "later"])
def test_elements_of_other_calls_are_sent_once(profile: BrowserContext, shop_pages: Pages, posts: Posts, when: str) -> None:
    elements = "".join(f'<span class="clerk" data-api="{endpoint}" {attributes}></span>' for endpoint, (attributes, _) in OTHERS.items())
    page, errors = open_page(profile, shop_pages, "/others", f"<body>{elements if when == 'at load' else ''}" + CONFIG % "")
    assert told(page)[1] == "cookieless"
    if when == "later":
        page.evaluate(insert(elements) + "; Clerk('content', '.clerk')")
    with page.expect_response("**/v2/log/click") as answered:
        page.evaluate("Clerk('click', 1)")
    assert answered.value.ok
    until(page, lambda: all(of(posts, endpoint) for endpoint in OTHERS))
    for endpoint, (_, expected) in OTHERS.items():
        [sent] = of(posts, endpoint)
        assert {name: sent.get(name) for name in expected} == expected
        assert sent["markup"] is True
    assert errors == []


def test_an_old_prototype_makes_no_text_of_lists(profile: BrowserContext, shop_pages: Pages, service: Service, posts: Posts) -> None:
    old = """<script>Array.prototype.toJSON = function () { return '[' + this.map(Object.toJSON).join() + ']'; };
        Object.toJSON = function () { return '"old"'; }; String.prototype.toJSON = function () { return '"' + this + '"'; };</script>"""
    page, errors = open_page(profile, shop_pages, "/prototype", f"<body>{old}{sale('prototype-1')}" + CONFIG % "")
    until(page, lambda: order_of(service, "prototype-1"))
    page.evaluate("Clerk('cart', 'set', [9])")
    until(page, lambda: of(posts, "log/basket/set"))
    assert of(posts, "log/sale")[0]["products"] == [{"id": 12, "quantity": 1, "price": 5}]
    assert of(posts, "log/basket/set")[0]["products"] == [9]
    assert errors == []


HOSTILE = (
    sale("review-1", email="stranger@example.com", visitor="somebody", key="demo-private-key", clerk_visitor="somebody"),
    '<span class="clerk" data-api="log/../../v1/erasures" data-email="stranger@example.com"></span>',
    '<span class="clerk" data-api="privacy/forget" data-email="stranger@example.com"></span>',
)


@pytest.mark.parametrize("markup", ["on", "off"])
def test_a_review_that_holds_elements_proves_nothing(
    profile: BrowserContext, shop_pages: Pages, service: Service, posts: Posts, markup: str
) -> None:
    name, email = f"review-{markup}", f"stranger-{markup}@example.com"
    body = "".join(HOSTILE).replace("review-1", name).replace("stranger@example.com", email)
    shop_pages.attributes["/review"] = f"data-markup='{markup}'"
    page, errors = open_page(profile, shop_pages, "/review", f"<body>{body}" + CONFIG % "")
    visitor = told(page)[0]
    page.evaluate("Clerk('cart', 'set', [1])")
    until(page, lambda: of(posts, "log/basket/set"))
    assert {urlsplit(url).path for url, _ in posts} <= {"/v1/visitors", "/v2/log/sale", "/v2/log/basket/set"}
    if markup == "off":
        assert of(posts, "log/sale") == []
        assert found_by(service, email) == []
    else:
        until(page, lambda: order_of(service, name))
        assert {(post["key"], post["markup"], "clerk_visitor" in post) for post in of(posts, "log/sale")} == {
            ("demo-public-key", True, False)
        }
        assert order_of(service, name)["verified"] is False
        exported = service.call("/v1/exports", {"email": email})[1]
        assert visitor not in json.dumps(exported)
        assert service.call("/v1/erasures", {"email": email})[0] == 200
        page.reload()
        assert told(page)[0] == visitor
    assert errors == []


IDS: dict[str, object] = {"00123": "00123", str(BIG): BIG, "12": 12, "SKU-7": "SKU-7", "1e3": "1e3"}
"""As written in the page, and as sent."""


def test_an_id_stays_as_it_is_written(profile: BrowserContext, shop_pages: Pages, service: Service, posts: Posts) -> None:
    cards = "".join(f'<a id="card-{written}" data-clerk-product-id="{written}">card</a> ' for written in IDS)
    page, errors = open_page(profile, shop_pages, "/ids", f'<body><div data-labels="Exact">{cards}</div>' + CONFIG % "")
    visitor = told(page)[0]
    for written, sent in IDS.items():
        with page.expect_response("**/v2/log/click") as answered:
            page.click(f"#card-{written}")
        assert f'"product":{json.dumps(sent)},' in (answered.value.request.post_data or "")
        page.evaluate(insert(sale(f"exact-{written}", f'[{{"id": {json.dumps(sent)}, "quantity": 1, "price": 5}}]')))
        until(page, partial(order_of, service, f"exact-{written}"))
        order = order_of(service, f"exact-{written}")
        assert (order["labels"], order["attributed"]) == (["Exact"], True)
        assert json.dumps(sent) in json.dumps(order["products"])
        assert json.dumps(sent).strip('"') in json.dumps(service.call("/v1/events", {"visitor": visitor})[1])
    assert errors == []


def test_every_way_of_clicking_is_logged_once(profile: BrowserContext, shop_pages: Pages, posts: Posts) -> None:
    card = '<div data-labels=\'["Homepage"]\'><a id="card" href="#" data-clerk-product-id="12" data-api="search/omni">card</a></div>'
    page, errors = open_page(profile, shop_pages, "/clicks", f"<body>{card}" + CONFIG % "")
    assert told(page)[1] == "cookieless"
    ways: list[Callable[[], None]] = [
        lambda: page.click("#card", button="middle"),
        lambda: page.click("#card", modifiers=["Control"]),
        lambda: page.click("#card"),
        lambda: page.press("#card", "Enter"),
    ]
    for number, way in enumerate(ways, start=1):
        way()
        until(page, lambda number=number: len(of(posts, "log/click")) == number)  # type: ignore[misc]
    page.click("#card", button="right")
    page.evaluate("Clerk('cart', 'set', [1])")
    until(page, lambda: of(posts, "log/basket/set"))
    assert [(one["product"], one["labels"], one["api"]) for one in of(posts, "log/click")] == [(12, ["Homepage"], "search/omni")] * 4
    assert errors == []


@pytest.mark.parametrize("labels", ["inside", "outside"])
def test_a_card_in_a_shadow_root_is_logged_with_its_labels(profile: BrowserContext, shop_pages: Pages, posts: Posts, labels: str) -> None:
    within, around = ("data-labels=Shadow", "") if labels == "inside" else ("", "data-labels=Shadow")
    card = f'<div {within}><a data-clerk-product-id="12"><b id="card">card</b></a></div>'
    body = f"""<body><div {around}><div id="host"></div></div><script>
        document.getElementById('host').attachShadow({{mode: 'open'}}).innerHTML = '{card}';</script>"""
    page, errors = open_page(profile, shop_pages, "/shadow", body + CONFIG % "")
    assert told(page)[1] == "cookieless"
    page.click("#card")
    until(page, lambda: of(posts, "log/click"))
    assert [(one["product"], one["labels"]) for one in of(posts, "log/click")] == [(12, ["Shadow"])]
    assert errors == []


def test_a_selector_binds_what_is_bound_already(profile: BrowserContext, shop_pages: Pages, posts: Posts) -> None:
    card = '<div id="slider"><a id="card" class="card" data-clerk-product-id="12">card</a></div>'
    page, errors = open_page(profile, shop_pages, "/selector", f"<body>{card}" + CONFIG % "")
    assert told(page)[1] == "cookieless"
    for selector in ("[data-clerk-product-id]", "*[data-clerk-product-id]", ".card", "a.card", "#slider > a"):
        page.evaluate("selector => { Clerk('click', selector) }", selector)
    page.click("#card")
    page.evaluate("Clerk('click', 'SKU.1', ['By command'])")
    until(page, lambda: len(of(posts, "log/click")) == 2)
    assert [one["product"] for one in of(posts, "log/click")] == [12, "SKU.1"]
    assert errors == []


def test_labels_that_are_no_json_are_one_label(profile: BrowserContext, shop_pages: Pages, posts: Posts) -> None:
    labels = {"[Sale] shoes": ["[Sale] shoes"], "Homepage": ["Homepage"], '["A", "B"]': ["A", "B"], "{A}": ["{A}"]}
    cards = "".join(f'<div data-labels="{html.escape(written)}"><a data-clerk-product-id="12">card</a></div>' for written in labels)
    page, errors = open_page(profile, shop_pages, "/labels", f"<body>{cards}" + CONFIG % "")
    assert told(page)[1] == "cookieless"
    for card in page.locator("[data-clerk-product-id]").all():
        card.click()
    until(page, lambda: len(of(posts, "log/click")) == len(labels))
    assert [one["labels"] for one in of(posts, "log/click")] == list(labels.values())
    assert errors == []


FORM = '<body><form onsubmit="return false"><input id="field" type="email"><input id="other"></form>'


@pytest.mark.parametrize("collects", [True, False])
def test_a_typed_email_is_collected_where_the_shop_wants_it(
    profile: BrowserContext, shop_pages: Pages, service: Service, posts: Posts, collects: bool
) -> None:
    email = f"typed-{collects}@example.com".lower()
    page, errors = open_page(profile, shop_pages, "/form", FORM + CONFIG % (", collect_email: true" if collects else ""))
    visitor = told(page)[0]
    for _ in range(2):
        page.fill("#field", "")
        page.locator("#field").press_sequentially(email)
        page.press("#field", "Tab")
    page.evaluate("Clerk('cart', 'set', [1])")
    until(page, lambda: of(posts, "log/basket/set") and (of(posts, "log/email") or not collects))
    assert [one["email"] for one in of(posts, "log/email")] == ([email] if collects else [])
    assert eventually(lambda: found_by(service, email) == ([visitor] if collects else []))
    assert errors == []


def test_a_typed_email_is_not_told_where_it_must_not_be_linked(profile: BrowserContext, shop_pages: Pages, posts: Posts) -> None:
    page, errors = open_page(profile, shop_pages, "/form", FORM + CONFIG % ", collect_email: true, visitor: null")
    assert told(page) == [None, "null"]
    page.locator("#field").press_sequentially("unlinked@example.com")
    page.press("#field", "Tab")
    page.evaluate("Clerk('cart', 'set', [1])")
    until(page, lambda: of(posts, "log/basket/set"))
    assert of(posts, "log/email") == []
    assert errors == []
