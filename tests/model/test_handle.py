"""Handles: which spellings of an email are one person, which never are, and what a digest depends on."""

import hashlib
import hmac
import re
import string
import struct
from base64 import urlsafe_b64encode

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given, settings
from hypothesis import strategies as st

from identity_service.errors import Invalid
from identity_service.model.handle import JUNK, Handle, HandleKind, Handles, handle_named, is_junk, normalise_email

HANDLES = Handles("pepper")

GOLDEN = [
    # trimmed
    ("luke@example.com", "luke@example.com"),
    (" luke@example.com", "luke@example.com"),
    ("luke@example.com ", "luke@example.com"),
    ("\tluke@example.com\r\n", "luke@example.com"),
    ("\u00a0luke@example.com\u3000", "luke@example.com"),
    ("\u2003luke@example.com\u2009", "luke@example.com"),
    # what nobody sees
    ("luke@example.com\u200b", "luke@example.com"),
    ("\ufeffluke@example.com", "luke@example.com"),
    ("lu\u00adke@exam\u200bple.com", "luke@example.com"),
    ("\u202aluke@example.com\u202c", "luke@example.com"),
    ("\u2066luke\u200e@\u2060example.com\u2069", "luke@example.com"),
    ("\u200b luke@example.com \u200b", "luke@example.com"),
    # the at sign as other keyboards type it
    ("luke\uff20example.com", "luke@example.com"),
    ("luke\ufe6bexample.com", "luke@example.com"),
    ("luke\uff20b\u00fccher.example", "luke@xn--bcher-kva.example"),
    # lower case, letter by letter
    ("Luke@example.com", "luke@example.com"),
    ("LUKE@EXAMPLE.COM", "luke@example.com"),
    ("luke@Example.Com", "luke@example.com"),
    ("LuKe.SkyWalker@example.com", "luke.skywalker@example.com"),
    ("ABCDEFGHIJKLMNOPQRSTUVWXYZ@example.com", "abcdefghijklmnopqrstuvwxyz@example.com"),
    ("\u00c4rger@example.com", "\u00e4rger@example.com"),
    ("\u00e4rger@example.com", "\u00e4rger@example.com"),
    ("\u00c9MILE@example.com", "\u00e9mile@example.com"),
    ("\u0130zmir@example.com", "\u0130zmir@example.com"),
    ("\u0131zmir@example.com", "\u0131zmir@example.com"),
    ("\u0391\u0392\u03a3@example.com", "\u03b1\u03b2\u03c3@example.com"),
    ("\u041b\u0423\u041a@example.com", "\u043b\u0443\u043a@example.com"),
    # NFC: the same letters, written apart or together
    ("jose\u0301@example.com", "jos\u00e9@example.com"),
    ("jos\u00e9@example.com", "jos\u00e9@example.com"),
    ("A\u0308rger@example.com", "\u00e4rger@example.com"),
    ("a\u030angstrom@example.com", "\u00e5ngstrom@example.com"),
    ("\u212bngstrom@example.com", "\u00e5ngstrom@example.com"),
    ("lu\u212ae@example.com", "luke@example.com"),
    ("\u1100\u1161@example.com", "\uac00@example.com"),
    # no folding by compatibility
    ("\u017fam@example.com", "\u017fam@example.com"),
    ("stra\u00dfe@example.com", "stra\u00dfe@example.com"),
    ("\uff41@example.com", "\uff41@example.com"),
    ("\uff21@example.com", "\uff41@example.com"),
    ("\ufb01n@example.com", "\ufb01n@example.com"),
    ("x\u00b2@example.com", "x\u00b2@example.com"),
    # the domain by IDNA
    ("jane@b\u00fccher.example", "jane@xn--bcher-kva.example"),
    ("jane@B\u00dcCHER.example", "jane@xn--bcher-kva.example"),
    ("jane@bu\u0308cher.example", "jane@xn--bcher-kva.example"),
    ("jane@xn--bcher-kva.example", "jane@xn--bcher-kva.example"),
    ("jane@XN--BCHER-KVA.example", "jane@xn--bcher-kva.example"),
    ("jane@stra\u00dfe.de", "jane@xn--strae-oqa.de"),
    ("jane@fa\u00df.de", "jane@xn--fa-hia.de"),
    ("jane@fass.de", "jane@fass.de"),
    ("jane@\u212aelvin.de", "jane@kelvin.de"),
    ("jane@\uff25\uff38\uff21\uff2d\uff30\uff2c\uff25.com", "jane@example.com"),
    ("jane@example\u3002com", "jane@example.com"),
    ("jane@\u03b2\u03b1\u03c3\u03b9\u03bb\u03bf\u03c2.gr", "jane@xn--mxabwiusd.gr"),
    ("jane@\u0392\u0391\u03a3\u0399\u039b\u039f\u03a3.gr", "jane@xn--mxabwiuvd.gr"),
    ("jane@m\u00fcnchen.de", "jane@xn--mnchen-3ya.de"),
    ("jane@\u4f8b\u5b50.cn", "jane@xn--fsqu00a.cn"),
    # no rules of single providers
    ("a.b@gmail.com", "a.b@gmail.com"),
    ("ab@gmail.com", "ab@gmail.com"),
    ("a+b@gmail.com", "a+b@gmail.com"),
    ("a@gmail.com", "a@gmail.com"),
    ("a@googlemail.com", "a@googlemail.com"),
    ("a-b@yahoo.com", "a-b@yahoo.com"),
    ("A.B+Shop@Gmail.com", "a.b+shop@gmail.com"),
    # what addresses may hold
    ("o'neil@example.com", "o'neil@example.com"),
    ("o\u2019neil@example.com", "o\u2019neil@example.com"),
    ("!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"),
    ("1234567890@example.com", "1234567890@example.com"),
    ("a@b.co", "a@b.co"),
    ("x@sub.example.co.uk", "x@sub.example.co.uk"),
    ("x@a-b.example.com", "x@a-b.example.com"),
    ("guest@example.com", "guest@example.com"),
    ("null@example.com", "null@example.com"),
    ("\u0434\u0436\u0430\u0438\u043d@example.com", "\u0434\u0436\u0430\u0438\u043d@example.com"),
    ("\u7528\u6237@example.com", "\u7528\u6237@example.com"),
    ("x" * 64 + "@example.com", "x" * 64 + "@example.com"),
]
APART = [
    ("luke@example.com", "luk\u0435@example.com"),  # Cyrillic e
    ("paypal@example.com", "p\u0430ypal@example.com"),
    ("ana@example.com", "an\u03b1@example.com"),
    ("luke@example.com", "luke@ex\u0430mple.com"),
    ("sam@example.com", "\u017fam@example.com"),
    ("strasse@example.com", "stra\u00dfe@example.com"),
    ("a@fass.de", "a@fa\u00df.de"),
    ("a@example.com", "\uff41@example.com"),
    ("fin@example.com", "\ufb01n@example.com"),
    ("x2@example.com", "x\u00b2@example.com"),
    ("jose@example.com", "jos\u00e9@example.com"),
    ("izmir@example.com", "\u0131zmir@example.com"),
    ("\u0130@example.com", "i@example.com"),
    ("\u03c2@example.com", "\u03c3@example.com"),
    ("ab@gmail.com", "a.b@gmail.com"),
    ("a@gmail.com", "a+b@gmail.com"),
    ("a@gmail.com", "a@googlemail.com"),
    ("o'neil@example.com", "o\u2019neil@example.com"),
    ("a@b.co", "a@b.com"),
]
NO_ADDRESS = ["a", "a@", "@example.com", "a@b", "a@localhost", "a@@example.com", "a@b@example.com", "a b@example.com", "a@exam ple.com"]
NO_ADDRESS += [
    "a@example.com.",
    "a@.example.com",
    ".a@example.com",
    "a.@example.com",
    "a..b@example.com",
    "a@[127.0.0.1]",
    '"a b"@example.com',
]
NO_ADDRESS += [
    "a@example.com\r\nbcc: b@example.com",
    "a\0@example.com",
    "a@example.com\0",
    "a\uff20b\uff20example.com",
    "Luke <a@example.com>",
]
NO_ADDRESS += [
    "\ud800@example.com",
    "a@\ud800.com",
    "a@-example.com",
    "a@exa_mple.com",
    "mailto:a@example.com",
    "a@example.com,b@example.com",
]
TOO_LONG = [
    "x" * 250 + "@example.com",
    "a@" + "b" * 64 + ".com",
    "x" * 64 + "@" + ".".join(["b" * 60] * 3) + ".example",
    "x" * 1_017,
    "\u00fc@" + "\u00fc" * 300 + ".de",
]
ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@pytest.mark.parametrize(("typed", "normalised"), GOLDEN)
def test_an_email_has_one_normal_form(typed: str, normalised: str) -> None:
    assert normalise_email(typed) == normalised
    assert normalise_email(normalised) == normalised


