"""Lineages: nodes of a course that came from one another, over any number of visits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ctlymph.followup.course import Course, NodeRef, Response, Role

Kind = Literal["target", "non-target", "new", "normal", "left out"]
"""The role of a node at any visit by RECIST: that of the node it came from, or a new lesion."""

_ORDER: tuple[Kind, ...] = ("target", "non-target", "new", "normal", "left out")


@dataclass(frozen=True)
class Lineage:
    """Nodes joined by descent: usually one a visit, more where nodes merged or split.

    Attributes:
        number: From 1: targets first, then non-targets, new lesions and others; within these the largest first.
        kind: The first of its nodes' kinds, in the order target, non-target, new, normal, left out.
        title: Such as ``Target 1`` or ``New lesion 4``.
        refs: Its nodes, by visit and number.
    """

    number: int
    kind: Kind
    title: str
    refs: tuple[NodeRef, ...]

    def at(self, visit: int) -> tuple[NodeRef, ...]:
        """Return the nodes of a visit."""
        return tuple(ref for ref in self.refs if ref[0] == visit)


def kind_of(course: Course, response: Response, ref: NodeRef) -> Kind:
    """Return the kind of a node: a target's descendant is a target, whatever else merged into it."""
    roles = {response.roles[number] if visit == 0 else None for visit, number in course.origins(ref)}
    if Role.TARGET in roles:
        return "target"
    if Role.NON_TARGET in roles:
        return "non-target"
    if ref[1] in response.assessments[ref[0]].new:
        return "new"
    return "left out" if roles == {Role.LEFT_OUT} else "normal"


def find_lineages(course: Course, response: Response) -> list[Lineage]:
    """Return all nodes of a course as lineages, in the order of their numbers."""
    kinds = {
        (visit.number, node.node): kind_of(course, response, (visit.number, node.node))
        for visit in course.visits
        for node in visit.nodes
    }
    found = [(min((kinds[ref] for ref in refs), key=_ORDER.index), refs) for refs in _joined(course, kinds)]
    found.sort(key=lambda each: (_ORDER.index(each[0]), -_largest_mm(course, each[1]), each[1]))
    return [
        Lineage(number, kind, _title(kind, refs, kinds), refs) for number, (kind, refs) in enumerate(found, start=1)
    ]


def _joined(course: Course, refs: Mapping[NodeRef, Kind]) -> list[tuple[NodeRef, ...]]:
    """Return the connected components of the graph of parents and children."""
    left, parts = set(refs), []
    while left:
        part, todo = set(), [min(left)]
        while todo:
            here = todo.pop()
            if here not in part:
                part.add(here)
                todo += [*course.parents.get(here, ()), *course.children(here)]
        left -= part
        parts.append(tuple(sorted(part)))
    return parts


def _largest_mm(course: Course, refs: tuple[NodeRef, ...]) -> float:
    return max(course.node(ref).sizes.short_axis.length_mm for ref in refs)


def _title(kind: Kind, refs: tuple[NodeRef, ...], kinds: Mapping[NodeRef, Kind]) -> str:
    """Name a lineage after its nodes of the lineage's kind at the visit where they first appear."""
    namesakes = [ref for ref in refs if kinds[ref] == kind]
    numbers = [str(number) for visit, number in namesakes if visit == namesakes[0][0]]
    name = {"new": "New lesion", "normal": "Normal node", "left out": "Node left out"}.get(kind, kind.capitalize())
    if len(numbers) == 1:
        return f"{name} {numbers[0]}"
    plural = name.replace("Node left", "Nodes left") if kind == "left out" else f"{name}s"
    return f"{plural} {', '.join(numbers[:-1])} and {numbers[-1]}"
