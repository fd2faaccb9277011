"""Consent: what a person chose, and the proof of it.

A signal is one consent input with three values: granted, refused, or absent (`choice` is None). An unreadable signal is absent: it never
grants, and never removes an earlier choice. The newest choice wins; at a tie, the refusal.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Final, Literal, NewType

from msgspec import Struct, structs

Millis = NewType("Millis", int)
"""Milliseconds since 1970, which order choices. All other times are whole seconds."""
MINUTE = 60_000
"""Milliseconds. The refusal cookie has its time in minutes."""


SHOP = "shop"
"""Source of a grant that the shop asserts, without a choice of the person."""
SALE_OPT_IN: Final = "sale_opt_in"
"""Source of a person's explicit opt-in to sale and sharing."""
CONVEYED: Final = "platform"
"""Basis of a choice that the platform of an agent conveys: the buyer's, as the platform says."""
CONVEYED_SOURCES = frozenset({"ucp"})
"""Sources of such choices. They are always remembered: nobody can say when the buyer chose."""


def millis_of(seconds: float) -> Millis:
    """`seconds`: since 1970, as a clock gives them."""
    return Millis(int(seconds * 1000))


class Choice(StrEnum):
    """What a person chose."""

    GRANTED = "granted"
    REFUSED = "refused"


class Purpose(StrEnum):
    """`STORAGE` and `MEASUREMENT` together allow a persistent ID. `LINKING` allows links to emails; if absent, `STORAGE` decides.
    `SALE_SHARE` is sale and sharing of data; no banner grants it."""

    STORAGE = "storage"
    MEASUREMENT = "measurement"
    LINKING = "linking"
    SALE_SHARE = "sale_share"


class OptOut(StrEnum):
    """What a call says against sale and sharing. STATE: a state of the browser (GPC), something repeated, or what is stored; an opt-in
    outweighs it. SAID: it was said with this call, or since the opt-in, which ends by it."""

    NONE = ""
    STATE = "state"
    SAID = "said"


class BannerContext(Struct, frozen=True):
    """How a banner asked, as far as it says so. `method`: what the person did, in the banner's words."""

    version: str | None = None
    language: str | None = None
    method: str | None = None


class Signal(Struct, frozen=True):
    """`decided_at`: when the person chose, if `dated`; else when the signal arrived. `raw_digest`: SHA-256 of the raw signal, in hex.
    `remembered`: repeated from storage (a banner's cookie or its state at load, a shop's session) rather than said with this call.
    `of_cookie`: read from a banner's cookie of this call. `purposes`: the choices by name, if the sender named them. `told_now`: its sender
    says that it was said now, so that the same content as before is a new choice."""

    source: str
    choice: Choice | None
    decided_at: Millis
    linking: Choice | None = None
    raw_digest: str | None = None
    policy_version: str | None = None
    sale_share_opt_out: bool = False
    dated: bool = False
    remembered: bool = False
    of_cookie: bool = False
    told_now: bool = False
    purposes: tuple[tuple[Purpose, Choice], ...] = ()
    banner: BannerContext | None = None

    @property
    def said_now(self) -> bool:
        return not (self.dated or self.remembered)

    @property
    def refuses(self) -> bool:
        """Refuses storage; or links, unless a banner's cookie says so, since it repeats that with every call."""
        return self.choice is Choice.REFUSED or (self.linking is Choice.REFUSED and not self.of_cookie)

    def is_older(self, moment: Millis | None) -> bool:
        """Whether it is older than a choice stored at `moment`. A choice said with this call never is, whatever the clocks say."""
        return moment is not None and self.dated and self.decided_at < moment

    def is_said_since(self, moment: Millis | None) -> bool:
        """Whether it was said with this call, or is dated later than `moment`."""
        return self.said_now or (moment is not None and self.dated and self.decided_at > moment)


class NoticeVersion(Struct, frozen=True):
    """The text that a shop shows when it asks for consent. `since`: when it was first shown, if the shop sets that."""

    name: str
    since: Millis | None = None

    def covers(self, version: str | None, decided_at: Millis | None) -> bool:
        """Whether a grant was given to this text: it names the text, or is known to be newer."""
        return version == self.name or (self.since is not None and decided_at is not None and decided_at > self.since)


class Consent(Struct, frozen=True):
    """A grant as the visitor's record keeps it. `raw_digest`: the first characters of the signal's digest, to detect replays. `repeated`:
    its sender remembered it and told no time, so that nobody knows when the person gave it. `granted_at` is then its arrival."""

    granted_at: Millis
    source: str
    linking: Choice | None
    policy_version: str | None = None
    raw_digest: str | None = None
    repeated: bool = False

    @property
    def is_of_the_shop(self) -> bool:
        return self.source == SHOP

    @property
    def given_at(self) -> Millis | None:
        """When the person gave it. None if nobody knows: then no choice with a time is older."""
        return None if self.repeated or self.is_of_the_shop else self.granted_at

    def is_given_to(self, notice: NoticeVersion | None) -> bool:
        """`notice` None: any text counts. A grant of the shop depends on no text."""
        return notice is None or self.is_of_the_shop or notice.covers(self.policy_version, self.given_at)

    def as_signal(self) -> Signal:
        return Signal(self.source, Choice.GRANTED, self.granted_at, self.linking, policy_version=self.policy_version)


