"""Sizes of nodes from their masks: long and short axis as RECIST defines them, volume, mean HU.

RECIST 1.1 (Eisenhauer et al., Eur J Cancer 2009; for nodes Schwartz et al.,
ibid.) measures a node on the axial slice where it is longest. The **long axis**
is the longest line between two points of the outline, on the axial slice where
this line is longest. The **short axis** is the longest line on that slice that is
perpendicular to it and lies entirely within the outline, as a reader measures
it with calipers. In a bean-shaped node the long axis may therefore cross the
hilum; the short axis never does.

A slice that cuts a node into several pieces has several outlines. Each is
measured separately: a line across the gap would include tissue outside the
node. Holes count as node.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.contours import outlines
from ctlymph.core.nodes import Diameter, LymphNode, Point, Shape, Sizes
from ctlymph.core.volume import Geometry, Masks, Volume, reorient_array


def measure_shape(mask: NDArray[np.bool_], geometry: Geometry) -> Shape:
    """Measure the diameters, volume and centroid of one node, for which no CT is needed.

    >>> ball = np.linalg.norm(np.indices((21, 21, 21)) - 10.0, axis=0) <= 8  # voxels of 0.5 mm
    >>> shape = measure_shape(ball, Geometry(ball.shape, np.zeros(3), np.full(3, 0.5), np.eye(3)))
    >>> round(shape.long_axis.length_mm), round(shape.short_axis.length_mm), shape.centroid_mm
    (8, 8, (5.0, 5.0, 5.0))

    Args:
        mask: bool, z, y, x; may be cropped to the node's bounding box.
        geometry: Where ``mask`` lies. Axial, coronal and sagittal slices are
            the array's own, each named after the patient axis nearest to its
            normal; an oblique array is not resampled.

    Returns:
        Lengths in mm, the volume in mm³, points in LPS mm.

    Raises:
        ValueError: If no voxel is set, or the shapes differ.
    """
    if mask.shape != geometry.shape_zyx:
        raise ValueError(f"shapes differ: mask {mask.shape}, geometry {geometry.shape_zyx}")
    if not mask.any():
        raise ValueError("the mask holds no voxel")
    upright, grid = reorient_array(mask, geometry, "LPS")
    axial = _longest_line(upright, grid, axes=(0,))
    any_plane = _longest_line(upright, grid, axes=(1, 2), best=axial)
    centre_zyx = np.argwhere(mask).mean(axis=0)
    return Shape(
        long_axis=axial.diameter(axial.ends),
        short_axis=axial.diameter(_longest_chord_across(axial.outline, axial.direction)),
        any_plane_long_axis=any_plane.diameter(any_plane.ends),
        any_plane_short_axis=any_plane.diameter(_longest_chord_across(any_plane.outline, any_plane.direction)),
        volume_mm3=float(np.count_nonzero(mask) * geometry.voxel_mm3),
        centroid_mm=_point(geometry.index_to_mm(centre_zyx[::-1])),
    )


def measure_mask(mask: NDArray[np.bool_], geometry: Geometry, hu: NDArray[np.int16]) -> Sizes:
    """Measure one node: its shape, as :func:`measure_shape` does, and its mean HU.

    Args:
        mask: bool, z, y, x; may be cropped to the node's bounding box.
        geometry: Where ``mask`` lies.
        hu: HU of the same voxels as ``mask``.

    Raises:
        ValueError: If no voxel is set, or the shapes differ.
    """
    if hu.shape != mask.shape:
        raise ValueError(f"shapes differ: mask {mask.shape}, HU {hu.shape}")
    return Sizes(**vars(measure_shape(mask, geometry)), mean_hu=float(hu[mask].mean()))


def measure_shapes(masks: Masks) -> dict[int, Shape]:
    """Measure the shape of every node of an instance mask, by label, in ascending order; labels may have gaps.

    >>> labels = np.zeros((4, 8, 8), dtype=np.uint16)
    >>> labels[1:3, 2:6, 2:6] = 7
    >>> shapes = measure_shapes(Masks(labels, Geometry(labels.shape, np.zeros(3), np.ones(3), np.eye(3))))
    >>> {label: shape.volume_mm3 for label, shape in shapes.items()}
    {7: 32.0}
    """
    return {label: measure_shape(mask, geometry) for label, _, mask, geometry in _nodes(masks)}


def measure_masks(volume: Volume, masks: Masks) -> list[LymphNode]:
    """Measure every node of an instance mask, in the order of the labels; labels may have gaps.

    >>> labels = np.zeros((4, 8, 8), dtype=np.uint16)
    >>> labels[1:3, 2:6, 2:6] = 7
    >>> grid = Geometry(labels.shape, np.zeros(3), np.ones(3), np.eye(3))
    >>> ct = Volume(np.full(labels.shape, 40, dtype=np.int16), grid)
    >>> for node in measure_masks(ct, Masks(labels, grid)):
    ...     print(node.node, node.point_mm, node.sizes.volume_mm3, node.sizes.mean_hu)
    7 (3.5, 3.5, 1.5) 32.0 40.0

    Args:
        volume: The CT, in any orientation.
        masks: Instance masks on the CT's grid.

    Returns:
        One node for each label. Its ``point_mm`` is the mask's centroid, and
        ``index_ijk`` the voxel there, in the array as the volume holds it.

    Raises:
        ValueError: If the masks do not lie on the volume's grid, within 0.1 mm.
    """
    if not masks.geometry.matches(volume.geometry, tolerance_mm=0.1):
        raise ValueError("the masks do not lie on the volume's grid")
    nodes = []
    for label, box, mask, geometry in _nodes(Masks(masks.labels, volume.geometry)):
        sizes = measure_mask(mask, geometry, volume.hu[box])
        nodes.append(LymphNode(label, sizes.centroid_mm, volume.geometry.nearest_voxel(sizes.centroid_mm), sizes))
    return nodes


def _nodes(masks: Masks) -> Iterator[tuple[int, tuple[slice, ...], NDArray[np.bool_], Geometry]]:
    """Yield the label, the box (z, y, x), the mask within the box and the box's geometry of every node."""
    from scipy.ndimage import find_objects

    for label, box in enumerate(find_objects(masks.labels), start=1):
        if box is not None:
            mask = masks.labels[box] == label
            yield label, box, mask, masks.geometry.crop([part.start for part in box], mask.shape)


