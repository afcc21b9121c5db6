"""Scores as chances."""

from __future__ import annotations

import numpy as np
import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.evaluation.matching import MatchingRules, match
from ctlymph.evaluation.reliability import calibrate, is_calibratable
from toys import make_marks, make_truth, methods_toy

A, FAR = (0.0, 0.0, 0.0), (0.0, 0.0, 300.0)


def test_the_toy_case_by_hand() -> None:
    """0.9, 0.6 and 0.7 share a bin (0.56 to 1): two hits of three; 0.5 is a hit alone; 0.8 is ignored."""
    found = calibrate(match(*methods_toy()))
    assert found.count.tolist() == [1, 3]
    assert found.mean_score == pytest.approx([0.5, 2.2 / 3])
    assert found.hit_rate == pytest.approx([1, 2 / 3])
    assert found.error == pytest.approx((0.5 + 0.2) / 4)
    assert calibrate(match(*methods_toy(), MatchingRules(duplicates="fp"))).count.tolist() == [1, 4]


def test_scores_that_are_chances_have_a_small_error_and_others_a_large_one() -> None:
    rng = np.random.default_rng(0)
    chances = 10 ** rng.uniform(-3, 0, 4000)
    hit = rng.random(4000) < chances
    truth = make_truth([(case, A, 12.0) for case in range(4000)], 4000)
    marks = [(case, A if on else FAR, chance) for case, (on, chance) in enumerate(zip(hit, chances, strict=True))]
    assert calibrate(match(make_marks(marks, 4000), truth)).error < 0.02
    sure = [(case, at, chance**0.2) for case, at, chance in marks]
    assert calibrate(match(make_marks(sure, 4000), truth)).error > 0.3


def test_scores_of_nought_and_one_have_a_bin() -> None:
    found = calibrate(match(make_marks([(0, A, 1.0), (0, FAR, 0.0)]), make_truth([(0, A, 12)])))
    assert (found.low[0], found.high[-1], found.error) == (0, 1, 0)


def test_scores_beyond_one_are_refused_by_name() -> None:
    matches = match(make_marks([(0, A, 7.5)], name="raw"), make_truth([(0, A, 12)]))
    assert not is_calibratable(matches)
    with pytest.raises(CtlymphError, match=r"raw: a score of 7\.5 is no probability"):
        calibrate(matches)


def test_no_marks_have_no_error() -> None:
    assert np.isnan(calibrate(match(make_marks([]), make_truth([(0, A, 12)]))).error)
