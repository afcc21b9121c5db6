"""What detectors are made of: the context of a region, candidates, true nodes, and the stages that work on them.

A detector is a chain of stages. The first proposes candidates (:class:`Generator`), each of the others scores them anew
(:class:`Scorer`). Trained stages learn from cases whose nodes are known. What they learn is a dict of estimators and
arrays, which a model's folder holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ctlymph.anatomy.landmarks import Landmarks
from ctlymph.core.morphology import box_around, dilate
from ctlymph.core.nodes import Mark
from ctlymph.core.peaks import separated
from ctlymph.core.progress import Progress
from ctlymph.core.regions import Region
from ctlymph.core.short_repr import short_repr
from ctlymph.core.volume import AIR_HU, Geometry, Masks, Volume, resample_array
from ctlymph.nn.run_context import Device, RunContext

Arrays = dict[str, NDArray[Any]]
Floats = NDArray[np.float64]

HIT_MM = 15.0
"""A candidate within this distance of a node's centre counts as on it (the rule of Roth 2014 and Seff 2014)."""
ENLARGED_MM = 10.0
"""Short axis from which on a node is to be found (RECIST 1.1)."""
_ON_NODE_MM = 4.0
"""A candidate up to this far beyond half the short axis still shows the node; farther away it is no example of it."""

GRID_MM = 2.0
"""A node of 10 mm is five voxels across; a region of an adult holds about half a million voxels of soft tissue."""
_MARGIN_MM = 15.0
_BEYOND_MM = 10.0
"""A node at the region's edge, as in the hilum of a lung, has its centre beyond it."""
TISSUE_HU = (-30.0, 180.0)
"""Mean of a node's voxel and its neighbours: enhancing nodes have up to 120 HU, and noise is averaged."""


@dataclass(frozen=True, eq=False)
class DetectionContext:
    """One region of one CT.

    Attributes:
        volume: The CT, or as much of it as lies around the region.
        landmarks: Of the whole CT.
        region: Where to search.
        published_mm: ``(n, 3)`` LPS mm, candidates that were published with the CT; None where there are none.
        run: Where and how precisely networks run.
    """

    volume: Volume
    landmarks: Landmarks
    region: Region
    published_mm: Floats | None = None
    run: RunContext = field(default_factory=RunContext)

    @cached_property
    def grid(self) -> Geometry:
        """Grid of cubic voxels of 2 mm over the region and a margin of 15 mm."""
        return working_grid(self.region, GRID_MM)

    @cached_property
    def hu(self) -> NDArray[np.int16]:
        """The CT on the grid, z, y, x, HU."""
        return sample(self.volume, self.grid)

    def near(self, grid: Geometry) -> NDArray[np.bool_]:
        """Return which voxels of a grid lie in the region or up to 10 mm outside."""
        near = dilate(self.region.mask, self.region.geometry, _BEYOND_MM)
        return resample_array(near, self.region.geometry, grid, 0, "nearest").astype(bool)

    @cached_property
    def tissue(self) -> NDArray[np.intp]:
        """Voxels in or near the region that may belong to a node, ``(n, 3)`` z, y, x of the grid."""
        from scipy.ndimage import uniform_filter

        inside = self.near(self.grid)
        low, high = TISSUE_HU
        mean = uniform_filter(np.clip(self.hu, -200, 400).astype(np.float32), 3)
        return np.argwhere(inside & (mean >= low) & (mean <= high))


def working_grid(region: Region, spacing_mm: float) -> Geometry:
    """Return a grid of cubic voxels over the region's bounding box and a margin of 15 mm, as far as the scan goes."""
    box = box_around(region.mask, np.ceil(_MARGIN_MM / region.geometry.spacing_zyx).astype(int))
    part = region.geometry.crop([side.start for side in box], [side.stop - side.start for side in box])
    return part.with_spacing(spacing_mm)


