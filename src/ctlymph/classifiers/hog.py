"""Histograms of oriented gradients (Dalal and Triggs, CVPR 2005) of a candidate's slices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WINDOW_HU = (-100.0, 200.0)
"""Fat to enhancing tissue, as in Roth et al. (MICCAI 2014); the papers of the linear classifiers name no window."""


def windowed(slices_hu: NDArray[np.int16]) -> NDArray[np.float32]:
    """Map :data:`WINDOW_HU` to 0…1 and cut off what lies beyond."""
    low, high = WINDOW_HU
    return np.asarray(np.clip((slices_hu.astype(np.float32) - low) / (high - low), 0, 1))


def hog_of(images: NDArray[np.float32], cells_px: Sequence[int]) -> NDArray[np.float16]:
    """Describe images, each cell size by itself and one after the other.

    Nine orientations without sign, blocks of 2 × 2 cells normalised by L2 with clipping.

    Args:
        images: ``(..., rows, columns)``, 0…1.
        cells_px: Side lengths of the cells, pixels.

    Returns:
        ``(..., features)``; for 45 × 45 pixels, cells of 9 give 576 features and cells of 5 give 2304.
    """
    from skimage.feature import hog

    flat = images.reshape(-1, *images.shape[-2:])
    described = [
        [
            hog(image, orientations=9, pixels_per_cell=(cell, cell), cells_per_block=(2, 2), block_norm="L2-Hys")
            for image in flat
        ]
        for cell in cells_px
    ]
    features = sum(_length(images.shape[-2:], cell) for cell in cells_px)
    joined = np.concatenate(described, axis=1) if len(flat) else np.empty((0, features))
    return joined.astype(np.float16).reshape(*images.shape[:-2], features)


def _length(shape: tuple[int, ...], cell: int) -> int:
    rows, columns = (side // cell - 1 for side in shape)
    return rows * columns * 4 * 9