@dataclass(frozen=True)
class _Line:
    """The longest line across an outline.

    Attributes:
        outline: Vertices of the outline in the plane of its slice, mm, ``(n, 2)``.
        ends: The ends of the line, likewise, ``(2, 2)``.
        origin_mm: The origin of the plane; x, y, z in LPS mm.
        frame: The axes of the plane as columns, ``(3, 2)``, LPS.
    """

    outline: NDArray[np.float64]
    ends: NDArray[np.float64]
    origin_mm: NDArray[np.float64]
    frame: NDArray[np.float64]

    @cached_property
    def direction(self) -> NDArray[np.float64]:
        return np.asarray(self.ends[1] - self.ends[0])

    @cached_property
    def length_mm(self) -> float:
        return float(np.linalg.norm(self.direction))

    def diameter(self, ends: NDArray[np.float64]) -> Diameter:
        start, end = self.origin_mm + ends @ self.frame.T
        return Diameter(_point(start), _point(end), float(np.linalg.norm(end - start)))


def _longest_line(mask: NDArray[np.bool_], grid: Geometry, axes: tuple[int, ...], best: _Line | None = None) -> _Line:
    """Return the longest line across an outline on any slice across ``axes`` (0 z, 1 y, 2 x), or ``best`` if longer."""
    slices = [(bound, axis, index) for axis in axes for index, bound in enumerate(_bounds_mm(mask, grid, axis))]
    for bound, axis, index in sorted(slices, reverse=True):
        if best is not None and bound <= best.length_mm:
            break
        for outline in outlines(np.moveaxis(mask, axis, 0)[index], np.delete(grid.spacing_zyx, axis)):
            line = _line_across(outline, grid, axis, index)
            if best is None or line.length_mm > best.length_mm:
                best = line
    if best is None:
        raise ValueError("the mask holds no voxel")
    return best


def _bounds_mm(mask: NDArray[np.bool_], grid: Geometry, axis: int) -> list[float]:
    """Return an upper limit of the diameters on each slice across ``axis``: the diagonal of its bounding box."""
    slices = np.moveaxis(mask, axis, 0)
    row_mm, column_mm = np.delete(grid.spacing_zyx, axis)
    height, width = _extents(np.asarray(slices.any(axis=2))), _extents(np.asarray(slices.any(axis=1)))
    return [float(bound) for bound in np.hypot(height * row_mm, width * column_mm)]


def _extents(mask: NDArray[np.bool_]) -> NDArray[np.int_]:
    """Return, for each row, the number of places from the first True to the last."""
    extents = mask.shape[1] - mask.argmax(axis=1) - mask[:, ::-1].argmax(axis=1)
    return np.where(mask.any(axis=1), extents, 0)


def _line_across(outline: NDArray[np.float64], grid: Geometry, axis: int, index: int) -> _Line:
    """Return the longest line across an outline, given in fractional indices of slice ``index`` across ``axis``."""
    from scipy.spatial.distance import cdist

    points_mm = grid.index_to_mm(np.insert(outline, axis, index, axis=1)[:, ::-1])
    # QR makes the axes exactly perpendicular even if the header's direction cosines are rounded.
    frame = np.linalg.qr(np.delete(grid.direction, 2 - axis, axis=1))[0]
    origin_mm = points_mm.mean(axis=0)
    flat = (points_mm - origin_mm) @ frame
    ends = np.unravel_index(cdist(flat, flat).argmax(), (len(flat), len(flat)))
    return _Line(flat, flat[list(ends)], origin_mm, frame)


def _longest_chord_across(points: NDArray[np.float64], direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ends ``(2, 2)`` of the longest line within a closed polygon ``(n, 2)`` perpendicular to ``direction``.

    Between two neighbouring vertices the length of the chord changes linearly,
    so the longest chord passes through a vertex. Lines just before and just
    behind each vertex are tried, where every crossing is unambiguous.
    """
    along = direction / np.linalg.norm(direction)
    across = np.array([-along[1], along[0]])
    u, v = points @ along, points @ across
    u_next, v_next = np.roll(u, -1), np.roll(v, -1)
    hair = 1e-9 * np.ptp(u)
    lines = np.concatenate([u - hair, u + hair])[:, None]
    crossed = (u < lines) != (u_next < lines)
    step = np.divide(lines - u, u_next - u, out=np.zeros(crossed.shape), where=crossed)
    # Sorted along each line, crossings are pairs: ends of stretches within. Edges without a crossing are NaN, and last.
    places = np.sort(np.where(crossed, v + step * (v_next - v), np.nan), axis=1)
    stretches = places[:, 1::2] - places[:, 0:-1:2]
    line, stretch = np.unravel_index(np.nanargmax(stretches), stretches.shape)
    return np.outer([lines[line, 0]] * 2, along) + np.outer(places[line, 2 * stretch : 2 * stretch + 2], across)


def _point(xyz: NDArray[np.float64]) -> Point:
    x, y, z = (float(value) for value in xyz)
    return x, y, z
