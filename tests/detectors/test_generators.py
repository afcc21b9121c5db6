from __future__ import annotations

import numpy as np
import pytest

from contexts import scene_with_nodes
from ctlymph.core.errors import CtlymphError
from ctlymph.detectors import cherry2014, liu2014
from ctlymph.detectors.base import NO_CANDIDATES, Stage, Trainable, TrueNodes, extract, predict
from ctlymph.detectors.liu2014 import organ_distances
from ctlymph.detectors.parts.candidate_svm import CandidateSvm
from ctlymph.detectors.parts.feature_scorer import Examples
from ctlymph.detectors.parts.voxel_forest import VoxelForest, node_of_voxels


def test_a_voxel_is_in_its_node_with_a_mask_or_with_a_ball_in_its_place() -> None:
    context, truth = scene_with_nodes(1)
    drawn = node_of_voxels(context, truth)
    ball = node_of_voxels(context, TrueNodes(truth.points_mm, truth.short_axes_mm, None))
    for number in (1, 2, 3):
        same = ((drawn == number) & (ball == number)).sum()
        assert same > 0.8 * max((drawn == number).sum(), (ball == number).sum())
    assert ((drawn == 0) & (ball == 0)).sum() > 0.9 * (drawn == 0).sum()


def test_of_a_large_node_no_more_voxels_are_learned_from_than_of_a_small_one() -> None:
    context, truth = scene_with_nodes(1)
    stage = cherry2014.CherryVoxels(voxels_per_node=20, voxels_off_nodes=50)
    examples = stage.extract(context, truth)
    assert examples.is_node.sum() == 20 * len(truth.points_mm)
    assert len(examples.features) == 20 * len(truth.points_mm) + 50


@pytest.mark.parametrize("generator", [cherry2014, liu2014])
def test_a_generator_finds_balls_among_vessels_that_it_has_not_seen(generator: object) -> None:
    stages: tuple[Stage, ...] = generator.STAGES  # type: ignore[attr-defined]
    learned = [scene_with_nodes(seed) for seed in range(1, 5)]
    given = [NO_CANDIDATES] * len(learned)
    context, truth = scene_with_nodes(9)
    found = NO_CANDIDATES
    for stage in stages:
        assert isinstance(stage, Trainable)
        model = stage.fit([extract(stage, each, c, t) for (each, t), c in zip(learned, given, strict=True)], seed=0)
        given = [predict(stage, model, each, c) for (each, _), c in zip(learned, given, strict=True)]
        found = predict(stage, model, context, found)
    best = found.points_mm[: len(truth.points_mm)]
    away = np.linalg.norm(best[:, None] - truth.points_mm[None], axis=2)
    assert (away.min(axis=0) < 6).all()
    assert (np.diff(found.scores) <= 0).all()
    assert found.scores[len(truth.points_mm) - 1] > 0.5


def test_candidates_keep_apart_and_are_no_more_than_asked_for() -> None:
    context, truth = scene_with_nodes(1)
    stage = cherry2014.CherryVoxels(max_candidates=5, trees=5)
    model = stage.fit([stage.extract(context, truth)], seed=0)
    found = stage.propose(model, context)
    assert len(found) == 5
    away = np.linalg.norm(found.points_mm[:, None] - found.points_mm[None], axis=2)
    assert away[~np.eye(5, dtype=bool)].min() > stage.min_distance_mm


def test_the_same_seed_grows_the_same_forest_and_another_seed_another() -> None:
    context, truth = scene_with_nodes(1)
    stage = cherry2014.CherryVoxels(trees=3)
    seen = [stage.extract(context, truth)]
    first, again, other = (stage.propose(stage.fit(seen, seed), context) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.features, again.features)
    assert first.features.shape != other.features.shape or (first.features != other.features).any()


def test_cases_without_nodes_teach_nothing_and_that_is_said() -> None:
    context, _ = scene_with_nodes(1, nodes=0)
    nothing = TrueNodes(np.empty((0, 3)), np.empty(0), None)
    stage = cherry2014.CherryVoxels()
    with pytest.raises(CtlymphError, match="show no node"):
        stage.fit([stage.extract(context, nothing)], seed=0)
    alike = Examples(np.zeros((4, 3)), np.zeros(4, np.int8), np.ones(4), np.full(4, np.nan))
    with pytest.raises(CtlymphError, match="all alike"):
        CandidateSvm().fit([alike], seed=0)


def test_where_nothing_is_found_the_second_stage_has_nothing_to_do() -> None:
    assert len(CandidateSvm().score({}, scene_with_nodes(1)[0], NO_CANDIDATES)) == 0


def test_distances_to_organs_are_those_to_the_landmarks() -> None:
    context, _ = scene_with_nodes(1)
    grid = context.landmarks.geometry
    middle = (np.array(grid.shape_ijk) - 1) // 2
    point = grid.index_to_mm(middle)
    at = np.rint(context.grid.mm_to_index(point)).astype(int)[::-1]
    ((beside, behind, above, from_lung, from_airway),) = organ_distances(context, at[None])
    spine = context.landmarks.spine[middle[2], :2]
    assert beside == pytest.approx((middle[0] - spine[0]) * 3, abs=2)
    assert behind == pytest.approx((middle[1] - spine[1]) * 3, abs=2)
    assert above == 0  # there is no carina
    assert from_lung == pytest.approx((middle[0] - 1) * 3, abs=2)
    assert from_airway == 100  # there is no airway


def test_a_method_must_have_features_of_voxels() -> None:
    with pytest.raises(TypeError, match="features"):
        VoxelForest()  # type: ignore[abstract]
