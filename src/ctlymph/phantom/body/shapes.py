"""Solids described in millimetres, from which the phantom is built.

A solid knows its signed distance: negative inside, positive outside, in mm.
Distances need only be right near the surface, where the renderer uses them to
share a voxel between two tissues. All arrays are float32.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctlymph.core.short_repr import short_repr

Array = NDArray[np.float32]
Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Lowest and highest x, y, z of a box, LPS mm."""

FAR_MM = 1e6


class Solid(ABC):
    """A shape with a bounding box and a signed distance."""

    @property
    @abstractmethod
    def bounds(self) -> Bounds:
        """A box, LPS mm, that holds the solid."""

    @abstractmethod
    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance in mm at points whose coordinates (LPS mm) broadcast together.

        Where it is large, 8 mm and more, it may be any such value.
        """

    def on_grid(self, x: Array, y: Array, z: Array, cutoff_mm: float) -> Array:
        """Signed distance (z, y, x) on the grid of three axes; from ``cutoff_mm`` on it may be any such value."""
        return self.distance(x[None, None, :], y[None, :, None], z[:, None, None])

    def at(self, points_mm: ArrayLike) -> Array:
        """Signed distance, mm, at points (n, 3), LPS mm."""
        x, y, z = np.asarray(points_mm, dtype=np.float32).T
        return self.distance(x, y, z)


@dataclass(frozen=True)
class Ellipsoid(Solid):
    """An ellipsoid; the columns of ``axes`` are the directions of its three semi-axes.

    The distance is the first-order one, |f| / |∇f|, exact on the surface.

    Example:
        >>> ball = Ellipsoid((0.0, 0.0, 0.0), (5.0, 5.0, 5.0))
        >>> ball.at([(0, 0, 8), (0, 0, 4)]).round(3).tolist()
        [3.0, -1.0]
    """

    centre_mm: tuple[float, float, float]
    radii_mm: tuple[float, float, float]
    axes: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))

    __repr__ = short_repr

    @cached_property
    def bounds(self) -> Bounds:
        """A box, LPS mm, that holds the solid."""
        half = np.sqrt(((self.axes * np.array(self.radii_mm)) ** 2).sum(axis=1))
        return np.array(self.centre_mm) - half, np.array(self.centre_mm) + half

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance, mm."""
        level, gradient, _ = self.level(x, y, z)
        return np.asarray(level * (level - 1) / gradient)

    def level(self, x: Array, y: Array, z: Array) -> tuple[Array, Array, list[Array]]:
        """Return the norm that is 1 on the surface, its slope times itself, and the coordinates over the radii."""
        offsets = [axis - np.float32(c) for axis, c in zip((x, y, z), self.centre_mm, strict=True)]
        turned = np.asarray(self.axes, dtype=np.float32)
        unit = [
            sum(np.float32(turned[row, n] / radius) * offsets[row] for row in range(3) if abs(turned[row, n]) > 1e-6)
            for n, radius in enumerate(self.radii_mm)
        ]
        squares = [np.square(u) for u in unit]
        level = np.sqrt(sum(squares[1:], squares[0]))
        slopes = [s * np.float32(1 / radius**2) for s, radius in zip(squares, self.radii_mm, strict=True)]
        gradient = np.sqrt(sum(slopes[1:], slopes[0])) + np.float32(1e-6)
        return np.asarray(level), np.asarray(gradient), [np.asarray(u) for u in unit]


