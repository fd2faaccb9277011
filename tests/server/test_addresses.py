"""Whose address an address is: the client's, in whichever header a proxy names it, and the visitor's, where it can be one."""

import ipaddress
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.server.addresses import NO_PROXIES, Proxies, client_address, is_local, limited_client, parse_networks, proxies_of
from identity_service.settings.load import load

PROXIES = Proxies(parse_networks(["10.0.0.0/8", "192.0.2.1", "2001:db8:ffff::/48"]))
FORWARDED = Proxies(PROXIES.networks, "forwarded")
SINGLE = Proxies(PROXIES.networks, "cf-connecting-ip")


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
    assert client_address("198.51.100.1", None, NO_PROXIES) == "198.51.100.1"
    assert client_address("198.51.100.1", "203.0.113.9", NO_PROXIES) is None


def test_a_proxy_is_known_on_a_socket_of_both_families_too() -> None:
    """A server that listens on `::` sees IPv4 peers as `::ffff:a.b.c.d`."""
    assert client_address("::ffff:10.0.0.1", None, PROXIES) is None
    seen = client_address("::ffff:10.0.0.1", "203.0.113.9, ::ffff:10.1.1.1", PROXIES)
    assert seen == "203.0.113.9"


@given(st.none() | st.text(max_size=40), st.none() | st.text(max_size=60))
def test_no_header_makes_an_address_out_of_a_proxy(peer: str | None, forwarded: str | None) -> None:
    found = client_address(peer, forwarded, PROXIES)
    assert found is None or not any(ipaddress.ip_address(found) in network for network in PROXIES.networks)


def test_what_a_caller_writes_on_the_left_never_counts() -> None:
    for written in ("6.6.6.6", "10.0.0.9", "unknown", "x" * 1_000, "2001:db8::66", ", ,"):
        assert client_address("10.0.0.1", f"{written}, 203.0.113.9", PROXIES) == "203.0.113.9"


def test_networks_are_read_with_and_without_their_length() -> None:
    assert [str(network) for network in PROXIES.networks] == ["10.0.0.0/8", "192.0.2.1/32", "2001:db8:ffff::/48"]
    assert parse_networks(["10.1.2.3/8"]) == parse_networks(["10.0.0.0/8"])
    with pytest.raises(ValueError, match="nonsense"):
        parse_networks(["nonsense"])


def test_a_client_is_an_ipv4_address_or_an_ipv6_network() -> None:
    assert limited_client("198.51.100.1") == "198.51.100.1"
    assert limited_client("2001:db8::1") == limited_client("2001:db8::ffff:1") == limited_client("2001:db8::1%eth0") == "2001:db8::/64"
    assert limited_client("2001:db8:0:1::1") != limited_client("2001:db8::1")


def test_ipv4_clients_of_a_socket_of_both_families_are_counted_apart() -> None:
    addresses = [client_address(f"::ffff:198.51.100.{host}", None, NO_PROXIES) for host in range(3)]
    assert [limited_client(address or "") for address in addresses] == ["198.51.100.0", "198.51.100.1", "198.51.100.2"]


@pytest.mark.parametrize("address", ["198.51.100.1", "2001:db8::1"])
@given(port=st.integers(0, 65_535))
def test_a_port_does_not_make_another_client(address: str, port: int) -> None:
    written = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    assert client_address(written, None, NO_PROXIES) == address


