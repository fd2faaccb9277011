"""How a call shows an agent: the vectors of the specifications, and everything that must not pass as a signature."""

import json
import random
import sys
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

import pytest

from identity_service.model.agent import UNKNOWN, Agent, KnownBy
from identity_service.model.agent_key import AgentKey, Directory, origin_of
from identity_service.server.limits import SeenOnce, SharedMemory, private_memory
from identity_service.settings.schema import AgentSettings
from identity_service.signals.agents import (
    KNOWN_AGENTS,
    LONGEST_KEPT,
    LONGEST_LIFE,
    MOST_RESULTS,
    SKEW,
    AgentSignatures,
    agent_of,
    is_signed,
)
from identity_service.signals.message_signature import (
    LONGEST_FIELD,
    MOST_COMPONENTS,
    MOST_MEMBERS,
    MOST_PARAMETERS,
    SignedMessage,
    bytes_of,
    components_of,
    members_of,
    signature_base,
)
from tests.signing import COVERED, ORIGIN, Signer

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "agent_vectors.json").read_text())
"""draft-meunier-web-bot-auth-architecture and draft-meunier-webbotauth-httpsig-protocol, appendix of test vectors. Without `x`: an RSA
key."""
NOW = 1_796_000_000.5
HOSTS = frozenset({"shop.example"})
KEY = "digest of a shop's private key"
RFC_9421_B26 = (
    'sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"',
    "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
)
TEST_KEY = AgentKey("JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs")
"""RFC 9421, B.1.4."""


def checker(
    *directories: Directory,
    longest: int = LONGEST_LIFE,
    most_results: int = MOST_RESULTS,
    hosts: list[str] | None = None,
    memory: SharedMemory | None = None,
) -> AgentSignatures:
    settings = AgentSettings(directories=[one.origin for one in directories], keys_file="", hosts=hosts or [], removed_prefix="")
    found = AgentSignatures(settings, SeenOnce((memory or private_memory()).slots(7)).seen, longest, most_results)
    found.take_keys(directories)
    return found


def message(fields: dict[str, str], authority: str = "shop.example", method: str = "GET", target: str = "/") -> SignedMessage:
    return SignedMessage(authority, method, target, fields)


@pytest.mark.parametrize("vector", VECTORS)
def test_the_vectors_of_the_drafts(vector: dict[str, Any]) -> None:
    fields, key = vector["fields"], AgentKey(vector["x"] or "A" * 43)
    asked = SignedMessage("example.com", "GET", "/path/to/resource", fields)
    signature, covered = members_of(fields["signature"]), members_of(fields["signature-input"])
    assert signature
    assert covered
    signed, made = signature_base(asked, covered[vector["label"]]), bytes_of(signature[vector["label"]].value)
    assert signed
    assert made
    assert key.has_signed(signed, made) is bool(vector["x"])
    agents = checker(Directory("https://signature-agent.test", 0, [key]), longest=10**10)
    judged = agents.judge(asked, frozenset({"example.com"}), vector["created"] + 5)
    named = vector["x"] and "signature-agent" in fields
    assert judged == (Agent("signature-agent.test", KnownBy.VERIFIED) if named else Agent(UNKNOWN, KnownBy.UNVERIFIED))


def test_the_vector_of_rfc_9421() -> None:
    told, signature = (members_of(text) for text in RFC_9421_B26)
    headers = {"date": "Tue, 20 Apr 2021 02:07:55 GMT", "content-type": "application/json", "content-length": "18"}
    assert told
    assert signature
    signed = signature_base(SignedMessage("example.com", "POST", "/foo?param=Value&Pet=dog", headers), told["sig-b26"])
    made = bytes_of(signature["sig-b26"].value)
    assert signed
    assert made
    assert TEST_KEY.has_signed(signed, made)
    assert TEST_KEY.thumbprint == "poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U"


