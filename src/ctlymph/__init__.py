"""Lymph nodes in CT: found, measured, compared. For research use, not for diagnosis.

>>> import ctlymph
>>> ct = ctlymph.read("CT_FOLDER")                     # doctest: +SKIP
>>> nodes = ctlymph.detect(ct, region="mediastinum")   # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctlymph.core.errors import CtlymphError as CtlymphError
    from ctlymph.core.nodes import LymphNode as LymphNode
    from ctlymph.core.volume import Geometry as Geometry
    from ctlymph.core.volume import Masks as Masks
    from ctlymph.core.volume import Volume as Volume
    from ctlymph.datasets.case import Collection as Collection
    from ctlymph.evaluation.protocol import evaluate as evaluate
    from ctlymph.io import read as read
    from ctlymph.workflows.detection import detect as detect

_HOMES = {
    "Collection": "ctlymph.datasets.case",
    "read": "ctlymph.io",
    "detect": "ctlymph.workflows.detection",
    "evaluate": "ctlymph.evaluation.protocol",
    "CtlymphError": "ctlymph.core.errors",
    "Geometry": "ctlymph.core.volume",
    "LymphNode": "ctlymph.core.nodes",
    "Masks": "ctlymph.core.volume",
    "Volume": "ctlymph.core.volume",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    # Names load when first used, so that ``ctlymph --help`` need not wait for numpy.
    if name not in _HOMES:
        raise AttributeError(f"module 'ctlymph' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
