"""Examples to review: the highest-scoring false positives, the largest missed nodes, the lowest-scoring hits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError
from ctlymph.core.nodes import Point
from ctlymph.core.progress import SILENT, Progress
from ctlymph.core.volume import Volume
from ctlymph.evaluation.detections import Bools, Floats
from ctlymph.evaluation.matching import Matches
from ctlymph.evaluation.protocol import DetectorResult
from ctlymph.evaluation.readers.cts import Scans
from ctlymph.outputs.slice_images import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    ViewPlane,
    caption,
    frame_about,
    jpeg,
    rows_columns,
    square,
)

MAX_EXAMPLES = 12
"""Of each kind, for each detector."""

_WIDTH_MM = 80.0
_MARK_RADIUS_MM = 2.0
_UNKNOWN_RADIUS_MM = 5.0


@dataclass(frozen=True)
class Ring:
    """A ring in a picture about a mark or a node, mm from the upper left corner; ``kind`` is ``mark`` or ``node``."""

    kind: str
    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class ExamplePicture:
    """A square cut out of the CT, with the detections and nodes that cross it."""

    plane: ViewPlane
    caption: str
    width_mm: float
    image: str
    rings: tuple[Ring, ...]


@dataclass(frozen=True)
class Example:
    """A false positive, a missed node, or a node that was hit.

    Attributes:
        case: Its case.
        point_mm: Its place, LPS mm.
        score: Of the mark, or of the mark that hit the node; None for a missed node.
        short_axis_mm: Of the node; None for a mark, or where not known.
        about: The node's name and station; empty for a mark.
        nearest_mm: From the mark to the nearest node, from the node to the nearest mark of the case; None without any.
        pictures: Axial, coronal and sagittal; empty without a CT.
        why_none: Why there are no pictures.
    """

    case: str
    point_mm: Point
    score: float | None
    short_axis_mm: float | None
    about: str
    nearest_mm: float | None
    pictures: tuple[ExamplePicture, ...] = ()
    why_none: str = ""


@dataclass(frozen=True)
class ExampleImages:
    """Examples of one detector: by falling score, by falling short axis, by rising score."""

    false: tuple[Example, ...]
    missed: tuple[Example, ...]
    hit: tuple[Example, ...]
    all_false: int
    all_missed: int
    all_hit: int


def examples(result: DetectorResult, count: int = MAX_EXAMPLES) -> ExampleImages:
    """Return the examples of one detector, without pictures."""
    matches = result.matches
    detections, truth = matches.detections, matches.truth
    false = np.flatnonzero(matches.false)
    is_hit = np.isfinite(matches.node_score)
    missed, hit = np.flatnonzero(~matches.excluded & ~is_hit), np.flatnonzero(~matches.excluded & is_hit)
    highest = false[np.argsort(-detections.scores[false], kind="stable")][:count]
    largest = missed[np.argsort(-np.nan_to_num(truth.short_axis_mm[missed]), kind="stable")][:count]
    lowest = hit[np.argsort(matches.node_score[hit], kind="stable")][:count]
    return ExampleImages(
        tuple(
            Example(
                truth.cases[matches.case[row]],
                _point(detections.points_mm[row]),
                float(detections.scores[row]),
                None,
                "",
                _nearest(detections.points_mm[row], truth.points_mm, truth.case == matches.case[row]),
            )
            for row in highest
        ),
        tuple(_of_node(matches, row) for row in largest),
        tuple(_of_node(matches, row) for row in lowest),
        len(false),
        len(missed),
        len(hit),
    )


def _of_node(matches: Matches, row: int) -> Example:
    detections, truth = matches.detections, matches.truth
    score = matches.node_score[row]
    return Example(
        truth.cases[truth.case[row]],
        _point(truth.points_mm[row]),
        float(score) if np.isfinite(score) else None,
        None if np.isnan(truth.short_axis_mm[row]) else float(truth.short_axis_mm[row]),
        " ".join(filter(None, (f"node {truth.ids[row]}", truth.stations[row]))),
        _nearest(truth.points_mm[row], detections.points_mm, matches.case == truth.case[row]),
    )


def _point(row: Floats) -> Point:
    x, y, z = (float(mm) for mm in row)
    return x, y, z


def _nearest(point_mm: Floats, others_mm: Floats, of_case: Bools) -> float | None:
    away = np.linalg.norm(others_mm[of_case] - point_mm, axis=1)
    return float(away.min()) if len(away) else None


def with_pictures(
    chosen: Sequence[tuple[DetectorResult, ExampleImages]], scans: Scans, progress: Progress = SILENT
) -> list[ExampleImages]:
    """Cut the pictures of all detectors' examples out of the CTs, one CT at a time."""
    by_case: dict[str, dict[tuple[int, Example], Example]] = {}
    for number, (_, each) in enumerate(chosen):
        for example in (*each.false, *each.missed, *each.hit):
            by_case.setdefault(example.case, {})[number, example] = example
    with progress.task("Pictures", len(by_case)) as advance:
        for case, found in by_case.items():
            volume, why_none = _read(case, scans)
            for number, example in found:
                found[number, example] = (
                    replace(example, why_none=why_none)
                    if volume is None
                    else _pictured(example, volume, chosen[number][0])
                )
            advance(1)
    return [
        replace(
            each,
            false=tuple(by_case[one.case][number, one] for one in each.false),
            missed=tuple(by_case[one.case][number, one] for one in each.missed),
            hit=tuple(by_case[one.case][number, one] for one in each.hit),
        )
        for number, (_, each) in enumerate(chosen)
    ]


