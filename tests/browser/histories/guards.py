"""The guards that keep what a person said, each with its text and what stands there once it is taken out."""

import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from identity_service.model import consent, policy
from identity_service.service import grants, identify, visit
from identity_service.signals.reader import Reader
from identity_service.web import cookies
from identity_service.web import visit as web_visit
from identity_service.web.snippet import code
from tests.browser.histories.emphasis import (
    AHEAD,
    BESIDE,
    CLOCKS,
    EDGES,
    HASTE,
    LATE,
    MEMORIES,
    OUTAGES,
    QUEUED,
    TEXTS,
    USUAL,
    WAKING,
    YEARS,
    Emphasis,
)


@dataclass(frozen=True)
class Guard:
    """`place`: a function, or None for the snippet. `text`: part of it, which `instead` replaces. `emphasis`: of the histories that find it
    missing, and `first`: the seed of the first of them. `covered`: the name of a guard that does the same for calls of the snippet, so that
    this one is missed only if that one is out, too."""

    name: str
    place: Any
    text: str
    instead: str
    emphasis: Emphasis = USUAL
    first: int = 0
    covered: str = ""

    @property
    def snippet(self) -> str:
        return code() if self.place else _replaced(code(), self)


def _replaced(source: str, guard: Guard) -> str:
    """Fails where the guard is written otherwise by now."""
    assert source.count(guard.text) == 1, guard
    return source.replace(guard.text, guard.instead)


@contextmanager
def without(guard: Guard) -> Iterator[None]:
    """Whoever has imported the function has it without the guard."""
    if guard.place is None:
        yield
        return
    function: FunctionType = getattr(guard.place, "fget", guard.place)
    source = _replaced(textwrap.dedent(inspect.getsource(function)), guard)
    made: dict[str, Any] = {}
    exec(source.removeprefix("@property\n"), function.__globals__, made)
    before = function.__code__
    function.__code__ = made[function.__name__].__code__
    try:
        yield
    finally:
        function.__code__ = before


MOMENT, RECEIVED = Reader._moment, Reader._as_received
GUARDS = [
    Guard("a remembered yes without a date lifts no refusal", policy._is_outdated, "sent.remembered and not sent.dated", "False", EDGES, 3),
    Guard(
        "a yes that is older than a refusal does not lift it",
        policy._is_outdated,
        "(undated or sent.decided_at <= at)",
        "undated",
        EDGES,
        5,
    ),
    Guard("the refusal cookie refuses", policy._choice, "refusal and (", "False and ("),
    Guard(
        "a refusal that is older than the yes does not end it",
        policy._is_outdated,
        "return given_at is not None and",
        "return False and",
        EDGES,
        70,
    ),
    Guard("a grant that is newer than the refusal cookie stands", policy._choice, "given_at <= refusal.at", "True", OUTAGES, 65),
    Guard("an expired refusal refuses no longer", policy._choice, "if refusal.refuses else None", "", YEARS, 1),
    Guard("at a tie the refusal wins", consent.newest_choice, "signal.choice is Choice.REFUSED) >=", "False) >", first=1),
    Guard("a date ahead of now is none", MOMENT, "decided_at <= self.now + MOST_ASKEW", "True", AHEAD, 48),
    Guard(
        "a choice of the last minutes is said now",
        RECEIVED,
        "self.now - MOST_ASKEW <= signal.decided_at",
        "False",
        HASTE,
        203,
        covered="a banner's date follows the device's clock",
    ),
    Guard("the age of a repeat counts", Reader._said_at, "self.delivery.age or 0", "0", LATE, 50),
    Guard("the age of a remembered yes is no date", RECEIVED, "dated=False)  # its", "dated=True)  # its", MEMORIES, 48),
    Guard(
        "a banner's date follows the device's clock",
        MOMENT,
        "decided_at is not None and self.delivery.clock is not None",
        "False",
        CLOCKS,
        54,
    ),
    Guard("nobody knows when a repeated yes was given", consent.Consent.given_at, "self.repeated or", "", OUTAGES, 159),
    Guard("state is remembered", Reader._is_event, "self.delivery.posted and ", "", first=38),
    Guard("what is told as remembered is", Reader._is_event, 'and self.delivery.said != "remembered"', "", MEMORIES, 29),
    Guard("a refusal that is sent again counts against a yes on its way", policy._is_outdated, "LONGEST_CALL if", "0 if", LATE, 22),
    Guard("another text needs another yes", Reader._of_notice, "if notice is None or", "if True or", TEXTS, 21),
    Guard("a stored yes is to the text shown now", consent.Consent.is_given_to, "notice is None", "True", TEXTS, 15),
    Guard("what is told as said now is a new choice", grants._is_new, "or choice.told_now", "", QUEUED, 211),
    Guard("a refusal sets its cookie", visit.refusal_cookie, "CookieAct.SET, time_of_choice", "CookieAct.KEEP, time_of_choice"),
    Guard("a refusal that could not be stored sets its cookie", web_visit.with_refusal_kept, "if newest and", "if False and", OUTAGES, 61),
    Guard("a grant clears the refusal cookie", web_visit.cookies_of, "identity.refusal_cookie is CookieAct.CLEAR", "False", first=31),
    Guard("the refusal counts to the end of its minute", cookies.earlier_refusal, "(minute + 1) * MINUTE - 1", "minute * MINUTE", EDGES, 5),
    Guard("of several refusal cookies the newest counts", cookies.earlier_refusal, "max(one for one", "min(one for one", YEARS, 100),
    Guard("a refusal clears the visitor's cookie", web_visit.cookies_of, "identity.cookie is CookieAct.CLEAR", "False", LATE, 1),
    Guard("only a call that has a cookie to clear clears it", visit.clears, "and not visit.tokens", "and False", LATE, 44),
    Guard("a refusal withdraws the visitor", identify.Visitors._withdraw, "for visitor in visitors", "for visitor in []"),
    Guard(
        "a mark tells when the refusal was said", visit.time_of_choice, "return refused_at(", "return known.now or refused_at(", QUEUED, 117
    ),
    Guard("a refusal names the cookie's visitor, too", web_visit.visit_of, "if refused or not sent", "if not sent", BESIDE, 96),
    Guard("a page tells again what was not heard", None, "result.retry&&one.tries<one.most", "false", first=1),
    Guard("a repeat tells its age", None, "extra.age_ms=age", "age", LATE, 27),
    Guard("a page tells what was only remembered", None, "now?'now':'remembered'", "'now'", MEMORIES, 22),
    Guard("only what was acknowledged last is not told again", None, "if(now||!(", "if(!(", first=7),
    Guard("a gesture before a banner's first word says nothing", None, "part==='kept'?differs&&recent:", "", WAKING, 47),
    Guard("one call after the other", None, "config.key&&!busy&&turns", "config.key&&turns", HASTE, 159),
    Guard("a page tells what is left as it goes", None, "leaving=true;sendAll();", "", LATE, 13),
]
