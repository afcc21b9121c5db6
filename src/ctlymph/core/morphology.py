"""Shapes of boolean arrays ``z, y, x``, with radii in mm.

Erosion and dilation by a ball are read off an exact Euclidean distance map
(Maurer 2003), so their cost does not grow with the radius.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.volume import Geometry, to_sitk

Mask = NDArray[np.bool_]


def distance_mm(mask: Mask, geometry: Geometry) -> NDArray[np.float32]:
    """Distance of every voxel outside ``mask`` to its nearest voxel, mm; 0 inside, inf where the mask is empty."""
    import SimpleITK as sitk

    if not mask.any():
        return np.full(mask.shape, np.inf, dtype=np.float32)
    image = to_sitk(mask)
    image.SetSpacing(geometry.spacing_mm.tolist())
    distance = sitk.SignedMaurerDistanceMap(image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
    return np.asarray(np.maximum(sitk.GetArrayFromImage(distance), 0))


def dilate(mask: Mask, geometry: Geometry, radius_mm: float) -> Mask:
    """Grow by a ball."""
    grown = np.zeros_like(mask)
    box = box_around(mask, 1 + np.floor(radius_mm / geometry.spacing_zyx).astype(int))
    grown[box] = distance_mm(mask[box], geometry) <= radius_mm
    return grown


def erode(mask: Mask, geometry: Geometry, radius_mm: float) -> Mask:
    """Shrink by a ball; the array's edge does not erode."""
    shrunk = np.zeros_like(mask)
    box = box_around(mask, 1)
    shrunk[box] = distance_mm(~mask[box], geometry) > radius_mm
    return shrunk


def box_around(mask: Mask, margin: NDArray[np.int_] | int) -> tuple[slice, ...]:
    """Give the bounding box and a margin in voxels, z, y, x, as far as the array goes; empty if the mask is."""
    box = []
    for axis, (length, beyond) in enumerate(zip(mask.shape, np.broadcast_to(margin, 3), strict=True)):
        taken = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        low, high = (taken[0] - beyond, taken[-1] + beyond + 1) if len(taken) else (0, 0)
        box.append(slice(max(0, int(low)), min(length, int(high))))
    return tuple(box)


def closed(mask: Mask, geometry: Geometry, radius_mm: float) -> Mask:
    """Fill what no ball of the radius, outside the mask, fits into."""
    return erode(dilate(mask, geometry, radius_mm), geometry, radius_mm)


def components(mask: Mask) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Label 3D components (26 neighbours); give labels 1…n by falling size, and the n sizes in voxels."""
    from scipy import ndimage

    labels, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    order = np.argsort(-sizes, kind="stable")
    rank = np.zeros(count + 1, dtype=np.int32)
    rank[order + 1] = np.arange(1, count + 1)
    return rank[labels], sizes[order]


def largest_component(mask: Mask) -> Mask:
    """Keep the largest 3D component."""
    labels, _ = components(mask)
    return np.asarray(labels == 1)


def fill_slices(mask: Mask, geometry: Geometry, gap_mm: float = 0.0) -> Mask:
    """Fill the holes of every axial slice.

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
    # Background that cannot be reached, within its slice, from the margin.
    labels, count = ndimage.label(~padded, structure=ndimage.generate_binary_structure(3, 1) * [[[0]], [[1]], [[0]]])
    enclosed = np.ones(count + 1, dtype=bool)
    for margin in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        enclosed[margin.ravel()] = False
    enclosed[0] = True
    return np.asarray(enclosed[labels[:, 1:-1, 1:-1]])


def hull_of_slice(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill the convex hull of a slice ``y, x``; an empty slice stays empty."""
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
    """Mean over a disk in every axial slice; zeros beyond the edge."""
    from scipy import ndimage

    sy, sx = geometry.spacing_zyx[1:]
    ny, nx = int(radius_mm / sy), int(radius_mm / sx)
    y, x = np.mgrid[-ny : ny + 1, -nx : nx + 1]
    kernel = ((y * sy) ** 2 + (x * sx) ** 2 <= radius_mm**2).astype(np.float32)
    mean = ndimage.correlate(array.astype(np.float32, copy=False), kernel[None] / kernel.sum(), mode="constant")
    return np.asarray(mean)
