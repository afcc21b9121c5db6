"""The inner loop that resamples patches from examples, compiled by numba."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_F = np.float32


@njit(nogil=True, cache=True, error_model="numpy")
def cut(hu: Any, labels: Any, matrix: Any, offset: Any, outside: Any, patch_hu: Any, patch_labels: Any) -> None:
    """Fill a patch: values interpolated linearly between voxels, labels of the nearest voxel.

    Voxel v of the patch lies at ``matrix @ v + offset`` in the example.

    Args:
        hu: int16, z, y, x.
        labels: uint8, alike.
        matrix: ``(3, 3)`` float64.
        offset: ``(3,)`` float64.
        outside: Value of ``hu`` and of ``labels`` beyond the middles of the outermost voxels.
        patch_hu: float32, z, y, x, to be filled.
        patch_labels: uint8, alike.
    """
    depth, rows, columns = hu.shape
    for a in range(patch_hu.shape[0]):
        for b in range(patch_hu.shape[1]):
            for c in range(patch_hu.shape[2]):
                z = matrix[0, 0] * a + matrix[0, 1] * b + matrix[0, 2] * c + offset[0]
                y = matrix[1, 0] * a + matrix[1, 1] * b + matrix[1, 2] * c + offset[1]
                x = matrix[2, 0] * a + matrix[2, 1] * b + matrix[2, 2] * c + offset[2]
                if z < 0 or y < 0 or x < 0 or z > depth - 1 or y > rows - 1 or x > columns - 1:
                    patch_hu[a, b, c], patch_labels[a, b, c] = outside
                    continue
                k, j, i = min(int(z), depth - 2), min(int(y), rows - 2), min(int(x), columns - 2)
                up, back, right = _F(z - k), _F(y - j), _F(x - i)
                patch_labels[a, b, c] = labels[int(z + 0.5), int(y + 0.5), int(x + 0.5)]
                low_front = hu[k, j, i] + right * _F(hu[k, j, i + 1] - hu[k, j, i])
                low_back = hu[k, j + 1, i] + right * _F(hu[k, j + 1, i + 1] - hu[k, j + 1, i])
                high_front = hu[k + 1, j, i] + right * _F(hu[k + 1, j, i + 1] - hu[k + 1, j, i])
                high_back = hu[k + 1, j + 1, i] + right * _F(hu[k + 1, j + 1, i + 1] - hu[k + 1, j + 1, i])
                low = low_front + back * (low_back - low_front)
                high = high_front + back * (high_back - high_front)
                patch_hu[a, b, c] = low + up * (high - low)
