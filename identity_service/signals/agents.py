"""How a call shows that an agent makes it: by its user agent, by `Signature-Agent`, and by a signature of Web Bot Auth.

Web Bot Auth is draft-ietf-webbotauth-httpsig-protocol, and before it draft-meunier-web-bot-auth-architecture: an agent signs its requests
(RFC 9421), and `Signature-Agent` names the HTTPS origin that publishes its keys. The outcomes are kept apart: verified, invalid, and
unverified. Nothing is fetched while a call waits: only directories of the settings count, with the keys that
`identity-service agents refresh` fetched before.
"""

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from identity_service.model.agent import UNKNOWN, Agent, KnownBy
from identity_service.model.agent_key import AgentKey, Directory, origin_of
from identity_service.model.utc import DAY
from identity_service.settings.schema import AgentSettings
from identity_service.signals.browser import MOST_USER_AGENTS
from identity_service.signals.message_signature import (
    LONGEST_FIELD,
    Member,
    SignedMessage,
    bytes_of,
    components_of,
    integer_of,
    members_of,
    signature_base,
    text_of,
)

TAG = "web-bot-auth"
SKEW = 30
"""Seconds by which a signer's clock and ours may differ."""
LONGEST_LIFE = DAY
"""Seconds from `created` to `expires`. The draft recommends no more."""
REPEATED_WITHIN = 60
"""Seconds in which a shop's server may send one signature again: it makes several calls about one request."""
MOST_SIGNATURES = 2
"""Of a request. Others are not looked at, because each costs as much as a whole call."""
MOST_RESULTS = 4_096
"""Of checks that are kept. The oldest goes first."""
LONGEST_KEPT = 2_048
"""Characters of a signed request whose result is kept."""
ED25519, DIRECTORY = "ed25519", "directory"
SIGNATURE_HEADERS = ("signature-agent", "signature-input", "signature")
SignedRequest = tuple[bool | str | None, ...]
"""Whether it is addressed to us, its authority, method and target, and the three headers."""


@dataclass(frozen=True, slots=True)
class KnownAgent:
    """`token`: of its user agent, in lower case, which is also the agent's name. `source`: the vendor's page. `confirmed`: the last day on
    which that page, or a public list that names its vendor, was seen with the token."""

    token: str
    source: str
    confirmed: str


KNOWN_AGENTS = (
    KnownAgent("chatgpt-user", "developers.openai.com/docs/bots", "2026-10-28"),
    KnownAgent("claude-user", "support.claude.com/en/articles/8896518", "2026-10-28"),
    KnownAgent("perplexity-user", "docs.perplexity.ai/guides/bots", "2026-10-08"),
    KnownAgent("mistralai-user", "docs.mistral.ai/robots", "2026-08-22"),
    KnownAgent("amzn-user", "developer.amazon.com/amazonbot", "2026-08-22"),
    KnownAgent("amazonbuyforme", "buyforme.amazon", "2026-08-22"),
    KnownAgent("novaact", "nova.amazon.com/act", "2026-08-22"),
    KnownAgent("google-agent", "developers.google.com/crawling/docs/crawlers-fetchers/google-user-triggered-fetchers", "2026-08-22"),
    KnownAgent("googleagent-mariner", "developers.google.com/search/docs/crawling-indexing/google-agent-mariner", "2026-08-22"),
    KnownAgent("gemini-deep-research", "gemini.google/overview/deep-research", "2026-08-22"),
    KnownAgent("meta-externalfetcher", "developers.facebook.com/docs/sharing/webmasters/web-crawlers", "2026-08-22"),
    KnownAgent("manus-user", "manus.im/help/Manus-user", "2026-08-22"),
    KnownAgent("kimi-user", "www.kimi.com/policies/kimi-crawlers", "2026-08-22"),
)
BY_TOKEN = re.compile(rf"(?<![a-z-])(?:({'|'.join(re.escape(one.token) for one in KNOWN_AGENTS)})(?![a-z-])|[a-z]+-user/[0-9])")
"""The second form is how vendors name their agents, so one that is not in the table is an agent, too."""


@lru_cache(MOST_USER_AGENTS)
def agent_of(user_agent: str | None) -> Agent | None:
    """The agent that the user agent names."""
    found = BY_TOKEN.search(user_agent.lower()) if user_agent else None
    return Agent(found[1] or UNKNOWN, KnownBy.USER_AGENT) if found else None


