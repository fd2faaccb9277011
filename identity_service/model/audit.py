"""The audit: who looked at a person, or acted for one, and when.

A subject is a person as the audit names it: a digest under the purpose `audit`, so that the audit cannot be joined with links or records.
Only somebody who has the email, customer ID or visitor ID finds its entries.
"""

from enum import StrEnum

from msgspec import Struct

from identity_service.model.consent import Millis


class Act(StrEnum):
    """What was done. The acts up to RECEIPTS concern a person."""

    LOOKUP = "lookup"
    VISITOR = "visitor"
    EXPORT = "export"
    ERASURE_PREVIEW = "erasure_preview"
    ERASURE = "erasure"
    RECEIPTS = "receipts"
    ORDERS = "orders"
    AUDIT = "audit"
    SIGN_IN = "sign_in"
    SIGN_OUT = "sign_out"
    SESSION_ENDED = "session_ended"


class Actor(Struct, frozen=True):
    """Who acts. `name`: of a key, or of a person as the sign-in names it. `person`: somebody who is signed in to the admin pages."""

    name: str
    person: bool = False


class AuditEntry(Struct, frozen=True, array_like=True):
    """The stored form, too. `subject`: None for an act that concerns nobody in particular. `found`: how many visitors, receipts or entries
    the act concerned."""

    time: Millis
    act: Act
    actor: str
    person: bool
    subject: str | None
    found: int
