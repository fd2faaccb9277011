"""The deployment files, and what tests need to run them."""

import subprocess
from pathlib import Path

import pytest

from tests.debian import install_program
from tests.edges.shops import ROOT

DEPLOY = ROOT / "config" / "deploy"


def replaced(file: str, **texts: str) -> str:
    """A deployment file for this machine. Each text to be replaced is there."""
    lines = (DEPLOY / file).read_text()
    for old, new in texts.items():
        assert old in lines, old
        lines = lines.replace(old, new)
    return lines


def needed(program: str, package: str = "") -> str:
    """Its path. A laptop without it skips."""
    found = install_program(program, package or program)
    if found is None:
        pytest.skip(f"needs {program}: apt-get install {package or program}")
    return found


def certificate(place: Path, host: str) -> tuple[Path, Path]:
    """A certificate that nobody trusts, and its key."""
    made = place / "certificate.pem", place / "key.pem"
    command = [needed("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={host}"]
    subprocess.run([*command, "-out", made[0], "-keyout", made[1]], check=True, capture_output=True)
    return made
