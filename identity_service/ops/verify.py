"""`identity-service receipt verify FILE --keys KEYFILE`: verifies receipts with the published keys, without the service."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from identity_service.model.receipt_key import KeyList, proof_fault, receipts_in

NO_PROOF = "it has no Ed25519 signature yet; ask the service for it with POST /v1/receipts, or paste it into the service's page /receipt"


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """`fault`: why it is not genuine; None if it is."""

    members: Mapping[str, Any]
    fault: str | None

    @property
    def line(self) -> str:
        name = ascii(self.members.get("receipt_id", "receipt without an ID"))[1:-1]
        if "proof" not in self.members:
            return f"NOT VERIFIED {name}: {NO_PROOF}"
        if self.fault:
            return f"NOT GENUINE {name}: {self.fault}"
        said = ", ".join(f"{purpose} {choice}" for purpose, choice in self.members["purposes"].items()) or "no purpose"
        return f"genuine {name}: {said}, chosen {self.members['decided_at']}, signed {self.members['signed_at']}"


def verified_receipts(receipts: bytes, keys: bytes) -> list[VerifiedReceipt]:
    """`receipts`: as `receipts_in` reads them. Raises ValueError for a file of another form."""
    try:
        published, found = msgspec.json.decode(keys, type=KeyList), receipts_in(receipts)
    except ValueError as error:
        raise ValueError(f"cannot be read as receipts and their keys: {error}") from None
    if not found:
        raise ValueError("there is no receipt in the file")
    return [VerifiedReceipt(one, proof_fault(one, published)) for one in found]
