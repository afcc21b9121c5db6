"""Intervals and tests over patients: what they cover, what they count twice, and what they hold together."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.evaluation.bootstrap import Intervals, Resampling, difference, draw, intervals
from ctlymph.evaluation.froc import RATES, Metrics, metrics_of, paired_tally, tally
from ctlymph.evaluation.matching import Matches, MatchingRules, match
from toys import make_marks, make_truth, methods_toy

A, FAR = (0.0, 0.0, 0.0), (0.0, 0.0, 300.0)
FEW = Resampling(200, seed=1)


def simulated(rng: np.random.Generator, chance: float, patients: int = 30, nodes: int = 3) -> Matches:
    """Every node is found with the same chance, scores say a little, and there are two false positives a volume."""
    places = [(p, (60.0 * n, 0.0, 0.0)) for p in range(patients) for n in range(nodes)]
    found = [(case, at, rng.normal(1)) for case, at in places if rng.random() < chance]
    false = [(case, FAR, rng.normal()) for case in rng.integers(0, patients, 2 * patients).tolist()]
    truth = make_truth([(case, at, 12.0) for case, at in places], patients)
    return match(make_marks([*found, *false], patients), truth)


def all_numbers(found: Intervals) -> list[np.ndarray]:
    return [getattr(getattr(found, each.name), end) for each in fields(Metrics) for end in ("value", "low", "high")]


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for run in range(200):
        found = intervals(simulated(rng, 0.7), Resampling(200, seed=run)).max_sensitivity
        covered += bool(found.low <= 0.7 <= found.high)
    assert 0.88 <= covered / 200 <= 0.98


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    matches = simulated(np.random.default_rng(0), 0.6)
    first, second = intervals(matches, FEW, band_rates=RATES), intervals(matches, FEW, band_rates=RATES)
    assert all(np.array_equal(one, other) for one, other in zip(all_numbers(first), all_numbers(second), strict=True))
    assert intervals(matches, Resampling(200, seed=2)).ap.low != first.ap.low


def test_work_in_portions_gives_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    matches = simulated(np.random.default_rng(0), 0.6)
    at_once = intervals(matches, FEW)
    monkeypatch.setattr("ctlymph.evaluation.bootstrap._NUMBERS_AT_ONCE", 1000)
    in_portions = intervals(matches, FEW)
    for one, other in zip(all_numbers(at_once), all_numbers(in_portions), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_every_resampling_draws_as_many_patients_as_there_are() -> None:
    weights = np.concatenate(list(draw(7, FEW)))
    assert weights.shape == (200, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert weights.mean() == 1
    assert weights.max() > 2


def test_a_patient_drawn_twice_counts_twice() -> None:
    truth = make_truth([(0, A, 12), (1, A, 12), (1, FAR, 12)], 2)
    counts = tally(match(make_marks([(0, A, 0.9), (0, (99.0, 0.0, 0.0), 0.95)], 2), truth))
    read = metrics_of(counts, np.array([[2.0, 1.0]]))
    assert read.max_sensitivity[0] == 2 / 4
    assert read.band.shape == (1, 0)
    at = metrics_of(counts, np.array([[2.0, 1.0]]), (0.66, 0.67)).band[0]
    assert at.tolist() == [0, 0.5], "two false positives in three volumes"


def test_one_patient_has_an_interval_of_no_width() -> None:
    matches = match(make_marks([(0, A, 0.9)]), make_truth([(0, A, 12), (0, FAR, 12)]))
    found = intervals(matches, FEW).cpm
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)


def test_two_names_of_one_scan_move_together() -> None:
    """As one patient, the only one, they leave no doubt; as two they would."""
    nodes, marks = [(0, A, 12.0), (1, A, 12.0)], make_marks([(0, A, 0.9)], 2)
    together = intervals(match(marks, make_truth(nodes, 2, patients=("one", "one"))), FEW).max_sensitivity
    apart = intervals(match(marks, make_truth(nodes, 2)), FEW).max_sensitivity
    assert (together.low, together.high) == (0.5, 0.5)
    assert (apart.low, apart.high) == (0, 1)


def test_without_nodes_intervals_are_not_numbers_and_nothing_warns(recwarn: pytest.WarningsRecorder) -> None:
    found = intervals(match(make_marks([(0, A, 0.9)]), make_truth([])), FEW)
    assert all(np.isnan(each).all() for each in all_numbers(found))
    assert len(recwarn) == 0


def test_the_interval_of_cpm_is_that_of_the_cpm_of_each_resampling() -> None:
    matches = simulated(np.random.default_rng(3), 0.5)
    counts = tally(matches)
    each = np.concatenate([metrics_of(counts, weights).cpm for weights in draw(len(counts.patients), FEW)])
    found = intervals(matches, FEW).cpm
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(each, [0.025, 0.975])))


def test_a_detector_does_not_differ_from_itself() -> None:
    matches = simulated(np.random.default_rng(0), 0.6)
    found = difference(matches, matches, FEW)
    assert all((numbers == 0).all() for numbers in all_numbers(found.metrics) if numbers.size)
    assert (found.p["cpm"], found.p["ap"]) == (1, 1)
    assert found.p["sensitivity"].tolist() == [1] * 10


def test_places_on_the_own_list_leave_every_figure_as_it_is() -> None:
    rng = np.random.default_rng(0)
    first, second = simulated(rng, 0.4), simulated(rng, 0.8)
    both, ones, zeros = paired_tally(first, second), np.ones((1, 30)), np.zeros((1, 30))
    for matches, weights in ((first, np.hstack([ones, zeros])), (second, np.hstack([zeros, ones]))):
        mixed, own = metrics_of(both, weights, RATES), metrics_of(tally(matches), ones, RATES)
        for each in fields(Metrics):
            np.testing.assert_allclose(getattr(mixed, each.name), getattr(own, each.name))


def test_a_better_detector_is_told_from_a_worse_one_whatever_its_scale() -> None:
    rng = np.random.default_rng(0)
    worse, better = simulated(rng, 0.4), simulated(rng, 0.9)
    found = difference(worse, better, FEW)
    assert found.metrics.max_sensitivity.low > 0
    assert found.p["max_sensitivity"] < 0.02
    marks = better.detections
    rescaled = make_marks(list(zip(marks.case.tolist(), marks.points_mm, np.exp(marks.scores) * 100, strict=True)), 30)
    again = difference(worse, match(rescaled, better.truth), FEW)
    assert {name: p.tolist() for name, p in again.p.items()} == {name: p.tolist() for name, p in found.p.items()}


def test_equal_detectors_are_seldom_told_apart() -> None:
    rng = np.random.default_rng(5)
    p = [difference(simulated(rng, 0.6), simulated(rng, 0.6), Resampling(99, seed)).p["ap"] for seed in range(60)]
    assert np.mean(np.array(p) <= 0.05) <= 0.15
    assert np.mean(np.array(p) <= 0.5) >= 0.3


def test_detectors_evaluated_on_different_nodes_are_not_compared() -> None:
    marks, truth = methods_toy()
    with pytest.raises(CtlymphError, match="evaluate both against one truth"):
        difference(match(marks, truth), match(marks, truth, MatchingRules(min_short_axis_mm=20)), FEW)


def test_no_resampling_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="times is 0"):
        Resampling(0)
