"""Local maxima of arrays, and non-maximum suppression of points."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def local_maxima(array: NDArray[Any], where: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the voxels that are not lower than any of their neighbours (26 in 3D).

    Args:
        array: Of any number of dimensions.
        where: Voxels that may be maxima, of the same shape.

    Returns:
        Indices, ``(n, dimensions)``.

    Examples:
        >>> row = np.array([0, 3, 1, 2, 0])
        >>> local_maxima(row, row > 0).tolist()
        [[1], [3]]
    """
    from scipy.ndimage import maximum_filter

    return np.argwhere(where & (array == maximum_filter(array, 3)))


def separated(
    points_mm: ArrayLike, own_mm: ArrayLike = 0.0, kept_mm: ArrayLike = 0.0, max_count: int | None = None
) -> NDArray[np.intp]:
    """Choose points, the first first, that keep a distance from those chosen before (greedy non-maximum suppression).

    Args:
        points_mm: ``(n, d)``, the best first.
        own_mm: A number or ``(n,)``: how near a point may come to those chosen before it.
        kept_mm: A number or ``(n,)``: how near others may come to a chosen point.
        max_count: How many to choose at most; None: no bound.

    Returns:
        Rows of those chosen, in their order.

    Examples:
        >>> separated([[0.0], [1.0], [5.0]], 2.0).tolist()
        [0, 2]
    """
    points = np.asarray(points_mm, np.float64)
    own, kept = (np.broadcast_to(np.asarray(each, np.float64), len(points)) for each in (own_mm, kept_mm))
    rows: list[int] = []
    is_free = np.ones(len(points), bool)
    for row in range(len(points)):
        if is_free[row]:
            if len(rows) == max_count:
                break
            rows.append(row)
            is_free &= np.linalg.norm(points - points[row], axis=1) >= np.maximum(own, kept[row])
    return np.array(rows, dtype=np.intp)
