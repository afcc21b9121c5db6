"""Search regions as sets of points."""

from __future__ import annotations

import numpy as np

from ctlymph.core.regions import Region
from ctlymph.core.volume import Geometry


def test_a_region_holds_the_points_of_its_voxels_and_no_point_beyond_its_grid() -> None:
    mask = np.zeros((2, 3, 4), dtype=bool)
    mask[1, 2, 0] = mask[0, 0, 3] = True
    region = Region("abdomen", mask, Geometry(mask.shape, np.array([10.0, 20.0, -30.0]), np.array([2.0, 3.0, 5.0])))
    inside = [(10.0, 26.0, -25.0), (10.9, 27.4, -27.4), (16.0, 20.0, -30.0)]
    outside = [(10.0, 26.0, -30.0), (11.1, 26.0, -25.0), (8.0, 26.0, -25.0), (10.0, 29.0, -25.0), (16.0, 20.0, -35.0)]
    assert region.contains([*inside, *outside]).tolist() == [True] * 3 + [False] * 5
