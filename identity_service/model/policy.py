"""From signals to a mode: one total function, first match decides.

`standard` is the behaviour that shops know: cookieless unless the person or the shop says otherwise. `strict` goes by region; where
consent is needed first, and where the region is unknown, it gives no ID without a person's grant, and a stored grant older than the
first GPC or the first DNT seen counts as a refusal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from msgspec import Struct

from identity_service.model.consent import (
    NEVER_SEEN,
    SHOP,
    Choice,
    Consent,
    EarlierRefusal,
    Millis,
    NoticeVersion,
    OptOutsSeen,
    Signal,
    choice_said,
)
from identity_service.model.visitor import Mode


class Asked(StrEnum):
    """What the call's `visitor` member asks for."""

    NOTHING = "nothing"
    NULL = "null"
    AUTO = "auto"
    PERSISTENT = "persistent"
    OWN = "own"


class Reason(StrEnum):
    """Why a visitor has its mode."""

    CONSENT_GRANTED = "consent_granted"
    CONSENT_REFUSED = "consent_refused"
    NO_SIGNAL = "no_signal"
    VISITOR_DISABLED = "visitor_disabled"
    REQUESTED_COOKIELESS = "requested_cookieless"
    PERSISTENT_REQUESTED = "persistent_requested"
    OPTED_OUT = "opted_out"
    BOT = "bot"
    AGENT = "agent"
    WITHDRAWN = "withdrawn"
    STORE_UNAVAILABLE = "store_unavailable"


@dataclass(frozen=True, slots=True)
class Rules:
    """What a visitor gets in one region. `grant_outlives_opt_out`: a stored grant counts against a later GPC or DNT. `refusal_opts_out`: a
    refusal is also an opt-out of sale and sharing. `override_reason`: why the operator chose something looser than what is shipped."""

    no_signal: Mode
    refusal: Mode
    opted_out: Mode
    grant_outlives_opt_out: bool
    refusal_opts_out: bool = False
    override_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """`linkable`: modes whose IDs may be linked to an email. `unknown`: rules of visitors whose region is not known; `regions`: by ISO 3166
    code, country or country and subdivision; `elsewhere`: everywhere else."""

    name: str
    persistent_is_consent: bool
    linkable: frozenset[Mode]
    may_bridge: bool
    unknown: Rules
    elsewhere: Rules
    regions: Mapping[str, Rules] = field(default_factory=dict)

    def rules(self, region: str | None) -> Rules:
        if region is None:
            return self.unknown
        return self.regions.get(region) or self.regions.get(region.partition("-")[0]) or self.elsewhere


OPT_OUT = Rules(no_signal=Mode.COOKIELESS, refusal=Mode.NULL, opted_out=Mode.COOKIELESS, grant_outlives_opt_out=True)
OPT_IN = Rules(no_signal=Mode.NULL, refusal=Mode.NULL, opted_out=Mode.NULL, grant_outlives_opt_out=False)

STANDARD = Policy(
    name="standard",
    persistent_is_consent=True,
    linkable=frozenset({Mode.COOKIELESS, Mode.PERSISTENT}),
    may_bridge=True,
    unknown=OPT_OUT,
    elsewhere=OPT_OUT,
)
STRICT = Policy(
    name="strict",
    persistent_is_consent=False,
    linkable=frozenset({Mode.PERSISTENT}),
    may_bridge=False,
    unknown=OPT_IN,
    elsewhere=OPT_IN,
)
"""Without its regions, which `config/strict.toml` holds: everywhere as where the region is unknown."""


class Facts(Struct, frozen=True):
    """Everything a decision may look at.

    `signals` came with this request. `consent` is the living ID's stored grant, `opt_outs_seen` when GPC and DNT first came with
    it. `refusal` is the refusal cookie. `gone_at` is when the ID presented or named was withdrawn; `cookieless_gone_at` when the ID was
    that cookieless mode would hand out; `derived_gone_at` when the client's derived one was. `automated`: a robot, a prefetch or an agent;
    `agent`: it names itself as one that acts for a person. `opted_out`: the stored opt-out of sale and sharing. `notice`: the text that a
    stored grant has to be given to; None: any.
    """

    asked: Asked
    now: Millis
    signals: tuple[Signal, ...] = ()
    consent: Consent | None = None
    opt_outs_seen: OptOutsSeen = NEVER_SEEN
    refusal: EarlierRefusal | None = None
    gone_at: Millis | None = None
    cookieless_gone_at: Millis | None = None
    gpc: bool = False
    dnt: bool = False
    automated: bool = False
    agent: bool = False
    region: str | None = None
    opted_out: bool = False
    derived_gone_at: Millis | None = None
    notice: NoticeVersion | None = None


