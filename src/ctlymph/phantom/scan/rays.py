"""Attenuation of rays through a slice: the noise that results, and the dark bands of beam hardening between bones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.short_repr import short_repr
from ctlymph.core.volume import Geometry
from ctlymph.phantom.body.shapes import Array
from ctlymph.phantom.body.splines import spline_weights
from ctlymph.phantom.body.weighted_sums import Weights

_CELL_MM = 6.0
_VIEWS = 24
_NOISE_PER_MM = 0.011
"""Growth of the noise's variance by the water that a ray has met: 0.019 per mm at 70 keV, less the effect of
tube current modulation and a bow-tie filter."""
_USUAL_MM = 260.0
"""Water that rays meet in a usual trunk."""
_MODULATION = 0.35
"""Share of the difference between thick and thin slices that tube current modulation leaves; 1 for all of it."""
_SPREAD_MM = 54.0
"""Width over which attenuation is averaged; with so few views, single rays would leave streaks."""
_HARDENING = 2.4e-4
_DARKEST_HU = 40.0


@dataclass(frozen=True)
class RayEffects:
    """Effects of the rays on a slice, (y, x), float32.

    Attributes:
        across: Level of the noise that varies along x, 1 for a usual trunk.
        along: Level of the noise that varies along y.
        shade_hu: Error of beam hardening, HU.
    """

    across: Array
    along: Array
    shade_hu: Array

    __repr__ = short_repr


class Rays:
    """Rays through the slices of one grid, followed on a coarse grid of cells."""

    def __init__(self, geometry: Geometry) -> None:
        _, ny, nx = geometry.shape_zyx
        dx, dy, _ = geometry.spacing_mm
        columns, rows = (max(4, round(n * step / _CELL_MM)) for n, step in ((nx, dx), (ny, dy)))
        self._down = _means(ny, rows), _means(nx, columns)
        self._up = _splines(ny, rows), _splines(nx, columns)
        x = (np.arange(columns) + 0.5) * nx * dx / columns - nx * dx / 2
        y = (np.arange(rows) + 0.5) * ny * dy / rows - ny * dy / 2
        angles = np.arange(_VIEWS) * np.pi / _VIEWS
        offset = np.cos(angles)[:, None, None] * x + np.sin(angles)[:, None, None] * y[:, None]
        self._width = int(np.ceil(np.hypot(nx * dx, ny * dy) / _CELL_MM)) + 2
        detector = np.rint(offset / _CELL_MM).astype(np.int64) + self._width // 2
        self._bins: NDArray[np.int64] = detector + self._width * np.arange(_VIEWS)[:, None, None]
        self._area_mm = float(nx * dx * ny * dy / (columns * rows) / _CELL_MM)
        self._toward_x = (np.cos(angles) ** 2).astype(np.float32)

    def through(self, slice_hu: Array) -> RayEffects:
        """Follow the rays through one slice (y, x), HU."""
        from scipy.ndimage import uniform_filter1d

        water: Array = np.clip(1 + self._coarse(slice_hu) / 1000, 0, 2.5).astype(np.float32)
        bone = self._coarse(np.clip((slice_hu - 150) / 1000, 0, 2))
        met = uniform_filter1d(self._sums(water), round(_SPREAD_MM / _CELL_MM), axis=1)
        spread = np.exp(np.float32(_NOISE_PER_MM) * (met - np.float32(_USUAL_MM)))
        seen = self._at_cells(spread)
        across, along = (2 * np.einsum("v,vyx->yx", share, seen) / _VIEWS for share in self._shares)
        body = water > 0.5
        mean = float((across + along)[body].mean()) / 2 if body.any() else 1.0
        level = mean ** ((_MODULATION - 1) / 2)
        return RayEffects(
            self._fine(level * np.sqrt(across)),
            self._fine(level * np.sqrt(along)),
            self._fine(np.clip(self._hardening(bone, water), -_DARKEST_HU, _DARKEST_HU)),
        )

    @property
    def _shares(self) -> tuple[Array, Array]:
        return self._toward_x, 1 - self._toward_x

    def _sums(self, cells: Array) -> Array:
        """Return line integrals in mm, (view, place on the detector)."""
        weights = np.broadcast_to(cells, self._bins.shape).ravel()
        sums = np.bincount(self._bins.ravel(), weights, _VIEWS * self._width) * self._area_mm
        return sums.reshape(_VIEWS, self._width).astype(np.float32)

    def _at_cells(self, views: Array) -> Array:
        """Return, for each view, the value of the ray through each cell: (view, y, x)."""
        return np.asarray(views.ravel()[self._bins])

    def _hardening(self, bone: Array, water: Array) -> Array:
        """Reconstruct the error of hardened beams: more where a ray passes much bone, and much other tissue besides."""
        dense, all_else = self._sums(bone), self._sums(water)
        lacking = -_HARDENING * dense * (dense + 0.15 * all_else)
        ramp = np.abs(np.fft.rfftfreq(2 * self._width, _CELL_MM)) * 1000
        filtered = np.fft.irfft(np.fft.rfft(lacking, 2 * self._width, axis=1) * ramp, axis=1)[:, : self._width]
        return np.asarray(self._at_cells(filtered.astype(np.float32)).mean(axis=0))

    def _coarse(self, pixels: Array) -> Array:
        rows, columns = self._down
        return columns.columns(rows.rows(pixels))

    def _fine(self, cells: Array) -> Array:
        rows, columns = self._up
        return rows.rows(columns.columns(cells))


def _means(many: int, few: int) -> Weights:
    """Weights that take the mean of each of ``few`` cells."""
    cell = np.arange(many) * few // many
    chosen = (cell == np.arange(few)[:, None]).astype(np.float32)
    return Weights(chosen / chosen.sum(axis=1, keepdims=True))


def _splines(many: int, few: int) -> Weights:
    """Weights that bring cells back to pixels, smoothly; those at the border go on beyond it."""
    weights = spline_weights(((np.arange(many) + 0.5) * few / many).astype(np.float32), 0.5, 1.0, few)
    return Weights(weights / weights.sum(axis=1, keepdims=True))
