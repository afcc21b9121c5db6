"""What stages share that score candidates: decisions on cases not learned from, and scores from 0 to 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_FOLDS = 4


def honest_decisions(
    make: Callable[[], Any], rows: NDArray[np.floating[Any]], labels: NDArray[Any], cases: NDArray[np.intp]
) -> Floats:
    """Give each row the decision of an estimator that has not learned from its case.

    Args:
        make: Makes the estimator, not fitted yet.
        rows: ``(n, f)`` features.
        labels: ``(n,)`` 0 or 1.
        cases: ``(n,)`` the case of each row.

    Returns:
        ``(n,)``; NaN where the other cases hold one label only, so that nothing can be learned from them.
    """
    decisions = np.full(len(labels), np.nan)
    numbers = np.unique(cases)
    for fold in range(min(_FOLDS, len(numbers))):
        held = np.isin(cases, numbers[fold::_FOLDS])
        if len(np.unique(labels[~held])) == 2:
            decisions[held] = make().fit(rows[~held], labels[~held]).decision_function(rows[held])
    return decisions


def sigmoid_through(decisions: Floats, labels: NDArray[Any]) -> tuple[float, float]:
    """Fit slope and offset of the sigmoid that turns decisions into chances (Platt 1999).

    Targets are smoothed as Platt does, so that few cases do not make scores surer than they can be.
    """
    from scipy.optimize import minimize

    known = np.isfinite(decisions)
    x, y = decisions[known], labels[known] > 0
    if y.all() or not y.any():
        return 1.0, 0.0
    target = np.where(y, (y.sum() + 1) / (y.sum() + 2), 1 / ((~y).sum() + 2))
    scale = float(x.std()) or 1.0

    def loss(at: Floats) -> float:
        z = at[0] * x / scale + at[1]
        return float(np.sum(np.logaddexp(0, z) - target * z))

    slope, offset = minimize(loss, np.array([1.0, 0.0]), method="BFGS").x
    return float(slope) / scale, float(offset)


def sigmoid(decisions: Floats, slope: float, offset: float) -> Floats:
    """Turn decisions into chances, 0…1."""
    from scipy.special import expit

    return np.asarray(expit(slope * decisions + offset))
