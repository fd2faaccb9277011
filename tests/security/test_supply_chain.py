"""What the service is made of: pinned with hashes, without known faults, listed in a bill of materials, and without secrets."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import jsonschema_rs
import pytest

from identity_service.version import VERSION
from tests.security.bill import BILL, LOCK, ROOT, bill_of, pins

LOCKS = (LOCK, ROOT / "config" / "requirements-dev.lock")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SECRETS = re.compile(
    r"""-----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----
    | \b(?:AKIA|ASIA)[0-9A-Z]{16}\b
    | \bgh[pousr]_[A-Za-z0-9]{36} | \bgithub_pat_[A-Za-z0-9_]{30} | \bglpat-[A-Za-z0-9_-]{20}
    | \bxox[abprs]-[A-Za-z0-9-]{10} | \b[rs]k_live_[A-Za-z0-9]{16} | \bAIza[A-Za-z0-9_-]{35}
    | \bnpm_[A-Za-z0-9]{36} | \bpypi-AgE[A-Za-z0-9_-]{20}
    | \beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.
    | \b[a-z]+://[^\s:/@"'{}]*:(?P<password>[^\s:/@"'{}]+)@[a-z0-9]
    | (?:secret|passw(?:or)?d|pepper|signing_keys?|private_keys?|api_?key|token)["']?\s*[=:]\s*\[?["'](?P<assigned>[\w+/=-]{24,})["']
    """,
    re.VERBOSE | re.IGNORECASE,
)
DEMO = re.compile(r"development-only-|(?:demo|other|strict)-(?:private|public)-key|password$|example|test-|wrong", re.IGNORECASE)
"""Known to everybody: production refuses to start with them."""
VENDORED = ("identity_service/web/static/vendor/", "identity_service/web/demo/static/vanilla-cookieconsent/")
PLANTED = [
    "-----BEGIN RSA PRIVATE " + "KEY-----",
    "aws = AKIA" + "Q3EGRJ6KZ2XN7LPT",
    "ghp_" + "a1B2" * 9,
    "sk_live_" + "4eC39HqLyjWDarjtT1zd",
    "redis://default:" + "Hq7vK2p9@cache.shop.test:6379",
    'signing_keys = ["' + "m3V9xQ2rT8kLw5Zp7NcYb1Hd4Gf6Js0AeRuIoPqXyMk" + '"]',
    "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0.x",
]


def secrets_in(text: str) -> list[str]:
    found = []
    for match in SECRETS.finditer(text):
        value = match["password"] or match["assigned"]
        if value is None or not (DEMO.search(value) or is_plain_words(value)):
            found.append(match.group()[:24])
    return found


def is_plain_words(value: str) -> bool:
    """Names of settings and members are words; keys mix digits and both cases."""
    return not (re.search(r"\d", value) and re.search("[a-z]", value) and re.search("[A-Z]", value))


@pytest.mark.parametrize("text", PLANTED)
def test_a_planted_secret_is_seen(text: str) -> None:
    assert secrets_in(f"before {text} after")


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no checkout of the repository")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def is_text(path: Path) -> bool:
    return b"\0" not in path.read_bytes()


def test_nothing_in_the_repository_but_its_screenshots_cannot_be_read() -> None:
    found = {str(path.relative_to(ROOT)) for path in tracked() if path.is_file() and not is_text(path)}
    assert {name for name in found if not name.startswith("tests/browser/screenshots/")} == set()


def test_a_planted_archive_is_seen(tmp_path: Path) -> None:
    (tmp_path / "made.whl").write_bytes(b"PK\x03\x04\x14\0")
    assert not is_text(tmp_path / "made.whl")


def test_no_secret_is_in_the_repository() -> None:
    files = [path for path in tracked() if not str(path.relative_to(ROOT)).startswith(VENDORED)]
    assert len(files) > 100
    found = {str(path.relative_to(ROOT)): secrets_in(path.read_text("utf-8", "ignore")) for path in files if path.is_file()}
    assert {name: texts for name, texts in found.items() if texts} == {}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_package_is_pinned_with_its_hashes_and_names_no_host(lock: Path) -> None:
    text = lock.read_text()
    assert len(pins(text)) == len(re.findall("^[a-z]", text, re.MULTILINE)) > 20
    assert "://" not in text
    assert not re.search("^-", text, re.MULTILINE)


def test_the_tests_run_on_the_versions_that_are_shipped() -> None:
    shipped, tested = ({name: version for name, version, _ in pins(lock.read_text())} for lock in LOCKS)
    assert shipped.items() <= tested.items()


def test_the_bill_of_materials_is_that_of_the_lock() -> None:
    """If not, run `python -m tests.security.bill`."""
    assert BILL.read_text() == bill_of(LOCK.read_text())


def test_the_bill_of_materials_lists_every_package_with_its_hashes() -> None:
    bill = json.loads(BILL.read_text())
    listed = {
        (one["name"], one["version"], one["purl"], frozenset(hashed["content"] for hashed in one["externalReferences"][0]["hashes"]))
        for one in bill["components"]
    }
    pinned = pins(LOCK.read_text())
    assert listed == {(name, version, f"pkg:pypi/{name}@{version}", frozenset(digests)) for name, version, digests in pinned}
    assert {one["name"] for one in bill["components"]} >= {re.split("[<>=]", one)[0] for one in PROJECT["dependencies"]}
    service = bill["metadata"]["component"]
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert (service["name"], service["version"]) == ("identity-service", VERSION)
    [depends] = [one["dependsOn"] for one in bill["dependencies"] if one["ref"] == service["bom-ref"]]
    assert set(depends) == {one["bom-ref"] for one in bill["components"]}


def test_the_bill_of_materials_has_the_form_of_cyclonedx() -> None:
    """By the official schema, which the library ships."""
    schemas = files("cyclonedx.schema") / "_res"
    names = [f"{name}.SNAPSHOT.schema.json" for name in ("bom-1.6", "spdx", "jsf-0.82")]
    main, *others = (json.loads((schemas / name).read_text()) for name in names)
    registry = jsonschema_rs.Registry([(f"http://cyclonedx.org/schema/{name}", one) for name, one in zip(names[1:], others, strict=True)])
    validator = jsonschema_rs.validator_for(main, registry=registry, validate_formats=True)
    bill = json.loads(BILL.read_text())
    assert [error.message for error in validator.iter_errors(bill)] == []
    assert not validator.is_valid(bill | {"components": [{"name": "without a type"}]})


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_no_package_has_a_known_fault(lock: Path) -> None:
    """Skipped where the advisories cannot be reached: then nobody knows."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "-r",
        str(lock),
        "--require-hashes",
        "--disable-pip",
        "-f",
        "json",
        "--progress-spinner=off",
    ]
    run = subprocess.run([*command, "--timeout", "5"], capture_output=True, text=True, timeout=120, check=False)
    if not run.stdout.startswith("{"):
        pytest.skip("the advisory service cannot be reached")
    audited = json.loads(run.stdout)["dependencies"]
    unknown = [one["name"] for one in audited if "skip_reason" in one]
    if len(unknown) == len(audited):
        pytest.skip("the package index here has no advisories")
    assert {one["name"]: [fault["id"] for fault in one["vulns"]] for one in audited if one.get("vulns")} == {}
    assert unknown == []
