"""A visit with everything that was looked up for it, and the facts that the policy decides from."""

from msgspec import Struct

from identity_service.model.consent import NEVER_SEEN, Millis, OptOutsSeen
from identity_service.model.policy import Facts
from identity_service.model.token import Token
from identity_service.model.visitor import Kind, VisitorId, VisitorRecord, VisitorState
from identity_service.service.candidates import token_expires
from identity_service.service.visit import Candidate, Visit


class Scene(Struct, frozen=True):
    """`tokens`: those that verified. `candidate`: the ID that cookieless mode would hand out; `derived`: the client's, where a decision
    needs it beside another. `states` of every ID named by the visit.
    `living`: the token whose visitor is persistent. `record`: of the visitor whose consent counts. `gone_at`: when the ID presented or
    named was withdrawn; None if another one presented is alive."""

    visit: Visit
    now: Millis
    tokens: list[Token]
    candidate: Candidate
    states: dict[VisitorId, VisitorState]
    living: Token | None
    record: VisitorRecord | None
    gone_at: Millis | None
    derived: VisitorId | None = None

    @property
    def seconds(self) -> int:
        return self.now // 1000

    def opt_outs_at(self, moment: Millis) -> OptOutsSeen:
        """Those that came with this visit, as seen at `moment`."""
        surroundings = self.visit.surroundings
        return OptOutsSeen(moment if surroundings.gpc else None, moment if surroundings.dnt else None)

    def facts(self) -> Facts:
        record, surroundings = self.record, self.visit.surroundings
        return Facts(
            asked=self.visit.asked,
            now=self.now,
            signals=self.visit.signals,
            consent=record.consent if record else None,
            opt_outs_seen=record.opt_outs_seen if record else NEVER_SEEN,
            refusal=self.visit.refusal,
            gone_at=self.gone_at,
            candidate_gone_at=self.states[self.candidate.visitor].gone_at,
            derived_gone_at=self.states[self.derived].gone_at if self.derived else None,
            opted_out=record is not None and record.opted_out,
            gpc=surroundings.gpc,
            dnt=surroundings.dnt,
            automated=surroundings.automated,
            agent=surroundings.agent,
            region=surroundings.region,
            notice=self.visit.shop.signals.notice_at(self.now),
        )


def scene_of(visit: Visit, now: Millis, tokens: list[Token], candidate: Candidate, states: dict[VisitorId, VisitorState]) -> Scene:
    living = _living(visit, now // 1000, tokens, states) if tokens else None
    if visit.own:  # a public key has no claim on the record of an ID that it only knows the name of
        own = states[visit.own]
        return Scene(visit, now, tokens, candidate, states, living, own.record if visit.trusted else None, own.gone_at)
    if living:
        return Scene(visit, now, tokens, candidate, states, living, states[living.visitor].record, None)
    dead = [gone for gone in (states[token.visitor].gone_at for token in tokens) if gone is not None]
    return Scene(visit, now, tokens, candidate, states, None, None, max(dead, default=None))


def _living(visit: Visit, now: int, tokens: list[Token], states: dict[VisitorId, VisitorState]) -> Token | None:
    """Its visitor's own, or the one that a chosen ID had before the grant."""
    for token in tokens:
        record = states[token.visitor].record
        held = token.kind is Kind.PERSISTENT or (token.kind is Kind.CHOSEN and token_expires(token, visit.shop) > now)
        if held and record and record.granted:
            return token
    return None
