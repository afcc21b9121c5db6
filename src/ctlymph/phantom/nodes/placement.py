"""Lymph nodes of a patient: sampled from the statistics of real ones, placed in the fat of their stations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.regions import MEDIASTINUM, REGIONS
from ctlymph.phantom.body.parts import BodyPart
from ctlymph.phantom.body.shapes import (
    Array,
    Bounds,
    Ellipsoid,
    Intersection,
    LatticeSolid,
    Offset,
    Solid,
    Subtraction,
    Union,
)
from ctlymph.phantom.nodes.node_shapes import Lobulated, directions, measure_solid, sample_shape
from ctlymph.phantom.nodes.node_statistics import NODE_STATISTICS
from ctlymph.phantom.nodes.placement_field import PlacementField
from ctlymph.phantom.nodes.station_map import Station, is_annotated
from ctlymph.phantom.nodes.synthetic_nodes import Filling, NodeSeed, TrueNode

_SMALL_NODES = (14, 36)
"""Fewest and most small normal nodes of a patient."""
_CROWDING = 0.5
"""Share of nodes placed next to another one; chosen to match the real distances to the nearest node."""
_MOST_OVERLAP = 0.45
"""Largest share of a node's surface that its neighbours may cut, before a smaller node is tried."""
_SIZE_LEFT = 0.85
"""Smallest share of its short axis that neighbours may leave a node."""
_VOLUME_LEFT = 0.6
"""Smallest share of its volume that they may leave."""
_LONGEST = 2.5
"""Largest long axis of a cut node, in short axes; the 95 % quantile of the real ones is 2.2."""
_TWINS = 0.15
"""Share of larger nodes that are two grown together."""


