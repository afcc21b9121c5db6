"""Lymph nodes in CT: found, measured, compared. For research use, not for diagnosis.

>>> import ctlymph
>>> ct = ctlymph.read("CT_FOLDER")                     # doctest: +SKIP
>>> nodes = ctlymph.detect(ct, region="mediastinum")   # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctlymph.collection.case import Collection as Collection
    from ctlymph.detection import detect as detect
    from ctlymph.errors import CtlymphError as CtlymphError
    from ctlymph.evaluation.judging import evaluate as evaluate
    from ctlymph.io import read as read
    from ctlymph.nodes import LymphNode as LymphNode
    from ctlymph.volume import Geometry as Geometry
    from ctlymph.volume import Masks as Masks
    from ctlymph.volume import Volume as Volume

_HOMES = {
    "Collection": "ctlymph.collection.case",
    "read": "ctlymph.io",
    "detect": "ctlymph.detection",
    "evaluate": "ctlymph.evaluation.judging",
    "CtlymphError": "ctlymph.errors",
    "Geometry": "ctlymph.volume",
    "LymphNode": "ctlymph.nodes",
    "Masks": "ctlymph.volume",
    "Volume": "ctlymph.volume",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    # Names load when first used, so that ``ctlymph --help`` need not wait for numpy.
    if name not in _HOMES:
        raise AttributeError(f"module 'ctlymph' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
