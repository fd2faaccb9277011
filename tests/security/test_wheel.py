"""The wheel: equal sources give equal bytes, wherever and by whomever it is built, and it ships its bill of materials."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.security.bill import BILL, ROOT

SOURCES = ("pyproject.toml", "README.md", "config", "identity_service")
"""What the Dockerfile builds from."""


def built(folder: Path, umask: int, **environment: str) -> Path:
    """A wheel, from a copy of the sources with files of today and of this umask."""
    folder.mkdir()
    for name in SOURCES:
        subprocess.run(["cp", "-r", ROOT / name, folder], check=True, umask=umask)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"]
    clean = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    subprocess.run(command, cwd=folder, env=clean | environment, umask=umask, check=True, capture_output=True, timeout=120)
    [wheel] = (folder / "dist").iterdir()
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("wheel") / "first", 0o022, TZ="UTC", LC_ALL="C")


def test_two_builds_are_equal(wheel: Path, tmp_path: Path) -> None:
    """Another folder, time zone, language, umask and hash seed; and other sources give another wheel."""
    other = built(tmp_path / "a folder of another length", 0o077, TZ="Pacific/Kiritimati", LC_ALL="C.UTF-8", PYTHONHASHSEED="7")
    assert (other.name, other.read_bytes()) == (wheel.name, wheel.read_bytes())
    dated = built(tmp_path / "dated", 0o022, SOURCE_DATE_EPOCH="1700000000")
    assert dated.read_bytes() != wheel.read_bytes()


def test_the_wheel_ships_its_bill_of_materials_and_the_settings(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [bill] = [name for name in names if ".dist-info/sboms/" in name]
        assert archive.read(bill) == BILL.read_bytes()
    shipped = {name.removeprefix("identity_service/config/") for name in names if name.startswith("identity_service/config/")}
    config = ROOT / "config"
    wanted = [*config.glob("*.toml"), *(path for path in (config / "deploy").rglob("*") if path.is_file())]
    assert shipped == {str(path.relative_to(config)) for path in wanted}
    assert [name for name in names if not name.startswith(("identity_service/", "identity_service-"))] == []