@dataclass(frozen=True)
class _LargestPiece(Solid):
    """The largest connected piece of a solid, on a grid that holds all of it."""

    solid: Solid

    @property
    def bounds(self) -> Bounds:
        """A box, LPS mm, that holds the solid."""
        return self.solid.bounds

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Not known point by point."""
        raise NotImplementedError("the pieces of a solid are only known on a grid")

    def on_grid(self, x: Array, y: Array, z: Array, cutoff_mm: float) -> Array:
        """Signed distance on a grid."""
        from scipy.ndimage import label

        result = self.solid.on_grid(x, y, z, cutoff_mm)
        pieces, count = label(result < 0)
        if count > 1:
            sizes = np.bincount(pieces.ravel())
            sizes[0] = 0
            lost = (pieces > 0) & (pieces != sizes.argmax())
            result = np.where(lost, np.abs(result), result)
        return np.asarray(result)


def place_nodes(field: PlacementField, rng: np.random.Generator) -> tuple[NodeSeed, ...]:
    """Sample a patient's nodes and their places.

    Enlarged nodes come first, in numbers and sizes as annotated in real cases (:mod:`.node_statistics`), then small
    normal ones, which are not annotated.

    Args:
        field: The fat in which they lie.
        rng: Random numbers.

    Returns:
        The nodes; one for which there was no space is left out.
    """
    tissue = float(rng.normal(0, 6))
    node_seeds: list[NodeSeed] = []
    for region in field.regions:
        statistics = NODE_STATISTICS[region]
        for short in _thinned(statistics.short_axes_mm(rng, statistics.count(rng)), field.share(region), rng):
            node_seed = _placed(
                field, rng, _NodeDraft.sampled(field, rng, float(short), region, marked=True), node_seeds
            )
            node_seeds += [node_seed] if node_seed else []
    some = rng.integers(*_SMALL_NODES, endpoint=True) * sum(map(field.share, field.regions)) / len(REGIONS)
    for _ in range(round(some)):
        short = float(np.clip(rng.lognormal(np.log(5.4), 0.3), 3.0, 9.5))
        node_seed = _placed(field, rng, _NodeDraft.sampled(field, rng, short, MEDIASTINUM, marked=False), node_seeds)
        node_seeds += [node_seed] if node_seed else []
    return tuple(replace(node_seed, hu=float(np.clip(node_seed.hu + tissue, 28, 100))) for node_seed in node_seeds)


def _thinned(sizes: NDArray[np.float64], share: float, rng: np.random.Generator) -> NDArray[np.float64]:
    return sizes if share >= 1 else sizes[rng.random(len(sizes)) < share]


def enlarged_node(field: PlacementField, rng: np.random.Generator, taken: Sequence[NodeSeed]) -> NodeSeed | None:
    """Sample one more enlarged node of either region; None if there is no room."""
    region = field.regions[int(rng.integers(len(field.regions)))]
    return _placed(field, rng, _NodeDraft.sampled(field, rng, float(rng.uniform(10, 16)), region, marked=True), taken)


@dataclass(frozen=True)
class _NodeDraft:
    """A node without a place.

    Attributes:
        node_seed: The node, centred on the origin.
        short_mm: Its short axis.
        stations: Stations at which it may lie.
        probabilities: Probability of each of them.
    """

    node_seed: NodeSeed
    short_mm: float
    stations: tuple[Station, ...]
    probabilities: NDArray[np.float64]

    @classmethod
    def sampled(
        cls, field: PlacementField, rng: np.random.Generator, short_mm: float, region: str, *, marked: bool
    ) -> _NodeDraft:
        """Sample shape and tissue of an enlarged node of a region, or a small normal one of any."""
        stations = field.stations(region if marked else None)
        lobes = _lobes(rng, region, short_mm, marked=marked)
        node_seed = NodeSeed(lobes, stations[0], _hu(rng, field), marked, _filling(rng, short_mm, marked=marked))
        weights = np.array([station.enlarged if marked else station.normal for station in stations])
        return cls(node_seed, short_mm, stations, weights / weights.sum())


def _placed(
    field: PlacementField, rng: np.random.Generator, draft: _NodeDraft, taken: Sequence[NodeSeed]
) -> NodeSeed | None:
    """Return the node at a station with enough space, made smaller if need be; None if nothing fits."""
    for size in (1.0, 0.85, 0.7):
        for _ in range(6):
            node_seed = _placed_nearby(field, rng, draft, taken, size)
            if node_seed:
                return node_seed
    return None


def _placed_nearby(
    field: PlacementField, rng: np.random.Generator, draft: _NodeDraft, taken: Sequence[NodeSeed], size: float
) -> NodeSeed | None:
    """Return the node at the place, of some in one neighbourhood, where it loses least, enlarged to its size again."""
    somewhere = _neighbourhood(field, rng, draft, taken)
    best: tuple[float, NodeSeed | None] = (_MOST_OVERLAP, None)
    for attempt in range(8):
        place = somewhere()
        node_seed, overlap = field.pushed_clear(draft.node_seed.moved(place, size), taken, abutting=rng.random() < 0.6)
        cost = overlap + 0.01 * float(np.linalg.norm(node_seed.centre_mm - place))
        station = field.station_at(node_seed.centre_mm, draft.stations)
        if station and cost < best[0]:
            best = cost, replace(node_seed, station=station)
        # The more attempts, the larger the overlap that is accepted.
        if best[0] < 0.05 + 0.05 * attempt:
            break
    if best[1] is None or best[0] < 0.05:
        return best[1]
    left = _size_left(field, best[1], taken) / (draft.short_mm * size)
    node_seed = best[1].moved((0, 0, 0), float(np.clip(1 / max(left, 0.1), 1.0, 1.4)))
    left = _size_left(field, node_seed, taken) / (draft.short_mm * size)
    return node_seed if _SIZE_LEFT <= left <= 1 / _SIZE_LEFT else None


def _size_left(field: PlacementField, node_seed: NodeSeed, taken: Sequence[NodeSeed]) -> float:
    """Return the short axis that neighbours leave a node, mm; 0 where they leave too little, or a ribbon."""
    solid = _dented(field, node_seed, [other.solid for other in taken])
    step = node_seed.radius_mm / 12
    left, whole = measure_solid(solid, step), measure_solid(node_seed.solid, step)
    spoilt = left.volume_mm3 < _VOLUME_LEFT * whole.volume_mm3 or left.long_axis_mm > _LONGEST * left.short_axis_mm
    return 0.0 if spoilt else left.short_axis_mm


def _neighbourhood(
    field: PlacementField, rng: np.random.Generator, draft: _NodeDraft, taken: Sequence[NodeSeed]
) -> Callable[[], NDArray[np.float64]]:
    """Return a function that samples places, LPS mm, near another such node or near a station."""
    neighbours = [one for one in taken if one.station in draft.stations and one.marked == draft.node_seed.marked]
    if neighbours and rng.random() < _CROWDING:
        other = neighbours[int(rng.integers(len(neighbours)))]
        touching = other.radius_mm * 0.8 + draft.short_mm / 2
        return lambda: np.asarray(other.centre_mm + _unit(rng) * (touching + rng.exponential(6.0)))
    station = draft.stations[int(rng.choice(len(draft.stations), p=draft.probabilities))]
    middle = field.middle(station, rng)
    return lambda: np.asarray(middle + rng.normal(0, 1, 3) * station.spread)


def _lobes(rng: np.random.Generator, region: str, short_mm: float, *, marked: bool) -> tuple[Lobulated, ...]:
    """Sample the shape of a node, centred on the origin; now and then it is two nodes grown together."""
    statistics = NODE_STATISTICS[region]
    first = sample_shape(rng, statistics, short_mm, 1.0 if marked else 0.6)
    if short_mm < 12 or rng.random() > _TWINS:
        return (first,)
    second = sample_shape(rng, statistics, short_mm * rng.uniform(0.6, 0.95))
    heading = rng.normal(size=3)
    heading /= np.linalg.norm(heading)
    distance = sum(
        float(np.abs((lobe.surface(directions(200)) * heading).sum(axis=1)).max()) for lobe in (first, second)
    )
    second = second.at_place(heading * distance)
    # Moved together until they overlap, but keep a waist.
    for _ in range(8):
        lacking = float(first.at(second.surface(directions(600))).min()) + 0.2 * short_mm
        if lacking <= 0:
            break
        second = second.at_place(np.array(second.base.centre_mm) - heading * lacking)
    twins = (first, second)
    size = short_mm / measure_solid(Union(twins, 3.0)).short_axis_mm
    return tuple(lobe.at_place(np.array(lobe.base.centre_mm) * size, size) for lobe in twins)


def _hu(rng: np.random.Generator, field: PlacementField) -> float:
    """Sample a node's CT number: enhanced a little more than muscle, or near it without contrast."""
    # Partial volume at its edge brings a node's mean some 12 HU down, to the 55 HU measured in a real one.
    mean, spread = (66.0, 11.0) if field.enhanced else (38.0, 5.0)
    return float(rng.normal(mean, spread))


