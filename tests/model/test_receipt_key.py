"""Keys that sign receipts for everybody: their form, their days, and what they do not sign."""

import hashlib
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from identity_service.model.receipt_key import KeyList, ReceiptKeys, canonical_json, proof_fault, read_keys

SEED, OTHER = "A" * 43, "B" * 42 + "E"


def at(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())


def signed(keys: ReceiptKeys, day: str = "2026-12-01", **members: Any) -> dict[str, Any]:
    told = {"receipt_id": "ü", "signed_at": f"{day}T00:00:00Z"} | members
    proof = keys.sign(canonical_json(told), at(day))
    assert proof
    return told | {"proof": {"kid": proof.kid, "signed": proof.signed, "ed25519": proof.ed25519}}


@pytest.mark.parametrize(
    ("texts", "days"),
    [
        ([f"2026-12-01:{SEED}"], {"2026-11-30": None, "2026-12-01": 0, "2099-01-01": 0}),
        ([f"2026-12-01/2027-01-01:{SEED}"], {"2026-12-31": 0, "2027-01-01": None}),
        ([f"2026-12-01:{SEED}=", f"2027-01-01:{OTHER}"], {"2026-12-31": 0, "2027-01-01": 1}),
        ([f"2026-12-01/2026-12-10:{SEED}", f"2027-01-01:{OTHER}"], {"2026-12-09": 0, "2026-12-10": None, "2027-01-01": 1}),
        ([f"2026-12-01/2027-02-01:{SEED}", f"2027-01-01:{OTHER}"], {"2026-12-31": 0, "2027-01-01": 1}),
        ([], {"2026-12-01": None}),
    ],
)
def test_a_key_signs_from_its_first_day_until_the_next_key_or_its_own_end(texts: list[str], days: dict[str, int | None]) -> None:
    keys = ReceiptKeys(read_keys(texts))
    for day, index in days.items():
        proof = keys.sign(b"{}", at(day))
        assert (proof and proof.kid) == (None if index is None else keys.published.keys[index].kid), day


@pytest.mark.parametrize(
    ("texts", "fault"),
    [
        ([SEED], "FROM:SEED"),
        ([f"2026-12-01:{SEED[1:]}"], "FROM:SEED"),
        ([f"2026-12-01 {SEED}"], "FROM:SEED"),
        ([f"2026-13-01:{SEED}"], "month"),
        ([f"2026-12-01/2026-12-01:{SEED}"], "end after its start"),
        ([f"2026-12-01:{SEED}", f"2026-12-01:{OTHER}"], "after the one before"),
    ],
)
def test_a_key_of_another_form_is_named(texts: list[str], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        read_keys(texts)


def test_a_published_key_has_its_days_and_is_the_same_in_both_forms() -> None:
    first, second = ReceiptKeys(read_keys([f"2026-12-01:{SEED}", f"2027-01-01:{OTHER}"])).published.keys
    assert (first.starts, first.ends, second.ends) == ("2026-12-01", "2027-01-01", None)
    public = load_pem_public_key(first.pem.encode())
    assert isinstance(public, Ed25519PublicKey)
    assert b64encode(public.public_bytes_raw(), b"-_").rstrip(b"=").decode() == first.x
    thumbprint = hashlib.sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{first.x}"}}'.encode()).digest()
    assert b64encode(thumbprint, b"-_").rstrip(b"=").decode() == first.kid


def test_a_proof_of_a_key_that_ended_holds_and_one_of_another_day_does_not() -> None:
    keys = ReceiptKeys(read_keys([f"2026-12-01:{SEED}", f"2027-01-01:{OTHER}"]))
    assert proof_fault(signed(keys), keys.published) is None
    assert proof_fault(signed(keys, "2027-01-01"), keys.published) is None
    for day in ("2026-11-30", "2027-01-01"):
        body = {"signed_at": f"{day}T00:00:00Z"}
        proof = keys.sign(canonical_json(body), at("2026-12-01"))
        assert proof
        members = body | {"proof": {"kid": proof.kid, "signed": proof.signed, "ed25519": proof.ed25519}}
        assert "did not sign on that day" in str(proof_fault(members, keys.published))


def test_a_proof_is_refused_with_its_reason() -> None:
    keys, others = (ReceiptKeys(read_keys([f"2026-12-01:{seed}"])) for seed in (SEED, OTHER))
    told = signed(keys)
    foreign = others.sign(b64decode(told["proof"]["signed"]), at("2026-12-01"))
    assert foreign
    assert "not in the list" in str(proof_fault(told, KeyList([])))
    assert "no Ed25519" in str(proof_fault({}, keys.published))
    assert "not those that were signed" in str(proof_fault(told | {"more": 1}, keys.published))
    for wrong in (foreign.ed25519, told["proof"]["ed25519"][:-4], told["proof"]["ed25519"][:-3] + "h==", ""):
        assert "not the key's" in str(proof_fault(told | {"proof": told["proof"] | {"ed25519": wrong}}, keys.published)), wrong
