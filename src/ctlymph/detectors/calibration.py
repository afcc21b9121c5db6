"""Decisions of classifiers, and the probabilities made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_FOLDS = 4


def out_of_fold_decisions(
    estimator: Any, features: NDArray[np.floating[Any]], labels: NDArray[Any], cases: NDArray[np.intp]
) -> Floats:
    """Return each row's decision by an estimator that is not trained on its case.

    Args:
        estimator: Of scikit-learn, with ``decision_function``; it stays as it is.
        features: ``(n, f)``.
        labels: ``(n,)`` 0 or 1.
        cases: ``(n,)`` the case of each row; cases are dealt out to four folds in turn.

    Returns:
        ``(n,)``; all NaN where the rows of one label lie in one fold, so that its estimator could not be trained.
    """
    from sklearn.model_selection import PredefinedSplit, cross_val_predict

    fold = np.unique(cases, return_inverse=True)[1] % _FOLDS
    if min(len(np.unique(fold[labels == label])) for label in (0, 1)) < 2:
        return np.full(len(labels), np.nan)
    split = PredefinedSplit(fold)
    return np.asarray(cross_val_predict(estimator, features, labels, cv=split, method="decision_function"))


def sigmoid_through(decisions: Floats, labels: NDArray[Any]) -> tuple[float, float]:
    """Fit the sigmoid that turns decisions into probabilities (Platt 1999).

    Targets are smoothed as in Platt's paper, so that few cases do not give probabilities near 0 and 1.

    Args:
        decisions: ``(n,)``; rows that are NaN do not count.
        labels: ``(n,)`` 0 or 1.

    Returns:
        Slope and offset, for :func:`sigmoid`; 1 and 0 where all labels are alike.
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
    """Return the probabilities, 0…1, of decisions."""
    from scipy.special import expit

    return np.asarray(expit(slope * decisions + offset))


def calibrated(scores: Floats, slope: float, offset: float) -> Floats:
    """Return the probabilities, 0…1, of scores, 0…1, by a sigmoid of their log-odds."""
    return sigmoid(log_odds(scores), slope, offset)


def log_odds(scores: Floats) -> Floats:
    """Return the log-odds of scores, 0…1, which are clipped a millionth from either end."""
    from scipy.special import logit

    return np.asarray(logit(np.clip(scores, 1e-6, 1 - 1e-6)))


def linear_svm(features: NDArray[np.floating[Any]], labels: NDArray[Any], cost: float) -> NDArray[np.float32]:
    """Train a linear SVM (squared hinge loss, classes balanced), by scikit-learn.

    Args:
        features: ``(n, f)``.
        labels: ``(n,)`` 0 or 1.
        cost: C.

    Returns:
        ``(f + 1,)`` weights, the intercept last: with these :func:`linear_decision` needs no scikit-learn.

    Raises:
        ValueError: If all labels are alike.
    """
    from sklearn.svm import LinearSVC

    svm = LinearSVC(C=cost, dual=False, class_weight="balanced").fit(features, labels)
    return np.append(svm.coef_, svm.intercept_).astype(np.float32)


def linear_decision(weights: NDArray[np.float32], features: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the decisions of :func:`linear_svm` on features ``(..., f)``."""
    return np.asarray(features.astype(np.float32) @ weights[:-1] + weights[-1], dtype=np.float64)
