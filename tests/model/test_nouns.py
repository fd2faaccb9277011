"""Handles, derived IDs, consent, links, events, shops and visitor IDs, each by itself."""

import hashlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.app import make_shops
from identity_service.errors import Invalid
from identity_service.model.consent import Choice, Consent, Millis, Purpose, purposes_choice, visitor_digest
from identity_service.model.cookieless import GRACE, derive, window_at
from identity_service.model.event import SaleLine
from identity_service.model.handle import HandleKind, Handles, handle_named, normalise_email
from identity_service.model.link import LinkSource, living_links, parse_link
from identity_service.model.shop import Shops, key_digest
from identity_service.model.utc import DAY
from identity_service.model.visitor import Kind, Mode, VisitorRecord, new_visitor_id, own_visitor_id
from identity_service.settings.load import load

SAME = [
    (" Luke@SKYWALKER.com ", "luke@skywalker.com"),
    ("LUKE@skywalker.COM", "luke@skywalker.com"),
    ("jane@B\u00fccher.example", "jane@xn--bcher-kva.example"),
    ("jose\u0301@example.com", "jos\u00e9@example.com"),
    ("a+b@example.com", "a+b@example.com"),
    ("a.b@gmail.com", "a.b@gmail.com"),
    ("o'neil@example.com", "o'neil@example.com"),
    ("x@sub.example.co.uk", "x@sub.example.co.uk"),
    ("lu\u212ae@example.com", "luke@example.com"),  # by NFC: canonically the same letter
]
DIFFERENT = [
    ("luke@example.com", "luk\u0435@example.com"),
    ("stra\u00dfe@example.com", "strasse@example.com"),
    ("\u017fam@example.com", "sam@example.com"),
    ("\uff41@example.com", "a@example.com"),
    ("a.b@gmail.com", "ab@gmail.com"),
    ("a+b@example.com", "a@example.com"),
]
REFUSED = [
    "",
    "null",
    "undefined",
    "NaN",
    "guest",
    "test@test",
    "a@b",
    "a b@example.com",
    "a@@example.com",
    "@example.com",
    "a@",
    "a\0@example.com",
]
REFUSED += [
    "a\n@example.com",
    "x" * 250 + "@example.com",
    "a@example.com\r\nbcc: b@example.com",
    "a@localhost",
    "[object Object]",
    "'null'",
]
HANDLES = Handles("pepper")


@pytest.mark.parametrize(("typed", "normalised"), SAME)
def test_spellings_of_one_address_are_one(typed: str, normalised: str) -> None:
    assert normalise_email(typed) == normalise_email(normalised) == normalised


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_two_people_are_never_merged(one: str, other: str) -> None:
    assert normalise_email(one) != normalise_email(other)


@pytest.mark.parametrize("typed", REFUSED)
def test_what_is_no_address_is_refused_without_repeating_it(typed: str) -> None:
    with pytest.raises(Invalid) as refused:
        HANDLES.of_email("demo", typed)
    assert len(typed) < 3 or typed not in refused.value.detail


@given(st.emails())
def test_normalising_twice_changes_nothing(email: str) -> None:
    try:
        once = normalise_email(email)
    except Invalid:
        return
    assert normalise_email(once) == once


def test_digests_are_apart_by_shop_kind_and_pepper_and_a_sha256_serves() -> None:
    email = HANDLES.of_email("demo", "a@example.com")
    digests = {email.digest, HANDLES.of_email("other", "a@example.com").digest, HANDLES.of_customer("demo", "a@example.com").digest}
    digests.add(Handles("another").of_email("demo", "a@example.com").digest)
    assert len(digests) == 4
    assert HANDLES.of_email_sha256("demo", hashlib.sha256(b"a@example.com").hexdigest().upper()) == email
    assert handle_named(email.name) == email
    assert (email.kind, len(email.name)) == (HandleKind.EMAIL, 23)


@pytest.mark.parametrize("digest", ["", "12", "g" * 64, "0" * 63])
def test_a_sha256_has_its_form(digest: str) -> None:
    with pytest.raises(Invalid):
        HANDLES.of_email_sha256("demo", digest)


@pytest.mark.parametrize("customer", ["", " ", "null", "0", "x" * 256, "a\x00b", "a\nb"])
def test_junk_customers_are_refused(customer: str) -> None:
    with pytest.raises(Invalid):
        HANDLES.of_customer("demo", customer)


def test_length_prefixes_keep_parts_apart() -> None:
    assert HANDLES.digest("visitor", "ab", "c") != HANDLES.digest("visitor", "a", "bc")
    assert derive(b"s", "ab", "198.51.100.1", "c") != derive(b"s", "a", "198.51.100.1", "bc")


