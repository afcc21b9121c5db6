"""Baseline and follow-ups of one patient, with the truth of which node became which."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ctlymph.phantom.nodes.growth import ChangeRates, node_generations
from ctlymph.phantom.nodes.patient_anatomy import Anatomy, Body, anatomy_of
from ctlymph.phantom.nodes.synthetic_nodes import TrueNode

GROWN, STABLE, SHRUNK = "grown", "stable", "shrunk"
MERGED, SPLIT, VANISHED, LAST = "merged", "split", "vanished", "last"
_CHANGE = 0.1
"""Change of the short axis, as a share of it, below which a node is stable."""


@dataclass(frozen=True)
class LineageRow:
    """A row of the lineage: a node, its parents and its outcome.

    Attributes:
        timepoint: Number of the scan, 0 for the baseline.
        node: Number of the node in this scan.
        parents: Numbers of the nodes in the scan before that it came from: none for a new one, two for a merged one.
        outcome: ``grown``, ``stable``, ``shrunk``, ``merged`` (with another), ``split`` (into two), ``vanished``, or
            ``last`` in the last scan.
        short_axis_mm: Its short axis in this scan.
    """

    timepoint: int
    node: int
    parents: tuple[int, ...]
    outcome: str
    short_axis_mm: float


@dataclass(frozen=True)
class PatientTimePoint:
    """A patient at one of several scans.

    Attributes:
        number: 0 for the baseline.
        anatomy: The patient at this scan.
        links: A row of the lineage for each node, in the order of ``anatomy.nodes``.
    """

    number: int
    anatomy: Anatomy
    links: tuple[LineageRow, ...]


def follow_up(
    seed: int, timepoints: int, *, contrast: bool = True, rates: ChangeRates | None = None
) -> tuple[PatientTimePoint, ...]:
    """Make one patient at several time points.

    Args:
        seed: The patient; the same seed gives the same patient.
        timepoints: How many scans. The first ones do not depend on how many follow, except for the outcome of the
            nodes of the last one.
        contrast: Whether the patient is contrast-enhanced.
        rates: How nodes change between two scans; None for the usual rates.

    Returns:
        The patient at each scan, with the lineage of the nodes.

    Raises:
        ValueError: If ``timepoints`` is less than 1.
    """
    if timepoints < 1:
        raise ValueError(f"a patient has at least one scan, not {timepoints}")
    body = Body.of(seed, contrast=contrast)
    course = node_generations(seed, body.placement_field, timepoints, rates)
    anatomies = [anatomy_of(seed, number, body, generation.node_seeds) for number, generation in enumerate(course)]
    nodes = [anatomy.nodes for anatomy in anatomies]
    parents = [[tuple(n + 1 for n in before) for before in generation.parents] for generation in course]
    return tuple(
        PatientTimePoint(number, anatomy, tuple(_links(number, nodes, parents)))
        for number, anatomy in enumerate(anatomies)
    )


def _links(
    number: int, nodes: list[tuple[TrueNode, ...]], parents: list[list[tuple[int, ...]]]
) -> Iterator[LineageRow]:
    for node, before in zip(nodes[number], parents[number], strict=True):
        outcome = LAST if number + 1 == len(nodes) else _outcome(node, nodes[number + 1], parents[number + 1])
        yield LineageRow(number, node.node, before, outcome, node.short_axis_mm)


def _outcome(node: TrueNode, after: tuple[TrueNode, ...], parents: list[tuple[int, ...]]) -> str:
    descendants = [
        (descendant, before) for descendant, before in zip(after, parents, strict=True) if node.node in before
    ]
    if len(descendants) != 1:
        return SPLIT if descendants else VANISHED
    descendant, before = descendants[0]
    if len(before) > 1:
        return MERGED
    change = descendant.short_axis_mm / node.short_axis_mm - 1
    return STABLE if abs(change) <= _CHANGE else GROWN if change > 0 else SHRUNK
