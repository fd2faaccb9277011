"""Consent: what a person chose, and the proof of it.

A signal is one consent input with three values: granted, refused, or absent (`choice` is None). Whatever cannot be read is
absent: it never grants, and it never erases an earlier choice. Among choices the newest wins, a refusal at a tie.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Literal, NewType

from msgspec import Struct, structs

Millis = NewType("Millis", int)
"""Milliseconds since 1970, for the times of choices: they are ordered by it. All other times are whole seconds."""


SHOP = "shop"
"""Source of a grant that is the shop's word, not the person's."""


class Choice(StrEnum):
    """What a person chose."""

    GRANTED = "granted"
    REFUSED = "refused"


class Purpose(StrEnum):
    """`STORAGE` and `MEASUREMENT` together allow a persistent ID; `LINKING` allows links to emails and follows storage when absent."""

    STORAGE = "storage"
    MEASUREMENT = "measurement"
    LINKING = "linking"


class Signal(Struct, frozen=True):
    """`decided_at`: when the person chose; `dated` says that the sender told it, else it is the time of arrival. `raw_digest`: SHA-256
    of the signal as it came, in hex. `remembered`: repeated from where it is kept (a banner's cookie, a shop's session, a banner's state at
    load) rather than said with this call; `of_cookie`: in a banner's cookie that came along. `purposes`: the choices by name, where they
    were told so."""

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
    purposes: tuple[tuple[Purpose, Choice], ...] = ()

    @property
    def said_now(self) -> bool:
        return not (self.dated or self.remembered)

    @property
    def refuses(self) -> bool:
        """Storage, or links where no banner's cookie tells it, which says it again with the next call."""
        return self.choice is Choice.REFUSED or (self.linking is Choice.REFUSED and not self.of_cookie)

    def is_older(self, moment: Millis) -> bool:
        """Than what was stored with that moment. What is said with this call never is, whatever clock stamped the other."""
        return self.dated and self.decided_at < moment


class NoticeVersion(Struct, frozen=True):
    """Which text a shop shows where it asks. `since`: when it began to; None where the shop does not tell."""

    name: str
    since: Millis | None = None

    def covers(self, version: str | None, decided_at: Millis) -> bool:
        """Whether a grant was given to this text: it says so, or is younger than the text."""
        return version == self.name or (self.since is not None and decided_at > self.since)


class Consent(Struct, frozen=True):
    """A grant as the visitor's record keeps it. `raw_digest`: the first characters of the signal's, by which a replay is known."""

    granted_at: Millis
    source: str
    linking: Choice | None
    policy_version: str | None = None
    raw_digest: str | None = None

    @property
    def is_of_the_shop(self) -> bool:
        return self.source == SHOP

    def is_given_to(self, notice: NoticeVersion | None) -> bool:
        """None: to any text. The shop's word is given to none."""
        return notice is None or self.is_of_the_shop or notice.covers(self.policy_version, self.granted_at)

    def as_signal(self) -> Signal:
        return Signal(self.source, Choice.GRANTED, self.granted_at, self.linking, policy_version=self.policy_version)


class EarlierRefusal(Struct, frozen=True):
    """What the refusal cookie tells. `at`: the last moment at which the refusal may have been said; a grant lifts it that is said now, or
    dated later. `refuses`: False once it is so old that it only keeps such older grants from counting."""

    at: Millis
    refuses: bool


class OptOutsSeen(Struct, frozen=True):
    """When Global Privacy Control and Do Not Track first came with a visitor; each counts by itself."""

    gpc: Millis | None = None
    dnt: Millis | None = None


NEVER_SEEN = OptOutsSeen()


class Receipt(Struct, frozen=True, omit_defaults=True):
    """Signed proof of a consent decision; what is not known is left out of what is signed. `time`: of its arrival, `decided_at`: of the
    choice, both in seconds since 1970; those of the first schema tell no time of the choice. `purposes`: those that were asked.

    `visitor_digest` is keyed by a random key that only the visitor's record holds: once the record is erased nobody can tell whose
    receipt it is, and it stays as proof by its own `receipt_id`.
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

    @property
    def basis(self) -> Literal["person", "shop"]:
        """Whose word it is; the shop's proves no consent."""
        return "shop" if self.source == SHOP else "person"

    def members(self) -> dict[str, Any]:
        """As it is exported and shown."""
        decided_at = self.time if self.decided_at is None else self.decided_at
        return {**structs.asdict(self), "decided_at": decided_at, "basis": self.basis}


def purposes_choice(purposes: dict[Purpose, Choice]) -> Choice | None:
    """Granted needs storage and measurement; one refusal of the two refuses; anything less is absent."""
    needed = [purposes.get(Purpose.STORAGE), purposes.get(Purpose.MEASUREMENT)]
    if Choice.REFUSED in needed:
        return Choice.REFUSED
    return Choice.GRANTED if needed == [Choice.GRANTED, Choice.GRANTED] else None


def newest_choice(signals: Iterable[Signal]) -> Signal | None:
    """The signal whose choice counts; later arguments win over earlier ones of the same second, except over a refusal."""
    newest: Signal | None = None
    for signal in signals:
        if signal.choice is None:
            continue
        if newest is None or (signal.decided_at, signal.choice is Choice.REFUSED) >= (newest.decided_at, newest.choice is Choice.REFUSED):
            newest = signal
    return newest


def choice_said(signals: Sequence[Signal]) -> Signal | None:
    """A request's newest choice. What is merely remembered, without a time of its own, is no newer than what was said."""
    said = any(one.choice and not one.remembered for one in signals)
    return newest_choice(one for one in signals if not (said and one.remembered and not one.dated and one.choice is Choice.GRANTED))


def visitor_digest(receipt_key: str, visitor: str) -> str:
    """22 characters of HMAC-SHA-256 under the record's random key."""
    digest = hmac.digest(receipt_key.encode(), visitor.encode(), hashlib.sha256)
    return urlsafe_b64encode(digest[:16]).decode().rstrip("=")
