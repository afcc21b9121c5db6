from __future__ import annotations

import numpy as np
import pytest

from ctlymph.core.peaks import local_maxima, separated


def test_local_maxima_are_higher_than_their_neighbours_also_at_the_edge() -> None:
    array = np.zeros((5, 6, 7))
    array[2, 3, 3], array[2, 3, 4], array[0, 0, 0], array[4, 5, 6] = 3, 2, 1, 1
    assert local_maxima(array, array > 0).tolist() == [[0, 0, 0], [2, 3, 3], [4, 5, 6]]
    assert local_maxima(array, array > 1).tolist() == [[2, 3, 3]]
    assert local_maxima(array, array > 5).shape == (0, 3)


def one_by_one(points: np.ndarray, own: np.ndarray, kept: np.ndarray, max_count: int) -> list[int]:
    rows: list[int] = []
    for row, point in enumerate(points):
        near = [np.linalg.norm(point - points[other]) < max(own[row], kept[other]) for other in rows]
        if not any(near) and len(rows) < max_count:
            rows.append(row)
    return rows


@pytest.mark.parametrize("seed", range(5))
def test_separated_points_are_those_that_a_search_one_by_one_keeps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, own, kept = rng.uniform(0, 30, (60, 3)), rng.uniform(0, 12, 60), rng.uniform(0, 12, 60)
    for max_count in (1, 7, 60):
        assert separated(points, own, kept, max_count).tolist() == one_by_one(points, own, kept, max_count)
    assert separated(points, own, kept).tolist() == one_by_one(points, own, kept, 60)


def test_points_may_come_as_near_as_the_distance_itself() -> None:
    assert separated([[0.0, 0], [3, 4], [3, 3.9]], 5.0).tolist() == [0, 1]
    assert separated([[0.0, 0], [3, 4]], np.nextafter(5.0, np.inf)).tolist() == [0]


def test_no_points_are_no_fault() -> None:
    assert separated(np.empty((0, 3)), 5.0).shape == (0,)
