"""Tokens: forgeries, rotation, form."""

import secrets
import string

import pytest

from identity_service.model.token import MOST_CHARACTERS, Signing
from identity_service.model.visitor import Kind, VisitorId

OLD, NEW, RETIRED = (secrets.token_urlsafe(32) for _ in range(3))
VISITOR = VisitorId("D9TXmal_nBNbOR-ObSkWbg")
NOW = 1_795_000_000
SIGNING = Signing([OLD, NEW])
TOKEN = SIGNING.sign("demo", Kind.PERSISTENT, VISITOR, NOW)


def test_a_token_tells_what_was_signed() -> None:
    token = SIGNING.verify("demo", TOKEN)
    assert token
    assert (token.visitor, token.kind, token.issued_at, token.newest_key) == (VISITOR, Kind.PERSISTENT, NOW, True)


def test_every_key_of_the_list_verifies_and_the_last_one_signs() -> None:
    by_old = Signing([OLD]).sign("demo", Kind.CHOSEN, VISITOR, NOW)
    token = SIGNING.verify("demo", by_old)
    assert token
    assert not token.newest_key
    assert Signing([OLD]).verify("demo", TOKEN) is None
    assert Signing([NEW]).verify("demo", TOKEN)


def test_no_forgery_of_ten_thousand_is_accepted() -> None:
    forged = {Signing([RETIRED]).sign("demo", Kind.PERSISTENT, VISITOR, NOW), SIGNING.sign("other", Kind.PERSISTENT, VISITOR, NOW)}
    letters = string.ascii_letters + string.digits + "-_.=+/ \n\0é"
    for index in range(len(TOKEN)):
        forged |= {TOKEN[:index] + letter + TOKEN[index + 1 :] for letter in letters}
        forged |= {TOKEN[:index], TOKEN[:index] + TOKEN[index + 1 :], TOKEN[:index] + "A" + TOKEN[index:]}
    forged |= {TOKEN + letter for letter in letters} | {
        "",
        ".",
        "..",
        "1p.",
        "A" * 65_536,
        TOKEN * 2,
        TOKEN.replace("1p", "2p"),
        TOKEN.upper(),
    }
    while len(forged) < 10_000:
        forged.add(f"1p.{secrets.token_urlsafe(16)}.{secrets.token_urlsafe(4)}.{secrets.token_urlsafe(32)}")
    forged.discard(TOKEN)
    assert len(forged) >= 10_000 - 1
    assert [text for text in forged if SIGNING.verify("demo", text)] == []


@pytest.mark.parametrize("visitor", ["a", "a.b-c_d", "x" * 64])
def test_an_own_id_fits_whatever_its_form(visitor: str) -> None:
    token = SIGNING.sign("demo", Kind.CHOSEN, VisitorId(visitor), NOW)
    assert len(token) <= MOST_CHARACTERS
    opened = SIGNING.verify("demo", token)
    assert opened
    assert opened.visitor == visitor


def test_a_confirmation_is_no_token_and_a_token_is_no_confirmation() -> None:
    asked = SIGNING.sign_opt_in("demo", VISITOR, NOW)
    assert SIGNING.open_opt_in("demo", asked) == (VISITOR, NOW)
    assert Signing([NEW]).open_opt_in("demo", asked) == (VISITOR, NOW)
    own = VisitorId("a.b-c_d." + "x" * 56)
    assert SIGNING.open_opt_in("demo", SIGNING.sign_opt_in("demo", own, NOW)) == (own, NOW)
    assert [SIGNING.verify("demo", asked), SIGNING.open_session(asked)] == [None, None]
    sealed = SIGNING.sign("demo", Kind.PERSISTENT, VISITOR, NOW), SIGNING.sign_session("sale-opt-in", NOW)
    forged = {*sealed, asked[:-1], asked + "A", asked.replace("~", "."), asked.replace("D9", "D8"), asked.upper(), f"{asked}\n", ""}
    forged |= {SIGNING.sign_opt_in("other", VISITOR, NOW), Signing([RETIRED]).sign_opt_in("demo", VISITOR, NOW)}
    assert [text for text in forged if SIGNING.open_opt_in("demo", text)] == []


def test_a_receipts_signature_depends_on_every_part() -> None:
    signed = SIGNING.sign_receipt("demo", '{"a":1}', NOW)
    others = {
        SIGNING.sign_receipt("other", '{"a":1}', NOW),
        SIGNING.sign_receipt("demo", '{"a":2}', NOW),
        Signing([OLD]).sign_receipt("demo", '{"a":1}', NOW),
    }
    assert signed not in others
    assert SIGNING.sign_receipt("demo", '{"a":1}', NOW) == signed
