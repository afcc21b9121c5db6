"""Seff 2014: a candidate in 27 slices, each scored by a linear SVM, the scores pooled.

Seff A, Lu L, Cherry KM, Roth HR, Liu J, Wang S, Hoffman J, Turkbey EB, Summers RM: 2D view aggregation for lymph node
detection using a shallow hierarchy of linear classifiers, MICCAI 2014, arXiv 1408.3337. Nine slices along each axis of
the body are cut through a candidate. Histograms of oriented gradients describe each slice, and a linear support vector
machine (SVM) scores it. The 27 scores become one by their mean, their maximum, or a second, sparse linear layer.

The paper leaves open, and here is chosen: slices lie 1 mm apart; cells of 9 pixels; C of both layers. The second layer
is trained on scores of cases on which the first has not been trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ctlymph.detectors.base import Candidates, DetectionContext, Scorer
from ctlymph.detectors.calibration import linear_decision, linear_svm, out_of_fold_decisions, sigmoid, sigmoid_through
from ctlymph.detectors.parts.feature_scorer import Examples, FeatureScorer, joined
from ctlymph.detectors.parts.hog import hog_of, windowed
from ctlymph.detectors.parts.slices import SLICES, slices_of

Pooling = Literal["mean", "max", "fused"]


@dataclass(frozen=True)
class SliceHog:
    """First layer, the features: histograms of oriented gradients of every slice, ``(n, 27, f)``.

    Attributes:
        name: Of the stage.
        cells_px: Sides of the histograms' cells, pixels of 1 mm.
        max_candidates: Candidates that are scored at most, the highest-scoring of those given.
    """

    version: ClassVar[int] = 1

    name: str = "seff2014-hog"
    cells_px: tuple[int, ...] = (9,)
    max_candidates: int = 60

    def score(self, model: Mapping[str, Any], context: DetectionContext, candidates: Candidates) -> Candidates:
        """Return the candidates with the histograms of their slices."""
        first = candidates.first(self.max_candidates)
        return replace(first, features=hog_of(windowed(slices_of(context.volume, first.points_mm)), self.cells_px))


@dataclass(frozen=True)
class SliceSvm(FeatureScorer):
    """First layer, the scores: one linear SVM scores every slice by itself, ``(n, 27)``.

    Attributes:
        name: Of the stage.
        cost: C of the SVM.
    """

    version: ClassVar[int] = 1

    name: str = "seff2014-slices"
    cost: float = 0.003

    def fit(self, extracted: Sequence[Examples], seed: int) -> dict[str, Any]:
        """Train the SVM on the slices of all candidates.

        Raises:
            CtlymphError: If no candidate lies on a node, or none off.
        """
        examples, _ = joined(extracted, self.name)
        hog = examples.features.reshape(-1, examples.features.shape[-1])
        return {"weights": linear_svm(hog, np.repeat(examples.labels, SLICES), self.cost)}

    def score_features(self, model: Mapping[str, Any], candidates: Candidates) -> Candidates:
        """Return them with the scores of their slices; they keep their order."""
        return replace(candidates, features=linear_decision(model["weights"], candidates.features))


@dataclass(frozen=True)
class SlicePooling(FeatureScorer):
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

    def fit(self, extracted: Sequence[Examples], seed: int) -> dict[str, Any]:
        """Train the layer, and the sigmoid that turns its decisions into probabilities.

        Raises:
            CtlymphError: If no candidate lies on a node, or none off.
        """
        examples, cases = joined(extracted, self.name)
        scores, labels = examples.features, examples.labels
        if self.pooling != "fused":
            slope, offset = sigmoid_through(_pooled(scores, self.pooling), labels)
            return {"slope": slope, "offset": offset}
        layer = self._layer(seed)
        slope, offset = sigmoid_through(out_of_fold_decisions(layer, scores, labels, cases), labels)
        return {"layer": layer.fit(scores, labels), "slope": slope, "offset": offset}

    def score_features(self, model: Mapping[str, Any], candidates: Candidates) -> Candidates:
        """Return them by their probability."""
        fused = self.pooling == "fused"
        scores = candidates.features
        decisions = model["layer"].decision_function(scores) if fused else _pooled(scores, self.pooling)
        return candidates.scored(sigmoid(decisions, model["slope"], model["offset"]))

    def _layer(self, seed: int) -> Any:
        from sklearn.svm import LinearSVC

        options = {"C": self.cost, "class_weight": "balanced", "random_state": seed}
        return LinearSVC(penalty="l1", dual=False, max_iter=20_000, **options)


def _pooled(scores: NDArray[np.float64], pooling: Pooling) -> NDArray[np.float64]:
    """Return the mean or maximum of scores ``(n, 27)``."""
    return np.asarray(scores.mean(axis=1) if pooling == "mean" else scores.max(axis=1))


def stages(pooling: Pooling = "fused") -> tuple[Scorer, ...]:
    """Return the stages that follow a candidate generator."""
    return SliceHog(), SliceSvm(), SlicePooling(pooling, f"seff2014-{pooling}")
