"""Statements of every source become signals: in the service's own words, as standards, and by their times."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.model.consent import Choice, Millis
from identity_service.model.shop import SignalRules
from identity_service.signals.reader import MOST_ASKEW, Delivery, Reader
from tests.signals.tc_strings import tc_string
from tests.signals.test_gpp import core, gpp_text

NOW = Millis(1_795_000_000_000)
READER = Reader(SignalRules(), NOW)
BOTH = {"storage": "granted", "measurement": "granted"}


def test_a_word_is_a_choice_of_this_moment() -> None:
    for word, choice in (("granted", Choice.GRANTED), ("refused", Choice.REFUSED)):
        [signal] = READER.of_word(word)
        assert (signal.source, signal.choice, signal.decided_at, signal.dated) == ("plain", choice, NOW, False)
        assert signal.raw_digest == hashlib.sha256(word.encode()).hexdigest()


@given(st.text().filter(lambda word: word not in {"granted", "refused"}))
def test_any_other_word_is_absent(word: str) -> None:
    assert READER.of_word(word) == ()


@pytest.mark.parametrize("word", ["unknown", "Granted", "denied", "granted ", ""])
def test_words_that_look_like_a_grant_are_absent(word: str) -> None:
    assert READER.of_word(word) == ()


@pytest.mark.parametrize("consent", [{}, {"purposes": {}}, {"google": {}}, {"policy_version": "1"}, {"tcf": {"tc_string": "CP"}}])
def test_an_object_that_says_nothing_readable_gives_no_signal(consent: dict[str, Any]) -> None:
    assert READER.of_object(consent, None) == ()


def test_each_kind_of_statement_is_its_own_signal() -> None:
    plain, google = READER.of_object({"purposes": BOTH, "google": {"analytics_storage": "denied"}, "policy_version": "7"}, None)
    assert (plain.source, plain.choice, plain.policy_version) == ("plain", Choice.GRANTED, "7")
    assert (google.source, google.choice, google.policy_version) == ("google", Choice.REFUSED, "7")


def test_an_opt_out_of_sale_has_its_own_time_and_not_the_day_of_the_tc_string_beside_it() -> None:
    text = gpp_text({2: tc_string(), 8: core("usca", 1, 1)})
    yes, out = READER.of_object({"gpp": {"gpp_string": text}}, None)
    assert (yes.choice, yes.dated, yes.sale_share_opt_out) == (Choice.GRANTED, True, False)
    assert (out.choice, out.decided_at, out.said_now, out.sale_share_opt_out) == (None, NOW, True, True)
    late = replace(READER, delivery=Delivery(age=90_000))
    for consent in ({"gpp": {"gpp_string": text}}, {"us_privacy": "1YYN"}):
        *_, out = late.of_object(consent, None)
        assert (out.decided_at, out.said_now, out.sale_share_opt_out) == (NOW - 90_000, False, True)


def test_linking_travels_beside_the_choice() -> None:
    [signal] = READER.of_object({"purposes": BOTH | {"linking": "refused"}}, None)
    assert (signal.choice, signal.linking) == (Choice.GRANTED, Choice.REFUSED)
    [signal] = READER.of_object({"purposes": {"linking": "granted"}}, None)
    assert (signal.choice, signal.linking) == (None, Choice.GRANTED)
    [signal] = READER.of_object({"purposes": BOTH}, None)
    assert signal.linking is None


def test_what_google_does_not_say_is_absent_and_never_a_grant() -> None:
    [signal] = READER.of_object({"google": {"ad_storage": "granted"}}, None)
    assert signal.choice is None


@pytest.mark.parametrize(
    ("decided", "at", "dated"),
    [
        (None, NOW, False),
        (NOW - MOST_ASKEW - 1, NOW - MOST_ASKEW - 1, True),
        (NOW - MOST_ASKEW, NOW, False),
        (0, 0, True),
        (NOW, NOW, False),
        (NOW + 1, NOW, False),
        (NOW + MOST_ASKEW, NOW, False),
        (NOW + MOST_ASKEW + 1, NOW, False),
    ],
)
def test_a_choice_is_dated_by_its_sender_but_never_in_the_future(decided: int | None, at: int, dated: bool) -> None:
    [signal] = READER.of_object({"purposes": BOTH}, None if decided is None else Millis(decided))
    assert (signal.decided_at, signal.dated) == (at, dated)


@given(st.none() | st.integers(0, 2**44))
def test_no_date_puts_a_choice_after_now(decided: int | None) -> None:
    for signal in READER.of_object(
        {"purposes": BOTH, "google": {"analytics_storage": "granted"}}, None if decided is None else Millis(decided)
    ):
        assert signal.decided_at <= NOW


def test_the_digest_is_of_what_was_said_and_not_of_its_order() -> None:
    one, other = ({"storage": "granted", "measurement": "refused"}, {"measurement": "refused", "storage": "granted"})
    digests = [signal.raw_digest for purposes in (one, other, BOTH) for signal in READER.of_object({"purposes": purposes}, None)]
    assert digests[0] == digests[1] != digests[2]
    assert digests[2] == hashlib.sha256(b'{"measurement":"granted","storage":"granted"}').hexdigest()
