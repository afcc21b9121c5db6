"""Lymph nodes of a synthetic patient: seeds before their placement, and nodes as they were made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctlymph.core.nodes import Point
from ctlymph.phantom.body.parts import BodyPart
from ctlymph.phantom.body.physique import Physique
from ctlymph.phantom.body.shapes import (
    Solid,
    Union,
)
from ctlymph.phantom.nodes.node_shapes import Extent, Lobulated, directions, measure_solid
from ctlymph.phantom.nodes.station_map import Station


@dataclass(frozen=True)
class TrueNode:
    """A node as it was made.

    Attributes:
        node: Its number, and its label in the masks; from 1.
        solid: Its shape.
        region: ``mediastinum`` or ``abdomen``.
        station: Name of its station.
        hu: CT number before noise, of what ``inner`` does not cover.
        marked: Whether those who annotated the scan mark it: small normal nodes and axillary ones they pass over.
        inner: Parts within it, painted after it: a fatty hilum, a necrotic or calcified centre.
    """

    node: int
    solid: Solid
    region: str
    station: str
    hu: float
    marked: bool = True
    inner: tuple[BodyPart, ...] = ()

    @property
    def parts(self) -> tuple[BodyPart, ...]:
        """The node and what lies within it, in painting order."""
        return (BodyPart(f"node {self.node}", "node", self.solid, self.hu), *self.inner)

    @cached_property
    def extent(self) -> Extent:
        """Size and centre of the shape."""
        return measure_solid(self.solid)

    @property
    def centre_mm(self) -> Point:
        """Centre of mass, LPS mm."""
        return self.extent.centre_mm

    @property
    def volume_mm3(self) -> float:
        """Volume of the shape, mm³."""
        return self.extent.volume_mm3

    @property
    def long_axis_mm(self) -> float:
        """Longest diameter on the axial slice where that is greatest, mm."""
        return self.extent.long_axis_mm

    @property
    def short_axis_mm(self) -> float:
        """Longest chord perpendicular to the long axis, on the same slice, mm."""
        return self.extent.short_axis_mm


class Filling(NamedTuple):
    """A part within a node; lengths are in units of half its short axis.

    Attributes:
        name: As in the part's name.
        hu: Its CT number.
        size: Its radius.
        offset: How far its middle lies from the node's, along ``heading``.
        heading: A unit direction, LPS.
        rim: What it leaves of the node at the edge, mm.
    """

    name: str
    hu: float
    size: float
    offset: float
    heading: Point
    rim: float


@dataclass(frozen=True)
class NodeSeed:
    """A node before its neighbours take space from it.

    Attributes:
        lobes: Its shapes, at their places, LPS mm.
        station: Where it lies.
        hu: CT number.
        marked: Whether it is annotated.
        filling: A part of other tissue within it.
    """

    lobes: tuple[Lobulated, ...]
    station: Station
    hu: float
    marked: bool
    filling: Filling | None = None

    @cached_property
    def solid(self) -> Solid:
        """Its shape: the lobes, with the hollows between them filled a little."""
        return self.lobes[0] if len(self.lobes) == 1 else Union(self.lobes, 3.0)

    @property
    def centre_mm(self) -> NDArray[np.float64]:
        """Mean of the lobes' centres by their volumes, LPS mm."""
        weights = [float(np.prod(lobe.base.radii_mm)) for lobe in self.lobes]
        return np.asarray(np.average([lobe.base.centre_mm for lobe in self.lobes], axis=0, weights=weights))

    @cached_property
    def surface_mm(self) -> NDArray[np.float64]:
        """Points (n, 3) of its surface and within, LPS mm."""
        points = np.concatenate([lobe.surface(directions(96)) for lobe in self.lobes])
        outer = points[self.solid.at(points) > -0.5]
        return np.concatenate([outer, (outer[::3] + self.centre_mm) / 2])

    @property
    def radius_mm(self) -> float:
        """Largest distance of its surface from its centre, mm."""
        return float(np.linalg.norm(self.surface_mm - self.centre_mm, axis=1).max())

    def moved(self, by_mm: ArrayLike, size: float = 1.0) -> NodeSeed:
        """Return the node shifted by ``by_mm``, LPS mm, and ``size`` times as large."""
        middle = self.centre_mm
        lobes = tuple(
            lobe.at_place(middle + (np.array(lobe.base.centre_mm) - middle) * size + np.asarray(by_mm), size)
            for lobe in self.lobes
        )
        return replace(self, lobes=lobes)

    def transported(self, before: Physique, after: Physique) -> NodeSeed:
        """Return the node moved with the body from one physique to another."""
        start = self.centre_mm
        standard = start / before.scale
        for _ in range(6):
            standard += (start - before.place(standard)) / before.scale
        return self.moved(after.place(standard) - start)
