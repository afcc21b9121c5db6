"""Morphology of boolean arrays ``z, y, x``, with radii in mm.

Erosion and dilation by a ball are thresholds of an exact Euclidean distance map
(Maurer 2003), so their cost does not grow with the radius.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.volume import Geometry, to_sitk

Mask = NDArray[np.bool_]


def distance_mm(mask: Mask, geometry: Geometry) -> NDArray[np.float32]:
    """Return the distance of every voxel to the nearest voxel of ``mask``, mm: 0 inside it, infinity if it is empty."""
    import SimpleITK as sitk

    if not mask.any():
        return np.full(mask.shape, np.inf, dtype=np.float32)
    image = to_sitk(mask)
    image.SetSpacing(geometry.spacing_mm.tolist())
    distance = sitk.SignedMaurerDistanceMap(image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
    return np.asarray(np.maximum(sitk.GetArrayFromImage(distance), 0))


def dilate(mask: Mask, geometry: Geometry, radius_mm: float) -> Mask:
    """Return the mask dilated by a ball."""
    grown = np.zeros_like(mask)
    box = box_around(mask, 1 + np.floor(radius_mm / geometry.spacing_zyx).astype(int))
    grown[box] = distance_mm(mask[box], geometry) <= radius_mm
    return grown


def erode(mask: Mask, geometry: Geometry, radius_mm: float) -> Mask:
    """Return the mask eroded by a ball; nothing is eroded from the array's edge."""
    shrunk = np.zeros_like(mask)
    box = box_around(mask, 1)
    shrunk[box] = distance_mm(~mask[box], geometry) > radius_mm
    return shrunk


def box_around(mask: Mask, margin: NDArray[np.int_] | int) -> tuple[slice, ...]:
    """Return the bounding box with a margin in voxels (z, y, x), clipped to the array; empty if the mask is empty."""
    box = []
    for axis, (length, extra) in enumerate(zip(mask.shape, np.broadcast_to(margin, 3), strict=True)):
        occupied = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        low, high = (occupied[0] - extra, occupied[-1] + extra + 1) if len(occupied) else (0, 0)
        box.append(slice(max(0, int(low)), min(length, int(high))))
    return tuple(box)


def closed(mask: Mask, geometry: Geometry, radius_mm: float) -> Mask:
    """Return the mask closed by a ball: gaps into which the ball does not fit are filled."""
    return erode(dilate(mask, geometry, radius_mm), geometry, radius_mm)


def components(mask: Mask) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Label the 3D components of a mask (26 neighbours).

    >>> labels, sizes = components(np.array([[[True, False, True, True]]]))
    >>> labels.tolist(), sizes.tolist()
    ([[[2, 0, 1, 1]]], [2, 1])

    Returns:
        Labels 1…n by descending size, 0 for background; and the n sizes in voxels.
    """
    from scipy import ndimage

    labels, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    order = np.argsort(-sizes, kind="stable")
    rank = np.zeros(count + 1, dtype=np.int32)
    rank[order + 1] = np.arange(1, count + 1)
    return rank[labels], sizes[order]


def largest_component(mask: Mask) -> Mask:
    """Return the largest 3D component of a mask (26 neighbours)."""
    labels, _ = components(mask)
    return np.asarray(labels == 1)


def fill_slices(mask: Mask, geometry: Geometry, gap_mm: float = 0.0) -> Mask:
    """Return the mask with the holes of every axial slice filled.

    A field of view that crops the body opens holes, such as a lung, to the
    image's edge: along each edge, gaps of up to ``gap_mm`` between two True
    pixels count as closed.
    """
    from scipy import ndimage

    padded = np.pad(mask, ((0, 0), (1, 1), (1, 1)))
    _, sy, sx = geometry.spacing_zyx
    for outer, edge, spacing in (
        (padded[:, 0, 1:-1], mask[:, 0], sx),
        (padded[:, -1, 1:-1], mask[:, -1], sx),
        (padded[:, 1:-1, 0], mask[:, :, 0], sy),
        (padded[:, 1:-1, -1], mask[:, :, -1], sy),
    ):
        gap = np.ones((1, 1 + int(gap_mm / spacing)))
        outer[:] = ndimage.binary_closing(np.pad(edge, ((0, 0), (gap.size,) * 2)), gap)[:, gap.size : -gap.size]
    # Background without a connection, within its slice, to the margin.
    labels, count = ndimage.label(~padded, structure=ndimage.generate_binary_structure(3, 1) * [[[0]], [[1]], [[0]]])
    enclosed = np.ones(count + 1, dtype=bool)
    for margin in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        enclosed[margin.ravel()] = False
    enclosed[0] = True
    return np.asarray(enclosed[labels[:, 1:-1, 1:-1]])


def hull_of_slice(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the filled convex hull of a slice ``y, x``; that of an empty slice is empty."""
    from scipy.spatial import ConvexHull, QhullError
    from skimage.draw import polygon2mask

    points = np.argwhere(mask)
    if len(points) < 3:
        return mask.copy()
    try:
        hull = ConvexHull(points)
    except QhullError:  # all points on one line: its own hull
        return mask.copy()
    return np.asarray(polygon2mask(mask.shape, points[hull.vertices])) | mask


def disk_filter(array: NDArray[Any], geometry: Geometry, radius_mm: float) -> NDArray[np.float32]:
    """Return the mean over a disk around every voxel, in its axial slice; the array is padded with zeros."""
    from scipy import ndimage

    sy, sx = geometry.spacing_zyx[1:]
    ny, nx = int(radius_mm / sy), int(radius_mm / sx)
    y, x = np.mgrid[-ny : ny + 1, -nx : nx + 1]
    kernel = ((y * sy) ** 2 + (x * sx) ** 2 <= radius_mm**2).astype(np.float32)
    mean = ndimage.correlate(array.astype(np.float32, copy=False), kernel[None] / kernel.sum(), mode="constant")
    return np.asarray(mean)
