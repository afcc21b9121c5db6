"""The report: one self-contained page with a table and pictures of every node on three planes.

Pictures show the array's own planes nearest to axial, coronal and sagittal, in
radiological convention: the patient's right on the viewer's left, the front or
the head up. Pixels are made square by bicubic interpolation before windowing;
outlines and axes lie over them as vectors, in mm.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.nodes import LymphNode
from ctlymph.core.volume import Geometry
from ctlymph.outputs.html import page_environment
from ctlymph.outputs.node_views import NodeView, UprightScan, view_of
from ctlymph.outputs.slice_images import AXIAL, CORONAL, SAGITTAL, ViewPlane, grey, jpeg, rows_columns, spread

if TYPE_CHECKING:
    from ctlymph.core.result import Result

_VIEW_MM = 90.0
_OVERVIEW_STEP_MM = 1.5
_MARGIN_MM = 26.0
_LABEL_MM = 13.0


@dataclass(frozen=True)
class NodePin:
    """A node in an overview, and its number in the margin; mm from the picture's upper left corner."""

    node: LymphNode
    x: float
    y: float
    label_x: float
    label_y: float


@dataclass(frozen=True)
class VolumeOverview:
    """The whole volume, averaged along one axis."""

    plane: ViewPlane
    width_mm: float
    height_mm: float
    margin_mm: float
    label_mm: float
    image: str
    pins: tuple[NodePin, ...]


@dataclass(frozen=True)
class NodeCard:
    """A node with its pictures and what its size means in RECIST 1.1."""

    node: LymphNode
    size_class: str
    size_words: str
    views: tuple[NodeView, ...]


def write_report(path: Path, result: Result) -> None:
    """Write the report of one CT: a single HTML file that needs nothing else, scripts and pictures included."""
    scan, *others = (UprightScan.upright(result.volume, layer) for layer in result.layers)
    held = [(other, set(np.unique(other.labels).tolist())) for other in others]
    cards = [_card(next((other for other, labels in held if node.node in labels), scan), node) for node in result.nodes]
    environment = page_environment()
    html = environment.get_template("report.html.j2").render(
        result=result,
        grid=scan.grid,
        cards=cards,
        overviews=[_overview(scan, result.nodes, plane) for plane in (CORONAL, SAGITTAL)],
        classes=Counter(card.size_class for card in cards),
        notes=[*result.notes, *_tilt_note(scan.grid)],
        series_description=result.volume.attributes.get("SeriesDescription", ""),
        version=version("ctlymph"),
    )
    path.write_text(html, encoding="utf-8")


def _card(scan: UprightScan, node: LymphNode) -> NodeCard:
    sizes = node.sizes
    width_mm = max(_VIEW_MM, 10 * math.ceil(0.15 * sizes.any_plane_long_axis.length_mm))
    views = tuple(view_of(scan, plane, node, width_mm) for plane in (AXIAL, CORONAL, SAGITTAL))
    return NodeCard(node, *_size_class(sizes.short_axis.length_mm), views)


def _size_class(short_axis_mm: float) -> tuple[str, str]:
    """Name the RECIST 1.1 class (Eisenhauer 2009): short axis 15 mm and more, 10 to 15 mm, below 10 mm."""
    if short_axis_mm >= 15:
        return "target", "target size, 15 mm or more"
    if short_axis_mm >= 10:
        return "enlarged", "non-target size, 10 to 15 mm"
    return "normal", "normal size, below 10 mm"


def _overview(scan: UprightScan, nodes: Sequence[LymphNode], plane: ViewPlane) -> VolumeOverview:
    """Return the mean of the volume along one axis, as in a radiograph, with the nodes numbered in the margins."""
    step = np.maximum(1, np.floor(_OVERVIEW_STEP_MM / scan.grid.spacing_zyx).astype(int))
    thinned = scan.hu[tuple(slice(None, None, int(n)) for n in step)]
    seen = np.clip(thinned, -700, 700).mean(axis=plane.axis, dtype=np.float32)[::-1]
    row_mm, column_mm = np.delete(scan.grid.spacing_zyx, plane.axis)
    rows, columns = np.delete(scan.grid.shape_zyx, plane.axis)
    height_mm, width_mm = float(rows * row_mm), float(columns * column_mm)
    indices = rows_columns([node.point_mm for node in nodes], scan.grid, plane) if nodes else np.zeros((0, 2))
    points = np.stack([(indices[:, 1] + 0.5) * column_mm, height_mm - (indices[:, 0] + 0.5) * row_mm], axis=1)
    pins, label_mm = _pins(nodes, points, width_mm, height_mm)
    image = jpeg(_stretched(seen, width_mm, height_mm), quality=82)
    return VolumeOverview(plane, width_mm, height_mm, _MARGIN_MM, label_mm, image, pins)


def _stretched(seen: NDArray[np.float32], width_mm: float, height_mm: float) -> NDArray[np.uint8]:
    """Stretch the grey levels over those of the body, and make the pixels square."""
    from PIL import Image

    low, high = np.percentile(seen, [2, 99.7])
    size = (max(1, round(width_mm / _OVERVIEW_STEP_MM)), max(1, round(height_mm / _OVERVIEW_STEP_MM)))
    image = Image.fromarray(grey(seen, float(low), max(float(high), float(low) + 1)))
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC))


def _pins(
    nodes: Sequence[LymphNode], points: NDArray[np.float64], width_mm: float, height_mm: float
) -> tuple[tuple[NodePin, ...], float]:
    """Place the numbers in the nearer margin, none over another; return also the height of their text."""
    on_left = points[:, 0] < width_mm / 2
    crowd = max(int(on_left.sum()), int((~on_left).sum()), 1)
    gap = min(_LABEL_MM, height_mm / crowd)
    pins = []
    for side, x in ((on_left, -_MARGIN_MM / 2), (~on_left, width_mm + _MARGIN_MM / 2)):
        order = sorted((int(n) for n in np.flatnonzero(side)), key=lambda n: float(points[n, 1]))
        heights = spread([float(points[n, 1]) for n in order], gap, gap / 2, height_mm - gap / 2)
        pins += [
            NodePin(nodes[n], float(points[n, 0]), float(points[n, 1]), x, y)
            for n, y in zip(order, heights, strict=True)
        ]
    return tuple(pins), 0.8 * gap


def _tilt_note(upright: Geometry) -> list[str]:
    cosine = np.clip(np.diag(upright.direction), -1, 1).min()
    degrees = math.degrees(math.acos(float(cosine)))
    if degrees < 1:
        return []
    return [
        f"The scan's axes are tilted by up to {degrees:.0f}° to the patient's; pictures and sizes follow the scan's"
    ]
