"""The image, built from the Dockerfile by buildah on a base that debootstrap makes: Debian with Python, in place of the public one.

The build reaches no network: what pip installs is fetched before, by the pip that runs the tests.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.debian import install

ROOT = Path(__file__).parent.parent.parent
BASE, IMAGE = "localhost/identity-base:test", "localhost/identity-service:test"
NEEDLE = "planted-beside-the-sources"
PLANTED = (".env", ".git/config", "data/appendonly.aof", "tests/planted.py", "identity_service/__pycache__/planted.pyc")
CODENAME = "bookworm"


class CannotBuild(Exception):
    """Says what this machine lacks."""


@dataclass(frozen=True, slots=True)
class Image:
    """`root`: its file system. `config`: as the engine reads it, with Entrypoint, Cmd, Env, User and Healthcheck."""

    root: Path
    config: dict[str, Any]


@contextmanager
def built(directory: Path) -> Iterator[Image]:
    """Raises CannotBuild. Everything stays within `directory`, which is emptied after."""
    _prepare()
    buildah = ["buildah", "--storage-driver", "vfs", "--root", str(directory / "layers"), "--runroot", str(directory / "run")]
    try:
        python = _make_base(buildah)
        yield _build(buildah, directory / "pip.conf", _context(directory / "context"), _wheels(directory / "wheels", python))
    finally:
        for made in directory.iterdir():
            shutil.rmtree(made, ignore_errors=True)


def _prepare() -> None:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise CannotBuild("building an image without an engine needs root on Debian")
    if not _passes("unshare", "--mount", "--pid", "--fork", "true"):
        raise CannotBuild("this machine gives its root no name spaces")
    needed = ("buildah", "debootstrap")
    if not install(*needed, unless=lambda: all(map(shutil.which, needed))):
        raise CannotBuild("apt cannot install buildah and debootstrap")


def _make_base(buildah: list[str]) -> str:
    """Returns the version of its Python."""
    told = _run("apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)").splitlines()
    mirror = next((line.split()[1] for line in told if line.startswith(f"{CODENAME} ")), None)
    if mirror is None:
        raise CannotBuild(f"apt knows no mirror of Debian {CODENAME}")
    container = _run(*buildah, "from", "scratch").strip()
    root = _run(*buildah, "mount", container).strip()
    _run("debootstrap", "--variant=minbase", "--include=python3,python3-venv,ca-certificates", CODENAME, root, mirror)
    for package in Path(root, "var/cache/apt/archives").glob("*.deb"):
        package.unlink()
    version = _run("chroot", root, "python3", "-c", "import platform; print(platform.python_version())").strip()
    _run(*buildah, "commit", "--quiet", "--rm", container, BASE)
    return version


def _context(directory: Path) -> Path:
    """The sources as somebody's checkout has them, with files beside them that belong into no image."""
    for name in _run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        source, copy = ROOT / name, directory / name
        if name and source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy)
    for name in PLANTED:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(NEEDLE)
    return directory


def _wheels(directory: Path, python: str) -> Path:
    """What the image installs and what builds the package, whatever version of Python a marker asks for."""
    directory.mkdir()
    lock = directory.parent / "requirements.txt"
    lock.write_text(re.sub(r" ; .*\\$", r" \\", (ROOT / "config/requirements.lock").read_text(), flags=re.MULTILINE))
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(directory), "--only-binary", ":all:"]
    download += ["--python-version", python]
    _run(*download, "--no-deps", "--requirement", str(lock))
    _run(*download, "hatchling")
    return directory


def _build(buildah: list[str], settings: Path, context: Path, wheels: Path) -> Image:
    settings.write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    mounts = ["--volume", f"{wheels}:/wheels:ro", "--volume", f"{settings}:/etc/pip.conf:ro"]
    _run(*buildah, "bud", "--isolation", "chroot", "--format", "docker", "--build-arg", f"BASE={BASE}", *mounts, "-t", IMAGE, str(context))
    container = _run(*buildah, "from", IMAGE).strip()
    told = json.loads(_run(*buildah, "inspect", "--type", "image", IMAGE))
    return Image(Path(_run(*buildah, "mount", container).strip()), told["Docker"]["config"])


def _run(*command: str) -> str:
    """What it prints. Raises RuntimeError with its last words."""
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900)
    if run.returncode:
        raise RuntimeError(f"{' '.join(command[:8])}:\n{(run.stdout + run.stderr)[-2000:]}")
    return run.stdout


def _passes(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False, timeout=900).returncode == 0
