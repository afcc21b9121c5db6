"""Which mark hits which node.

A hit is a mark within reach of a counted node, with no other mark on that node and no other node for that mark.
A false positive is a mark within reach of no node at all.

One mark serves one node. At a threshold, the marks that hit are those of the assignment with the most pairs and,
among these, the highest scores. The sets of marks that can be assigned together are the independent sets of a
transversal matroid, and in a matroid the greedy choice is best: taking marks by falling score and keeping each that
can be assigned together with all those kept before gives the set that is both the largest and the highest-scoring.
The same holds for the marks above any score, so one pass covers every threshold. A mark is tested by looking for an
augmenting path: kept marks may change their nodes to make room, but a node once hit stays hit. So each node has one
score at which it is first hit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.core.short_repr import short_repr
from ctlymph.evaluation.detections import Bools, Detections, Floats, GroundTruth, Ints

Hit = Literal["15mm", "radius", "iou0.1", "ids"]
Duplicates = Literal["ignored", "fp"]

HIT_DISTANCE_MM = 15.0  # Roth 2014; Seff 2014
MIN_IOU = 0.1
_PAIRS_AT_ONCE = 1 << 20


class Outcome(IntEnum):
    """The outcome of a mark."""

    HIT = 0
    DUPLICATE = 1
    IGNORED = 2
    FALSE_POSITIVE = 3


@dataclass(frozen=True)
class MatchingRules:
    """How marks and nodes are matched.

    Attributes:
        hit: When a mark reaches a node. ``15mm``: within 15 mm of its centre. ``radius``: within half its long axis
            of its centre (LUNA16). ``iou0.1``: the intersection over union of their boxes is at least 0.1. ``ids``: it
            names the node, as the published candidates of the collection do.
        duplicates: What a further mark on a node that is already hit is: ``ignored`` (LUNA16) or ``fp``, a false
            positive.
        all_nodes: Count nodes of every size, and of unknown size. Otherwise small ones and those of unknown size
            are excluded: neither hit nor missed, and a mark within reach of one is not a false positive.
        min_short_axis_mm: Smallest short axis of a node that counts, mm.

    Raises:
        ValueError: If a rule is not known.
    """

    hit: Hit = "15mm"
    duplicates: Duplicates = "ignored"
    all_nodes: bool = False
    min_short_axis_mm: float = 10.0

    def __post_init__(self) -> None:
        for value, known in ((self.hit, get_args(Hit)), (self.duplicates, get_args(Duplicates))):
            if value not in known:
                raise ValueError(f"rule {value!r} is not known; give one of {', '.join(known)}")


@dataclass(frozen=True, eq=False)
class Matches:
    """The outcome of each mark and of each node.

    Attributes:
        detections: The marks, n.
        truth: The nodes, m.
        rules: The rules.
        case: Shape n: each mark's case, an index into ``truth.cases``.
        outcome: Shape n: an ``Outcome`` each.
        node: Shape n: the node that a hit is on; for a duplicate or an ignored mark the nearest node that it reaches;
            -1 for a false positive.
        node_score: Shape m: the score at which the node is first hit; -inf where it is missed or excluded.
        excluded: Shape m: True for a node that is not counted.
        reached: Shape m: True where any mark is within reach, even one on another node.
    """

    detections: Detections
    truth: GroundTruth
    rules: MatchingRules
    case: Ints
    outcome: NDArray[np.int8]
    node: Ints
    node_score: Floats
    excluded: Bools
    reached: Bools

    __repr__ = short_repr

    @property
    def false(self) -> Bools:
        """Shape n: True for marks that count as false positives under these rules."""
        false: Bools = self.outcome == Outcome.FALSE_POSITIVE
        return false | (self.outcome == Outcome.DUPLICATE) if self.rules.duplicates == "fp" else false


def match(detections: Detections, truth: GroundTruth, rules: MatchingRules | None = None) -> Matches:
    """Match the marks of one detector with the nodes.

    Among marks of equal score, those that reach no excluded node come first, then those nearest to a node, then
    those first by position, so that the order in which marks are listed changes nothing.

    Args:
        detections: Of cases that ``truth`` holds.
        truth: The nodes of all annotated cases.
        rules: How to match; default: :class:`MatchingRules` as it is.

    Raises:
        CtlymphError: If a mark is of a case that ``truth`` does not hold, or the rule needs a size or a box that is
            not there.
    """
    rules = rules or MatchingRules()
    _check_rule_can_be_followed(detections, truth, rules)
    case = _cases_in_truth(detections, truth)
    outcome = np.full(len(detections), Outcome.FALSE_POSITIVE, np.int8)
    node_of_mark = np.full(len(detections), -1, np.int32)
    node_score = np.full(len(truth), -np.inf)
    reached = np.zeros(len(truth), bool)
    large = np.nan_to_num(truth.short_axis_mm, nan=0.0) >= rules.min_short_axis_mm
    excluded = np.zeros(len(truth), bool) if rules.all_nodes else ~large
    for rows, nodes in _by_case(case, truth):
        pairs = _pairs_within_reach(detections, truth, rules, rows, nodes).ordered(detections, excluded)
        reached[pairs.node] = True
        aside = excluded[pairs.node]
        for kind, chosen in ((Outcome.DUPLICATE, pairs.chosen(~aside)), (Outcome.IGNORED, pairs.chosen(aside))):
            nearest = chosen.chosen(_first_of_run(chosen.mark))
            outcome[nearest.mark], node_of_mark[nearest.mark] = kind, nearest.node
        for found in _hits(pairs.chosen(~aside)):
            outcome[found.mark], node_of_mark[found.mark] = Outcome.HIT, found.node
            node_score[found.opened] = detections.scores[found.mark]
    return Matches(detections, truth, rules, case, outcome, node_of_mark, node_score, excluded, reached)


def _check_rule_can_be_followed(detections: Detections, truth: GroundTruth, rules: MatchingRules) -> None:
    if rules.hit == "radius" and np.isnan(truth.long_axis_mm).any():
        node = int(np.flatnonzero(np.isnan(truth.long_axis_mm))[0])
        raise CtlymphError(
            f"{truth.cases[truth.case[node]]}, node {shown(truth.ids[node])}: its long axis is not known, which the "
            "hit rule radius needs; use 15mm"
        )
    if rules.hit == "ids" and detections.node_ids is None:
        raise CtlymphError(
            f"the detections of {shown(detections.name)} name no nodes, which the hit rule ids needs; use 15mm"
        )
    for whose, boxes in (
        (f"the detections of {shown(detections.name)}", detections.boxes_mm),
        ("the true nodes", truth.boxes_mm),
    ):
        if rules.hit == "iou0.1" and boxes is None:
            raise CtlymphError(f"{whose} have no boxes, which the hit rule iou0.1 needs; use 15mm")


def _cases_in_truth(detections: Detections, truth: GroundTruth) -> Ints:
    """Return each mark's case as an index into the cases of the truth."""
    place = {name: index for index, name in enumerate(truth.cases)}
    index = np.array([place.get(name, -1) for name in detections.cases], np.int32)
    used = np.zeros(len(detections.cases), bool)
    used[detections.case] = True
    if unknown := [
        name for name, here, is_used in zip(detections.cases, index, used, strict=True) if is_used and here < 0
    ]:
        raise CtlymphError(
            f"{shown(detections.name)} has detections of {shown(unknown[0])} ({len(unknown)} such cases), which "
            "the truth does not hold; leave those out or add the case to the truth"
        )
    return index[detections.case]


