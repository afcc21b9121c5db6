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

from ctlymph.io.pictures import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    Frame,
    Plane,
    caption,
    frame_about,
    grey,
    jpeg,
    rows_columns,
    square,
)
from ctlymph.nodes import Diameter, LymphNode
from ctlymph.outline import outlines
from ctlymph.volume import Geometry

if TYPE_CHECKING:
    from ctlymph.io.results import Result

_VIEW_MM = 90.0
_OVERVIEW_STEP_MM = 1.5
_MARGIN_MM = 26.0
_LABEL_MM = 13.0


@dataclass(frozen=True)
class Stroke:
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
class View:
    """A square picture through a node: pixels, and vectors in mm from its upper left corner."""

    plane: Plane
    caption: str
    width_mm: float
    image: str
    outline: str
    neighbours: str
    strokes: tuple[Stroke, ...]


@dataclass(frozen=True)
class Pin:
    """A node in an overview, and its number in the margin; mm from the picture's upper left corner."""

    node: LymphNode
    x: float
    y: float
    label_x: float
    label_y: float


@dataclass(frozen=True)
class Overview:
    """The whole volume seen through along one axis."""

    plane: Plane
    width_mm: float
    height_mm: float
    margin_mm: float
    label_mm: float
    image: str
    pins: tuple[Pin, ...]


@dataclass(frozen=True)
class Card:
    """A node with its pictures and what its size means in RECIST 1.1."""

    node: LymphNode
    size_class: str
    size_words: str
    views: tuple[View, ...]


@dataclass(frozen=True, eq=False)
class _Scene:
    """The CT and its masks with i, j, k growing to the left, the back and the head."""

    hu: NDArray[np.int16]
    labels: NDArray[np.uint16]
    grid: Geometry


