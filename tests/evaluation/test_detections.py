"""Marks and nodes are checked as they are made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ctlymph.core.errors import CtlymphError
from toys import make_marks, make_truth, methods_toy

A = (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("points_mm", np.zeros((5, 2)), r"detections of toy: points_mm has shape \(5, 2\), expected \(5, 3\)"),
        ("scores", np.zeros(4), r"scores has shape \(4,\), expected \(5,\)"),
        ("injected", np.zeros((5, 1)), r"injected has shape \(5, 1\), expected \(5,\)"),
        ("boxes_mm", np.zeros((5, 6)), r"boxes_mm has shape \(5, 6\), expected \(5, 2, 3\)"),
        ("regions", ("abdomen",), "regions has length 1, expected 5"),
        ("case", np.array([0, 0, 1, 0, 2]), "case holds 0 to 2, expected 0 to 1"),
    ],
)
def test_a_shape_that_does_not_fit_is_named(field: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(methods_toy()[0], **{field: value})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("points_mm", np.zeros((2, 3)), r"true nodes: points_mm has shape \(2, 3\), expected \(3, 3\)"),
        ("short_axis_mm", np.zeros(2), r"short_axis_mm has shape \(2,\), expected \(3,\)"),
        ("patients", ("one",), "patients has length 1, expected 2"),
        ("stations", (), "stations has length 0, expected 3"),
        ("case", np.array([-1, 0, 1]), "case holds -1 to 1, expected 0 to 1"),
    ],
)
def test_a_shape_of_nodes_that_does_not_fit_is_named(field: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(methods_toy()[1], **{field: value})


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_marks_and_nodes_without_a_finite_place_or_score_are_refused(wrong: float) -> None:
    with pytest.raises(CtlymphError, match="toy: scores of case 0 holds"):
        make_marks([(0, A, 0.5), (0, A, wrong)])
    with pytest.raises(CtlymphError, match="toy: points_mm of case 1 holds"):
        make_marks([(0, A, 0.5), (1, (0.0, wrong, 0.0), 0.5)], 2)
    with pytest.raises(CtlymphError, match="true nodes: points_mm of case 0 holds"):
        make_truth([(0, (wrong, 0.0, 0.0), 12)])


@pytest.mark.parametrize("wrong", [0.0, -3.0, np.inf])
def test_an_axis_is_a_length_or_not_known(wrong: float) -> None:
    with pytest.raises(CtlymphError, match=r"case 0, node 2: short_axis_mm is"):
        make_truth([(0, A, np.nan), (0, A, wrong)])


def test_two_nodes_of_one_case_are_not_named_alike_but_two_of_two_cases_may_be() -> None:
    with pytest.raises(CtlymphError, match="case 0: two nodes are named 7"):
        make_truth([(0, A, 12), (0, A, 12)], ids=("7", "7"))
    assert len(make_truth([(0, A, 12), (1, A, 12)], 2, ids=("7", "7"))) == 2


def test_two_cases_are_not_named_alike() -> None:
    with pytest.raises(CtlymphError, match="two cases are named one"):
        replace(methods_toy()[1], cases=("one", "one"))


def test_a_box_the_wrong_way_round_is_refused() -> None:
    marks = make_marks([(0, A, 0.5)], box_mm=4)
    assert marks.boxes_mm is not None
    with pytest.raises(CtlymphError, match="low corner above its high one"):
        replace(marks, boxes_mm=marks.boxes_mm[:, ::-1])


def test_arrays_cannot_be_changed_and_the_callers_own_still_can() -> None:
    given = np.array([0.5, 0.25])
    marks = replace(make_marks([(0, A, 1), (0, A, 1)]), scores=given)
    with pytest.raises(ValueError, match="read-only"):
        marks.scores[0] = 1
    given[0] = 0.75


def test_chosen_marks_keep_all_that_belongs_to_them() -> None:
    marks = replace(make_marks([(0, A, 0.1), (0, (1.0, 2.0, 3.0), 0.2)], box_mm=2), regions=("abdomen", "mediastinum"))
    for which in (np.array([False, True]), np.array([1])):
        chosen = marks.select(which)
        assert (len(chosen), chosen.scores.tolist(), chosen.regions) == (1, [0.2], ("mediastinum",))
        assert chosen.points_mm.tolist() == [[1, 2, 3]]
        assert chosen.boxes_mm is not None
        assert chosen.boxes_mm.tolist() == [[[0, 1, 2], [2, 3, 4]]]
        assert chosen.cases == marks.cases


def test_no_marks_and_no_nodes_are_sets_too() -> None:
    assert len(make_marks([])) == len(make_truth([])) == 0
    assert make_marks([]).points_mm.shape == (0, 3)
