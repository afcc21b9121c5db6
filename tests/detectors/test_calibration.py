from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import _sigmoid_calibration
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.svm import LinearSVC

from ctlymph.detectors.calibration import (
    calibrated,
    honest_decisions,
    linear_decision,
    linear_svm,
    sigmoid,
    sigmoid_through,
)


class _Nearest:
    """Knows by heart what it has learned: a test of whether it is asked about that."""

    def fit(self, rows: np.ndarray, labels: np.ndarray) -> _Nearest:
        self.model = KNeighborsRegressor(1).fit(rows, labels)
        return self

    def decision_function(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.model.predict(rows))


def test_calibrated_scores_keep_their_order_and_their_ends() -> None:
    scores = np.array([0.0, 0.2, 0.5, 0.9, 1.0])
    np.testing.assert_allclose(calibrated(scores[1:-1], 1.0, 0.0), scores[1:-1])
    chances = calibrated(scores, 0.5, -1.0)
    assert (np.diff(chances) > 0).all()
    assert chances[2] == pytest.approx(1 / (1 + np.e))
    assert 0 < chances[0] < 0.001
    assert 0.99 < chances[-1] < 1


def test_no_case_is_judged_by_what_was_learned_from_it() -> None:
    rng = np.random.default_rng(0)
    cases = np.repeat(np.arange(30), 20)
    rows = rng.normal(size=(600, 4))
    labels = rng.integers(0, 2, 600)  # there is nothing to learn, but much to remember
    decisions = honest_decisions(_Nearest, rows, labels, cases)
    assert np.mean(decisions == labels) == pytest.approx(0.5, abs=0.08)
    assert np.mean(_Nearest().fit(rows, labels).decision_function(rows) == labels) == 1


def test_where_the_other_cases_teach_nothing_there_is_no_decision() -> None:
    rows, labels, cases = np.zeros((4, 1)), np.array([1, 0, 0, 0]), np.array([0, 0, 1, 1])
    found = honest_decisions(LogisticRegression, rows, labels, cases)
    assert np.isnan(found[:2]).all()
    assert np.isfinite(found[2:]).all()


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
def test_the_linear_machine_is_that_of_liblinear(cost: float) -> None:
    rng = np.random.default_rng(2)
    rows = rng.random((500, 30)).astype(np.float32)
    labels = (rows[:, :5].sum(axis=1) + rng.normal(0, 0.4, 500) > 3).astype(int)  # noisy, and of unequal numbers
    liblinear = LinearSVC(C=cost, dual=False, class_weight="balanced", tol=1e-7, max_iter=20_000).fit(rows, labels)
    found = linear_decision(linear_svm(rows, labels, cost), rows)
    np.testing.assert_allclose(found, liblinear.decision_function(rows), atol=5e-3)


def test_a_linear_machine_needs_both_labels() -> None:
    with pytest.raises(ValueError, match="alike"):
        linear_svm(np.zeros((3, 2)), np.ones(3), 1.0)