@pytest.mark.parametrize("one", KNOWN_AGENTS, ids=lambda one: one.token)
def test_an_agent_is_known_by_its_user_agent(one: Any) -> None:
    for text in (one.token, one.token.title() + "/1.0", f"Mozilla/5.0 (compatible; {one.token.upper()}/1.0; +https://{one.source})"):
        assert agent_of(text) == Agent(one.token, KnownBy.USER_AGENT)
    assert agent_of(f"Mozilla/5.0 x{one.token}s") is None


def test_a_user_agent_in_the_vendors_form_is_an_agent_without_a_name() -> None:
    assert agent_of("Mozilla/5.0 (compatible; Newcomer-User/2.1)") == Agent(UNKNOWN, KnownBy.USER_AGENT)
    for text in (None, "", "Mozilla/5.0 (X11) Firefox/140.0", "Googlebot/2.1", "End-User License"):
        assert agent_of(text) is None


def test_only_headers_about_agents_are_looked_at() -> None:
    assert not is_signed({"user-agent": "x", "signature-input": 'sig=("@method");created=1;tag="payment"'})
    assert is_signed({"signature-agent": ""})
    assert is_signed({"signature-input": 'sig=("@method");created=1;tag="web-bot-auth"'})


@pytest.mark.parametrize(
    ("covered", "agent"),
    [
        (COVERED, None),
        ('"@authority" "signature-agent"', f'"{ORIGIN}/"'),
        ('"@target-uri" "signature-agent";key="sig1"', f'other="https://other.example", sig1="{ORIGIN}";type=directory'),
        ('"@authority" "@query" "@request-target" "signature-agent";key="agent2"', f'agent2="{ORIGIN}:443"'),
        ('"signature-agent";key="sig1" "@authority" "signature-agent";key="b"', f'sig1="{ORIGIN}", b="https://b.example"'),
    ],
)
def test_a_signature_that_holds_is_verified(covered: str, agent: str | None) -> None:
    signer = Signer()
    headers = signer.headers(NOW, target="/p?a=1", covered=covered, agent=agent)
    assert checker(signer.directory).judge(message(headers, target="/p?a=1"), HOSTS, NOW) == Agent("agent.example", KnownBy.VERIFIED)


def test_a_host_of_the_settings_counts_like_the_shops() -> None:
    signer = Signer()
    headers = signer.headers(NOW, authority="id.example")
    asked = message(headers, authority="id.example")
    assert checker(signer.directory).judge(asked, HOSTS, NOW).known_by is KnownBy.INVALID
    assert checker(signer.directory, hosts=["id.example"]).judge(asked, HOSTS, NOW).known_by is KnownBy.VERIFIED


UNCHECKED: list[tuple[str, dict[str, Any], Callable[[dict[str, str]], object]]] = [
    ("no signature", {}, lambda one: (one.pop("signature"), one.pop("signature-input"))),
    ("another directory", {"agent": 'sig1="https://stranger.example"'}, lambda one: None),
    ("another kind of directory", {"agent": f'sig1="{ORIGIN}";type=cimd'}, lambda one: None),
    ("an unknown component", {"covered": COVERED + ' "x-mine"'}, lambda one: one.pop("x-mine")),
    ("another tag", {"more": ';tag="payment"'}, lambda one: None),
    ("another algorithm", {}, lambda one: one.update({"signature-input": one["signature-input"].replace("ed25519", "rsa-pss-sha512")})),
    ("no signature-agent", {}, lambda one: one.pop("signature-agent")),
]


@pytest.mark.parametrize(("how", "said", "change"), UNCHECKED, ids=[how for how, *_ in UNCHECKED])
def test_what_cannot_be_checked_is_unverified(how: str, said: dict[str, Any], change: Callable[[dict[str, str]], object]) -> None:
    signer = Signer()
    fields = {"x-mine": "1"} if "component" in how else {}
    headers = (signer.headers(NOW, **said) if not fields else signer.headers(NOW) | fields) | {}
    if fields:
        headers["signature-input"] = headers["signature-input"].replace(COVERED, said["covered"])
    change(headers)
    assert checker(signer.directory).judge(message(headers), HOSTS, NOW) == Agent(UNKNOWN, KnownBy.UNVERIFIED)


