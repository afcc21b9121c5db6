"""A ``repr`` of one line for dataclasses that hold arrays or long sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import fields
from pathlib import Path
from typing import Any

from ctlymph.core.errors import shown

_LONGEST_TEXT = 40
_MOST_VALUES = 3


def short_repr(instance: Any) -> str:
    """Return the name and fields of a dataclass in one line, with arrays as their type and shape.

    Fields with ``repr=False`` are left out; those with data of patients are marked so. Put it into the body of a class:

    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> @dataclass
    ... class Detections:
    ...     name: str
    ...     points_mm: np.ndarray
    ...     scores: list[float]
    ...     __repr__ = short_repr
    >>> Detections("blobs", np.zeros((12, 3)), [0.5] * 12)
    Detections(name='blobs', points_mm=<float64 12 × 3>, scores=<12 values>)
    """
    values = (f"{each.name}={_short(getattr(instance, each.name))}" for each in fields(instance) if each.repr)
    return f"{type(instance).__name__}({', '.join(values)})"


def _short(value: Any) -> str:
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"<{value.dtype} {' × '.join(map(str, value.shape)) or 'scalar'}>"
    if isinstance(value, Path):
        return repr(value.name)
    if isinstance(value, str):
        return repr(shown(value, _LONGEST_TEXT))
    if isinstance(value, Sequence | Mapping | Set):
        is_plain = len(value) <= _MOST_VALUES and all(isinstance(each, str | int | float) for each in value)
        return f"({', '.join(map(_short, value))})" if is_plain and isinstance(value, Sequence) else _count(value)
    return f"{value:g}" if isinstance(value, float) else repr(value)


def _count(value: Sequence[Any] | Mapping[Any, Any] | Set[Any]) -> str:
    return f"<{len(value)} value{'s' * (len(value) != 1)}>"