def _by_case(case: Ints, truth: GroundTruth) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield the marks and the nodes of each case that has both."""
    marks_in_order, nodes_in_order = np.argsort(case, kind="stable"), np.argsort(truth.case, kind="stable")
    edges = np.arange(len(truth.cases) + 1)
    mark_edge = np.searchsorted(case, edges, sorter=marks_in_order)
    node_edge = np.searchsorted(truth.case, edges, sorter=nodes_in_order)
    for index in np.flatnonzero((np.diff(mark_edge) > 0) & (np.diff(node_edge) > 0)):
        yield (
            marks_in_order[mark_edge[index] : mark_edge[index + 1]],
            nodes_in_order[node_edge[index] : node_edge[index + 1]],
        )


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Marks and nodes within reach of each other: ``distance`` is 0 where they coincide."""

    mark: NDArray[np.intp]
    node: NDArray[np.intp]
    distance: Floats

    def chosen(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> _Pairs:
        return _Pairs(self.mark[which], self.node[which], self.distance[which])

    def ordered(self, detections: Detections, excluded: Bools) -> _Pairs:
        """Order the pairs by the order of their marks, as in :func:`match`, and those of a mark by distance."""
        mark, place = np.unique(self.mark, return_inverse=True)
        nearest = np.full(len(mark), np.inf)
        np.minimum.at(nearest, place, self.distance)
        near_aside = np.zeros(len(mark), bool)
        near_aside[place[excluded[self.node]]] = True
        x, y, z = detections.points_mm[mark].T
        rank = np.empty(len(mark), np.intp)
        rank[np.lexsort((z, y, x, nearest, near_aside, -detections.scores[mark]))] = np.arange(len(mark))
        return self.chosen(np.lexsort((self.node, self.distance, rank[place])))


def _pairs_within_reach(
    detections: Detections, truth: GroundTruth, rules: MatchingRules, rows: NDArray[np.intp], nodes: NDArray[np.intp]
) -> _Pairs:
    """Find the pairs of one case; some marks at a time, so that no large table is made."""
    step = max(1, _PAIRS_AT_ONCE // len(nodes))
    found: list[_Pairs] = []
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        distance, limit = _distances(detections, truth, rules.hit, some, nodes)
        mark, node = np.nonzero(distance <= limit)
        found.append(_Pairs(some[mark], nodes[node], distance[mark, node]))
    return _Pairs(*(np.concatenate([getattr(each, field) for each in found]) for field in ("mark", "node", "distance")))


def _distances(
    detections: Detections, truth: GroundTruth, hit: Hit, rows: NDArray[np.intp], nodes: NDArray[np.intp]
) -> tuple[Floats, Floats | float]:
    """Return the distances of marks (rows) and nodes (columns), and the largest within reach."""
    if hit == "iou0.1":
        assert detections.boxes_mm is not None
        assert truth.boxes_mm is not None
        return 1 - _overlap(detections.boxes_mm[rows][:, None], truth.boxes_mm[nodes][None]), 1 - MIN_IOU
    if hit == "ids":
        assert detections.node_ids is not None
        claimed = np.array([detections.node_ids[row] for row in rows])
        names = np.array([truth.ids[node] for node in nodes])
        return np.where(claimed[:, None] == names[None], 0.0, np.inf), 0.0
    squares = [
        np.subtract.outer(detections.points_mm[rows, axis], truth.points_mm[nodes, axis]) ** 2 for axis in range(3)
    ]
    distance: Floats = np.sqrt(squares[0] + squares[1] + squares[2])
    return distance, HIT_DISTANCE_MM if hit == "15mm" else truth.long_axis_mm[nodes] / 2


def _overlap(first: Floats, second: Floats) -> Floats:
    """Return the intersection over union of boxes, shapes …, 2, 3; 0 where both are flat."""
    sides = np.minimum(first[..., 1, :], second[..., 1, :]) - np.maximum(first[..., 0, :], second[..., 0, :])
    shared = np.prod(np.maximum(sides, 0), axis=-1)
    whole = np.prod(first[..., 1, :] - first[..., 0, :], axis=-1) + np.prod(
        second[..., 1, :] - second[..., 0, :], axis=-1
    )
    overlap: Floats = np.divide(shared, whole - shared, out=np.zeros_like(shared), where=whole > shared)
    return overlap


def _first_of_run(values: NDArray[np.intp]) -> Bools:
    """Return, for each value, whether it differs from the one before it."""
    return np.concatenate([np.ones(min(1, len(values)), bool), values[1:] != values[:-1]])


@dataclass(frozen=True, eq=False)
class _Hits:
    """Marks that hit, the node that each is on in the end, and the node that was first hit when it came."""

    mark: NDArray[np.intp]
    node: NDArray[np.intp]
    opened: NDArray[np.intp]


def _hits(pairs: _Pairs) -> Iterator[_Hits]:
    """Choose the marks that hit among ordered pairs of one case.

    Nodes that share marks form groups. In a group of k nodes, a mark can only hit a node to which it is among the k
    nearest in order: if k marks of that node come before it, either all were kept, and every node is hit, or one was
    turned away, and then no augmenting path leaves this node any more. So a node alone is hit by its first mark.
    """
    if not len(pairs.mark):
        return
    nodes, place = np.unique(pairs.node, return_inverse=True)
    linked = np.flatnonzero(~_first_of_run(pairs.mark))
    links = coo_array((np.ones(len(linked)), (place[linked - 1], place[linked])), shape=(len(nodes), len(nodes)))
    group = connected_components(links, directed=False)[1]
    size = np.bincount(group)[group][place]
    kept = np.flatnonzero(_rank_within(place) < size)
    alone = kept[size[kept] == 1]
    yield _Hits(pairs.mark[alone], pairs.node[alone], pairs.node[alone])
    kept = kept[size[kept] > 1]
    if len(kept):
        yield _assigned(pairs.chosen(kept))


def _rank_within(kind: NDArray[np.intp]) -> NDArray[np.intp]:
    """Number the members of each kind from 0, in the order in which they come."""
    order = np.argsort(kind, kind="stable")
    starts = np.flatnonzero(_first_of_run(kind[order]))
    rank = np.empty(len(kind), np.intp)
    rank[order] = np.arange(len(kind)) - np.repeat(starts, np.diff(np.append(starts, len(kind))))
    return rank


def _assigned(pairs: _Pairs) -> _Hits:
    """Take marks in their order, and keep each for which an augmenting path leads to a free node."""
    nodes_of: dict[int, list[int]] = {}
    for mark, node in zip(pairs.mark.tolist(), pairs.node.tolist(), strict=True):
        nodes_of.setdefault(mark, []).append(node)
    node_of: dict[int, int] = {}
    mark_on: dict[int, int] = {}
    opened = [_augment(mark, nodes_of, node_of, mark_on) for mark in nodes_of]
    marks = [mark for mark, node in zip(nodes_of, opened, strict=True) if node is not None]
    return _Hits(
        np.array(marks, np.intp),
        np.array([node_of[mark] for mark in marks], np.intp),
        np.array([node for node in opened if node is not None], np.intp),
    )


def _augment(new: int, nodes_of: dict[int, list[int]], node_of: dict[int, int], mark_on: dict[int, int]) -> int | None:
    """Assign a node to ``new``, moving other marks if need be; return the node that is hit now and was not before."""
    came_from: dict[int, int] = {}
    waiting = [new]
    for mark in waiting:
        for node in nodes_of[mark]:
            if node in came_from:
                continue
            came_from[node] = mark
            if node in mark_on:
                waiting.append(mark_on[node])
                continue
            free: int | None = node
            while free is not None:
                mover = came_from[free]
                left = node_of.get(mover)
                node_of[mover], mark_on[free] = free, mover
                free = left
            return node
    return None
