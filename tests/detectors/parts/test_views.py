from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from contexts import candidates_of, scene_with_nodes
from ctlymph.core.volume import AIR_HU, Geometry, Volume
from ctlymph.detectors.base import NO_CANDIDATES, Candidates
from ctlymph.detectors.parts.view_network import Averaged, ViewNetwork
from ctlymph.detectors.parts.views import Frames, random_frames, views_by_torch, views_of
from ctlymph.detectors.roth2014 import RothViews
from ctlymph.detectors.shin2016 import AlexViews, ResidualViews
from ctlymph.nn.training_loop import Schedule

STRAIGHT = Frames(np.array([16.0]), np.zeros((1, 3)), np.eye(3)[None])


def test_straight_views_show_their_planes() -> None:
    grid = Geometry((40, 40, 40), np.zeros(3), np.ones(3))
    k, j, i = np.indices((40, 40, 40), dtype=np.int16)
    volume = Volume(i + 100 * j, grid)
    axial, coronal, sagittal = views_of(volume, np.array([[20.5, 20.5, 20.5]]), STRAIGHT, 16)[0, 0]
    steps = np.arange(13, 29)
    np.testing.assert_allclose(axial, steps[None, :] + 100 * steps[:, None], atol=0.01)
    np.testing.assert_allclose(coronal, steps[None, :] + 2050.0 + 0 * steps[:, None], atol=0.01)
    np.testing.assert_allclose(sagittal, 100 * steps[None, :] + 20.5 + 0 * steps[:, None], atol=0.01)
    height = Volume(k, grid)
    for picture in views_of(height, np.array([[20.5, 20.5, 20.5]]), STRAIGHT, 16)[0, 0, 1:]:
        np.testing.assert_allclose(picture, np.repeat(steps[:, None], 16, axis=1), atol=0.01)


def test_views_are_what_scipy_interpolates(oblique_volume: Volume) -> None:
    rng = np.random.default_rng(2)
    geometry = replace(oblique_volume.geometry, shape_zyx=(50, 60, 70))
    volume = Volume(rng.integers(-1000, 1500, geometry.shape_zyx).astype(np.int16), geometry)
    frames = random_frames((9.0, 14.0), 2, 3, shift_mm=3.0, seed=1)
    places = geometry.index_to_mm(rng.uniform(0.3, 0.7, (4, 3)) * geometry.shape_ijk)
    found = views_of(volume, places, frames, 12)
    assert found.shape == (4, 12, 3, 12, 12)
    pixel = np.arange(12) - 5.5
    for p, n in ((0, 0), (1, 5), (3, 11)):
        step = frames.sides_mm[n] / 12
        for plane, (column, row) in enumerate((([1, 0, 0], [0, 1, 0]), ([1, 0, 0], [0, 0, 1]), ([0, 1, 0], [0, 0, 1]))):
            across, down = frames.turns[n] @ column * step, frames.turns[n] @ row * step
            at = places[p] + frames.shifts_mm[n] + pixel[:, None, None] * down + pixel[None, :, None] * across
            index = geometry.mm_to_index(at)[..., ::-1].reshape(-1, 3).T
            expected = map_coordinates(volume.hu.astype(float), index, order=1, cval=np.nan).reshape(12, 12)
            np.testing.assert_allclose(found[p, n, plane], expected, atol=0.5)


@pytest.mark.parametrize("shape", [(30, 25, 28), (1, 25, 28), (2, 1, 28)])
def test_pytorch_takes_the_same_views_also_at_the_edge(shape: tuple[int, int, int]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch (the extra 'train') is not installed")
    rng = np.random.default_rng(0)
    grid = Geometry(
        shape, np.array([-7.0, 3, 50]), np.array([0.8, 0.9, 1.5]), np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1.0]])
    )
    volume = Volume(rng.integers(-1000, 1500, shape).astype(np.int16), grid)
    places = grid.index_to_mm(rng.uniform(-0.2, 1.2, (9, 3)) * grid.shape_ijk)
    frames = random_frames((12.0, 30.0), 2, 2, shift_mm=3.0, seed=5)
    one = views_of(volume, places, frames, 16)
    other = views_by_torch(torch.from_numpy(volume.hu), grid, places, frames, 16).numpy()
    unlike = np.abs(one - other) > 0.5
    assert unlike.mean() < 1e-4  # where a pixel lies half a voxel outside, rounding decides
    assert (unlike <= ((one == AIR_HU) | (other == AIR_HU))).all()
    assert 0.02 < (one == AIR_HU).mean() < 1


def test_a_stored_turned_ct_needs_no_copy() -> None:
    grid = Geometry((30, 30, 30), np.zeros(3), np.ones(3))
    volume = Volume(np.random.default_rng(0).integers(-100, 100, grid.shape_zyx).astype(np.int16), grid)
    turned = volume.reorient("RAI")
    place = np.array([[14.0, 15, 16]])
    np.testing.assert_allclose(views_of(turned, place, STRAIGHT, 16), views_of(volume, place, STRAIGHT, 16), atol=0.01)


def test_frames_are_drawn_by_their_seed_and_keep_their_limits() -> None:
    frames = random_frames((30.0, 35, 40, 45), 5, 5, shift_mm=3.0, seed=0)
    again = random_frames((30.0, 35, 40, 45), 5, 5, shift_mm=3.0, seed=0)
    assert len(frames) == 100
    assert (frames.turns == again.turns).all()
    assert np.unique(frames.sides_mm, return_counts=True)[1].tolist() == [25] * 4
    assert np.linalg.norm(frames.shifts_mm, axis=1).max() <= 3.0
    np.testing.assert_allclose(np.linalg.det(frames.turns), 1)
    assert len(np.unique(frames.shifts_mm, axis=0)) == 20
    assert len(frames.first(7)) == 7


QUICK = {
    "schedule": Schedule(30, rate=0.003, average=0.9),
    "batch": 16,
    "side_px": 32,
    "shifts": 1,
    "turns": 2,
    "views_off_nodes": 8,
}
STAGES: Sequence[ViewNetwork] = (RothViews(**QUICK), AlexViews(**QUICK), ResidualViews(**QUICK))  # type: ignore[arg-type]


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_nodes_of_a_scene_not_learned_from_come_first(stage: ViewNetwork) -> None:
    pytest.importorskip("torch", reason="PyTorch (the extra 'train') is not installed")
    learned = [scene_with_nodes(seed) for seed in range(1, 5)]
    extracted = [stage.extract(s, candidates_of(s, t, n), t) for n, (s, t) in enumerate(learned)]
    context, truth = scene_with_nodes(9)
    scored = stage.score(stage.fit(extracted, 0), context, candidates_of(context, truth, 9))
    assert scored.features.shape == (len(scored), 8)
    found = Averaged("mean").score({}, context, scored)
    assert (truth.labels(found.points_mm)[: len(truth.points_mm)] == 1).all()
    assert found.scores[0] > 0.5 > found.scores[-1]


def test_so_many_views_count_as_asked_for() -> None:
    given = Candidates(np.zeros((2, 3)), np.zeros(2), np.array([1.0, 2.0]), np.array([[0.9, 0, 0], [0.5, 0.6, 1]]))
    context, _ = scene_with_nodes(1)
    assert Averaged("mean", 1).score({}, context, given).scores.tolist() == [0.9, 0.5]
    assert Averaged("mean", 3).score({}, context, given).scores.tolist() == pytest.approx([0.7, 0.3])
    assert len(Averaged("mean").score({}, context, NO_CANDIDATES)) == 0
