"""``response.html``: a patient's course on one page that needs nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from ctlymph.core.nodes import LymphNode
from ctlymph.followup.course import Assessment, Role, Visit
from ctlymph.followup.lineages import Lineage, find_lineages
from ctlymph.outputs import response_plots
from ctlymph.outputs.html import page_environment
from ctlymph.outputs.node_views import NodeView, UprightScan, view_of
from ctlymph.outputs.slice_images import AXIAL

if TYPE_CHECKING:
    from ctlymph.followup.course import FollowUp

MAX_LINEAGES = 30
"""How many lineages are shown in pictures, at most."""
MAX_NODES = 3
"""How many nodes of a lineage are shown in pictures at one visit, at most."""

_VIEW_MM = 60.0

WORDS = {
    "CR": "complete response",
    "PR": "partial response",
    "SD": "stable disease",
    "PD": "progressive disease",
    "non-CR/non-PD": "neither complete response nor progression",
    "NE": "not evaluable",
}
"""Categories of RECIST 1.1 in words."""


@dataclass(frozen=True)
class VisitSummary:
    """A visit as the page shows it.

    Attributes:
        visit: The visit.
        days: Since the baseline, or None where not known.
        assessment: What RECIST makes of it.
        words: The category in words.
        change: By how many per cent the sum is above the baseline's, as text; empty where there is none.
        rise_mm: By how much the sum is above the lowest before, mm.
        rise: The same in per cent, as text.
        disagrees: Whether the volume gives another category.
    """

    visit: Visit
    days: int | None
    assessment: Assessment
    words: str
    change: str
    rise_mm: float
    rise: str
    disagrees: bool


@dataclass(frozen=True)
class NodePicture:
    """A node at a visit."""

    node: LymphNode
    view: NodeView


@dataclass(frozen=True)
class VisitCell:
    """A lineage at a visit: pictures, the largest node first, and how many nodes are not shown."""

    visit: Visit
    pictures: tuple[NodePicture, ...]
    more: int


@dataclass(frozen=True)
class LineageStrip:
    """A lineage over time: a cell a visit."""

    lineage: Lineage
    cells: tuple[VisitCell, ...]


def write_page(path: Path, followed: FollowUp) -> None:
    """Write the page: categories and reasons, measurements, curves, and pictures of every lineage side by side."""
    environment = page_environment()
    lineages = find_lineages(followed.course, followed.response)
    roles = followed.response.roles
    html = environment.get_template("response.html.j2").render(
        followed=followed,
        points=_time_points(followed),
        targets=[number for number, role in roles.items() if role is Role.TARGET],
        tally={role: sum(each is role for each in roles.values()) for role in Role},
        curves=response_plots.draw_curves(followed.course, followed.response),
        drawing=response_plots,
        strips=_strips(followed, lineages[:MAX_LINEAGES]),
        hidden=max(0, len(lineages) - MAX_LINEAGES),
        version=version("ctlymph"),
    )
    path.write_text(html, encoding="utf-8")


def _time_points(followed: FollowUp) -> list[VisitSummary]:
    visits, assessments = followed.course.visits, followed.response.assessments
    first = visits[0].day
    return [
        VisitSummary(
            visit=visit,
            days=(visit.day - first).days if visit.day and first else None,
            assessment=each,
            words=WORDS[each.category] if each.category else "baseline",
            change=_percent(each.sum_mm, assessments[0].sum_mm) if visit.number else "",
            rise_mm=each.sum_mm - each.nadir_mm,
            rise=_percent(each.sum_mm, each.nadir_mm) if visit.number else "",
            disagrees=each.by_volume != each.category,
        )
        for visit, each in zip(visits, assessments, strict=True)
    ]


def _percent(now: float, before: float) -> str:
    """Return by how many per cent a value is above another, with one decimal; empty if the other is 0."""
    return f"{100 * (now - before) / before:+.1f} %" if before > 0 else ""


def _strips(followed: FollowUp, shown: list[Lineage]) -> list[LineageStrip]:
    """Return the pictures, made visit by visit, so that one CT is in memory at a time."""
    widths = {lineage.number: _width_mm(followed, lineage) for lineage in shown}
    cells: dict[int, list[VisitCell]] = {lineage.number: [] for lineage in shown}
    for visit in followed.course.visits:
        scan = UprightScan.upright(followed.volumes[visit.number], followed.masks[visit.number])
        for lineage in shown:
            nodes = [followed.course.node(ref) for ref in lineage.at(visit.number)]
            nodes.sort(key=lambda node: -node.sizes.short_axis.length_mm)
            pictures = [
                NodePicture(node, view_of(scan, AXIAL, node, widths[lineage.number])) for node in nodes[:MAX_NODES]
            ]
            cells[lineage.number].append(VisitCell(visit, tuple(pictures), len(nodes) - len(pictures)))
    return [LineageStrip(lineage, tuple(cells[lineage.number])) for lineage in shown]


def _width_mm(followed: FollowUp, lineage: Lineage) -> float:
    """Return a field of view with room for a lineage's largest node, the same at all visits."""
    longest_mm = max(followed.course.node(ref).sizes.long_axis.length_mm for ref in lineage.refs)
    return max(_VIEW_MM, 10 * math.ceil(0.15 * longest_mm))
