"""A made-up patient for the tests: balls in noise, scan after scan."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np

from ctlymph.core.volume import Geometry, Masks, Volume
from ctlymph.followup.course import Course, FollowUp, NodeRef, Visit
from ctlymph.followup.recist import assess_response
from ctlymph.measurement.axes import measure_masks

Ball = tuple[tuple[float, float, float], float]
"""Centre, LPS mm, and diameter, mm."""


def scan(
    balls: Mapping[int, Ball], seed: int, shape_zyx: tuple[int, int, int] = (40, 110, 120)
) -> tuple[Volume, Masks]:
    """Fat with balls of soft tissue, by their labels; where two overlap the later has it."""
    grid = Geometry(shape_zyx, np.array([-60.0, -55.0, -40.0]), np.array([1.0, 1.0, 2.0]))
    k, j, i = np.indices(grid.shape_zyx)
    points = grid.index_to_mm(np.stack([i, j, k], axis=-1))
    labels = np.zeros(grid.shape_zyx, dtype=np.uint16)
    for label, (centre, diameter) in balls.items():
        labels[np.linalg.norm(points - centre, axis=-1) <= diameter / 2] = label
    hu = np.random.default_rng(seed).normal(-90, 14, grid.shape_zyx)
    hu[labels > 0] += 130
    return Volume(hu.astype(np.int16), grid), Masks(labels, grid)


def followed(
    scans: list[Mapping[int, Ball]],
    parents: Mapping[NodeRef, tuple[NodeRef, ...]],
    days: list[date | None],
    patient: str = "PATIENT_7",
) -> FollowUp:
    """Measure, and judge, a patient of known lineage."""
    pairs = [scan(balls, seed) for seed, balls in enumerate(scans)]
    visits = tuple(
        Visit(number, f"scan {number}", day, tuple(measure_masks(*pair)))
        for number, (pair, day) in enumerate(zip(pairs, days, strict=True))
    )
    course = Course(
        visits, {ref: () for n, balls in enumerate(scans) if n for ref in ((n, each) for each in balls)} | dict(parents)
    )
    volumes, masks = zip(*pairs, strict=True)
    return FollowUp(patient, volumes, masks, course, assess_response(course), notes=("scan 2 was turned by 1.2°",))


def patient() -> FollowUp:
    """Two targets (1, 2) that shrink and merge, a non-target (3) that vanishes, a normal node (4), a new lesion (6)."""
    return followed(
        [
            {1: ((-20, -10, 0), 24), 2: ((4, -10, 0), 18), 3: ((30, 20, 10), 12.6), 4: ((-30, 30, -10), 8)},
            {1: ((-19, -10, 0), 16), 2: ((2, -10, 0), 13), 4: ((-30, 30, -10), 8)},
            {5: ((-14, -10, 0), 17), 4: ((-30, 30, -10), 8), 6: ((40, -30, 5), 14), 7: ((30, 20, 10), 9)},
        ],
        {
            (1, 1): ((0, 1),),
            (1, 2): ((0, 2),),
            (1, 4): ((0, 4),),
            (2, 5): ((1, 1), (1, 2)),
            (2, 4): ((1, 4),),
            (2, 7): ((0, 3),),
        },
        [date(2024, 1, 10), date(2024, 3, 12), date(2024, 6, 4)],
    )
