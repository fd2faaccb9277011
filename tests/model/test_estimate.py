"""Intervals: what they hold, and that nothing below ten is told of visitors who said nothing."""

import pytest

from identity_service.model.estimate import Estimate, of_sketch, of_sketch_in_tens, of_tens, share


@pytest.mark.parametrize("truth", [0, 1, 9, 10, 37, 12_345])
def test_tens_hold_what_was_rounded_down(truth: int) -> None:
    found = of_tens(truth - truth % 10)
    assert found.low <= truth <= found.high
    assert (found.hidden, found.low % 10) == (truth < 10, 0)


def test_a_sum_of_days_left_out_nine_each() -> None:
    assert of_tens(120, 7) == Estimate(120, 183)


def test_a_sketch_is_exact_for_few_and_within_its_error_for_many() -> None:
    assert of_sketch(7) == Estimate(7, 7)
    assert of_sketch(10_000) == Estimate(9_750, 10_250)
    assert of_sketch(7) + of_sketch(10_000) == Estimate(9_757, 10_257)
    assert of_sketch_in_tens(0) == Estimate(0, 9, hidden=True)
    assert of_sketch_in_tens(10_000) == Estimate(9_750, 10_259)


def test_a_share_is_as_wide_as_its_parts_and_hidden_with_them() -> None:
    assert share(of_tens(50), of_tens(1_000)) == (0.0496, 0.059)
    assert share(of_tens(10), of_tens(10)) == (0.5263, 1.0)
    assert share(of_tens(0), of_tens(1_000)) is None
    assert of_tens(30).middle == 34.5
