"""The fat into which nodes are placed: its free space, and the stations in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.regions import ABDOMEN, REGIONS
from ctlymph.phantom.body.parts import BodyPart
from ctlymph.phantom.body.physique import Physique
from ctlymph.phantom.body.shapes import (
    Array,
    Bounds,
    LatticeSolid,
    Solid,
    Tubes,
    near,
)
from ctlymph.phantom.nodes.station_map import STATIONS, Station, stations_of
from ctlymph.phantom.nodes.synthetic_nodes import NodeSeed

_CUTOFF_MM = 10.0
"""Distance from which on the free space is not resolved."""
_THIN_MM = 2.2
"""Radius from which a vessel is an obstacle to nodes."""
_FARTHEST = 4.0
"""The farthest from a station that its nodes lie, in standard deviations."""


@dataclass(frozen=True)
class _Occupied(Solid):
    """Everything but fat once ``parts`` are painted in order; a later part of fat covers earlier parts."""

    parts: tuple[BodyPart, ...]
    box: Bounds

    @property
    def bounds(self) -> Bounds:
        """A box, LPS mm, beyond which nothing is known."""
        return self.box

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Not known point by point."""
        raise NotImplementedError("the occupied space is known on a grid only")

    def on_grid(self, x: Array, y: Array, z: Array, cutoff_mm: float) -> Array:
        """Signed distance on a grid."""
        result = np.full((len(z), len(y), len(x)), -cutoff_mm, dtype=np.float32)
        for part in self.parts:
            k, j, i = box = near(part.solid, x, y, z, cutoff_mm)
            block = result[box]
            if not block.size or part.name.startswith("table"):
                continue
            distance = part.solid.on_grid(x[i], y[j], z[k], cutoff_mm)
            if part.kind == "fat":
                np.maximum(block, -distance, out=block)
            else:
                np.minimum(block, distance, out=block)
        return result


class PlacementField(ABC):
    """The fat into which nodes are placed: the free space, and the stations in it."""

    @property
    @abstractmethod
    def enhanced(self) -> bool:
        """Whether the patient is contrast-enhanced."""

    @property
    @abstractmethod
    def occupied(self) -> Solid:
        """The space that nodes may not enter."""

    @abstractmethod
    def stations(self, region: str | None = None) -> tuple[Station, ...]:
        """Return the stations at which nodes of a region are enlarged, or all."""

    @abstractmethod
    def middle(self, station: Station, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return a place, LPS mm, about which nodes of a station lie."""

    @abstractmethod
    def station_at(self, point_mm: NDArray[np.float64], stations: Sequence[Station]) -> Station | None:
        """Return the station, of those given, that a point belongs to; None where it belongs to none."""

    @property
    def regions(self) -> tuple[str, ...]:
        """Regions with stations at which nodes are enlarged."""
        return tuple(region for region in REGIONS if self.stations(region))

    def share(self, region: str) -> float:
        """Return the share of a region that is there, up to 1: a short scan shows fewer nodes."""
        return 1.0

    def gaps(self, points_mm: NDArray[np.float64], taken: Iterable[NodeSeed]) -> NDArray[np.float64]:
        """Return the distance of points (n, 3) from everything occupied or taken, mm; negative within."""
        gap = self.occupied.at(points_mm).astype(np.float64)
        low, high = points_mm.min(axis=0) - 3, points_mm.max(axis=0) + 3
        for node_seed in taken:
            start, end = node_seed.solid.bounds
            if (start < high).all() and (end > low).all():
                gap = np.minimum(gap, node_seed.solid.at(points_mm))
        return gap

    def pushed_clear(self, node_seed: NodeSeed, taken: Sequence[NodeSeed], *, abutting: bool) -> tuple[NodeSeed, float]:
        """Move a node out of its overlaps, or onto its nearest neighbour.

        Args:
            node_seed: The node.
            taken: The nodes placed before.
            abutting: Whether to move it onto its nearest neighbour.

        Returns:
            The node where it comes to lie, and the share of its surface that still overlaps.
        """
        points, centre, moved = node_seed.surface_mm, node_seed.centre_mm, np.zeros(3)
        gap = self.gaps(points, taken)
        if abutting and 0 < gap.min() < _CUTOFF_MM - 1:
            moved += _shortened(points[gap.argmin()] - centre, float(gap.min()))
            gap = self.gaps(points + moved, taken)
        inward = centre - points
        inward /= np.linalg.norm(inward, axis=1, keepdims=True) + 1e-6
        for _ in range(10):
            depth = np.maximum(0.3 - gap, 0)
            if depth.max() < 0.5:
                break
            push = (inward * depth[:, None]).mean(axis=0) * 2.5
            moved += _shortened(push, min(float(np.linalg.norm(push)), 4.0))
            gap = self.gaps(points + moved, taken)
        return node_seed.moved(moved), float((gap < -0.3).mean())


@dataclass(frozen=True)
class BodyPlacementField(PlacementField):
    """The fat between the parts of a synthetic body.

    Attributes:
        build: The patient.
        parts: All tissues but lungs and nodes, in painting order.
        box: Bounds of the search, LPS mm.
        below: Everything under the diaphragm.
    """

    physique: Physique
    parts: tuple[BodyPart, ...]
    box: Bounds
    below: Solid

    @property
    def enhanced(self) -> bool:
        """Whether the patient is contrast-enhanced."""
        return self.physique.tissues.artery > 90

    @cached_property
    def occupied(self) -> Solid:
        """The space that nodes may not enter."""
        solid = tuple(obstacle for part in self.parts if (obstacle := _obstacle(part)))
        return LatticeSolid(_Occupied(solid, self.box), 2.0, margin_mm=0.0, cutoff_mm=_CUTOFF_MM)

    def stations(self, region: str | None = None) -> tuple[Station, ...]:
        """Return the stations at which nodes of a region are enlarged, or all."""
        return stations_of(region) if region else STATIONS

    def middle(self, station: Station, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return a place, LPS mm, about which nodes of a station lie."""
        return self.physique.place(station.middle)

    def station_at(self, point_mm: NDArray[np.float64], stations: Sequence[Station]) -> Station | None:
        """Return the station that a point belongs to; None far from all, or beyond the diaphragm."""
        offsets = np.array([(point_mm - self.physique.place(one.middle)) / one.spread for one in stations])
        nearest = int(np.linalg.norm(offsets, axis=1).argmin())
        station = stations[nearest]
        at_home = (self.below.at(point_mm[None])[0] < -2) == (station.region == ABDOMEN)
        return station if at_home and np.linalg.norm(offsets[nearest]) < _FARTHEST else None


def _shortened(vector: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-6) * length)


def _obstacle(part: BodyPart) -> BodyPart | None:
    """Return the piece of a part that no node may enter; lung and thin vessels give way to nodes."""
    if part.kind in ("lung", "twigs"):
        return None
    tubes = part.solid
    if part.kind != "vessel" or not isinstance(tubes, Tubes):
        return part
    thick = tubes.radii_mm.max(axis=1) >= _THIN_MM
    pieces = Tubes(tubes.starts_mm[thick], tubes.ends_mm[thick], tubes.radii_mm[thick], tubes.stretch)
    return replace(part, solid=pieces) if thick.any() else None
