"""From signals to a mode: one total function, in which the first match decides.

`standard` is what shops know: cookieless, unless the person or the shop says otherwise. `strict` depends on the region. Where the law
requires consent first, or the region is unknown, a visitor gets no ID without its own grant, and a stored grant older than the first GPC or
DNT seen counts as a refusal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
    OptOut,
    OptOutsSeen,
    Signal,
    choice_said,
)
from identity_service.model.visitor import Mode

LONGEST_CALL = 3_000
"""Milliseconds that a call of a page may be on its way. A yes seems as much later than it was said, so a refusal that a page repeats counts
against a yes of so shortly after it."""
REFUSAL_COOKIE = "refusal_cookie"
"""Source of a refusal that only the device remembers."""


class Asked(StrEnum):
    """What the member `visitor` of a call requests."""

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
    """What a visitor gets in one region. `grant_outlives_opt_out`: a stored grant still counts after a later GPC or DNT.
    `refusal_opts_out`: a refusal also opts out of sale and sharing. `override_reason`: why the operator's choice is looser than the
    shipped one. `counts_silent`: of visitors who said nothing and get no ID, figures are kept."""

    no_signal: Mode
    refusal: Mode
    opted_out: Mode
    grant_outlives_opt_out: bool
    refusal_opts_out: bool = False
    override_reason: str | None = None
    counts_silent: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """`linkable`: modes whose IDs may be linked to an email. `unknown`: rules for visitors without a known region. `regions`: rules by
    ISO 3166 code, of a country or a subdivision. `elsewhere`: rules for all other codes. `counts_silent`: some of these rules do."""

    name: str
    persistent_is_consent: bool
    linkable: frozenset[Mode]
    may_bridge: bool
    unknown: Rules
    elsewhere: Rules
    regions: Mapping[str, Rules] = field(default_factory=dict)
    counts_silent: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts_silent", any(one.counts_silent for one in self._all))

    @property
    def _all(self) -> tuple[Rules, ...]:
        return (self.unknown, self.elsewhere, *self.regions.values())

    @property
    def uncounted(self) -> "Policy":
        """The same policy, which keeps no figures of visitors who said nothing."""
        unknown, elsewhere, *regions = (replace(one, counts_silent=False) for one in self._all)
        return replace(self, unknown=unknown, elsewhere=elsewhere, regions=dict(zip(self.regions, regions, strict=True)))

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
"""Without its regions, which are in `config/strict.toml`. The rules for an unknown region apply everywhere."""


class Facts(Struct, frozen=True):
    """Everything that a decision may depend on.

    signals              those of this request
    consent              the stored grant of the living ID
    opt_outs_seen        when GPC and DNT were first seen with that ID
    refusal              the refusal cookie
    gone_at              when the presented or named ID was withdrawn
    cookieless_gone_at   when the ID of cookieless mode was withdrawn
    mark_yields          whether that withdrawal still allows this call to be cookieless: it is another person's
    derived_gone_at      when the client's derived ID was withdrawn
    automated            a robot, a prefetch or an agent calls
    agent                the caller acts for a person
    opted_out            the stored opt-out of sale and sharing
    notice               the text to which a stored grant must have been given; None: any
    opted_in_at          when the visitor that has persistent mode opted in to sale, if that still stands
    cookieless_opted_in_at  the same of the ID of cookieless mode
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
    mark_yields: bool = False
    opted_in_at: Millis | None = None
    cookieless_opted_in_at: Millis | None = None

    def opted_in_with(self, mode: Mode) -> Millis | None:
        """When the visitor with that mode opted in to sale. Without an ID, nobody is known who did."""
        if mode is Mode.NULL:
            return None
        return self.opted_in_at if mode is Mode.PERSISTENT else self.cookieless_opted_in_at


class Decision(Struct, frozen=True):
    """`choice`: the choice that counted, if any. `signal`: its source. `counted`: figures are kept of the visitor, and nothing else.
    Any refusal of the client's derived ID stops that, even one that may be another person's."""

    mode: Mode
    reason: Reason
    policy: str
    region: str | None
    opt_out: OptOut
    choice: Signal | None = None
    counted: bool = False

    @property
    def sale_share_opt_out(self) -> bool:
        return self.opt_out is not OptOut.NONE

    @property
    def signal(self) -> str | None:
        return self.choice.source if self.choice else None


