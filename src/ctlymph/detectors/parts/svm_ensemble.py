"""An ensemble of support vector machines as an estimator of scikit-learn, which this module imports."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

_SHARE = 0.5


class SvmEnsemble(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Support vector machines whose mean decision counts.

    Each is trained on all rows of class 1. One alone is trained on all rows of class 0, too, each of several on a
    random half of them.

    Args:
        count: How many.
        cost: C of each.
        seed: For the random halves.
    """

    def __init__(self, count: int = 1, cost: float = 1.0, seed: int = 0) -> None:
        self.count = count
        self.cost = cost
        self.seed = seed

    def fit(self, features: NDArray[np.floating[Any]], labels: NDArray[Any]) -> Self:
        """Train on features ``(n, f)`` with labels 0 and 1; both must occur."""
        rng = np.random.default_rng(self.seed)
        on, off = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
        share = 1.0 if self.count == 1 else _SHARE
        self.classes_ = np.array([0, 1])
        self.machines_ = []
        for _ in range(self.count):
            used = np.concatenate([on, rng.choice(off, max(1, int(share * len(off))), replace=False)])
            machine = make_pipeline(StandardScaler(), SVC(C=self.cost, gamma="scale", class_weight="balanced"))
            self.machines_.append(machine.fit(features[used], labels[used]))
        return self

    def decision_function(self, features: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return the mean decision, ``(n,)``."""
        return np.asarray(np.mean([machine.decision_function(features) for machine in self.machines_], axis=0))

    def predict(self, features: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
        """Return the class of each row, 0 or 1."""
        return (self.decision_function(features) > 0).astype(np.intp)
