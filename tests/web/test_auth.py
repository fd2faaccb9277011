"""Who calls: keys, origins, and whose address an address is."""

import ipaddress
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.errors import Forbidden, Unauthorized
from identity_service.settings import load
from identity_service.shop import Caller, key_digest
from identity_service.web.auth import authenticate, bearer, client_address, limited_client, parse_networks, speaks_for_device
from identity_service.wiring import make_shops

SHOPS = make_shops(load("development", {"IDENTITY_SHOPS__DEMO__ORIGINS": "https://shop.example,https://shop.example:8443"}).shops)
PUBLIC, PRIVATE = authenticate(SHOPS, "demo-public-key"), authenticate(SHOPS, "demo-private-key")
PROXIES = parse_networks(["10.0.0.0/8", "192.0.2.1", "2001:db8:ffff::/48"])
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
        authenticate(SHOPS, key)
    with pytest.raises(Unauthorized) as another:
        authenticate(SHOPS, "another")
    assert refused.value.detail == another.value.detail


def test_a_digest_from_the_settings_is_no_key() -> None:
    for key in (key_digest("demo-private-key"), f"sha256:{key_digest('demo-private-key')}"):
        with pytest.raises(Unauthorized):
            authenticate(SHOPS, key)


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


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("198.51.100.1", None, "198.51.100.1"),
        ("2001:db8::1", None, "2001:db8::1"),
        (None, None, None),
        (None, "198.51.100.1", None),
        ("", None, None),
        ("/run/service.sock", None, None),
        ("10.0.0.1", None, None),
        ("198.51.100.1", "203.0.113.9", None),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("192.0.2.1", "203.0.113.9", "203.0.113.9"),
        ("192.0.2.2", "203.0.113.9", None),
        ("2001:db8:ffff::9", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6,203.0.113.9 , 10.1.1.1,192.0.2.1", "203.0.113.9"),
        ("10.0.0.1", "10.1.1.1, 10.2.2.2", None),
        ("10.0.0.1", "", None),
        ("10.0.0.1", "203.0.113.9, unknown", None),
        ("10.0.0.1", "203.0.113.9, ", None),
        ("10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9:4711, 10.1.1.1:80", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9:", None),
        ("10.0.0.1", "203.0.113.9:471100", None),
        ("10.0.0.1", "203.0.113.9:4711:5", None),
        ("10.0.0.1", "unknown, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "[2001:db8::1]", "2001:db8::1"),
        ("10.0.0.1", "[2001:db8::1]:443", "2001:db8::1"),
        ("10.0.0.1", "[2001:db8:ffff::9]:443", None),
        ("10.0.0.1", "[::ffff:203.0.113.9]:443", "203.0.113.9"),
        ("10.0.0.1", "[]:443", None),
        ("10.0.0.1", "[[2001:db8::1]]", None),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
    ],
)
def test_the_address_is_the_devices_or_unknown(peer: str | None, forwarded: str | None, address: str | None) -> None:
    assert client_address(peer, forwarded, PROXIES) == address


def test_without_proxies_nobody_can_forward() -> None:
    assert client_address("198.51.100.1", None, ()) == "198.51.100.1"
    assert client_address("198.51.100.1", "203.0.113.9", ()) is None


def test_a_proxy_is_known_on_a_socket_of_both_families_too() -> None:
    """A server that listens on `::` sees IPv4 peers as `::ffff:a.b.c.d`."""
    assert client_address("::ffff:10.0.0.1", None, PROXIES) is None
    seen = client_address("::ffff:10.0.0.1", "203.0.113.9, ::ffff:10.1.1.1", PROXIES)
    assert seen == "203.0.113.9"


@given(st.none() | st.text(max_size=40), st.none() | st.text(max_size=60))
def test_no_header_makes_an_address_out_of_a_proxy(peer: str | None, forwarded: str | None) -> None:
    found = client_address(peer, forwarded, PROXIES)
    assert found is None or not any(ipaddress.ip_address(found) in network for network in PROXIES)


def test_what_a_caller_writes_on_the_left_never_counts() -> None:
    for written in ("6.6.6.6", "10.0.0.9", "unknown", "x" * 1_000, "2001:db8::66", ", ,"):
        assert client_address("10.0.0.1", f"{written}, 203.0.113.9", PROXIES) == "203.0.113.9"


def test_networks_are_read_with_and_without_their_length() -> None:
    assert [str(network) for network in PROXIES] == ["10.0.0.0/8", "192.0.2.1/32", "2001:db8:ffff::/48"]
    assert parse_networks(["10.1.2.3/8"]) == parse_networks(["10.0.0.0/8"])
    with pytest.raises(ValueError, match="nonsense"):
        parse_networks(["nonsense"])


def test_a_client_is_an_ipv4_address_or_an_ipv6_network() -> None:
    assert limited_client("198.51.100.1") == "198.51.100.1"
    assert limited_client("2001:db8::1") == limited_client("2001:db8::ffff:1") == limited_client("2001:db8::1%eth0") == "2001:db8::/64"
    assert limited_client("2001:db8:0:1::1") != limited_client("2001:db8::1")


def test_ipv4_clients_of_a_socket_of_both_families_are_counted_apart() -> None:
    addresses = [client_address(f"::ffff:198.51.100.{host}", None, ()) for host in range(3)]
    assert [limited_client(address or "") for address in addresses] == ["198.51.100.0", "198.51.100.1", "198.51.100.2"]


@pytest.mark.parametrize("address", ["198.51.100.1", "2001:db8::1"])
@given(port=st.integers(0, 65_535))
def test_a_port_does_not_make_another_client(address: str, port: int) -> None:
    written = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    assert client_address(written, None, ()) == address


@given(
    st.one_of(st.from_regex(r"[0-9]{0,4}(\.[0-9]{0,4}){3}", fullmatch=True), st.text("01234ab:.%", max_size=20), st.ip_addresses().map(str))
)
def test_what_is_an_address_is_as_the_standard_library_says(text: str) -> None:
    try:
        ipaddress.ip_address(re.sub(r"^([0-9.]+):[0-9]{1,5}$", r"\1", text))
    except ValueError:
        assert client_address(text, None, ()) is None
    else:
        assert client_address(text, None, ()) is not None
