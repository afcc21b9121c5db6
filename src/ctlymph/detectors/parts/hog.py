"""Histograms of oriented gradients (Dalal and Triggs, CVPR 2005) of a candidate's slices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WINDOW_HU = (-100.0, 200.0)
"""Fat to enhancing tissue, as in Roth et al. (MICCAI 2014); Seff 2014 and 2015 name no window."""

_ORIENTATIONS = 9
_CLIP = 0.2
_NEARLY_ZERO = 1e-5
"""Clipping as in Lowe's L2-Hys (IJCV 2004), the small number as in scikit-image, whose features these are."""


def windowed(slices_hu: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return HU with :data:`WINDOW_HU` mapped to 0…1, clipped."""
    low, high = WINDOW_HU
    return np.asarray(np.clip((slices_hu.astype(np.float32) - low) / (high - low), 0, 1))


def hog_of(images: NDArray[np.float32], cells_px: Sequence[int]) -> NDArray[np.float16]:
    """Return the histograms of oriented gradients of images, for each cell size, one after the other.

    Nine orientations without sign, blocks of 2 × 2 cells normalised by L2 with clipping.

    Args:
        images: ``(..., rows, columns)``, 0…1.
        cells_px: Side lengths of the cells, pixels.

    Returns:
        ``(..., features)``; for 45 × 45 pixels, cells of 9 give 576 features and cells of 5 give 2304.

    Example:
        >>> hog_of(np.zeros((2, 45, 45), np.float32), [9]).shape
        (2, 576)
    """
    flat = images.reshape(-1, *images.shape[-2:])
    strength, orientation = _gradients(flat)
    described = [_blocks(_cells(strength, orientation, cell)) for cell in cells_px]
    joined = np.concatenate(described, axis=1).astype(np.float16)
    return joined.reshape(*images.shape[:-2], joined.shape[-1])


def _gradients(images: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Return the length of each pixel's gradient and the number of its orientation; 0 at the images' edges."""
    down, right = np.zeros_like(images), np.zeros_like(images)
    down[:, 1:-1] = images[:, 2:] - images[:, :-2]
    right[:, :, 1:-1] = images[:, :, 2:] - images[:, :, :-2]
    turned = np.degrees(np.arctan2(down, right)) % 180
    return np.hypot(down, right), np.minimum((turned * (_ORIENTATIONS / 180)).astype(np.intp), _ORIENTATIONS - 1)


def _cells(strength: NDArray[np.float32], orientation: NDArray[np.intp], cell: int) -> NDArray[np.float32]:
    """Return the histogram of each whole cell, ``(n, rows, columns, orientations)``."""
    count, height, width = strength.shape
    rows, columns = height // cell, width // cell
    number = np.arange(count)[:, None, None] * (rows * columns)
    number = number + (np.arange(rows * cell) // cell * columns)[:, None] + np.arange(columns * cell) // cell
    inside = (slice(None), slice(rows * cell), slice(columns * cell))
    bins = (number * _ORIENTATIONS + orientation[inside]).ravel()
    total = count * rows * columns * _ORIENTATIONS
    sums = np.bincount(bins, strength[inside].ravel(), minlength=total) / cell**2
    return sums.astype(np.float32).reshape(count, rows, columns, _ORIENTATIONS)


def _blocks(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Join 2 × 2 cells to a block, normalise it, clip it, normalise it again."""
    blocks = np.stack([cells[:, a : a - 1 or None, b : b - 1 or None] for a in (0, 1) for b in (0, 1)], axis=3)
    count, rows, columns = blocks.shape[:3]
    clipped = np.minimum(_normalised(blocks.reshape(count, rows, columns, 4 * _ORIENTATIONS)), _CLIP)
    return _normalised(clipped).reshape(count, rows * columns * 4 * _ORIENTATIONS)


def _normalised(blocks: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(blocks / np.sqrt((blocks**2).sum(axis=-1, keepdims=True) + _NEARLY_ZERO**2))
