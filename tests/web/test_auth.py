"""Who calls: keys and origins."""

from dataclasses import replace

import pytest

from identity_service.app import make_shops
from identity_service.errors import Forbidden, Unauthorized
from identity_service.model.shop import Caller, key_digest
from identity_service.settings.load import load
from identity_service.web.auth import authenticate, bearer, speaks_for_device

SHOPS = make_shops(load("development", {"IDENTITY_SHOPS__DEMO__ORIGINS": "https://shop.example,https://shop.example:8443"}).shops)
PUBLIC, PRIVATE = authenticate(SHOPS, "demo-public-key", 0), authenticate(SHOPS, "demo-private-key", 0)
FOREIGN = ["https://evil.example", "http://shop.example", "https://shop.example.evil.example", "https://evilshop.example", "null", "*"]
FOREIGN += [
    "https://shop.example:443",
    "https://SHOP.example",
    "https://shop.example/",
    "https://shop.example:8444",
    "https://www.shop.example",
]


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (None, None),
        ("Bearer k", "k"),
        ("bearer k", "k"),
        ("BEARER  k ", "k"),
        ("Bearer a b", "a b"),
        ("Basic dTpw", None),
        ("", None),
        ("Bearer ", None),
    ],
)
def test_a_bearer_key_is_read_from_its_header(header: str | None, key: str | None) -> None:
    assert bearer(header) == key


@pytest.mark.parametrize("header", ["k", " Bearer k", "Bearer\tk"])
def test_what_is_no_credentials_is_refused(header: str) -> None:
    with pytest.raises(Unauthorized):
        bearer(header)


@pytest.mark.parametrize(
    "key", [None, "", "unknown", "DEMO-public-key", "demo-public-key ", 1, True, ["demo-public-key"], {}, "\ud800", "x" * 65_536]
)
def test_what_is_no_key_is_refused_in_the_same_words(key: object) -> None:
    with pytest.raises(Unauthorized) as refused:
        authenticate(SHOPS, key, 0)
    with pytest.raises(Unauthorized) as another:
        authenticate(SHOPS, "another", 0)
    assert refused.value.detail == another.value.detail


def test_a_digest_from_the_settings_is_no_key() -> None:
    for key in (key_digest("demo-private-key"), f"sha256:{key_digest('demo-private-key')}"):
        with pytest.raises(Unauthorized):
            authenticate(SHOPS, key, 0)


def test_a_caller_carries_the_digest_and_not_the_key() -> None:
    assert (PUBLIC.shop.shop_id, PUBLIC.private, PRIVATE.private) == ("demo", False, True)
    assert PRIVATE.digest == key_digest("demo-private-key")
    assert "demo-private-key" not in repr(PRIVATE)


@pytest.mark.parametrize("origin", ["https://shop.example", "https://shop.example:8443"])
def test_a_listed_page_speaks_for_its_device(origin: str) -> None:
    host = origin.partition("://")[2]
    assert speaks_for_device(PUBLIC, "POST", {"origin": origin})
    assert speaks_for_device(PUBLIC, "POST", {"origin": origin, "sec-fetch-site": "cross-site"})
    assert speaks_for_device(PUBLIC, "GET", {"referer": f"{origin}/cart?x=1#y"})
    assert speaks_for_device(PUBLIC, "GET", {"sec-fetch-site": "same-origin", "host": host})
    assert speaks_for_device(PUBLIC, "GET", {"sec-fetch-site": "none", "host": host})


def test_a_proxy_may_have_changed_the_scheme_of_a_listed_host() -> None:
    assert speaks_for_device(PUBLIC, "POST", {"origin": "http://shop.example", "host": "shop.example"})
    with pytest.raises(Forbidden):
        speaks_for_device(PUBLIC, "POST", {"origin": "https://evil.example", "host": "evil.example"})


@pytest.mark.parametrize("headers", [{"referer": "https://shop.example/"}, {"sec-fetch-site": "same-origin", "host": "shop.example"}])
def test_without_an_origin_a_page_may_only_read(headers: dict[str, str]) -> None:
    """A browser sends the origin with every post."""
    with pytest.raises(Forbidden):
        speaks_for_device(PUBLIC, "POST", headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "same-origin", "host": "evil.example"},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "cross-site", "host": "shop.example"},
        {"sec-fetch-site": "same-site", "host": "shop.example"},
        {"sec-fetch-site": "same-origin", "host": "shop.example", "referer": "https://evil.example/"},
        {"host": "shop.example", "referer": "https://evil.example/"},
    ],
)
def test_a_script_on_a_page_of_somebody_else_reads_nothing(headers: dict[str, str]) -> None:
    with pytest.raises(Forbidden):
        speaks_for_device(PUBLIC, "GET", headers)


def test_a_page_without_an_origin_is_a_server_where_the_shop_lists_it() -> None:
    listing = Caller(replace(PUBLIC.shop, origins=frozenset({"null"})), False, "digest")
    assert not speaks_for_device(listing, "POST", {"origin": "null", "sec-fetch-site": "cross-site"})


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_page_of_anybody_else_is_refused(origin: str) -> None:
    for headers in (
        {"origin": origin},
        {"origin": origin, "referer": "https://shop.example/"},
        {"origin": origin, "sec-fetch-site": "same-site"},
        {"origin": origin, "sec-fetch-site": "same-origin", "host": "other.example"},
    ):
        with pytest.raises(Forbidden):
            speaks_for_device(PUBLIC, "POST", headers)


@pytest.mark.parametrize(
    "referer",
    [
        "https://evil.example/https://shop.example",
        "https://shop.example@evil.example/",
        "https://evil.example?https://shop.example",
        "shop.example",
        "https://shop.example.evil.example/",
        "//shop.example/",
        "https://[bad/",
        "javascript:https://shop.example",
        "",
        "\ud800",
    ],
)
def test_a_referer_of_anybody_else_is_refused(referer: str) -> None:
    with pytest.raises(Forbidden):
        speaks_for_device(PUBLIC, "GET", {"referer": referer})


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", ""])
def test_a_browser_that_names_no_page_is_refused(site: str) -> None:
    with pytest.raises(Forbidden):
        speaks_for_device(PUBLIC, "GET", {"sec-fetch-site": site})


def test_a_call_without_a_browsers_headers_is_a_servers() -> None:
    assert not speaks_for_device(PUBLIC, "POST", {})
    assert not speaks_for_device(PUBLIC, "GET", {"user-agent": "Mozilla/5.0", "cookie": "a=b"})


@pytest.mark.parametrize("origin", [*FOREIGN, "https://shop.example"])
def test_a_private_key_never_speaks_for_a_device(origin: str) -> None:
    assert not speaks_for_device(PRIVATE, "POST", {"origin": origin, "sec-fetch-site": "same-origin"})
