"""The 27 slices through a candidate of Seff et al. (MICCAI 2014, arXiv 1408.3337).

They are the nine middle slices along each axis of a cube of 45 × 45 × 45 voxels of 1 mm around the candidate, whose
axes are those of the patient. That the nine lie 1 mm apart is chosen here: all of them then meet a node of 10 mm, the
smallest that is to be found.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.volume import AIR_HU, Geometry, Masks, Volume, resample_array

SIDE = 45
"""Pixels of 1 mm along a slice's side."""

PER_AXIS = 9
SLICES = 3 * PER_AXIS
"""Slices of a candidate: axial, coronal, sagittal, each from the lowest coordinate to the highest."""

_MARGIN = 3
"""Voxels around a cube that its interpolation may need."""


def slices_of(volume: Volume, points_mm: NDArray[np.float64]) -> NDArray[np.int16]:
    """Return the slices through points.

    Args:
        volume: The CT, any spacing and orientation; only what lies around the points is copied.
        points_mm: The candidates, ``(n, 3)``, LPS mm.

    Returns:
        HU, ``(n, 27, 45, 45)``; what lies outside the CT is air. Rows run to the back in
        axial slices and to the head in the others; columns run to the left, in sagittal ones to the back.
    """
    return _slices(volume.hu, volume.geometry, points_mm, AIR_HU)


def mask_slices_of(masks: Masks, points_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return the same slices of masks, ``(n, 27, 45, 45)``, all nodes together."""
    inside = np.multiply(masks.labels > 0, 255, dtype=np.uint8)  # interpolated, half of it is the edge
    return _slices(inside, masks.geometry, points_mm, 0) > 127


def _slices(array: NDArray[Any], geometry: Geometry, points_mm: NDArray[np.float64], fill: int) -> NDArray[Any]:
    slices = np.empty((len(points_mm), SLICES, SIDE, SIDE), dtype=array.dtype)
    first = (SIDE - PER_AXIS) // 2
    middle = slice(first, first + PER_AXIS)
    for n, point_mm in enumerate(points_mm):
        cube = _cube(array, geometry, point_mm, fill)
        axial, coronal, sagittal = cube[middle], cube[:, middle].swapaxes(0, 1), np.moveaxis(cube[:, :, middle], 2, 0)
        slices[n] = np.concatenate([axial, coronal, sagittal])
    return slices


def _cube(array: NDArray[Any], geometry: Geometry, point_mm: NDArray[np.float64], fill: int) -> NDArray[Any]:
    grid = Geometry((SIDE, SIDE, SIDE), np.asarray(point_mm) - SIDE // 2, np.ones(3))
    index_zyx = geometry.mm_to_index(grid.corners_mm)[:, ::-1]
    start = np.clip(np.floor(index_zyx.min(axis=0)).astype(int) - _MARGIN, 0, np.array(array.shape) - 1)
    stop = np.clip(np.ceil(index_zyx.max(axis=0)).astype(int) + 1 + _MARGIN, start + 1, array.shape)
    part = array[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    return resample_array(part, geometry.crop(start, stop - start), grid, fill)
