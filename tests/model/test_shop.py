"""Shops are found by key, and keys are held as digests alone."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from identity_service.app import make_shops
from identity_service.model.policy import STANDARD
from identity_service.model.regions import strict_policy
from identity_service.model.shop import Caller, CookieRule, Shop, ShopId, Shops, callers_of, key_digest, no_longer_counting, shop_of
from identity_service.settings.load import load
from identity_service.settings.schema import RegionSettings, ShopSettings


def with_keys(name: str, *public: str) -> tuple[Shop, list[Caller]]:
    settings = ShopSettings(public_keys=list(public), private_keys=[f"{name}-private"], origins=[f"https://{name}.example"])
    shop = shop_of(name, settings)
    return shop, callers_of(shop, settings)


def two_shops() -> Shops:
    shops = Shops()
    shops.add(*with_keys("a", "a-public", "a-public-2"))
    shops.add(*with_keys("b", "b-public"))
    return shops


def found(shops: Shops, key: str) -> tuple[str, str] | None:
    one = shops.find(key)
    return (one.shop.shop_id, "private" if one.private else "public") if one else None


def test_each_key_finds_its_own_shop_and_kind() -> None:
    shops = two_shops()
    assert found(shops, "a-public") == found(shops, "a-public-2") == ("a", "public")
    assert found(shops, "a-private") == ("a", "private")
    assert found(shops, "b-private") == ("b", "private")
    assert [one.shop_id for one in shops] == ["a", "b"]
    assert shops.origins == {"https://a.example", "https://b.example"}


@given(st.text())
def test_no_other_text_finds_a_shop(key: str) -> None:
    if key not in {"a-public", "a-public-2", "a-private", "b-public", "b-private"}:
        assert two_shops().find(key) is None


def test_a_digest_is_no_key() -> None:
    shops = two_shops()
    assert shops.find(key_digest("a-private")) is None
    assert shops.find(f"sha256:{key_digest('a-private')}") is None
    assert "a-private" not in repr(vars(shops))


def test_a_key_is_held_as_its_sha256_whatever_its_characters() -> None:
    assert key_digest("é") == hashlib.sha256("é".encode()).hexdigest()
    assert len(key_digest("\ud800")) == 64


def test_settings_become_shops_with_their_rules() -> None:
    environment = {
        "IDENTITY_SHOPS__DEMO__PRIVATE_KEYS": f"sha256:{key_digest('of a digest')}",
        "IDENTITY_SHOPS__DEMO__WINDOW_DAYS": "7",
        "IDENTITY_SHOPS__DEMO__CONTINUITY": "fresh",
        "IDENTITY_SHOPS__DEMO__ACCEPT_UNSIGNED": "false",
        "IDENTITY_SHOPS__DEMO__COOKIE_NAME": "__Secure-v",
        "IDENTITY_SHOPS__DEMO__COOKIE_DOMAIN": "shop.example",
    }
    shops = make_shops(load("development", environment).shops)
    demo, _, strict = shops
    assert found(shops, "of a digest") == ("demo", "private")
    assert (demo.policy, demo.settings.window_days, demo.settings.continuity, demo.settings.accept_unsigned) == (
        STANDARD,
        7,
        "fresh",
        False,
    )
    assert demo.cookie == CookieRule("__Secure-v", "shop.example")
    assert (strict.policy, strict.settings.window_days, strict.cookie) == (strict_policy({}), 1, CookieRule("__Host-visitor"))


def counting(where: str = "", **regions: str) -> ShopSettings:
    """`where`: the shop's own setting; the policy is `standard` without."""
    own = {code: RegionSettings(measurement=choice) for code, choice in regions.items()}  # type: ignore[arg-type]
    policy, measurement = ("strict", where) if where else ("standard", "none")
    return ShopSettings(public_keys=[], private_keys=["k"], policy=policy, measurement=measurement, regions=own)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "after", "fewer"),
    [
        (counting("exempt"), counting("exempt"), False),
        (counting("none"), counting("exempt"), False),
        (counting("exempt"), counting("none"), True),
        (counting("exempt"), counting(), True),
        (counting("exempt"), counting("exempt", ES="none"), True),
        (counting("none", FR="exempt", DE="exempt"), counting("none", FR="exempt"), True),
        (counting("none", FR="exempt"), counting("exempt"), False),
    ],
)
def test_a_shop_that_counts_in_fewer_places_is_named(before: ShopSettings, after: ShopSettings, fewer: bool) -> None:
    assert no_longer_counting({"a": before, "b": counting()}, {"a": after, "b": counting("exempt")}) == ({"a"} if fewer else set())
    assert no_longer_counting({"a": before}, {}) == ({"a"} if shop_of("a", before).counts_silent else set())


def test_a_shop_that_stops_counting_does_so_under_all_its_keys_and_policies() -> None:
    shops = Shops()
    for name in ("a", "b"):
        settings = replace(counting("exempt", FR="exempt"), public_keys=[f"{name}-public"], private_keys=[f"{name}-private"])
        shop = shop_of(name, settings)
        shops.add(shop, callers_of(shop, settings))
    shops.stop_counting(frozenset({ShopId("a")}))
    assert {one.shop_id: one.counts_silent for one in shops} == {"a": False, "b": True}
    for kind in ("public", "private"):
        stopped, other = (shops.find(f"{name}-{kind}") for name in ("a", "b"))
        assert stopped
        assert other
        assert not any(policy.counts_silent for policy in stopped.shop.policies.values())
        assert (stopped.shop.policy.rules("FR").counts_silent, other.shop.policy.rules("FR").counts_silent) == (False, True)
    assert len(shops.keys_of(shop_of("a", settings))) == 2
