"""An agent that signs its requests, as Web Bot Auth says."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from identity_service.model.agent_key import AgentKey, Directory
from identity_service.signals.message_signature import SignedMessage, members_of, signature_base

ORIGIN = "https://agent.example"
COVERED = '"@authority" "@method" "@path" "signature-agent";key="sig1"'


@dataclass
class Signer:
    """`life`: seconds from `created` to `expires`."""

    origin: str = ORIGIN
    private: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    life: int = 300
    numbers: Iterator[int] = field(default_factory=count)

    @property
    def key(self) -> AgentKey:
        return AgentKey(urlsafe_b64encode(self.private.public_key().public_bytes_raw()).decode().rstrip("="))

    @property
    def directory(self) -> Directory:
        return Directory(self.origin, 0, [self.key])

    def headers(
        self,
        now: float,
        authority: str = "shop.example",
        method: str = "GET",
        target: str = "/",
        covered: str = COVERED,
        more: str = ';tag="web-bot-auth"',
        agent: str | None = None,
        fields: Mapping[str, str] = MappingProxyType({}),
    ) -> dict[str, str]:
        """The three headers of a new request. `more`: parameters after those that each signature needs. `agent`: `Signature-Agent`, if it
        is not the signer's own. `fields`: other headers of the request."""
        created = int(now)
        parameters = f';created={created};keyid="{self.key.thumbprint}";alg="ed25519";expires={created + self.life}'
        told = f'sig1=({covered}){parameters};nonce="{next(self.numbers)}"{more}'
        own = {"signature-agent": agent if agent is not None else f'sig1="{self.origin}"', "signature-input": told}
        members = members_of(told)
        assert members
        signed = signature_base(SignedMessage(authority, method, target, {**fields, **own}), members["sig1"])
        assert signed
        return own | {"signature": f"sig1=:{b64encode(self.private.sign(signed)).decode()}:"}
