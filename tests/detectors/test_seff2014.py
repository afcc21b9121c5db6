from __future__ import annotations

import numpy as np
import pytest

from contexts import candidates_of, scene_with_nodes
from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import Geometry, Volume
from ctlymph.detectors.base import NO_CANDIDATES, Candidates, DetectionContext, Scorer, Trainable, TrueNodes, extract
from ctlymph.detectors.parts.feature_scorer import Examples, joined
from ctlymph.detectors.parts.hog import hog_of, windowed
from ctlymph.detectors.parts.slices import PER_AXIS, SIDE, SLICES, mask_slices_of, slices_of
from ctlymph.detectors.seff2014 import Pooling, SliceHog, SlicePooling, SliceSvm, stages


def test_a_slice_shows_its_plane() -> None:
    geometry = Geometry((60, 60, 60), np.zeros(3), np.ones(3))
    for axis in range(3):
        ramp = np.moveaxis(np.broadcast_to(np.arange(60, dtype=np.int16)[:, None, None], (60,) * 3), 0, axis)
        found = slices_of(Volume(np.ascontiguousarray(ramp), geometry), np.array([[30.0, 30, 30]]))[0]
        through = found[axis * PER_AXIS : (axis + 1) * PER_AXIS]
        assert through[:, 0, 0].tolist() == list(range(26, 35))
        assert (through == through[:, :1, :1]).all()


def test_beyond_the_ct_is_air_and_masks_are_cut_alike() -> None:
    context, truth = scene_with_nodes(1)
    corner = context.volume.geometry.corners_mm.min(axis=0)
    assert slices_of(context.volume, corner[None])[0, PER_AXIS // 2, 0, 0] == -1024
    assert truth.masks is not None
    inside = mask_slices_of(truth.masks, truth.points_mm)
    seen = slices_of(context.volume, truth.points_mm)
    assert inside[:, PER_AXIS // 2, SIDE // 2, SIDE // 2].all()
    assert seen[inside].mean() > 40 > -60 > seen[~inside].mean()


def test_histograms_do_not_change_with_contrast_but_with_direction() -> None:
    image = np.zeros((1, SIDE, SIDE), np.float32)
    image[0, 10:30, 10:40] = 0.5
    whole, half, turned = (hog_of(each, (9, 5)).astype(float) for each in (image, image / 2, image.swapaxes(1, 2)))
    assert whole.shape == (1, 576 + 2304)
    np.testing.assert_allclose(whole, half, atol=2e-3)
    assert np.abs(whole - turned).max() > 0.1
    assert windowed(np.array([-1000, -100, 50, 200, 900], np.int16)).tolist() == [0, 0, 0.5, 1, 1]


@pytest.mark.parametrize("pooling", ["mean", "max", "fused"])
def test_nodes_of_scenes_not_learned_from_come_first(pooling: Pooling) -> None:
    learned = [scene_with_nodes(seed) for seed in range(1, 5)]
    given = [candidates_of(s, t, n) for n, (s, t) in enumerate(learned)]
    context, truth = scene_with_nodes(9)
    found = candidates_of(context, truth, 9)
    for stage in stages(pooling):
        model = _learned(stage, learned, given)
        given = [stage.score(model, s, each) for (s, _), each in zip(learned, given, strict=True)]
        found = stage.score(model, context, found)
    assert (np.diff(found.scores) <= 0).all()
    assert (truth.labels(found.points_mm)[: len(truth.points_mm)] == 1).all()
    assert found.scores[0] > 0.5 > found.scores[-1]


def _learned(
    stage: Scorer, cases: list[tuple[DetectionContext, TrueNodes]], given: list[Candidates]
) -> dict[str, object]:
    if not isinstance(stage, Trainable):
        return {}
    return stage.fit([extract(stage, s, each, t) for (s, t), each in zip(cases, given, strict=True)], 0)


def test_a_slice_is_scored_by_itself() -> None:
    rng = np.random.default_rng(0)
    hog = rng.normal(size=(40, SLICES, 4)).astype(np.float16)
    labels = np.repeat([0, 1], 20)
    hog[labels == 1, :, 0] += 3
    svm = SliceSvm()
    model = svm.fit([_examples(hog[n::4], labels[n::4]) for n in range(4)], 0)
    one = np.zeros((1, SLICES, 4), np.float16)
    one[0, 5, 0] = 3
    given = Candidates(np.zeros((1, 3)), np.zeros(1), np.ones(1), one)
    (scores,) = svm.score(model, scene_with_nodes(1)[0], given).features
    assert scores.argmax() == 5
    assert np.ptp(np.delete(scores, 5)) < 1e-6


def test_the_best_slice_or_all_of_them_decide_as_the_pooling_says() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 20)
    scores = rng.normal(size=(40, SLICES)) + 2.0 * labels[:, None]
    extracted = [_examples(scores[n::4], labels[n::4]) for n in range(4)]
    context, _ = scene_with_nodes(1)
    one, many = np.zeros((2, SLICES))
    one[0] = 8  # one slice with a high score
    many[:] = 1  # all a little
    given = Candidates(np.zeros((2, 3)), np.zeros(2), np.array([1.0, 2.0]), np.stack([one, many]))
    first = {}
    for pooling in ("mean", "max"):
        layer = SlicePooling(pooling)  # type: ignore[arg-type]
        found = layer.score(layer.fit(extracted, 0), context, given)
        first[pooling] = found.radii_mm[0]
    assert first == {"mean": 2.0, "max": 1.0}


def test_no_more_candidates_are_scored_than_asked_for_and_none_is_no_fault() -> None:
    context, truth = scene_with_nodes(1)
    assert len(SliceHog(max_candidates=2).score({}, context, candidates_of(context, truth, 0))) == 2
    nothing = SliceHog().score({}, context, NO_CANDIDATES)
    assert nothing.features.shape == (0, SLICES, 576)
    for stage in (SliceSvm(), SlicePooling()):
        nothing = stage.score({}, context, nothing)
        assert len(nothing) == 0


def test_a_case_without_candidates_adds_nothing_to_the_examples_of_others() -> None:
    context, truth = scene_with_nodes(1)
    without = SliceSvm().extract(context, NO_CANDIDATES, truth)
    assert len(without) == 0
    other = _examples(np.ones((2, SLICES)), np.array([0, 1]))
    examples, cases = joined([without, other], "stage")
    assert examples.features.shape == (2, SLICES)
    assert cases.tolist() == [1, 1]


def test_candidates_that_are_all_alike_teach_nothing() -> None:
    with pytest.raises(CtlymphError, match="all alike"):
        SliceSvm().fit([_examples(np.zeros((3, SLICES, 4)), np.zeros(3))], seed=0)


def _examples(features: np.ndarray, labels: np.ndarray) -> Examples:
    return Examples(features, labels.astype(np.int8), np.full(len(labels), 6.0), np.full(len(labels), 12.0))
