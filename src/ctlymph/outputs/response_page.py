"""``response.html``: what became of a patient, on one page that needs nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from ctlymph.core.nodes import LymphNode
from ctlymph.followup.course import Assessment, Role, Visit
from ctlymph.followup.lineages import Family, families
from ctlymph.outputs import response_plots
from ctlymph.outputs.html import page_environment
from ctlymph.outputs.node_views import Scene, View, view_of
from ctlymph.outputs.slice_images import AXIAL

if TYPE_CHECKING:
    from ctlymph.followup.course import FollowUp

MOST_FAMILIES = 30
"""How many families are shown in pictures."""
MOST_PARTS = 3
"""How many nodes of a family are shown in pictures at one visit."""

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
class TimePoint:
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
class Picture:
    """A node at a visit."""

    node: LymphNode
    view: View


@dataclass(frozen=True)
class Cell:
    """What is seen of a family at a visit: pictures, the largest node first, and how many nodes had no room."""

    visit: Visit
    pictures: tuple[Picture, ...]
    more: int


@dataclass(frozen=True)
class Strip:
    """A family over time: a cell a visit."""

    family: Family
    cells: tuple[Cell, ...]


def write_page(path: Path, followed: FollowUp) -> None:
    """Write the page: categories and reasons, figures, curves, and pictures of every family side by side."""
    environment = page_environment()
    joined = families(followed.course, followed.response)
    roles = followed.response.roles
    html = environment.get_template("response.html.j2").render(
        followed=followed,
        points=_time_points(followed),
        targets=[number for number, role in roles.items() if role is Role.TARGET],
        tally={role: sum(each is role for each in roles.values()) for role in Role},
        curves=response_plots.curves(followed.course, followed.response),
        drawing=response_plots,
        strips=_strips(followed, joined[:MOST_FAMILIES]),
        hidden=max(0, len(joined) - MOST_FAMILIES),
        version=version("ctlymph"),
    )
    path.write_text(html, encoding="utf-8")


def _time_points(followed: FollowUp) -> list[TimePoint]:
    visits, assessments = followed.course.visits, followed.response.assessments
    first = visits[0].day
    return [
        TimePoint(
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
    """Give by how many per cent one figure is above another, one decimal; empty if that is 0."""
    return f"{100 * (now - before) / before:+.1f} %" if before > 0 else ""


def _strips(followed: FollowUp, shown: list[Family]) -> list[Strip]:
    """Take the pictures, visit by visit: only one CT need be at hand."""
    widths = {family.number: _width_mm(followed, family) for family in shown}
    cells: dict[int, list[Cell]] = {family.number: [] for family in shown}
    for visit in followed.course.visits:
        scene = Scene.upright(followed.volumes[visit.number], followed.masks[visit.number])
        for family in shown:
            nodes = [followed.course.node(ref) for ref in family.at(visit.number)]
            nodes.sort(key=lambda node: -node.sizes.short_axis.length_mm)
            pictures = [
                Picture(node, view_of(scene, AXIAL, node, widths[family.number])) for node in nodes[:MOST_PARTS]
            ]
            cells[family.number].append(Cell(visit, tuple(pictures), len(nodes) - len(pictures)))
    return [Strip(family, tuple(cells[family.number])) for family in shown]


def _width_mm(followed: FollowUp, family: Family) -> float:
    """Give a field of view with room for a family's largest node, the same at all visits."""
    longest_mm = max(followed.course.node(ref).sizes.long_axis.length_mm for ref in family.refs)
    return max(_VIEW_MM, 10 * math.ceil(0.15 * longest_mm))