def test_there_are_at_least_sixty_golden_pairs() -> None:
    assert len({typed for typed, _ in GOLDEN}) == len(GOLDEN) >= 60


@pytest.mark.parametrize(("one", "other"), APART)
def test_what_may_be_two_people_never_becomes_one(one: str, other: str) -> None:
    assert HANDLES.of_email("demo", one) != HANDLES.of_email("demo", other)


@pytest.mark.parametrize(
    "typed", ["J\u030c@example.com", "H\u0331@example.com", "T\u0308@example.com", "W\u030a@example.com", "Y\u030a@example.com"]
)
def test_a_letter_that_composes_only_in_lower_case_has_one_normal_form_too(typed: str) -> None:
    once = normalise_email(typed)
    assert normalise_email(once) == once == normalise_email(typed.translate(ASCII_LOWER))


@given(st.emails())
def test_normalising_an_ascii_email_twice_changes_nothing(email: str) -> None:
    try:
        once = normalise_email(email)
    except Invalid:
        return
    assert normalise_email(once) == once == normalise_email(f" {once.upper() if once.isascii() else once} ")


LOCAL = st.text(st.characters(categories=["Lu", "Ll", "Lo", "Mn", "Nd"]), min_size=1, max_size=12)


@given(LOCAL, st.sampled_from(["example.com", "B\u00fccher.example", "XN--BCHER-KVA.example", "\uff45xample.com"]))
def test_normalising_any_letters_twice_changes_nothing(local: str, domain: str) -> None:
    try:
        once = normalise_email(f"{local}@{domain}")
    except Invalid:
        return
    assert normalise_email(once) == once


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_invalid(text: str) -> None:
    try:
        assert normalise_email(text).count("@") == 1
    except Invalid as refused:
        told = refused.detail
        assert told == "email: is not an email address"


