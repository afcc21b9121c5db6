"""Annotated masks: aligned with the CT's grid, and split into one label for each node."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import Geometry, Masks

TOLERANCE_MM = 0.1
"""Grids whose corners agree within this distance count as one: headers are rounded."""

_TOUCHING = np.ones((3, 3, 3), dtype=bool)


def on_grid(masks: Masks, grid: Geometry) -> Masks:
    """Return masks with their axes permuted and flipped as those of ``grid``; nothing is resampled.

    Args:
        masks: The masks.
        grid: Geometry of the CT.

    Raises:
        CtlymphError: If the grids still differ by :data:`TOLERANCE_MM` or more; the message contains the difference.
    """
    turned = masks.reorient(grid.orientation)
    if turned.geometry.shape_zyx != grid.shape_zyx:
        has, wants = (" × ".join(str(n) for n in g.shape_ijk) for g in (turned.geometry, grid))
        raise CtlymphError(f"it has {has} voxels and the CT {wants}; resample the mask to the CT's grid")
    if not turned.geometry.matches(grid, TOLERANCE_MM):
        offset_mm = np.linalg.norm(turned.geometry.corners_mm - grid.corners_mm, axis=1).max()
        raise CtlymphError(f"it lies up to {offset_mm:.2f} mm away from the CT's grid; resample the mask to that grid")
    return Masks(np.ascontiguousarray(turned.labels), grid)


def pieces(masks: Masks) -> list[int]:
    """Return the number of separate pieces of each label in use; voxels that touch at a corner are connected.

    >>> labels = np.array([[[1, 0, 1, 0, 5]]], dtype=np.uint16)
    >>> pieces(Masks(labels, Geometry(labels.shape, (0, 0, 0), (1, 1, 1))))
    [2, 1]
    """
    return [count for _, _, count in _pieces(masks)]


def split(masks: Masks) -> Masks:
    """Return masks in which every separate piece has a label of its own, from 1, in the order of the old labels.

    Raises:
        CtlymphError: If there are more than 65535 pieces.
    """
    labels = np.zeros_like(masks.labels)
    last = 0
    for box, numbered, count in _pieces(masks):
        if last + count > np.iinfo(np.uint16).max:
            raise CtlymphError("it falls into more than 65535 pieces; remove its noise first")
        labels[box][numbered > 0] = numbered[numbered > 0] + last
        last += count
    return Masks(labels, masks.geometry)


def _pieces(masks: Masks) -> Iterator[tuple[tuple[slice, ...], NDArray[np.int32], int]]:
    """Yield the box of each label, its pieces numbered from 1 within the box, and their number."""
    from scipy.ndimage import find_objects, label

    for value, box in enumerate(find_objects(masks.labels), start=1):
        if box is not None:
            numbered, count = label(masks.labels[box] == value, structure=_TOUCHING)
            yield box, numbered, int(count)
