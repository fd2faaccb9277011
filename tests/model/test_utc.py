"""Days and times are UTC's, whatever the machine's zone is."""

import pytest

from identity_service.model.utc import DAY, day_number, moment_of, rfc3339


@pytest.mark.parametrize(("text", "day"), [("1970-01-01", 0), ("1969-12-31", -1), ("2026-12-01", 20_788)])
def test_a_day_has_its_number(text: str, day: int) -> None:
    assert day_number(text) == day
    assert rfc3339(day * DAY) == f"{text}T00:00:00Z"


@pytest.mark.parametrize("seconds", [0, 1_796_100_000, 4_102_444_799])
def test_a_time_is_read_back(seconds: int) -> None:
    assert moment_of(rfc3339(seconds)).timestamp() == seconds


@pytest.mark.parametrize("text", ["", "2026-12-01", "2026-12-01T00:00:00", "2026-12-01T00:00:00+01:00"])
def test_anything_else_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="does not match format"):
        moment_of(text)
