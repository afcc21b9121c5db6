"""Which mark hits which node, against an evaluator that tries every assignment."""

from __future__ import annotations

import tarfile
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import brute_force
from ctlymph.core.errors import CtlymphError
from ctlymph.datasets.case import Collection
from ctlymph.evaluation.detections import Detections, GroundTruth
from ctlymph.evaluation.matching import Matches, MatchingRules, Outcome, match
from toys import make_marks, make_truth, methods_toy

A, B = (0.0, 0.0, 0.0), (5.0, 0.0, 0.0)
FAR = (0.0, 0.0, 100.0)
HIT, DUPLICATE, IGNORED, FALSE = Outcome.HIT, Outcome.DUPLICATE, Outcome.IGNORED, Outcome.FALSE_POSITIVE


def points_of(matches: Matches) -> list[tuple[float, int, int]]:
    """Give threshold, false positives and hits at every score."""
    scores = matches.detections.scores
    return [
        (at, int((matches.false & (scores >= at)).sum()), int((matches.node_score >= at).sum()))
        for at in sorted(set(scores.tolist()), reverse=True)
    ]


def test_every_mark_of_the_toy_case_has_its_fate() -> None:
    matches = match(*methods_toy())
    assert matches.outcome.tolist() == [HIT, DUPLICATE, FALSE, HIT, HIT]
    assert matches.node.tolist() == [0, 0, -1, 1, 2]
    assert matches.node_score.tolist() == [0.9, 0.6, 0.5]


places = st.tuples(st.sampled_from([0.0, 5.0, 9.0, 15.0, 24.0]), st.sampled_from([0.0, 12.0]), st.just(0.0))


@st.composite
def problems(draw: st.DrawFn) -> tuple[Detections, GroundTruth, MatchingRules]:
    cases = draw(st.integers(1, 3))
    case = st.integers(0, cases - 1)
    sizes = st.sampled_from([4.0, 10.0, 18.0, float("nan")])
    hit = draw(st.sampled_from(["15mm", "radius", "iou0.1"]))
    rules = MatchingRules(hit, draw(st.sampled_from(["ignored", "fp"])), draw(st.booleans()))
    nodes = draw(st.lists(st.tuples(case, places, sizes if rules.hit != "radius" else st.just(18.0)), max_size=5))
    labels = draw(st.lists(st.integers(1, 99), min_size=len(nodes), max_size=len(nodes), unique=True))
    truth = make_truth(nodes, cases, ids=[str(label) for label in labels], box_mm=12)
    scores = st.sampled_from([0.1, 0.2, 0.3, 0.9])
    return make_marks(draw(st.lists(st.tuples(case, places, scores), max_size=6)), cases, box_mm=12), truth, rules


@settings(max_examples=300, deadline=None)
@given(problems())
def test_every_operating_point_is_that_of_the_best_assignment(
    problem: tuple[Detections, GroundTruth, MatchingRules],
) -> None:
    marks, truth, rules = problem
    assert points_of(match(marks, truth, rules)) == brute_force.curve(marks, truth, rules)


@settings(max_examples=150, deadline=None)
@given(problems(), st.randoms(use_true_random=False))
def test_the_order_in_which_marks_are_listed_changes_nothing(
    problem: tuple[Detections, GroundTruth, MatchingRules], random: Random
) -> None:
    marks, truth, rules = problem
    order = np.arange(len(marks))
    random.shuffle(order)
    first, second = match(marks, truth, rules), match(marks.select(order), truth, rules)
    assert points_of(first) == points_of(second)
    assert first.node_score.tolist() == second.node_score.tolist()


@settings(max_examples=150, deadline=None)
@given(problems())
def test_no_node_is_hit_twice_and_every_mark_has_one_fate(
    problem: tuple[Detections, GroundTruth, MatchingRules],
) -> None:
    marks, truth, rules = problem
    matches = match(marks, truth, rules)
    hit = matches.node[matches.outcome == HIT]
    assert len(set(hit)) == len(hit) == np.isfinite(matches.node_score).sum()
    assert not matches.excluded[hit].any()
    assert ((matches.node == -1) == (matches.outcome == FALSE)).all()
    for mark in np.flatnonzero(matches.outcome != FALSE):
        assert brute_force.in_reach(marks, truth, rules.hit, mark, matches.node[mark])
    assert matches.reached.tolist() == [
        any(brute_force.in_reach(marks, truth, rules.hit, mark, node) for mark in range(len(marks)))
        for node in range(len(truth))
    ]


def test_one_mark_between_two_nodes_hits_one_and_both_were_reached() -> None:
    matches = match(make_marks([(0, (2.0, 0.0, 0.0), 0.5)]), make_truth([(0, A, 12), (0, B, 12)]))
    assert matches.node_score.tolist() == [0.5, -np.inf]
    assert matches.reached.tolist() == [True, True]


def test_a_mark_makes_room_for_a_later_one_that_reaches_only_its_node() -> None:
    truth = make_truth([(0, A, 12), (0, (20.0, 0.0, 0.0), 12)])
    matches = match(make_marks([(0, (9.0, 0.0, 0.0), 0.9), (0, (-9.0, 0.0, 0.0), 0.4)]), truth)
    assert matches.node.tolist() == [1, 0]
    assert matches.node_score.tolist() == [0.9, 0.4]