class Decision(Struct, frozen=True):
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
    rules = policy.rules(facts.region)
    choice = _choice(policy, rules, facts)
    mode, reason = _mode(policy, rules, facts, choice)
    if mode is Mode.COOKIELESS and facts.cookieless_gone_at is not None:
        mode, reason = Mode.NULL, Reason.WITHDRAWN
    opted_out = facts.gpc or facts.opted_out or (facts.signals != () and any(signal.sale_share_opt_out for signal in facts.signals))
    opted_out |= rules.refusal_opts_out and reason is Reason.CONSENT_REFUSED
    return Decision(mode, reason, policy.name, facts.region, opted_out, choice)


def _mode(policy: Policy, rules: Rules, facts: Facts, choice: Signal | None) -> tuple[Mode, Reason]:
    if facts.automated and not (choice and choice.choice is Choice.REFUSED and choice in facts.signals):
        return Mode.NULL, Reason.AGENT if facts.agent else Reason.BOT
    if facts.automated:
        return Mode.NULL, Reason.CONSENT_REFUSED
    if facts.asked is Asked.NULL:
        return Mode.NULL, Reason.VISITOR_DISABLED
    if choice and choice.choice is Choice.REFUSED:
        return rules.refusal, Reason.CONSENT_REFUSED
    if choice and facts.asked is Asked.AUTO:
        return Mode.COOKIELESS, Reason.REQUESTED_COOKIELESS
    if choice:
        return Mode.PERSISTENT, Reason.PERSISTENT_REQUESTED if choice.source == SHOP else Reason.CONSENT_GRANTED
    if facts.gone_at is not None:
        return Mode.NULL, Reason.WITHDRAWN
    if facts.asked is Asked.PERSISTENT and _shop_may_say(policy, facts):
        return Mode.PERSISTENT, Reason.PERSISTENT_REQUESTED
    if facts.gpc or facts.dnt:
        return rules.opted_out, Reason.OPTED_OUT
    return rules.no_signal, Reason.NO_SIGNAL


def _choice(policy: Policy, rules: Rules, facts: Facts) -> Signal | None:
    """The choice that counts: this request's newest, unless something stands against it; else the refusal cookie; else the stored grant."""
    stored = _stored(policy, facts)
    sent = choice_said(facts.signals)
    if sent and not _outdated(sent, stored, facts):
        return _against_opt_out(rules, facts, sent) if sent.of_cookie and sent.choice is Choice.GRANTED else sent
    refusal = facts.refusal
    if refusal and (stored is None or stored.decided_at <= refusal.at):
        return Signal("refusal_cookie", Choice.REFUSED, refusal.at) if refusal.refuses else None
    return _against_opt_out(rules, facts, stored)


def _stored(policy: Policy, facts: Facts) -> Signal | None:
    """The record's grant, if it was given to the text that the shop shows now; the shop's word only where it may stand for the person's
    today."""
    stored = facts.consent
    if stored is None or not stored.is_given_to(facts.notice):
        return None
    return stored.as_signal() if not stored.is_of_the_shop or _shop_may_say(policy, facts) else None


def _shop_may_say(policy: Policy, facts: Facts) -> bool:
    """The shop's word never stands against a person's, wherever that was kept."""
    against = facts.refusal or facts.cookieless_gone_at or facts.derived_gone_at
    return policy.persistent_is_consent and against is None


def _outdated(sent: Signal, stored: Signal | None, facts: Facts) -> bool:
    """A late message never overwrites a newer choice. A grant lifts a withdrawal or a refusal only if it is said now, or dated later: never
    one that is remembered without a time."""
    if sent.choice is Choice.GRANTED:
        refusals = [facts.gone_at]
        if not sent.said_now:
            refusals += [facts.cookieless_gone_at, facts.refusal.at if facts.refusal else None]
        undated = sent.remembered and not sent.dated
        if any(at is not None and (undated or sent.decided_at <= at) for at in refusals):
            return True
    return stored is not None and sent.is_older(stored.decided_at)


def _against_opt_out(rules: Rules, facts: Facts, stored: Signal | None) -> Signal | None:
    """Where consent is needed first a stored grant is a refusal once GPC or DNT is seen, wherever that was, that was not there when it
    was given."""
    if stored is None or rules.grant_outlives_opt_out:
        return stored
    seen = facts.opt_outs_seen
    for source, here, before in (("gpc", facts.gpc, seen.gpc), ("dnt", facts.dnt, seen.dnt)):
        first_seen = here and before is None
        seen_since = before is not None and before > stored.decided_at
        if first_seen or seen_since:
            return Signal(source, Choice.REFUSED, facts.now)
    return stored