def sample(volume: Volume, grid: Geometry) -> NDArray[np.int16]:
    """Return a CT resampled to a grid, z, y, x, HU; it is cropped first, so that only that part is copied."""
    corners = np.array(np.meshgrid(*([-1, n] for n in grid.shape_ijk))).reshape(3, -1).T
    index_zyx = volume.geometry.mm_to_index(grid.index_to_mm(corners))[:, ::-1]
    start = np.clip(np.floor(index_zyx.min(axis=0)).astype(int), 0, np.array(volume.hu.shape) - 1)
    stop = np.clip(np.ceil(index_zyx.max(axis=0)).astype(int) + 1, start + 1, volume.hu.shape)
    part = volume.hu[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    return resample_array(part, volume.geometry.crop(start, stop - start), grid, AIR_HU)


@dataclass(frozen=True, eq=False)
class Candidates:
    """Places that may be nodes, by falling score; n of them.

    Attributes:
        points_mm: ``(n, 3)`` x, y, z in LPS mm.
        scores: ``(n,)`` 0…1.
        radii_mm: ``(n,)`` estimated radius.
        features: ``(n, …)`` what one stage hands to the next; empty where it hands on nothing.

    Example:
        >>> points_mm = np.array([[0.0, 0, 0], [5, 0, 0], [50, 0, 0]])
        >>> found = Candidates(points_mm, scores=np.array([0.9, 0.8, 0.7]), radii_mm=np.full(3, 6.0))
        >>> found.spread(min_distance_mm=10, max_candidates=60).scores.tolist()
        [0.9, 0.7]
    """

    points_mm: Floats
    scores: Floats
    radii_mm: Floats
    features: NDArray[Any] = field(default_factory=lambda: np.empty(0))

    __repr__ = short_repr

    def __len__(self) -> int:
        return len(self.scores)

    def scored(self, scores: NDArray[np.floating[Any]]) -> Candidates:
        """Return them with other scores, in the order of these, and without features."""
        rows = np.argsort(-scores, kind="stable")
        return Candidates(self.points_mm, np.asarray(scores, np.float64), self.radii_mm).chosen(rows)

    def chosen(self, rows: NDArray[np.intp]) -> Candidates:
        """Return those with these indices."""
        features = self.features[rows] if len(self.features) else self.features
        return Candidates(self.points_mm[rows], self.scores[rows], self.radii_mm[rows], features)

    def first(self, count: int) -> Candidates:
        """Return the ``count`` highest-scoring, or all if there are no more."""
        return self.chosen(np.arange(min(len(self), count)))

    def spread(self, min_distance_mm: float, max_candidates: int) -> Candidates:
        """Return the highest-scoring that keep this distance from each other (non-maximum suppression)."""
        return self.chosen(separated(self.points_mm, min_distance_mm, max_count=max_candidates))

    def marks(self, region: str) -> list[Mark]:
        """Return them as marks."""
        return [
            Mark((float(x), float(y), float(z)), float(score), float(radius), region)
            for (x, y, z), score, radius in zip(self.points_mm, self.scores, self.radii_mm, strict=True)
        ]


NO_CANDIDATES = Candidates(np.empty((0, 3)), np.empty(0), np.empty(0))


@dataclass(frozen=True, eq=False)
class TrueNodes:
    """The annotated nodes of a case; m of them.

    Attributes:
        points_mm: ``(m, 3)`` x, y, z in LPS mm.
        short_axes_mm: ``(m,)``; NaN where not known.
        masks: On the grid of the context's volume; None where there are none.

    Example:
        >>> truth = TrueNodes(np.array([[0.0, 0, 0]]), short_axes_mm=np.array([12.0]), masks=None)
        >>> truth.labels(np.array([[1.0, 0, 0], [12, 0, 0], [40, 0, 0]])).tolist()
        [1, -1, 0]
    """

    points_mm: Floats
    short_axes_mm: Floats
    masks: Masks | None

    __repr__ = short_repr

    @property
    def enlarged(self) -> int:
        """Number of enlarged nodes."""
        return int((self.short_axes_mm >= ENLARGED_MM).sum())

    def missed(self, candidates: Candidates) -> Candidates:
        """Return a candidate of score 0 on every enlarged node that has none within 15 mm (Roth 2014 injects them)."""
        away = np.linalg.norm(self.points_mm[:, None] - candidates.points_mm[None], axis=2)
        missed = (self.short_axes_mm >= ENLARGED_MM) & ~(away <= HIT_MM).any(axis=1)
        return Candidates(self.points_mm[missed], np.zeros(int(missed.sum())), self.short_axes_mm[missed] / 2)

    def labels(self, points_mm: Floats) -> NDArray[np.int8]:
        """Return the labels of points ``(n, 3)`` LPS mm: 1 on an enlarged node, 0 off all nodes, −1 neither.

        Neither are points on or near a node that is small or of unknown size, and points that are within 15 mm of an
        enlarged node but do not show it.
        """
        away = np.linalg.norm(points_mm[:, None] - self.points_mm[None], axis=2)
        enlarged = self.short_axes_mm >= ENLARGED_MM
        on_node = away <= np.where(enlarged, self.short_axes_mm / 2 + _ON_NODE_MM, -1.0)
        found = np.where((away <= HIT_MM).any(axis=1), -1, 0)
        found[on_node.any(axis=1)] = 1
        return found.astype(np.int8)


class _Named(Protocol):
    """What all stages have: a frozen dataclass whose fields are its settings (:mod:`ctlymph.detectors.settings`).

    Attributes:
        version: Of its behaviour. Whoever changes what it computes, here or in what it calls, raises the number:
            models of another version are refused, and intermediate results of another version are not used.
    """

    version: ClassVar[int]

    @property
    def name(self) -> str:
        """Short, for file names and progress."""
        ...


@runtime_checkable
class Generator(_Named, Protocol):
    """A stage that proposes candidates; a frozen dataclass whose fields are its settings.

    Example:
        >>> @dataclass(frozen=True)
        ... class Carina:
        ...     version: ClassVar[int] = 1
        ...     name: str = "carina"
        ...
        ...     def propose(self, model, context):
        ...         landmarks = context.landmarks
        ...         point_mm = landmarks.geometry.index_to_mm([landmarks.airway.carina_ijk])
        ...         return Candidates(point_mm, scores=np.ones(1), radii_mm=np.full(1, 6.0))
        >>> isinstance(Carina(), Generator)
        True
    """

    def propose(self, model: Mapping[str, Any], context: DetectionContext) -> Candidates:
        """Return the candidates of a region; ``model`` is what :meth:`TrainableGenerator.fit` returned, or empty."""
        ...


@runtime_checkable
class Scorer(_Named, Protocol):
    """A stage that scores given candidates, or adds the features by which the next one does; likewise a dataclass."""

    def score(self, model: Mapping[str, Any], context: DetectionContext, candidates: Candidates) -> Candidates:
        """Return candidates with new scores or features; ``model`` is what :meth:`TrainableScorer.fit` returned."""
        ...


@runtime_checkable
class TrainableGenerator(Generator, Protocol):
    """A generator that is trained.

    Attributes:
        examples: Class of what :meth:`extract` returns: a dataclass of arrays, or ``dict`` for arrays by name. It is
            saved for every case.
    """

    examples: ClassVar[type[Any]]

    def extract(self, context: DetectionContext, truth: TrueNodes) -> Any:
        """Return what can be learned from one case."""
        ...

    def fit(self, extracted: Sequence[Any], seed: int) -> dict[str, Any]:
        """Train on several cases; return estimators, arrays, numbers and strings by name."""
        ...


@runtime_checkable
class TrainableScorer(Scorer, Protocol):
    """A scorer that is trained; ``examples`` as in :class:`TrainableGenerator`."""

    examples: ClassVar[type[Any]]

    def extract(self, context: DetectionContext, candidates: Candidates, truth: TrueNodes) -> Any:
        """Return what can be learned from the candidates of one case."""
        ...

    def fit(self, extracted: Sequence[Any], seed: int) -> dict[str, Any]:
        """Train on several cases; return estimators, arrays, numbers and strings by name."""
        ...


Stage = Generator | Scorer
Trainable = TrainableGenerator | TrainableScorer


def extract(stage: Trainable, context: DetectionContext, candidates: Candidates, truth: TrueNodes) -> Any:
    """Return what a stage can learn from one case; a generator needs no candidates."""
    if isinstance(stage, TrainableGenerator):
        return stage.extract(context, truth)
    return stage.extract(context, candidates, truth)


def predict(
    stage: Stage, model: Mapping[str, Any], context: DetectionContext, candidates: Candidates = NO_CANDIDATES
) -> Candidates:
    """Return the candidates that a generator proposes, or those given as a scorer scores them."""
    if isinstance(stage, Generator):
        return stage.propose(model, context)
    return stage.score(model, context, candidates)


@runtime_checkable
class Resumable(Protocol):
    """A stage that is trained for long: it saves checkpoints in a folder, and goes on from there."""

    examples: ClassVar[type[Any]]

    def fit_resumable(
        self, extracted: Sequence[Any], seed: int, folder: Path, progress: Progress, device: Device
    ) -> dict[str, Any]:
        """Train as ``fit`` does."""
        ...


@runtime_checkable
class Configurable(Protocol):
    """A stage that is trained in steps, and can start from what such a stage has learned."""

    def configured(self, steps: int | None, part: Mapping[str, Any] | None, sha256: str) -> Stage:
        """Return it with another number of steps, starting from such a part, whose file has this SHA-256."""
        ...


@dataclass(frozen=True)
class System:
    """The stages of a detector for one region.

    Attributes:
        generator: Propose candidates.
        classifier: Score them anew, each by itself; none where the generator's scores stand.
        joint: Whether it is trained on the cases of all regions together.

    Example:
        >>> from ctlymph.detectors.blobs import Blobs
        >>> System(generator=(Blobs(),)).is_trainable
        False
    """

    generator: tuple[Stage, ...]
    classifier: tuple[Stage, ...] = ()
    joint: bool = False

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All, in the order of their work."""
        return (*self.generator, *self.classifier)

    def with_stages(self, stages: Sequence[Stage]) -> System:
        """Return it with other stages in the places of its own."""
        count = len(self.generator)
        return replace(self, generator=tuple(stages[:count]), classifier=tuple(stages[count:]))

    def in_steps(self, steps: int) -> System:
        """Return it with networks that are trained for another number of steps."""
        return self.with_stages(
            [stage.configured(steps, None, "") if isinstance(stage, Configurable) else stage for stage in self.stages]
        )

    @property
    def is_trainable(self) -> bool:
        """Whether any stage must be trained."""
        return any(isinstance(stage, Trainable) for stage in self.stages)