@dataclass(frozen=True)
class Tubes(Solid):
    """Round tubes along straight pieces, with ball ends; the radius may change along each piece.

    Attributes:
        starts_mm: (n, 3) first ends, LPS mm.
        ends_mm: (n, 3) other ends.
        radii_mm: (n, 2) radius at either end.
        stretch: The section is wider by this factor along x, y, z: (1, 1, 2) makes a rib.
    """

    starts_mm: NDArray[np.float64]
    ends_mm: NDArray[np.float64]
    radii_mm: NDArray[np.float64]
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)

    __repr__ = short_repr

    @cached_property
    def _boxes(self) -> Bounds:
        half = self.radii_mm.max(axis=1, keepdims=True) * np.array(self.stretch)
        return np.minimum(self.starts_mm, self.ends_mm) - half, np.maximum(self.starts_mm, self.ends_mm) + half

    @cached_property
    def bounds(self) -> Bounds:
        """A box, LPS mm, that holds the solid."""
        low, high = self._boxes
        return low.min(axis=0), high.max(axis=0)

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance, mm; whatever is farther than 8 mm may be any such value."""
        low, high = self._boxes
        cutoff_mm = 8.0
        near = np.ones(len(low), dtype=bool)
        for n, axis in enumerate((x, y, z)):
            near &= (low[:, n] - cutoff_mm * self.stretch[n] <= axis.max()) & (
                high[:, n] + cutoff_mm * self.stretch[n] >= axis.min()
            )
        far = np.full(np.broadcast_shapes(x.shape, y.shape, z.shape), cutoff_mm, dtype=np.float32)
        return reduce(np.minimum, (self._to_piece(n, x, y, z) for n in np.flatnonzero(near)), far)

    def on_grid(self, x: Array, y: Array, z: Array, cutoff_mm: float) -> Array:
        """Signed distance on a grid: each piece is evaluated only near itself."""
        result = np.full((len(z), len(y), len(x)), cutoff_mm, dtype=np.float32)
        if not result.size:
            return result
        low, high = self._boxes
        margin = cutoff_mm * np.array(self.stretch)
        near = ((low - margin)[:, 2] <= z[-1]) & ((high + margin)[:, 2] >= z[0])
        for n in np.flatnonzero(near):
            i, j, k = (span(axis, low[n, a] - margin[a], high[n, a] + margin[a]) for a, axis in enumerate((x, y, z)))
            block = result[k, j, i]
            if block.size:
                piece = self._to_piece(n, x[None, None, i], y[None, j, None], z[k, None, None])
                np.minimum(block, piece, out=block)
        return result

    def _to_piece(self, n: Any, x: Array, y: Array, z: Array) -> Array:
        squeeze = 1 / np.array(self.stretch)
        start, along = self.starts_mm[n] * squeeze, (self.ends_mm[n] - self.starts_mm[n]) * squeeze
        from_start = [
            axis * np.float32(s) - np.float32(a) for axis, s, a in zip((x, y, z), squeeze, start, strict=True)
        ]
        share = along / max(float(np.square(along).sum()), 1e-9)
        t = np.clip(sum((f * np.float32(s) for f, s in zip(from_start, share, strict=True)), np.float32(0)), 0, 1)
        squares = [np.square(f - t * np.float32(a)) for f, a in zip(from_start, along, strict=True)]
        first, last = self.radii_mm[n]
        radius = np.float32(first) + t * np.float32(last - first)
        return np.asarray(np.sqrt(squares[0] + squares[1] + squares[2]) - radius)


@dataclass(frozen=True)
class SuperellipticColumn(Solid):
    """An upright solid whose axial section is a superellipse that changes with z.

    Attributes:
        rows: (n, 6): z, centre x, half width, front y, back y, exponent; z grows.
    """

    rows: NDArray[np.float64]

    __repr__ = short_repr

    @cached_property
    def bounds(self) -> Bounds:
        """A box, LPS mm, that holds the solid."""
        z, x, width, front, back, _ = self.rows.T
        return np.array([(x - width).min(), front.min(), z[0]]), np.array([(x + width).max(), back.max(), z[-1]])

    def section(self, z: ArrayLike) -> NDArray[np.float64]:
        """Return centre x, half width, front y, back y, exponent at heights ``z``: shape (5, ...)."""
        heights = np.clip(np.asarray(z, dtype=float), self.rows[0, 0], self.rows[-1, 0])
        return np.moveaxis(np.asarray(self._at_height(heights)), -1, 0)

    @cached_property
    def _at_height(self) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
        from scipy.interpolate import PchipInterpolator

        curves: Callable[[NDArray[np.float64]], NDArray[np.float64]] = PchipInterpolator(
            self.rows[:, 0], self.rows[:, 1:]
        )
        return curves

    def contour(self, angle: ArrayLike, z: ArrayLike, outward_mm: float = 0.0) -> NDArray[np.float64]:
        """Return points (..., 3) on the surface; ``angle`` is 0 at the back, 90° at the left side, 180° in front."""
        x, width, front, back, n = self.section(z)
        sine, cosine = np.sin(angle), np.cos(angle)
        radius = (np.abs(sine) ** n + np.abs(cosine) ** n) ** (-1 / n)
        across = x + (width + outward_mm) * sine * radius
        deep = (front + back) / 2 + ((back - front) / 2 + outward_mm) * cosine * radius
        return np.stack(np.broadcast_arrays(across, deep, np.asarray(z, dtype=float)), axis=-1)

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance, mm, measured within the axial plane along the ray from the section's centre."""
        centre, width, front, back, n = self.section(z).astype(np.float32)
        dx, dy = x - centre, y - (front + back) / 2
        u, v = np.abs(dx / width), np.abs(dy / ((back - front) / 2))
        level = (u**n + v**n) ** (1 / n) + np.float32(1e-6)
        in_plane = np.hypot(dx, dy) * (1 - 1 / level)
        low, high = np.float32(self.rows[0, 0]), np.float32(self.rows[-1, 0])
        return np.asarray(np.maximum(in_plane, np.maximum(low - z, z - high)), dtype=np.float32)


