"""Commands that pages call: promises, views, the next person on the device, and what may be read of the configuration."""

from typing import Any

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.pages import Pages
from tests.browser.test_banner_libraries import found_by
from tests.browser.test_choices_kept import BANNERS, known, link, until, until_told
from tests.browser.test_snippet import CONFIG, open_page, told
from tests.browser.test_snippet_neighbours import of
from tests.browser.test_snippet_neighbours import posts as posts
from tests.test_command import Service

Posts = list[tuple[str, Any]]


def test_a_call_gives_its_answer_and_never_an_error_of_types(profile: BrowserContext, shop_pages: Pages) -> None:
    page, errors = open_page(profile, shop_pages, "/promises", CONFIG % "")
    assert told(page)[1] == "cookieless"
    good = "Clerk('call', 'log/click', {product: 1})"
    bad = "Clerk('call', 'log/sale', {sale: 'bad'}, answer => { done.push(answer.status) }, answer => { failed.push(answer.status) })"
    assert page.evaluate(f"async () => (await {good}).status") == "ok"
    assert page.evaluate(f"async () => {{ window.done = []; window.failed = []; return (await {bad}).status; }}") == "error"
    assert page.evaluate("[done, failed]") == [[], ["error"]]
    assert page.evaluate("async () => (await Clerk('call', 'recommendations/popular', {limit: 1})).status") == "error"
    assert page.evaluate("async () => (await Clerk('call', 'log/sale')).status") == "error"
    alone = "new Promise(done => Clerk('call', 'log/sale', {}, answer => done(answer.status)))"
    assert page.evaluate(alone) == "error"
    assert errors == []


def test_a_call_that_nobody_answers_gives_an_answer_too(profile: BrowserContext, shop_pages: Pages) -> None:
    profile.route("**/v2/**", lambda route: route.abort())
    page, errors = open_page(profile, shop_pages, "/unanswered-call", CONFIG % "")
    assert told(page)[1] == "cookieless"
    assert page.evaluate("async () => (await Clerk('call', 'log/click', {product: 1})).status") == "error"
    assert errors == []


def test_a_context_and_a_product_are_views(profile: BrowserContext, shop_pages: Pages, posts: Posts) -> None:
    page, errors = open_page(profile, shop_pages, "/views", CONFIG % "")
    assert told(page)[1] == "cookieless"
    page.evaluate("Clerk('context', {product: 12, category: null, page: null}); Clerk('context', {category: 5}); Clerk('product', '0042')")
    until(page, lambda: len(posts) == 4)
    assert sorted(str(one["product"]) for one in of(posts, "log/product")) == ["0042", "12"]
    assert [one["category"] for one in of(posts, "log/category")] == [5]
    assert errors == []


@pytest.mark.parametrize("mode", ["persistent", "cookieless"])
def test_the_next_person_on_the_device_is_another_visitor(profile: BrowserContext, shop_pages: Pages, service: Service, mode: str) -> None:
    page, errors = open_page(profile, shop_pages, "/logout", f"<body>{BANNERS['own'].body}" + CONFIG % "")
    email = f"before-{mode}@example.com"
    if mode == "persistent":
        known(page, profile, service, BANNERS["own"], email)
    else:
        assert told(page)[1] == mode
        page.evaluate("async email => (await Clerk('call', 'log/email', {email})).status", email)
    before = told(page)[0]
    page.evaluate("Clerk('reset')")
    until_told(page, "cookieless")
    until(page, lambda: told(page)[0] not in (None, before))
    assert found_by(service, email) == [before]
    assert [cookie for cookie in profile.cookies() if cookie["name"].endswith("visitor")] == []
    page.click("#yes")
    after = until_told(page, "persistent")
    assert after != before
    link(profile, service, f"after-{mode}@example.com")
    assert found_by(service, email) == [before]
    assert errors == []


def test_a_refusal_that_waits_is_told_in_the_name_of_who_refused(profile: BrowserContext, shop_pages: Pages, service: Service) -> None:
    page, errors = open_page(profile, shop_pages, "/logout-waits", f"<body>{BANNERS['own'].body}" + CONFIG % "")
    known(page, profile, service, BANNERS["own"], "waits@example.com")
    profile.route("**/v1/consents", lambda route: route.abort())
    with page.expect_event("requestfailed"):
        page.click("#no")
    with page.expect_response("**/v1/visitors"):
        page.evaluate("Clerk('reset')")
    assert len(found_by(service, "waits@example.com")) == 1
    profile.unroute("**/v1/consents")
    until(page, lambda: found_by(service, "waits@example.com") == [])
    assert errors == []


def test_a_plugin_reads_what_was_configured_but_no_private_key(profile: BrowserContext, shop_pages: Pages) -> None:
    page, errors = open_page(profile, shop_pages, "/config", CONFIG % ", collect_email: true, private_key: 'demo-private-key'")
    assert told(page)[1] == "cookieless"
    assert page.evaluate("Clerk._config") == {"key": "demo-public-key", "collect_email": True}
    assert errors == []


def test_an_id_is_exact_in_whatever_form_a_page_has_it(profile: BrowserContext, shop_pages: Pages, posts: Posts) -> None:
    page, errors = open_page(profile, shop_pages, "/exact", CONFIG % "")
    with page.expect_response("**/v2/log/click") as answered:
        page.evaluate("Clerk('click', 1729384756102938475n, ['Big'])")
    assert '"product":1729384756102938475,' in (answered.value.request.post_data or "")
    assert errors == []
