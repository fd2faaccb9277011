"""The decision is total, and the same as the contract's list read from top to bottom."""

import itertools
from dataclasses import replace as with_fields
from typing import Any

import pytest
from msgspec.structs import replace

from identity_service.model.consent import (
    SHOP,
    Choice,
    Consent,
    EarlierRefusal,
    Millis,
    NoticeVersion,
    OptOut,
    OptOutsSeen,
    Signal,
    newest_choice,
)
from identity_service.model.policy import STANDARD, STRICT, Asked, Facts, Reason, Rules, decide
from identity_service.model.visitor import Mode

POLICIES = {policy.name: policy for policy in (STANDARD, STRICT)}
NOW = Millis(1_795_000_000_000)
EARLIER = Millis(NOW - 60_000)
GRANT = Signal("plain", Choice.GRANTED, NOW)
REFUSAL = Signal("plain", Choice.REFUSED, NOW)
STALE = Signal("plain", Choice.REFUSED, Millis(EARLIER - 1), dated=True)
REMEMBERED = Signal("klaro", Choice.GRANTED, NOW, remembered=True)
DATED = [Signal("plain", Choice.GRANTED, at, dated=True) for at in (Millis(EARLIER - 2), Millis(EARLIER + 2))]
STORED = Consent(EARLIER, "plain", None)
SHOPS_WORD = Consent(EARLIER, SHOP, None)
REPEATED = Consent(EARLIER, "plain", None, repeated=True)
REFUSALS = [None, *(EarlierRefusal(Millis(EARLIER + ahead), refuses) for ahead in (-1, 0, 1) for refuses in (True, False))]
SEEN = [OptOutsSeen(gpc, dnt) for gpc in (None, EARLIER, NOW) for dnt in (None, EARLIER, NOW)]


def expected(policy: str, facts: Facts) -> tuple[str, str]:
    """Section 5 of the contract, one line a rule."""
    strict = policy == "strict"
    signal = facts.signals[0] if facts.signals else None
    sent = signal.choice if signal else None
    may_say = not strict and facts.refusal is None and facts.cookieless_gone_at is None
    stored = None if facts.consent and facts.consent.source == SHOP and not may_say else facts.consent
    untimed = stored is not None and (stored.repeated or stored.source == SHOP)
    if signal and signal.dated and stored and not untimed and signal.decided_at < stored.granted_at:
        sent = None
    if signal and sent is Choice.GRANTED:
        said_now = not signal.dated and not signal.remembered
        against = [facts.gone_at] if said_now else [facts.gone_at, facts.cookieless_gone_at, facts.refusal.at if facts.refusal else None]
        undated = signal.remembered and not signal.dated
        if any(at is not None and (undated or signal.decided_at <= at) for at in against):
            sent = None
    choice = sent
    if choice is None and facts.refusal and not (stored and not untimed and stored.granted_at > facts.refusal.at):
        stored = None
        choice = Choice.REFUSED if facts.refusal.refuses else None
    if choice is None and stored:
        seen = facts.opt_outs_seen
        first_seen = (facts.gpc and seen.gpc is None) or (facts.dnt and seen.dnt is None)
        seen_since = any(first is not None and first > stored.granted_at for first in (seen.gpc, seen.dnt))
        choice = Choice.REFUSED if strict and (first_seen or seen_since) else Choice.GRANTED
    if facts.automated:
        return "null", "consent_refused" if sent is Choice.REFUSED else "agent" if facts.agent else "bot"
    if facts.asked is Asked.NULL:
        return "null", "visitor_disabled"
    if choice is Choice.REFUSED:
        return "null", "consent_refused"
    candidate = ("null", "withdrawn") if facts.cookieless_gone_at else None
    if choice is Choice.GRANTED:
        if facts.asked is Asked.AUTO:
            return candidate or ("cookieless", "requested_cookieless")
        by_shop = sent is None and stored is not None and stored.source == SHOP
        return "persistent", "persistent_requested" if by_shop else "consent_granted"
    if facts.gone_at is not None:
        return "null", "withdrawn"
    if facts.asked is Asked.PERSISTENT and may_say:
        return "persistent", "persistent_requested"
    reason = "opted_out" if facts.gpc or facts.dnt else "no_signal"
    return ("null", reason) if strict else (candidate or ("cookieless", reason))


