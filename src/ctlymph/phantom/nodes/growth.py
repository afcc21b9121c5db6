"""What becomes of a patient's nodes from one scan to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ctlymph.phantom.nodes.node_shapes import directions, measured
from ctlymph.phantom.nodes.placement import Germ, Ground, enlarged_node, plant

_NEAR_MM = 10.0
"""The farthest apart that two nodes lie which grow into one by the next scan."""
_RESOLVED_MM = 5.0
"""Short axis below which a node that had been annotated is so no longer."""
_LARGEST_MM = 50.0


@dataclass(frozen=True)
class Visit:
    """The nodes at one scan, in the coordinates of the first.

    Attributes:
        germs: The nodes in the order of their numbers: those that are annotated first.
        parents: For each, which of the scan before it came from, counted from 0; none if it is new.
    """

    germs: tuple[Germ, ...]
    parents: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Habits:
    """How likely things are between two scans.

    Attributes:
        trend: Standard deviation over patients of the logarithm by which nodes grow or, below 0, shrink.
        spread: The same over the nodes of a patient.
        vanish: Chance that an annotated node is gone.
        appear: Mean number of new ones.
        awake: Chance that a small normal node is enlarged.
        merge: Chance that the two annotated nodes nearest to each other have grown into one.
        split: Chance that one annotated node has become two.
    """

    trend: float = 0.15
    spread: float = 0.2
    vanish: float = 0.12
    appear: float = 0.8
    awake: float = 0.03
    merge: float = 0.7
    split: float = 0.6


def visits(seed: int, ground: Ground, count: int, habits: Habits | None = None) -> list[Visit]:
    """Follow a patient over ``count`` scans; the first scans do not depend on how many follow."""
    germs = plant(ground, np.random.default_rng([seed, 2]))
    course = [Visit(germs, ((),) * len(germs))]
    for number in range(1, count):
        course.append(_followed(course[-1].germs, ground, np.random.default_rng([seed, 7, number]), habits or Habits()))
    return course


def _followed(germs: Sequence[Germ], ground: Ground, rng: np.random.Generator, habits: Habits) -> Visit:
    trend = float(rng.normal(0, habits.trend))
    pair = _nearest_pair(germs) if rng.random() < habits.merge else ()
    halved = _largest_but(germs, pair) if rng.random() < habits.split else None
    after: list[tuple[Germ, tuple[int, ...]]] = []
    if pair:
        after.append((_merged(germs[pair[0]], germs[pair[1]], rng), pair))
    if halved is not None:
        after += [(half, (halved,)) for half in _split(germs[halved], rng)]
    for number, germ in enumerate(germs):
        if number in pair or number == halved or (germ.marked and rng.random() < habits.vanish):
            continue
        taken = [one for one, _ in after]
        changed = _changed(germ, ground, rng, taken, trend, habits)
        if germ.marked or not _swallowed(changed, taken):
            after.append((changed, (number,)))
    for _ in range(int(rng.poisson(habits.appear))):
        new = enlarged_node(ground, rng, [one for one, _ in after])
        after += [(new, ())] if new else []
    after.sort(key=lambda born: not born[0].marked)
    return Visit(tuple(germ for germ, _ in after), tuple(parents for _, parents in after))


def _changed(
    germ: Germ, ground: Ground, rng: np.random.Generator, taken: Sequence[Germ], trend: float, habits: Habits
) -> Germ:
    """Let a node grow or shrink; a growing one is pushed off its neighbours."""
    if not germ.marked and rng.random() > habits.awake:
        return germ.moved((0, 0, 0), float(np.exp(rng.normal(0, 0.03))))
    short = measured(germ.solid).short_axis_mm
    wanted = short * np.exp(trend + rng.normal(0, habits.spread)) if germ.marked else rng.uniform(10, 15)
    size = float(min(wanted, _LARGEST_MM) / short)
    moved, _ = ground.seated(germ.moved((0, 0, 0), size), taken, abutting=False)
    return replace(moved if size > 1 else germ.moved((0, 0, 0), size), marked=short * size >= _RESOLVED_MM)


def _swallowed(germ: Germ, taken: Sequence[Germ]) -> bool:
    """Tell whether larger nodes have grown over a small one."""
    return any(float((other.solid.at(germ.surface_mm) < 0).mean()) > 0.4 for other in taken)


def _nearest_pair(germs: Sequence[Germ]) -> tuple[int, ...]:
    """Give the two annotated nodes of a region nearest to each other; none if all are far apart."""
    marked = [n for n, germ in enumerate(germs) if germ.marked]
    best: tuple[int, ...] = ()
    least = _NEAR_MM
    for place, a in enumerate(marked):
        for b in marked[place + 1 :]:
            if germs[a].station.region == germs[b].station.region:
                gap = _gap(germs[a], germs[b])
                if gap < least:
                    best, least = (a, b), gap
    return best


def _gap(a: Germ, b: Germ) -> float:
    """Give how far two nodes are apart, mm; negative where they overlap."""
    reach = a.reach_mm + b.reach_mm
    apart = float(np.linalg.norm(a.centre_mm - b.centre_mm))
    if apart > reach + _NEAR_MM:
        return apart - reach
    surface = np.concatenate([lobe.surface(directions(1500)) for lobe in a.lobes])
    return float(b.solid.at(surface).min())


def _largest_but(germs: Sequence[Germ], others: Sequence[int]) -> int | None:
    sizes = {n: germ.reach_mm for n, germ in enumerate(germs) if germ.marked and n not in others}
    return max(sizes, key=lambda n: sizes[n]) if sizes else None


def _merged(a: Germ, b: Germ, rng: np.random.Generator) -> Germ:
    """Let two nodes grow, and towards each other, until they overlap by a third of the smaller one."""
    larger, smaller = (a, b) if a.reach_mm >= b.reach_mm else (b, a)
    larger, smaller = (germ.moved((0, 0, 0), float(rng.uniform(1.05, 1.2))) for germ in (larger, smaller))
    for _ in range(6):
        lacking = _gap(larger, smaller) + smaller.reach_mm / 3
        if lacking < 0.3:
            break
        heading = larger.centre_mm - smaller.centre_mm
        heading /= np.linalg.norm(heading)
        larger, smaller = larger.moved(-heading * lacking * 0.3), smaller.moved(heading * lacking * 0.7)
    return replace(larger, lobes=(*larger.lobes, *smaller.lobes))


def _split(germ: Germ, rng: np.random.Generator) -> tuple[Germ, Germ]:
    """Shrink a node's two ends, each to a node of its own; a gap of some mm is left between them."""
    if len(germ.lobes) == 1:
        axis = _long_axis(germ)
        ends = [replace(germ.moved(sign * axis, 0.55), filling=None) for sign in (0.45, -0.45)]
    else:
        ends = [replace(germ, lobes=(lobe,), filling=None).moved((0, 0, 0), 0.8) for lobe in germ.lobes[:2]]
    first, second = ends
    heading = first.centre_mm - second.centre_mm
    heading /= max(float(np.linalg.norm(heading)), 1e-6)
    wanted = float(rng.uniform(2.0, 4.0))
    for _ in range(12):
        lacking = wanted - _gap(first, second)
        if lacking < 0.2:
            break
        first, second = first.moved(heading * max(lacking, 1.0) / 2), second.moved(-heading * max(lacking, 1.0) / 2)
    return first, second


def _long_axis(germ: Germ) -> NDArray[np.float64]:
    """Give the vector from a node's centre to its farthest end, mm."""
    rays = germ.lobes[0].surface(directions(400)) - germ.centre_mm
    return np.asarray(rays[np.linalg.norm(rays, axis=1).argmax()])
