"""The locks install with hashes on the oldest pip that Debian 12 has, also on the day on which every package has a newer release.

The index here is PyPI's, beside a folder that offers a newer release of each package of the lock: one that is in no lock has no hash there.
"""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.security.bill import LOCK, ROOT, pins

DEV_LOCK = ROOT / "config" / "requirements-dev.lock"
OLDEST_PIP = "23.0.1"
NEWER = "9999"
WITH_AN_EXTRA = {"pytest-cov", "coverage", "pytest", "pluggy", "iniconfig", "packaging", "pygments"}
SECONDS = 1200
OF_THE_MACHINE = ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONSTRAINT", "PIP_REQUIRE_VIRTUALENV", "PYTHONPATH")


class EmptyVenv:
    """With nothing but its pip, which knows PyPI and a folder of newer releases."""

    def __init__(self, directory: Path) -> None:
        self._python = directory / "venv" / "bin" / "python"
        self.newer = directory / "newer"
        self.newer.mkdir()
        subprocess.run([sys.executable, "-m", "venv", directory / "venv"], check=True, capture_output=True, timeout=SECONDS)

    def pip(self, *words: str | Path) -> "subprocess.CompletedProcess[str]":
        clean = {name: value for name, value in os.environ.items() if name not in OF_THE_MACHINE}
        told = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        command = [self._python, "-m", "pip", *words]
        return subprocess.run(command, env=clean | told, capture_output=True, text=True, timeout=SECONDS, check=False)

    def installs(self, lock: Path) -> "subprocess.CompletedProcess[str]":
        """As README's command does it, but for unpacking: versions are chosen, files are fetched and their hashes compared."""
        for name, _, _ in pins(lock.read_text()):
            offer(self.newer, name)
        return self.pip("install", "-q", "--dry-run", "--find-links", self.newer, "-r", lock)


def offer(folder: Path, name: str) -> None:
    """A newer release of a package."""
    stem = f"{name.replace('-', '_')}-{NEWER}"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {NEWER}\n")
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{stem}.dist-info/RECORD", "")


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> EmptyVenv:
    """Skips where PyPI cannot be reached, but never in CI. Pip 23.0.1 runs on Python 3.11 and older; newer ones bring their own."""
    made = EmptyVenv(tmp_path_factory.mktemp("locked"))
    if sys.version_info < (3, 12) and f"pip {OLDEST_PIP} " not in made.pip("--version").stdout:
        made.pip("install", "-q", f"pip=={OLDEST_PIP}")
    name, version, _ = pins(LOCK.read_text())[0]
    reached = made.pip("download", "-q", "--no-deps", "--retries", "1", "-d", made.newer.parent / "reached", f"{name}=={version}")
    if reached.returncode and not os.environ.get("CI"):
        pytest.skip(f"PyPI cannot be reached from here: {reached.stderr.strip()[-200:]}")
    assert reached.returncode == 0, reached.stderr
    assert sys.version_info >= (3, 12) or f"pip {OLDEST_PIP} " in made.pip("--version").stdout
    return made


@pytest.mark.parametrize("lock", [LOCK, pytest.param(DEV_LOCK, marks=pytest.mark.thorough)], ids=lambda path: path.name)
def test_a_lock_installs_while_every_package_has_a_newer_release(venv: EmptyVenv, lock: Path) -> None:
    run = venv.installs(lock)
    assert run.returncode == 0, run.stderr[-4000:]
    newer = venv.pip("download", "-q", "--no-deps", "--no-index", "--find-links", venv.newer, "-d", venv.newer.parent / "proof", "h11")
    assert newer.returncode == 0, newer.stderr
    assert list((venv.newer.parent / "proof").glob(f"h11-{NEWER}-*.whl"))


def test_a_lock_without_its_extras_would_not_install(venv: EmptyVenv, tmp_path: Path) -> None:
    """So the test above can fail: an extra that only a dependency asks for is a requirement of its own, without a version. Shown by a few
    packages of the lock, which install as they are."""
    whole = "".join(one for one in re.split("(?m)^(?=[a-z])", DEV_LOCK.read_text()) if re.split(r"[=\[]", one)[0] in WITH_AN_EXTRA)
    stripped = re.sub(r"\[[a-z0-9,-]+\]==", "==", whole)
    assert (len(pins(whole)), stripped == whole) == (len(WITH_AN_EXTRA), False)
    for text, code in ((whole, 0), (stripped, 1)):
        lock = tmp_path / f"{code}.lock"
        lock.write_text(text)
        run = venv.installs(lock)
        assert (run.returncode, "must have their versions pinned with ==" in run.stderr) == (code, code == 1), run.stderr[-4000:]


def test_what_builds_the_package_is_bounded() -> None:
    """`pip install --no-deps .` fetches it newly, so a new major release must not come by itself."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert wanted
    assert [one for one in wanted if not re.fullmatch(r"[a-z0-9-]+>=[0-9.]+,<[0-9.]+", one)] == []
