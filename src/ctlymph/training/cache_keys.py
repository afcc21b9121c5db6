"""Keys for intermediate results, made of all that they depend on, and versions of the programs in use.

A key is a digest of the case's data, the stages' names, versions and settings, and the seed. Source code is no part of
it: whoever changes what is computed raises a version.
"""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from ctlymph.detectors.base import Stage
from ctlymph.detectors.settings import settings_of

CACHE_VERSION = 1
"""Of what all stages share: the labels of candidates, the inner folds, the files. Raised when that changes."""

PROGRAMS = ("ctlymph", "numpy", "scipy", "scikit-learn", "scikit-image", "SimpleITK", "skops", "openvino", "torch")
_MODULES = {"scikit-learn": "sklearn", "scikit-image": "skimage"}


def digest_of(*values: Any) -> str:
    """Return a short name for plain values.

    Example:
        >>> digest_of("candidates", 1, 0.5)
        '63743958624a14eb47bdc5be'
    """
    return hashlib.sha256(json.dumps(values, sort_keys=True, allow_nan=False).encode()).hexdigest()[:24]


def stage_key(stage: Stage) -> str:
    """Return a digest of a stage: its class, name, version and settings, those of training included.

    The class counts by its package and name, not by its module, so that code may move; that of a plug-in is another
    than one of the same name here.
    """
    kind = type(stage)
    package = kind.__module__.partition(".")[0]
    return digest_of(CACHE_VERSION, package, kind.__qualname__, asdict(settings_of(stage, training=True)))


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on, as far as they are installed."""
    installed = {name: version(name) for name in PROGRAMS if find_spec(_MODULES.get(name, name))}
    return {"python": platform.python_version(), **installed}