def is_signed(headers: Mapping[str, str]) -> bool:
    """Whether a request says that an agent signed it, or should have."""
    return "signature-agent" in headers or ("signature-input" in headers and TAG in headers["signature-input"])


UNVERIFIED = Agent(UNKNOWN, KnownBy.UNVERIFIED)
INVALID = Agent(UNKNOWN, KnownBy.INVALID)


@dataclass(frozen=True, slots=True)
class Judged:
    """What a signature comes to, from `first` to before `last`, in seconds since 1970, and while the headers in `covered` have these
    values. `signature`: its digest, if it holds."""

    agent: Agent
    first: float = -math.inf
    last: float = math.inf
    covered: tuple[tuple[str, str | None], ...] = ()
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What the signatures of a request come to, for as long as each of `judged` does. `verified`: agents whose signatures hold, with the
    digests of these. `otherwise`: the agent if none of them counts. `request`: digest of what was signed."""

    verified: tuple[tuple[Agent, str], ...]
    otherwise: Agent
    first: float
    last: float
    covered: tuple[tuple[str, str | None], ...]
    request: str


class AgentSignatures:
    """Checks signatures of Web Bot Auth. `seen`: when a name was first seen, in seconds since 1970, and whether for the same use; None if
    it is seen for the first time. `longest`: see LONGEST_LIFE. `most_results`: see MOST_RESULTS."""

    def __init__(
        self,
        settings: AgentSettings,
        seen: Callable[[str, str, float], tuple[int, bool] | None],
        longest: int = LONGEST_LIFE,
        most_results: int = MOST_RESULTS,
    ) -> None:
        self.removed_prefix = settings.removed_prefix
        self._named = frozenset(origin_of(text) for text in settings.directories)
        self._hosts = frozenset(settings.hosts)
        self._keys: dict[str, dict[str, AgentKey]] = {}
        self._seen = seen
        self._longest = longest
        self._most_results = most_results
        self._results: dict[SignedRequest, Result] = {}

    def take_keys(self, directories: Iterable[Directory]) -> None:
        """Keys of a directory that is not in the settings do not count. Keys are found by directory and thumbprint."""
        self._keys = {one.origin: {key.thumbprint: key for key in one.keys} for one in directories if one.origin in self._named}
        self._results = {}

    def judge(self, message: SignedMessage, hosts: frozenset[str], now: float, passed_on_by: str = "") -> Agent:
        """The agent that sent the message, whose headers say `is_signed`. `hosts`: the shop's own; the message must be addressed to one of
        them, or of the settings. `passed_on_by`: stands for the key of the shop's server that passes the message on; empty if the agent
        calls by itself. Of several signatures a verified one counts.

        Results are kept by the request as it was signed, because checking a signature again would cost as much as a whole call."""
        authority, fields = message.authority, message.fields
        ours = authority in hosts or authority in self._hosts
        asked = (ours, authority, message.method, message.target, *map(fields.get, SIGNATURE_HEADERS))
        result = self._results.get(asked)
        if result is None or not result.first <= now < result.last or (result.covered and not _has(fields, result.covered)):
            result = self._result_of(asked, message, now, ours=ours)
        fresh = [agent for agent, signature in result.verified if not self._is_replayed(signature, result.request, now, passed_on_by)]
        return fresh[0] if fresh else result.otherwise

    def _result_of(self, asked: SignedRequest, message: SignedMessage, now: float, *, ours: bool) -> Result:
        """Keeps the result, unless it does not last or strangers could fill the memory with it."""
        judged = self._judge(message, now, ours=ours)
        kinds = {one.agent.known_by for one in judged}
        result = Result(
            verified=tuple((one.agent, one.signature) for one in judged if one.signature),
            otherwise=UNVERIFIED if kinds <= {KnownBy.UNVERIFIED} else INVALID,
            first=max((one.first for one in judged), default=-math.inf),
            last=min((one.last for one in judged), default=math.inf),
            covered=tuple(pair for one in judged for pair in one.covered),
            request=hashlib.sha256(repr(asked).encode()).hexdigest(),
        )
        self._results.pop(asked, None)
        texts = (*asked, *(text for _, text in result.covered))
        if result.first < result.last and sum(len(text) for text in texts if isinstance(text, str)) <= LONGEST_KEPT:
            while len(self._results) >= self._most_results:
                del self._results[next(iter(self._results))]
            self._results[asked] = result
        return result

    def _judge(self, message: SignedMessage, now: float, *, ours: bool) -> list[Judged]:
        """Of each signature with the tag. `ours`: the message is addressed to us."""
        told, *others = (message.fields.get(name, "") for name in SIGNATURE_HEADERS)
        if not told or any(len(text) > LONGEST_FIELD for text in (told, *others)):
            return [Judged(UNVERIFIED)]  # without `Signature-Agent` nobody's directory is named, so nobody's key is
        inputs, signatures = map(members_of, others)
        if not inputs or not signatures:
            return [Judged(INVALID if others[0] else UNVERIFIED)]
        tagged = islice(((label, one) for label, one in inputs.items() if text_of(one.named.get("tag")) == TAG), MOST_SIGNATURES)
        bodies = {label: bytes_of(one.value) for label, one in signatures.items()} if ours else {}
        return [
            self._judge_one(message, label, one, body, now) if (body := bodies.get(label)) else Judged(INVALID) for label, one in tagged
        ]

    def _judge_one(self, message: SignedMessage, label: str, covered: Member, signature: bytes, now: float) -> Judged:
        parameters, components = covered.named, components_of(covered)
        if components is None:
            return Judged(UNVERIFIED)
        created, expires = (integer_of(parameters.get(name)) for name in ("created", "expires"))
        keyid, algorithm = text_of(parameters.get("keyid")), text_of(parameters.get("alg", f'"{ED25519}"'))
        origin = _origin_named(message, label, [told for name, told in components if name == "signature-agent"])
        addressed = ("@authority", "") in components or ("@target-uri", "") in components
        if created is None or expires is None or not keyid or origin is None or not addressed or len(set(components)) < len(components):
            return Judged(INVALID)
        first, last = created - SKEW, expires + SKEW
        if not (first <= now < last and created < expires <= created + self._longest):
            return Judged(INVALID, now, now)
        headers = tuple((name, message.fields.get(name)) for name, _ in components if name[:1] != "@" and name not in SIGNATURE_HEADERS)
        key = self._keys.get(origin, {}).get(keyid)
        if key is None or algorithm != ED25519:
            return Judged(UNVERIFIED, first, last)  # before the signed bytes are made, which strangers could make dear
        signed = signature_base(message, covered)
        if signed is None:
            return Judged(UNVERIFIED, first, last, headers)
        if not key.serves_at(int(now)):
            return Judged(INVALID, now, now)
        first, last = max(first, key.nbf or first), min(last, key.exp or last)
        if not key.has_signed(signed, signature):
            return Judged(INVALID, first, last, headers)
        agent = Agent(origin.removeprefix("https://"), KnownBy.VERIFIED)
        return Judged(agent, first, last, headers, hashlib.sha256(signature).hexdigest())

    def _is_replayed(self, signature: str, request: str, now: float, passed_on_by: str) -> bool:
        """A shop's server makes several calls about one request, such as for the visitor and for its order. So it may repeat a signature
        within a minute, for the request with which that came first and with the same key."""
        seen = self._seen(signature, f"{passed_on_by} {request}", now)
        if seen is None:
            return False
        first, same = seen
        return not (passed_on_by and same and int(now) - first <= REPEATED_WITHIN)


def _has(fields: Mapping[str, str], covered: Iterable[tuple[str, str | None]]) -> bool:
    return all(fields.get(name) == text for name, text in covered)


def _origin_named(message: SignedMessage, label: str, covered: Sequence[str]) -> str | None:
    """The origin of the directory that `Signature-Agent` names, as far as the signature covers it: the member of its own label, or the only
    one. Earlier drafts had one string. None if it names none; empty if its directory is of a kind that is not read. `covered`: the
    parameters of the component."""
    told = message.fields.get("signature-agent", "").strip(" \t")
    if told.startswith('"'):
        return origin_of(text_of(told) or "") if "" in covered else None
    members = message.agents
    own = [label] if f';key="{label}"' in covered else [key for key in members if f';key="{key}"' in covered]
    if len(own) != 1 or own[0] not in members:
        return None
    if members[own[0]].named.get("type", DIRECTORY) != DIRECTORY:
        return ""
    return origin_of(text_of(members[own[0]].value) or "")
