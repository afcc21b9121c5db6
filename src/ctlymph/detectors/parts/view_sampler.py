"""The inner loops of the 2.5D sampler, compiled by numba."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

_F = np.float32
_U = np.uint32
_ONE = np.uint32(1)
"""Unsigned indices spare the check for negative ones."""


@njit(parallel=True, nogil=True, cache=True, fastmath=True, error_model="numpy")
def sample_images(hu: Any, first: Any, row: Any, column: Any, air: Any, images: Any) -> None:
    """Fill images with values interpolated linearly between voxels.

    Args:
        hu: int16, z, y, x.
        first: ``(n, 3)`` float32 i, j, k of each image's first pixel.
        row: ``(n, 3)`` step from one row to the next.
        column: ``(n, 3)`` step from one column to the next.
        air: Value more than half a voxel outside.
        images: ``(n, side, side)`` float32, to be filled.
    """
    last = images.shape[1] - 1
    for n in prange(first.shape[0]):
        inside = True
        for axis in range(3):
            end = _F(hu.shape[2 - axis] - 1)
            for corner in range(4):
                at = first[n, axis] + _F((corner & 1) * last) * row[n, axis]
                at += _F((corner >> 1) * last) * column[n, axis]
                inside = inside and at >= _F(0.001) and at < end - _F(0.001)  # what rounding may add along the way
        if inside:
            _fill(hu, first[n], row[n], column[n], images[n])
        else:
            _fill_at_the_edge(hu, first[n], row[n], column[n], air, images[n])


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _fill(hu: Any, first: Any, row: Any, column: Any, image: Any) -> None:
    """Fill an image of which every pixel lies between eight voxels."""
    for r in range(image.shape[0]):
        x0, y0, z0 = first[0] + _F(r) * row[0], first[1] + _F(r) * row[1], first[2] + _F(r) * row[2]
        for c in range(image.shape[1]):
            x, y, z = x0 + _F(c) * column[0], y0 + _F(c) * column[1], z0 + _F(c) * column[2]
            i, j, k = _U(x), _U(y), _U(z)
            right, back, up = x - _F(i), y - _F(j), z - _F(k)
            low_front, low_back = _F(hu[k, j, i]), _F(hu[k, j + _ONE, i])
            high_front, high_back = _F(hu[k + _ONE, j, i]), _F(hu[k + _ONE, j + _ONE, i])
            low_front += right * (_F(hu[k, j, i + _ONE]) - low_front)
            low_back += right * (_F(hu[k, j + _ONE, i + _ONE]) - low_back)
            high_front += right * (_F(hu[k + _ONE, j, i + _ONE]) - high_front)
            high_back += right * (_F(hu[k + _ONE, j + _ONE, i + _ONE]) - high_back)
            low_front += back * (low_back - low_front)
            high_front += back * (high_back - high_front)
            image[r, c] = low_front + up * (high_front - low_front)


@njit(nogil=True, cache=True, error_model="numpy")
def _fill_at_the_edge(hu: Any, first: Any, row: Any, column: Any, air: Any, image: Any) -> None:
    """Fill an image that extends beyond the CT: up to half a voxel outside its edge is repeated, then follows air."""
    low, part = np.empty((3, 2), np.int64), np.empty(3, np.float32)
    for r in range(image.shape[0]):
        for c in range(image.shape[1]):
            outside = False
            for axis in range(3):
                last = hu.shape[2 - axis] - 1
                at = first[axis] + _F(r) * row[axis] + _F(c) * column[axis]
                outside = outside or at < -0.5 or at > last + 0.5
                at = min(max(at, _F(0)), _F(last))
                low[axis, 0] = min(int(at), max(last - 1, 0))
                low[axis, 1] = min(low[axis, 0] + 1, last)
                part[axis] = at - low[axis, 0]
            value = _F(0)
            for corner in range(8):
                a, b, d = corner & 1, (corner >> 1) & 1, corner >> 2
                weight = part[0] if a else 1 - part[0]
                weight *= part[1] if b else 1 - part[1]
                weight *= part[2] if d else 1 - part[2]
                value += weight * hu[low[2, d], low[1, b], low[0, a]]
            image[r, c] = air if outside else value
