"""Candidates judged as a whole: the second stage of Cherry 2014 and Liu 2014, support vector machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ctlymph.errors import CtlymphError
from ctlymph.learning import honest_decisions, sigmoid, sigmoid_through
from ctlymph.systems import Arrays, Candidates, Scene, TrueNodes

LOOKS = "looks"
"""What the stage before says of each candidate, in ``extra``."""


@dataclass(frozen=True)
class CandidateSvm:
    """Second stage of a candidate generator: what a candidate's voxels say together.

    Attributes:
        name: Of the stage.
        committee: Machines, each of which learns from all candidates on nodes and as many draws of others; 1: one
            that learns from all, the classes weighed equal.
        cost: C of the machines.
        at_most: Candidates that are handed on.
    """

    name: str = "svm"
    committee: int = 1
    cost: float = 1.0
    at_most: int = 60

    def observe(self, scene: Scene, candidates: Candidates, truth: TrueNodes) -> Arrays:
        """Gather the looks of candidates on and off nodes."""
        labels = truth.labels(candidates.points_mm)
        return {"looks": candidates.extra[LOOKS][labels >= 0], "labels": labels[labels >= 0]}

    def learn(self, observed: Sequence[Arrays], seed: int) -> dict[str, Any]:
        """Train the machines, and the sigmoid that makes chances of their decisions.

        Raises:
            CtlymphError: If no candidate lies on a node, or none off.
        """
        looks = np.concatenate([each["looks"] for each in observed])
        labels = np.concatenate([each["labels"] for each in observed])
        cases = np.repeat(np.arange(len(observed)), [len(each["labels"]) for each in observed])
        if len(np.unique(labels)) < 2:
            raise CtlymphError(f"{self.name}: candidates of {len(observed)} cases are all alike; add cases with nodes")
        estimator = self._estimator(seed)
        slope, offset = sigmoid_through(honest_decisions(lambda: self._estimator(seed), looks, labels, cases), labels)
        return {"svm": estimator.fit(looks, labels), "slope": slope, "offset": offset}

    def apply(self, model: Mapping[str, Any], scene: Scene, candidates: Candidates) -> Candidates:
        """Score candidates anew."""
        if not len(candidates):
            return candidates.scored(candidates.scores)
        decisions = model["svm"].decision_function(candidates.extra[LOOKS])
        scored = candidates.scored(sigmoid(decisions, model["slope"], model["offset"]))
        return scored.chosen(np.arange(min(len(scored), self.at_most)))

    def _estimator(self, seed: int) -> Any:
        from sklearn.ensemble import BaggingClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import SVC

        machine = SVC(C=self.cost, gamma="scale", class_weight="balanced")
        if self.committee > 1:
            machine = BaggingClassifier(machine, self.committee, max_samples=0.6, max_features=0.6, random_state=seed)
        return make_pipeline(StandardScaler(), machine)