def test_a_derived_id_follows_all_its_inputs_and_only_them() -> None:
    base = derive(b"salt", "demo", "198.51.100.1", "agent")
    assert base == derive(b"salt", "demo", "198.51.100.1", "agent")
    assert len(base) == 22
    others = [derive(b"other", "demo", "198.51.100.1", "agent"), derive(b"salt", "other", "198.51.100.1", "agent")]
    others += [derive(b"salt", "demo", "198.51.100.2", "agent"), derive(b"salt", "demo", "198.51.100.1", "agent2")]
    assert base not in others
    assert derive(b"salt", "demo", "::ffff:198.51.100.1", "agent") == base
    assert derive(b"s", "d", "2001:db8::1", "a") == derive(b"s", "d", "2001:db8::ffff:1", "a") != derive(b"s", "d", "2001:db8:0:1::1", "a")
    with pytest.raises(ValueError, match="address"):
        derive(b"s", "d", "no address", "a")


@pytest.mark.parametrize("days", [1, 7, 30])
def test_windows_follow_each_other_without_a_gap(days: int) -> None:
    window = window_at(1_795_000_000, days)
    assert window.start <= 1_795_000_000 < window.end == window.start + days * DAY
    assert window.previous().end == window.start
    assert window_at(window.end, days).start == window.end
    assert window.salt_destroyed_at == window.end + GRACE


def test_a_grant_needs_both_purposes_and_one_refusal_is_enough() -> None:
    granted, refused = Choice.GRANTED, Choice.REFUSED
    assert purposes_choice({Purpose.STORAGE: granted, Purpose.MEASUREMENT: granted}) is granted
    assert purposes_choice({Purpose.STORAGE: granted}) is purposes_choice({Purpose.LINKING: granted}) is purposes_choice({}) is None
    assert purposes_choice({Purpose.STORAGE: granted, Purpose.MEASUREMENT: refused}) is refused
    stored = Consent(Millis(5), "plain", refused, "3").as_signal()
    assert (stored.choice, stored.decided_at, stored.linking, stored.policy_version) == (granted, 5, refused, "3")
    assert visitor_digest("key", "one") != visitor_digest("other", "one") != visitor_digest("key", "two")


def test_links_are_read_as_documented_and_expired_ones_do_not_count() -> None:
    link = parse_link("v", "1000 50 200 sv")
    assert (link.first_seen, link.last_seen, link.expires, link.source, link.verified) == (1000, 1050, 1200, LinkSource.SALE, True)
    stored = {"old": "1000 0 100 lu", "new": "1000 60 200 ev", "older": "900 150 400 lu"}
    assert [one.visitor for one in living_links(stored, 1100)] == ["new", "older"]


def test_events_keep_types_and_exact_prices() -> None:
    assert SaleLine("12", 2, Decimal("99.95")).stored() == {"id": "12", "quantity": 2, "price": "99.95"}
    assert SaleLine(12).stored() == {"id": 12, "quantity": 1}


def test_keys_are_found_by_digest_alone(shops: Shops) -> None:
    found = shops.find("demo-private-key")
    assert found
    assert (found.shop.shop_id, found.private) == ("demo", True)
    assert shops.find("unknown") is shops.find("") is shops.find("\ud800") is None
    assert "demo-private-key" not in repr(shops._by_digest)
    assert [shop.shop_id for shop in shops] == ["demo", "other", "strict"]
    assert key_digest("a") == hashlib.sha256(b"a").hexdigest()


@pytest.fixture
def shops() -> Shops:
    return make_shops(load("development", {}).shops)


@pytest.mark.parametrize("text", ["646f1f0584371", "abc123", "test-visitor-1", "v_9.x", "A" * 64])
def test_own_ids_are_kept_byte_for_byte(text: str) -> None:
    assert own_visitor_id(text) == text


@pytest.mark.parametrize("text", ["", " a", "a\n", "a b", "ä", "x" * 65, "auto", "NULL", "undefined", "0", "."])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        own_visitor_id(text)


def test_ids_are_random_and_records_know_their_mode() -> None:
    assert len({new_visitor_id() for _ in range(1_000)}) == 1_000
    record = VisitorRecord(Kind.PERSISTENT, 1, 2, 3, None, False, 2)
    assert (record.mode, record.shared) == (Mode.PERSISTENT, True)
    assert VisitorRecord(Kind.DERIVED, 1, 2, 3, None, False, 1).mode is Mode.COOKIELESS
