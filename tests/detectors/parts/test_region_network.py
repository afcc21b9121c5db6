from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from contexts import scene_with_nodes
from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import Masks
from ctlymph.detectors.base import TrueNodes
from ctlymph.detectors.iuga2021 import Foveal
from ctlymph.detectors.lymphnet import LymphNet
from ctlymph.detectors.parts.patch_resampling import cut
from ctlymph.detectors.parts.patches import IGNORE, NODE, OTHER, Augmentation, PatchSampler, example_of
from ctlymph.detectors.parts.region_network import RegionNetwork, SegmentationNetwork, _refined
from ctlymph.nn.training_loop import Schedule

UNCHANGED = Augmentation(0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)


def test_an_example_labels_nodes_and_what_is_ignored() -> None:
    context, truth = scene_with_nodes(3)
    sizes = truth.short_axes_mm.copy()
    sizes[0] = np.nan
    unsure = TrueNodes(truth.points_mm, sizes, truth.masks)
    for nodes in (unsure, replace(unsure, masks=None)):
        example = example_of(context, nodes, 2.0)
        assert example["hu"].shape == example["labels"].shape
        assert len(example["centres_zyx"]) == len(truth.points_mm) - 1
        at = np.rint(example["centres_zyx"]).astype(int)
        assert (example["labels"][tuple(at.T)] == NODE).all()
        volume = (example["labels"] == NODE).sum() * 8.0
        assert volume == pytest.approx(sum(4 / 3 * np.pi * (sizes[1:] / 2) ** 3), rel=0.15)
    assert (example_of(context, truth, 2.0)["labels"] == IGNORE).sum() < (example["labels"] == IGNORE).sum()


def test_a_mask_of_unknown_size_is_ignored() -> None:
    context, truth = scene_with_nodes(3)
    assert truth.masks is not None
    none = TrueNodes(truth.points_mm, np.full(len(truth.points_mm), 6.0), truth.masks)
    example = example_of(context, none, 2.0)
    assert not (example["labels"] == NODE).any()
    empty = replace(none, masks=Masks(np.zeros_like(truth.masks.labels), truth.masks.geometry))
    inside = (example["labels"] == IGNORE) & (example_of(context, empty, 2.0)["labels"] == OTHER)
    assert inside.sum() * 8.0 == pytest.approx(sum(4 / 3 * np.pi * (truth.short_axes_mm / 2) ** 3), rel=0.15)


def test_patches_without_augmentation_are_the_ct() -> None:
    context, truth = scene_with_nodes(3)
    example = example_of(context, truth, 2.0)
    sampler = PatchSampler([example], 16, UNCHANGED)
    patch = sampler._patch(0, np.array([17.5, 18.5, 19.5]), np.random.default_rng(0))
    np.testing.assert_allclose(patch.hu, example["hu"][10:26, 11:27, 12:28], atol=0.01)
    np.testing.assert_array_equal(patch.labels, example["labels"][10:26, 11:27, 12:28])


def test_turned_patches_are_what_scipy_resamples() -> None:
    from scipy.ndimage import affine_transform

    rng = np.random.default_rng(0)
    hu = rng.integers(-1000, 2000, (20, 24, 28)).astype(np.int16)
    labels = rng.integers(0, 3, hu.shape).astype(np.uint8)
    matrix, offset = np.eye(3) + rng.uniform(-0.2, 0.2, (3, 3)), np.array([2.3, -4.1, 6.2])
    patch_hu, patch_labels = np.empty((22, 22, 22), np.float32), np.empty((22, 22, 22), np.uint8)
    cut(hu, labels, matrix, offset, (-1024, IGNORE), patch_hu, patch_labels)
    given = {"matrix": matrix, "offset": offset, "output_shape": patch_hu.shape}
    np.testing.assert_allclose(
        patch_hu, affine_transform(hu.astype(np.float32), order=1, cval=-1024, **given), atol=0.02
    )
    np.testing.assert_array_equal(patch_labels, affine_transform(labels, order=0, cval=IGNORE, **given))


