"""Networks over a whole region: patches to train on, slabs to run on, peaks that become candidates."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError
from ctlymph.core.morphology import components
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
from ctlymph.detectors.parts.patches import IGNORE, NODE, Augmentation, Patch, PatchSampler, example_of
from ctlymph.detectors.settings import NOT_A_SETTING, TRAINING_ONLY
from ctlymph.nn.sliding_window import in_slabs
from ctlymph.nn.training_loop import Batch, Draw, Loss, Schedule

if TYPE_CHECKING:
    from torch import Tensor, nn

Floats = NDArray[np.float64]
Outputs = Sequence[NDArray[np.float32]]

WINDOW_HU = (-200.0, 300.0)
_SCHEDULE = Schedule(steps=3000)
_AUGMENTATION = Augmentation()
_INSIDE = 0.5
_UNKNOWN_MM = 5.0
"""Radius of a peak that is not inside a mask."""


@dataclass(frozen=True, eq=False)
class Heatmap:
    """The probability of nodes over a region.

    Attributes:
        probability: z, y, x, 0…1, with a peak on each node.
        step: Voxels of the input along a voxel of the map.
        radii_mm: Radius of the node at each voxel of the map.
    """

    probability: NDArray[np.floating[Any]]
    step: int
    radii_mm: NDArray[np.floating[Any]]

    __repr__ = short_repr


@dataclass(frozen=True)
class RegionNetwork(NetworkStage):
    """A stage that proposes candidates by a network over the region.

    A subclass says what the network is (:meth:`module`), what it is trained to return (:meth:`targets` and
    :meth:`loss`), and how its outputs are read (:meth:`heatmap`). For a network that segments nodes
    :class:`SegmentationNetwork` says all but the first.

    Attributes:
        name: Of the stage.
        width: Channels of the finest layers; more below.
        spacing_mm: Of its voxels.
        side: Of the patches that it is trained on, voxels.
        batch: Patches in a step, half of them with a node.
        augmentation: How the patches are changed at random.
        min_distance_mm: Of peaks nearer to each other the higher is kept.
        min_score: Probability below which a peak is none.
        max_candidates: Peaks that are handed on.
        slab: Slices that are processed together at most, so that memory does not grow with the scan.
        overlap: Slices at the ends of a slab whose results are not used.
    """

    examples: ClassVar[type[Any]] = dict
    multiple: ClassVar[int] = 16
    """Shapes of its inputs are multiples of this; ``slab`` and ``overlap`` must be, too. 16: they are halved four
    times."""

    name: str
    width: int
    spacing_mm: float = 1.5
    side: int = field(default=64, metadata=TRAINING_ONLY)
    batch: int = field(default=4, metadata=TRAINING_ONLY)
    schedule: Schedule = field(default=_SCHEDULE, kw_only=True, metadata=TRAINING_ONLY)
    augmentation: Augmentation = field(default=_AUGMENTATION, metadata=TRAINING_ONLY)
    min_distance_mm: float = 8.0
    min_score: float = 0.005
    max_candidates: int = 60
    slab: int = field(default=208, metadata=NOT_A_SETTING)
    overlap: int = field(default=32, metadata=NOT_A_SETTING)

    @abstractmethod
    def module(self) -> nn.Module:
        """Return the network with random weights; its input is a CT within the window, -1…1, ``(b, 1, z, y, x)``."""

    @abstractmethod
    def targets(self, patch: Patch) -> tuple[NDArray[np.float32], ...]:
        """Return what the network should return for a patch, each with a channel first."""

    @abstractmethod
    def loss(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """Return the loss of a batch, a scalar."""

    @abstractmethod
    def heatmap(self, outputs: Outputs) -> Heatmap:
        """Return the probability of nodes from the used outputs for a whole region, ``(channels, z, y, x)`` each."""

    def extract(self, context: DetectionContext, truth: TrueNodes) -> Arrays:
        """Return the CT and its nodes on an isotropic grid."""
        return example_of(context, truth, self.spacing_mm)

    def batches(self, extracted: Sequence[Arrays]) -> tuple[Draw, Loss]:
        """Return what draws patches, half of them with a node, and the loss.

        Raises:
            CtlymphError: If no case has an enlarged node.
        """
        sampler = PatchSampler(extracted, self.side, self.augmentation)
        if not sampler.nodes:
            raise CtlymphError(f"{self.name}: {len(extracted)} cases have no enlarged node; add cases with nodes")

        def draw(rng: np.random.Generator) -> tuple[Batch, Batch]:
            half = self.batch // 2
            patches = [sampler.on_node(rng) for _ in range(half)]
            patches += [sampler.anywhere(rng) for _ in range(self.batch - half)]
            targets = [self.targets(patch) for patch in patches]
            inputs = np.stack([windowed(patch.hu)[None] for patch in patches])
            return (inputs,), tuple(np.stack(each) for each in zip(*targets, strict=True))

        return draw, self.loss

    def propose(self, model: Mapping[str, Any], context: DetectionContext) -> Candidates:
        """Return the peaks in and around the region."""
        grid = working_grid(context.region, self.spacing_mm)
        outputs = in_slabs(
            lambda shape: self.compiled(model, shape, context.run),
            windowed(sample(context.volume, grid)),
            slices=self.slab,
            overlap=self.overlap,
            multiple=self.multiple,
            fill=-1.0,
        )
        heatmap = self.heatmap(outputs)
        every = slice(None, None, heatmap.step)
        probability = np.where(context.near(grid)[every, every, every], heatmap.probability, 0)
        peaks = local_maxima(probability, probability >= self.min_score)
        if not len(peaks):
            return NO_CANDIDATES
        scores = probability[tuple(peaks.T)]
        order = np.argsort(-scores, kind="stable")
        peaks, scores = peaks[order], scores[order]
        index_zyx = _refined(probability, peaks) * heatmap.step + (heatmap.step - 1) / 2
        radii_mm = heatmap.radii_mm[tuple(peaks.T)]
        found = Candidates(grid.index_to_mm(index_zyx[:, ::-1]), scores.astype(float), radii_mm.astype(float))
        return found.spread(self.min_distance_mm, self.max_candidates)


@dataclass(frozen=True)
class SegmentationNetwork(RegionNetwork):
    """A stage that detects nodes by segmenting them: any PyTorch module from a CT to the log-odds of a mask.

    This is the way to bring a network of your own, of MONAI, or of any other library: name the stage and return the
    module. It is trained, exported to OpenVINO, cross-validated and run as the networks of this package are.

    The module returns one tensor ``(b, 1, z, y, x)``, as large as its input. A candidate is a peak of the smoothed
    mask; its radius is that of a ball of the volume that hangs together there.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class MyUNet(SegmentationNetwork):
        ...     name: str = "my-unet"
        ...     width: int = 16
        ...
        ...     def module(self):
        ...         from monai.networks.nets import UNet
        ...         channels = [self.width * factor for factor in (1, 2, 4)]
        ...         return UNet(3, 1, 1, channels, strides=(2, 2))
        >>> MyUNet().spacing_mm
        1.5
    """

    smoothing_mm: float = 2.0

    def targets(self, patch: Patch) -> tuple[NDArray[np.float32], ...]:
        """Return the mask, and where it is known."""
        return (patch.labels == NODE)[None].astype(np.float32), (patch.labels != IGNORE)[None].astype(np.float32)

    def loss(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """Return the loss of masks."""
        return mask_loss(outputs[0], *targets)

    def heatmap(self, outputs: Outputs) -> Heatmap:
        """Smooth the mask, and measure its connected components."""
        from scipy.ndimage import gaussian_filter
        from scipy.special import expit

        probability = expit(outputs[0][0])
        labels, sizes = components(probability > _INSIDE)
        balls_mm = (np.concatenate([[0], sizes]) * self.spacing_mm**3 * 3 / (4 * np.pi)) ** (1 / 3)
        balls_mm[0] = _UNKNOWN_MM
        return Heatmap(gaussian_filter(probability, self.smoothing_mm / self.spacing_mm), 1, balls_mm[labels])


def windowed(hu: NDArray[Any]) -> NDArray[np.float32]:
    """Map the window to -1…1 and cut off what lies beyond."""
    low, high = WINDOW_HU
    return np.asarray(np.clip((hu.astype(np.float32) - low) / ((high - low) / 2) - 1, -1, 1))


def mask_loss(mask: Tensor, node: Tensor, known: Tensor) -> Tensor:
    """Return the sum of cross-entropy and Dice loss.

    Args:
        mask: Log-odds.
        node: 1 in nodes, 0 elsewhere.
        known: 1 where ``node`` is known, 0 elsewhere.
    """
    import torch
    from torch.nn import functional as F  # noqa: N812

    errors = known * F.binary_cross_entropy_with_logits(mask, node, reduction="none")
    inside = torch.sigmoid(mask) * known
    overlap = (2 * (inside * node).sum() + 1) / (inside.sum() + (node * known).sum() + 1)
    return errors.sum() / known.sum().clamp(min=1) + 1 - overlap


def _refined(probability: NDArray[np.floating[Any]], peaks: NDArray[np.intp]) -> Floats:
    """Return the centroid of the 27 voxels around each peak."""
    padded = np.pad(probability, 1)
    steps = np.array(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij")).reshape(3, -1).T
    around = padded[tuple((peaks[:, None] + 1 + steps).transpose(2, 0, 1))]
    return np.asarray(peaks + (around[..., None] * steps).sum(axis=1) / around.sum(axis=1)[:, None])