@given(
    st.one_of(st.from_regex(r"[0-9]{0,4}(\.[0-9]{0,4}){3}", fullmatch=True), st.text("01234ab:.%", max_size=20), st.ip_addresses().map(str))
)
def test_what_is_an_address_is_as_the_standard_library_says(text: str) -> None:
    try:
        ipaddress.ip_address(re.sub(r"^([0-9.]+):[0-9]{1,5}$", r"\1", text))
    except ValueError:
        assert client_address(text, None, NO_PROXIES) is None
    else:
        assert client_address(text, None, NO_PROXIES) is not None


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("for=203.0.113.9", "203.0.113.9"),
        ("for=203.0.113.9;proto=https;by=10.0.0.1", "203.0.113.9"),
        ("proto=https;For=203.0.113.9 ; host=shop.example", "203.0.113.9"),
        ('for="203.0.113.9:4711"', "203.0.113.9"),
        ("for=203.0.113.9:4711", "203.0.113.9"),
        ('for="[2001:db8::1]"', "2001:db8::1"),
        ('for="[2001:db8::1]:4711"', "2001:db8::1"),
        ('for="\\[2001:db8::1\\]:4711"', "2001:db8::1"),
        ("for=[2001:db8::1]", "2001:db8::1"),
        ("for=2001:db8::1", "2001:db8::1"),
        ('for="[::ffff:203.0.113.9]:443"', "203.0.113.9"),
        ("for=6.6.6.6, for=203.0.113.9", "203.0.113.9"),
        ("for=6.6.6.6,for=203.0.113.9 , for=10.1.1.1;by=10.2.2.2,for=192.0.2.1", "203.0.113.9"),
        ('host="a,b;for=6.6.6.6";for=203.0.113.9', "203.0.113.9"),
        ("for=6.6.6.6, proto=https", None),
        ("for=6.6.6.6, ", None),
        ("for=6.6.6.6, for=unknown", None),
        ("for=6.6.6.6, for=_hidden", None),
        ('for=6.6.6.6, for="_SEVKISEK"', None),
        ("for=10.1.1.1", None),
        ("by=203.0.113.9", None),
        ("203.0.113.9", None),
        ("", None),
        # a visitor who opens a quote hides itself, and is nobody else
        ('for=6.6.6.6;x=", for=203.0.113.9', None),
        ('for=6.6.6.6;x=", for="[2001:db8::1]"', None),
        ('for=6.6.6.6;x="\\, for="[2001:db8::1]";by="10.0.0.1"', None),
        ("for=6.6.6.6;;for", None),
    ],
)
def test_the_header_of_rfc_7239_is_read_from_its_end(told: str, address: str | None) -> None:
    assert client_address("10.0.0.1", told, FORWARDED) == address
    assert client_address("198.51.100.1", told, FORWARDED) is None


@given(st.text('for="\\,;[]:. 16byunkow-', max_size=60))
def test_what_a_visitor_writes_into_forwarded_makes_it_nobody_else(written: str) -> None:
    for ours in ("for=203.0.113.9", 'for="203.0.113.9:80";by="10.0.0.1"', 'for="203.0.113.9"'):
        assert client_address("10.0.0.1", f"{written}, {ours}", FORWARDED) in {"203.0.113.9", None}


def test_a_long_header_is_read_in_linear_time() -> None:
    for told in (
        " " * 16_000 + '"',
        "a" + " " * 16_000 + "b",
        "a=b" + " " * 16_000 + "c",
        'for="' * 4_000,
        "for=," * 4_000,
        "\\" * 16_000,
        'x="' + "\\a" * 8_000,
        " " * 16_000,
        "a" * 16_000,
    ):
        assert client_address("10.0.0.1", told, FORWARDED) is None


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("203.0.113.9:51008", "203.0.113.9"),
        (" [2001:db8::1]:443 ", "2001:db8::1"),
        ("unknown", None),
        ("", None),
        ("10.0.0.9", None),
        ("6.6.6.6, 203.0.113.9", "203.0.113.9"),
    ],
)
def test_a_header_with_one_address_is_read_as_a_list_of_one(told: str, address: str | None) -> None:
    assert client_address("10.0.0.1", told, SINGLE) == address


def test_the_header_is_named_in_any_case_of_letters() -> None:
    named = load("development", {"IDENTITY_SERVER__CLIENT_ADDRESS_HEADER": "CF-Connecting-IP", "IDENTITY_SERVER__TRUSTED_PROXIES": "::1"})
    assert proxies_of(named.server) == Proxies(parse_networks(["::1"]), "cf-connecting-ip")
    assert proxies_of(load("development", {}).server) == NO_PROXIES


LOCAL = ["127.0.0.1", "127.255.1.2", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.1.1", "0.0.0.0"]
LOCAL += ["::1", "::", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "febf::1"]
OTHERS = ["203.0.113.9", "198.51.100.1", "192.0.2.1", "100.64.0.1", "172.15.0.1", "172.32.0.1", "11.0.0.1", "1.10.0.1", "192.169.0.1"]
OTHERS += ["169.253.0.1", "100.0.0.1", "2001:db8::1", "2a00::1", "fec0::1", "64:ff9b::1", "0.0.0.1"]


@pytest.mark.parametrize("address", [*LOCAL, "::ffff:10.0.0.5", "[fd00::1]:443", "192.168.1.1:80"])
def test_an_address_of_one_machine_or_network_is_nobodys(address: str) -> None:
    assert is_local(client_address(address, None, NO_PROXIES) or "")


@pytest.mark.parametrize("address", [*OTHERS, "::ffff:203.0.113.9"])
def test_any_other_address_can_be_a_visitors(address: str) -> None:
    assert not is_local(client_address(address, None, NO_PROXIES) or "")
