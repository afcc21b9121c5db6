"""The spine: the path of the spinal canal from slice to slice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.morphology import Mask, disk_filter
from ctlymph.core.volume import Geometry, crop_array

_SOFT_HU, _DENSE_HU = 60, 160
"""No bone, and bone marrow, at a spacing of 3 mm. Enhanced vessels are as bright, but no vessel encloses a canal."""

_CANAL_RADIUS_MM = 5.0
_RING_MM = {"front": (-30.0, -8.0), "back": (8.0, 30.0), "side": (8.0, 22.0)}
"""Distances of bone from the centre of the canal: body in front, arch behind, pedicles and facets on both sides."""
_SEGMENT_MM = 24.0
"""Height of a vertebra: between two pedicles the canal is open on its sides, over this height it is closed."""
CANAL_TO_BODY_MM = 24.0
"""Distance from the centre of the canal to that of the vertebral body, thoracic and lumbar."""

_OFF_MIDLINE_MM = 35.0
_BACK_MM = 95.0
"""Distance from the skin of the back to the canal in nearly all patients; the chambers of the heart lie deeper."""

_BEND = 0.025
"""Cost of a step of one mm sideways per slice step of one mm."""


def find_spine(hu: NDArray[np.int16], geometry: Geometry, body: Mask) -> NDArray[np.float64]:
    """Find the path of the spinal canal: soft tissue with bone around it, near the midline and the back.

    Dynamic programming over the slices keeps the path smooth where the ring of
    bone is open or hidden by noise.

    Args:
        hu: HU on a grid of about 3 mm, z, y, x, axes towards L, P, S.
        geometry: That grid.
        body: The body on the same grid.

    Returns:
        ``(z, 3)``: column and row of the vertebral body's centre in each slice,
        and the evidence for a ring of bone there (0…1; below about 0.15 there is
        no spine).
    """
    bone = np.clip((hu.astype(np.float32) - _SOFT_HU) / np.float32(_DENSE_HU - _SOFT_HU), 0, 1) * body
    ring = _ring(bone, geometry)
    rows, columns = _smoothest_path(ring - _misplacement(body, geometry), geometry)
    found = ring[np.arange(len(hu)), rows, columns]
    return np.stack([columns, rows - CANAL_TO_BODY_MM / geometry.spacing_mm[1], found], axis=1).astype(np.float64)


def _ring(bone: NDArray[np.float32], geometry: Geometry) -> NDArray[np.float32]:
    """Return the minimum of the mean bone on the four sides of every voxel, less the bone at the voxel itself."""
    from scipy import ndimage

    near, far = _RING_MM["side"]
    sides = [
        _box_mean(bone, geometry, _RING_MM["front"], (-11.0, 11.0)),
        2 * _box_mean(bone, geometry, _RING_MM["back"], (-7.0, 7.0)),
        2 * _box_mean(bone, geometry, (-11.0, 11.0), (near, far)),
        2 * _box_mean(bone, geometry, (-11.0, 11.0), (-far, -near)),
    ]
    slices = 1 + 2 * round(_SEGMENT_MM / 2 / geometry.spacing_mm[2])
    steadied = [ndimage.uniform_filter1d(side, slices, axis=0, mode="nearest") for side in sides]
    canal = disk_filter(bone, geometry, _CANAL_RADIUS_MM)
    return np.asarray(np.clip(np.minimum.reduce(steadied) - canal, 0, 1))


def _box_mean(
    bone: NDArray[np.float32], geometry: Geometry, y_mm: tuple[float, float], x_mm: tuple[float, float]
) -> NDArray[np.float32]:
    """Return for every voxel the mean over a box within the slice, at the distances ``y_mm`` and ``x_mm`` from it."""
    from scipy import ndimage

    result = bone
    for axis, (low, high) in ((1, y_mm), (2, x_mm)):
        spacing = geometry.spacing_zyx[axis]
        size = 1 + round((high - low) / spacing)
        result = ndimage.uniform_filter1d(result, size, axis=axis, mode="constant")
        start = np.where(np.arange(3) == axis, round((low + high) / 2 / spacing), 0)
        result = crop_array(result, start, result.shape, 0)
    return np.asarray(result)


def _misplacement(body: Mask, geometry: Geometry) -> NDArray[np.float64]:
    """Return the penalty ``(z, y, x)`` for a place off the body's midline or far from the back."""
    _, height, width = body.shape
    columns, rows = np.arange(width), np.arange(height)
    per_column = body.sum(axis=1)
    midline = _steady(per_column @ columns / np.maximum(1, per_column.sum(axis=1)), per_column.any(axis=1))
    off_mm = np.abs(columns - midline[:, None]) * geometry.spacing_mm[0]
    # The back: last body row, averaged over columns near the midline.
    last = np.where(body, rows[:, None], 0).max(axis=1).astype(np.float64)
    near = (off_mm < 25) & (last > 0)
    back = _steady((last * near).sum(axis=1) / np.maximum(1, near.sum(axis=1)), near.any(axis=1))
    deep_mm = (back[:, None] - rows) * geometry.spacing_mm[1]
    sideways = np.clip(off_mm / _OFF_MIDLINE_MM - 1, 0, None)
    depth = np.clip(deep_mm / _BACK_MM - 1, 0, None) * 3
    return np.asarray(sideways[:, None, :] + depth[:, :, None])


def _steady(values: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Smooth one value for each slice by a running median; slices without a value take the overall median."""
    from scipy import ndimage

    filled = np.where(known, values, np.median(values[known]) if known.any() else 0.0)
    return np.asarray(ndimage.median_filter(filled, 15, mode="nearest"))


def _smoothest_path(merit: NDArray[np.float64], geometry: Geometry) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of the path, one voxel a slice, with the greatest merit less its bends (Viterbi)."""
    steps = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)]
    costs = [
        _BEND * np.hypot(dy * geometry.spacing_mm[1], dx * geometry.spacing_mm[0]) / geometry.spacing_mm[2]
        for dy, dx in steps
    ]
    best = merit[0].copy()
    came_from = np.zeros(merit.shape, dtype=np.int8)
    height, width = best.shape
    for k in range(1, len(merit)):
        padded = np.pad(best, 2, constant_values=-np.inf)
        moved = np.stack(
            [
                padded[2 - dy : 2 - dy + height, 2 - dx : 2 - dx + width] - c
                for (dy, dx), c in zip(steps, costs, strict=True)
            ]
        )
        came_from[k] = moved.argmax(axis=0)
        best = moved.max(axis=0) + merit[k]
    row, column = np.unravel_index(int(best.argmax()), best.shape)
    rows, columns = [int(row)], [int(column)]
    for k in range(len(merit) - 1, 0, -1):
        dy, dx = steps[came_from[k, rows[-1], columns[-1]]]
        rows.append(rows[-1] - dy)
        columns.append(columns[-1] - dx)
    return np.array(rows[::-1]), np.array(columns[::-1])