BROKEN = [
    ("not a dictionary", "signature-input", "((("),
    ("an empty signature", "signature", "sig1=::"),
    ("not base64", "signature", "sig1=:!:"),
    ("too short", "signature", "sig1=:AAAA:"),
    ("another label", "signature", "sig9=:" + "A" * 86 + "==:"),
    ("a text", "signature", 'sig1="AAAA"'),
    ("no https", "signature-agent", 'sig1="http://agent.example"'),
    ("a path", "signature-agent", 'sig1="https://agent.example/keys"'),
    ("no text", "signature-agent", "sig1=agent"),
    ("a parameter twice", "signature-agent", f'sig1="{ORIGIN}";type=directory;type=directory'),
    ("another member", "signature-agent", f'sig2="{ORIGIN}"'),
    ("a bare text that is not covered", "signature-agent", f'"{ORIGIN}"'),
]


@pytest.mark.parametrize(("how", "name", "text"), BROKEN, ids=[how for how, *_ in BROKEN])
def test_a_broken_field_is_invalid(how: str, name: str, text: str) -> None:
    signer = Signer()
    headers = signer.headers(NOW) | {name: text}
    assert checker(signer.directory).judge(message(headers), HOSTS, NOW) == Agent(UNKNOWN, KnownBy.INVALID)


@pytest.mark.parametrize("covered", ['"@method" "signature-agent";key="sig1"', '"@authority"', f'{COVERED} "@method"'])
def test_a_signature_must_cover_the_host_and_the_agent_and_nothing_twice(covered: str) -> None:
    signer = Signer()
    judged = checker(signer.directory).judge(message(signer.headers(NOW, covered=covered)), HOSTS, NOW)
    assert judged.known_by is KnownBy.INVALID


@pytest.mark.parametrize("missing", ["created", "expires", "keyid"])
def test_a_signature_needs_its_parameters(missing: str) -> None:
    signer = Signer()
    headers = signer.headers(NOW)
    headers["signature-input"] = headers["signature-input"].replace(f";{missing}=", f";{missing}x=")
    assert checker(signer.directory).judge(message(headers), HOSTS, NOW).known_by is KnownBy.INVALID


@pytest.mark.parametrize(
    ("life", "later", "holds"),
    [
        (300, -SKEW, True),
        (300, -SKEW - 2, False),
        (300, 300 + SKEW - 1, True),
        (300, 300 + SKEW, False),
        (LONGEST_LIFE, 0, True),
        (LONGEST_LIFE + 1, 0, False),
        (0, 0, False),
    ],
)
def test_the_clock_is_guarded_on_both_sides(life: int, later: int, holds: bool) -> None:
    signer = Signer(life=life)
    judged = checker(signer.directory).judge(message(signer.headers(int(NOW))), HOSTS, int(NOW) + later)
    assert (judged.known_by is KnownBy.VERIFIED) is holds


def test_a_key_counts_between_its_days_only_and_only_in_its_own_directory() -> None:
    signer, other = Signer(), Signer("https://other.example")
    for key, holds in (
        (AgentKey(signer.key.x, nbf=int(NOW) + 9), False),
        (AgentKey(signer.key.x, exp=int(NOW)), False),
        (AgentKey(signer.key.x, nbf=int(NOW), exp=int(NOW) + 9), True),
    ):
        agents = checker(Directory(ORIGIN, 0, [key]))
        assert (agents.judge(message(signer.headers(NOW)), HOSTS, NOW).known_by is KnownBy.VERIFIED) is holds
    agents = checker(signer.directory, other.directory)
    stolen = signer.headers(NOW, agent='sig1="https://other.example"')
    assert agents.judge(message(stolen), HOSTS, NOW) == Agent(UNKNOWN, KnownBy.UNVERIFIED)
    agents.take_keys([Directory(ORIGIN, 1, []), other.directory, Directory("https://unnamed.example", 1, [signer.key])])
    assert agents.judge(message(signer.headers(NOW)), HOSTS, NOW).known_by is KnownBy.UNVERIFIED
    unnamed = Signer("https://unnamed.example", signer.private)
    assert agents.judge(message(unnamed.headers(NOW)), HOSTS, NOW).known_by is KnownBy.UNVERIFIED


