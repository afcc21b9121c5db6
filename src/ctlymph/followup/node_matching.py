"""Nodes followed from scan to scan.

The nodes of a scan are laid, as points, onto the scan before. There an optimal
assignment (the Hungarian method) pairs nodes that lie near to each other, for
their size, and are of like volume, unless one lies in the place of a third and
hardly touches its partner. What it leaves over is looked at again: an earlier
node whose place a paired later node has taken has merged into it; a later one
that lies in the place of a paired earlier node has split off. A node that is
still without parents may have been seen in scans before that and been out of
sight since; else it is new.
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
from ctlymph.followup.registration import Alignment

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

Link = tuple[NodeRef, NodeRef]
"""A node and one that it became."""

_POINTS = 1000
"""How many points stand for a large node."""
_ASTRAY_MM = 2.0
"""How far off an aligned place may lie."""


@dataclass(frozen=True)
class Rules:
    """When nodes belong together.

    Attributes:
        astray_mm: Distance that is usual between the centres of a node in two scans, but for its size.
        astray_share: The same as a share of the larger one's radius, which is added.
        growth: Usual change of the logarithm of the volume; large enough that a node of 30 mm that shrank to 5 mm in
            its place is known again.
        gate: Largest sum of both squares, each over its usual one, at which two nodes can be one.
        within: Share of a node left over that must lie in another's place for them to have merged, or to be split.
        hardly: Share that two nodes have in common at most, of either, if one is rather a part of a third.
    """

    astray_mm: float = 2.5
    astray_share: float = 0.3
    growth: float = 2.0
    gate: float = 9.0
    within: float = 0.5
    hardly: float = 0.25


@dataclass(frozen=True, eq=False)
class _Place:
    """A node as points.

    Attributes:
        ref: Which node.
        points_mm: ``(n, 3)``, LPS mm, evenly over the node.
        volume_mm3: Of the node.
        reach_mm: How far round each point the node is taken to go.
    """

    ref: NodeRef
    points_mm: NDArray[np.float64]
    volume_mm3: float
    reach_mm: float

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
        """That of the ball of the same volume."""
        return float((3 * self.volume_mm3 / (4 * np.pi)) ** (1 / 3))

    def moved(self, alignment: Alignment) -> _Place:
        return replace(self, points_mm=alignment.to_earlier(self.points_mm))

    def share_in(self, other: _Place) -> float:
        """Give the share of this node that lies in the other."""
        reach_mm = _ASTRAY_MM + other.reach_mm
        (low_mm, high_mm), (other_low_mm, other_high_mm) = self.box_mm, other.box_mm
        if ((low_mm > other_high_mm + reach_mm) | (high_mm < other_low_mm - reach_mm)).any():
            return 0.0
        away_mm, _ = other.tree.query(self.points_mm, distance_upper_bound=reach_mm)
        return float(np.isfinite(away_mm).mean())


def followed(
    visits: Sequence[Visit], masks: Sequence[Masks], alignments: Sequence[Alignment], rules: Rules | None = None
) -> Course:
    """Find which nodes became which. The order of nodes within a visit does not matter.

    Args:
        visits: In the order of time.
        masks: Of each visit; their labels are the nodes' numbers.
        alignments: From each visit but the first to the one before.
        rules: When nodes belong together.

    Raises:
        ValueError: If the numbers of visits, masks and alignments do not fit, or a mask lacks a node.
    """
    if not len(visits) == len(masks) == len(alignments) + bool(visits):
        raise ValueError(f"{len(visits)} visits, {len(masks)} masks and {len(alignments)} alignments do not fit")
    rules = rules or Rules()
    seen = [_places(visit, each) for visit, each in zip(visits, masks, strict=True)]
    links: set[Link] = set()
    for number in range(1, len(visits)):
        links |= _linked(seen[number - 1], [place.moved(alignments[number - 1]) for place in seen[number]], rules)
        links |= _seen_again(seen[: number + 1], alignments[:number], links, rules)
    refs = [place.ref for places in seen[1:] for place in places]
    parents = {ref: tuple(sorted(before for before, after in links if after == ref)) for ref in sorted(refs)}
    return Course(tuple(visits), parents)


def _places(visit: Visit, masks: Masks) -> list[_Place]:
    """Give the nodes as points, in an order that their numbers have no part in."""
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
        reach_mm = max(float(masks.geometry.spacing_mm.max()) / 2, 0.6 * (volume_mm3 / len(some)) ** (1 / 3))
        points_mm = masks.geometry.index_to_mm(some[:, ::-1])
        places.append(_Place((visit.number, node.node), points_mm, volume_mm3, reach_mm))
    return sorted(places, key=lambda place: (*place.centre_mm, place.volume_mm3))


def _linked(before: Sequence[_Place], after: Sequence[_Place], rules: Rules) -> set[Link]:
    """Link the nodes of two scans, given in the coordinates of one of them."""
    pairs = _assigned(before, after, rules)
    left_before = [place for place in before if place not in {early for early, _ in pairs}]
    left_after = [place for place in after if place not in {late for _, late in pairs}]
    merged = _joined(left_before, [late for _, late in pairs], rules)
    split = _joined(left_after, [early for early, _ in pairs], rules)
    links = [*pairs, *merged, *((early, late) for late, early in split)]
    return {(early.ref, late.ref) for early, late in links}


def _assigned(before: Sequence[_Place], after: Sequence[_Place], rules: Rules) -> list[tuple[_Place, _Place]]:
    """Pair nodes one to one, so that what the pairs cost less than the gate is most in sum."""
    from scipy.optimize import linear_sum_assignment

    if not before or not after:
        return []
    gain = np.array([[min(0.0, _cost(a, b, rules) - rules.gate) for b in after] for a in before])
    gain[_parts_of_others(before, after, rules)] = 0
    pairs = zip(*linear_sum_assignment(gain), strict=True)
    return [(before[row], after[column]) for row, column in pairs if gain[row, column] < 0]


def _parts_of_others(before: Sequence[_Place], after: Sequence[_Place], rules: Rules) -> NDArray[np.bool_]:
    """Tell the pairs, ``(before, after)``, of which one lies in the place of another node, and hardly in its partner's.

    The half of a node that has split may lie nearer to a neighbour that has vanished, and be more like it, than to the
    whole.
    """
    early = np.array([[a.share_in(b) for b in after] for a in before])
    late = np.array([[b.share_in(a) for b in after] for a in before])
    of_others = (early.max(axis=1, keepdims=True) >= rules.within) | (late.max(axis=0, keepdims=True) >= rules.within)
    return np.asarray(of_others & (np.maximum(early, late) < rules.hardly))


def _cost(a: _Place, b: _Place, rules: Rules) -> float:
    usual_mm = rules.astray_mm + rules.astray_share * max(a.radius_mm, b.radius_mm)
    apart = float(np.linalg.norm(a.centre_mm - b.centre_mm)) / usual_mm
    growth = float(np.log(b.volume_mm3 / a.volume_mm3)) / rules.growth
    return apart**2 + growth**2


def _joined(pieces: Sequence[_Place], wholes: Sequence[_Place], rules: Rules) -> list[tuple[_Place, _Place]]:
    """Pair each piece with the node of the other scan that it lies in most, if it lies in it enough."""
    found = []
    for piece in pieces:
        shares = [piece.share_in(whole) for whole in wholes]
        if max(shares, default=0.0) >= rules.within:
            found.append((piece, wholes[int(np.argmax(shares))]))
    return found


def _seen_again(
    seen: Sequence[Sequence[_Place]], alignments: Sequence[Alignment], links: set[Link], rules: Rules
) -> set[Link]:
    """Link nodes of the last scan that came from nowhere with those of earlier scans that went nowhere."""
    found: set[Link] = set()
    continued = {before for before, _ in links}
    places = [place for place in seen[-1] if place.ref not in {after for _, after in links}]
    for number in range(len(seen) - 2, -1, -1):
        places = [place.moved(alignments[number]) for place in places]
        gone = [place for place in seen[number] if place.ref not in continued]
        pairs = _assigned(gone, places, rules)
        found |= {(early.ref, late.ref) for early, late in pairs}
        places = [place for place in places if place not in {late for _, late in pairs}]
    return found
