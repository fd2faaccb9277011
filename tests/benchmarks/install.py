"""What the benchmark needs beside Python: wrk and nginx from Debian, the peers from npm, py-spy from PyPI, in a folder that git ignores."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.work import BARE, EXPRESS, FASTIFY, IMAGE_SERVICE, MEASURES, NGINX, SERVICE

ROOT = Path(__file__).parent.parent.parent
CACHE = ROOT / ".cache" / "benchmarks"
SOURCES = Path(__file__).parent / "peers"
OLDEST_NODE = 20
IMAGE = re.findall(r"^ARG BASE=python:([0-9.]+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[0]
"""The version of Python in the image."""


def install(wanted: set[str]) -> dict[str, str]:
    """Installs what is missing. Returns the sides that cannot run, and why; raises SystemExit without wrk, which all need."""
    CACHE.mkdir(parents=True, exist_ok=True)
    if not shutil.which("wrk") and not _apt("install", "--yes", "--no-install-recommends", "wrk"):
        raise SystemExit("the benchmark needs wrk: apt-get install wrk")
    missing = {}
    if NGINX in wanted and not nginx():
        missing[NGINX] = "nginx is missing, and Debian's package could not be fetched"
    if wanted & {EXPRESS, FASTIFY} and (fault := _npm()):
        missing |= dict.fromkeys(wanted & {EXPRESS, FASTIFY}, fault)
    return missing


def pythons() -> dict[str, str]:
    """The interpreters of the README's commands and of the image, each with the locked libraries in an environment of its own; by the sides
    that they run. Without Debian's, the one that runs this takes its place; without the image's, its sides are left out."""
    readme, image = shutil.which("python3", path="/usr/bin"), shutil.which(f"python{IMAGE}")
    found = {SERVICE: _environment(readme) if readme else sys.executable}
    if image and _run(image, "--version"):  # the name alone may be a version manager's
        found[IMAGE_SERVICE] = _environment(image)
    return found | {MEASURES.get(name, BARE): python for name, python in found.items()}


def _environment(python: str) -> str:
    """An interpreter beside the libraries, as the README's run command makes it."""
    version = subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    made, lock = CACHE / f"python-{version}", ROOT / "config" / "requirements.lock"
    current = made / lock.name
    if not current.exists() or current.read_text() != lock.read_text():
        _run(python, "-m", "venv", "--clear", str(made))
        if not _run(str(made / "bin" / "pip"), "install", "--quiet", "-r", str(lock)):
            raise SystemExit(f"the libraries could not be installed for {python}")
        shutil.copy(lock, current)
    return str(made / "bin" / "python3")


def nginx() -> str | None:
    """The program's path. Debian's package is only unpacked: installing it would start a server on port 80."""
    unpacked = CACHE / "usr" / "sbin" / "nginx"
    if found := shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"):
        return found
    if not unpacked.exists() and _apt("download", "nginx"):
        for package in CACHE.glob("nginx_*.deb"):
            _run("dpkg-deb", "-x", str(package), str(CACHE))
            package.unlink()
    return str(unpacked) if unpacked.exists() and _run(str(unpacked), "-v") else None


def py_spy() -> str | None:
    """The sampler's path: its package holds one program."""
    program = CACHE / "py-spy" / "bin" / "py-spy"
    if found := shutil.which("py-spy"):
        return found
    if not program.exists():
        _run(sys.executable, "-m", "pip", "install", "--quiet", "--target", str(CACHE / "py-spy"), "py-spy")
    return str(program) if program.exists() else None


def _apt(*call: str) -> bool:
    """Fetches the lists of packages where the first try fails, which only root may."""
    if _run("apt-get", "--quiet", *call):
        return True
    return os.geteuid() == 0 and _run("apt-get", "--quiet", "update") and _run("apt-get", "--quiet", *call)


def _npm() -> str | None:
    """Installs the peers beside a copy of their sources, where node looks for modules. Returns why not."""
    if not shutil.which("node") or not shutil.which("npm"):
        return "node and npm are missing"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(re.findall(r"\d+", version)[0]) < OLDEST_NODE:
        return f"node is {version}, older than {OLDEST_NODE}"
    copied = CACHE / "package.json"
    fresh = (CACHE / "node_modules").exists() and copied.exists() and copied.read_text() == (SOURCES / copied.name).read_text()
    for source in SOURCES.glob("*.js"):
        shutil.copy(source, CACHE)
    if fresh:
        return None
    copied.unlink(missing_ok=True)
    shutil.copy(SOURCES / copied.name, copied)
    if _run("npm", "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"):
        return None
    copied.unlink()
    return "npm could not install the peers"


def _run(*command: str) -> bool:
    """Tells on the terminal what failed, and goes on: the table says what is left out."""
    try:
        run = subprocess.run(command, cwd=CACHE, capture_output=True, text=True, check=False, timeout=600)
    except FileNotFoundError:
        return False
    if run.returncode:
        print(f"{' '.join(command)}:\n{run.stdout}{run.stderr}")
    return run.returncode == 0