def test_a_signature_counts_once_but_for_a_shops_server_within_a_minute() -> None:
    signer = Signer()
    agents, headers = checker(signer.directory), signer.headers(NOW)
    told = [agents.judge(message(headers), HOSTS, NOW + seconds, KEY).known_by for seconds in (0, 1, 60, 61)]
    assert told == [KnownBy.VERIFIED, KnownBy.VERIFIED, KnownBy.VERIFIED, KnownBy.INVALID]
    assert agents.judge(message(headers), HOSTS, NOW + 1).known_by is KnownBy.INVALID
    assert agents.judge(message(signer.headers(NOW)), HOSTS, NOW).known_by is KnownBy.VERIFIED


def test_only_the_same_key_repeats_a_signature_and_only_of_the_same_request() -> None:
    """Also asked again, in the same moment, and in another worker; what is refused makes nothing count."""
    signer, memory = Signer(), private_memory()
    agents, worker = (checker(signer.directory, memory=memory) for _ in range(2))
    headers = signer.headers(NOW, covered='"@authority" "signature-agent";key="sig1"')
    other, first = message(headers, target="/another"), message(headers)
    assert agents.judge(first, HOSTS, NOW, KEY).known_by is KnownBy.VERIFIED
    for _ in range(2):
        for one in (agents, worker):
            assert one.judge(other, HOSTS, NOW, KEY).known_by is KnownBy.INVALID
            assert one.judge(message(headers, method="POST"), HOSTS, NOW, KEY).known_by is KnownBy.INVALID
            assert one.judge(first, HOSTS, NOW, "another key").known_by is KnownBy.INVALID
            assert one.judge(first, HOSTS, NOW).known_by is KnownBy.INVALID
            assert one.judge(first, HOSTS, NOW, KEY).known_by is KnownBy.VERIFIED
    sent = message(signer.headers(NOW))
    assert agents.judge(sent, HOSTS, NOW).known_by is KnownBy.VERIFIED
    assert agents.judge(sent, HOSTS, NOW, KEY).known_by is KnownBy.INVALID, "the agent itself used it"


def test_of_two_signatures_one_that_holds_counts_and_a_third_is_not_looked_at() -> None:
    signer = Signer()
    headers = signer.headers(NOW)

    def beside(number: int) -> dict[str, str]:
        """The headers after so many signatures of a stranger."""
        told, made, named = headers["signature-input"], headers["signature"], headers["signature-agent"]
        for at in range(number):
            label = f"s{at}"
            told = f"{label}={told.rpartition('sig1=')[2].replace('sig1', label)}, {told}"
            made, named = f"{label}=:AAAA:, {made}", f'{label}="{ORIGIN}", {named}'
        return {"signature-input": told, "signature": made, "signature-agent": named}

    assert checker(signer.directory).judge(message(beside(1)), HOSTS, NOW).known_by is KnownBy.VERIFIED
    assert checker(signer.directory).judge(message(beside(2)), HOSTS, NOW).known_by is KnownBy.INVALID


class CountedKey(AgentKey, frozen=True):
    """Counts how often it is used."""

    uses: ClassVar[list[bytes]] = []

    def has_signed(self, signed: bytes, signature: bytes) -> bool:
        self.uses.append(signature)
        return super().has_signed(signed, signature)


def test_a_signature_is_calculated_once_and_results_are_kept_in_bounded_memory() -> None:
    signer, most = Signer(), 8
    agents, headers = checker(Directory(ORIGIN, 0, [CountedKey(signer.key.x)]), most_results=most), signer.headers(NOW)

    def forged(number: int) -> SignedMessage:
        return message(headers | {"signature": f"sig1=:{b64encode(number.to_bytes(64)).decode()}:"})

    for _ in range(50):
        assert agents.judge(message(headers), HOSTS, NOW, passed_on_by=KEY).known_by is KnownBy.VERIFIED
        assert agents.judge(forged(1), HOSTS, NOW).known_by is KnownBy.INVALID
    assert len(CountedKey.uses) == 2
    for number in (*range(1, most + 1), *range(2, most + 1)):
        agents.judge(forged(number), HOSTS, NOW)
    assert len(CountedKey.uses) == most + 1
    agents.judge(message(headers), HOSTS, NOW)
    assert len(CountedKey.uses) == most + 2


