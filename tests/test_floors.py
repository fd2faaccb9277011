"""The structure: floors without upward imports, each library behind its own wall, files and functions that can be read."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "identity_service"
NOUNS = {
    "attribution",
    "relations",
    "regions",
    "shop",
    "visitor",
    "consent",
    "policy",
    "cookieless",
    "signing",
    "handle",
    "link",
    "event",
    "signals",
}
SETTINGS = {"sections", "setting_types", "settings_file", "layers", "settings", "store_address"}
FLOORS = [{"errors", "version", "logs", "metrics", "slots", "limits", *SETTINGS}, NOUNS, {"store"}, {"service"}, {"web"}]
COMMANDS = {"doctor", "move", "forget", "places", "init", "cli", "__main__"}
FLOORS.append({"app", "wiring", "worker", "serving", "protocol", "connection", *COMMANDS})
WALLS = {
    "redis": {"store"},
    "itsdangerous": {"signing"},
    "starlette": {"web", "app"},
    "uvicorn": {"serving", "protocol", "connection"},
    "email_validator": {"handle"},
    "jinja2": {"web"},
}
SOURCES = sorted(PACKAGE.rglob("*.py"))


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


def faults(module: str, source: str) -> list[str]:
    """`module`: the file's or folder's name right under the package."""
    found = []
    for name in imported(source):
        parts = name.split(".")
        if parts[0] == "identity_service" and floor_of(parts[1]) > floor_of(module):
            found.append(f"{module} imports {name} from a floor above")
        if module not in WALLS.get(parts[0], {module}):
            found.append(f"{module} imports {name}")
    return found


def module_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name != "__init__.py"], ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_keeps_to_its_floor_and_its_functions_fit_a_screen(path: Path) -> None:
    source = path.read_text()
    assert faults(module_of(path), source) == []
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= 40] == []


def test_the_check_sees_an_upward_import_and_a_library_behind_a_wall() -> None:
    assert faults("policy", "from identity_service.store import Store")
    assert faults("service", "import identity_service.web.auth")
    assert faults("service", "from redis.asyncio import Redis")
    assert not faults("store", "from redis.asyncio import Redis\nfrom identity_service.handle import Handle")