def decide(policy: Policy, facts: Facts) -> Decision:
    rules = policy.rules(facts.region)
    choice = _choice(policy, rules, facts)
    mode, reason = _mode(policy, rules, facts, choice)
    if mode is Mode.COOKIELESS and facts.cookieless_gone_at is not None and not facts.mark_yields:
        mode, reason = Mode.NULL, Reason.WITHDRAWN
    opt_out = _opt_out(facts, mode, choice if rules.refusal_opts_out and reason is Reason.CONSENT_REFUSED else None)
    counted = rules.counts_silent and mode is Mode.NULL and reason is Reason.NO_SIGNAL and not _objected(facts)
    return Decision(mode, reason, policy.name, facts.region, opt_out, choice, counted)


def _objected(facts: Facts) -> bool:
    return facts.cookieless_gone_at is not None or facts.derived_gone_at is not None


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


def _opt_out(facts: Facts, mode: Mode, refusal: Signal | None) -> OptOut:
    """`refusal`: of consent, where that opts out, too. An opt-in to sale outweighs GPC and what is repeated, as long as the person is known
    (Cal. Code Regs. tit. 11 para 7025(c)(3))."""
    opted_in_at = facts.opted_in_with(mode)
    said = [signal for signal in facts.signals if signal.sale_share_opt_out] if facts.signals else []
    if refusal:
        said.append(refusal)
    if said and any(one.is_said_since(opted_in_at) for one in said):
        return OptOut.SAID
    heard = opted_in_at is None and (facts.gpc or said != [])
    return OptOut.STATE if facts.opted_out or heard else OptOut.NONE


def _choice(policy: Policy, rules: Rules, facts: Facts) -> Signal | None:
    """The choice that counts: the newest of this request, unless it is outdated; else the refusal cookie; else the stored grant."""
    stored = _stored_grant(policy, facts)
    sent = choice_said(facts.signals)
    if sent and not _is_outdated(sent, stored, facts):
        return _against_opt_out(rules, facts, sent) if sent.of_cookie and sent.choice is Choice.GRANTED else sent
    refusal, given_at = facts.refusal, _given_at(stored, facts)
    if refusal and (given_at is None or given_at <= refusal.at):
        return Signal(REFUSAL_COOKIE, Choice.REFUSED, refusal.at, dated=True, remembered=True) if refusal.refuses else None
    return _against_opt_out(rules, facts, stored)


def _stored_grant(policy: Policy, facts: Facts) -> Signal | None:
    """The record's grant, if it was given to the text that the shop shows now. A grant of the shop also needs a policy that still allows
    it."""
    stored = facts.consent
    if stored is None or not stored.is_given_to(facts.notice):
        return None
    return stored.as_signal() if not stored.is_of_the_shop or _shop_may_say(policy, facts) else None


def _given_at(stored: Signal | None, facts: Facts) -> Millis | None:
    """When the person gave the stored grant. None without one that counts, and if nobody knows."""
    return facts.consent.given_at if stored and facts.consent else None


def _shop_may_say(policy: Policy, facts: Facts) -> bool:
    """The shop cannot grant against a person's refusal, wherever that is stored."""
    against = facts.refusal or facts.cookieless_gone_at or facts.derived_gone_at
    return policy.persistent_is_consent and against is None


def _is_outdated(sent: Signal, stored: Signal | None, facts: Facts) -> bool:
    """Whether a newer choice exists. A grant overrides a withdrawal or a refusal only if it is said now or dated later, never if it is
    remembered without a date."""
    if sent.choice is Choice.GRANTED:
        refusals = [facts.gone_at]
        if not sent.said_now:
            refusals += [facts.cookieless_gone_at, facts.derived_gone_at, facts.refusal.at if facts.refusal else None]
        undated = sent.remembered and not sent.dated
        if any(at is not None and (undated or sent.decided_at <= at) for at in refusals):
            return True
    on_its_way = LONGEST_CALL if sent.told_now and sent.choice is Choice.REFUSED else 0
    given_at = _given_at(stored, facts)
    return given_at is not None and sent.is_older(Millis(given_at - on_its_way))


def _against_opt_out(rules: Rules, facts: Facts, stored: Signal | None) -> Signal | None:
    """Where the law requires consent first, a stored grant turns into a refusal once a GPC or DNT is seen that was absent when it was
    given."""
    if stored is None or rules.grant_outlives_opt_out:
        return stored
    seen = facts.opt_outs_seen
    for source, here, before in (("gpc", facts.gpc, seen.gpc), ("dnt", facts.dnt, seen.dnt)):
        first_seen = here and before is None
        seen_since = before is not None and before > stored.decided_at
        if first_seen or seen_since:
            return Signal(source, Choice.REFUSED, facts.now)
    return stored
