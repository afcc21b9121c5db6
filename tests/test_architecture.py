"""The arrows of ARCHITECTURE.md, checked on the import statements."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "ctlymph"
GROUND = {"errors", "progress", "volume", "nodes", "course", "regions"}
TOOLS = GROUND | {"outline", "morphology"}
MAY_IMPORT = {
    "errors": set(),
    "progress": set(),
    "volume": {"errors"},
    "nodes": set(),
    "course": {"nodes"},
    "regions": {"volume"},
    "outline": GROUND,
    "morphology": GROUND,
    "io": TOOLS,
    "anatomy": TOOLS,
    "systems": TOOLS | {"anatomy"},
    "learning": set(),
    "inference": GROUND,
    "networks": TOOLS | {"io", "systems", "inference"},
    "models": GROUND | {"io", "systems"},
    "candidates": TOOLS | {"systems", "learning"},
    "classifiers": TOOLS | {"systems", "learning", "inference", "networks"},
    "measurement": TOOLS,
    "methods": TOOLS | {"systems", "candidates", "classifiers", "networks"},
    "detection": TOOLS | {"io", "anatomy", "systems", "inference", "learning", "models", "methods", "measurement"},
    "drawn": TOOLS | {"io", "anatomy", "measurement"},
    "followup": TOOLS | {"io", "measurement", "detection", "drawn"},
    "realism": TOOLS | {"io", "anatomy", "candidates"},
    "phantom": TOOLS | {"io", "collection", "anatomy", "candidates", "realism"},
    "collection": TOOLS | {"io", "measurement"},
    "evaluation": TOOLS | {"io", "measurement", "collection"},
    "training": TOOLS | {"io", "anatomy", "systems", "learning", "models", "methods", "collection", "evaluation"},
    "benchmark": TOOLS | {"io", "systems", "methods", "collection", "evaluation", "training"},
}


def rooms_imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ctlymph."):
            names.add((node.module or "").split(".")[1])
        elif isinstance(node, ast.Import):
            names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("ctlymph.")}
    return names


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_lies_below_it(room: str) -> None:
    single = SOURCE / f"{room}.py"
    files = [single] if single.exists() else sorted((SOURCE / room).rglob("*.py"))
    assert files
    for path in files:
        assert rooms_imported(path) <= MAY_IMPORT[room] | {room}, path.name


def test_every_room_has_its_rule() -> None:
    rooms = {path.stem for path in SOURCE.iterdir() if not path.name.startswith("_")}
    assert rooms - {"cli", "py", "trained"} == set(MAY_IMPORT)