@dataclass(frozen=True)
class HalfSpace(Solid):
    """Everything on the far side, along ``-normal``, of a plane through ``point_mm``."""

    point_mm: tuple[float, float, float]
    normal: tuple[float, float, float]

    @property
    def bounds(self) -> Bounds:
        """A box, open (``FAR_MM``) but for the side that a plane along two axes closes."""
        low, high = np.full(3, -FAR_MM), np.full(3, FAR_MM)
        (across,) = np.nonzero(np.array(self.normal))
        if len(across) == 1:
            side = high if self.normal[across[0]] > 0 else low
            side[across] = self.point_mm[across[0]]
        return low, high

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance, mm."""
        unit = np.array(self.normal) / np.linalg.norm(self.normal)
        terms = (
            (axis - np.float32(p)) * np.float32(n) for axis, p, n in zip((x, y, z), self.point_mm, unit, strict=True)
        )
        return np.asarray(reduce(np.add, terms))


@dataclass(frozen=True)
class Union(Solid):
    """The points in at least one of the solids; hollows between them are filled to a radius of ``smooth_mm``."""

    solids: tuple[Solid, ...]
    smooth_mm: float = 0.0

    @cached_property
    def bounds(self) -> Bounds:
        """A box, LPS mm, that holds the solid."""
        lows, highs = zip(*(solid.bounds for solid in self.solids), strict=True)
        return np.min(lows, axis=0) - self.smooth_mm / 4, np.max(highs, axis=0) + self.smooth_mm / 4

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance, mm."""
        return reduce(self._join, (solid.distance(x, y, z) for solid in self.solids))

    def on_grid(self, x: Array, y: Array, z: Array, cutoff_mm: float) -> Array:
        """Signed distance on a grid."""
        cutoff = cutoff_mm + self.smooth_mm
        result = np.full((len(z), len(y), len(x)), cutoff, dtype=np.float32)
        for solid in self.solids:
            k, j, i = box = near(solid, x, y, z, cutoff)
            if result[box].size:
                result[box] = self._join(result[box], solid.on_grid(x[i], y[j], z[k], cutoff))
        return result

    def _join(self, a: Array, b: Array) -> Array:
        lower = np.minimum(a, b)
        if not self.smooth_mm:
            return lower
        # The polynomial smooth minimum of Quilez, but fading out where both are far: many far solids make no near one.
        overlap = np.maximum(np.float32(self.smooth_mm) - np.abs(a - b), 0)
        fade = np.clip(1 - lower / np.float32(0.6 * self.smooth_mm), 0, 1)
        return np.asarray(lower - np.square(overlap) * fade * np.float32(0.25 / self.smooth_mm))


