from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.calibration import _sigmoid_calibration
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from ctlymph.detectors.calibration import (
    calibrated,
    linear_decision,
    linear_svm,
    out_of_fold_decisions,
    sigmoid,
    sigmoid_through,
)


class _Nearest(KNeighborsClassifier):  # type: ignore[misc]
    """Knows its training rows by heart: a test of whether it is asked about those."""

    def decision_function(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.predict(rows), float)


def test_calibrated_scores_keep_their_order_and_their_ends() -> None:
    scores = np.array([0.0, 0.2, 0.5, 0.9, 1.0])
    np.testing.assert_allclose(calibrated(scores[1:-1], 1.0, 0.0), scores[1:-1])
    chances = calibrated(scores, 0.5, -1.0)
    assert (np.diff(chances) > 0).all()
    assert chances[2] == pytest.approx(1 / (1 + np.e))
    assert 0 < chances[0] < 0.001
    assert 0.99 < chances[-1] < 1


def test_no_decision_is_by_an_estimator_trained_on_its_case() -> None:
    rng = np.random.default_rng(0)
    cases = np.repeat(np.arange(30), 20)
    rows = rng.normal(size=(600, 4))
    labels = rng.integers(0, 2, 600)  # there is nothing to learn, but much to remember
    decisions = out_of_fold_decisions(_Nearest(n_neighbors=1), rows, labels, cases)
    assert np.mean(decisions == labels) == pytest.approx(0.5, abs=0.08)
    assert np.mean(_Nearest(n_neighbors=1).fit(rows, labels).decision_function(rows) == labels) == 1


def test_where_other_cases_hold_one_label_only_there_are_no_decisions_and_the_sigmoid_changes_nothing() -> None:
    rows, labels, cases = np.zeros((4, 1)), np.array([1, 0, 0, 0]), np.array([0, 0, 1, 1])
    found = out_of_fold_decisions(LogisticRegression(), rows, labels, cases)
    assert np.isnan(found).all()
    assert sigmoid_through(found, labels) == (1.0, 0.0)


def test_the_sigmoid_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 300)
    decisions = labels * 1.5 + rng.normal(size=300)
    a, b = _sigmoid_calibration(decisions, labels)
    slope, offset = sigmoid_through(decisions, labels)
    np.testing.assert_allclose([slope, offset], [-a, -b], atol=1e-3)
    chances = sigmoid(decisions, slope, offset)
    assert chances.mean() == pytest.approx(labels.mean(), abs=0.02)


def test_one_kind_of_label_leaves_decisions_as_they_are() -> None:
    assert sigmoid_through(np.arange(3.0), np.zeros(3)) == (1.0, 0.0)


@pytest.mark.parametrize("cost", [0.001, 0.05, 2.0])
def test_the_weights_of_the_linear_svm_are_at_the_minimum_of_its_loss(cost: float) -> None:
    rng = np.random.default_rng(2)
    rows = rng.random((500, 30)).astype(np.float32)
    labels = (rows[:, :5].sum(axis=1) + rng.normal(0, 0.4, 500) > 3).astype(int)  # noisy, and of unequal numbers
    ones = np.column_stack([rows, np.ones(500)])
    sign = np.where(labels == 1, 1.0, -1.0)
    weight = cost * len(labels) / (2 * np.where(labels == 1, labels.sum(), len(labels) - labels.sum()))

    def loss_and_gradient(w: np.ndarray) -> tuple[float, np.ndarray]:
        slack = np.maximum(1 - sign * (ones @ w), 0)
        return 0.5 * w @ w + weight @ slack**2, w - 2 * ones.T @ (weight * sign * slack)

    exact = minimize(
        loss_and_gradient, np.zeros(31), jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-9}
    )
    weights = linear_svm(rows, labels, cost)
    np.testing.assert_allclose(weights, exact.x, atol=2e-3 * np.abs(exact.x).max())
    np.testing.assert_allclose(linear_decision(weights, rows), ones @ exact.x, atol=5e-3)


def test_a_linear_svm_needs_both_labels() -> None:
    with pytest.raises(ValueError, match="at least 2 classes"):
        linear_svm(np.zeros((3, 2)), np.ones(3), 1.0)
