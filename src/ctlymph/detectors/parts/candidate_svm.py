"""Candidates scored by support vector machines on their features: the second stage of Cherry 2014 and Liu 2014."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ctlymph.detectors.base import Candidates
from ctlymph.detectors.calibration import honest_decisions, sigmoid, sigmoid_through
from ctlymph.detectors.parts.feature_scorer import Examples, FeatureScorer, joined

_SHARE = 0.5
"""Of the candidates off nodes that each of several machines learns from."""


@dataclass(frozen=True)
class CandidateSvm(FeatureScorer):
    """A scorer by an ensemble of support vector machines, which also thins candidates out.

    Attributes:
        name: Of the stage.
        machines: In the ensemble. Each is trained on all candidates on nodes, and, of several, on a part of the others.
        cost: C of the machines.
        min_distance_mm: Of candidates nearer to each other the highest-scoring is kept.
        max_candidates: Candidates that are kept at most.
    """

    version: ClassVar[int] = 1

    name: str = "svm"
    machines: int = 1
    cost: float = 1.0
    min_distance_mm: float = 12.0
    max_candidates: int = 60

    def fit(self, extracted: Sequence[Examples], seed: int) -> dict[str, Any]:
        """Train the ensemble, and the sigmoid that turns its decisions into probabilities.

        Raises:
            CtlymphError: If no candidate lies on a node, or none off.
        """
        examples, cases = joined(extracted, self.name)
        features, labels = examples.features, examples.labels
        made = Committee(self.machines, self.cost, seed)
        honest = honest_decisions(lambda: Committee(self.machines, self.cost, seed), features, labels, cases)
        slope, offset = sigmoid_through(honest, labels)
        return {"machines": made.fit(features, labels).machines, "slope": slope, "offset": offset}

    def score_features(self, model: Mapping[str, Any], candidates: Candidates) -> Candidates:
        """Return them by their probability, separated from each other."""
        decisions = mean_decision(model["machines"], candidates.features)
        scored = candidates.scored(sigmoid(decisions, model["slope"], model["offset"]))
        return scored.spread(self.min_distance_mm, self.max_candidates)


class Committee:
    """Support vector machines that decide together."""

    def __init__(self, count: int, cost: float, seed: int) -> None:
        self.count, self.cost, self.seed = count, cost, seed
        self.machines: list[Any] = []

    def fit(self, rows: NDArray[np.floating[Any]], labels: NDArray[Any]) -> Committee:
        """Train them on rows ``(n, f)`` with labels 0 and 1, both there."""
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import SVC

        rng = np.random.default_rng(self.seed)
        on, off = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
        share = 1.0 if self.count == 1 else _SHARE
        for _ in range(self.count):
            drawn = rng.choice(off, max(1, int(share * len(off))), replace=False)
            used = np.concatenate([on, drawn])
            machine = make_pipeline(StandardScaler(), SVC(C=self.cost, gamma="scale", class_weight="balanced"))
            self.machines.append(machine.fit(rows[used], labels[used]))
        return self

    def decision_function(self, rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Give the mean of their decisions."""
        return mean_decision(self.machines, rows)


def mean_decision(machines: Sequence[Any], rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the mean decision of machines, ``(n,)``."""
    return np.asarray(np.mean([machine.decision_function(rows) for machine in machines], axis=0))