@dataclass(frozen=True)
class Intersection(Solid):
    """The points that lie in all of the solids."""

    solids: tuple[Solid, ...]

    @cached_property
    def bounds(self) -> Bounds:
        """A box, LPS mm, that holds the solid; where there is nothing in common, one without volume."""
        lows, highs = zip(*(solid.bounds for solid in self.solids), strict=True)
        low = np.max(lows, axis=0)
        return low, np.maximum(low, np.min(highs, axis=0))

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance, mm."""
        return reduce(np.maximum, (solid.distance(x, y, z) for solid in self.solids))

    def on_grid(self, x: Array, y: Array, z: Array, cutoff_mm: float) -> Array:
        """Signed distance on a grid."""
        return reduce(np.maximum, (solid.on_grid(x, y, z, cutoff_mm) for solid in self.solids))


@dataclass(frozen=True)
class Subtraction(Solid):
    """The points in ``solid`` that lie in none of the others."""

    solid: Solid
    others: tuple[Solid, ...]

    @property
    def bounds(self) -> Bounds:
        """A box, LPS mm, that holds the solid."""
        return self.solid.bounds

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance, mm."""
        return reduce(np.maximum, (-other.distance(x, y, z) for other in self.others), self.solid.distance(x, y, z))

    def on_grid(self, x: Array, y: Array, z: Array, cutoff_mm: float) -> Array:
        """Signed distance on a grid."""
        start = self.solid.on_grid(x, y, z, cutoff_mm)
        return reduce(np.maximum, (-other.on_grid(x, y, z, cutoff_mm) for other in self.others), start)


@dataclass(frozen=True)
class Offset(Solid):
    """``solid`` with its surface moved outwards by ``by_mm`` (inwards when negative)."""

    solid: Solid
    by_mm: float

    @property
    def bounds(self) -> Bounds:
        """A box, LPS mm, that holds the solid."""
        low, high = self.solid.bounds
        return low - self.by_mm, high + self.by_mm

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance, mm."""
        return np.asarray(self.solid.distance(x, y, z) - np.float32(self.by_mm))

    def on_grid(self, x: Array, y: Array, z: Array, cutoff_mm: float) -> Array:
        """Signed distance on a grid."""
        return np.asarray(self.solid.on_grid(x, y, z, cutoff_mm + max(self.by_mm, 0)) - np.float32(self.by_mm))


@dataclass(frozen=True)
class Shells(Solid):
    """Thin layers parallel to the surface of ``solid``, at distances ``at_mm`` from it."""

    solid: Solid
    at_mm: tuple[float, ...]
    thickness_mm: float

    @property
    def bounds(self) -> Bounds:
        """A box, LPS mm, that holds the solid."""
        low, high = self.solid.bounds
        extent = max(self.at_mm) + self.thickness_mm / 2
        return low - extent, high + extent

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance, mm."""
        return self._to_layers(self.solid.distance(x, y, z))

    def on_grid(self, x: Array, y: Array, z: Array, cutoff_mm: float) -> Array:
        """Signed distance on a grid."""
        return self._to_layers(self.solid.on_grid(x, y, z, cutoff_mm + max(self.at_mm)))

    def _to_layers(self, distance: Array) -> Array:
        nearest = reduce(np.minimum, (np.abs(distance - np.float32(at)) for at in self.at_mm))
        return np.asarray(nearest - np.float32(self.thickness_mm / 2))


