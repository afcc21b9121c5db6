"""A patient's nodes from one scan to the next: they grow, shrink, merge, split, vanish and appear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ctlymph.phantom.nodes.node_shapes import directions, measure_solid
from ctlymph.phantom.nodes.placement import enlarged_node, place_nodes
from ctlymph.phantom.nodes.placement_field import BodyPlacementField
from ctlymph.phantom.nodes.synthetic_nodes import NodeSeed

_NEAR_MM = 10.0
"""The farthest apart that two nodes lie which grow into one by the next scan."""
_RESOLVED_MM = 5.0
"""Short axis below which a node that had been annotated is so no longer."""
_LARGEST_MM = 50.0


@dataclass(frozen=True)
class NodeGeneration:
    """The nodes at one scan, in the coordinates of the first.

    Attributes:
        node_seeds: The nodes in the order of their numbers: those that are annotated first.
        parents: For each, which of the scan before it came from, counted from 0; none if it is new.
    """

    node_seeds: tuple[NodeSeed, ...]
    parents: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class ChangeRates:
    """Rates of change between two scans.

    Attributes:
        trend: Standard deviation over patients of the logarithm by which nodes grow or, below 0, shrink.
        spread: The same over the nodes of a patient.
        vanish: Probability that an annotated node is gone.
        appear: Mean number of new ones.
        awake: Probability that a small normal node is enlarged.
        merge: Probability that the two annotated nodes nearest to each other have grown into one.
        split: Probability that one annotated node has become two.
    """

    trend: float = 0.15
    spread: float = 0.2
    vanish: float = 0.12
    appear: float = 0.8
    awake: float = 0.03
    merge: float = 0.7
    split: float = 0.6


def node_generations(
    seed: int, field: BodyPlacementField, count: int, rates: ChangeRates | None = None
) -> list[NodeGeneration]:
    """Return the nodes of a patient at ``count`` scans; the first scans do not depend on how many follow."""
    node_seeds = place_nodes(field, np.random.default_rng([seed, 2]))
    course = [NodeGeneration(node_seeds, ((),) * len(node_seeds))]
    for number in range(1, count):
        course.append(
            _next_generation(
                course[-1].node_seeds, field, np.random.default_rng([seed, 7, number]), rates or ChangeRates()
            )
        )
    return course


def _next_generation(
    node_seeds: Sequence[NodeSeed], field: BodyPlacementField, rng: np.random.Generator, rates: ChangeRates
) -> NodeGeneration:
    trend = float(rng.normal(0, rates.trend))
    pair = _nearest_pair(node_seeds) if rng.random() < rates.merge else ()
    halved = _largest_but(node_seeds, pair) if rng.random() < rates.split else None
    after: list[tuple[NodeSeed, tuple[int, ...]]] = []
    if pair:
        after.append((_merged(node_seeds[pair[0]], node_seeds[pair[1]], rng), pair))
    if halved is not None:
        after += [(half, (halved,)) for half in _split(node_seeds[halved], rng)]
    for number, node_seed in enumerate(node_seeds):
        if number in pair or number == halved or (node_seed.marked and rng.random() < rates.vanish):
            continue
        taken = [one for one, _ in after]
        changed = _changed(node_seed, field, rng, taken, trend, rates)
        if node_seed.marked or not _swallowed(changed, taken):
            after.append((changed, (number,)))
    for _ in range(int(rng.poisson(rates.appear))):
        new = enlarged_node(field, rng, [one for one, _ in after])
        after += [(new, ())] if new else []
    after.sort(key=lambda born: not born[0].marked)
    return NodeGeneration(tuple(node_seed for node_seed, _ in after), tuple(parents for _, parents in after))


def _changed(
    node_seed: NodeSeed,
    field: BodyPlacementField,
    rng: np.random.Generator,
    taken: Sequence[NodeSeed],
    trend: float,
    rates: ChangeRates,
) -> NodeSeed:
    """Return a node, grown or shrunk; a growing one is pushed off its neighbours."""
    if not node_seed.marked and rng.random() > rates.awake:
        return node_seed.moved((0, 0, 0), float(np.exp(rng.normal(0, 0.03))))
    short = measure_solid(node_seed.solid).short_axis_mm
    target_mm = short * np.exp(trend + rng.normal(0, rates.spread)) if node_seed.marked else rng.uniform(10, 15)
    size = float(min(target_mm, _LARGEST_MM) / short)
    moved, _ = field.pushed_clear(node_seed.moved((0, 0, 0), size), taken, abutting=False)
    return replace(moved if size > 1 else node_seed.moved((0, 0, 0), size), marked=short * size >= _RESOLVED_MM)


def _swallowed(node_seed: NodeSeed, taken: Sequence[NodeSeed]) -> bool:
    """Return whether larger nodes have grown over a small one."""
    return any(float((other.solid.at(node_seed.surface_mm) < 0).mean()) > 0.4 for other in taken)


def _nearest_pair(node_seeds: Sequence[NodeSeed]) -> tuple[int, ...]:
    """Return the two annotated nodes of a region nearest to each other; none if all are far apart."""
    marked = [n for n, node_seed in enumerate(node_seeds) if node_seed.marked]
    best: tuple[int, ...] = ()
    min_gap = _NEAR_MM
    for place, a in enumerate(marked):
        for b in marked[place + 1 :]:
            if node_seeds[a].station.region == node_seeds[b].station.region:
                gap = _gap(node_seeds[a], node_seeds[b])
                if gap < min_gap:
                    best, min_gap = (a, b), gap
    return best


def _gap(a: NodeSeed, b: NodeSeed) -> float:
    """Return the distance between the surfaces of two nodes, mm; negative where they overlap."""
    radii = a.radius_mm + b.radius_mm
    distance = float(np.linalg.norm(a.centre_mm - b.centre_mm))
    if distance > radii + _NEAR_MM:
        return distance - radii
    surface = np.concatenate([lobe.surface(directions(1500)) for lobe in a.lobes])
    return float(b.solid.at(surface).min())


def _largest_but(node_seeds: Sequence[NodeSeed], others: Sequence[int]) -> int | None:
    sizes = {n: node_seed.radius_mm for n, node_seed in enumerate(node_seeds) if node_seed.marked and n not in others}
    return max(sizes, key=lambda n: sizes[n]) if sizes else None


def _merged(a: NodeSeed, b: NodeSeed, rng: np.random.Generator) -> NodeSeed:
    """Return two nodes grown into one: enlarged, and moved until they overlap by a third of the smaller one."""
    larger, smaller = (a, b) if a.radius_mm >= b.radius_mm else (b, a)
    larger, smaller = (node_seed.moved((0, 0, 0), float(rng.uniform(1.05, 1.2))) for node_seed in (larger, smaller))
    for _ in range(6):
        lacking = _gap(larger, smaller) + smaller.radius_mm / 3
        if lacking < 0.3:
            break
        heading = larger.centre_mm - smaller.centre_mm
        heading /= np.linalg.norm(heading)
        larger, smaller = larger.moved(-heading * lacking * 0.3), smaller.moved(heading * lacking * 0.7)
    return replace(larger, lobes=(*larger.lobes, *smaller.lobes))


def _split(node_seed: NodeSeed, rng: np.random.Generator) -> tuple[NodeSeed, NodeSeed]:
    """Return the two ends of a node as nodes of their own, with a gap of some mm between them."""
    if len(node_seed.lobes) == 1:
        axis = _long_axis(node_seed)
        ends = [replace(node_seed.moved(sign * axis, 0.55), filling=None) for sign in (0.45, -0.45)]
    else:
        ends = [replace(node_seed, lobes=(lobe,), filling=None).moved((0, 0, 0), 0.8) for lobe in node_seed.lobes[:2]]
    first, second = ends
    heading = first.centre_mm - second.centre_mm
    heading /= max(float(np.linalg.norm(heading)), 1e-6)
    target_mm = float(rng.uniform(2.0, 4.0))
    for _ in range(12):
        lacking = target_mm - _gap(first, second)
        if lacking < 0.2:
            break
        first, second = first.moved(heading * max(lacking, 1.0) / 2), second.moved(-heading * max(lacking, 1.0) / 2)
    return first, second


def _long_axis(node_seed: NodeSeed) -> NDArray[np.float64]:
    """Return the vector from a node's centre to its farthest end, mm."""
    rays = node_seed.lobes[0].surface(directions(400)) - node_seed.centre_mm
    return np.asarray(rays[np.linalg.norm(rays, axis=1).argmax()])
