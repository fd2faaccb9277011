"""An edge that repeats its session's word, the person's earlier yes or the shop's, never undoes what the banner was told since."""

from typing import Any

import pytest

from tests.conftest import Clock, Shopper
from tests.contract.test_one_address import AGENT, cookie_of
from tests.contract.test_refusals import BOTH, iso, told

pytestmark = pytest.mark.anyio
CLIENT = {"client": {"ip": "203.0.113.7", "user_agent": AGENT}}
"""Of the same person as the browser's calls."""


def words(granted_at: float, now: float) -> list[tuple[str, dict[str, Any]]]:
    """All that a session can repeat: the call, and what is sent with it."""
    dated = {"purposes": BOTH, "decided_at": iso(granted_at)}
    return [
        ("/v1/visitors", {"consent": "granted"}),
        ("/v1/visitors", {"consent": dated}),
        ("/v1/visitors", {"consent": {"google": {"analytics_storage": "granted"}}}),
        ("/v1/consents", {"consent": "granted", "said": "remembered"}),
        ("/v1/consents", {"consent": dated}),
        ("/v1/consents", {"consent": "granted", "age_ms": int((now - granted_at) * 1000)}),
    ]


async def nobody_is_persistent(shopper: Shopper, said: list[tuple[str, dict[str, Any]]], named: dict[str, Any], cookie: str) -> None:
    shops = [] if "visitor" in named else [("/v1/visitors", {"visitor": "persistent"})]
    for path, body in [*said, *shops]:
        answer = await shopper.post(path, CLIENT | named | body, **({"cookie": cookie} if cookie else {}))
        assert told(answer)[0] != "persistent", (path, body, answer.text)
        assert "__Host-visitor=1" not in answer.headers.get("set-cookie", "")


async def refusal_of_the_banner(shopper: Shopper, cookie: str, **body: Any) -> str:
    answer = await shopper.browser("/v1/consents", {"consent": "refused"} | body, **({"cookie": cookie} if cookie else {}))
    assert told(answer) == ("null", "consent_refused")
    return cookie_of(answer)


@pytest.mark.parametrize("handed_on", [True, False])
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("of_the_shop", [True, False])
async def test_after_the_refusal_of_a_persistent_visitor(
    shopper: Shopper, clock: Clock, handed_on: bool, own: bool, of_the_shop: bool
) -> None:
    """By the session's token, and by the shop's own ID, which the grant of a session made persistent."""
    granted_at = clock()
    session: dict[str, Any] = {"visitor": "customer-7"} if own else {}
    word = {"visitor": "persistent"} if of_the_shop and not own else {"consent": "granted"}
    given = (await shopper.post("/v1/visitors", CLIENT | session | word)).json()
    assert given["mode"] == "persistent"
    named = session or {"token": given["token"]}
    clock.forward(7_200)
    kept = await refusal_of_the_banner(shopper, f"__Host-visitor={given['token']}")
    for _ in range(2):
        await nobody_is_persistent(shopper, words(granted_at, clock()), named, kept if handed_on else "")
        assert (await shopper.post("/v1/verifications", {"token": given["token"]})).json()["valid"] is False
        clock.forward(86_400)


@pytest.mark.parametrize("handed_on", [True, False])
@pytest.mark.parametrize("named", ["nobody", "own", "token of the session", "token of the browser"])
async def test_after_a_refusal_that_named_nobody(shopper: Shopper, clock: Clock, handed_on: bool, named: str) -> None:
    """The banner knew no ID; the session's may be another than the browser's."""
    granted_at = clock()
    of_session = (await shopper.post("/v1/visitors")).json()["token"]
    of_browser = (await shopper.browser("/v1/visitors")).json()["token"]
    session: dict[str, Any] = {
        "nobody": {},
        "own": {"visitor": "customer-7"},
        "token of the session": {"token": of_session},
        "token of the browser": {"token": of_browser},
    }[named]
    clock.forward(7_200)
    kept = await refusal_of_the_banner(shopper, "")
    for _ in range(2):  # the second time the mark of the derived ID lets others pass
        await nobody_is_persistent(shopper, words(granted_at, clock()), session, kept if handed_on else "")
        await shopper.browser("/v1/visitors", cookie=kept)


async def test_a_yes_that_the_session_heard_later_counts(shopper: Shopper, clock: Clock) -> None:
    given = (await shopper.post("/v1/consents", CLIENT | {"visitor": "customer-7", "consent": "granted"})).json()
    await refusal_of_the_banner(shopper, f"__Host-visitor={given['token']}")
    clock.forward(3_600)
    later = {"visitor": "customer-7", "consent": {"purposes": BOTH, "decided_at": iso(clock() - 60)}}
    assert told(await shopper.post("/v1/visitors", CLIENT | later)) == ("persistent", "consent_granted")
