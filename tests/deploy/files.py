"""The deployment files, and what tests need to run them."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from identity_service.cli import _parser as command_line
from identity_service.cli import main
from identity_service.ops.check import sound_settings
from identity_service.settings.schema import Settings
from tests.edges.proxies import needed
from tests.edges.shops import ROOT

DEPLOY = ROOT / "config" / "deploy"


def replaced(file: str, **texts: str) -> str:
    """A deployment file for this machine. Each text to be replaced is there."""
    lines = (DEPLOY / file).read_text()
    for old, new in texts.items():
        assert old in lines, old
        lines = lines.replace(old, new)
    return lines


def certificate(place: Path, host: str) -> tuple[Path, Path]:
    """A certificate that nobody trusts, and its key."""
    chain, key = place / "certificate.pem", place / "key.pem"
    name = ["-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"]
    made = ["-out", str(chain), "-keyout", str(key)]
    subprocess.run([needed("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", *name, *made], check=True, capture_output=True)
    return chain, key


def settings_of(environment: Mapping[str, str], arguments: Sequence[str], folder: Path) -> Settings:
    """What a deployment's service would run with: `folder` is what `init` wrote, mounted as the deployment says. Raises SettingsError."""
    asked = command_line().parse_args(arguments)
    assert asked.config == "/etc/identity-service"
    flags = {"IDENTITY_SERVER__HOST": asked.host, "IDENTITY_SERVER__PORT": str(asked.port), "IDENTITY_SERVER__WORKERS": str(asked.workers)}
    mounted = {name: re.sub("^/run/secrets(/identity)?/", f"{folder}/secrets/", value) for name, value in environment.items()}
    return sound_settings(str(folder), mounted | flags, {})


def written_by_init(folder: Path, store: str) -> Path:
    assert main(["init", str(folder), "--origin", "https://www.example.com", "--store", store]) == 0
    return folder
