"""What browsers say by themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.signals.browser import BrowserSignals, browser_signals


def test_a_browser_that_says_nothing_says_nothing() -> None:
    assert browser_signals({}) == BrowserSignals(False, False, False)


@pytest.mark.parametrize("header", ["sec-gpc", "dnt"])
@pytest.mark.parametrize("value", ["0", "", "true", "01", "1 ", " 1", "1, 1", "\uff11", "?1"])
def test_only_the_exact_digit_one_is_an_opt_out(header: str, value: str) -> None:
    assert browser_signals({header: value}) == BrowserSignals()


def test_gpc_and_dnt_are_told_apart() -> None:
    assert browser_signals({"sec-gpc": "1"}) == BrowserSignals(gpc=True)
    assert browser_signals({"dnt": "1"}) == BrowserSignals(dnt=True)
    assert browser_signals({"sec-gpc": "1", "dnt": "1"}) == BrowserSignals(gpc=True, dnt=True)


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-purpose": "prefetch"},
        {"sec-purpose": "prefetch;prerender"},
        {"sec-purpose": "prefetch;anonymous-client-ip"},
        {"purpose": "prefetch"},
        {"x-moz": "prefetch"},
        {"purpose": "Prefetch"},
    ],
)
def test_a_prefetch_is_known_in_every_browsers_words(headers: dict[str, str]) -> None:
    assert browser_signals(headers) == BrowserSignals(prefetch=True)


@given(st.dictionaries(st.sampled_from(["sec-gpc", "dnt", "sec-purpose", "purpose", "x-moz", "other"]), st.text(max_size=12)))
def test_no_header_can_break_the_reading(headers: dict[str, str]) -> None:
    found = browser_signals(headers)
    assert (found.gpc, found.dnt) == (headers.get("sec-gpc") == "1", headers.get("dnt") == "1")
