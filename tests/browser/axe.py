"""axe-core, the accessibility checker: one pinned version, fetched once into `.cache/` and known by its hash."""

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

NAME = "axe-core-4.14.1.tgz"
SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
CACHE = Path(__file__).parent.parent.parent / ".cache"


def axe_source() -> str:
    """Skips the test where npm is missing or cannot fetch. Workers that fetch at once each put the whole file in its place."""
    packed = CACHE / NAME
    if not packed.exists():
        _fetch(packed)
    assert base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode() == SHA512
    with tarfile.open(packed) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


def _fetch(packed: Path) -> None:
    if not shutil.which("npm"):
        pytest.skip("axe-core needs npm")
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        command = ["npm", "pack", NAME.removesuffix(".tgz").replace("core-", "core@"), "--silent", "--fetch-retries=0"]
        try:
            subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=True)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            pytest.skip("npm could not fetch axe-core")
        os.replace(Path(folder) / NAME, packed)


def serious_findings(page: Page, source: str) -> list[str]:
    """Rule and elements of every finding that axe calls serious or critical."""
    page.evaluate(source)
    found: list[dict[str, Any]] = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(result => result.violations)")
    return [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]
