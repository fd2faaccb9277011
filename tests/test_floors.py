"""The structure: floors without upward imports, each library behind its own wall, files and functions that can be read."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "identity_service"
FLOORS = (
    {"errors", "version"},
    {"settings"},
    {"model"},
    {"signals"},
    {"server"},
    {"store"},
    {"service"},
    {"web"},
    {"app"},
    {"ops"},
    {"cli", "__main__"},
)
"""Packages and modules in the order of the map; each imports only from those before it, and from itself."""
WALLS = {
    "redis": {"store", "ops"},
    "cryptography": {"model/receipt_key", "model/reference", "model/agent_key"},
    "itsdangerous": {"model/token"},
    "starlette": {"web", "app"},
    "uvicorn": {"server"},
    "email_validator": {"model/handle"},
    "jinja2": {"web", "ops/papers"},
}
"""Where each library may be imported: in a room, or in one file of it."""
SOURCES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def floor_of(module: str) -> int:
    return next(index for index, floor in enumerate(FLOORS) if module in floor)


def imported(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "identity_service":
            yield from (f"identity_service.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def faults(file: str, source: str) -> list[str]:
    """`file`: its path under the package, without the ending."""
    found, room = [], file.partition("/")[0]
    for name in imported(source):
        parts = name.split(".")
        if parts[0] == "identity_service" and floor_of(parts[1]) > floor_of(room):
            found.append(f"{file} imports {name} from a floor above")
        if not WALLS.get(parts[0], {room}) & {room, file}:
            found.append(f"{file} imports {name}")
    return found


def file_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix().removesuffix(".py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_keeps_to_its_floor_and_its_functions_fit_a_screen(path: Path) -> None:
    source = path.read_text()
    assert faults(file_of(path), source) == []
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= 40] == []


def test_the_check_sees_an_upward_import_and_a_library_behind_a_wall() -> None:
    assert faults("model/policy", "from identity_service.store import Store")
    assert faults("service/sell", "import identity_service.web.auth")
    assert faults("service/sell", "from redis.asyncio import Redis")
    assert not faults("store", "from redis.asyncio import Redis\nfrom identity_service.model.handle import Handle")
