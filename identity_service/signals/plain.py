"""Consent in the service's own words: one word, or an object of purposes and named signals, as the consent members of `/v1` carry it."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from identity_service.consent import Choice, Millis, Purpose, Signal, purposes_choice
from identity_service.signals.google import google_choice

MOST_AHEAD = 5 * 60 * 1000
"""A sender's clock may be this far ahead, in milliseconds; a later time counts as the time of arrival."""


def word_signal(word: str, now: Millis) -> Signal | None:
    """`granted` or `refused`; `unknown` is no signal."""
    return Signal("plain", Choice(word), now, raw_digest=_digest(word)) if word in {"granted", "refused"} else None


def object_signals(consent: Mapping[str, Any], now: Millis, decided_at: Millis | None) -> tuple[Signal, ...]:
    """One signal for each kind of statement in `consent`; kinds that cannot be read yet are absent."""
    dated = decided_at is not None and decided_at <= now + MOST_AHEAD
    at = min(decided_at, now) if dated and decided_at is not None else now
    version = consent.get("policy_version")
    found = []
    if purposes := consent.get("purposes"):
        choices = {Purpose(name): Choice(value) for name, value in purposes.items()}
        linking = choices.get(Purpose.LINKING)
        found.append(Signal("plain", purposes_choice(choices), at, linking, _digest(purposes), version, dated=dated))
    if google := consent.get("google"):
        found.append(Signal("google", google_choice(google), at, None, _digest(google), version, dated=dated))
    return tuple(found)


def _digest(raw: object) -> str:
    return hashlib.sha256(json.dumps(raw, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
