"""Visitors, their IDs and the three modes."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from enum import StrEnum
from typing import NewType

from msgspec import Struct

from identity_service.errors import Invalid
from identity_service.model.consent import NEVER_SEEN, Choice, Consent, Millis, NoticeVersion, OptOutsSeen
from identity_service.model.utc import DAY

LAPSED = 30 * DAY
"""Seconds for which a record is kept after its consent has expired."""

VisitorId = NewType("VisitorId", str)
RandomText = Callable[[int], str]

OWN_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
NEVER_AN_ID = frozenset({"auto", "persistent", "null", "undefined", "none", "nan", "0", "-1", "true", "false", "guest", "anonymous", "."})


class Mode(StrEnum):
    COOKIELESS = "cookieless"
    PERSISTENT = "persistent"
    NULL = "null"


class Kind(StrEnum):
    """The origin of an ID, which decides how long it lasts and what a grant does to it."""

    DERIVED = "d"
    CHOSEN = "c"
    PERSISTENT = "p"

    @property
    def mode(self) -> Mode:
        """While an ID of this kind lives."""
        return Mode.PERSISTENT if self is Kind.PERSISTENT else Mode.COOKIELESS


KINDS = {kind.value: kind for kind in Kind}
"""By letter. To call the enumeration takes ten times as long, and tokens and records are read on every call."""


class VisitorRecord(Struct, frozen=True):
    """The stored record of a visitor. Times are seconds since 1970, except `opt_outs_seen` and `newest_opt_in`. `expires`: the end of the
    ID. The record and links of a persistent visitor stay for `LAPSED` more seconds, without consent, so that other services see the end
    before they are gone. `linking`: a choice about links, with or without a grant. `mixed`: the visitor was also another person's, who was
    erased. `emails` and `customers`: how many are linked, including those without proof. `newest_opt_in`: to sale, even if the visitor has
    opted out since."""

    kind: Kind
    first_seen: int
    last_seen: int
    expires: int
    consent: Consent | None
    opted_out: bool
    emails: int
    unproven_emails: int = 0
    customers: int = 0
    unproven_customers: int = 0
    mixed: bool = False
    bridged_from: str | None = None
    opt_outs_seen: OptOutsSeen = NEVER_SEEN
    linking: Choice | None = None
    newest_opt_in: Millis | None = None

    @property
    def opted_in_at(self) -> Millis | None:
        """When it opted in to sale, unless it has opted out since."""
        return None if self.opted_out else self.newest_opt_in

    @property
    def mode(self) -> Mode:
        return self.kind.mode

    @property
    def granted(self) -> bool:
        """Persistent, with a consent that has not expired."""
        return self.kind is Kind.PERSISTENT and self.consent is not None

    def granted_to(self, notice: NoticeVersion | None) -> bool:
        """`granted`, and the consent was given to the text that the shop shows now."""
        return self.granted and self.consent is not None and self.consent.is_given_to(notice)

    @property
    def shared(self) -> bool:
        return self.proven_emails > 1

    @property
    def proven_emails(self) -> int:
        return self.emails - self.unproven_emails

    @property
    def proven_handles(self) -> int:
        """Number of emails and customer IDs that are linked with proof."""
        return self.proven_emails + self.customers - self.unproven_customers


class KeptReceipts(Struct, frozen=True):
    """What leads from a visitor to its receipts. `key`: of the digest by which they name it. `newest`: the ID of the newest one.
    `withdrawn`: all IDs that the gone mark keeps, newest first."""

    key: str | None = None
    newest: str | None = None
    withdrawn: tuple[str, ...] = ()


class GoneMark(Struct, frozen=True):
    """The mark of a withdrawn or erased visitor. `awaited`: minutes of the refusal cookies that have not come back yet, if only browsers
    refused with a derived ID. None: the mark stops every call. `withdrawn_at`: seconds since 1970; a token that was issued until then
    stays withdrawn."""

    at: Millis
    awaited: tuple[int, ...] | None = None
    withdrawn_at: int = 0

    @property
    def yields(self) -> bool:
        """Every browser that refused keeps its refusal in its cookie, so calls without one may be other people's."""
        return self.awaited == ()

    def stops(self, issued_at: int) -> bool:
        """Whether it stops an ID that was given out at that time, in seconds since 1970."""
        return not self.yields or issued_at <= self.withdrawn_at


class VisitorState(Struct, frozen=True):
    """What the store knows of a visitor: its living record and its mark, if any, and its receipts."""

    record: VisitorRecord | None
    mark: GoneMark | None
    receipts: KeptReceipts = KeptReceipts()

    @property
    def gone_at(self) -> Millis | None:
        """When it was withdrawn or erased, even if the mark yields."""
        return self.mark.at if self.mark else None


def removal_digest(key: str, visitor: VisitorId) -> str:
    """How the list of removals names a visitor: 32 hex characters, the first half of HMAC-SHA-256. Empty without a key."""
    return hmac.new(key.encode(), visitor.encode(), hashlib.sha256).hexdigest()[:32] if key else ""


def new_visitor_id(random_text: RandomText = secrets.token_urlsafe) -> VisitorId:
    """128 random bits as 22 characters of base64url. It reveals nothing about time or person."""
    return VisitorId(random_text(16))


def own_visitor_id(text: str) -> VisitorId:
    """A caller's ID, byte for byte. Raises Invalid for other forms, and for placeholders that scripts send by mistake."""
    if not OWN_ID.fullmatch(text) or text.lower() in NEVER_AN_ID:
        raise Invalid("visitor: your own ID must be 1 to 64 of A-Z a-z 0-9 _ . - and not a word like null or undefined")
    return VisitorId(text)