@dataclass(frozen=True)
class Waves:
    """The mean of plane sine waves, between -1 and 1.

    Attributes:
        rows: (n, 4): wave vector in radian per mm, and phase.
    """

    rows: NDArray[np.float64]

    __repr__ = short_repr

    def at(self, x: Array, y: Array, z: Array) -> Array:
        """Return the value where coordinates (LPS mm) broadcast together."""
        total = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape), dtype=np.complex64)
        for kx, ky, kz, phase in self.rows:
            # A wave is a product along the axes: three exponentials of lines, none of the volume.
            plane = np.exp(1j * (kz * z + phase)) * np.exp(1j * ky * y)
            total += plane.astype(np.complex64) * np.exp(1j * kx * x).astype(np.complex64)
        return np.asarray(total.imag / np.float32(len(self.rows)))


@dataclass(frozen=True)
class Rough(Solid):
    """``solid`` with a gently uneven surface.

    Attributes:
        by_mm: The most by which the surface moves.
        waves: What moves it.
    """

    solid: Solid
    by_mm: float
    waves: Waves

    @property
    def bounds(self) -> Bounds:
        """A box, LPS mm, that holds the solid."""
        low, high = self.solid.bounds
        return low - self.by_mm, high + self.by_mm

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance, mm."""
        return np.asarray(self.solid.distance(x, y, z) + self.waves.at(x, y, z) * np.float32(self.by_mm))

    def on_grid(self, x: Array, y: Array, z: Array, cutoff_mm: float) -> Array:
        """Signed distance on a grid."""
        heights = self.waves.at(x[None, None, :], y[None, :, None], z[:, None, None])
        heights *= np.float32(self.by_mm)
        heights += self.solid.on_grid(x, y, z, cutoff_mm + self.by_mm)
        return heights


@dataclass(frozen=True)
class Sheets(Solid):
    """Thin curved sheets through all of space, where ``waves`` cross zero."""

    waves: Waves
    thickness_mm: float

    @property
    def bounds(self) -> Bounds:
        """No bounds: a box of ``FAR_MM``."""
        return np.full(3, -FAR_MM), np.full(3, FAR_MM)

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance, mm, by the waves' mean slope."""
        slope = np.sqrt(np.square(self.waves.rows[:, :3]).sum() / 2) / len(self.waves.rows)
        return np.asarray(np.abs(self.waves.at(x, y, z)) / np.float32(slope) - np.float32(self.thickness_mm / 2))