def test_a_result_lasts_no_longer_than_what_it_came_from() -> None:
    """A covered header, the signature's time, the key's, and the keys of its directory."""
    signer = Signer()
    key = AgentKey(signer.key.x, exp=int(NOW) + 20)
    agents = checker(Directory(ORIGIN, 0, [key]))
    fields = {"x-mine": "1"}
    headers = fields | signer.headers(NOW, covered=f'{COVERED} "x-mine"', fields=fields)

    def judged(seconds: float = 0, **changed: str) -> KnownBy:
        return agents.judge(
            message(headers | {name.replace("_", "-"): text for name, text in changed.items()}), HOSTS, NOW + seconds, KEY
        ).known_by

    assert [judged(), judged(x_mine="2"), judged()] == [KnownBy.VERIFIED, KnownBy.INVALID, KnownBy.VERIFIED]
    assert [judged(19), judged(20), judged(19)] == [KnownBy.VERIFIED, KnownBy.INVALID, KnownBy.VERIFIED]
    assert [judged(-SKEW), judged(-SKEW - 1), judged()] == [KnownBy.VERIFIED, KnownBy.INVALID, KnownBy.VERIFIED]
    agents.take_keys([])
    assert judged() is KnownBy.UNVERIFIED
    agents.take_keys([signer.directory])
    assert judged() is KnownBy.VERIFIED


def test_the_result_of_a_long_request_is_not_kept() -> None:
    signer = Signer()
    agents, headers = checker(Directory(ORIGIN, 0, [CountedKey(signer.key.x)])), signer.headers(NOW, target=f"/{'x' * LONGEST_KEPT}")
    before = len(CountedKey.uses)
    for _ in range(2):
        assert agents.judge(message(headers, target=f"/{'x' * LONGEST_KEPT}"), HOSTS, NOW, KEY).known_by is KnownBy.VERIFIED
    assert len(CountedKey.uses) == before + 2


def test_a_result_that_is_kept_costs_a_twentieth() -> None:
    signer = Signer()
    agents, headers = checker(signer.directory), signer.headers(NOW)
    first, repeated = (calls_for(agents, message(headers), KEY)[0] for _ in range(2))
    assert repeated * 20 <= first


