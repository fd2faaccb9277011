"""Derived IDs: the arithmetic of windows, and what an ID depends on."""

import hashlib
import hmac
import ipaddress
import itertools
import secrets
import struct
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.model.cookieless import GRACE, Window, derive, window_at
from identity_service.model.utc import DAY

SALT = b"0123456789abcdef0123456789abcdef"
V4 = st.ip_addresses(v=4).map(str)
V6 = st.ip_addresses(v=6)


@given(st.integers(0, 2**40), st.integers(1, 30))
def test_every_moment_is_in_exactly_one_window_and_windows_have_no_gap(now: int, days: int) -> None:
    window = window_at(now, days)
    assert window.start <= now < window.end
    assert window.end - window.start == days * DAY
    assert window.start % (days * DAY) == 0
    assert window_at(window.start, days) == window_at(window.end - 1, days) == window
    assert window_at(window.end, days).previous() == window
    assert window.salt_destroyed_at == window.end + GRACE


def test_the_previous_window_has_the_same_length() -> None:
    assert Window(200, 300).previous() == Window(100, 200)


def test_an_id_is_the_documented_digest() -> None:
    message = b"".join(struct.pack(">I", len(part)) + part for part in (b"demo", bytes([198, 51, 100, 1]), "ägent".encode()))
    expected = urlsafe_b64encode(hmac.new(SALT, message, hashlib.sha256).digest()[:16]).decode().rstrip("=")
    assert derive(SALT, "demo", "198.51.100.1", "ägent") == expected
    assert len(expected) == 22


@given(V4, st.text(max_size=50))
def test_the_same_inputs_give_the_same_id(address: str, agent: str) -> None:
    assert derive(SALT, "demo", address, agent) == derive(SALT, "demo", address, agent)


@given(V6)
def test_ipv6_counts_by_its_64_bit_network(address: ipaddress.IPv6Address) -> None:
    if address.ipv4_mapped:
        return
    network = int(address) >> 64 << 64
    same = {derive(SALT, "demo", str(ipaddress.IPv6Address(network + host)), "a") for host in (2**50, 2**51, 2**64 - 1)}
    assert len(same) == 1
    assert derive(SALT, "demo", str(address), "a") in same
    assert derive(SALT, "demo", str(ipaddress.IPv6Address((int(address) + 2**64) % 2**128)), "a") not in same


@given(V4)
def test_an_ipv4_mapped_address_is_its_ipv4_address(address: str) -> None:
    assert derive(SALT, "demo", f"::ffff:{address}", "a") == derive(SALT, "demo", address, "a")


def test_ipv4_mapped_neighbours_are_not_one_network() -> None:
    assert derive(SALT, "demo", "::ffff:198.51.100.1", "a") != derive(SALT, "demo", "::ffff:198.51.100.2", "a")


def test_a_zone_and_another_spelling_change_nothing() -> None:
    assert derive(SALT, "demo", "fe80::1%eth0", "a") == derive(SALT, "demo", "fe80::1", "a")
    assert derive(SALT, "demo", "2001:DB8:0:0::1", "a") == derive(SALT, "demo", "2001:db8::1", "a")


def test_no_two_of_many_different_inputs_meet() -> None:
    salts = [secrets.token_bytes(32) for _ in range(3)]
    addresses = [f"198.51.100.{host}" for host in range(50)] + [f"2001:db8:0:{net:x}::1" for net in range(50)]
    every = list(itertools.product(salts, ["demo", "other", ""], addresses, ["", "agent", "agent "]))
    assert len({derive(*inputs) for inputs in every}) == len(every)


@given(st.text(min_size=1, max_size=12), st.integers(0, 12))
def test_text_moved_between_shop_and_agent_gives_another_id(text: str, cut: int) -> None:
    whole = derive(SALT, text, "198.51.100.1", "")
    if text[: cut % len(text)] != text:
        assert derive(SALT, text[: cut % len(text)], "198.51.100.1", text[cut % len(text) :]) != whole


def test_an_agent_that_is_no_utf8_is_still_an_agent() -> None:
    assert len(derive(SALT, "demo", "198.51.100.1", "\ud800")) == 22


@pytest.mark.parametrize(
    "address", ["", "localhost", "198.51.100", "198.51.100.256", "198.51.100.1:80", "2001:db8::/64", " 198.51.100.1", "\ud800"]
)
def test_what_is_no_address_gives_no_id(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        derive(SALT, "demo", address, "agent")
