"""Shops are found by key, and keys are held as digests alone."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from identity_service.app import make_shops
from identity_service.model.policy import STANDARD
from identity_service.model.regions import strict_policy
from identity_service.model.shop import Caller, CookieRule, Shop, Shops, callers_of, key_digest, shop_of
from identity_service.settings.load import load
from identity_service.settings.schema import ShopSettings


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
