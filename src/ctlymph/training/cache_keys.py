"""Names for results, made from all that they depend on: data, settings, seed, and the code itself; and versions."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import platform
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PROGRAMS = ("ctlymph", "numpy", "scipy", "scikit-learn", "scikit-image", "SimpleITK", "skops", "openvino", "torch")
_MODULES = {"scikit-learn": "sklearn", "scikit-image": "skimage"}


def digest_of(*what: Any) -> str:
    """Give a short name for plain values."""
    return hashlib.sha256(json.dumps(what, default=repr).encode()).hexdigest()[:24]


def versions() -> dict[str, str]:
    """Give the versions of what results depend on, as far as it is installed."""
    installed = {name: version(name) for name in PROGRAMS if find_spec(_MODULES.get(name, name))}
    return {"python": platform.python_version(), **installed}


@cache
def code_of(module: str) -> str:
    """Tell the code of a module, with all of this package that it imports, from any other, also between releases."""
    seen: dict[str, bytes] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen[name] = Path(inspect.getfile(import_module(name))).read_bytes()
            waiting += _imported(seen[name])
    return hashlib.sha256(b"".join(seen[name] for name in sorted(seen))).hexdigest()


def _imported(source: bytes) -> list[str]:
    """Name the modules of this package that a source imports, wherever in it."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            found += [_module_of(node.module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
    return [name for name in found if name.split(".")[0] == "ctlymph"]


def _module_of(parent: str, name: str) -> str:
    """Tell whether ``from parent import name`` names a module or something in one."""
    if parent.split(".")[0] != "ctlymph":
        return parent
    spec = find_spec(parent)
    is_package = spec is not None and spec.submodule_search_locations is not None
    return f"{parent}.{name}" if is_package and find_spec(f"{parent}.{name}") else parent
