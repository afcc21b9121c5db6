from __future__ import annotations

import numpy as np
import pytest

from contexts import scene_with_nodes
from ctlymph.detectors.base import Candidates, TrueNodes


def test_a_candidate_teaches_what_it_lies_on() -> None:
    truth = TrueNodes(np.array([[0.0, 0, 0], [100, 0, 0], [200, 0, 0]]), np.array([12.0, 8.0, np.nan]), None)
    beside = [[9.9, 0, 0], [10.1, 0, 0], [14.9, 0, 0], [15.1, 0, 0], [100, 0, 0], [214, 0, 0], [50, 0, 0]]
    assert truth.labels(np.array(beside)).tolist() == [1, -1, -1, 0, -1, -1, 0]


def test_without_nodes_every_candidate_is_off_them() -> None:
    truth = TrueNodes(np.empty((0, 3)), np.empty(0), None)
    assert truth.labels(np.zeros((2, 3))).tolist() == [0, 0]


def test_new_scores_give_a_new_order_and_leave_features_behind() -> None:
    points = np.arange(9.0).reshape(3, 3)
    given = Candidates(points, np.array([0.9, 0.5, 0.1]), np.array([5.0, 6, 7]), np.arange(3))
    assert given.chosen(np.array([2, 0])).features.tolist() == [2, 0]
    found = given.scored(np.array([0.2, 0.8, 0.2]))
    assert found.scores.tolist() == [0.8, 0.2, 0.2]
    assert found.features.size == 0
    assert found.radii_mm.tolist() == [6, 5, 7]
    assert found.marks("abdomen")[0].point_mm == (3, 4, 5)


@pytest.mark.parametrize("spacing", [(1.5, 1.5, 2.0), (0.8, 0.8, 5.0)])
def test_the_grid_shows_the_ct_in_its_place(spacing: tuple[float, float, float]) -> None:
    context, truth = scene_with_nodes(1, spacing=spacing)
    at = np.rint(context.grid.mm_to_index(truth.points_mm)).astype(int)[:, ::-1]
    assert (np.abs(context.hu[tuple(at.T)] - 60) < 40).all()
    assert {tuple(row) for row in at} <= {tuple(row) for row in context.tissue}
    assert context.hu[tuple(context.tissue.T)].mean() > 0 > context.hu.mean()