def _read(case: str, scans: Scans) -> tuple[Volume | None, str]:
    if case not in scans:
        return None, "no CT of this case was given"
    try:
        return scans[case]().reorient("LPS"), ""
    except CtlymphError as error:
        return None, str(error)


def _pictured(example: Example, volume: Volume, result: DetectorResult) -> Example:
    if not volume.geometry.contains(example.point_mm):
        return replace(example, why_none="it lies outside the CT that was given: another scan, or another frame")
    pictures = tuple(_picture(example, volume, result, plane) for plane in (AXIAL, CORONAL, SAGITTAL))
    return replace(example, pictures=pictures)


def _picture(example: Example, volume: Volume, result: DetectorResult, plane: ViewPlane) -> ExamplePicture:
    grid = volume.geometry
    frame = frame_about(grid, plane, grid.mm_to_index(example.point_mm)[::-1], _WIDTH_MM)
    section = np.moveaxis(volume.hu, plane.axis, 0)[frame.index]
    box = frame.box(section.shape)
    start = np.array([subset.start for subset in box])
    matches = result.matches
    detections, truth = matches.detections, matches.truth
    case = truth.cases.index(example.case)
    rings = [
        ring
        for kind, points, radii in (
            ("node", truth.points_mm[truth.case == case], truth.short_axis_mm[truth.case == case] / 2),
            (
                "mark",
                detections.points_mm[matches.case == case],
                np.full((matches.case == case).sum(), _MARK_RADIUS_MM),
            ),
        )
        for ring in _rings(kind, points, np.nan_to_num(radii, nan=_UNKNOWN_RADIUS_MM), volume, plane, example.point_mm)
    ]
    return ExamplePicture(
        plane, caption(grid, frame), _WIDTH_MM, jpeg(square(section[box], start, frame), quality=85), tuple(rings)
    )


def _rings(
    kind: str, points_mm: Floats, radii_mm: Floats, volume: Volume, plane: ViewPlane, centre_mm: Point
) -> list[Ring]:
    """Ring what crosses the plane within the picture."""
    grid = volume.geometry
    if not len(points_mm):
        return []
    centre = grid.mm_to_index(centre_mm)[::-1]
    frame = frame_about(grid, plane, centre, _WIDTH_MM)
    depth_mm = np.abs(grid.mm_to_index(points_mm)[:, 2 - plane.axis] - frame.index) * grid.spacing_zyx[plane.axis]
    at: NDArray[np.float64] = frame.to_picture(rows_columns([_point(row) for row in points_mm], grid, plane))
    seen = (depth_mm <= np.maximum(radii_mm, grid.spacing_zyx[plane.axis])) & (at >= 0).all(axis=1)
    seen &= (at <= _WIDTH_MM).all(axis=1)
    return [Ring(kind, float(at[n, 0]), float(at[n, 1]), float(radii_mm[n])) for n in np.flatnonzero(seen)]
