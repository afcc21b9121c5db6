"""Candidates in many 2.5D views: a network scores each view, and the scores are averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.short_repr import short_repr
from ctlymph.detectors.base import Candidates, DetectionContext, TrueNodes
from ctlymph.detectors.calibration import sigmoid
from ctlymph.detectors.parts.feature_scorer import FeatureScorer, all_alike
from ctlymph.detectors.parts.hog import WINDOW_HU
from ctlymph.detectors.parts.network_stage import NetworkStage
from ctlymph.detectors.parts.views import PLANES, Frames, random_frames, views_of
from ctlymph.detectors.settings import TRAINING_ONLY
from ctlymph.nn.training_loop import Batch, Draw, Loss, Schedule

if TYPE_CHECKING:
    from torch import Tensor

_SCHEDULE = Schedule(steps=1200)
_AT_ONCE = 256
"""Views in one run of the network."""


@dataclass(frozen=True, eq=False)
class ViewExamples:
    """Views of one case's candidates on and off nodes, ``(n, 3, side, side)``, the HU window mapped to 0…255."""

    on: NDArray[np.uint8]
    off: NDArray[np.uint8]

    __repr__ = short_repr


@dataclass(frozen=True)
class ViewNetwork(NetworkStage):
    """A network scores every view of a candidate by itself: it returns the log-odds of a node ``(b, 1)``.

    Attributes:
        name: Of the stage.
        side_px: Pixels along the sides of a view.
        sides_mm: Lengths of these sides; views are drawn for each.
        shifts: Random shifts for each length.
        turns: Random rotations for each shift.
        shift_mm: The longest shift.
        views_off_nodes: Views of a candidate off nodes that are trained on; of one on a node, all are.
        max_candidates: Candidates that are scored, the highest-scoring first.
        batch: Views in a step, half of them on nodes.
    """

    examples: ClassVar[type[Any]] = ViewExamples

    name: str
    side_px: int
    sides_mm: tuple[float, ...] = (30.0, 35.0, 40.0, 45.0)
    shifts: int = 5
    turns: int = 5
    shift_mm: float = 3.0
    views_off_nodes: int = 25
    max_candidates: int = 60
    schedule: Schedule = field(default=_SCHEDULE, kw_only=True, metadata=TRAINING_ONLY)
    batch: int = field(default=128, metadata=TRAINING_ONLY)

    @property
    def frames(self) -> Frames:
        """Sizes, shifts and rotations of the views, the same for all candidates."""
        return random_frames(self.sides_mm, self.shifts, self.turns, shift_mm=self.shift_mm, seed=0)

    def extract(self, context: DetectionContext, candidates: Candidates, truth: TrueNodes) -> ViewExamples:
        """Return views of the candidates on and off nodes."""
        frames = self.frames
        best = candidates.first(self.max_candidates)
        labels = truth.labels(best.points_mm)
        taken = [
            _windowed(views_of(context.volume, best.points_mm[labels == label], frames.first(count), self.side_px))
            for label, count in ((1, len(frames)), (0, self.views_off_nodes))
        ]
        on, off = (views.reshape(-1, *self._shape) for views in taken)
        return ViewExamples(on, off)

    def batches(self, extracted: Sequence[ViewExamples]) -> tuple[Draw, Loss]:
        """Return what draws views, half of them on nodes, and the loss.

        Raises:
            CtlymphError: If no candidate lies on a node, or none off.
        """
        if not any(len(each.on) for each in extracted) or not any(len(each.off) for each in extracted):
            raise all_alike(self.name, len(extracted))
        on, off = (np.concatenate(views) for views in zip(*((each.on, each.off) for each in extracted), strict=True))

        def draw(rng: np.random.Generator) -> tuple[Batch, Batch]:
            half = self.batch // 2
            views = [each[rng.integers(len(each), size=half)] for each in (on, off)]
            return (_scaled(np.concatenate(views)),), (np.repeat([1.0, 0.0], half)[:, None],)

        return draw, _binary

    def score(self, model: Mapping[str, Any], context: DetectionContext, candidates: Candidates) -> Candidates:
        """Return the candidates with the probabilities of their views as features, in the same order."""
        best = candidates.first(self.max_candidates)
        frames = self.frames
        run = self.compiled(model, (-1, *self._shape), context.run)
        views = _windowed(views_of(context.volume, best.points_mm, frames, self.side_px)).reshape(-1, *self._shape)
        parts = [run(_scaled(views[at : at + _AT_ONCE]))[0] for at in range(0, len(views), _AT_ONCE)]
        odds = np.concatenate([np.empty((0, 1)), *parts]).reshape(len(best), len(frames))
        return Candidates(best.points_mm, best.scores, best.radii_mm, sigmoid(odds, 1.0, 0.0))

    @property
    def _shape(self) -> tuple[int, int, int]:
        return PLANES, self.side_px, self.side_px


@dataclass(frozen=True)
class Averaged(FeatureScorer):
    """The score of a candidate is the mean probability of its views.

    Attributes:
        name: Of the stage.
        views: Number of views that are averaged, the first.
    """

    version: ClassVar[int] = 1

    name: str
    views: int = 100

    def score_features(self, model: Mapping[str, Any], candidates: Candidates) -> Candidates:
        """Return them scored by the mean over views."""
        return candidates.scored(candidates.features[:, : self.views].mean(axis=1))


def _windowed(views_hu: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Map the HU window to 0…255, in a quarter of the memory of float32."""
    low, high = WINDOW_HU
    return np.asarray(np.clip((views_hu - low) * (255 / (high - low)), 0, 255).round().astype(np.uint8))


def _scaled(views: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Map 0…255 to -1…1."""
    return views.astype(np.float32) / 127.5 - 1


def _binary(outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    from torch.nn.functional import binary_cross_entropy_with_logits

    return binary_cross_entropy_with_logits(outputs[0], targets[0])
