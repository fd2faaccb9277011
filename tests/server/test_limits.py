"""Rate limits on a clock that moves only when told."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.errors import RateLimited
from identity_service.server.limits import RateLimit, SeenOnce, private_memory


class Hand:
    """A clock's hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def limit_of(per_second: float, burst: float, hand: Hand) -> RateLimit:
    return RateLimit(per_second, burst, hand, private_memory().slots(0))


def allowed(limit: RateLimit, caller: str, calls: int = 1) -> bool:
    try:
        limit.count(caller, calls)
    except RateLimited:
        return False
    return True


@pytest.mark.parametrize(("per_second", "burst"), [(10, 2), (1, 1), (200, 2), (2000, 2), (3, 7)])
def test_exactly_the_burst_may_come_at_once(per_second: float, burst: float) -> None:
    limit = limit_of(per_second, burst, Hand())
    assert sum(allowed(limit, "one") for _ in range(int(per_second * burst) + 50)) == per_second * burst


@pytest.mark.parametrize(("per_second", "burst"), [(10, 2), (1, 1), (7, 3)])
def test_in_the_long_run_only_the_rate_passes(per_second: int, burst: int) -> None:
    hand = Hand()
    limit = limit_of(per_second, burst, hand)
    passed = 0
    for _ in range(1000):
        hand.now += 0.02
        passed += sum(allowed(limit, "one") for _ in range(5))
    assert per_second * 20 <= passed <= per_second * (20 + burst)


@given(st.floats(0.01, 1000), st.integers(1, 100))
def test_a_first_call_is_never_refused(per_second: float, burst: int) -> None:
    """The rate may be less than a call in the whole burst; it is a slow limit, not a closed door."""
    assert allowed(limit_of(per_second, burst, Hand()), "one")


@given(st.floats(1, 100), st.integers(1, 5))
def test_who_waits_as_told_is_let_in(per_second: float, burst: int) -> None:
    hand = Hand()
    limit = limit_of(per_second, burst, hand)
    while allowed(limit, "one"):
        pass
    with pytest.raises(RateLimited) as refused:
        limit.count("one")
    assert refused.value.retry_after is not None
    assert 1 <= refused.value.retry_after <= max(1, math.ceil(1 / per_second))
    hand.now += refused.value.retry_after
    assert allowed(limit, "one")


def test_a_refused_call_costs_nothing_and_others_are_not_touched() -> None:
    hand = Hand()
    limit = limit_of(1, 1, hand)
    assert allowed(limit, "one")
    assert not any(allowed(limit, "one") for _ in range(100))
    assert allowed(limit, "another")
    hand.now += 1
    assert allowed(limit, "one")


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_a_call_may_count_for_many_and_the_next_one_waits_for_it(weights: list[int]) -> None:
    """In the long run the rate holds whatever calls count as, and none is too large to pass."""
    hand = Hand()
    limit = limit_of(10, 2, hand)
    for weight in weights:
        while not allowed(limit, "one", weight):
            hand.now += 0.1
    assert hand.now - 1_000 >= (sum(weights[:-1]) - 20) / 10 - 0.11
    assert hand.now - 1_000 <= max((sum(weights[:-1]) - 19) / 10, 0) + 0.11


def test_a_call_that_counts_for_nothing_is_refused_like_any_other() -> None:
    limit = limit_of(1, 2, Hand())
    assert all(allowed(limit, "one", 0) for _ in range(100))
    assert [allowed(limit, "one") for _ in range(3)] == [True, True, False]
    assert not allowed(limit, "one", 0)


def test_a_name_is_kept_with_the_use_that_came_first_and_no_other_changes_it() -> None:
    """Two workers may see it at once: each step is one."""
    memory = private_memory()
    one, other = (SeenOnce(memory.slots(7)) for _ in range(2))
    assert one.seen("signature", "page", 1_800_000_000.9) is None
    assert other.seen("signature", "page", 1_800_000_030) == (1_800_000_000, True)
    assert other.seen("signature", "another page", 1_800_000_031) == (1_800_000_000, False)
    assert one.seen("signature", "page", 1_800_000_032) == (1_800_000_000, True)
