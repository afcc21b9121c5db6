"""What networks share that look at a whole region: parts to learn from, slabs, peaks that become candidates."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError
from ctlymph.core.peaks import local_maxima
from ctlymph.core.short_repr import short_repr
from ctlymph.detectors.base import (
    NO_CANDIDATES,
    Arrays,
    Candidates,
    DetectionContext,
    TrueNodes,
    sample,
    working_grid,
)
from ctlymph.detectors.parts.network_stage import NetworkStage
from ctlymph.detectors.parts.patches import Augmentation, Part, PatchSampler, example_of
from ctlymph.detectors.settings import NOT_A_SETTING, TRAINING_ONLY
from ctlymph.nn.inference import ready
from ctlymph.nn.layers import Architecture
from ctlymph.nn.sliding_window import in_slabs
from ctlymph.nn.training_loop import Batch, Draw, Loss, Schedule

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]
Outputs = Sequence[NDArray[np.float32]]

WINDOW_HU = (-200.0, 300.0)
_SCHEDULE = Schedule(steps=3000)
_CHANGES = Augmentation()
_MULTIPLE = 16
"""Input shapes: they may be halved four times."""


@dataclass(frozen=True, eq=False)
class Heatmap:
    """Where a network sees nodes.

    Attributes:
        map: z, y, x, 0…1, a peak on each node.
        step: Voxels of the input along a voxel of the map.
        radii_mm: Radius of the node at each voxel of the map.
    """

    map: NDArray[np.floating[Any]]
    step: int
    radii_mm: NDArray[np.floating[Any]]

    __repr__ = short_repr


@dataclass(frozen=True)
class RegionNetwork(NetworkStage):
    """A stage that proposes candidates by a network over the region.

    Attributes:
        name: Of the stage.
        width: Channels of the finest layers; more below.
        spacing_mm: Of the voxels it looks at.
        side: Of the parts it learns from, voxels.
        batch: Parts in a step, half of them with a node.
        changes: How parts are changed by chance.
        min_distance_mm: Of peaks nearer to each other the higher is kept.
        min_score: Probability below which a peak is none.
        max_candidates: Peaks that are handed on.
        slab: Slices that are looked at together at most, lest memory grows with the scan.
        overlap: So many at the ends of a slab are not relied upon.
    """

    examples: ClassVar[type[Any]] = dict

    name: str
    width: int
    spacing_mm: float = 1.5
    side: int = field(default=64, metadata=TRAINING_ONLY)
    batch: int = field(default=4, metadata=TRAINING_ONLY)
    schedule: Schedule = field(default=_SCHEDULE, kw_only=True, metadata=TRAINING_ONLY)
    changes: Augmentation = field(default=_CHANGES, metadata=TRAINING_ONLY)
    min_distance_mm: float = 8.0
    min_score: float = 0.005
    max_candidates: int = 60
    slab: int = field(default=208, metadata=NOT_A_SETTING)
    overlap: int = field(default=32, metadata=NOT_A_SETTING)

    @property
    @abstractmethod
    def architecture(self) -> Architecture:
        """The network; its one input is a CT within the window, -1…1."""

    @abstractmethod
    def answers(self, part: Part) -> tuple[NDArray[np.float32], ...]:
        """Give what the network should answer to a part, each with a channel first."""

    @abstractmethod
    def loss(self, outputs: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
        """Give how far off the network's outputs are."""

    @abstractmethod
    def chances(self, outputs: Outputs) -> Heatmap:
        """Tell where the network sees nodes, by its outputs for a whole region, ``(channels, z, y, x)`` each."""

    def extract(self, context: DetectionContext, truth: TrueNodes) -> Arrays:
        """Gather the CT and its nodes on an even grid."""
        return example_of(context, truth, self.spacing_mm)

    def batches(self, extracted: Sequence[Arrays]) -> tuple[Draw, Loss]:
        """Draw parts, half of them with a node.

        Raises:
            CtlymphError: If no case has an enlarged node.
        """
        sampler = PatchSampler(extracted, self.side, self.changes)
        if not sampler.nodes:
            raise CtlymphError(f"{self.name}: {len(extracted)} cases have no enlarged node; add cases with nodes")

        def draw(rng: np.random.Generator) -> tuple[Batch, Batch]:
            half = self.batch // 2
            parts = [sampler.on_node(rng) for _ in range(half)]
            parts += [sampler.anywhere(rng) for _ in range(self.batch - half)]
            answers = [self.answers(part) for part in parts]
            given = np.stack([windowed(part.hu)[None] for part in parts])
            return (given,), tuple(np.stack(each) for each in zip(*answers, strict=True))

        return draw, self.loss

    def propose(self, model: Mapping[str, Any], context: DetectionContext) -> Candidates:
        """Find the peaks in and around the region."""
        grid = working_grid(context.region, self.spacing_mm)
        run = context.run
        outputs = in_slabs(
            lambda shape: ready(
                self.architecture, model["weights"], [shape], device=run.device, precision=run.precision
            ),
            windowed(sample(context.volume, grid)),
            slices=self.slab,
            overlap=self.overlap,
            multiple=_MULTIPLE,
            fill=-1.0,
        )
        chances = self.chances(outputs)
        every = slice(None, None, chances.step)
        chance = np.where(context.near(grid)[every, every, every], chances.map, 0)
        peaks = local_maxima(chance, chance >= self.min_score)
        if not len(peaks):
            return NO_CANDIDATES
        scores = chance[tuple(peaks.T)]
        order = np.argsort(-scores, kind="stable")
        peaks, scores = peaks[order], scores[order]
        index_zyx = _refined(chance, peaks) * chances.step + (chances.step - 1) / 2
        radii_mm = chances.radii_mm[tuple(peaks.T)]
        found = Candidates(grid.index_to_mm(index_zyx[:, ::-1]), scores.astype(float), radii_mm.astype(float))
        return found.spread(self.min_distance_mm, self.max_candidates)


def windowed(hu: NDArray[Any]) -> NDArray[np.float32]:
    """Map the window to -1…1 and cut off what lies beyond."""
    low, high = WINDOW_HU
    return np.asarray(np.clip((hu.astype(np.float32) - low) / ((high - low) / 2) - 1, -1, 1))


def mask_loss(mask: Tensor, node: Tensor, known: Tensor) -> Tensor:
    """Add cross-entropy and Dice's loss of log-odds, where it is known what a voxel is."""
    import torch
    from torch.nn import functional as F  # noqa: N812

    off = known * F.binary_cross_entropy_with_logits(mask, node, reduction="none")
    inside = torch.sigmoid(mask) * known
    overlap = (2 * (inside * node).sum() + 1) / (inside.sum() + (node * known).sum() + 1)
    return off.sum() / known.sum().clamp(min=1) + 1 - overlap


def _refined(chance: NDArray[np.floating[Any]], peaks: NDArray[np.intp]) -> Floats:
    """Give the middle of what lies around each peak, in fractions of a voxel."""
    padded = np.pad(chance, 1)
    steps = np.array(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij")).reshape(3, -1).T
    around = padded[tuple((peaks[:, None] + 1 + steps).transpose(2, 0, 1))]
    return np.asarray(peaks + (around[..., None] * steps).sum(axis=1) / around.sum(axis=1)[:, None])