@pytest.mark.parametrize("typed", [*NO_ADDRESS, *TOO_LONG])
def test_what_is_no_address_is_refused_without_repeating_it(typed: str) -> None:
    with pytest.raises(Invalid) as refused:
        HANDLES.of_email("demo", typed)
    assert len(typed) < 3 or typed not in refused.value.detail


def test_254_characters_are_an_address_and_255_are_none() -> None:
    domain = ".".join(["b" * 61] * 3) + ".com"
    longest = "x" * (254 - len(domain) - 1) + "@" + domain
    assert len(normalise_email(longest)) == 254
    with pytest.raises(Invalid):
        normalise_email(f"x{longest}")


@pytest.mark.parametrize("junk", sorted(JUNK))
@pytest.mark.parametrize("form", ["{}", " {} ", '"{}"', "'{}'", "\t'{}'\n"])
def test_junk_is_neither_email_nor_customer_in_any_form(junk: str, form: str) -> None:
    typed = form.format(junk.upper())
    assert is_junk(typed)
    for make in (HANDLES.of_email, HANDLES.of_customer):
        with pytest.raises(Invalid):
            make("demo", typed)


@pytest.mark.parametrize(
    "junk", ["null", "undefined", "none", "NaN", "guest", "anonymous", "0", "-1", "true", "false", "[object Object]", "{}", "[]", ""]
)
def test_what_scripts_send_in_place_of_a_value_is_junk(junk: str) -> None:
    assert is_junk(junk)


LABEL = st.text("abcxnXN019-_", min_size=1, max_size=8) | st.sampled_from(
    ["test", "LOCAL", "arpa", "com", "xn--a", "ab--c", "x" * 63, "y" * 64]
)


@settings(max_examples=2_000)
@given(st.text("abXY09_+-.'", max_size=8) | st.sampled_from(["x" * 64, "x" * 65]), st.lists(LABEL, min_size=1, max_size=5).map(".".join))
@example("a", ".".join(["d" * 62] * 4))
@example("x" * 10, ".".join(["d" * 58, "d" * 58, "d" * 58, "d" * 58, "abc"]))
def test_plain_emails_are_read_as_the_library_reads_them(local: str, domain: str) -> None:
    try:
        parsed = validate_email(f"{local}@{domain}", check_deliverability=False)
    except EmailNotValidError:
        with pytest.raises(Invalid):
            normalise_email(f"{local}@{domain}")
    else:
        assert normalise_email(f"{local}@{domain}") == f"{parsed.local_part}@{parsed.ascii_domain}".lower()