def _filling(rng: np.random.Generator, short_mm: float, *, marked: bool) -> Filling | None:
    """Sample the part within a node; most nodes have none."""
    x, y, z = (float(u) for u in _unit(rng))
    uniform = rng.random()
    if uniform < (0.10 if marked else 0.25) and short_mm > 4.5:
        return Filling("fatty hilum", float(rng.uniform(-90, -50)), rng.uniform(0.35, 0.55), 0.55, (x, y, z), 0.0)
    if marked and short_mm > 14 and uniform > 0.85:
        return Filling("necrosis", float(rng.uniform(8, 26)), rng.uniform(0.4, 0.7), 0.1, (x, y, z), 1.5)
    if marked and 0.80 < uniform < 0.85:
        return Filling("calcification", float(rng.uniform(200, 600)), rng.uniform(0.15, 0.4), 0.2, (x, y, z), 1.0)
    return None


def _unit(rng: np.random.Generator) -> NDArray[np.float64]:
    heading = rng.normal(size=3)
    return np.asarray(heading / np.linalg.norm(heading))


def make_nodes(field: PlacementField, node_seeds: Sequence[NodeSeed]) -> tuple[TrueNode, ...]:
    """Make the nodes of a patient from their seeds.

    Args:
        field: The fat in which they lie.
        node_seeds: The nodes, in the order of their numbers. Each loses the space that parts of the body and earlier
            nodes hold.

    Returns:
        The nodes, numbered from 1.
    """
    nodes: list[TrueNode] = []
    for node_seed in node_seeds:
        solid = _dented(field, node_seed, [node.solid for node in nodes])
        station, number = node_seed.station, len(nodes) + 1
        inner = (_inner(node_seed.filling, number, solid),) if node_seed.filling else ()
        marked = node_seed.marked and is_annotated(station.name)
        nodes.append(TrueNode(number, solid, station.region, station.name, node_seed.hu, marked, inner))
    return tuple(nodes)


def _dented(field: PlacementField, node_seed: NodeSeed, others: Sequence[Solid]) -> Solid:
    """Return the node's shape less the space that others hold."""
    shape = node_seed.solid
    low, high = shape.bounds
    touching = tuple(one for one in others if (one.bounds[0] < high).all() and (one.bounds[1] > low).all())
    if not touching and field.occupied.at(node_seed.surface_mm).min() > 0:
        return shape
    step = float(np.clip((high - low).max() / 40, 0.4, 1.2))
    dented = _LargestPiece(Subtraction(shape, (field.occupied, *touching)))
    return LatticeSolid(dented, step, margin_mm=2.0, cutoff_mm=4.0)


def _inner(filling: Filling, number: int, solid: Solid) -> BodyPart:
    extent = measure_solid(solid)
    radius = extent.short_axis_mm / 2
    x, y, z = np.array(extent.centre_mm) + np.array(filling.heading) * filling.offset * radius
    core = Ellipsoid((float(x), float(y), float(z)), (filling.size * radius,) * 3)
    return BodyPart(
        f"{filling.name} of node {number}", "node", Intersection((core, Offset(solid, -filling.rim))), filling.hu
    )
