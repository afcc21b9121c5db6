"""Candidates scored by support vector machines on their features: the second stage of Cherry 2014 and Liu 2014."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ctlymph.detectors.base import Candidates
from ctlymph.detectors.calibration import out_of_fold_decisions, sigmoid, sigmoid_through
from ctlymph.detectors.parts.feature_scorer import Examples, FeatureScorer, joined


@dataclass(frozen=True)
class CandidateSvm(FeatureScorer):
    """A scorer by an ensemble of support vector machines, which also thins candidates out.

    Attributes:
        name: Of the stage.
        machines: Size of the ensemble (:class:`~ctlymph.detectors.parts.svm_ensemble.SvmEnsemble`).
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
        from ctlymph.detectors.parts.svm_ensemble import SvmEnsemble

        examples, cases = joined(extracted, self.name)
        ensemble = SvmEnsemble(self.machines, self.cost, seed)
        decisions = out_of_fold_decisions(ensemble, examples.features, examples.labels, cases)
        slope, offset = sigmoid_through(decisions, examples.labels)
        machines = ensemble.fit(examples.features, examples.labels).machines_
        return {"machines": machines, "slope": slope, "offset": offset}

    def score_features(self, model: Mapping[str, Any], candidates: Candidates) -> Candidates:
        """Return them by their probability, separated from each other."""
        decisions = np.mean([each.decision_function(candidates.features) for each in model["machines"]], axis=0)
        scored = candidates.scored(sigmoid(decisions, model["slope"], model["offset"]))
        return scored.spread(self.min_distance_mm, self.max_candidates)
