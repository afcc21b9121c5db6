"""What the tests of result files share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ctlymph.core.result import Result
from ctlymph.core.volume import Geometry, Masks, Volume
from ctlymph.measurement.axes import measure_masks


@pytest.fixture
def result() -> Result:
    """Two ellipsoidal nodes, labels 2 and 5, in a small noisy volume whose j axis grows to the front."""
    grid = Geometry((24, 80, 90), np.array([-30.0, 40.0, -500.0]), np.array([0.8, 0.8, 2.5]), np.diag([1.0, -1, 1]))
    k, j, i = np.indices(grid.shape_zyx)
    points = grid.index_to_mm(np.stack([i, j, k], axis=-1))
    labels = np.zeros(grid.shape_zyx, dtype=np.uint16)
    for label, (centre, half) in {2: ([0, 10, -480], [10, 6, 8]), 5: ([25, -5, -460], [5, 5, 5])}.items():
        labels[(((points - centre) / half) ** 2).sum(axis=-1) <= 1] = label
    hu = np.random.default_rng(3).normal(-80, 15, grid.shape_zyx)
    hu[labels > 0] += 130
    volume = Volume(hu.astype(np.int16), grid, case="CASE_007")
    nodes = [
        replace(node, score=score, region="abdomen", model="blobs")
        for node, score in zip(measure_masks(volume, Masks(labels, grid)), (0.91, 0.34), strict=True)
    ]
    return Result(
        volume,
        Masks(labels, grid),
        nodes,
        regions=("abdomen",),
        model="blobs",
        trained_on="Not trained; its numbers come from the literature.",
        thresholds={"abdomen": 0.2},
        notes=("2 slices were dropped as duplicates",),
        seconds={"read": 0.51, "detect": 2.04},
    )
