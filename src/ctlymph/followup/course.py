"""A patient's course: the nodes at each visit, which became which, and the response by RECIST."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import Literal

from ctlymph.core.nodes import LymphNode
from ctlymph.core.short_repr import short_repr
from ctlymph.core.volume import Masks, Volume

NodeRef = tuple[int, int]
"""A visit's number, 0 for the baseline, and a node's number in it."""


@dataclass(frozen=True)
class Visit:
    """One scan of a patient.

    Attributes:
        number: 0 for the baseline.
        name: What its owner calls the scan.
        day: When it was made, or None where not known.
        nodes: In any order.
    """

    number: int
    name: str
    day: date | None
    nodes: tuple[LymphNode, ...]


@dataclass(frozen=True)
class Course:
    """A patient's nodes over time.

    Attributes:
        visits: Baseline and follow-ups, in the order of time.
        parents: Of each node after the baseline, those it came from: none if it is new, two or more if they merged.
            Mostly of the visit before; of an earlier one if the node was not found in between.
    """

    visits: tuple[Visit, ...]
    parents: Mapping[NodeRef, tuple[NodeRef, ...]]

    @cached_property
    def _nodes(self) -> dict[NodeRef, LymphNode]:
        return {(visit.number, node.node): node for visit in self.visits for node in visit.nodes}

    @cached_property
    def _children(self) -> dict[NodeRef, tuple[NodeRef, ...]]:
        found: dict[NodeRef, tuple[NodeRef, ...]] = {}
        for child in sorted(self.parents):
            for parent in self.parents[child]:
                found[parent] = (*found.get(parent, ()), child)
        return found

    def node(self, ref: NodeRef) -> LymphNode:
        """Return a node.

        Raises:
            KeyError: If there is none of that number.
        """
        return self._nodes[ref]

    def children(self, ref: NodeRef) -> tuple[NodeRef, ...]:
        """Return the nodes that came directly from one: none if it vanished, two or more if it split."""
        return self._children.get(ref, ())

    def descendants(self, ref: NodeRef, visit: int) -> tuple[NodeRef, ...]:
        """Return the nodes of a visit that came from one, over any number of visits; itself at its own visit."""
        reached, todo = set(), [ref]
        while todo:
            here = todo.pop()
            if here not in reached:
                reached.add(here)
                todo += [child for child in self.children(here) if child[0] <= visit]
        return tuple(sorted(each for each in reached if each[0] == visit))

    def origins(self, ref: NodeRef) -> tuple[NodeRef, ...]:
        """Return the nodes without parents that one came from, over any number of visits; itself if it has none."""
        before = self.parents.get(ref, ())
        return tuple(sorted({origin for parent in before for origin in self.origins(parent)})) if before else (ref,)


class Role(StrEnum):
    """The role of a baseline node by RECIST."""

    TARGET = "target"
    NON_TARGET = "non-target"
    NORMAL = "normal"
    LEFT_OUT = "left out"


Category = Literal["CR", "PR", "SD", "PD", "non-CR/non-PD", "NE"]
"""RECIST 1.1: complete or partial response, stable or progressive disease; neither complete response nor progression,
where there is no target; not evaluable, where there is nothing to follow."""


@dataclass(frozen=True)
class Assessment:
    """One time point by RECIST 1.1.

    Attributes:
        visit: Its number.
        adds_mm: By target, the number of the baseline node: what it, or what it became, adds to the sum.
        counted: Also by target: the numbers of this visit's nodes that make this up; none if it is gone, or if it
            merged with a larger target, for which the merged node counts.
        sum_mm: Sum of the short axes of targets.
        nadir_mm: Lowest sum of the visits before; at the baseline, its own.
        new: Numbers of the nodes that count as new lesions.
        category: None at the baseline.
        reasons: Why that category, in words.
        remarks: What a person should check: merged targets, growth of other nodes.
        volume_mm3: Of the targets, or what they became.
        hypothetical_mm: Diameter of the ball of that volume.
        by_volume: The category if that diameter were the sum; None at the baseline.
    """

    visit: int
    adds_mm: Mapping[int, float]
    counted: Mapping[int, tuple[int, ...]]
    sum_mm: float
    nadir_mm: float
    new: tuple[int, ...]
    category: Category | None
    reasons: tuple[str, ...]
    remarks: tuple[str, ...]
    volume_mm3: float
    hypothetical_mm: float
    by_volume: Category | None


@dataclass(frozen=True)
class Response:
    """A patient's response by RECIST 1.1.

    Attributes:
        roles: Of the baseline's nodes, by number.
        assessments: One a visit.
    """

    roles: Mapping[int, Role]
    assessments: tuple[Assessment, ...] = field(default_factory=tuple)


@dataclass(frozen=True, eq=False)
class FollowUp:
    """A patient's scans, the nodes in them, and the response by RECIST 1.1.

    Attributes:
        patient: What the scans' owner calls the patient.
        volumes: The CTs, one a visit. They are used one after another, so they may be read as they are asked for.
        masks: Instance masks on their grids; labels are the nodes' numbers.
        course: Visits, and which node became which.
        response: The response by RECIST 1.1.
        model: Name of the detector, or ``""`` for annotated nodes.
        trained_on: One sentence on the model's training data, shown wherever its output is.
        notes: What a user should know: of reading, detecting, matching; one sentence each.
    """

    patient: str = field(repr=False)
    volumes: Sequence[Volume]
    masks: Sequence[Masks]
    course: Course
    response: Response
    model: str = ""
    trained_on: str = ""
    notes: Sequence[str] = ()

    __repr__ = short_repr
