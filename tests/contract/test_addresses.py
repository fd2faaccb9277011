"""Whose address a call carries, from the connection to the ID: which header counts, which addresses are nobody's, what health says."""

from collections.abc import Callable

import pytest

from identity_service.settings.load import load
from tests.conftest import Clock, Shopper, shopping

pytestmark = pytest.mark.anyio
SHOP = "https://shop.example"
BEHIND = {"IDENTITY_SERVER__TRUSTED_PROXIES": "127.0.0.1", "IDENTITY_SHOPS__DEMO__ORIGINS": SHOP}
HEADER = "IDENTITY_SERVER__CLIENT_ADDRESS_HEADER"
AGENT = "Mozilla/5.0 (X11) Gecko/20100101 Firefox/140.0"


async def browsed(shopper: Shopper, **headers: str) -> str:
    """The token of a page's visitor. Headers are named with underscores."""
    answer = await shopper.browser("/v1/visitors", origin=SHOP, **headers)
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["token"]
    return token


async def described(shopper: Shopper, ip: object) -> str:
    """The token of a visitor that a server describes."""
    token: str = (await shopper.post("/v1/visitors", {"client": {"ip": ip, "user_agent": AGENT}})).json()["token"]
    return token


def visitor(token: str) -> str:
    kind, found = token.split(".")[:2]
    assert kind == "1d"
    return found


@pytest.mark.parametrize(
    ("header", "sent"),
    [
        ("x-forwarded-for", {"x_forwarded_for": "6.6.6.6, 198.51.100.9:51008, 127.0.0.1:80"}),
        ("X-Real-IP", {"x_real_ip": "198.51.100.9"}),
        ("cf-connecting-ip", {"cf_connecting_ip": "198.51.100.9", "x_forwarded_for": "203.0.113.9", "forwarded": "for=6.6.6.6"}),
        ("True-Client-IP", {"true_client_ip": "[::ffff:198.51.100.9]:443"}),
        ("forwarded", {"forwarded": 'for=6.6.6.6, for="198.51.100.9:4711";proto=https', "x_forwarded_for": "203.0.113.9"}),
    ],
)
async def test_the_one_header_that_the_setting_names_counts(
    environment: dict[str, str], clock: Clock, header: str, sent: dict[str, str]
) -> None:
    async with shopping(load("development", environment | BEHIND | {HEADER: header}), clock, "127.0.0.1") as shopper:
        assert visitor(await browsed(shopper, **sent)) == visitor(await described(shopper, "198.51.100.9"))


@pytest.mark.parametrize("header", ["cf-connecting-ip", "forwarded"])
async def test_where_the_named_header_is_missing_no_other_one_stands_for_it(environment: dict[str, str], clock: Clock, header: str) -> None:
    async with shopping(load("development", environment | BEHIND | {HEADER: header}), clock, "127.0.0.1") as shopper:
        assert (await browsed(shopper, x_forwarded_for="198.51.100.9", x_real_ip="198.51.100.9")).startswith("1c.")


async def test_of_a_header_that_comes_twice_the_last_counts(environment: dict[str, str], clock: Clock) -> None:
    """A proxy that adds a header, where it should replace it, leaves what the visitor wrote in front."""
    async with shopping(load("development", environment | BEHIND | {HEADER: "x-real-ip"}), clock, "127.0.0.1") as shopper:
        twice = [("origin", SHOP), ("user-agent", AGENT), ("x-real-ip", "6.6.6.6"), ("x-real-ip", "198.51.100.9")]
        twice.append(("authorization", "Bearer demo-public-key"))
        answer = await shopper.client.post("/v1/visitors", json={}, headers=twice)
        assert visitor(answer.json()["token"]) == visitor(await described(shopper, "198.51.100.9"))


async def test_the_named_header_counts_only_from_a_proxy_of_ours(environment: dict[str, str], clock: Clock) -> None:
    async with shopping(load("development", environment | BEHIND | {HEADER: "cf-connecting-ip"}), clock, "203.0.113.7") as shopper:
        assert (await browsed(shopper, cf_connecting_ip="198.51.100.9")).startswith("1c.")
        assert visitor(await browsed(shopper)) == visitor(await described(shopper, "203.0.113.7"))


