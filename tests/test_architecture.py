"""The imports of ARCHITECTURE.md, checked on all import statements, also those that only types need."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "ctlymph"
MAY_IMPORT = {
    "core": set(),
    "io": {"core"},
    "anatomy": {"core"},
    "measurement": {"core"},
    "followup": {"core", "io"},
    "nn": {"core", "io"},
    "detectors": {"core", "io", "anatomy", "nn"},
    "datasets": {"core", "io", "measurement"},
    "phantom": {"core", "io", "anatomy", "datasets", "detectors"},
    "evaluation": {"core", "io", "measurement", "datasets"},
    "training": {"core", "io", "anatomy", "nn", "detectors", "datasets", "evaluation"},
    "workflows": {
        "core",
        "io",
        "anatomy",
        "measurement",
        "followup",
        "nn",
        "detectors",
        "datasets",
        "evaluation",
        "training",
    },
    "outputs": {"core", "io", "followup", "detectors", "evaluation", "training", "workflows"},
}
"""By room, those that it may know; ``cli`` is on top and may know all."""


def modules() -> dict[str, Path]:
    found = {}
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(path: Path) -> set[str]:
    """Modules of this package that a file names in its import statements, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ctlymph":
            package = ".".join((node.module or "").split(".")[1:])
            for alias in node.names:
                module = f"{package}.{alias.name}".strip(".")
                names.add(module if module in MODULES else package)
        elif isinstance(node, ast.Import):
            names |= {alias.name.removeprefix("ctlymph.") for alias in node.names if alias.name.startswith("ctlymph.")}
    return names - {""}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_lies_below_it(room: str) -> None:
    inside = {name: path for name, path in MODULES.items() if name.split(".")[0] == room}
    assert inside
    for name, path in inside.items():
        assert {each.split(".")[0] for each in imported(path)} <= MAY_IMPORT[room] | {room}, name


def test_every_room_has_its_rule_and_nothing_else_lies_at_the_root() -> None:
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms - {"cli"} == set(MAY_IMPORT)
    assert {path.name for path in SOURCE.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name: imported(path) - {name} for name, path in MODULES.items() if name}
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


def test_no_two_modules_have_the_same_name() -> None:
    stems = [name.split(".")[-1] for name, path in MODULES.items() if path.name != "__init__.py" and name != "__main__"]
    assert sorted(stem for stem in set(stems) if stems.count(stem) > 1) == []