@pytest.mark.parametrize("policy", ["standard", "strict"])
def test_every_combination_of_facts_is_decided_as_documented(policy: str) -> None:
    choices = [(), (GRANT,), (REFUSAL,), (STALE,), (REMEMBERED,), *((one,) for one in DATED), (Signal("google", None, NOW),)]
    gone = [None, Millis(NOW - 1), Millis(NOW + 1)]
    flags = [False, True]
    seen = set()
    beside = list(itertools.product(REFUSALS, flags, flags, flags, flags))
    for asked, sent, stored, at, opt_out in itertools.product(Asked, choices, [None, STORED, SHOPS_WORD, REPEATED], gone, SEEN[::4]):
        for refusal, candidate, gpc, dnt, automated in beside:
            mark = EARLIER if candidate else None
            facts = Facts(asked, NOW, sent, stored, opt_out, refusal, at, mark, gpc, dnt, automated, agent=automated and dnt)
            decision = decide(POLICIES[policy], facts)
            assert (decision.mode, decision.reason) == expected(policy, facts), facts
            assert decision.sale_share_opt_out == gpc
            seen.add(decision.reason)
    assert seen >= set(Reason) - {Reason.STORE_UNAVAILABLE, Reason.PERSISTENT_REQUESTED}


def test_the_source_of_the_choice_is_told() -> None:
    assert decide(POLICIES["standard"], Facts(Asked.NOTHING, NOW, (GRANT,))).signal == "plain"
    assert decide(POLICIES["standard"], Facts(Asked.NOTHING, NOW)).signal is None
    assert decide(POLICIES["strict"], Facts(Asked.NOTHING, NOW, consent=STORED, dnt=True)).signal == "dnt"


@pytest.mark.parametrize(
    ("version", "notice", "counts"),
    [
        ("2", NoticeVersion("2"), True),
        ("1", NoticeVersion("2"), False),
        (None, NoticeVersion("2"), False),
        ("1", NoticeVersion("2", Millis(EARLIER - 1)), True),
        (None, NoticeVersion("2", Millis(EARLIER - 1)), True),
        ("1", NoticeVersion("2", EARLIER), False),
        ("2", NoticeVersion("2", NOW), True),
    ],
)
@pytest.mark.parametrize("policy", ["standard", "strict"])
def test_a_stored_grant_counts_for_the_text_it_was_given_to(policy: str, version: str | None, notice: NoticeVersion, counts: bool) -> None:
    facts = Facts(Asked.NOTHING, NOW, consent=Consent(EARLIER, "plain", None, version), notice=notice)
    assert (decide(POLICIES[policy], facts).mode is Mode.PERSISTENT) is counts
    said_now = replace(facts, signals=(GRANT,))
    assert decide(POLICIES[policy], said_now).reason is Reason.CONSENT_GRANTED


def test_the_shops_word_is_given_to_no_text() -> None:
    facts = Facts(Asked.NOTHING, NOW, consent=SHOPS_WORD, notice=NoticeVersion("2"))
    assert decide(POLICIES["standard"], facts).reason is Reason.PERSISTENT_REQUESTED


def test_an_opt_out_of_a_signal_counts_like_gpc() -> None:
    signal = Signal("us_privacy", None, NOW, sale_share_opt_out=True)
    assert decide(POLICIES["standard"], Facts(Asked.NOTHING, NOW, (signal,))).sale_share_opt_out


OUT = Signal("us_privacy", None, NOW, sale_share_opt_out=True)
REFUSING = Rules(Mode.COOKIELESS, Mode.COOKIELESS, Mode.COOKIELESS, grant_outlives_opt_out=True, refusal_opts_out=True)
"""As in the United States under strict."""


