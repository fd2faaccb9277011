"""The consent libraries that shops really use, the accessibility checker axe, and the package that the API reference is vendored from,
fetched once with npm into a folder of their own, each checked against its hash."""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CACHE = Path(__file__).parents[2] / ".cache" / "libraries"


class Unavailable(Exception):
    """No library can be had on this machine; the text says why."""


@dataclass(frozen=True)
class Library:
    """A package in exactly one version. `sha512`: of the archive that npm gives, in base64. `alias`: its name here, where there are two
    versions of it."""

    name: str
    version: str
    sha512: str
    alias: str = ""

    @property
    def folder(self) -> Path:
        return CACHE / f"{self.name}@{self.version}"

    @property
    def archive(self) -> str:
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


LIBRARIES = (
    Library("vanilla-cookieconsent", "3.1.0", "/McNRtm/3IXzb9dhqMIcbquoU45SzbN2VB+To4jxEPqMmp7uVniP6BhGLjU8MC7ZCDsNQVOp27fhQTM/ruIXAA=="),
    Library(
        "vanilla-cookieconsent",
        "2.9.2",
        "SHAS5W0DBvvcUtjmVvvYkhmLPmTlgwKzFvViUp5mBimbZCdZKbDQzwyk/TgYq02+61RrtxmDdLGzDWNFpSbsGQ==",
        "vanilla-cookieconsent-2",
    ),
    Library("klaro", "0.7.22", "NkaFxS4S8160/zH1UQzCSYIIsAtwIDHIkJ7xofCrgRqk14OSY+OJuwCjYyW+q5fmIeF4RvsuBH6brPe2BS9Z0A=="),
    Library("tarteaucitronjs", "1.34.0", "PEzKEjOLC06zCWSZB1RuQkSlzbDYXSKohv0XD7BMjgfE/M+LhiWLTdNAj47VW9xcVsuQCSvLpR/gqkripHaU6g=="),
    Library("cookieconsent", "3.1.1", "v8JWLJcI7Zs9NWrs8hiVldVtm3EBF70TJI231vxn6YToBGj0c9dvdnYwltydkAnrbBMOM/qX1xLFrnTfm5wTag=="),
    Library("@iabtechlabtcf/stub", "1.5.21", "UGUErceIJExaHAi+hFJxvwt/I85q2L8ZfRvGG09IpCoYYeZmMJd81/EMPQCdyiGPlbAPTLzgauggoACyUKUC+g=="),
    Library("@iabtechlabtcf/core", "1.5.21", "DgesUdC/s4qiL41X8TfgF+EPINMGUMyd9AL2up5jC2l+uTbgJycf1mIEniPFJwuxGgSvDx9X4H44JIN+2rw66Q=="),
    Library("@iabtechlabtcf/cmpapi", "1.5.21", "Y8fc5ZDkmj/h1A+nUWa7ce3KAjJpLchFuuhIVhMhVqxMiPydevb9F7Y7gORqinEXJoNIrOr7JIM8YC3mwVR5kQ=="),
    Library("axe-core", "4.14.1", "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="),
    Library("@iabgpp/cmpapi", "3.2.0", "p7qO2vhSZ/dzfRrWUbDWSXIl3rkvdAA+dQdoScDdbyf+HJBNqBuCuM4MsddTwT2QIQYsjb0F9ES6+Cx/KncxrQ=="),
    Library("swagger-ui-dist", "5.35.0", "U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAhw0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3sU8yVUQ=="),
)


def libraries() -> dict[str, Path]:
    """The folder of each library by its name. Raises Unavailable. Processes may call it at once: a folder appears whole or not at all,
    and who comes second throws its own copy away."""
    missing = [library for library in LIBRARIES if not library.folder.exists()]
    if missing:
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as place:
            _fetch(missing, Path(place))
            for library in missing:
                _keep(library, Path(place))
    return {library.alias or library.name: library.folder for library in LIBRARIES}


def _fetch(missing: list[Library], place: Path) -> None:
    """`npm pack` downloads without installing: nothing of a package runs."""
    if not shutil.which("npm"):
        raise Unavailable("needs npm to fetch the libraries: apt-get install npm")
    command = ["npm", "pack", "--silent", "--ignore-scripts", *(f"{library.name}@{library.version}" for library in missing)]
    try:
        subprocess.run(command, cwd=place, check=True, capture_output=True, timeout=120)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise Unavailable("npm could not fetch the libraries: is the package registry reachable?") from error


def _keep(library: Library, place: Path) -> None:
    archive = place / library.archive
    found = b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    assert found == library.sha512, f"{library.name} {library.version} is not what it was: sha512-{found}"
    unpacked = place / f"{library.archive}.unpacked"
    # Debian 12's Python is older; the archive has its hash
    safely: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(archive) as packed:
        packed.extractall(unpacked, **safely)
    [content] = unpacked.iterdir()
    library.folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(content, library.folder)
    except OSError:
        if not library.folder.exists():
            raise
