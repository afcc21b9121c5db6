"""What scores candidates: a linear machine, decisions on unseen cases, chances made of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_FOLDS = 4
_STEPS = 50
_DONE = 1e-4
"""Of the loss: what a step must gain to be worth another."""


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


def calibrated(scores: Floats, slope: float, offset: float) -> Floats:
    """Turn scores, 0…1, into chances by a sigmoid of their log-odds."""
    return sigmoid(log_odds(scores), slope, offset)


def log_odds(scores: Floats) -> Floats:
    """Give the log-odds of scores, 0…1, those of 0 and 1 at a millionth from either end."""
    from scipy.special import logit

    return np.asarray(logit(np.clip(scores, 1e-6, 1 - 1e-6)))


def linear_svm(rows: NDArray[np.floating[Any]], labels: NDArray[Any], cost: float) -> NDArray[np.float32]:
    """Train a linear support vector machine, both classes weighed alike.

    The loss is LIBLINEAR's default (L2, squared hinge, the offset regularised too); Newton's method in the primal
    (Chapelle, Neural Computation 2007) finds its minimum in a dozen steps where features are few and rows many.

    Args:
        rows: ``(n, f)`` features.
        labels: ``(n,)``, positive where a row is of the class.
        cost: C.

    Returns:
        ``(f + 1,)`` weights, the offset last; for :func:`linear_decision`.

    Raises:
        ValueError: If all labels are alike.
    """
    y = np.where(np.asarray(labels) > 0, 1.0, -1.0).astype(np.float32)
    if len(np.unique(y)) < 2:
        raise ValueError("labels are all alike")
    x = np.ones((len(rows), rows.shape[1] + 1), np.float32)
    x[:, :-1] = rows
    weight = cost * np.where(y > 0, len(y) / (2 * (y > 0).sum()), len(y) / (2 * (y < 0).sum())).astype(np.float32)

    def loss_at(w: Floats) -> tuple[float, NDArray[np.float32]]:
        short = np.maximum(1 - y * (x @ w.astype(np.float32)), 0)
        return float(0.5 * w @ w + np.sum(weight * short**2, dtype=np.float64)), short

    w = np.zeros(x.shape[1])
    loss, short = loss_at(w)
    for _ in range(_STEPS):
        inside = short > 0
        scaled = x[inside] * np.sqrt(2 * weight[inside])[:, None]
        hessian = (scaled.T @ scaled).astype(np.float64) + np.eye(len(w))
        step = np.linalg.solve(hessian, scaled.T @ (np.sqrt(2 * weight) * y)[inside]) - w
        size, better, its_short = 1.0, *loss_at(w + step)
        while better > loss and size > _DONE:
            size /= 2
            better, its_short = loss_at(w + size * step)
        gain = loss - better
        if gain > 0:
            w, loss, short = w + size * step, better, its_short
        if gain <= _DONE * loss:
            break
    return w.astype(np.float32)


def linear_decision(weights: NDArray[np.float32], rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Give the decisions of a machine of :func:`linear_svm` on ``(..., f)``."""
    return np.asarray(rows.astype(np.float32) @ weights[:-1] + weights[-1], dtype=np.float64)
