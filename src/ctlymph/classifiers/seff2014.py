"""Seff 2014: a candidate seen in 27 slices, each scored by one linear machine, the scores fused.

Seff A, Lu L, Cherry KM, Roth HR, Liu J, Wang S, Hoffman J, Turkbey EB, Summers RM: 2D view aggregation for lymph node
detection using a shallow hierarchy of linear classifiers, MICCAI 2014, arXiv 1408.3337. Nine slices along each axis of
the body are cut through a candidate; histograms of oriented gradients describe each; a linear support vector machine
scores every slice by itself; the 27 scores become one by their mean, their maximum, or a second, sparse linear layer.

Left open by the paper, and chosen here: slices are 1 mm apart; cells of 9 pixels; C of both machines. The second layer
and the sigmoid learn from scores of cases from which the first has not learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ctlymph.classifiers.hog import hog_of, windowed
from ctlymph.classifiers.slices import SLICES, slices_of
from ctlymph.errors import CtlymphError
from ctlymph.learning import honest_decisions, sigmoid, sigmoid_through
from ctlymph.systems import Arrays, Candidates, FixedStage, Scene, Stage, TrueNodes

Pooling = Literal["mean", "max", "fused"]
HOG = "hog"
"""Name of the slices' features among a candidate's ``extra``, ``(n, 27, f)``."""


@dataclass(frozen=True)
class SliceHog(FixedStage):
    """First layer, what is seen: histograms of oriented gradients of every slice.

    Attributes:
        name: Of the stage.
        cells_px: Sides of the cells of the histograms, pixels of 1 mm.
        at_most: Candidates that are looked at, the best first.
    """

    name: str = "seff2014-hog"
    cells_px: tuple[int, ...] = (9,)
    at_most: int = 60

    def apply(self, model: Mapping[str, Any], scene: Scene, candidates: Candidates) -> Candidates:
        """Describe the candidates' slices."""
        best = candidates.chosen(np.arange(min(len(candidates), self.at_most)))
        seen = hog_of(windowed(slices_of(scene.volume, best.points_mm)), self.cells_px)
        return Candidates(best.points_mm, best.scores, best.radii_mm, {HOG: seen})


@dataclass(frozen=True)
class SliceSvm:
    """Both linear layers.

    Attributes:
        pooling: How 27 scores become one.
        name: Of the stage.
        slice_cost: C of the machine that scores slices.
        fusion_cost: C of the sparse layer; the smaller, the fewer slices count.
    """

    pooling: Pooling = "fused"
    name: str = "seff2014-svm"
    slice_cost: float = 0.003
    fusion_cost: float = 0.1

    def observe(self, scene: Scene, candidates: Candidates, truth: TrueNodes) -> Arrays:
        """Gather the slices of candidates on and off nodes."""
        labels = truth.labels(candidates.points_mm)
        return {HOG: candidates.extra[HOG][labels >= 0], "labels": labels[labels >= 0]}

    def learn(self, observed: Sequence[Arrays], seed: int) -> dict[str, Any]:
        """Train the layers, and the sigmoid that makes chances of their decisions.

        Raises:
            CtlymphError: If no candidate lies on a node, or none off.
        """
        labels = np.concatenate([each["labels"] for each in observed])
        if len(np.unique(labels)) < 2:
            raise CtlymphError(f"{self.name}: candidates of {len(observed)} cases are all alike; add cases with nodes")
        cases = np.repeat(np.arange(len(observed)), [len(each["labels"]) for each in observed])
        hog = np.concatenate([each[HOG] for each in observed]).astype(np.float32)
        rows, row_labels = hog.reshape(-1, hog.shape[-1]), np.repeat(labels, SLICES)
        honest = honest_decisions(lambda: self._machine(seed), rows, row_labels, np.repeat(cases, SLICES))
        part: dict[str, Any] = {"slices": self._machine(seed).fit(rows, row_labels)}
        seen = honest.reshape(-1, SLICES)
        known = np.isfinite(seen).all(axis=1)
        if self.pooling == "fused":
            part["fusion"] = self._fusion(seed).fit(seen[known], labels[known])
            pooled = np.full(len(labels), np.nan)
            pooled[known] = honest_decisions(lambda: self._fusion(seed), seen[known], labels[known], cases[known])
        else:
            pooled = _pooled(seen, self.pooling)
        part["slope"], part["offset"] = sigmoid_through(pooled, labels)
        return part

    def apply(self, model: Mapping[str, Any], scene: Scene, candidates: Candidates) -> Candidates:
        """Score candidates anew."""
        if not len(candidates):
            return candidates.scored(candidates.scores)
        hog = candidates.extra[HOG].astype(np.float32)
        seen = model["slices"].decision_function(hog.reshape(-1, hog.shape[-1])).reshape(-1, SLICES)
        fused = self.pooling == "fused"
        decisions = model["fusion"].decision_function(seen) if fused else _pooled(seen, self.pooling)
        return candidates.scored(sigmoid(decisions, model["slope"], model["offset"]))

    def _machine(self, seed: int) -> Any:
        from sklearn.svm import LinearSVC

        return LinearSVC(C=self.slice_cost, dual=False, class_weight="balanced", tol=1e-3, random_state=seed)

    def _fusion(self, seed: int) -> Any:
        from sklearn.svm import LinearSVC

        return LinearSVC(C=self.fusion_cost, penalty="l1", dual=False, class_weight="balanced", random_state=seed)


def _pooled(scores: NDArray[np.float64], pooling: Pooling) -> NDArray[np.float64]:
    """Make one score of 27, ``(n, 27)`` to ``(n,)``, without learning."""
    return np.asarray(scores.mean(axis=1) if pooling == "mean" else scores.max(axis=1))


def stages(pooling: Pooling = "fused") -> tuple[Stage, ...]:
    """Give the stages that follow a candidate generator."""
    return SliceHog(), SliceSvm(pooling, f"seff2014-{pooling}")
