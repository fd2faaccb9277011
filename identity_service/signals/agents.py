"""How a call shows that an agent makes it: by its user agent, by `Signature-Agent`, and by a signature of Web Bot Auth.

Web Bot Auth is draft-ietf-webbotauth-httpsig-protocol, and before it draft-meunier-web-bot-auth-architecture: an agent signs its requests
(RFC 9421), and `Signature-Agent` names the HTTPS origin that publishes its keys. The outcomes are kept apart: verified, invalid, and
unverified. Nothing is fetched while a call waits: only directories of the settings count, with the keys that
`identity-service agents refresh` fetched before.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from identity_service.model.agent import UNKNOWN, Agent, KnownBy
from identity_service.model.agent_key import AgentKey, Directory, origin_of
from identity_service.model.utc import DAY
from identity_service.settings.schema import AgentSettings
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
ED25519, DIRECTORY = "ed25519", "directory"
SIGNATURE_HEADERS = ("signature-agent", "signature-input", "signature")


@dataclass(frozen=True, slots=True)
class KnownAgent:
    """`token`: of its user agent, in lower case, which is also the agent's name. `source`: the vendor's page. `confirmed`: the last day on
    which that page, or a public list that names it, was seen with the token, or unknown."""

    token: str
    source: str
    confirmed: str


KNOWN_AGENTS = (
    KnownAgent("chatgpt-user", "developers.openai.com/docs/bots", "2026-10-28"),
    KnownAgent("claude-user", "support.claude.com/en/articles/8896518", "2026-10-28"),
    KnownAgent("perplexity-user", "docs.perplexity.ai/guides/bots", "2026-10-08"),
    KnownAgent("mistralai-user", "docs.mistral.ai/robots", "unknown"),
    KnownAgent("amzn-user", "developer.amazon.com/amazonbot", "unknown"),
    KnownAgent("google-agent", "developers.google.com/crawling/docs/crawlers-fetchers/google-user-triggered-fetchers", "2026-08-19"),
    KnownAgent("gemini-deep-research", "gemini.google/overview/deep-research", "unknown"),
    KnownAgent("novaact", "nova.amazon.com/act", "unknown"),
    KnownAgent("meta-externalfetcher", "developers.facebook.com/docs/sharing/webmasters/web-crawlers", "unknown"),
)
BY_TOKEN = re.compile(rf"(?<![a-z-])(?:({'|'.join(re.escape(one.token) for one in KNOWN_AGENTS)})(?![a-z-])|[a-z]+-user/[0-9])")
"""The second form is how vendors name their agents, so one that is not in the table is an agent, too."""


def agent_of(user_agent: str | None) -> Agent | None:
    """The agent that the user agent names."""
    found = BY_TOKEN.search(user_agent.lower()) if user_agent else None
    return Agent(found[1] or UNKNOWN, KnownBy.USER_AGENT) if found else None


def is_signed(headers: Mapping[str, str]) -> bool:
    """Whether a request says that an agent signed it, or should have."""
    return "signature-agent" in headers or ("signature-input" in headers and TAG in headers["signature-input"])


UNVERIFIED = Agent(UNKNOWN, KnownBy.UNVERIFIED)
INVALID = Agent(UNKNOWN, KnownBy.INVALID)


class AgentSignatures:
    """Checks signatures of Web Bot Auth. `seen`: when a signature was accepted before, in seconds since 1970, None if it was not; from then
    on it was. `longest`: see LONGEST_LIFE. `most_results`: see MOST_RESULTS."""

    def __init__(
        self,
        settings: AgentSettings,
        seen: Callable[[str, float], float | None],
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
        self._results: dict[bytes, bool] = {}

    def take_keys(self, directories: Iterable[Directory]) -> None:
        """Keys of a directory that is not in the settings do not count. Keys are found by directory and thumbprint."""
        self._keys = {one.origin: {key.thumbprint: key for key in one.keys} for one in directories if one.origin in self._named}

    def judge(self, message: SignedMessage, hosts: frozenset[str], now: float, *, repeatable: bool = False) -> Agent:
        """The agent that sent the message, whose headers say `is_signed`. `hosts`: the shop's own; the message must be addressed to one of
        them, or of the settings. `repeatable`: a server of the shop passes the signature on. Of several signatures a verified one
        counts."""
        if not message.fields.get("signature-agent"):
            return UNVERIFIED  # nobody's directory is named, so nobody's key is
        if any(len(message.fields.get(name, "")) > LONGEST_FIELD for name in SIGNATURE_HEADERS):
            return UNVERIFIED
        hosts |= self._hosts
        inputs, signatures = (members_of(message.fields.get(name, "")) for name in ("signature-input", "signature"))
        if not inputs or not signatures:
            return INVALID if message.fields.get("signature-input") else UNVERIFIED
        tagged = ((label, one) for label, one in inputs.items() if text_of(one.named.get("tag")) == TAG)
        found = []
        for label, covered in islice(tagged, MOST_SIGNATURES):
            signature = bytes_of(signatures[label].value) if label in signatures else None
            agent = self._judge_one(message, label, covered, signature, now) if message.authority in hosts and signature else INVALID
            if agent.known_by is KnownBy.VERIFIED and self._is_replayed(signature or b"", now, repeatable=repeatable):
                agent = INVALID
            found.append(agent)
        return min(found, key=lambda one: (KnownBy.VERIFIED, KnownBy.INVALID, KnownBy.UNVERIFIED).index(one.known_by), default=UNVERIFIED)

    def _judge_one(self, message: SignedMessage, label: str, covered: Member, signature: bytes, now: float) -> Agent:
        parameters, components = covered.named, components_of(covered)
        if components is None:
            return UNVERIFIED
        created, expires = (integer_of(parameters.get(name)) for name in ("created", "expires"))
        keyid, algorithm = text_of(parameters.get("keyid")), text_of(parameters.get("alg", f'"{ED25519}"'))
        origin = _origin_named(message, label, [told for name, told in components if name == "signature-agent"])
        addressed = ("@authority", "") in components or ("@target-uri", "") in components
        if created is None or expires is None or not keyid or origin is None or not addressed or len(set(components)) < len(components):
            return INVALID
        if not (created <= now + SKEW and now - SKEW < expires and created < expires <= created + self._longest):
            return INVALID
        key = self._keys.get(origin, {}).get(keyid)
        if key is None or algorithm != ED25519:
            return UNVERIFIED  # before the signed bytes are made, which strangers could make dear
        signed = signature_base(message, covered)
        if signed is None:
            return UNVERIFIED
        holds = key.serves_at(int(now)) and self._holds(key, signed, signature)
        return Agent(origin.removeprefix("https://"), KnownBy.VERIFIED) if holds else INVALID

    def _holds(self, key: AgentKey, signed: bytes, signature: bytes) -> bool:
        """Whether the key made the signature. The result is kept, because checking a signature again would cost as much as a whole call."""
        name = hashlib.sha256(key.x.encode() + signature + signed).digest()
        held = self._results.get(name)
        if held is None:
            while len(self._results) >= self._most_results:
                del self._results[next(iter(self._results))]
            held = self._results[name] = key.has_signed(signed, signature)
        return held

    def _is_replayed(self, signature: bytes, now: float, *, repeatable: bool) -> bool:
        before = self._seen(hashlib.sha256(signature).hexdigest(), now)
        return before is not None and not (repeatable and now - before <= REPEATED_WITHIN)


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
