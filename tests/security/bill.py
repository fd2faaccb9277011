"""The bill of materials of a release: `python -m tests.security.bill [FILE]` writes what the lock file pins, as CycloneDX JSON."""

import re
import sys
from pathlib import Path

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

ROOT = Path(__file__).parent.parent.parent
LOCK = ROOT / "config" / "requirements.lock"
PIN = re.compile(
    r"^([a-z0-9-]+)(?:\[[a-z0-9,-]+\])?==([^ ]+)(?: ; [^\\\n]*)? \\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)


def pins(lock: str) -> list[tuple[str, str, list[str]]]:
    """Name, version and SHA-256 of the files of each package."""
    return [(name, version, re.findall(r"[0-9a-f]{64}", hashes)) for name, version, hashes in PIN.findall(lock)]


def bill_of(lock: str) -> str:
    bom = Bom()
    bom.metadata.component = Component(name="identity-service", type=ComponentType.APPLICATION)
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
    bom.register_dependency(bom.metadata.component, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=2)


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "sbom.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(bill_of(LOCK.read_text()))
