"""Google consent mode: only `analytics_storage` decides."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.model.consent import Choice
from identity_service.signals.reader import google_choice

TYPES = ["analytics_storage", "ad_storage", "ad_user_data", "ad_personalization", "functionality_storage"]


@pytest.mark.parametrize("state", list(itertools.product(["granted", "denied", None], repeat=len(TYPES))))
def test_every_state_is_read_by_its_analytics_storage(state: tuple[str | None, ...]) -> None:
    told = {name: value for name, value in zip(TYPES, state, strict=True) if value}
    assert google_choice(told) == {"granted": Choice.GRANTED, "denied": Choice.REFUSED}.get(told.get("analytics_storage", ""))


@pytest.mark.parametrize(
    "value", ["Granted", "GRANTED", " granted", "yes", "true", "1", "", "default", True, 1, None, [], {}, ["granted"], 0.5]
)
def test_what_is_no_known_word_is_absent(value: object) -> None:
    assert google_choice({"analytics_storage": value}) is None


@given(st.dictionaries(st.text(max_size=20).filter(lambda name: name != "analytics_storage"), st.sampled_from(["granted", "denied"])))
def test_no_other_type_ever_decides(state: dict[str, str]) -> None:
    assert google_choice(state) is None
