"""Views of a node: a square image of a slice through it, with its outline, axes and neighbours as vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.contours import outlines
from ctlymph.core.nodes import Diameter, LymphNode
from ctlymph.core.short_repr import short_repr
from ctlymph.core.volume import Geometry, Masks, Volume
from ctlymph.outputs.slice_images import (
    AXIAL,
    PictureFrame,
    ViewPlane,
    caption,
    frame_about,
    jpeg,
    rows_columns,
    square,
)


@dataclass(frozen=True)
class AxisLine:
    """A line in a picture, mm from its upper left corner, and where its length is written."""

    kind: str
    x1: float
    y1: float
    x2: float
    y2: float
    text_x: float
    text_y: float
    text: str


@dataclass(frozen=True)
class NodeView:
    """A square picture through a node: pixels, and vectors in mm from its upper left corner."""

    plane: ViewPlane
    caption: str
    width_mm: float
    image: str
    outline: str
    neighbours: str
    strokes: tuple[AxisLine, ...]


@dataclass(frozen=True, eq=False)
class UprightScan:
    """A CT and its masks with i, j, k growing to the left, the back and the head."""

    hu: NDArray[np.int16]
    labels: NDArray[np.uint16]
    grid: Geometry

    __repr__ = short_repr

    @classmethod
    def upright(cls, volume: Volume, masks: Masks) -> UprightScan:
        """Turn a CT and the masks on its grid."""
        turned = volume.reorient("LPS")
        return cls(turned.hu, masks.reorient("LPS").labels, turned.geometry)


def view_of(scan: UprightScan, plane: ViewPlane, node: LymphNode, width_mm: float) -> NodeView:
    """Return a node on the slice through its centroid, or on the axial one where it was measured, with the axes."""
    centre = scan.grid.mm_to_index(node.sizes.centroid_mm)[::-1].copy()
    if plane is AXIAL:  # the axes need not lie on the slice through the centroid
        centre[0] = scan.grid.mm_to_index(node.sizes.long_axis.start_mm)[2]
    frame = frame_about(scan.grid, plane, centre, width_mm)
    section = np.moveaxis(scan.hu, plane.axis, 0)[frame.index]
    box = frame.box(section.shape)
    labels = np.moveaxis(scan.labels, plane.axis, 0)[frame.index][box]
    start = np.array([part.start for part in box])
    others = [label for label in np.unique(labels) if label not in (0, node.node)]
    strokes = _strokes(scan.grid, frame, node) if plane is AXIAL else ()
    return NodeView(
        plane=plane,
        caption=caption(scan.grid, frame),
        width_mm=width_mm,
        image=jpeg(square(section[box], start, frame), quality=85),
        outline=_path(labels == node.node, start, frame),
        neighbours=" ".join(_path(labels == label, start, frame) for label in others),
        strokes=strokes,
    )


def _path(mask: NDArray[np.bool_], start: NDArray[np.int_], frame: PictureFrame) -> str:
    """Return the outlines of a part of a slice as an SVG path in mm."""
    polygons = [frame.to_picture(polygon[::2] + start) for polygon in outlines(mask, frame.spacing_mm)]
    return " ".join("M" + " ".join(f"{x:.2f},{y:.2f}" for x, y in polygon) + "Z" for polygon in polygons)


def _strokes(grid: Geometry, frame: PictureFrame, node: LymphNode) -> tuple[AxisLine, ...]:
    return (
        _stroke("long", node.sizes.long_axis, grid, frame),
        _stroke("short", node.sizes.short_axis, grid, frame),
    )


def _stroke(kind: str, line: Diameter, grid: Geometry, frame: PictureFrame) -> AxisLine:
    ends = frame.to_picture(rows_columns([line.start_mm, line.end_mm], grid, frame.plane))
    # The length stands beyond the end that is further to the right, clear of the node.
    near, far = ends[np.argsort(ends[:, 0])]
    text = far + (far - near) / max(np.linalg.norm(far - near), 1e-6) * 5.5
    (x1, y1), (x2, y2) = ends.tolist()
    return AxisLine(kind, x1, y1, x2, y2, float(text[0]), float(text[1]), f"{line.length_mm:.1f}")