class LatticeSolid(Solid):
    """A solid held as distances on a coarse lattice and read by linear interpolation.

    Makes large or composed solids cheap: their distance is smooth, so a
    lattice of a few mm loses some hundredths of a mm at curved surfaces and
    rounds sharp edges.
    """

    def __init__(self, solid: Solid, step_mm: float, margin_mm: float = 6.0, cutoff_mm: float = 16.0) -> None:
        """Evaluate ``solid`` every ``step_mm`` within its bounds plus ``margin_mm``."""
        low, high = solid.bounds
        self._bounds = low, high
        self._axes = [
            np.arange(a - margin_mm, b + margin_mm + step_mm, step_mm, dtype=np.float32)
            for a, b in zip(low, high, strict=True)
        ]
        self._step_mm = step_mm
        x, y, z = self._axes
        self._values = np.ascontiguousarray(
            np.broadcast_to(solid.on_grid(x, y, z, cutoff_mm), (len(z), len(y), len(x)))
        )

    @classmethod
    def of(cls, values: Array, first_mm: ArrayLike, step_mm: float) -> LatticeSolid:
        """Return the solid with distances (z, y, x), mm, on a lattice whose first point is ``first_mm``, x, y, z."""
        made = cls.__new__(cls)
        first = np.asarray(first_mm, dtype=np.float64)
        counts = values.shape[::-1]
        made._axes = [(a + step_mm * np.arange(n)).astype(np.float32) for a, n in zip(first, counts, strict=True)]
        made._bounds = first, first + step_mm * (np.array(counts) - 1)
        made._step_mm, made._values = step_mm, np.ascontiguousarray(values, dtype=np.float32)
        return made

    @property
    def bounds(self) -> Bounds:
        """A box, LPS mm, that holds the solid."""
        return self._bounds

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance, mm; beyond the lattice that of its nearest point, plus the distance to it."""
        from scipy.ndimage import map_coordinates

        where = [(axis - own[0]) / self._step_mm for axis, own in zip((z, y, x), self._axes[::-1], strict=True)]
        values = map_coordinates(self._values, np.broadcast_arrays(*where), order=1, mode="nearest")
        return np.asarray(values + self._beyond(x, y, z))

    def on_grid(self, x: Array, y: Array, z: Array, cutoff_mm: float) -> Array:
        """Signed distance on a grid, one axis after the other, which is fast."""
        result = self._values
        for axis, (points, own) in enumerate(zip((z, y, x), self._axes[::-1], strict=True)):
            result = self._along(result, axis, (points - own[0]) / np.float32(self._step_mm))
        result += self._beyond(x[None, None, :], y[None, :, None], z[:, None, None])
        return result

    def _beyond(self, x: Array, y: Array, z: Array) -> Array:
        """Return how far points lie outside the lattice, mm; a scalar 0 where none does."""
        outside = [
            np.maximum(np.maximum(own[0] - axis, axis - own[-1]), 0)
            for axis, own in zip((x, y, z), self._axes, strict=True)
        ]
        if not any(axis.any() for axis in outside):
            return np.zeros((), dtype=np.float32)
        return np.asarray(np.sqrt(sum((np.square(axis) for axis in outside[1:]), np.square(outside[0]))))

    @staticmethod
    def _along(values: Array, axis: int, where: Array) -> Array:
        where = np.clip(where, 0, values.shape[axis] - 1.001).astype(np.float32)
        before = where.astype(np.intp)
        share = (where - before).reshape([-1 if n == axis else 1 for n in range(3)])
        low = values.take(before, axis)
        step = values.take(before + 1, axis)
        step -= low
        step *= share
        low += step
        return low


def tube(points: ArrayLike, stretch: tuple[float, float, float] = (1, 1, 1), bend_mm: float = 8.0) -> Tubes:
    """Return a tube along a smooth curve through ``points`` (n, 4): x, y, z in LPS mm and the radius there.

    The curve is a centripetal spline cut into pieces of about ``bend_mm``.
    """
    from scipy.interpolate import PchipInterpolator, make_interp_spline

    rows = np.asarray(points, dtype=np.float64)
    gaps = np.linalg.norm(np.diff(rows[:, :3], axis=0), axis=1)
    knots = np.concatenate([[0], np.cumsum(np.sqrt(np.maximum(gaps, 1e-6)))])
    at = np.interp(
        np.linspace(0, gaps.sum(), max(2, int(np.ceil(gaps.sum() / bend_mm)) + 1)), np.r_[0, np.cumsum(gaps)], knots
    )
    curve = make_interp_spline(knots, rows[:, :3], k=min(3, len(rows) - 1))(at)
    radius = PchipInterpolator(knots, rows[:, 3])(at)
    return Tubes(curve[:-1], curve[1:], np.stack([radius[:-1], radius[1:]], axis=1), stretch)


def joined(tubes: Sequence[Tubes]) -> Tubes:
    """Return one solid of several tubes of the same stretch."""
    parts: list[NDArray[Any]] = [
        np.concatenate([getattr(t, name) for t in tubes]) for name in ("starts_mm", "ends_mm", "radii_mm")
    ]
    return Tubes(parts[0], parts[1], parts[2], tubes[0].stretch)


def span(axis: Array, low: float, high: float) -> slice:
    """Return the slice of a growing ``axis`` whose values lie within [low, high]."""
    return slice(int(np.searchsorted(axis, low)), int(np.searchsorted(axis, high, side="right")))


def near(solid: Solid, x: Array, y: Array, z: Array, margin_mm: float) -> tuple[slice, slice, slice]:
    """Return the part of a grid (z, y, x slices) that lies within ``margin_mm`` of the solid's box."""
    low, high = solid.bounds
    i, j, k = (span(axis, low[n] - margin_mm, high[n] + margin_mm) for n, axis in enumerate((x, y, z)))
    return k, j, i
