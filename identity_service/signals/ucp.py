"""Consent that comes with an agent's order: `buyer.consent` of the Universal Commerce Protocol (ucp.dev, extension
dev.ucp.shopping.buyer_consent, from version 2026-08-25 on).

Each purpose has `granted`, and `source` says who said so: `platform` is a decision of the buyer that the agent's platform conveys,
`business` is the shop's own default and no choice. The protocol has no time and no proof of the decision. It is therefore always state,
never something that was said now. Earlier versions have plain booleans, which do not say whose they are, so they are no choice, either.
"""

from collections.abc import Mapping

from identity_service.model.consent import CONVEYED
from identity_service.signals.answers import Answer, banner_context, mapping

ANALYTICS, SALE = "dev.ucp.consent.analytics", "dev.ucp.consent.sale_or_sharing"
"""Purposes that the protocol defines. The first stands for storage and measurement, unless the shop sets others."""


def ucp_event(event: Mapping[str, object]) -> Answer | None:
    """`event`: from `ucp_statement`."""
    states = {name: state for name, purpose in mapping(event.get("consent")).items() if (state := _decision(purpose)) is not None}
    if not states:
        return None
    version, platform = mapping(event.get("ucp")).get("version"), event.get("platform")
    named = platform if isinstance(platform, str) and platform else CONVEYED
    opted_out = states.get(SALE) is False
    return Answer(states, sale_share_opt_out=opted_out, stored=True, banner=banner_context(version, None, named))


def ucp_statement(event: Mapping[str, object]) -> Mapping[str, object]:
    """Only what is said about consent, of a cart, checkout or order, of its `buyer`, or of the `consent` alone. The rest is about a person,
    and must not come into a receipt's digest. `platform` may be added: the name of the platform."""
    buyer = mapping(event.get("buyer")) or event
    version = mapping(event.get("ucp")).get("version")
    return {"consent": mapping(buyer.get("consent")) or buyer, "ucp": {"version": version}, "platform": event.get("platform")}


def _decision(purpose: object) -> bool | None:
    told = mapping(purpose)
    granted = told.get("granted")
    return granted if isinstance(granted, bool) and told.get("source") == CONVEYED else None
