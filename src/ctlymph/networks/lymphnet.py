"""LymphNet: the nodes of a region in one pass of a compact 3D network.

The CT is looked at in voxels of 1.5 mm. A convolution halves them at once, so that nearly all work is done at 3 mm,
where a U-shaped network (Ronneberger et al., MICCAI 2015) gathers what lies around a place, up to some 20 cm. It
answers three questions: is here the centre of an enlarged node (a map with a peak on each, as Zhou et al., arXiv
1904.07850), how long is its short axis, and, at 1.5 mm, which voxels belong to nodes; the last teaches it what nodes
look like.
What is small, or outside the region, is not all annotated, and nothing is learned from it.

All layers are plain convolutions whose normalisation vanishes in them when they run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ctlymph.errors import CtlymphError
from ctlymph.inference.engine import ready
from ctlymph.inference.layers import Architecture, Layers
from ctlymph.inference.sliding import in_slabs
from ctlymph.networks.examples import UNSURE, Changes, Cutter, Part, example_of, near_region
from ctlymph.networks.fitting import Batch, Lesson, Schedule, fit
from ctlymph.systems import NO_CANDIDATES, Arrays, Candidates, Scene, Stage, TrueNodes, sample, working_grid

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]

_WINDOW_HU = (-200.0, 300.0)
_HALVED = 2
"""Voxels of the input along a voxel of the centre map."""
_MULTIPLE = 16
"""Input shapes: they are halved four times."""
_RARE = -4.0
"""Added to the log-odds of centres, which are rare: the network need not learn that first."""
_USUAL_MM = 15.0
"""Short axes are told as the logarithm of their ratio to this."""
_SCHEDULE = Schedule(steps=3000)
_CHANGES = Changes()
_SPREAD = 0.25
"""Sigma of a peak in the centre map, as a share of the short axis; not less than a voxel."""


def _network(layers: Layers, x: Any) -> list[Any]:
    a = layers.conv("in", x, 32, 4, stride=2)
    a = layers.conv("a2", layers.conv("a1", a, 32), 32)
    b = layers.conv("b0", a, 64, 2, stride=2)
    b = layers.conv("b2", layers.conv("b1", b, 64), 64)
    c = layers.conv("c0", b, 96, 2, stride=2)
    c = layers.conv("c2", layers.conv("c1", c, 96), 96)
    d = layers.conv("d0", c, 128, 2, stride=2)
    d = layers.conv("d2", layers.conv("d1", d, 128), 128)
    c = layers.conv("c3", layers.joined(layers.up("c-up", d, 96), c), 96)
    b = layers.conv("b3", layers.joined(layers.up("b-up", c, 64), b), 64)
    a = layers.conv("a3", layers.joined(layers.up("a-up", b, 32), a), 32)
    a = layers.conv("a4", a, 32)
    centre = layers.conv("centre", a, 1, 1, norm=False, relu=False)
    size = layers.conv("size", a, 1, 1, norm=False, relu=False)
    mask = layers.conv("mask", layers.relu(layers.up("fine", a, 8)), 1, norm=False, relu=False)
    return [centre, size, mask]


ARCHITECTURE = Architecture("LymphNet", _network, ((1, 32, 32, 32),))


@dataclass(frozen=True)
class LymphNet:
    """The stage.

    Attributes:
        name: Of the stage.
        spacing_mm: Of the voxels it looks at.
        side: Of the parts it learns from, voxels.
        batch: Parts in a step, half of them with a node.
        schedule: How it learns.
        changes: How parts are changed by chance.
        apart_mm: Of peaks nearer to each other the higher is kept.
        least: Chance below which a peak is none.
        at_most: Peaks that are handed on.
        slab: Slices that are looked at together, besides an overlap.
        overlap: That overlap, slices.
    """

    name: str = "lymphnet"
    spacing_mm: float = 1.5
    side: int = 64
    batch: int = 4
    schedule: Schedule = _SCHEDULE
    changes: Changes = _CHANGES
    apart_mm: float = 8.0
    least: float = 0.005
    at_most: int = 60
    slab: int = 96
    overlap: int = 16

    def observe(self, scene: Scene, candidates: Candidates, truth: TrueNodes) -> Arrays:
        """Gather the CT and its nodes on an even grid."""
        return example_of(scene, truth, self.spacing_mm)

    def learn(self, observed: Sequence[Arrays], seed: int) -> dict[str, Any]:
        """Train the network, keeping nothing on the way."""
        return self._learned(observed, seed, None)

    def learn_in(self, observed: Sequence[Arrays], seed: int, folder: Path) -> dict[str, Any]:
        """Train the network, with checkpoints.

        Raises:
            CtlymphError: If no case has an enlarged node, or as :func:`ctlymph.networks.fitting.fit`.
        """
        return self._learned(observed, seed, folder)

    def apply(self, model: Mapping[str, Any], scene: Scene, candidates: Candidates) -> Candidates:
        """Find peaks of the centre map in and around the region."""
        grid = working_grid(scene.region, self.spacing_mm)
        centre, size, _ = in_slabs(
            lambda shape: ready(ARCHITECTURE, model["weights"], [shape]),
            _windowed(sample(scene.volume, grid)),
            slices=self.slab,
            overlap=self.overlap,
            multiple=_MULTIPLE,
            fill=-1.0,
        )
        inside = near_region(scene, grid)[::_HALVED, ::_HALVED, ::_HALVED]
        chance = np.where(inside, 1 / (1 + np.exp(-(centre[0] + _RARE))), 0)
        peaks = _peaks(chance, self.least)
        if not len(peaks):
            return NO_CANDIDATES
        scores = chance[tuple(peaks.T)]
        peaks, scores = (values[np.argsort(-scores, kind="stable")] for values in (peaks, scores))
        index_zyx = _refined(chance, peaks) * _HALVED + (_HALVED - 1) / 2
        points_mm = grid.index_to_mm(index_zyx[:, ::-1])
        radii_mm = np.exp(np.clip(size[0][tuple(peaks.T)], -1.5, 1.5)) * _USUAL_MM / 2
        found = Candidates(points_mm, scores.astype(np.float64), radii_mm.astype(np.float64))
        return found.spread(self.apart_mm, self.at_most)

    def _learned(self, observed: Sequence[Arrays], seed: int, folder: Path | None) -> dict[str, Any]:
        cutter = Cutter(observed, self.side, self.changes)
        if not cutter.nodes:
            raise CtlymphError(f"{self.name}: {len(observed)} cases have no enlarged node; add cases with nodes")

        def draw(rng: np.random.Generator) -> tuple[Batch, Batch]:
            half = self.batch // 2
            parts = [cutter.on_node(rng) for _ in range(half)]
            parts += [cutter.anywhere(rng) for _ in range(self.batch - half)]
            answers = [_answers(part, self.spacing_mm) for part in parts]
            given = np.stack([_windowed(part.hu)[None] for part in parts])
            return (given,), tuple(np.stack(each) for each in zip(*answers, strict=True))

        return {"weights": fit(Lesson(ARCHITECTURE, draw, _loss, self.schedule, seed), folder)}


def _windowed(hu: NDArray[Any]) -> NDArray[np.float32]:
    low, high = _WINDOW_HU
    return np.asarray(np.clip((hu.astype(np.float32) - low) / ((high - low) / 2) - 1, -1, 1))


def _answers(part: Part, spacing_mm: float) -> tuple[NDArray[np.float32], ...]:
    """Give what the network should answer, each with a channel: peaks, logarithms of sizes, known, mask, known."""
    side = part.hu.shape[0] // _HALVED
    peaks, sizes = np.zeros((2, 1, side, side, side), np.float32)
    places = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1)
    for centre, short_mm in zip(part.centres_zyx, part.short_axes_mm, strict=True):
        at = (centre - (_HALVED - 1) / 2) / _HALVED
        sigma = max(_SPREAD * short_mm / (spacing_mm * _HALVED), 1.0)
        nearest = np.rint(at)
        peak = np.exp(-((places - nearest) ** 2).sum(axis=-1) / (2 * sigma**2)).astype(np.float32)
        sizes[0][peak > peaks[0]] = np.log(short_mm / _USUAL_MM)
        np.maximum(peaks[0], peak, out=peaks[0])
    known = (part.what != UNSURE)[None]
    coarse = known[:, ::_HALVED, ::_HALVED, ::_HALVED] | (peaks > 0.5)
    node = (part.what == 1)[None]
    return peaks, sizes, coarse.astype(np.float32), node.astype(np.float32), known.astype(np.float32)


def _loss(outputs: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Add the losses of centres (focal, as Law and Deng, ECCV 2018), sizes, and masks (entropy and Dice)."""
    import torch
    from torch.nn import functional as F  # noqa: N812

    (centre, size, mask), (peaks, sizes, coarse, node, known) = outputs, wanted
    centre = centre + _RARE
    chance = torch.sigmoid(centre)
    is_peak = (peaks > 0.999).float() * coarse
    here = is_peak * (1 - chance) ** 2 * F.softplus(-centre)
    elsewhere = (1 - is_peak) * coarse * (1 - peaks) ** 4 * chance**2 * F.softplus(centre)
    count = is_peak.sum().clamp(min=1)
    centres = (here + elsewhere).sum() / count
    near = (peaks > 0.5).float() * coarse
    lengths = (near * F.smooth_l1_loss(size, sizes, reduction="none", beta=0.2)).sum() / near.sum().clamp(min=1)
    entropy = (known * F.binary_cross_entropy_with_logits(mask, node, reduction="none")).sum() / known.sum().clamp(
        min=1
    )
    inside = torch.sigmoid(mask) * known
    overlap = (2 * (inside * node).sum() + 1) / (inside.sum() + (node * known).sum() + 1)
    return centres + lengths + entropy + (1 - overlap)


def _peaks(chance: NDArray[np.floating[Any]], least: float) -> NDArray[np.intp]:
    """Give the voxels that are higher than their neighbours, ``(n, 3)``."""
    from scipy.ndimage import maximum_filter

    return np.argwhere((chance >= least) & (chance == maximum_filter(chance, 3)))


def _refined(chance: NDArray[np.floating[Any]], peaks: NDArray[np.intp]) -> Floats:
    """Give the middle of what lies around each peak, in fractions of a voxel."""
    padded = np.pad(chance, 1)
    steps = np.array(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij")).reshape(3, -1).T
    around = padded[tuple((peaks[:, None] + 1 + steps).transpose(2, 0, 1))]
    return np.asarray(peaks + (around[..., None] * steps).sum(axis=1) / around.sum(axis=1)[:, None])


STAGES: tuple[Stage, ...] = (LymphNet(),)
