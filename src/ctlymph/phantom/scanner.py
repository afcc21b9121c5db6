"""From solids to CT numbers: partial volume, point spread, slice profile and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ctlymph.phantom.parts import Part
from ctlymph.phantom.shapes import Array, Solid, near
from ctlymph.progress import SILENT, Progress
from ctlymph.volume import Geometry

_SLAB = 16
_COARSEST_RENDERED_MM = 1.6
_BACKGROUND_HU = -1000.0


@dataclass(frozen=True)
class Scanner:
    """What the scanner does to the patient.

    Attributes:
        psf_fwhm_mm: Width of the in-plane point spread (Gaussian), mm.
        thickness_mm: Width at half height of the slice profile (Gaussian); None for the slices' distance.
        noise_hu: Standard deviation of the noise in the middle of the body, HU; 0 for none.
        noise_cutoff_per_mm: Where the noise's power ends; higher for a sharper kernel.
        seed: Of the noise.
    """

    psf_fwhm_mm: float = 1.2
    thickness_mm: float | None = None
    noise_hu: float = 16.0
    noise_cutoff_per_mm: float = 0.45
    seed: int = 0


def scan(parts: Sequence[Part], geometry: Geometry, scanner: Scanner, progress: Progress = SILENT) -> NDArray[np.int16]:
    """Paint ``parts`` in order onto an axial grid and return HU, int16 (z, y, x).

    Raises:
        ValueError: If the grid's axes are not those of the patient (orientation LPS, no tilt).
    """
    x, y, z = _axes(geometry)
    result = np.empty(geometry.shape_zyx, dtype=np.int16)
    with progress.task("Scanning the phantom", len(z)) as advance:
        for first in range(0, len(z), _SLAB):
            wanted = np.arange(first, min(first + _SLAB, len(z)))
            slab = _slab(parts, (x, y, z), wanted, scanner)
            if scanner.noise_hu:
                slab += _noise(geometry, wanted, scanner)
            result[wanted] = np.clip(np.rint(slab), -1024, 3071).astype(np.int16)
            advance(len(wanted))
    return result


def label(solids: Sequence[Solid], geometry: Geometry) -> NDArray[np.uint16]:
    """Give masks: label n where a voxel's centre lies in solid n - 1 and in none before it, 0 elsewhere.

    Raises:
        ValueError: As :func:`scan`.
    """
    x, y, z = _axes(geometry)
    result = np.zeros(geometry.shape_zyx, dtype=np.uint16)
    for number, solid in enumerate(solids, start=1):
        k, j, i = box = near(solid, x, y, z, 0.0)
        block = result[box]
        if block.size:
            block[(solid.on_grid(x[i], y[j], z[k], 1.0) < 0) & (block == 0)] = number
    return result


def _axes(geometry: Geometry) -> tuple[Array, Array, Array]:
    if not np.allclose(geometry.direction, np.eye(3)):
        raise ValueError(f"the phantom is scanned on axial LPS grids only, not {geometry.orientation} or tilted")
    x, y, z = (
        (origin + spacing * np.arange(count)).astype(np.float32)
        for origin, spacing, count in zip(geometry.origin_mm, geometry.spacing_mm, geometry.shape_ijk, strict=True)
    )
    return x, y, z


def _slab(parts: Sequence[Part], axes: tuple[Array, Array, Array], wanted: NDArray[np.intp], scanner: Scanner) -> Array:
    """Render some slices, with enough of their neighbours for the slice profile."""
    from scipy.ndimage import gaussian_filter1d

    x, y, z = axes
    dx, dy = float(x[1] - x[0]), float(y[1] - y[0])
    dz = float(z[1] - z[0]) if len(z) > 1 else 1.0
    thickness = scanner.thickness_mm or dz
    finer = int(np.ceil(dz / max(_COARSEST_RENDERED_MM, 1.5 * min(dx, dy)) - 1e-6))
    margin = int(np.ceil(0.8 * thickness / dz * finer))
    steps = np.arange(-margin, len(wanted) * finer + margin)
    heights = (z[wanted[0]] + ((steps + 0.5) / finer - 0.5) * dz).astype(np.float32)
    canvas = np.full((len(heights), len(y), len(x)), _BACKGROUND_HU, dtype=np.float32)
    blur_mm = (dx * dy * dz / finer) ** (1 / 3)
    for part in parts:
        _paint(canvas, (x, y, heights), part, blur_mm)
    profile = np.exp(-4 * np.log(2) * ((heights - z[wanted, None]) / thickness) ** 2)
    profile /= profile.sum(axis=1, keepdims=True)
    slices = (profile.astype(np.float32) @ canvas.reshape(len(heights), -1)).reshape(len(wanted), len(y), len(x))
    # What partial volume has blurred already is not blurred again.
    for axis, step in ((1, dy), (2, dx)):
        variance = (scanner.psf_fwhm_mm / 2.355) ** 2 - step**2 / 12
        if variance > 0:
            slices = gaussian_filter1d(slices, variance**0.5 / step, axis=axis, mode="nearest", truncate=3.0)
    return np.asarray(slices)


def _paint(canvas: Array, axes: tuple[Array, Array, Array], part: Part, blur_mm: float) -> None:
    x, y, z = axes
    k, j, i = box = near(part.solid, x, y, z, blur_mm / 2)
    block = canvas[box]
    if not block.size:
        return
    # The part of each voxel that the solid fills: a ramp, one voxel wide, across its surface.
    filled = part.solid.on_grid(x[i], y[j], z[k], blur_mm)
    filled = np.multiply(filled, np.float32(-1 / blur_mm))
    filled += np.float32(0.5)
    np.clip(filled, 0, 1, out=filled)
    filled *= np.float32(part.hu) - block
    block += filled


def _noise(geometry: Geometry, wanted: NDArray[np.intp], scanner: Scanner) -> Array:
    """Draw noise with the spectrum of filtered back-projection: low at low frequencies, none beyond the kernel's."""
    from scipy import fft

    ny, nx = geometry.shape_zyx[1:]
    dx, dy, _ = geometry.spacing_mm
    frequency = np.hypot(np.fft.fftfreq(ny, dy)[:, None], np.fft.rfftfreq(nx, dx)[None])
    gain = np.sqrt(frequency + 0.03) * np.exp(-((frequency / scanner.noise_cutoff_per_mm) ** 2))
    both_halves = np.where((np.arange(nx // 2 + 1) == 0) | (2 * np.arange(nx // 2 + 1) == nx), 1, 2)
    gain /= np.sqrt((gain**2 * both_halves).sum() / (nx * ny))

    def white(k: int) -> Array:
        return np.random.default_rng([scanner.seed, 3, k]).standard_normal((ny, nx), dtype=np.float32)

    # Neighbouring slices share a little of their noise, as in helical scans.
    sources = [white(k) for k in (*wanted, wanted[-1] + 1)]
    mixed = np.stack([(a + 0.4 * b) / np.hypot(1, 0.4) for a, b in pairwise(sources)])
    texture = fft.irfft2(fft.rfft2(mixed.astype(np.float32)) * gain.astype(np.float32), s=(ny, nx))
    return np.asarray(texture * _noise_level(geometry) * scanner.noise_hu, dtype=np.float32)


def _noise_level(geometry: Geometry) -> Array:
    """Give the noise's share of its greatest level: 1 in the middle, 0.55 at the edge of the field of view."""
    ny, nx = geometry.shape_zyx[1:]
    u, v = np.linspace(-1, 1, nx)[None], np.linspace(-1, 1, ny)[:, None]
    return (0.5 + 0.5 * np.exp(-(u**2 + v**2) * 1.6)).astype(np.float32)
