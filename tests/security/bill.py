"""The bill of materials of a release, `config/sbom.cdx.json`: `python -m tests.security.bill` writes it from the lock file, as CycloneDX
JSON. The wheel contains it in `.dist-info/sboms/` (PEP 770). Equal locks give equal bytes: no time is in it, and its serial number is a
digest.
"""

import re
import uuid
from pathlib import Path

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from identity_service.version import VERSION

ROOT = Path(__file__).parent.parent.parent
LOCK = ROOT / "config" / "requirements.lock"
BILL = ROOT / "config" / "sbom.cdx.json"
PIN = re.compile(
    r"^([a-z0-9-]+)(?:\[[a-z0-9,-]+\])?==([^ ]+)(?: ; [^\\\n]*)? \\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)


def pins(lock: str) -> list[tuple[str, str, list[str]]]:
    """Name, version and SHA-256 of the files of each package."""
    return [(name, version, re.findall(r"[0-9a-f]{64}", hashes)) for name, version, hashes in PIN.findall(lock)]


def bill_of(lock: str) -> str:
    service = Component(name="identity-service", version=VERSION, type=ComponentType.APPLICATION, bom_ref=f"identity-service@{VERSION}")
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"{service.bom_ref.value}\n{lock}"), metadata=BomMetaData(component=service))
    for name, version, digests in pins(lock):
        files = ExternalReference(
            type=ExternalReferenceType.DISTRIBUTION,
            url=XsUri(f"https://pypi.org/project/{name}/{version}/"),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in digests],
        )
        purl = PackageURL("pypi", None, name, version)
        bom.components.add(
            Component(name=name, version=version, type=ComponentType.LIBRARY, purl=purl, bom_ref=str(purl), external_references=[files])
        )
    bom.register_dependency(service, bom.components)
    bom.metadata.timestamp = None  # type: ignore[assignment] # the library would write the moment
    return f"{JsonV1Dot6(bom).output_as_string(indent=1)}\n"


if __name__ == "__main__":
    BILL.write_text(bill_of(LOCK.read_text()))
