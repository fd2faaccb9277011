"""Google consent mode: `analytics_storage` decides; the `ad_*` types never grant an ID.

Source: developers.google.com/tag-platform/security/guides/consent. Only the state of an *update* is a person's choice; the sender
must not post a `default`.
"""

from collections.abc import Mapping

from identity_service.model.consent import Choice

_CHOICES = {"granted": Choice.GRANTED, "denied": Choice.REFUSED}


def google_choice(state: Mapping[str, object]) -> Choice | None:
    value = state.get("analytics_storage")
    return _CHOICES.get(value) if isinstance(value, str) else None