NOBODYS = ["10.0.0.7", "192.168.1.1:80", "172.16.5.5", "127.0.0.1", "169.254.7.7", "[fd00::7]:443", "fe80::7", "::1", "::ffff:10.0.0.7"]


@pytest.mark.parametrize("address", NOBODYS)
async def test_an_address_of_one_network_is_nobodys(environment: dict[str, str], clock: Clock, address: str) -> None:
    forwards = {"IDENTITY_SERVER__TRUSTED_PROXIES": "203.0.113.7"}
    async with shopping(load("development", environment | BEHIND | forwards), clock, "203.0.113.7") as shopper:
        tokens = [await browsed(shopper, x_forwarded_for=address) for _ in range(2)]
        tokens += [await described(shopper, address), await described(shopper, f"{address}, 198.51.100.9")]
    assert {token[:3] for token in tokens} == {"1c."}
    assert len(set(tokens)) == 4


@pytest.mark.parametrize("origins", [SHOP, f"{SHOP},http://localhost:3000", ""])
async def test_on_loopback_nobody_is_known_where_the_shop_is_elsewhere(environment: dict[str, str], clock: Clock, origins: str) -> None:
    async with shopping(load("development", environment | {"IDENTITY_SHOPS__DEMO__ORIGINS": origins}), clock, "127.0.0.1") as shopper:
        assert (await described(shopper, "127.0.0.1")).startswith("1c.")
        if origins:
            assert (await browsed(shopper)).startswith("1c.")


@pytest.mark.parametrize("origins", ["http://localhost:8080", "http://127.0.0.1,http://[::1]:8080"])
async def test_in_development_the_machines_own_addresses_are_people(environment: dict[str, str], clock: Clock, origins: str) -> None:
    async with shopping(load("development", environment | {"IDENTITY_SHOPS__DEMO__ORIGINS": origins}), clock, "127.0.0.1") as shopper:
        assert visitor(await described(shopper, "127.0.0.1")) != visitor(await described(shopper, "192.168.1.7"))


async def reasons(shopper: Shopper) -> list[str]:
    answer = await shopper.client.get("/v1/health/tracking", headers={"authorization": "Bearer demo-private-key"})
    found: list[str] = answer.json()["reasons"]
    return [reason for reason in found if "address" in reason]


def same(_: int) -> str:
    return AGENT


def another(number: int) -> str:
    return f"Mozilla/5.0 {number}"


@pytest.mark.parametrize(
    ("address", "agent", "said"),
    [
        ("10.0.0.5", same, "all visitors of the last hour come from one address"),
        ("10.0.0.{}", same, "100% of the visits of the last hour come from a private"),
        ("203.0.113.50", another, "all visitors of the last hour come from one address"),
        ("203.0.113.50", same, None),  # one person who looks around
        ("203.0.113.{}", another, None),
        ("unknown", another, None),
    ],
)
async def test_health_says_when_a_proxy_hides_the_visitors(
    environment: dict[str, str], clock: Clock, address: str, agent: Callable[[int], str], said: str | None
) -> None:
    async with shopping(load("development", environment | {"IDENTITY_SHOPS__DEMO__ORIGINS": SHOP}), clock) as shopper:
        for number in range(12):
            await shopper.post("/v1/visitors", {"client": {"ip": address.format(number), "user_agent": agent(number)}})
        assert [reason.partition(",")[0].startswith(said or "?") for reason in await reasons(shopper)] == ([True] if said else [])
        clock.forward(7_200)
        assert await reasons(shopper) == []


async def test_in_development_one_address_is_no_fault(environment: dict[str, str], clock: Clock) -> None:
    async with shopping(load("development", environment), clock, "127.0.0.1") as shopper:
        for number in range(12):
            await shopper.browser("/v1/visitors", **{"user-agent": another(number)})
        assert await reasons(shopper) == []
