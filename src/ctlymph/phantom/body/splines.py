"""Smooth functions given by few values on a wide grid: weights of cubic B-splines, and random fields made of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ctlymph.phantom.body.shapes import Array
from ctlymph.phantom.body.weighted_sums import Weights

_HALF_WIDTH_MM = 330.0
"""Half the extent of a field along x and y, from the middle of the body; beyond it the field fades to 0."""


def spline_weights(at: Array, first: float, step: float, count: int) -> Array:
    """Return the weights of ``count`` knots at ``first``, ``first + step``, … for each place: (len(at), count).

    These are cubic B-splines. They smooth, and their sum is 1 two steps or more within the knots.
    """
    away = np.abs((np.asarray(at, dtype=np.float64)[:, None] - first) / step - np.arange(count))
    inner, outer = 2 / 3 - away**2 + away**3 / 2, np.maximum(2 - away, 0) ** 3 / 6
    return np.where(away < 1, inner, outer).astype(np.float32)


@dataclass(frozen=True)
class RandomField:
    """A random smooth function of place with mean 0 and standard deviation 1, on the whole patient.

    Its slope along any direction has a standard deviation of 1.2 / ``length_mm``.

    Attributes:
        seed: Of its values, and which of several fields of a seed this is.
        length_mm: Distance of the knots.
    """

    seed: tuple[int, int]
    length_mm: float

    def on_slices(self, x: Array, y: Array, z: Array) -> Array:
        """Return its values on a grid, (z, y, x), float32; the value at a place does not depend on the grid."""
        wide = int(2 * _HALF_WIDTH_MM / self.length_mm) + 1
        across, along = (Weights(spline_weights(each, -_HALF_WIDTH_MM, self.length_mm, wide)) for each in (x, y))
        lowest = int(np.floor(z.min() / self.length_mm)) - 2
        layers = np.arange(lowest, int(np.ceil(z.max() / self.length_mm)) + 3)
        knots = np.stack([self._layer(int(n), wide) for n in layers])
        upwards = Weights(spline_weights(z, lowest * self.length_mm, self.length_mm, len(layers)))
        coarse = across.columns(upwards.rows(knots) * np.float32(self._gain))
        return np.stack([along.rows(layer) for layer in coarse])

    def _layer(self, number: int, wide: int) -> Array:
        rng = np.random.default_rng([*self.seed, number + 10_000])
        return rng.standard_normal((wide, wide), dtype=np.float32)

    @cached_property
    def _gain(self) -> float:
        # The mean square of a cubic B-spline's weights at a place is 151 / 315 along each axis.
        return float((315 / 151) ** 1.5)
