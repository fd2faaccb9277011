"""Clients that are generated from the live /openapi.json, type-checked where they are used, and run against the service itself."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.packages import HERE, Unavailable, packages
from tests.test_command import Service, free_port, served

PROGRAMS = Path(sys.executable).parent
NAME = "visitor_identity_client"
TOLD = {
    "issued": ["cookieless", "no_signal"],
    "consented": ["persistent", "granted", True],
    "linked": [True, True, "key"],
    "sold": "ok",
    "found": [[True, "persistent", True]],
    "refused": [422, "invalid"],
}


@pytest.fixture
def service(tmp_path: Path, store_url: str, database: object) -> Iterator[Service]:
    environment = {"IDENTITY_STORE__URL": store_url, "IDENTITY_SERVER__PORT": str(free_port())}
    with served(tmp_path, **environment) as started:
        yield started


@pytest.fixture
def description(service: Service, tmp_path: Path) -> Path:
    """As the service serves it."""
    path = tmp_path / "openapi.json"
    with urllib.request.urlopen(f"{service.url}/openapi.json", timeout=30) as answer:
        path.write_bytes(answer.read())
    return path


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    told = os.environ | {"PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"} | environment
    ended = subprocess.run(command, cwd=cwd, env=told, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_a_python_client_is_generated_type_checked_and_run(service: Service, description: Path, tmp_path: Path) -> None:
    command = ("openapi-python-client", "generate", "--path", description, "--meta", "none", "--output-path", tmp_path / NAME)
    run(*command, "--fail-on-warning", cwd=tmp_path)
    shutil.copy(HERE / "use.py", tmp_path)
    checked = ("mypy", "--strict", "--follow-imports=silent", "--config-file=", "--cache-dir", tmp_path / "mypy")
    run(*checked, "use.py", cwd=tmp_path)
    told: dict[str, Any] = json.loads(run(sys.executable, "use.py", service.url, cwd=tmp_path))
    assert told == TOLD


def test_a_typescript_client_is_generated_compiled_and_run(service: Service, description: Path, tmp_path: Path) -> None:
    try:
        fetched = packages()
    except Unavailable as reason:
        pytest.skip(str(reason))
    (tmp_path / "node_modules").symlink_to(fetched / "node_modules")
    for name in ("package.json", "use.ts"):
        shutil.copy(HERE / name, tmp_path)
    run("node_modules/.bin/openapi-typescript", description, "-o", "api.ts", cwd=tmp_path)
    options = ("--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes", "--module", "nodenext", "--target", "es2022")
    run("node_modules/.bin/tsc", *options, "--skipLibCheck", "--lib", "es2022,dom", "use.ts", cwd=tmp_path)
    told: dict[str, Any] = json.loads(run("node", "use.js", service.url, cwd=tmp_path))
    assert told == TOLD | {"orders": ["1001"]}