class Calls:
    """Counts the functions that Python calls in this thread, those in C too: however busy a machine is, they are as many."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> "Calls":
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_raised: object) -> None:
        sys.setprofile(None)

    def _profile(self, _frame: FrameType, event: str, _argument: object) -> None:
        self.count += event in {"call", "c_call"}


def calls_for(agents: AgentSignatures, asked: SignedMessage, passed_on_by: str = "") -> tuple[int, KnownBy]:
    with Calls() as calls:
        judged = agents.judge(asked, HOSTS, NOW, passed_on_by)
    return calls.count, judged.known_by


def crowded(signer: Signer, components: int, labels: int = 2, filled: str = "") -> dict[str, str]:
    """Headers with as many components of as many signatures, none of which holds. `filled`: a parameter of the last member."""
    members = [f'm{at}="{signer.origin}"' for at in range(MOST_MEMBERS)]
    names = ['"@authority"', *(f'"signature-agent";key="m{at}"' for at in range(1, MOST_MEMBERS)), '"@path"', '"@method"', '"@query"']
    covered = [*names, *(f'"x-{at}"' for at in range(components - len(names)))][:components]
    told = signer.headers(NOW, covered='"@authority" "signature-agent";key="sig1"')["signature-input"].replace("sig1=", "", 1)
    told = told.replace('"@authority" "signature-agent";key="sig1"', " ".join(covered))
    return {f"x-{at}": "1" for at in range(components)} | {
        "signature-agent": ", ".join(members).replace("m0=", "s0=").replace("m1=", "s1=") + filled,
        "signature-input": ", ".join(f"s{at}={told}".replace('key="m1"', f'key="s{at}"') for at in range(labels)),
        "signature": ", ".join(f"s{at}=:AAAA:" for at in range(labels)),
    }


def test_the_dearest_message_costs_little_more_than_a_plain_one() -> None:
    signer, stranger = Signer(), Signer("https://stranger.example")
    plain, known_by = calls_for(checker(signer.directory), message(signer.headers(NOW)))
    assert known_by is KnownBy.VERIFIED
    filling = f';p="{"p" * (LONGEST_FIELD - 400)}"'
    for sender, expected, times in ((stranger, KnownBy.UNVERIFIED, 3), (signer, KnownBy.INVALID, 5)):
        headers = crowded(sender, MOST_COMPONENTS, filled=filling)
        assert max(map(len, headers.values())) <= LONGEST_FIELD
        calls, known_by = calls_for(checker(signer.directory), message(headers))
        assert known_by is expected
        assert calls <= plain * times


def test_repeated_parameters_and_long_fields_cost_no_more_than_a_plain_message() -> None:
    signer = Signer()
    plain, _ = calls_for(checker(signer.directory), message(signer.headers(NOW)))
    covered = " ".join(['"@authority"', *(f'"signature-agent";key="{at}";key="a"' for at in range(100))])
    for length in (100, 7_000):
        told = {
            "signature-agent": f'a="{ORIGIN}";p="{"p" * length}"',
            "signature-input": ", ".join(
                f's{at}=({covered});created={int(NOW)};expires={int(NOW) + 300};keyid="{signer.key.thumbprint}";tag="web-bot-auth"'
                for at in (1, 2)
            ),
            "signature": "s1=:AAAA:, s2=:AAAA:",
        }
        calls, known_by = calls_for(checker(signer.directory), message(told))
        assert known_by is KnownBy.UNVERIFIED
        assert calls <= plain * 2


def test_what_exceeds_a_cap_is_not_checked() -> None:
    signer = Signer()
    agents, plain = checker(signer.directory), signer.headers(NOW)
    assert agents.judge(message(crowded(signer, MOST_COMPONENTS)), HOSTS, NOW).known_by is KnownBy.INVALID
    assert agents.judge(message(crowded(signer, MOST_COMPONENTS + 1)), HOSTS, NOW).known_by is KnownBy.UNVERIFIED
    for name, text in plain.items():
        assert agents.judge(message(plain | {name: text.ljust(LONGEST_FIELD + 1)}), HOSTS, NOW).known_by is KnownBy.UNVERIFIED
    target = "/" * (LONGEST_FIELD + 1)
    assert agents.judge(message(signer.headers(NOW), target=target), HOSTS, NOW).known_by is KnownBy.UNVERIFIED
    padded = {name: text.ljust(LONGEST_FIELD) for name, text in plain.items()}
    assert agents.judge(message(padded), HOSTS, NOW).known_by is KnownBy.VERIFIED


def test_components_are_bounded_and_repeat_no_parameter() -> None:
    def read(covered: str) -> list[tuple[str, str]] | None:
        return components_of((members_of(f"a=({covered})") or {})["a"])

    most = " ".join(f'"x-{at}"' for at in range(MOST_COMPONENTS))
    assert len(read(most) or ()) == MOST_COMPONENTS
    assert read(most + ' "x"') is None
    assert read('"signature-agent";key="a";key="a"') is None
    assert signature_base(message({}), (members_of('a=("@path";key="a";key="b")') or {})["a"]) is None


def test_no_forged_replayed_expired_or_resigned_request_is_accepted(long: bool) -> None:
    """Ours sign requests to us; each is then sent once more, and changed in each way that an attacker without the key can change it. It
    comes by itself, or through a shop's server."""
    chosen, number = random.Random(25), 100_000 if long else 2_000
    signers = [Signer(f"https://agent-{at}.example") for at in range(5)]
    thief = Signer(signers[0].origin)
    agents, accepted = checker(*(one.directory for one in signers)), Counter[str]()
    for at in range(number):
        now, signer = NOW + at, chosen.choice(signers)
        target = f"/p/{chosen.randrange(99)}?q={at}"
        asked = message(signer.headers(now, target=target), target=target)
        if at % 100 == 0:
            assert agents.judge(asked, HOSTS, now) == Agent(signer.origin.removeprefix("https://"), KnownBy.VERIFIED)
        kind, forged, moment = attacked(chosen, asked, at % 100 == 0, now, thief, signers)
        judged = agents.judge(forged, HOSTS, moment, chosen.choice(["", KEY]))
        accepted[kind] += judged.known_by is KnownBy.VERIFIED
    assert sum(accepted.values()) == 0, accepted
    assert len(accepted) == 8