def write_report(path: Path, result: Result) -> None:
    """Write the report of one CT: a single HTML file that needs nothing else, scripts and pictures included."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    volume = result.volume.reorient("LPS")
    scene = _Scene(volume.hu, result.masks.reorient("LPS").labels, volume.geometry)
    cards = [_card(scene, node) for node in result.nodes]
    environment = Environment(
        loader=PackageLoader("ctlymph.io"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["minus"] = lambda text: str(text).replace("-", "−")
    html = environment.get_template("report.html.j2").render(
        result=result,
        grid=scene.grid,
        cards=cards,
        overviews=[_overview(scene, result.nodes, plane) for plane in (CORONAL, SAGITTAL)],
        classes=Counter(card.size_class for card in cards),
        notes=[*result.notes, *_tilt_note(volume.geometry)],
        series_description=volume.attributes.get("SeriesDescription", ""),
        version=version("ctlymph"),
    )
    path.write_text(html, encoding="utf-8")


def _card(scene: _Scene, node: LymphNode) -> Card:
    sizes = node.sizes
    width_mm = max(_VIEW_MM, 10 * math.ceil(0.15 * sizes.any_plane_long_axis.length_mm))
    centre = scene.grid.mm_to_index(sizes.centroid_mm)[::-1]
    # The axes lie on the slice where they were measured, which need not be the one through the centroid.
    measured = np.array([scene.grid.mm_to_index(sizes.long_axis.start_mm)[2], *centre[1:]])
    views = (
        _view(scene, AXIAL, node, measured, width_mm),
        _view(scene, CORONAL, node, centre, width_mm),
        _view(scene, SAGITTAL, node, centre, width_mm),
    )
    return Card(node, *_size_class(sizes.short_axis.length_mm), views)


def _size_class(short_axis_mm: float) -> tuple[str, str]:
    """Name the RECIST 1.1 class (Eisenhauer 2009): short axis 15 mm and more, 10 to 15 mm, below 10 mm."""
    if short_axis_mm >= 15:
        return "target", "target size, 15 mm or more"
    if short_axis_mm >= 10:
        return "enlarged", "non-target size, 10 to 15 mm"
    return "normal", "normal size, below 10 mm"


def _view(scene: _Scene, plane: Plane, node: LymphNode, centre_zyx: NDArray[np.float64], width_mm: float) -> View:
    frame = frame_about(scene.grid, plane, centre_zyx, width_mm)
    section = np.moveaxis(scene.hu, plane.axis, 0)[frame.index]
    box = frame.box(section.shape)
    labels = np.moveaxis(scene.labels, plane.axis, 0)[frame.index][box]
    start = np.array([part.start for part in box])
    others = [label for label in np.unique(labels) if label not in (0, node.node)]
    strokes = _strokes(scene.grid, frame, node) if plane is AXIAL else ()
    return View(
        plane=plane,
        caption=caption(scene.grid, frame),
        width_mm=width_mm,
        image=jpeg(square(section[box], start, frame), quality=85),
        outline=_path(labels == node.node, start, frame),
        neighbours=" ".join(_path(labels == label, start, frame) for label in others),
        strokes=strokes,
    )


def _path(mask: NDArray[np.bool_], start: NDArray[np.int_], frame: Frame) -> str:
    """Draw the outlines of a part of a slice as an SVG path in mm."""
    polygons = [frame.to_picture(polygon[::2] + start) for polygon in outlines(mask, frame.spacing_mm)]
    return " ".join("M" + " ".join(f"{x:.2f},{y:.2f}" for x, y in polygon) + "Z" for polygon in polygons)


def _strokes(grid: Geometry, frame: Frame, node: LymphNode) -> tuple[Stroke, ...]:
    return (
        _stroke("long", node.sizes.long_axis, grid, frame),
        _stroke("short", node.sizes.short_axis, grid, frame),
    )


def _stroke(kind: str, line: Diameter, grid: Geometry, frame: Frame) -> Stroke:
    ends = frame.to_picture(rows_columns([line.start_mm, line.end_mm], grid, frame.plane))
    # The length stands beyond the end that is further to the right, clear of the node.
    near, far = ends[np.argsort(ends[:, 0])]
    text = far + (far - near) / max(np.linalg.norm(far - near), 1e-6) * 5.5
    (x1, y1), (x2, y2) = ends.tolist()
    return Stroke(kind, x1, y1, x2, y2, float(text[0]), float(text[1]), f"{line.length_mm:.1f}")


def _overview(scene: _Scene, nodes: Sequence[LymphNode], plane: Plane) -> Overview:
    """Look through the whole volume, as a radiograph does, and number the nodes in the margins."""
    step = np.maximum(1, np.floor(_OVERVIEW_STEP_MM / scene.grid.spacing_zyx).astype(int))
    thinned = scene.hu[tuple(slice(None, None, int(n)) for n in step)]
    seen = np.clip(thinned, -700, 700).mean(axis=plane.axis, dtype=np.float32)[::-1]
    row_mm, column_mm = np.delete(scene.grid.spacing_zyx, plane.axis)
    rows, columns = np.delete(scene.grid.shape_zyx, plane.axis)
    height_mm, width_mm = float(rows * row_mm), float(columns * column_mm)
    indices = rows_columns([node.point_mm for node in nodes], scene.grid, plane) if nodes else np.zeros((0, 2))
    points = np.stack([(indices[:, 1] + 0.5) * column_mm, height_mm - (indices[:, 0] + 0.5) * row_mm], axis=1)
    pins, label_mm = _pins(nodes, points, width_mm, height_mm)
    image = jpeg(_stretched(seen, width_mm, height_mm), quality=82)
    return Overview(plane, width_mm, height_mm, _MARGIN_MM, label_mm, image, pins)


def _stretched(seen: NDArray[np.float32], width_mm: float, height_mm: float) -> NDArray[np.uint8]:
    """Spread the greys over what is seen of the body, and make the pixels square."""
    from PIL import Image

    low, high = np.percentile(seen, [2, 99.7])
    size = (max(1, round(width_mm / _OVERVIEW_STEP_MM)), max(1, round(height_mm / _OVERVIEW_STEP_MM)))
    image = Image.fromarray(grey(seen, float(low), max(float(high), float(low) + 1)))
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC))


def _pins(
    nodes: Sequence[LymphNode], points: NDArray[np.float64], width_mm: float, height_mm: float
) -> tuple[tuple[Pin, ...], float]:
    """Place the numbers in the nearer margin, none over another; give also the height of their text."""
    on_left = points[:, 0] < width_mm / 2
    crowd = max(int(on_left.sum()), int((~on_left).sum()), 1)
    gap = min(_LABEL_MM, height_mm / crowd)
    pins = []
    for side, x in ((on_left, -_MARGIN_MM / 2), (~on_left, width_mm + _MARGIN_MM / 2)):
        order = sorted((int(n) for n in np.flatnonzero(side)), key=lambda n: float(points[n, 1]))
        heights = _spread([float(points[n, 1]) for n in order], gap, gap / 2, height_mm - gap / 2)
        pins += [
            Pin(nodes[n], float(points[n, 0]), float(points[n, 1]), x, y) for n, y in zip(order, heights, strict=True)
        ]
    return tuple(pins), 0.8 * gap


def _spread(wanted: list[float], gap: float, low: float, high: float) -> list[float]:
    """Move sorted places apart until neighbours are ``gap`` apart, within ``low`` and ``high`` if they fit."""
    places = list(wanted)
    for n in range(len(places)):
        places[n] = max(places[n], low if n == 0 else places[n - 1] + gap)
    for n in reversed(range(len(places))):
        places[n] = min(places[n], high if n == len(places) - 1 else places[n + 1] - gap)
    return places


def _tilt_note(upright: Geometry) -> list[str]:
    cosine = np.clip(np.diag(upright.direction), -1, 1).min()
    degrees = math.degrees(math.acos(float(cosine)))
    if degrees < 1:
        return []
    return [
        f"The scan's axes are tilted by up to {degrees:.0f}° to the patient's; pictures and sizes follow the scan's"
    ]
