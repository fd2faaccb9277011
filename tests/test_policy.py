"""The decision is total, and the same as the contract's list read from top to bottom."""

import itertools

import pytest

from identity_service.consent import Choice, Consent, Millis, OptOutsSeen, Signal, newest_choice
from identity_service.policy import STANDARD, STRICT, Asked, Facts, Reason, decide
from identity_service.visitor import Mode

POLICIES = {policy.name: policy for policy in (STANDARD, STRICT)}
NOW = Millis(1_795_000_000_000)
EARLIER = Millis(NOW - 60_000)
GRANT = Signal("plain", Choice.GRANTED, NOW)
REFUSAL = Signal("plain", Choice.REFUSED, NOW)
STALE = Signal("plain", Choice.REFUSED, Millis(EARLIER - 1), dated=True)
STORED = Consent(EARLIER, "plain", None)
SEEN = [OptOutsSeen(gpc, dnt) for gpc in (None, EARLIER, NOW) for dnt in (None, EARLIER, NOW)]


def expected(policy: str, facts: Facts) -> tuple[str, str]:
    """Section 5 of the contract, one line a rule."""
    strict = policy == "strict"
    sent = facts.signals[0].choice if facts.signals else None
    if facts.signals and facts.consent and facts.signals[0].decided_at < facts.consent.granted_at:
        sent = None
    if sent is Choice.GRANTED and facts.gone_at is not None and facts.signals[0].decided_at <= facts.gone_at:
        sent = None
    choice = sent or (Choice.REFUSED if facts.refused_before else None)
    if choice is None and facts.consent:
        seen = facts.opt_outs_seen
        first_seen = (facts.gpc and seen.gpc is None) or (facts.dnt and seen.dnt is None)
        seen_since = any(first is not None and first > facts.consent.granted_at for first in (seen.gpc, seen.dnt))
        choice = Choice.REFUSED if strict and (first_seen or seen_since) else Choice.GRANTED
    if facts.automated:
        return "null", "bot"
    if facts.asked is Asked.NULL:
        return "null", "visitor_disabled"
    if choice is Choice.REFUSED:
        return "null", "consent_refused"
    candidate = ("null", "withdrawn") if facts.candidate_gone_at else None
    if choice is Choice.GRANTED:
        return (candidate or ("cookieless", "requested_cookieless")) if facts.asked is Asked.AUTO else ("persistent", "consent_granted")
    if facts.gone_at is not None:
        return "null", "withdrawn"
    if facts.asked is Asked.PERSISTENT and not strict:
        return "persistent", "persistent_requested"
    reason = "opted_out" if facts.gpc or facts.dnt else "no_signal"
    return ("null", reason) if strict else (candidate or ("cookieless", reason))


@pytest.mark.parametrize("policy", ["standard", "strict"])
def test_every_combination_of_facts_is_decided_as_documented(policy: str) -> None:
    choices = [(), (GRANT,), (REFUSAL,), (STALE,), (Signal("google", None, NOW),)]
    gone = [None, Millis(NOW - 1), Millis(NOW + 1)]
    flags = [False, True]
    seen = set()
    for asked, sent, stored, at, opt_out, *rest in itertools.product(
        Asked, choices, [None, STORED], gone, SEEN, flags, flags, flags, flags, flags
    ):
        refused, candidate, gpc, dnt, automated = rest
        facts = Facts(asked, NOW, sent, stored, opt_out, refused, at, EARLIER if candidate else None, gpc, dnt, automated)
        decision = decide(POLICIES[policy], facts)
        assert (decision.mode, decision.reason) == expected(policy, facts), facts
        assert decision.sale_share_opt_out == gpc
        seen.add(decision.reason)
    assert seen >= set(Reason) - {Reason.STORE_UNAVAILABLE, Reason.PERSISTENT_REQUESTED}


def test_the_source_of_the_choice_is_told() -> None:
    assert decide(POLICIES["standard"], Facts(Asked.NOTHING, NOW, (GRANT,))).signal == "plain"
    assert decide(POLICIES["standard"], Facts(Asked.NOTHING, NOW)).signal is None
    assert decide(POLICIES["strict"], Facts(Asked.NOTHING, NOW, consent=STORED, dnt=True)).signal == "dnt"


def test_an_opt_out_of_a_signal_counts_like_gpc() -> None:
    signal = Signal("us_privacy", None, NOW, sale_share_opt_out=True)
    assert decide(POLICIES["standard"], Facts(Asked.NOTHING, NOW, (signal,))).sale_share_opt_out


def test_at_a_tie_a_refusal_wins_in_any_order() -> None:
    for order in itertools.permutations([GRANT, REFUSAL, Signal("late", Choice.GRANTED, EARLIER), Signal("none", None, NOW)]):
        assert newest_choice(order) == REFUSAL
    assert newest_choice([]) is None


def test_only_cookieless_and_persistent_are_ever_linkable() -> None:
    assert POLICIES["standard"].linkable == {Mode.COOKIELESS, Mode.PERSISTENT}
    assert POLICIES["strict"].linkable == {Mode.PERSISTENT}


def test_what_is_said_with_this_call_is_never_older_than_what_a_faster_clock_stored() -> None:
    ahead = Consent(Millis(NOW + 60_000), "plain", None)
    assert decide(POLICIES["standard"], Facts(Asked.NOTHING, NOW, (REFUSAL,), ahead)).reason is Reason.CONSENT_REFUSED
