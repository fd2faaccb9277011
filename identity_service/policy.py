"""From signals to a mode: one total function, first match decides.

`standard` is the behaviour that shops know: cookieless unless the person or the shop says otherwise. `strict` gives no ID without
a person's grant; a stored grant older than the first GPC or DNT seen counts as a refusal.
"""

from dataclasses import dataclass
from enum import StrEnum

from identity_service.consent import Choice, Consent, Millis, Signal, newest_choice
from identity_service.visitor import Mode


class Asked(StrEnum):
    """What the call's `visitor` member asks for."""

    NOTHING = "nothing"
    NULL = "null"
    AUTO = "auto"
    PERSISTENT = "persistent"
    OWN = "own"


class Reason(StrEnum):
    CONSENT_GRANTED = "consent_granted"
    CONSENT_REFUSED = "consent_refused"
    NO_SIGNAL = "no_signal"
    VISITOR_DISABLED = "visitor_disabled"
    REQUESTED_COOKIELESS = "requested_cookieless"
    PERSISTENT_REQUESTED = "persistent_requested"
    OPTED_OUT = "opted_out"
    BOT = "bot"
    WITHDRAWN = "withdrawn"
    STORE_UNAVAILABLE = "store_unavailable"


@dataclass(frozen=True, slots=True)
class Policy:
    """`linkable`: modes whose IDs may be linked to an email. `grant_outlives_opt_out`: a stored grant counts against a later GPC or DNT."""

    name: str
    refusal: Mode
    opted_out: Mode
    no_signal: Mode
    persistent_is_consent: bool
    grant_outlives_opt_out: bool
    linkable: frozenset[Mode]
    may_bridge: bool


STANDARD = Policy(
    name="standard",
    refusal=Mode.NULL,
    opted_out=Mode.COOKIELESS,
    no_signal=Mode.COOKIELESS,
    persistent_is_consent=True,
    grant_outlives_opt_out=True,
    linkable=frozenset({Mode.COOKIELESS, Mode.PERSISTENT}),
    may_bridge=True,
)
STRICT = Policy(
    name="strict",
    refusal=Mode.NULL,
    opted_out=Mode.NULL,
    no_signal=Mode.NULL,
    persistent_is_consent=False,
    grant_outlives_opt_out=False,
    linkable=frozenset({Mode.PERSISTENT}),
    may_bridge=False,
)
POLICIES = {policy.name: policy for policy in (STANDARD, STRICT)}


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a decision may look at.

    `signals` came with this request. `consent` is the living ID's stored grant, `opt_out_seen` the first time GPC or DNT came with
    it. `refused_before` is the refusal cookie: newer than the stored grant, older than any signal of the request. `gone_at` is when
    the ID presented or named was withdrawn; `candidate_gone` says that the ID cookieless mode would hand out is.
    """

    asked: Asked
    now: Millis
    signals: tuple[Signal, ...] = ()
    consent: Consent | None = None
    opt_out_seen: Millis | None = None
    refused_before: bool = False
    gone_at: Millis | None = None
    candidate_gone: bool = False
    gpc: bool = False
    dnt: bool = False
    automated: bool = False
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """`signal` is the source of the choice that counted; `choice` that choice, for what has to be stored."""

    mode: Mode
    reason: Reason
    policy: str
    region: str | None
    sale_share_opt_out: bool
    choice: Signal | None = None

    @property
    def signal(self) -> str | None:
        return self.choice.source if self.choice else None


def decide(policy: Policy, facts: Facts) -> Decision:
    choice = _choice(policy, facts)
    mode, reason = _mode(policy, facts, choice)
    if mode is Mode.COOKIELESS and facts.candidate_gone:
        mode, reason = Mode.NULL, Reason.WITHDRAWN
    opted_out = facts.gpc or any(signal.sale_share_opt_out for signal in facts.signals)
    return Decision(mode, reason, policy.name, facts.region, opted_out, choice)


def _mode(policy: Policy, facts: Facts, choice: Signal | None) -> tuple[Mode, Reason]:
    if facts.automated:
        return Mode.NULL, Reason.BOT
    if facts.asked is Asked.NULL:
        return Mode.NULL, Reason.VISITOR_DISABLED
    if choice and choice.choice is Choice.REFUSED:
        return policy.refusal, Reason.CONSENT_REFUSED
    if choice and facts.asked is Asked.AUTO:
        return Mode.COOKIELESS, Reason.REQUESTED_COOKIELESS
    if choice:
        return Mode.PERSISTENT, Reason.CONSENT_GRANTED
    if facts.gone_at is not None:
        return Mode.NULL, Reason.WITHDRAWN
    if facts.asked is Asked.PERSISTENT and policy.persistent_is_consent:
        return Mode.PERSISTENT, Reason.PERSISTENT_REQUESTED
    if facts.gpc or facts.dnt:
        return policy.opted_out, Reason.OPTED_OUT
    return policy.no_signal, Reason.NO_SIGNAL


def _choice(policy: Policy, facts: Facts) -> Signal | None:
    """The person's choice that counts: this request's newest, unless something stored is newer; else the refusal cookie; else the grant."""
    stored = facts.consent.as_signal() if facts.consent else None
    sent = newest_choice(facts.signals)
    if sent and not _outdated(sent, stored, facts.gone_at):
        return sent
    if facts.refused_before:
        return Signal("refusal_cookie", Choice.REFUSED, facts.now)
    return _against_opt_out(policy, facts, stored)


def _outdated(sent: Signal, stored: Signal | None, gone_at: Millis | None) -> bool:
    """A late message never overwrites a newer choice, and only a grant made after a withdrawal lifts it."""
    if gone_at is not None and sent.choice is Choice.GRANTED and sent.decided_at <= gone_at:
        return True
    return stored is not None and sent.decided_at < stored.decided_at


def _against_opt_out(policy: Policy, facts: Facts, stored: Signal | None) -> Signal | None:
    """Under `strict` a stored grant is a refusal once GPC or DNT is seen that was not there when it was given."""
    if stored is None or policy.grant_outlives_opt_out or not (facts.gpc or facts.dnt):
        return stored
    if facts.opt_out_seen is not None and facts.opt_out_seen <= stored.decided_at:
        return stored
    return Signal("gpc" if facts.gpc else "dnt", Choice.REFUSED, facts.now)