@pytest.mark.parametrize(
    ("said", "opt_out"),
    [
        ({"gpc": True}, OptOut.NONE),
        ({"signals": (replace(OUT, remembered=True),)}, OptOut.NONE),
        ({"signals": (replace(OUT, decided_at=EARLIER, dated=True),)}, OptOut.NONE),
        ({"signals": (replace(OUT, decided_at=NOW, dated=True, remembered=True),)}, OptOut.SAID),
        ({"signals": (OUT,)}, OptOut.SAID),
        ({"signals": (REFUSAL,)}, OptOut.SAID),
        ({"signals": (replace(REFUSAL, remembered=True),)}, OptOut.NONE),
        ({"refusal": EarlierRefusal(EARLIER, refuses=True)}, OptOut.NONE),
        ({"refusal": EarlierRefusal(NOW, refuses=True)}, OptOut.SAID),
        ({"opted_out": True}, OptOut.STATE),
    ],
)
def test_an_opt_in_to_sale_outweighs_what_is_not_said_since(said: dict[str, Any], opt_out: OptOut) -> None:
    policy = with_fields(STANDARD, unknown=REFUSING)
    facts = replace(Facts(Asked.NOTHING, NOW), **said)
    at = Millis((EARLIER + NOW) // 2)
    assert decide(policy, facts).sale_share_opt_out
    assert decide(policy, replace(facts, cookieless_opted_in_at=at)).opt_out is opt_out
    assert decide(policy, replace(facts, opted_in_at=at)).sale_share_opt_out, "it is not of the visitor who is answered"


def test_gpc_counts_for_nobody_in_particular() -> None:
    robot = Facts(Asked.NOTHING, NOW, gpc=True, automated=True, opted_in_at=EARLIER, cookieless_opted_in_at=EARLIER)
    assert decide(STANDARD, robot).opt_out is OptOut.STATE


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


@pytest.mark.parametrize("policy", ["standard", "strict"])
def test_a_mark_that_yields_gives_no_more_than_a_cookieless_id(policy: str) -> None:
    """Of the signals and words of others behind the address only a grant said now, or dated later, counts."""
    yielding = Facts(Asked.NOTHING, NOW, cookieless_gone_at=EARLIER, mark_yields=True)
    assert decide(POLICIES["standard"], yielding).mode is Mode.COOKIELESS
    for facts in (replace(yielding, asked=Asked.PERSISTENT), *(replace(yielding, signals=(one,)) for one in (REMEMBERED, DATED[0]))):
        assert decide(POLICIES[policy], facts).reason is Reason.NO_SIGNAL
    for said in (GRANT, DATED[1]):
        assert decide(POLICIES[policy], replace(yielding, signals=(said,))).mode is Mode.PERSISTENT


@pytest.mark.parametrize("policy", ["standard", "strict"])
def test_a_grant_that_is_not_said_now_does_not_outlive_the_refusal_of_the_derived_id(policy: str) -> None:
    for sent, counts in ((REMEMBERED, False), (DATED[0], False), (DATED[1], True), (GRANT, True)):
        facts = Facts(Asked.NOTHING, NOW, (sent,), derived_gone_at=EARLIER)
        assert (decide(POLICIES[policy], facts).mode is Mode.PERSISTENT) is counts
    assert decide(POLICIES[policy], Facts(Asked.NOTHING, NOW, (REMEMBERED,), STORED, derived_gone_at=EARLIER)).mode is Mode.PERSISTENT


def test_a_visitor_who_said_nothing_is_counted_only_without_a_refusal_of_its_derived_id() -> None:
    """Even if the mark yields, because the refusal may be this one's."""
    counting = with_fields(STRICT, unknown=with_fields(STRICT.unknown, counts_silent=True))
    silent = Facts(Asked.NOTHING, NOW)
    assert decide(counting, silent).counted
    for marked in (
        replace(silent, cookieless_gone_at=EARLIER),
        replace(silent, derived_gone_at=EARLIER),
        replace(silent, cookieless_gone_at=EARLIER, mark_yields=True),
    ):
        assert (decide(counting, marked).reason, decide(counting, marked).counted) == (Reason.NO_SIGNAL, False)
