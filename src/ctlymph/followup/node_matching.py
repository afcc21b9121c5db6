"""Nodes followed from scan to scan.

The nodes of a scan, as points, are mapped to the scan before. An optimal
assignment (the Hungarian method) matches nodes that are near to each other,
relative to their size, and similar in volume, unless one lies within a third
node and hardly overlaps its match. The remaining nodes are then examined: an
earlier node that lies within a matched later node has merged into it; a later
node that lies within a matched earlier one has split off. A node that is still
without parents may match one of the scans before, which was not found since;
otherwise it is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.volume import Masks
from ctlymph.followup.course import Course, NodeRef, Visit
from ctlymph.followup.registration import Registration

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

Link = tuple[NodeRef, NodeRef]
"""A node and one that it became."""

_POINTS = 1000
"""How many points represent a large node, at most."""
_REGISTRATION_ERROR_MM = 2.0
"""How far a registered point may be off."""


@dataclass(frozen=True)
class NodeMatchingRules:
    """When nodes match.

    Attributes:
        distance_mm: Usual distance between the centres of a node in two scans, for a very small node.
        distance_share: What is added to it, as a share of the larger node's radius.
        growth: Usual change of the logarithm of the volume; large enough that a node that shrinks from 30 mm to 5 mm
            in its place is still matched.
        max_cost: Largest cost of a match: the sum of the squares of distance and growth, each over its usual value.
        min_share: Share of an unmatched node that must lie within another for it to have merged into that, or to have
            split off.
        max_common_share: Largest overlap, as a share of either, of two nodes that are not matched because one of them
            is part of a third.
    """

    distance_mm: float = 2.5
    distance_share: float = 0.3
    growth: float = 2.0
    max_cost: float = 9.0
    min_share: float = 0.5
    max_common_share: float = 0.25


@dataclass(frozen=True, eq=False)
class _NodePoints:
    """A node as points.

    Attributes:
        ref: Which node.
        points_mm: ``(n, 3)``, LPS mm, evenly over the node.
        volume_mm3: Of the node.
        margin_mm: How far the node extends round each point.
    """

    ref: NodeRef
    points_mm: NDArray[np.float64]
    volume_mm3: float
    margin_mm: float

    @cached_property
    def centre_mm(self) -> NDArray[np.float64]:
        return np.asarray(self.points_mm.mean(axis=0))

    @cached_property
    def box_mm(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self.points_mm.min(axis=0), self.points_mm.max(axis=0)

    @cached_property
    def tree(self) -> cKDTree:
        from scipy.spatial import cKDTree

        return cKDTree(self.points_mm)

    @property
    def radius_mm(self) -> float:
        """Radius of the ball of the same volume."""
        return float((3 * self.volume_mm3 / (4 * np.pi)) ** (1 / 3))

    def moved(self, registration: Registration) -> _NodePoints:
        return replace(self, points_mm=registration.to_earlier(self.points_mm))

    def share_in(self, other: _NodePoints) -> float:
        """Return the share of this node that lies in the other."""
        margin_mm = _REGISTRATION_ERROR_MM + other.margin_mm
        (low_mm, high_mm), (other_low_mm, other_high_mm) = self.box_mm, other.box_mm
        if ((low_mm > other_high_mm + margin_mm) | (high_mm < other_low_mm - margin_mm)).any():
            return 0.0
        away_mm, _ = other.tree.query(self.points_mm, distance_upper_bound=margin_mm)
        return float(np.isfinite(away_mm).mean())


def match_nodes(
    visits: Sequence[Visit],
    masks: Sequence[Masks],
    registrations: Sequence[Registration],
    rules: NodeMatchingRules | None = None,
) -> Course:
    """Return which nodes became which. The order of nodes within a visit does not matter.

    Args:
        visits: In the order of time.
        masks: Of each visit; their labels are the nodes' numbers.
        registrations: From each visit but the first to the one before.
        rules: When nodes match.

    Raises:
        ValueError: If the numbers of visits, masks and registrations do not fit, or a mask lacks a node.
    """
    if not len(visits) == len(masks) == len(registrations) + bool(visits):
        raise ValueError(f"{len(visits)} visits, {len(masks)} masks and {len(registrations)} registrations do not fit")
    rules = rules or NodeMatchingRules()
    seen = [_places(visit, each) for visit, each in zip(visits, masks, strict=True)]
    links: set[Link] = set()
    for number in range(1, len(visits)):
        links |= _linked(seen[number - 1], [place.moved(registrations[number - 1]) for place in seen[number]], rules)
        links |= _reappeared(seen[: number + 1], registrations[:number], links, rules)
    refs = [place.ref for places in seen[1:] for place in places]
    parents = {ref: tuple(sorted(before for before, after in links if after == ref)) for ref in sorted(refs)}
    return Course(tuple(visits), parents)


def _places(visit: Visit, masks: Masks) -> list[_NodePoints]:
    """Return the nodes as points, in an order that does not depend on their numbers."""
    from scipy.ndimage import find_objects

    boxes = find_objects(masks.labels)
    places = []
    for node in visit.nodes:
        box = boxes[node.node - 1] if 0 < node.node <= len(boxes) else None
        if box is None:
            raise ValueError(f"the masks of visit {visit.number} lack node {node.node}")
        voxels = np.argwhere(masks.labels[box] == node.node) + [part.start for part in box]
        some = voxels[:: -(-len(voxels) // _POINTS)]
        volume_mm3 = len(voxels) * masks.geometry.voxel_mm3
        margin_mm = max(float(masks.geometry.spacing_mm.max()) / 2, 0.6 * (volume_mm3 / len(some)) ** (1 / 3))
        points_mm = masks.geometry.index_to_mm(some[:, ::-1])
        places.append(_NodePoints((visit.number, node.node), points_mm, volume_mm3, margin_mm))
    return sorted(places, key=lambda place: (*place.centre_mm, place.volume_mm3))


def _linked(before: Sequence[_NodePoints], after: Sequence[_NodePoints], rules: NodeMatchingRules) -> set[Link]:
    """Return the links between the nodes of two scans, given in the coordinates of one of them."""
    pairs = _assign(before, after, rules)
    left_before = [place for place in before if place not in {early for early, _ in pairs}]
    left_after = [place for place in after if place not in {late for _, late in pairs}]
    merged = _joined(left_before, [late for _, late in pairs], rules)
    split = _joined(left_after, [early for early, _ in pairs], rules)
    links = [*pairs, *merged, *((early, late) for late, early in split)]
    return {(early.ref, late.ref) for early, late in links}


def _assign(
    before: Sequence[_NodePoints], after: Sequence[_NodePoints], rules: NodeMatchingRules
) -> list[tuple[_NodePoints, _NodePoints]]:
    """Match nodes one to one, so that the sum of ``max_cost`` minus the cost of each match is largest."""
    from scipy.optimize import linear_sum_assignment

    if not before or not after:
        return []
    gain = np.array([[min(0.0, _cost(a, b, rules) - rules.max_cost) for b in after] for a in before])
    gain[_parts_of_others(before, after, rules)] = 0
    pairs = zip(*linear_sum_assignment(gain), strict=True)
    return [(before[row], after[column]) for row, column in pairs if gain[row, column] < 0]


def _parts_of_others(
    before: Sequence[_NodePoints], after: Sequence[_NodePoints], rules: NodeMatchingRules
) -> NDArray[np.bool_]:
    """Return which pairs, ``(before, after)``, hardly overlap while one of the two lies within another node.

    Half of a node that split may be nearer to a neighbour that vanished, and more similar to it, than to the whole.
    """
    early = np.array([[a.share_in(b) for b in after] for a in before])
    late = np.array([[b.share_in(a) for b in after] for a in before])
    of_others = (early.max(axis=1, keepdims=True) >= rules.min_share) | (
        late.max(axis=0, keepdims=True) >= rules.min_share
    )
    return np.asarray(of_others & (np.maximum(early, late) < rules.max_common_share))


def _cost(a: _NodePoints, b: _NodePoints, rules: NodeMatchingRules) -> float:
    usual_mm = rules.distance_mm + rules.distance_share * max(a.radius_mm, b.radius_mm)
    distance = float(np.linalg.norm(a.centre_mm - b.centre_mm)) / usual_mm
    growth = float(np.log(b.volume_mm3 / a.volume_mm3)) / rules.growth
    return distance**2 + growth**2


def _joined(
    pieces: Sequence[_NodePoints], wholes: Sequence[_NodePoints], rules: NodeMatchingRules
) -> list[tuple[_NodePoints, _NodePoints]]:
    """Pair each piece with the node of the other scan that holds most of it, if that is enough."""
    found = []
    for piece in pieces:
        shares = [piece.share_in(whole) for whole in wholes]
        if max(shares, default=0.0) >= rules.min_share:
            found.append((piece, wholes[int(np.argmax(shares))]))
    return found


def _reappeared(
    seen: Sequence[Sequence[_NodePoints]],
    registrations: Sequence[Registration],
    links: set[Link],
    rules: NodeMatchingRules,
) -> set[Link]:
    """Return links from nodes of earlier scans that have no child to nodes of the last scan that have no parent."""
    found: set[Link] = set()
    continued = {before for before, _ in links}
    places = [place for place in seen[-1] if place.ref not in {after for _, after in links}]
    for number in range(len(seen) - 2, -1, -1):
        places = [place.moved(registrations[number]) for place in places]
        gone = [place for place in seen[number] if place.ref not in continued]
        pairs = _assign(gone, places, rules)
        found |= {(early.ref, late.ref) for early, late in pairs}
        places = [place for place in places if place not in {late for _, late in pairs}]
    return found
