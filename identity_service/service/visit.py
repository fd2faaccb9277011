"""What a call says about its visitor, and what the service answers; the values between `web` and the use cases."""

from enum import Enum, auto

from msgspec import Struct
from msgspec.structs import replace

from identity_service.model.consent import EarlierRefusal, Millis, Receipt, Signal
from identity_service.model.policy import Asked, Reason
from identity_service.model.shop import Shop
from identity_service.model.visitor import Kind, Mode, VisitorId


class Surroundings(Struct, frozen=True):
    """The visitor's own, never a server's: `address` and `user_agent` are None when unknown. `automated`: a robot, a prefetch or an agent;
    `agent`: it names itself as one that acts for a person."""

    address: str | None = None
    user_agent: str | None = None
    region: str | None = None
    gpc: bool = False
    dnt: bool = False
    automated: bool = False
    agent: bool = False


class Visit(Struct, frozen=True):
    """One call about one visitor.

    `own`: the ID it names; `trusted`: which is taken at its word. `tokens` as sent, the body's first, then cookies. `refusal`: the
    refusal cookie. `event`: the call reports a choice, rather than repeating one with a page view. `override`: `own` was typed
    into the address, for a test. `over_limit`: a refusal by a caller that calls too often; only the IDs of its tokens are withdrawn.
    """

    shop: Shop
    trusted: bool
    asked: Asked
    own: VisitorId | None = None
    tokens: tuple[str, ...] = ()
    signals: tuple[Signal, ...] = ()
    surroundings: Surroundings = Surroundings()
    refusal: EarlierRefusal | None = None
    event: bool = False
    override: bool = False
    over_limit: bool = False

    @property
    def refused_before(self) -> bool:
        return self.refusal is not None and self.refusal.refuses

    def without_choices(self) -> "Visit":
        """Of storage; refusals of links and opt-outs stay."""
        return replace(self, signals=tuple(replace(signal, choice=None) for signal in self.signals))


class CookieAct(Enum):
    KEEP = auto()
    SET = auto()
    CLEAR = auto()


class Identity(Struct, frozen=True):
    """The answer. `expires_at` in seconds since 1970; `cookie` and `refusal_cookie` say what to do with the two cookies, `refused_at` when
    the refusal was that the second one keeps."""

    visitor: VisitorId | None
    mode: Mode
    token: str | None
    expires_at: int | None
    linkable: bool
    sale_share_opt_out: bool
    reason: Reason
    signal: str | None
    region: str | None
    policy: str
    cookie: CookieAct = CookieAct.KEEP
    refusal_cookie: CookieAct = CookieAct.KEEP
    refused_at: Millis = Millis(0)
    receipt: Receipt | None = None


class Candidate(Struct, frozen=True):
    """The ID that cookieless mode would hand out. `issued_at`, `expires` in seconds since 1970; `text` of a token that can be kept;
    `random`: just made, so the store knows nothing of it."""

    visitor: VisitorId
    kind: Kind
    issued_at: int
    expires: int
    text: str | None = None
    random: bool = False
