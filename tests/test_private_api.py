"""What the code uses of its libraries beyond what they promise: each use by name, and each such library bounded above."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
USED = {
    ("server/protocol.py", "uvicorn._types"),
    ("server/protocol.py", "uvicorn.protocols.http.httptools_impl"),
    ("server/protocol.py", "uvicorn.server"),
    ("server/protocol.py", "._start_asgi_task"),
    ("server/metric_files.py", "prometheus_client.mmap_dict"),
    ("server/supervisor.py", "uvicorn.supervisors"),
    ("store/redis/server.py", "._writer"),
    ("store/redis/server.py", "redis.maint_notifications"),
}
"""Modules that no documentation of a library names, and members that begin with an underscore. The names of the supervisor's and the
protocol's methods that are overridden are in those modules, and the histogram's members in `server/metrics.py`."""
UNDOCUMENTED = ("uvicorn.", "redis.maint_notifications", "prometheus_client.mmap_dict")


def uses(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith(("identity_service", "__")):
            if node.module.startswith(UNDOCUMENTED) or any(part.startswith("_") for part in node.module.split(".")):
                yield node.module
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            own = isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}
            if not own:
                yield f".{node.attr}"


def test_every_use_of_private_api_is_named_here() -> None:
    package = ROOT / "identity_service"
    found = {(path.relative_to(package).as_posix(), use) for path in package.rglob("*.py") for use in uses(path.read_text())}
    assert found == USED


def test_the_search_sees_a_private_module_a_member_and_no_own_one() -> None:
    assert list(uses("from uvicorn._types import A\nself._own\nlibrary._writer")) == ["uvicorn._types", "._writer"]


def test_libraries_whose_private_api_is_used_are_bounded_above() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {one.name: one for one in map(Requirement, project["dependencies"])}
    used = {use.partition(".")[0].replace("_", "-") for _, use in USED} - {""}
    for name in used:
        assert {clause.operator for clause in wanted[name].specifier} == {">=", "<"}, name
