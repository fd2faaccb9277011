"""store.url in each of its forms."""

import pytest

from identity_service.settings.store_url import parse_address, store_name


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
        "redis://h:port",
        "redis://h:",
        "redis://h:0",
        "rediss://u:p@h:65536",
        "redis://h:6379:1",
        "redis+sentinel://a:99999/main",
        "redis+cluster://a,b:0",
        "unix://s.sock",
    ],
)
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is none of"):
        parse_address(url)


ODD = [
    "hunter2?x",
    "hun/ter2",
    "hun@ter2",
    "hun#ter2",
    "12345?hunter2=1",
    "12345/hunter2",
    "12345#hunter2",
    "?",
    "/@",
    "@@?#/",
    "hun ter2",
    "1:hunter2",
]
ODD += ["hunter2@h?hunter2", "hunter2[", "hunter2]@[", "hunter2,b", "12,hunter2:7", "%zzhunter2", "12345?password=hunter2", "hunter2\\@"]
PLACES = [
    "redis://{}127.0.0.1:6379/0",
    "rediss://{}h?ssl_cert_reqs=none",
    "unix://{}/run/s.sock",
    "redis+sentinel://{}a,b:7/main",
    "redis+cluster://{}a,b",
]
PLACES += [
    "redis://{}h:port",
    "redis://{}h:99999",
    "http://{}h",
    "{}h",
    "redis://h/0?password={}x",
    "redis+sentinel://a/main?sentinel_password={}x",
]


@pytest.mark.parametrize("place", PLACES)
def test_no_message_holds_a_part_of_a_password(place: str) -> None:
    for url in (place.format(login.format(password)) for login in ("luke:{}@", ":{}@", "{}@") for password in ODD):
        told = store_name(url)
        try:
            parse_address(url)
        except ValueError as error:
            told += str(error)
        assert not [part for part in ("hun", "ter2", "12345", "luke", "%zz") if part in told], (url, told)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://u:p@h:6379/1?socket_timeout=5", "redis://h:6379/1"),
        ("rediss://u:p%40%2F%3F%23@[::1]:6379", "rediss://[::1]:6379"),
        ("unix://u:p@/run/valkey.sock?db=2", "unix:///run/valkey.sock"),
        ("redis+sentinel://:p@a,b:7000/main?sentinel_password=p/w", "redis+sentinel://a,b:7000/main"),
        ("redis+cluster://a,[::1]:7001", "redis+cluster://a,[::1]:7001"),
        ("embedded:/var/lib/a@b?c", "embedded:/var/lib/a@b?c"),
        ("redis://h:port", "this address"),
    ],
)
def test_a_store_has_a_name_without_its_login_and_options(url: str, name: str) -> None:
    assert store_name(url) == name
