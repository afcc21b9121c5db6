"""Detections and nodes written down in a line each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ctlymph.evaluation.detections import Detections, GroundTruth

Place = tuple[float, float, float]


def make_truth(
    nodes: Sequence[tuple[int, Place, float]],
    cases: int = 1,
    patients: Sequence[str] | None = None,
    regions: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    box_mm: float | None = None,
) -> GroundTruth:
    """Make nodes of (case, point, short axis); long axes are 1.5 times as long."""
    points = np.array([node[1] for node in nodes], float).reshape(-1, 3)
    short = np.array([node[2] for node in nodes], float)
    return GroundTruth(
        cases=tuple(f"case {number}" for number in range(cases)),
        patients=tuple(patients or (f"patient {number}" for number in range(cases))),
        regions=tuple(regions or ("",) * cases),
        case=np.array([node[0] for node in nodes], np.int32),
        points_mm=points,
        short_axis_mm=short,
        long_axis_mm=short * 1.5,
        stations=("",) * len(nodes),
        ids=tuple(ids or (str(number) for number in range(1, len(nodes) + 1))),
        boxes_mm=None if box_mm is None else np.stack([points - box_mm / 2, points + box_mm / 2], axis=1),
    )


def make_marks(
    marks: Sequence[tuple[int, Place, float]], cases: int = 1, box_mm: float | None = None, name: str = "toy"
) -> Detections:
    """Make detections of (case, point, score)."""
    points = np.array([mark[1] for mark in marks], float).reshape(-1, 3)
    return Detections(
        name=name,
        cases=tuple(f"case {number}" for number in range(cases)),
        case=np.array([mark[0] for mark in marks], np.int32),
        points_mm=points,
        scores=np.array([mark[2] for mark in marks], float),
        boxes_mm=None if box_mm is None else np.stack([points - box_mm / 2, points + box_mm / 2], axis=1),
    )


def methods_toy() -> tuple[Detections, GroundTruth]:
    """Scan 0 holds A and B, scan 1 holds C; 0.9 on A, 0.8 on A again, 0.7 on nothing, 0.6 on B, 0.5 on C."""
    a, b, c, nothing = (0.0, 0.0, 0.0), (50.0, 0.0, 0.0), (0.0, 70.0, 0.0), (0.0, 0.0, 300.0)
    truth = make_truth([(0, a, 12), (0, b, 12), (1, c, 12)], cases=2)
    return make_marks([(0, a, 0.9), (0, a, 0.8), (1, nothing, 0.7), (0, b, 0.6), (1, c, 0.5)], cases=2), truth
