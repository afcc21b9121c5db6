"""Candidates judged as a whole: the second stage of Cherry 2014 and Liu 2014, support vector machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ctlymph.detectors.base import Arrays, Candidates, DetectionContext, TrueNodes, joined, labelled
from ctlymph.detectors.calibration import honest_decisions, sigmoid, sigmoid_through

LOOKS = "looks"
"""What the stage before says of each candidate, in ``extra``."""

_SHARE = 0.5
"""Of the candidates off nodes that each of several machines learns from."""


@dataclass(frozen=True)
class CandidateSvm:
    """Second stage of a candidate generator: what a candidate's voxels say together.

    Attributes:
        name: Of the stage.
        committee: Machines; each learns from all candidates on nodes, and of several each from a part of the others.
        cost: C of the machines.
        apart_mm: Of candidates nearer to each other the better is kept.
        at_most: Candidates that are handed on.
    """

    version: ClassVar[int] = 1

    name: str = "svm"
    committee: int = 1
    cost: float = 1.0
    apart_mm: float = 12.0
    at_most: int = 60

    def extract(self, context: DetectionContext, candidates: Candidates, truth: TrueNodes) -> Arrays:
        """Gather the looks of candidates on and off nodes."""
        return labelled(candidates, truth, LOOKS)

    def fit(self, extracted: Sequence[Arrays], seed: int) -> dict[str, Any]:
        """Train the machines, and the sigmoid that makes chances of their decisions.

        Raises:
            CtlymphError: If no candidate lies on a node, or none off.
        """
        looks, labels, cases = joined(extracted, LOOKS, self.name)
        made = Committee(self.committee, self.cost, seed)
        honest = honest_decisions(lambda: Committee(self.committee, self.cost, seed), looks, labels, cases)
        slope, offset = sigmoid_through(honest, labels)
        return {"machines": made.fit(looks, labels).machines, "slope": slope, "offset": offset}

    def predict(self, model: Mapping[str, Any], context: DetectionContext, candidates: Candidates) -> Candidates:
        """Score candidates anew."""
        if not len(candidates):
            return candidates.scored(candidates.scores)
        decisions = mean_decision(model["machines"], candidates.extra[LOOKS])
        scored = candidates.scored(sigmoid(decisions, model["slope"], model["offset"]))
        return scored.spread(self.apart_mm, self.at_most)


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
    """Give the mean decision of machines, ``(n,)``."""
    return np.asarray(np.mean([machine.decision_function(rows) for machine in machines], axis=0))
