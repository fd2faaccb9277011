"""Choices: which purposes make a grant, and which of several choices counts."""

import hashlib
import hmac
import itertools
from base64 import urlsafe_b64encode

import pytest

from identity_service.model.consent import Choice, Consent, Millis, Purpose, Signal, newest_choice, purposes_choice, visitor_digest

GRANTED, REFUSED = Choice.GRANTED, Choice.REFUSED
AT = Millis(1_000)


@pytest.mark.parametrize("purposes", list(itertools.product([GRANTED, REFUSED, None], repeat=4)))
def test_every_combination_of_purposes_is_read_as_documented(purposes: tuple[Choice | None, ...]) -> None:
    named = {purpose: choice for purpose, choice in zip(Purpose, purposes, strict=True) if choice}
    storage, measurement = named.get(Purpose.STORAGE), named.get(Purpose.MEASUREMENT)
    if storage == "refused" or measurement == "refused":
        assert purposes_choice(named) is REFUSED
    elif storage == "granted" and measurement == "granted":
        assert purposes_choice(named) is GRANTED
    else:
        assert purposes_choice(named) is None


def test_linking_alone_never_decides() -> None:
    assert purposes_choice({Purpose.LINKING: GRANTED}) is None
    assert purposes_choice({Purpose.LINKING: REFUSED}) is None


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_newest_choice_wins_in_any_order(order: tuple[int, ...]) -> None:
    signals = [Signal("a", GRANTED, AT), Signal("b", REFUSED, Millis(AT + 1)), Signal("c", GRANTED, Millis(AT + 2)), Signal("d", None, AT)]
    assert newest_choice(signals[index] for index in order) is signals[2]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_at_the_same_millisecond_a_refusal_wins_in_any_order(order: tuple[int, ...]) -> None:
    signals = [Signal("a", GRANTED, AT), Signal("b", REFUSED, AT), Signal("c", GRANTED, AT)]
    assert newest_choice(signals[index] for index in order) is signals[1]


def test_of_equal_choices_the_later_argument_counts() -> None:
    first, second = Signal("a", GRANTED, AT), Signal("b", GRANTED, AT)
    assert newest_choice([first, second]) is second


def test_an_absent_choice_never_erases_an_earlier_one() -> None:
    earlier = Signal("a", REFUSED, AT)
    assert newest_choice([earlier, Signal("b", None, Millis(AT + 9))]) is earlier
    assert newest_choice([Signal("b", None, AT)]) is None
    assert newest_choice([]) is None


def test_a_stored_grant_speaks_as_a_signal_of_its_own_time() -> None:
    signal = Consent(AT, "google", REFUSED, "v3").as_signal()
    assert (signal.source, signal.choice, signal.decided_at, signal.linking) == ("google", GRANTED, AT, REFUSED)
    assert (signal.policy_version, signal.raw_digest, signal.sale_share_opt_out, signal.dated) == ("v3", None, False, False)


def test_a_receipt_names_its_visitor_by_the_records_key_alone() -> None:
    expected = hmac.new(b"key", b"visitor", hashlib.sha256).digest()[:16]
    assert visitor_digest("key", "visitor") == urlsafe_b64encode(expected).decode().rstrip("=")
    assert len({visitor_digest(key, visitor) for key in ("a", "b") for visitor in ("a", "b")}) == 4