class EarlierRefusal(Struct, frozen=True):
    """The content of the refusal cookie. `at`: the latest moment at which the person may have refused. A grant overrides it if it is said
    now or dated later. `refuses`: False once it has expired; then it only stops older grants from counting. `minute`: as written in the
    cookie; None if the time there is missing or ahead."""

    at: Millis
    refuses: bool
    minute: int | None = None


class OptOutsSeen(Struct, frozen=True):
    """When a visitor first sent Global Privacy Control and Do Not Track. Each counts separately."""

    gpc: Millis | None = None
    dnt: Millis | None = None


NEVER_SEEN = OptOutsSeen()


class ReceiptEvent(StrEnum):
    """What a person's choice did. CONFIRMED: the grant was given before, and is given again. WITHDRAWN: a grant had been stored. No receipt
    is made when a consent ends by time: nobody acts then, and `ends_at` says it beforehand."""

    GIVEN = "given"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class Receipt(Struct, frozen=True, omit_defaults=True):
    """Signed proof of a consent decision. The signed text leaves out members of later editions that are None. `time`: when the choice
    arrived. `decided_at`: when it was made, which receipts of the first edition lack. Both are in seconds since 1970. `purposes`: those
    that the person was asked about.

    `visitor_digest` is keyed by a random key that the visitor's record holds, and after a withdrawal its gone mark. Once the visitor is
    erased, nobody can tell whose receipt it is, and it remains as proof under its own `receipt_id`.

    Receipts before the third edition lack `shop` and what follows it. `event`: None for the shop's word. `ends_at`: the end of a grant,
    in seconds since 1970. `previous`: ID of the visitor's receipt before this one.
    """

    receipt_id: str
    time: int
    mode: str
    purposes: dict[str, str]
    source: str
    policy: str
    policy_version: str | None = None
    raw_digest: str | None = None
    region: str | None = None
    override_reason: str | None = None
    visitor_digest: str | None = None
    signature: str = ""
    decided_at: int | None = None
    shop: str | None = None
    event: ReceiptEvent | None = None
    ends_at: int | None = None
    previous: str | None = None
    consent_version: str | None = None
    notice: str | None = None
    banner: BannerContext | None = None

    @property
    def basis(self) -> Literal["person", "shop", "platform"]:
        """Who said so. A receipt of the shop proves no consent; one of a platform proves what the platform said."""
        if self.source in CONVEYED_SOURCES:
            return CONVEYED
        return "shop" if self.source == SHOP else "person"

    @property
    def chosen_at(self) -> int:
        return self.time if self.decided_at is None else self.decided_at

    @property
    def refuses(self) -> bool:
        return Choice.REFUSED in self.purposes.values()

    @property
    def refuses_storage(self) -> bool:
        return Choice.REFUSED in {self.purposes.get(Purpose.STORAGE), self.purposes.get(Purpose.MEASUREMENT)}

    @property
    def is_about_links_alone(self) -> bool:
        return self.purposes.keys() == {Purpose.LINKING}

    @property
    def is_about_sale(self) -> bool:
        """An opt-in to sale is never asked together with other purposes."""
        return Purpose.SALE_SHARE in self.purposes

    def says_the_same(self, other: "Receipt") -> bool:
        """Whether both prove the same choice, made at other times."""
        return all(getattr(self, name) == getattr(other, name) for name in SAID)

    def members(self) -> dict[str, Any]:
        """For exports and pages."""
        return {**structs.asdict(self), "decided_at": self.chosen_at, "basis": self.basis}


SAID = (
    *("shop", "mode", "purposes", "source", "policy", "policy_version", "region", "override_reason", "visitor_digest"),
    *("consent_version", "notice", "banner"),
)
"""The members of a receipt that a repeated choice has in common."""
OF_THIRD_EDITION = ("shop", "event", "ends_at", "previous", "consent_version", "notice", "banner")
"""Members that receipts of the first two editions do not have."""


def purposes_choice(purposes: dict[Purpose, Choice]) -> Choice | None:
    """Granted if storage and measurement are granted; refused if one of them is refused; else absent."""
    needed = [purposes.get(Purpose.STORAGE), purposes.get(Purpose.MEASUREMENT)]
    if Choice.REFUSED in needed:
        return Choice.REFUSED
    return Choice.GRANTED if needed == [Choice.GRANTED, Choice.GRANTED] else None


def newest_choice(signals: Iterable[Signal]) -> Signal | None:
    """The signal whose choice counts. At the same time, a refusal wins; else the later argument."""
    newest: Signal | None = None
    for signal in signals:
        if signal.choice is None:
            continue
        if newest is None or (signal.decided_at, signal.choice is Choice.REFUSED) >= (newest.decided_at, newest.choice is Choice.REFUSED):
            newest = signal
    return newest


def choice_said(signals: Sequence[Signal]) -> Signal | None:
    """A request's newest choice. A remembered grant without a date does not count beside a choice that was said."""
    said = any(one.choice and not one.remembered for one in signals)
    return newest_choice(one for one in signals if not (said and one.remembered and not one.dated and one.choice is Choice.GRANTED))


def visitor_digest(receipt_key: str, visitor: str) -> str:
    """22 characters of HMAC-SHA-256, keyed by the record's random key."""
    digest = hmac.digest(receipt_key.encode(), visitor.encode(), hashlib.sha256)
    return urlsafe_b64encode(digest[:16]).decode().rstrip("=")
