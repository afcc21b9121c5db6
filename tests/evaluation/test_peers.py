"""The same curve as other programs draw, where they are right, and where they are known not to be."""

from __future__ import annotations

import numpy as np
import pytest

from ctlymph.evaluation.froc import curve, metrics_of, tally
from ctlymph.evaluation.matching import Matches, Outcome, match
from toys import make_marks, make_truth, methods_toy

A, B, FAR = (0.0, 0.0, 0.0), (50.0, 0.0, 0.0), (0.0, 0.0, 300.0)


def with_a_missed_node() -> Matches:
    """A is hit, B is missed, and the lowest mark is a false positive."""
    return match(make_marks([(0, FAR, 0.9), (0, A, 0.8), (0, FAR, 0.2)]), make_truth([(0, A, 12), (0, B, 12)]))


def lesions(matches: Matches) -> list[tuple[int, float, float]]:
    """What picai_eval's matching would give: hits, false positives, and missed nodes at a score of 0."""
    kept = (matches.outcome == Outcome.HIT) | matches.false
    rows = [
        (int(outcome == Outcome.HIT), score, 1.0)
        for outcome, score in zip(matches.outcome[kept], matches.detections.scores[kept], strict=True)
    ]
    return rows + [(1, 0.0, 0.0)] * int(np.isneginf(matches.node_score).sum())


def of_picai(matches: Matches) -> tuple[list[float], list[float], float]:
    metrics = pytest.importorskip("picai_eval.metrics")
    rows = lesions(matches)
    found = metrics.Metrics({str(case): rows if case == 0 else [] for case in range(len(matches.truth.cases))})
    return np.round(found.lesion_FPR, 4).tolist(), np.round(found.lesion_TPR.astype(float), 4).tolist(), found.AP


def of_monai(matches: Matches) -> tuple[list[float], list[float]]:
    froc = pytest.importorskip("monai.metrics")
    scores = matches.detections.scores
    false, sensitivity = froc.compute_froc_curve_data(
        scores[matches.false], scores[matches.outcome == Outcome.HIT], len(matches.truth), len(matches.truth.cases)
    )
    return np.round(false, 4).tolist(), np.round(sensitivity, 4).tolist()


def test_picai_eval_draws_the_same_curve_where_a_node_is_missed() -> None:
    matches = with_a_missed_node()
    false, sensitivity, ap = of_picai(matches)
    assert false == [*curve(matches).false_per_volume, np.inf]
    assert sensitivity[:-1] == curve(matches).sensitivity.tolist()
    assert ap == pytest.approx(metrics_of(tally(matches), np.ones((1, 1))).ap[0])


def test_monai_draws_the_same_curve_but_for_its_last_point() -> None:
    """The last is a false positive here, and the sensitivity that it loses is none."""
    matches = with_a_missed_node()
    false, sensitivity = of_monai(matches)
    assert false[::-1][1:] == curve(matches).false_per_volume.tolist()[:-1]
    assert sensitivity[::-1][1:] == curve(matches).sensitivity.tolist()[:-1]


def test_picai_eval_and_monai_drop_the_last_hit_of_the_toy_case() -> None:
    matches = match(*methods_toy())
    assert curve(matches).sensitivity[-1] == 1
    assert of_picai(matches)[:2] == ([0, 0.5, 0.5, np.inf], [0.3333, 0.3333, 0.6667, 0.6667])
    assert of_monai(matches) == ([0.5, 0.5, 0, 0], [0.6667, 0.3333, 0.3333, 0])
