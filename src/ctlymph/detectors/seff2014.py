"""Seff 2014: a candidate seen in 27 slices, each scored by one linear machine, the scores fused.

Seff A, Lu L, Cherry KM, Roth HR, Liu J, Wang S, Hoffman J, Turkbey EB, Summers RM: 2D view aggregation for lymph node
detection using a shallow hierarchy of linear classifiers, MICCAI 2014, arXiv 1408.3337. Nine slices along each axis of
the body are cut through a candidate; histograms of oriented gradients describe each; a linear support vector machine
scores every slice by itself; the 27 scores become one by their mean, their maximum, or a second, sparse linear layer.

Left open by the paper, and chosen here: slices are 1 mm apart; cells of 9 pixels; C of both machines. The second layer
learns from scores of cases from which the first has not learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ctlymph.detectors.base import Arrays, Candidates, DetectionContext, FixedStage, Stage, TrueNodes, joined, labelled
from ctlymph.detectors.calibration import honest_decisions, linear_decision, linear_svm, sigmoid, sigmoid_through
from ctlymph.detectors.parts.hog import hog_of, windowed
from ctlymph.detectors.parts.slices import SLICES, slices_of

Pooling = Literal["mean", "max", "fused"]
HOG, SCORES = "hog", "slices"
"""Names of the slices' features ``(n, 27, f)`` and scores ``(n, 27)`` among a candidate's ``extra``."""


@dataclass(frozen=True)
class SliceHog(FixedStage):
    """First layer, what is seen: histograms of oriented gradients of every slice.

    Attributes:
        name: Of the stage.
        cells_px: Sides of the cells of the histograms, pixels of 1 mm.
        at_most: Candidates that are looked at, the best first.
    """

    version: ClassVar[int] = 1

    name: str = "seff2014-hog"
    cells_px: tuple[int, ...] = (9,)
    at_most: int = 60

    def predict(self, model: Mapping[str, Any], context: DetectionContext, candidates: Candidates) -> Candidates:
        """Describe the candidates' slices."""
        best = candidates.first(self.at_most)
        seen = hog_of(windowed(slices_of(context.volume, best.points_mm)), self.cells_px)
        return Candidates(best.points_mm, best.scores, best.radii_mm, {HOG: seen})


@dataclass(frozen=True)
class SliceMachine:
    """First layer, what is thought of it: one linear machine scores every slice by itself.

    Attributes:
        name: Of the stage.
        cost: C of the machine.
    """

    version: ClassVar[int] = 1

    name: str = "seff2014-slices"
    cost: float = 0.003

    def extract(self, context: DetectionContext, candidates: Candidates, truth: TrueNodes) -> Arrays:
        """Gather the slices of candidates on and off nodes."""
        return labelled(candidates, truth, HOG)

    def fit(self, extracted: Sequence[Arrays], seed: int) -> dict[str, Any]:
        """Train the machine.

        Raises:
            CtlymphError: If no candidate lies on a node, or none off.
        """
        hog, labels, _ = joined(extracted, HOG, self.name)
        return {"weights": linear_svm(hog.reshape(-1, hog.shape[-1]), np.repeat(labels, SLICES), self.cost)}

    def predict(self, model: Mapping[str, Any], context: DetectionContext, candidates: Candidates) -> Candidates:
        """Score the slices; candidates keep their order."""
        return replace(candidates, extra={SCORES: linear_decision(model["weights"], candidates.extra[HOG])})


@dataclass(frozen=True)
class Pooled:
    """Second layer: 27 scores become one.

    Attributes:
        pooling: How.
        name: Of the stage.
        cost: C of the sparse layer of ``fused``; the smaller, the fewer slices count.
    """

    version: ClassVar[int] = 1

    pooling: Pooling = "fused"
    name: str = "seff2014-fused"
    cost: float = 0.1

    def extract(self, context: DetectionContext, candidates: Candidates, truth: TrueNodes) -> Arrays:
        """Gather the slices' scores of candidates on and off nodes."""
        return labelled(candidates, truth, SCORES)

    def fit(self, extracted: Sequence[Arrays], seed: int) -> dict[str, Any]:
        """Train the layer, and the sigmoid that makes chances of its decisions.

        Raises:
            CtlymphError: If no candidate lies on a node, or none off.
        """
        scores, labels, cases = joined(extracted, SCORES, self.name)
        if self.pooling != "fused":
            slope, offset = sigmoid_through(_pooled(scores, self.pooling), labels)
            return {"slope": slope, "offset": offset}
        slope, offset = sigmoid_through(honest_decisions(lambda: self._layer(seed), scores, labels, cases), labels)
        return {"layer": self._layer(seed).fit(scores, labels), "slope": slope, "offset": offset}

    def predict(self, model: Mapping[str, Any], context: DetectionContext, candidates: Candidates) -> Candidates:
        """Score candidates anew."""
        if not len(candidates):
            return candidates.scored(candidates.scores)
        scores = candidates.extra[SCORES]
        fused = self.pooling == "fused"
        decisions = model["layer"].decision_function(scores) if fused else _pooled(scores, self.pooling)
        return candidates.scored(sigmoid(decisions, model["slope"], model["offset"]))

    def _layer(self, seed: int) -> Any:
        from sklearn.svm import LinearSVC

        options = {"C": self.cost, "class_weight": "balanced", "random_state": seed}
        return LinearSVC(penalty="l1", dual=False, max_iter=20_000, **options)


def _pooled(scores: NDArray[np.float64], pooling: Pooling) -> NDArray[np.float64]:
    """Make one score of 27, ``(n, 27)`` to ``(n,)``, without learning."""
    return np.asarray(scores.mean(axis=1) if pooling == "mean" else scores.max(axis=1))


def stages(pooling: Pooling = "fused") -> tuple[Stage, ...]:
    """Give the stages that follow a candidate generator."""
    return SliceHog(), SliceMachine(), Pooled(pooling, f"seff2014-{pooling}")