def test_fifteen_millimetres_are_within_fifteen_millimetres() -> None:
    assert match(make_marks([(0, (9.0, 12.0, 0.0), 1)]), make_truth([(0, A, 12)])).outcome.tolist() == [HIT]
    assert match(make_marks([(0, (9.0, 12.001, 0.0), 1)]), make_truth([(0, A, 12)])).outcome.tolist() == [FALSE]


def test_small_nodes_are_excluded_with_their_marks_unless_all_nodes_count() -> None:
    truth = make_truth([(0, A, 9.99), (0, FAR, float("nan"))])
    marks = make_marks([(0, A, 0.9), (0, FAR, 0.8), (0, (0.0, 0.0, 50.0), 0.7)])
    for duplicates in ("ignored", "fp"):
        matches = match(marks, truth, MatchingRules(duplicates=duplicates))
        assert matches.outcome.tolist() == [IGNORED, IGNORED, FALSE]
        assert matches.excluded.all()
        assert matches.reached.all()
    assert match(marks, truth, MatchingRules(all_nodes=True)).outcome.tolist() == [HIT, HIT, FALSE]


def test_a_mark_near_a_hit_node_and_a_small_one_is_not_false_even_when_strict() -> None:
    truth = make_truth([(0, A, 12), (0, B, 5)])
    matches = match(
        make_marks([(0, A, 0.9), (0, B, 0.8), (0, (-12.0, 0.0, 0.0), 0.7)]), truth, MatchingRules(duplicates="fp")
    )
    assert matches.outcome.tolist() == [HIT, IGNORED, DUPLICATE]
    assert matches.false.tolist() == [False, False, True]


def test_marks_are_found_by_the_names_of_their_cases() -> None:
    truth = make_truth([(1, A, 12)], cases=2)
    marks = make_marks([(0, A, 0.9)])
    assert match(marks, truth).outcome.tolist() == [FALSE]
    renamed = Detections(
        name="renamed",
        cases=("case 1",),
        case=marks.case,
        points_mm=marks.points_mm,
        scores=marks.scores,
        injected=marks.injected,
    )
    assert match(renamed, truth).outcome.tolist() == [HIT]


def test_many_marks_on_a_chain_of_nodes_are_matched() -> None:
    """The assignment moves along a chain of nodes, each mark between two, and does not run out of stack."""
    count = 3000
    nodes = [(0, (20.0 * number, 0.0, 0.0), 12.0) for number in range(count)]
    marks = [(0, (20.0 * number + 9.9, 0.0, 0.0), 1.0 - number / count) for number in range(count - 1)]
    matches = match(make_marks([*marks, (0, (0.0, 0.0, 0.0), 0.0)]), make_truth(nodes))
    assert (matches.outcome == HIT).all()


@pytest.mark.parametrize(
    ("marks", "truth", "rules", "message"),
    [
        (make_marks([(1, A, 1)], 2), make_truth([]), MatchingRules(), "has detections of case 1 .* does not hold"),
        (
            make_marks([(0, A, 1)]),
            make_truth([(0, A, float("nan"))]),
            MatchingRules("radius"),
            "long axis is not known",
        ),
        (
            make_marks([(0, A, 1)]),
            make_truth([(0, A, 12)], box_mm=3),
            MatchingRules("iou0.1"),
            "of toy have no boxes",
        ),
        (
            make_marks([(0, A, 1)], box_mm=3),
            make_truth([(0, A, 12)]),
            MatchingRules("iou0.1"),
            "true nodes have no boxes",
        ),
    ],
)
def test_a_rule_that_cannot_be_followed_is_an_error(
    marks: Detections, truth: GroundTruth, rules: MatchingRules, message: str
) -> None:
    with pytest.raises(CtlymphError, match=message):
        match(marks, truth, rules)


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="'10mm' is not known"):
        MatchingRules("10mm")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def annotated(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real annotation and candidate files, unpacked."""
    folder = tmp_path_factory.mktemp("real")
    with tarfile.open(shared_data / "nih" / "MED_ABD_LYMPH_annotations_candidates.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.mark.parametrize(
    ("region", "nodes", "reached", "hit", "false", "negatives_a_volume"),
    [("mediastinum", 388, 294, 291, 3208, 35.64), ("abdomen", 595, 595, 595, 3472, 40.51)],
)
def test_the_published_candidates_reach_the_published_number_of_nodes(
    annotated: Path, region: str, nodes: int, reached: int, hit: int, false: int, negatives_a_volume: float
) -> None:
    """More nodes have a candidate near them than can each have one of their own."""
    cases = Collection(annotated).cases(region)
    marked = [(at, each.point_mm, 1.0) for at, case in enumerate(cases) for each in case.candidates()]
    annotations = [(at, node) for at, case in enumerate(cases) for node in case.nodes()]
    truth = make_truth([(at, node.point_mm, node.short_axis_mm or np.nan) for at, node in annotations], len(cases))
    matches = match(make_marks(marked, len(cases)), truth, MatchingRules(all_nodes=True))
    assert len(truth) == nodes
    assert matches.reached.sum() == reached
    assert points_of(matches) == [(1.0, false, hit)], "all scores are equal, so the curve is one point"
    negatives = sum(not each.positive for case in cases for each in case.candidates())
    assert negatives / len(cases) == pytest.approx(negatives_a_volume, abs=0.005)
