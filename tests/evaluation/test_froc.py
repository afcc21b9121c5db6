"""The curve and what is read from it, against enumeration, against resampling by hand, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from test_matching import problems

import brute_force
from ctlymph.core.errors import CtlymphError
from ctlymph.evaluation.detections import Detections, GroundTruth
from ctlymph.evaluation.froc import RATES, curve, metrics_of, subsets, tally
from ctlymph.evaluation.matching import Matches, MatchingRules, Outcome, match
from toys import make_marks, make_truth, methods_toy

A, FAR = (0.0, 0.0, 0.0), (0.0, 0.0, 300.0)


def points(matches: Matches) -> list[tuple[float, float]]:
    found = curve(matches)
    return list(zip(found.false_per_volume.tolist(), found.sensitivity.tolist(), strict=True))


def one(matches: Matches) -> np.ndarray:
    """Weights that take every patient once."""
    return np.ones((1, len(set(matches.truth.patients))))


def test_the_toy_case_is_exact_under_both_rules_for_duplicates() -> None:
    marks, truth = methods_toy()
    assert points(match(marks, truth)) == [(0, 1 / 3), (0.5, 1 / 3), (0.5, 2 / 3), (0.5, 1)]
    strict = match(marks, truth, MatchingRules(duplicates="fp"))
    assert points(strict) == [(0, 1 / 3), (0.5, 1 / 3), (1, 1 / 3), (1, 2 / 3), (1, 1)]


@settings(max_examples=200, deadline=None)
@given(problems())
def test_the_curve_holds_every_operating_point_of_the_enumeration_and_never_falls(
    problem: tuple[Detections, GroundTruth, MatchingRules],
) -> None:
    marks, truth, rules = problem
    found = curve(match(marks, truth, rules))
    expected, last = [], (0, 0)
    for threshold, false, hits in brute_force.curve(marks, truth, rules):
        if (false, hits) != last:
            expected.append((threshold, false, hits))
        last = (false, hits)
    assert list(zip(found.thresholds, found.false, found.hits, strict=True)) == expected
    assert (np.diff(found.thresholds) < 0).all()
    assert (np.diff(found.hits) >= 0).all()
    assert (np.diff(found.false) >= 0).all()


@settings(max_examples=200, deadline=None)
@given(problems(), st.lists(st.integers(0, 3), min_size=3, max_size=3))
def test_a_tally_with_weights_reads_as_the_curve_of_cases_taken_so_often(
    problem: tuple[Detections, GroundTruth, MatchingRules], times: list[int]
) -> None:
    marks, truth, rules = problem
    times = times[: len(truth.cases)]
    if not sum(times):
        times = [1] * len(truth.cases)
    copies = [case for case, count in enumerate(times) for _ in range(count)]
    nodes = [(at, node) for at, case in enumerate(copies) for node in np.flatnonzero(truth.case == case)]
    rows = [(at, row) for at, case in enumerate(copies) for row in np.flatnonzero(marks.case == case)]
    copied = make_truth([(at, truth.points_mm[n], truth.short_axis_mm[n]) for at, n in nodes], len(copies), box_mm=12)
    copied_marks = make_marks([(at, marks.points_mm[n], marks.scores[n]) for at, n in rows], len(copies), box_mm=12)
    expected = curve(match(copied_marks, copied, rules))
    read = metrics_of(tally(match(marks, truth, rules)), np.array([times, times], float), (0.0, 5.0))
    assert_allclose(read.sensitivity, [expected.sensitivity_at(RATES)] * 2)
    assert_allclose(read.interpolated, [expected.interpolated_at(RATES)] * 2)
    assert_allclose(read.band, [expected.sensitivity_at([0.0, 5.0])] * 2)
    assert_allclose(read.cpm, expected.sensitivity_at([1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8]).mean())
    assert_allclose(read.max_sensitivity, expected.sensitivity_at(1e9))


@settings(max_examples=200, deadline=None)
@given(problems())
def test_auc_and_average_precision_are_those_of_scikit_learn(
    problem: tuple[Detections, GroundTruth, MatchingRules],
) -> None:
    """Where nodes are missed, scikit-learn does not know of them: its AP is per node that was hit."""
    metrics = pytest.importorskip("sklearn.metrics")
    matches = match(*problem)
    hit = matches.outcome == Outcome.HIT
    kept = hit | matches.false
    read = metrics_of(tally(matches), one(matches))
    if not hit.any() or not matches.false.any():
        assert np.isnan(read.auc[0])
        return
    scores = matches.detections.scores
    assert read.auc[0] == pytest.approx(metrics.roc_auc_score(hit[kept], scores[kept]))
    nodes = (~matches.excluded).sum()
    assert read.ap[0] == pytest.approx(metrics.average_precision_score(hit[kept], scores[kept]) * hit.sum() / nodes)


def test_a_perfect_detector_finds_all_and_has_average_precision_of_one() -> None:
    nodes = [(0, A, 12.0), (0, (50.0, 0.0, 0.0), 12.0), (1, A, 30.0)]
    marks = make_marks([(case, at, 0.9 - 0.1 * row) for row, (case, at, _) in enumerate(nodes)], 2)
    matches = match(marks, make_truth(nodes, 2))
    read = metrics_of(tally(matches), one(matches))
    assert read.sensitivity.tolist() == [[1.0] * 10]
    assert (read.cpm[0], read.ap[0]) == (1, 1)
    assert points(matches) == [(0, 1 / 3), (0, 2 / 3), (0, 1)]


def test_the_first_and_the_last_threshold_are_kept() -> None:
    found = curve(match(make_marks([(0, FAR, 0.9), (0, A, 0.5), (0, FAR, 0.1)]), make_truth([(0, A, 12)])))
    assert found.thresholds.tolist() == [0.9, 0.5, 0.1]
    assert found.false.tolist() == [1, 1, 2]


def test_equal_scores_make_one_point_and_interpolation_a_line_to_it() -> None:
    matches = match(make_marks([(0, A, 0.5), (0, FAR, 0.5), (0, FAR, 0.5)]), make_truth([(0, A, 12)]))
    assert points(matches) == [(2, 1)]
    read = metrics_of(tally(matches), one(matches))
    assert read.sensitivity[0, [3, 4]].tolist() == [0, 1]
    assert read.interpolated[0, [3, 4]].tolist() == [0.5, 1]
    assert read.auc[0] == 0.5


def test_without_nodes_sensitivity_is_not_a_number_and_false_positives_are_counted() -> None:
    matches = match(make_marks([(0, A, 0.5), (1, A, 0.4)], 2), make_truth([], 2))
    assert curve(matches).false_per_volume.tolist() == [0.5, 1]
    read = metrics_of(tally(matches), one(matches))
    assert np.isnan(curve(matches).sensitivity_at(RATES)).all()
    assert np.isnan(read.sensitivity).all()
    assert np.isnan([read.cpm[0], read.ap[0], read.auc[0], read.max_sensitivity[0]]).all()


def test_without_marks_nothing_is_found() -> None:
    matches = match(make_marks([]), make_truth([(0, A, 12)]))
    read = metrics_of(tally(matches), one(matches))
    assert points(matches) == []
    assert (read.cpm[0], read.ap[0], read.max_sensitivity[0]) == (0, 0, 0)


def test_cases_without_nodes_and_without_marks_are_volumes() -> None:
    matches = match(make_marks([(1, A, 0.5)], 4), make_truth([(0, A, 12)], 4))
    assert points(matches) == [(0.25, 0)]


def test_no_case_at_all_is_an_error() -> None:
    with pytest.raises(CtlymphError, match="there is no annotated case"):
        curve(match(make_marks([], 0), make_truth([], 0)))


def test_an_operating_point_is_the_lowest_threshold_within_the_wanted_rate() -> None:
    found = curve(match(*methods_toy()))
    point = found.operating_point(0.5)
    assert (point.threshold, point.sensitivity, point.false_per_volume) == (0.5, 1, 0.5)
    assert found.operating_point(0.49).threshold == 0.9
    first_false = curve(match(make_marks([(0, FAR, 0.9), (0, A, 0.5)]), make_truth([(0, A, 12)])))
    point = first_false.operating_point(0.5)
    assert (point.threshold, point.sensitivity, point.false_per_volume) == (np.inf, 0, 0)


def test_parts_hold_their_own_nodes_and_a_region_its_own_false_positives() -> None:
    truth = make_truth(
        [(0, A, 9.99), (0, FAR, 10), (1, A, 15), (1, FAR, float("nan"))], 2, regions=("abdomen", "mediastinum")
    )
    marks = make_marks([(0, A, 0.9), (1, A, 0.8), (1, (99.0, 0.0, 0.0), 0.95)], 2)
    matches = match(marks, truth, MatchingRules(all_nodes=True))
    found = {subset.name: metrics_of(tally(matches, subset), np.ones((1, 2))) for subset in subsets(matches)}
    assert {name: read.max_sensitivity[0] for name, read in found.items()} == {
        "<10 mm": 1,
        "10–15 mm": 0,
        "15–20 mm": 1,
        "unknown": 0,
        "abdomen": 0.5,
        "mediastinum": 0.5,
    }
    assert found["abdomen"].sensitivity[0, 0] == 0.5, "its volume holds no false positive"
    assert found["mediastinum"].sensitivity[0, :4].tolist() == [0, 0, 0, 0.5], "one false positive in one volume"
    assert found["15–20 mm"].sensitivity[0, :4].tolist() == [0, 0, 1, 1], "one false positive in two volumes"
