"""An evaluator that tries every assignment of marks to nodes at every threshold: slow, and plainly right."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ctlymph.evaluation.detections import Detections, GroundTruth
from ctlymph.evaluation.matching import MatchingRules


def in_reach(marks: Detections, truth: GroundTruth, rule: str, mark: int, node: int) -> bool:
    if marks.cases[marks.case[mark]] != truth.cases[truth.case[node]]:
        return False
    if rule == "iou0.1":
        inside = whole_mark = whole_node = 1.0
        for axis in range(3):
            (low, high), (start, end) = marks.boxes_mm[mark][:, axis], truth.boxes_mm[node][:, axis]
            inside *= max(0.0, min(high, end) - max(low, start))
            whole_mark *= high - low
            whole_node *= end - start
        return inside / (whole_mark + whole_node - inside) >= 0.1
    far = float(np.linalg.norm(marks.points_mm[mark] - truth.points_mm[node]))
    return far <= (15 if rule == "15mm" else truth.long_axis_mm[node] / 2)


def assignments(reach: list[list[int]], taken: frozenset[int] = frozenset()) -> Iterator[list[int | None]]:
    """Give every way of giving each mark one of its nodes or none, no node twice."""
    if not reach:
        yield []
        return
    for node in [None, *(node for node in reach[0] if node not in taken)]:
        for rest in assignments(reach[1:], taken if node is None else taken | {node}):
            yield [node, *rest]


def best(scores: list[float], reach: list[list[int]], spoils: list[bool]) -> tuple[int, set[float], int]:
    """Give most pairs, then highest scores, then fewest marks left over that would be false."""

    def worth(assignment: list[int | None]) -> tuple[int, list[float], int]:
        kept = [index for index, node in enumerate(assignment) if node is not None]
        left_false = sum(spoils[index] for index in range(len(scores)) if index not in kept)
        return len(kept), sorted((scores[index] for index in kept), reverse=True), -left_false

    count, kept_scores, left_false = max(worth(assignment) for assignment in assignments(reach))
    return count, set(kept_scores), -left_false


def curve(marks: Detections, truth: GroundTruth, rules: MatchingRules) -> list[tuple[float, int, int]]:
    """Give threshold, false positives and hits at every score."""
    counted = [rules.all_nodes or size >= rules.min_short_axis_mm for size in truth.short_axis_mm]
    points = []
    for threshold in sorted(set(marks.scores.tolist()), reverse=True):
        hits = false = 0
        for case in truth.cases:
            rows = [
                row
                for row in range(len(marks))
                if marks.cases[marks.case[row]] == case and marks.scores[row] >= threshold
            ]
            near = [[n for n in range(len(truth)) if in_reach(marks, truth, rules.hit, row, n)] for row in rows]
            reach = [[n for n in nodes if counted[n]] for nodes in near]
            aside = [any(not counted[n] for n in nodes) for nodes in near]
            spoils = [
                bool(nodes) and not excused and rules.duplicates == "fp"
                for nodes, excused in zip(reach, aside, strict=True)
            ]
            count, _, left_false = best([marks.scores[row] for row in rows], reach, spoils)
            hits += count
            false += left_false + sum(not nodes for nodes in near)
        points.append((threshold, false, hits))
    return points
