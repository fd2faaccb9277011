"""Tokens and sessions that this service did not sign, by every door they could come in through."""

import secrets
import string
from collections.abc import Iterator

import pytest

from identity_service.app import Application
from identity_service.model.token import MOST_CHARACTERS, Signing
from identity_service.model.visitor import Kind, VisitorId
from identity_service.web.admin.sessions import COOKIE, Sessions
from identity_service.web.auth import authenticate
from tests.conftest import START
from tests.security.asgi import AGENT, PAGE, bearer, call

pytestmark = pytest.mark.anyio
NOW = int(START)
VISITOR = VisitorId("D9TXmal_nBNbOR-ObSkWbg")
LETTERS = string.ascii_letters + string.digits + "-_"
RANDOM = 6_000
FOREIGN = ["=", "==", "!", "%", "\0", "é", " ", "\n", "\r\n", ".", "..", "+", "/", "\u200b", "\u0430", "A", "%2e"]


def forgeries(signing: Signing, token: str, invented: int = RANDOM) -> Iterator[str]:
    """Every class once at least: changed, cut, extended, of another purpose, shop or key, without a signature, of another form."""
    head, _, signature = token.rpartition(".")
    payload, _, stamp = head.rpartition(".")
    stranger = Signing([secrets.token_urlsafe(32)])
    for index, letter in enumerate(token):
        yield from (token[:index] + other + token[index + 1 :] for other in LETTERS + ".=" if other != letter)
        yield from (token[:index], token[index + 1 :], token[:index] + token[index + 1 :])
        yield from (token[:index] + foreign + token[index:] for foreign in FOREIGN)
    yield from (token + foreign for foreign in FOREIGN)
    yield from (foreign + token for foreign in FOREIGN)
    yield from (token.upper(), token.lower(), token.swapcase(), token * 2, token[::-1], f"{token}.{signature}", "", ".", "..", "...")
    for shop in ("other", "strict", "Demo", "demo ", "", "visitor:demo"):
        yield signing.sign(shop, Kind.PERSISTENT, VISITOR, NOW)
    for kind in Kind:
        yield stranger.sign("demo", kind, VISITOR, NOW)
    yield f"{payload}.{signing.sign_receipt('demo', payload, NOW)}"
    yield signing.sign_session(payload, NOW)
    yield signing.sign_session("demo:" + "0" * 64, NOW)
    for other_stamp in ("awELLw", "AAAA", "____", "-", "0", "zzzzzzzzzz", stamp[:-1], stamp + "A"):
        yield f"{payload}.{other_stamp}.{signature}" if other_stamp != stamp else ""
    for other_payload in ("1p.admin", "1d." + VISITOR, "1c." + VISITOR, "2p." + VISITOR, "1x." + VISITOR, "1p.", VISITOR, "1p.." + VISITOR):
        yield f"{other_payload}.{stamp}.{signature}" if other_payload != payload else ""
    yield from (head, f"{head}.", f"{payload}..{signature}", payload, f"{payload}.{stamp}", "A" * 65_536, "é" * 120, "1p." * 10_000)
    yield from ("null", "undefined", "true", "{}", "[]", "eyJhbGciOiJub25lIn0." + "eyJzdWIiOiIxIn0.", "\ud7ff", "‮" + token)
    for _ in range(invented):
        yield f"1p.{secrets.token_urlsafe(16)}.{secrets.token_urlsafe(4)}.{secrets.token_urlsafe(32)}"


async def test_no_forged_token_is_valid(application: Application, long: bool) -> None:
    signing = application.services.signing
    token = signing.sign("demo", Kind.PERSISTENT, VISITOR, NOW)
    forged = set(forgeries(signing, token, 100_000 if long else RANDOM)) - {token}
    assert len(forged) >= 10_000
    assert [text for text in forged if signing.verify("demo", text)] == []
    assert signing.verify("demo", token)


async def test_one_signature_has_one_spelling(application: Application) -> None:
    """Base64 has room for several in its last letter."""
    signing = application.services.signing
    for number in range(50):
        token = signing.sign("demo", Kind.CHOSEN, VisitorId(f"v-{number}"), NOW)
        accepted = [letter for letter in LETTERS if signing.verify("demo", token[:-1] + letter)]
        assert accepted == [token[-1]]


async def test_no_door_lets_a_forged_token_in(application: Application, long: bool) -> None:
    """As a member, a cookie, a visitor of a tracking call, and for the verification of two APIs."""
    private = bearer("demo-private-key")
    granted = (await call(application, "POST", "/v1/consents", private, body={"consent": "granted"})).json
    signing, token, visitor = application.services.signing, granted["token"], granted["visitor"]
    every = sorted(text for text in set(forgeries(signing, token)) - {token} if 0 < len(text) < 4_000)
    page = (b"origin", PAGE.encode())
    for text in every[:: 1 if long else len(every) // 400]:
        verified = (await call(application, "POST", "/v1/verifications", private, body={"token": text})).json
        assert verified == {"valid": False, "reason": "bad_signature"}
        issued = await call(application, "POST", "/v1/visitors", private, body={"token": text})
        assert issued.status == (200 if len(text) <= MOST_CHARACTERS else 422)
        assert issued.json.get("visitor") != visitor
        linked = await call(application, "POST", "/v1/links", private, body={"token": text, "email": "a@example.com"})
        assert linked.status in {409, 422}
        told = await call(application, "POST", "/v2/token/verify", private, body={"token": text})
        assert told.status in {200, 400, 401}
        assert visitor.encode() not in told.body
        cookie = (b"cookie", b"__Host-visitor=" + text.encode("utf-8", "replace"))
        if not any(sign in text for sign in '; "\r\n\t') and token not in text:
            seen = await call(application, "POST", "/v1/visitors", bearer("demo-public-key"), AGENT, page, cookie, body={})
            assert seen.json["visitor"] != visitor
    held = (await call(application, "POST", "/v1/lookups", private, body={"email": "a@example.com"})).json
    assert held == {"visitors": []}
    assert (await call(application, "POST", "/v1/verifications", private, body={"token": token})).json["valid"] is True


async def test_no_forged_session_opens_the_admin_pages(application: Application, long: bool) -> None:
    services = application.services
    sessions = Sessions(services.shops, services.signing, services.admin.staff, services.store.sessions, services.audit)
    session = await sessions.begin(authenticate(services.shops, "demo-private-key", NOW), NOW)
    told = sessions.cookie(session, NOW).partition(";")[0].partition("=")[2]
    forged = sorted(set(forgeries(services.signing, told)) - {told})
    chosen = [text for text in forged if told not in text][:: 1 if long else 10]
    assert len(chosen) > 1_000

    async def page(text: str) -> int:
        cookie = (b"cookie", f"{COOKIE}={text}".encode("utf-8", "surrogatepass"))
        return (await call(application, "GET", "/admin/keys", cookie)).status

    assert await page(told) == 200
    assert 200 not in {await page(text) for text in chosen if len(text) < 4_000}
