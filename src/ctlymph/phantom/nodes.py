"""Lymph nodes: lobulated ellipsoids in the fat of their stations, with sizes known from their shape."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ctlymph.nodes import Point
from ctlymph.phantom.parts import Build, Part
from ctlymph.phantom.shapes import Array, Bounds, Ellipsoid, Solid

# Name, x, y, z of the middle (standard coordinates), spread along x, y, z.
_STATIONS: dict[str, tuple[tuple[str, Point, Point], ...]] = {
    "mediastinum": (
        ("2R", (-14, -16, 392), (4, 5, 8)),
        ("2L", (20, -8, 395), (4, 4, 8)),
        ("3A", (-4, -62, 358), (8, 4, 12)),
        ("4R", (-20, -24, 360), (4, 5, 9)),
        ("5", (38, -18, 352), (5, 7, 4)),
        ("6", (30, -46, 355), (7, 7, 9)),
        ("7", (-2, -2, 325), (5, 4, 6)),
        ("8", (-8, 0, 285), (8, 5, 22)),
        ("10R", (-40, -6, 328), (5, 6, 5)),
        ("10L", (46, -10, 316), (5, 6, 7)),
        ("cardiophrenic", (-26, -76, 245), (7, 6, 7)),
    ),
    "abdomen": (
        ("left para-aortic", (27, -36, 80), (6, 6, 28)),
        ("left para-aortic", (28, -34, 105), (6, 6, 10)),
        ("aortocaval", (-9, -39, 75), (4, 6, 28)),
        ("paracaval", (-44, -34, 60), (6, 6, 20)),
        ("coeliac", (20, -52, 164), (8, 6, 6)),
        ("portocaval", (-28, -52, 138), (7, 5, 10)),
        ("gastrohepatic", (28, -42, 186), (9, 8, 8)),
        ("mesenteric", (8, -64, 62), (18, 6, 18)),
        ("mesenteric", (24, -66, 40), (18, 6, 16)),
        ("right common iliac", (-26, -44, -14), (6, 5, 10)),
        ("left common iliac", (34, -44, -12), (6, 5, 10)),
    ),
}
_CLEARANCE_MM = 0.4


@dataclass(frozen=True)
class Lobulated(Solid):
    """An ellipsoid whose radius swells or shrinks smoothly about some directions.

    Attributes:
        base: The ellipsoid.
        bumps: (n, 5): unit direction in the frame of the ellipsoid's axes, height as
            part of the radius there, and sharpness (larger is narrower).
    """

    base: Ellipsoid
    bumps: NDArray[np.float64]

    @property
    def bounds(self) -> Bounds:
        """A box, LPS mm, that holds the solid."""
        low, high = self.base.bounds
        swell = np.maximum(self.bumps[:, 3], 0).sum()
        return low - (high - low) / 2 * swell, high + (high - low) / 2 * swell

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance, mm; its zero is exactly the surface."""
        level, gradient, unit = self.base.level(x, y, z)
        heading = [u / (level + np.float32(1e-6)) for u in unit]
        return np.asarray((level - self._reach(heading)) * level / gradient)

    def surface(self, directions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the surface points (n, 3), LPS mm, for unit ``directions`` (n, 3) in the ellipsoid's unit frame."""
        reach = self._reach(list(directions.T))
        local = directions * np.asarray(reach)[:, None] * np.array(self.base.radii_mm)
        return np.asarray(local @ self.base.axes.T + np.array(self.base.centre_mm))

    @property
    def volume_mm3(self) -> float:
        """Volume by the integral of the cubed radius over all directions."""
        reach = np.asarray(self._reach(list(_directions(4000).T)), dtype=np.float64)
        return float(4 / 3 * np.pi * np.prod(self.base.radii_mm) * (reach**3).mean())

    def _reach(self, heading: Sequence[NDArray[np.floating]]) -> Array:
        result = np.ones_like(heading[0])
        for a, b, c, height, sharpness in self.bumps.astype(heading[0].dtype):
            along = a * heading[0] + b * heading[1] + c * heading[2]
            result = result + height * np.exp(sharpness * (along - 1))
        return np.asarray(result)


@dataclass(frozen=True)
class TrueNode:
    """A node as it was made.

    Attributes:
        node: Its number, and its label in the masks; from 1.
        solid: Its shape.
        region: ``mediastinum`` or ``abdomen``.
        station: Name of its station.
        hu: CT number before noise, of what ``inner`` does not cover.
        marked: Whether those who annotated the scan mark it: small normal nodes they pass over.
        inner: What lies within it, painted after it: a fatty hilum, a necrotic or calcified centre.
    """

    node: int
    solid: Lobulated
    region: str
    station: str
    hu: float
    marked: bool = True
    inner: tuple[Part, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """The node and what lies within it, in painting order."""
        return (Part(f"node {self.node}", "node", self.solid, self.hu), *self.inner)

    @property
    def semi_axes_mm(self) -> tuple[float, float, float]:
        """Semi-axes of the ellipsoid beneath the lobulation, shortest first."""
        a, b, c = sorted(self.solid.base.radii_mm)
        return a, b, c

    @cached_property
    def centre_mm(self) -> Point:
        """Centre of mass, LPS mm."""
        directions = _directions(4000)
        base = self.solid.base
        rays = self.solid.surface(directions) - np.array(base.centre_mm)
        weight = (np.linalg.norm(rays @ base.axes / np.array(base.radii_mm), axis=1)) ** 3
        x, y, z = np.array(base.centre_mm) + 0.75 * np.average(rays, axis=0, weights=weight)
        return float(x), float(y), float(z)

    @property
    def volume_mm3(self) -> float:
        """Volume of the shape, mm³."""
        return self.solid.volume_mm3

    @property
    def long_axis_mm(self) -> float:
        """Longest diameter on the axial slice where that is greatest, mm."""
        return self._axial_axes_mm[0]

    @property
    def short_axis_mm(self) -> float:
        """Longest chord perpendicular to the long axis, on the same slice, mm."""
        return self._axial_axes_mm[1]

    @cached_property
    def _axial_axes_mm(self) -> tuple[float, float]:
        return axial_axes(self.solid)


@dataclass(frozen=True)
class Ground:
    """Where nodes can go: the fat that the parts of the anatomy leave."""

    build: Build
    parts: tuple[Part, ...]
    cavity: Solid
    below: Solid
    """What lies under the diaphragm."""

    @cached_property
    def obstacles(self) -> list[Part]:
        """Give the parts that no node may enter."""
        return [part for part in self.parts if part.kind not in ("surroundings", "fat", "lung", "twigs")]

    def clearance(self, points_mm: NDArray[np.float64], region: str, taken: Iterable[Solid]) -> tuple[float, float]:
        """Give how far points (n, 3) stay from everything, and from vessels; mm, negative within."""
        under = self.below.at(points_mm)
        room = np.maximum(self.cavity.at(points_mm) + 1.0, under + 3.0 if region == "abdomen" else 1.0 - under)
        least, vessel = float(-room.max()), 1e3
        low, high = self._obstacle_boxes
        close = ((points_mm.max(axis=0) > low - 3) & (points_mm.min(axis=0) < high + 3)).all(axis=1)
        for kind, solid in [
            *((self.obstacles[n].kind, self.obstacles[n].solid) for n in np.flatnonzero(close)),
            *(("node", one) for one in taken),
        ]:
            if least < 0:
                break
            gap = float(solid.at(points_mm).min())
            least = min(least, gap)
            if kind == "vessel":
                vessel = min(vessel, gap)
        return least, vessel

    @cached_property
    def _obstacle_boxes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        lows, highs = zip(*(part.solid.bounds for part in self.obstacles), strict=True)
        return np.array(lows), np.array(highs)


def place_nodes(ground: Ground, rng: np.random.Generator) -> tuple[TrueNode, ...]:
    """Draw 4–7 nodes for mediastinum and abdomen each, none touching another node or an organ.

    Sizes are log-normal about a thickness of 13 mm; a node for which its
    station has no room is made smaller, and left out below 6 mm.
    """
    nodes: list[TrueNode] = []
    for region, stations in _STATIONS.items():
        wanted = len(nodes) + int(rng.integers(4, 8))
        for place in rng.permutation(len(stations)):
            if len(nodes) == wanted:
                break
            station, centre, spread = stations[place]
            solid = _fitted(ground, rng, region, (centre, spread), [node.solid for node in nodes])
            if solid is not None:
                # Partial volume at its edge brings a node's mean some 15 HU down, to the 55 HU measured in a real one.
                hu = float(np.clip(rng.normal(69, 9), 45, 95))
                nodes.append(TrueNode(len(nodes) + 1, solid, region, station, hu))
    return tuple(nodes)


def _fitted(
    ground: Ground, rng: np.random.Generator, region: str, home: tuple[Point, Point], taken: Sequence[Solid]
) -> Lobulated | None:
    """Try places about a station, then smaller nodes, until some are free.

    Of these, chance decides whether the one nearest to a vessel or the freest is taken.
    """
    short = float(np.clip(rng.lognormal(np.log(13), 0.38), 7, 30))
    abutting = rng.random() < 0.5
    directions = _directions(160)
    while short >= 6:
        free: list[tuple[float, Lobulated]] = []
        for _ in range(30):
            solid = _drawn(rng, ground.build.place(home[0]) + rng.normal(0, 1, 3) * home[1], short)
            surface = solid.surface(directions)
            centre = np.array(solid.base.centre_mm)
            points = np.concatenate([surface, (surface + centre) / 2, centre[None]])
            gap, vessel = ground.clearance(points, region, taken)
            if gap >= _CLEARANCE_MM:
                free.append((vessel if abutting else -gap, solid))
            if len(free) == 6:
                break
        if free:
            return min(free, key=lambda pair: pair[0])[1]
        short *= 0.88
    return None


def _drawn(rng: np.random.Generator, centre: NDArray[np.float64], short: float) -> Lobulated:
    """Draw a shape whose thinnest diameter is about ``short`` mm."""
    from scipy.spatial.transform import Rotation

    middle, long = rng.uniform(1.0, 1.4), rng.uniform(1.15, 1.9)
    radii = (short / 2, short / 2 * min(middle, long), short / 2 * long)
    count = int(rng.integers(2, 5))
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    bumps = np.column_stack([direction, rng.uniform(-0.14, 0.16, count), rng.uniform(3, 9, count)])
    x, y, z = (float(c) for c in centre)
    return Lobulated(Ellipsoid((x, y, z), radii, Rotation.random(rng=rng).as_matrix()), bumps)


def axial_axes(solid: Solid, step_mm: float = 0.3) -> tuple[float, float]:
    """Give long and short axis (mm) of a solid by RECIST's rule, from its exact axial sections.

    The long axis is the longest diameter on the axial plane where that is
    greatest; the short axis is the longest chord perpendicular to it there.
    Planes lie ``step_mm`` apart, and so do the points at which a section's
    outline is looked for; linear interpolation puts them within 0.02 mm.
    """
    low, high = solid.bounds
    x, y = (np.arange(low[n] - 1, high[n] + 1, step_mm, dtype=np.float32) for n in range(2))
    planes = np.arange(low[2], high[2], step_mm, dtype=np.float32)
    best = (0.0, 0.0)
    for level in solid.on_grid(x, y, planes, 5.0):
        for outline in _outlines(level):
            points = outline[:, ::-1] * step_mm
            long, heading = _diameter(points)
            if long > best[0]:
                best = (long, _longest_chord(points, np.array([-heading[1], heading[0]])))
    return best


def _outlines(level: Array) -> list[NDArray[np.float64]]:
    from skimage.measure import find_contours

    return [] if (level >= 0).all() else [np.asarray(c) for c in find_contours(level, 0.0) if len(c) > 3]


def _diameter(points: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    apart = points[:, None] - points[None]
    length = np.hypot(apart[..., 0], apart[..., 1])
    a, b = np.unravel_index(np.argmax(length), length.shape)
    return float(length[a, b]), apart[a, b] / max(length[a, b], 1e-9)


def _longest_chord(outline: NDArray[np.float64], heading: NDArray[np.float64]) -> float:
    """Give the longest extent of a closed outline (n, 2) along lines of one direction."""
    along, across = outline @ heading, outline @ np.array([-heading[1], heading[0]])
    start, end = across[:-1, None], across[1:, None]
    lines = np.linspace(across.min(), across.max(), 202)[None, 1:-1]
    crossed = (start <= lines) != (end <= lines)
    share = np.divide(lines - start, end - start, out=np.zeros(crossed.shape), where=crossed)
    at = along[:-1, None] + share * np.diff(along)[:, None]
    return float((np.where(crossed, at, -np.inf).max(axis=0) - np.where(crossed, at, np.inf).min(axis=0)).max())


def _directions(count: int) -> NDArray[np.float64]:
    """Give ``count`` evenly spread unit vectors (Fibonacci's sphere)."""
    n = np.arange(count) + 0.5
    height, turn = 1 - 2 * n / count, np.pi * (1 + 5**0.5) * n
    round_ = np.sqrt(1 - height**2)
    return np.stack([round_ * np.cos(turn), round_ * np.sin(turn), height], axis=1)