@pytest.mark.parametrize("customer", ["1", "7001", "C-1", "gid://shopify/Customer/1", "\u00e4", "a b", "00", "x" * 255, "null1"])
def test_a_customer_is_any_printable_text(customer: str) -> None:
    assert HANDLES.of_customer("demo", f" {customer} ") == HANDLES.of_customer("demo", customer)
    assert HANDLES.of_customer("demo", customer).kind is HandleKind.CUSTOMER


@pytest.mark.parametrize("customer", ["x" * 256, "a\nb", "a\0b", "\u202e1", "\ud800"])
def test_a_customer_that_could_break_a_line_is_refused(customer: str) -> None:
    with pytest.raises(Invalid) as refused:
        HANDLES.of_customer("demo", customer)
    assert customer not in refused.value.detail


def test_customers_compare_as_text() -> None:
    different = ["1", "01", "1.0", "a", "A", "\u00e9", "e\u0301"]
    assert len({HANDLES.of_customer("demo", customer) for customer in different}) == len(different)


def test_a_digest_is_the_documented_one() -> None:
    parts = [b"handle", b"demo", b"e", hashlib.sha256(b"luke@example.com").digest()]
    message = b"".join(struct.pack(">I", len(part)) + part for part in parts)
    expected = urlsafe_b64encode(hmac.new(b"pepper", message, hashlib.sha256).digest()[:16]).decode().rstrip("=")
    assert HANDLES.of_email("demo", " Luke@Example.com") == Handle(HandleKind.EMAIL, expected)


@pytest.mark.parametrize(("typed", "normalised"), GOLDEN)
def test_a_callers_own_sha256_finds_the_same_handle(typed: str, normalised: str) -> None:
    digest = hashlib.sha256(normalised.encode()).hexdigest()
    for spelled in (digest, digest.upper()):
        assert HANDLES.of_email_sha256("demo", spelled) == HANDLES.of_email("demo", typed)


@pytest.mark.parametrize("digest", ["", "0" * 63, "0" * 65, "g" * 64, " " + "0" * 63, "0" * 64 + "\n", "0x" + "0" * 62, "\uff10" * 64])
def test_a_sha256_has_one_form(digest: str) -> None:
    with pytest.raises(Invalid) as refused:
        HANDLES.of_email_sha256("demo", digest)
    assert not digest or digest not in refused.value.detail


def test_digests_are_apart_by_shop_kind_value_and_pepper() -> None:
    made = [
        handles.of_email(shop, value).digest if kind == "e" else handles.of_customer(shop, value).digest
        for handles in (HANDLES, Handles("another"))
        for shop in ("demo", "other", "demo2")
        for kind in "ec"
        for value in ("a@example.com", "b@example.com")
    ]
    assert len(set(made)) == len(made) == 24
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", digest) for digest in made)


@given(st.lists(st.text(max_size=8), min_size=1, max_size=4), st.lists(st.text(max_size=8), min_size=1, max_size=4))
def test_no_two_lists_of_parts_share_a_digest(one: list[str], other: list[str]) -> None:
    same = [part.encode("utf-8", "replace") for part in one] == [part.encode("utf-8", "replace") for part in other]
    assert (HANDLES.digest("p", *one) == HANDLES.digest("p", *other)) is same


def test_a_handle_equals_its_name_and_nothing_else() -> None:
    made = HANDLES.of_email("demo", "luke@example.com")
    named = handle_named(made.name)
    assert made == named
    assert not made != named  # noqa: SIM202 the operator has a method of its own
    assert made != HANDLES.of_email("demo", "leia@example.com")
    assert made != made.name
    assert len({made, named}) == 1
    assert named.inner == b""


def test_the_names_before_each_change_of_the_pepper() -> None:
    one, two, three = "1" * 43, "2" * 43, "3" * 43
    now = Handles(one, two, three)
    handle = now.of_email("demo", "luke@example.com")
    assert now.earlier_names("demo", handle) == [
        Handles(*peppers).of_email("demo", "luke@example.com").name for peppers in ((one, two), (one,))
    ]
    assert now.earlier_names("demo", handle_named(handle.name)) == []
    assert Handles(one).audit_subject("demo", handle.name) == now.audit_subject("demo", handle.name)


def test_a_name_leads_back_to_its_handle() -> None:
    for handle in (HANDLES.of_email("demo", "a@example.com"), HANDLES.of_customer("demo", "1")):
        assert handle_named(handle.name) == handle
        assert len(handle.name) == 23
    with pytest.raises(ValueError, match="'x'"):
        handle_named("xabc")
