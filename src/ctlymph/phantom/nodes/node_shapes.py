"""Shapes of lymph nodes: ellipsoids with a random relief; and sizes of any solid, from its sections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctlymph.core.nodes import Point
from ctlymph.core.short_repr import short_repr
from ctlymph.phantom.body.shapes import Array, Bounds, Ellipsoid, Solid
from ctlymph.phantom.nodes.node_statistics import DEGREES, RELIEF_FALL, NodeStatistics

_AXES_OF_RELIEF = 6


@dataclass(frozen=True)
class Lobulated(Solid):
    """An ellipsoid whose radius swells and shrinks smoothly over its directions.

    Attributes:
        base: The ellipsoid.
        relief: (n, 3 + m): a unit direction in the frame of the ellipsoid's axes, and the
            coefficients of a polynomial, lowest power first. The logarithm of the radius,
            over that of the ellipsoid, is the sum of the polynomials of the cosine of the
            angle to their directions.
    """

    base: Ellipsoid
    relief: NDArray[np.float64]

    __repr__ = short_repr

    @cached_property
    def bounds(self) -> Bounds:
        """A box, LPS mm, that holds the solid."""
        surface = self.surface(directions(2000))
        low, high = surface.min(axis=0), surface.max(axis=0)
        return low - 0.02 * (high - low), high + 0.02 * (high - low)

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance, mm; its zero is exactly the surface."""
        level, gradient, unit = self.base.level(x, y, z)
        heading = [u / (level + np.float32(1e-6)) for u in unit]
        return np.asarray((level - self._radius_factor(heading)) * level / gradient)

    def surface(self, directions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the surface points (n, 3), LPS mm, for unit ``directions`` (n, 3) in the ellipsoid's unit frame."""
        factor = self._radius_factor(list(directions.T))
        local = directions * np.asarray(factor)[:, None] * np.array(self.base.radii_mm)
        return np.asarray(np.einsum("nd,ed->ne", local, self.base.axes) + np.array(self.base.centre_mm))

    def at_place(self, centre_mm: ArrayLike, size: float = 1.0) -> Lobulated:
        """Return the same shape about another centre, LPS mm, ``size`` times as large."""
        x, y, z = (float(c) for c in np.asarray(centre_mm))
        a, b, c = (size * r for r in self.base.radii_mm)
        return replace(self, base=Ellipsoid((x, y, z), (a, b, c), self.base.axes))

    def _radius_factor(self, heading: Sequence[NDArray[np.floating]]) -> Array:
        total = np.zeros_like(heading[0])
        for a, b, c, *powers in self.relief.astype(heading[0].dtype):
            along = a * heading[0] + b * heading[1] + c * heading[2]
            height = np.full_like(along, powers[-1])
            for power in powers[-2::-1]:
                height *= along
                height += power
            total = total + height
        return np.asarray(np.exp(total))


def sample_shape(
    rng: np.random.Generator, statistics: NodeStatistics, short_mm: float, roughness: float = 1.0
) -> Lobulated:
    """Sample a node about the origin whose short axis, by :func:`measure_solid`, is ``short_mm``.

    ``roughness`` multiplies the relief; small normal nodes are smooth beans.
    """
    widths = [_sample_gamma(rng, *statistics.widening), _sample_gamma(rng, *statistics.lengthening)]
    radii = np.exp(np.cumsum([0.0, *widths])) * 10.0
    heading = rng.normal(size=3) * (1, 1, statistics.upright)
    x, y, z = (float(r) for r in radii)
    base = Ellipsoid((0.0, 0.0, 0.0), (x, y, z), _frame(heading, rng))
    height = roughness * statistics.relief * float(np.exp(rng.normal(0, statistics.relief_log_sd)))
    shape = Lobulated(base, _relief(rng, height))
    return shape.at_place((0, 0, 0), short_mm / measure_solid(shape, step_mm=0.8).short_axis_mm)


def _sample_gamma(rng: np.random.Generator, mean: float, sd: float) -> float:
    """Sample from the gamma distribution of that mean and standard deviation."""
    return float(rng.gamma((mean / sd) ** 2, sd**2 / mean))


def _frame(heading: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return axes in columns, the last along ``heading``, the others turned about it at random."""
    columns, _ = np.linalg.qr(np.column_stack([heading, rng.normal(size=(3, 2))]))
    return np.asarray(columns[:, ::-1])


def _relief(rng: np.random.Generator, height: float) -> NDArray[np.float64]:
    """Sample a random field on the sphere, of root mean square ``height`` at degree 3 and falling above.

    By the addition theorem, Legendre polynomials of degree l about directions of
    no preference make up an isotropic field of that degree.
    """
    heading = rng.normal(size=(_AXES_OF_RELIEF, 3))
    heading /= np.linalg.norm(heading, axis=1, keepdims=True)
    degrees = np.array(DEGREES)
    scale = height * (degrees / degrees[0]) ** -RELIEF_FALL * np.sqrt((2 * degrees + 1) / _AXES_OF_RELIEF)
    series = np.zeros((_AXES_OF_RELIEF, degrees[-1] + 1))
    series[:, degrees] = rng.normal(size=(_AXES_OF_RELIEF, len(degrees))) * scale
    powers = np.zeros_like(series)
    for row, legendre in zip(powers, series, strict=True):
        polynomial = np.polynomial.legendre.leg2poly(legendre)
        row[: len(polynomial)] = polynomial
    return np.concatenate([heading, powers], axis=1)


@dataclass(frozen=True)
class Extent:
    """Size and centre of a solid.

    Attributes:
        centre_mm: Centre of mass, LPS mm.
        volume_mm3: Its volume.
        long_axis_mm: The longest diameter on the axial plane where that is greatest (RECIST 1.1).
        short_axis_mm: The longest chord perpendicular to it on that plane.
    """

    centre_mm: Point
    volume_mm3: float
    long_axis_mm: float
    short_axis_mm: float


def measure_solid(solid: Solid, step_mm: float | None = None) -> Extent:
    """Measure a solid on a fine lattice.

    Outlines are interpolated between points: axes are right to about a tenth of the step, volumes to 1 %.

    Args:
        solid: The shape, LPS mm.
        step_mm: Distance of the lattice's points; by default a fiftieth of the solid's extent, within 0.2–0.8 mm.

    Returns:
        Its centre, volume and axes.

    Example:
        >>> ball = measure_solid(Ellipsoid((0.0, 0.0, 0.0), (5.0, 5.0, 5.0)))
        >>> f"{ball.short_axis_mm:.1f} mm, {ball.volume_mm3:.0f} mm³"
        '10.0 mm, 524 mm³'
    """
    low, high = solid.bounds
    step = step_mm or float(np.clip((high - low).max() / 50, 0.2, 0.8))
    x, y, z = (np.arange(low[n] - 2 * step, high[n] + 2 * step, step, dtype=np.float32) for n in range(3))
    level = solid.on_grid(x, y, z, 5.0)
    filled = np.clip(0.5 - level / np.float32(step), 0, 1)
    total = float(filled.sum(dtype=np.float64))
    centre = [
        float((filled.sum(axis=across, dtype=np.float64) * axis).sum() / max(total, 1e-9))
        for axis, across in ((x, (0, 1)), (y, (0, 2)), (z, (1, 2)))
    ]
    long, short = axes_of_sections(level, step)
    return Extent((centre[0], centre[1], centre[2]), total * step**3, long, short)


def axes_of_sections(levels: Array, step_mm: float) -> tuple[float, float]:
    """Return long and short axis, mm, of the region below 0 in ``levels`` (z, y, x) with pixels of ``step_mm``."""
    best = (0.0, 0.0)
    inside = levels < 0
    # The diagonal of its box bounds a section's diameter: most planes need no outline.
    tall, wide = inside.any(axis=2).sum(axis=1), inside.any(axis=1).sum(axis=1)
    diagonal = np.hypot(tall + 1, wide + 1) * step_mm
    for plane in np.argsort(-diagonal, kind="stable"):
        if diagonal[plane] < best[0] or not inside[plane].any():
            break
        for outline in _outlines(levels[plane]):
            points = outline[:, ::-1] * step_mm
            long, heading = _diameter(points)
            if long > best[0]:
                best = (long, _longest_chord(points, np.array([-heading[1], heading[0]])))
    return best


def _outlines(level: Array) -> list[NDArray[np.float64]]:
    from skimage.measure import find_contours

    return [np.asarray(c) for c in find_contours(level, 0.0) if len(c) > 3]


def _diameter(points: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    offsets = points[:, None] - points[None]
    length = np.hypot(offsets[..., 0], offsets[..., 1])
    a, b = np.unravel_index(np.argmax(length), length.shape)
    return float(length[a, b]), offsets[a, b] / max(length[a, b], 1e-9)


def _longest_chord(outline: NDArray[np.float64], heading: NDArray[np.float64]) -> float:
    """Return the longest extent of a closed outline (n, 2) along lines of one direction."""
    (x, y), (dx, dy) = outline.T, heading
    along, across = x * dx + y * dy, y * dx - x * dy
    start, end = across[:-1, None], across[1:, None]
    lines = np.linspace(across.min(), across.max(), 202)[None, 1:-1]
    crossed = (start <= lines) != (end <= lines)
    share = np.divide(lines - start, end - start, out=np.zeros(crossed.shape), where=crossed)
    at = along[:-1, None] + share * np.diff(along)[:, None]
    return float((np.where(crossed, at, -np.inf).max(axis=0) - np.where(crossed, at, np.inf).min(axis=0)).max())


def directions(count: int) -> NDArray[np.float64]:
    """Return ``count`` evenly spread unit vectors (n, 3) (Fibonacci's sphere)."""
    n = np.arange(count) + 0.5
    height, turn = 1 - 2 * n / count, np.pi * (1 + 5**0.5) * n
    round_ = np.sqrt(1 - height**2)
    return np.stack([round_ * np.cos(turn), round_ * np.sin(turn), height], axis=1)
