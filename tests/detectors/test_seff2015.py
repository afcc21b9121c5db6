from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from contexts import scene_with_nodes
from ctlymph.core.errors import CtlymphError
from ctlymph.detectors.base import Candidates, DetectionContext, TrueNodes
from ctlymph.detectors.model_store import dump_part, load_part
from ctlymph.detectors.parts.hog import windowed
from ctlymph.detectors.parts.slices import SIDE, SLICES, mask_slices_of, slices_of
from ctlymph.detectors.seff2015 import (
    ContourMaps,
    SizedTemplates,
    SizeGate,
    _channels,
    _edges,
    _pixel_features,
    _three_channels,
)

CONTOURS = ContourMaps(classes=6, trees=6, patches_off_edges=600)
TEMPLATES, GATE = SizedTemplates(), SizeGate()


def _candidates(context: DetectionContext, truth: TrueNodes, seed: int) -> Candidates:
    """Nodes, and other places beside them, in no order."""
    rng = np.random.default_rng(seed)
    others = rng.uniform(15, 65, (60, 3)) + context.volume.geometry.origin_mm
    away = np.linalg.norm(others[:, None] - truth.points_mm[None], axis=2).min(axis=1)
    points = np.concatenate([truth.points_mm, others[away > 16][:6]])
    return Candidates(points, np.full(len(points), 0.5), np.full(len(points), 7.0))


def _cases(count: int) -> list[tuple[DetectionContext, TrueNodes, Candidates]]:
    found = []
    for seed in range(count):
        context, truth = scene_with_nodes(seed)
        # Balls of 12 to 20 mm: both classes of size, of which each case shows at least one.
        found.append((context, truth, _candidates(context, truth, seed)))
    return found


@pytest.fixture(scope="module")
def contours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    part = CONTOURS.fit([CONTOURS.extract(*case[::2], case[1]) for case in _cases(4)], 0)
    path = tmp_path_factory.mktemp("model") / "part.skops"
    dump_part(path, part)
    return load_part(path)


def test_without_masks_it_says_what_to_do() -> None:
    context, truth = scene_with_nodes(1, masks=False)
    with pytest.raises(CtlymphError, match="has no masks"):
        CONTOURS.extract(context, _candidates(context, truth, 1), truth)


def test_contours_light_up_at_the_edge_of_a_node_that_was_not_learned_from(contours: dict[str, object]) -> None:
    context, truth = scene_with_nodes(9)
    assert truth.masks is not None
    for point in truth.points_mm:
        slices = windowed(slices_of(context.volume, point[None]))[0]
        edge = _edges(mask_slices_of(truth.masks, point[None])[0])
        intensity, sums, greatest = np.moveaxis(_three_channels(contours["forest"], slices), 1, 0)
        np.testing.assert_array_equal(intensity, slices)
        assert sums[edge].mean() > 2 * sums[~edge].mean()
        assert (greatest <= sums + 1e-6).all()
        assert greatest[edge].mean() > 2 * greatest[~edge].mean()


def test_what_the_forest_sees_is_where_it_is_said_to_be() -> None:
    slices = np.random.default_rng(0).random((SLICES, SIDE, SIDE), dtype=np.float32)
    channels = _channels(slices)
    seen = _pixel_features(channels, np.array([[3, 22, 20]])).reshape(5, 5, 6)
    np.testing.assert_array_equal(seen[2, 2], channels[3, :, 22, 20])
    np.testing.assert_array_equal({tuple(row) for row in seen.reshape(25, 6)}, {
        tuple(channels[3, :, 22 + down, 20 + right]) for down in (-6, -3, 0, 3, 6) for right in (-6, -3, 0, 3, 6)
    })  # fmt: skip


def test_an_edge_that_runs_another_way_looks_different() -> None:
    upright = np.zeros((1, SIDE, SIDE), np.float32)
    upright[:, :, 22:] = 1
    seen = [_pixel_features(_channels(each), np.array([[0, 22, 22]])) for each in (upright, upright.swapaxes(1, 2))]
    assert np.abs(seen[0] - seen[1]).max() > 0.05


def test_the_stages_tell_nodes_from_other_places(contours: dict[str, object]) -> None:
    cases = _cases(8)
    described = [CONTOURS.score(contours, context, candidates) for context, _, candidates in cases]
    assert described[0].features.shape == (len(cases[0][2]), SLICES, 3 * 576)
    extracted = [
        TEMPLATES.extract(context, each, truth) for (context, truth, _), each in zip(cases, described, strict=True)
    ]
    part = TEMPLATES.fit(extracted[:6], 0)
    sized = [TEMPLATES.score(part, context, each) for (context, _, _), each in zip(cases, described, strict=True)]
    seen = [GATE.extract(context, each, truth) for (context, truth, _), each in zip(cases, sized, strict=True)]
    gate = GATE.fit(seen[:6], 0)
    for (context, truth, _), each in list(zip(cases, sized, strict=True))[6:]:
        found = GATE.score(gate, context, each)
        on_node = truth.labels(found.points_mm) == 1
        assert found.scores[on_node].min() > found.scores[~on_node].max()
        assert ((found.scores > 0) & (found.scores < 1)).all()


def test_a_size_that_no_candidate_shows_is_refused() -> None:
    context, truth = scene_with_nodes(1)
    small = replace(truth, short_axes_mm=np.full_like(truth.short_axes_mm, 12.0))
    seen = np.zeros((len(truth.points_mm) + 6, SLICES, 30), np.float16)
    candidates = replace(_candidates(context, truth, 1), features=seen)
    with pytest.raises(CtlymphError, match="size class 1"):
        TEMPLATES.fit([TEMPLATES.extract(context, candidates, small)] * 3, 0)


def test_no_candidates_are_described_as_none(contours: dict[str, object], tmp_path: Path) -> None:
    context, _ = scene_with_nodes(1)
    none = Candidates(np.empty((0, 3)), np.empty(0), np.empty(0))
    assert CONTOURS.score(contours, context, none).features.shape == (0, SLICES, 3 * 576)