def attacked(
    chosen: random.Random, asked: SignedMessage, sent: bool, now: float, thief: Signer, signers: list[Signer]
) -> tuple[str, SignedMessage, float]:
    """What is done to the request, the request, and when it is sent. `sent`: it arrived before."""
    fields, target = dict(asked.fields), asked.target or ""
    kind = "replayed" if sent else chosen.choice(["bit", "parameter", "host", "path", "expired", "resigned", "attributed"])
    if kind == "bit":
        made = bytearray(bytes_of(fields["signature"].removeprefix("sig1=")) or b"")
        made[chosen.randrange(64)] ^= 1 << chosen.randrange(8)
        fields["signature"] = f"sig1=:{b64encode(made).decode()}:"
    elif kind == "parameter":
        told = fields["signature-input"]
        changes = [('nonce="', 'nonce="9'), (";tag", ";x;tag"), ("expires=1", "expires=01"), ('"@method" ', "")]
        fields["signature-input"] = told.replace(*chosen.choice(changes))
    elif kind == "host":
        return kind, SignedMessage("evil.example", "GET", target, fields), now
    elif kind == "path":
        return kind, SignedMessage("shop.example", *chosen.choice([("POST", target), ("GET", "/x" + target)]), fields), now
    elif kind == "expired":
        return kind, asked, now + 300 + SKEW + chosen.randrange(10**6)
    elif kind == "resigned":
        fields = thief.headers(now, target=target)
        if chosen.random() < 0.5:
            fields["signature-input"] = fields["signature-input"].replace(thief.key.thumbprint, signers[0].key.thumbprint)
    elif kind == "attributed":
        other = chosen.choice([one for one in signers if one.origin not in fields["signature-agent"]])
        fields["signature-agent"] = f'sig1="{other.origin}"'
    return kind, SignedMessage("shop.example", "GET", target, fields), now


UNREADABLE = [
    *("", "a=1 b=2", "a=1,", "a=(1)", "a=1, a=2", 'a="x', "a=1;b=1;b=2", "a=();b;b"),
    ", ".join(f"k{at}=1" for at in range(MOST_MEMBERS + 1)),
    "a=1" + "".join(f";k{at}" for at in range(MOST_PARAMETERS + 1)),
]


@pytest.mark.parametrize("text", UNREADABLE)
def test_an_unreadable_dictionary_is_none(text: str) -> None:
    assert members_of(text) is None


def test_unreadable_items_and_components_are_none() -> None:
    assert bytes_of(":AAA:") is None
    assert bytes_of("1") is None
    asked = message({"signature-agent": f'a="{ORIGIN}"', "x": "1\n2"})
    components = [("signature-agent", ';key="b"'), ("signature-agent", ';key="a";sf'), ("x", ";sf"), ("x", ""), ("@unheard", "")]
    assert [asked.component(*one) for one in components] == [None] * len(components)
    assert SignedMessage(None).component("@target-uri", "") is None


@pytest.mark.parametrize(
    "text", ["http://a.example", "https://[a", "https://a.example/x", "https://a.example?x", "https://u@a.example", "a.example", "https://"]
)
def test_only_an_https_origin_names_a_directory(text: str) -> None:
    assert origin_of(text) is None
