"""store.url in each of its forms."""

import pytest

from identity_service.store_address import parse_address


@pytest.mark.parametrize("url", ["redis://h:6379/1", "rediss://u:p@h", "unix:///run/valkey.sock?db=2"])
def test_one_server_is_its_own_url(url: str) -> None:
    address = parse_address(url)
    assert (address.topology, address.servers) == ("single", (url,))


def test_sentinels_are_asked_without_the_login_of_the_data_servers() -> None:
    address = parse_address("redis+sentinel://app:s%40crt@a,b:7000/main?db=1&socket_keepalive=1")
    assert address.servers == ("redis://a:26379?socket_keepalive=1", "redis://b:7000?socket_keepalive=1")
    assert address.service == "main"
    assert address.server("10.0.0.1", 6380) == "redis://app:s%40crt@10.0.0.1:6380?db=1&socket_keepalive=1"


def test_sentinels_may_have_a_password_of_their_own() -> None:
    address = parse_address("rediss+sentinel://:data@a/main?sentinel_password=p/w")
    assert address.servers == ("rediss://:" + "p%2Fw@a:26379",)
    assert address.server("fd00::1", 6379) == "rediss://:data@[fd00::1]:6379"


def test_a_cluster_is_asked_at_any_of_its_servers() -> None:
    address = parse_address("redis+cluster://:pw@a,[::1]:7001")
    assert (address.topology, address.servers) == ("cluster", ("redis://:pw@a:6379", "redis://:pw@[::1]:7001"))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://h",
        "redis://",
        "redis:///0",
        "redis+sentinel://a,b",
        "redis+sentinel:///main",
        "redis+cluster://a/name",
        "redis+cluster://a,,b",
        "redis+cluster://a b",
    ],
)
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is none of"):
        parse_address(url)
