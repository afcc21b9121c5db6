"""Curves of short axes over time, as shapes that a page can draw; units are those of the drawing, y grows downwards."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ctlymph.followup.course import Course, NodeRef, Response, Visit
from ctlymph.followup.lineages import Kind, Lineage, find_lineages, kind_of
from ctlymph.outputs.slice_images import spread

WIDTH, HEIGHT = 1000.0, 430.0
LEFT, RIGHT, TOP, BOTTOM = 128.0, 940.0, 34.0, 360.0
"""Where the first and the last visit, the top of the scale and 0 mm are."""

_SHOWN: tuple[Kind, ...] = ("target", "non-target", "new")
_LETTERS: dict[Kind, str] = {"target": "T", "non-target": "N", "new": "new ", "normal": "", "left out": ""}
_LABEL_GAP = 15.0
_NARROWEST = 0.08
"""Part of the width that visits must be apart for the axis of time to be true to scale."""
_TICKS = 6


@dataclass(frozen=True)
class CurveSegment:
    """A segment of a curve: from a node to what it became."""

    kind: Kind
    points: str


@dataclass(frozen=True)
class CurvePoint:
    """A node at a visit, or the place at 0 mm of one that was not found."""

    kind: Kind
    x: float
    y: float
    words: str
    found: bool = True


@dataclass(frozen=True)
class CurveLabel:
    """The name of a curve before its first point, and where that is."""

    text: str
    x: float
    y: float
    point_x: float
    point_y: float


@dataclass(frozen=True)
class VisitColumn:
    """A visit on the axis of time."""

    x: float
    visit: Visit
    sum_mm: float
    sum_y: float
    category: str


@dataclass(frozen=True)
class ResponseCurves:
    """The drawing.

    Attributes:
        ticks: Heights of the scale, and their mm.
        columns: The visits.
        to_scale: Whether time is.
        lines: Segments of the curves.
        dots: Nodes.
        labels: Names.
        sums: The curve of the sum; empty where there is no target.
        hidden: How many lineages are not shown.
    """

    ticks: tuple[tuple[float, int], ...]
    columns: tuple[VisitColumn, ...]
    to_scale: bool
    lines: tuple[CurveSegment, ...]
    dots: tuple[CurvePoint, ...]
    labels: tuple[CurveLabel, ...]
    sums: str
    hidden: int


def draw_curves(course: Course, response: Response) -> ResponseCurves:
    """Return the curves of targets, non-targets, new lesions and the sum; other nodes are not shown."""
    lineages = find_lineages(course, response)
    shown = [lineage for lineage in lineages if lineage.kind in _SHOWN]
    step, top_mm = _scale(course, response, shown)
    xs, to_scale = _times(course.visits)
    canvas = _Canvas(course, response, xs, top_mm)
    columns = tuple(
        VisitColumn(x, visit, each.sum_mm, canvas.y(each.sum_mm), each.category or "")
        for x, visit, each in zip(xs, course.visits, response.assessments, strict=True)
    )
    has_sum = any(each.adds_mm for each in response.assessments)
    return ResponseCurves(
        ticks=tuple((canvas.y(mm), mm) for mm in range(0, top_mm + 1, step)),
        columns=columns,
        to_scale=to_scale,
        lines=tuple(line for lineage in shown for line in canvas.lines(lineage)),
        dots=tuple(dot for lineage in shown for dot in canvas.dots(lineage)),
        labels=_spread_labels([label for lineage in shown for label in canvas.labels(lineage)]),
        sums=" ".join(f"{column.x:.1f},{column.sum_y:.1f}" for column in columns) if has_sum else "",
        hidden=len(lineages) - len(shown),
    )


@dataclass(frozen=True)
class _Canvas:
    course: Course
    response: Response
    xs: Sequence[float]
    top_mm: int

    def y(self, mm: float) -> float:
        return BOTTOM - mm / self.top_mm * (BOTTOM - TOP)

    def kind(self, ref: NodeRef) -> Kind:
        return kind_of(self.course, self.response, ref)

    def place(self, ref: NodeRef) -> tuple[float, float]:
        return self.xs[ref[0]], self.y(self.course.node(ref).sizes.short_axis.length_mm)

    def gone(self, ref: NodeRef) -> list[int]:
        """Visits after a node at which neither it nor what came from it was found, up to the next that was."""
        after = [child[0] for child in self.course.children(ref)]
        end = min(after) if after else min(ref[0] + 2, len(self.xs))
        return list(range(ref[0] + 1, end))

    def lines(self, lineage: Lineage) -> Iterable[CurveSegment]:
        """Join nodes to their children; what was not found lies at 0 mm meanwhile."""
        for ref in lineage.refs:
            absent = [(self.xs[visit], self.y(0)) for visit in self.gone(ref)]
            for child in self.course.children(ref) or (None,):
                points = [self.place(ref), *absent, *([self.place(child)] if child else [])]
                yield CurveSegment(self.kind(child or ref), " ".join(f"{x:.1f},{y:.1f}" for x, y in points))

    def dots(self, lineage: Lineage) -> Iterable[CurvePoint]:
        for ref in lineage.refs:
            short_mm = self.course.node(ref).sizes.short_axis.length_mm
            name = self.course.visits[ref[0]].name
            yield CurvePoint(
                self.kind(ref), *self.place(ref), f"{lineage.title}; {name}, node {ref[1]}: {short_mm:.1f} mm"
            )
            for visit in self.gone(ref):
                words = f"{lineage.title}; {self.course.visits[visit].name}: not found"
                yield CurvePoint(self.kind(ref), self.xs[visit], self.y(0), words, found=False)

    def labels(self, lineage: Lineage) -> Iterable[CurveLabel]:
        """Label the nodes without parents."""
        for ref in lineage.refs:
            if not self.course.parents.get(ref):
                x, y = self.place(ref)
                yield CurveLabel(f"{_LETTERS[self.kind(ref)]}{ref[1]}", x - 22, y, x, y)


def _spread_labels(labels: Sequence[CurveLabel]) -> tuple[CurveLabel, ...]:
    """Move labels of the same visit so that none lies over another."""
    found = []
    for x in sorted({label.x for label in labels}):
        column = sorted((label for label in labels if label.x == x), key=lambda label: label.y)
        gap = min(_LABEL_GAP, (BOTTOM - TOP) / len(column))
        heights = spread([label.y for label in column], gap, TOP, BOTTOM)
        found += [
            CurveLabel(label.text, label.x, y, label.point_x, label.point_y)
            for label, y in zip(column, heights, strict=True)
        ]
    return tuple(found)


def _scale(course: Course, response: Response, shown: Sequence[Lineage]) -> tuple[int, int]:
    """Return the step of the scale and its end, mm."""
    lengths_mm = [course.node(ref).sizes.short_axis.length_mm for lineage in shown for ref in lineage.refs]
    highest = max([15.0, *lengths_mm, *(each.sum_mm for each in response.assessments)])
    step = next((step for step in (5, 10, 20, 50) if highest / step <= _TICKS), 100)
    return step, step * math.ceil(highest / step)


def _times(visits: Sequence[Visit]) -> tuple[list[float], bool]:
    """Place the visits by their days; evenly where a day is not known, or two are too close to be distinguished."""
    evenly = [n / max(1, len(visits) - 1) for n in range(len(visits))]
    days = [visit.day.toordinal() for visit in visits if visit.day]
    parts = evenly
    if len(days) == len(visits) and days[-1] > days[0]:
        parts = [(day - days[0]) / (days[-1] - days[0]) for day in days]
    to_scale = parts is not evenly and all(b - a >= _NARROWEST for a, b in pairwise(parts))
    return [LEFT + part * (RIGHT - LEFT) for part in (parts if to_scale else evenly)], to_scale