def test_nodes_move_with_their_patch() -> None:
    context, truth = scene_with_nodes(3)
    example = example_of(context, truth, 2.0)
    sampler = PatchSampler([example], 40, Augmentation(30, 20, 0.2, 0.5, 1.2, 0, 0, 0, 0, 1, 0))
    rng = np.random.default_rng(0)
    seen = 0
    for patch in (sampler.on_node(rng) for _ in range(30)):
        for centre in patch.centres_zyx:
            if ((centre > 0) & (centre < 39)).all():
                assert patch.labels[tuple(np.rint(centre).astype(int))] == NODE
                seen += 1
    assert seen > 30


def test_targets_peak_at_the_nodes() -> None:
    context, truth = scene_with_nodes(3)
    sampler = PatchSampler([example_of(context, truth, 2.0)], 32, UNCHANGED)
    patch = sampler.on_node(np.random.default_rng(1))
    peaks, sizes, known, node, _ = LymphNet(spacing_mm=2.0).targets(patch)
    assert peaks.shape == known.shape == (1, 16, 16, 16)
    assert node.shape == (1, 32, 32, 32)
    inside = [centre for centre in patch.centres_zyx if ((centre > 1) & (centre < 30)).all()]
    assert len(inside) > 0
    for centre in inside:
        at = (0, *np.rint((centre - 0.5) / 2).astype(int))
        assert peaks[at] == 1.0
        assert np.exp(sizes[at]) * 15 == pytest.approx(
            patch.short_axes_mm[np.abs(patch.centres_zyx - centre).sum(axis=1).argmin()]
        )


def test_a_peak_is_refined_to_the_middle_of_its_surroundings() -> None:
    z, y, x = np.indices((9, 9, 9))
    probability = np.exp(-((z - 4.2) ** 2 + (y - 3.9) ** 2 + (x - 4.3) ** 2) / 0.5)
    found = _refined(probability, np.array([[4, 4, 4], [0, 0, 0]]))
    assert np.abs(found[0] - [4.2, 3.9, 4.3]).max() < 0.1
    assert np.isfinite(found).all()


QUICK = {"spacing_mm": 2.5, "side": 32, "batch": 2}


@dataclass(frozen=True)
class OwnModule(SegmentationNetwork):
    """A user's own network: plain PyTorch, without a block of this package."""

    name: str = "own"
    width: int = 8

    def module(self) -> Any:
        from torch import nn

        return nn.Sequential(
            nn.Conv3d(1, self.width, 3, padding=1),
            nn.InstanceNorm3d(self.width, affine=True),
            nn.LeakyReLU(),
            nn.Conv3d(self.width, self.width, 2, stride=2),
            nn.InstanceNorm3d(self.width, affine=True),
            nn.LeakyReLU(),
            nn.Conv3d(self.width, self.width, 3, padding=1),
            nn.LeakyReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv3d(self.width, 1, 1),
        )


@pytest.mark.parametrize(
    "stage",
    [
        LymphNet(width=8, schedule=Schedule(120, rate=0.005, average=0.9), **QUICK),  # type: ignore[arg-type]
        Foveal(width=4, schedule=Schedule(100, rate=0.01, average=0.9), **QUICK),  # type: ignore[arg-type]
        OwnModule(schedule=Schedule(120, rate=0.01, average=0.9), **QUICK),  # type: ignore[arg-type]
    ],
    ids=lambda stage: stage.name,
)
def test_it_finds_the_nodes_of_a_case_that_it_was_not_trained_on(stage: RegionNetwork) -> None:
    pytest.importorskip("torch", reason="PyTorch (the extra 'train') is not installed")
    trained_on = [scene_with_nodes(seed) for seed in range(1, 6)]
    model = stage.fit([stage.extract(context, truth) for context, truth in trained_on], 0)
    context, truth = scene_with_nodes(9)
    found = stage.propose(model, context)
    assert (np.diff(found.scores) <= 0).all()
    away = np.linalg.norm(truth.points_mm[:, None] - found.points_mm[: len(truth.points_mm)], axis=2)
    assert (away.min(axis=1) < 6).all()
    assert np.abs(2 * found.radii_mm[away.argmin(axis=1)] - truth.short_axes_mm).max() < 8


def test_cases_without_nodes_are_refused() -> None:
    context, _ = scene_with_nodes(1, nodes=0)
    stage = LymphNet(spacing_mm=3.0)
    nothing = stage.extract(context, TrueNodes(np.empty((0, 3)), np.empty(0), None))
    with pytest.raises(CtlymphError, match="no enlarged node"):
        stage.fit([nothing], 0)
