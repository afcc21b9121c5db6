"""From solids to CT numbers: partial volume, slice profile, point spread, shading and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.progress import SILENT, Progress
from ctlymph.core.volume import Geometry
from ctlymph.phantom.body.fat import FatStructure
from ctlymph.phantom.body.parts import BodyPart
from ctlymph.phantom.body.shapes import Array, Solid, near
from ctlymph.phantom.body.weighted_sums import Weights
from ctlymph.phantom.scan.rays import RayEffects, Rays

_SLAB = 16
_COARSEST_RENDERED_MM = 1.6
_BACKGROUND_HU, _LOWEST_HU = -1000.0, -1024.0
_NOISE_FLOOR_PER_MM = 0.03
_SHARED_NOISE = 0.3
_MIN_WEIGHT = 1e-7


@dataclass(frozen=True)
class Kernel:
    """A reconstruction kernel.

    Attributes:
        psf_fwhm_mm: Width of the in-plane point spread (Gaussian), mm.
        noise_cutoff_per_mm: Where the noise's power ends.
        usual_noise_hu: Usual noise of scans with this kernel, smallest and largest, HU.
    """

    psf_fwhm_mm: float
    noise_cutoff_per_mm: float
    usual_noise_hu: tuple[float, float]


KERNELS = {
    "soft": Kernel(1.8, 0.365, (8.0, 14.0)),
    "standard": Kernel(1.5, 0.38, (10.0, 19.0)),
    "sharp": Kernel(1.6, 0.41, (16.0, 28.0)),
}
"""Kernels by name; their widths and levels reproduce edges and noise of real CTs of trunks."""


@dataclass(frozen=True)
class Scanner:
    """The scanner and its settings.

    Attributes:
        kernel: A name in :data:`KERNELS`.
        thickness_mm: Width at half height of the slice profile (Gaussian); None for the slices' distance.
        noise_hu: Standard deviation of the noise in a trunk of usual thickness, HU; 0 for none.
        motion_mm: Blur by breath and pulse, width at half height, mm; on some slices less.
        hardening: Shading by hardened beams, 1 for the usual one, 0 for none.
        padded: Whether all beyond the round field of view is -1024 HU.
        seed: Of noise and motion.
    """

    kernel: str = "standard"
    thickness_mm: float | None = None
    noise_hu: float = 15.0
    motion_mm: float = 0.0
    hardening: float = 0.0
    padded: bool = False
    seed: int = 0

    @classmethod
    def sampled(cls, seed: int, kernel: str, noise_hu: float, thickness_mm: float | None = None) -> Scanner:
        """Return a scanner with random motion, shading and padding."""
        rng = np.random.default_rng([seed, 5])
        motion, hardening, padded = rng.uniform(1.2, 2.2), rng.uniform(0.4, 1.3), rng.random() < 0.6
        return cls(kernel, thickness_mm, noise_hu, float(motion), float(hardening), bool(padded), seed)


def scan(
    parts: Sequence[BodyPart],
    geometry: Geometry,
    scanner: Scanner,
    fat: FatStructure | None = None,
    progress: Progress = SILENT,
) -> NDArray[np.int16]:
    """Scan the parts of a body.

    Args:
        parts: The parts in painting order; a later one covers earlier ones.
        geometry: The grid of the scan, axial.
        scanner: Kernel, slice profile, noise, motion and shading.
        fat: Septa and small vessels that are painted into all fat; None for none.
        progress: Where to show the slices done.

    Returns:
        HU, int16 (z, y, x).

    Raises:
        ValueError: If the grid's axes are not those of the patient (orientation LPS, no tilt).
    """
    x, y, z = axes = _axes(geometry)
    effects = _ImageEffects(geometry, scanner)
    result = np.empty(geometry.shape_zyx, dtype=np.int16)
    with progress.task("Scanning the phantom", len(z)) as advance:
        for first in range(0, len(z), _SLAB):
            numbers = np.arange(first, min(first + _SLAB, len(z)))
            canvas, heights = _canvas(parts, axes, numbers, scanner.thickness_mm, _BACKGROUND_HU)
            if fat:
                fat.add(canvas, x, y, heights)
            for slice_hu, n in zip(_sliced(canvas, heights, z[numbers], scanner.thickness_mm), numbers, strict=True):
                result[n] = np.clip(np.rint(effects.on(slice_hu, int(n))), _LOWEST_HU, 3071)
            advance(len(numbers))
    return result


def blurred_parts(
    parts: Sequence[BodyPart], geometry: Geometry, psf_fwhm_mm: float, background_hu: float
) -> NDArray[np.float32]:
    """Paint ``parts`` in order onto a small axial grid, as sharp as a scanner shows them; HU, (z, y, x).

    Raises:
        ValueError: As :func:`scan`.
    """
    axes = _axes(geometry)
    canvas, heights = _canvas(parts, axes, np.arange(len(axes[2])), None, background_hu)
    slices = _sliced(canvas, heights, axes[2], None)
    return np.stack([_blurred(each, geometry.spacing_zyx[1:], psf_fwhm_mm) for each in slices])


def label(solids: Sequence[Solid], geometry: Geometry) -> NDArray[np.uint16]:
    """Return masks (z, y, x): label n where a voxel's centre lies in solid n - 1 and in none before it, 0 elsewhere.

    Raises:
        ValueError: As :func:`scan`.

    Example:
        >>> from ctlymph.phantom.body.shapes import Ellipsoid
        >>> grid = Geometry((4, 4, 4), np.array([-3.0, -3.0, -3.0]), np.array([2.0, 2.0, 2.0]))
        >>> int((label([Ellipsoid((0, 0, 0), (3.4, 3.4, 3.4))], grid) == 1).sum())
        32
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


def _canvas(
    parts: Sequence[BodyPart],
    axes: tuple[Array, Array, Array],
    numbers: NDArray[np.intp],
    thickness_mm: float | None,
    background_hu: float,
) -> tuple[Array, Array]:
    """Paint some slices and their neighbours within the slice profile; return the canvas and the heights of all, mm."""
    x, y, z = axes
    dx, dy = float(x[1] - x[0]), float(y[1] - y[0])
    dz = float(z[1] - z[0]) if len(z) > 1 else 1.0
    finer = int(np.ceil(dz / max(_COARSEST_RENDERED_MM, 1.5 * min(dx, dy)) - 1e-6))
    margin = int(np.ceil(0.8 * (thickness_mm or dz) / dz * finer))
    steps = np.arange(-margin, len(numbers) * finer + margin)
    heights = (z[numbers[0]] + ((steps + 0.5) / finer - 0.5) * dz).astype(np.float32)
    canvas = np.full((len(heights), len(y), len(x)), background_hu, dtype=np.float32)
    blur_mm = (dx * dy * dz / finer) ** (1 / 3)
    for part in parts:
        _paint(canvas, (x, y, heights), part, blur_mm)
    return canvas, heights


def _sliced(canvas: Array, heights: Array, z: Array, thickness_mm: float | None) -> Array:
    """Average the canvas at ``heights`` over the profiles of the slices at ``z``."""
    thickness = thickness_mm or (float(z[1] - z[0]) if len(z) > 1 else float(np.ptp(heights)))
    profile = np.exp(-4 * np.log(2) * ((heights - z[:, None]) / thickness) ** 2)
    profile /= profile.sum(axis=1, keepdims=True)
    profile[profile < _MIN_WEIGHT] = 0  # together less than a hundredth of 1 HU
    return Weights(profile).rows(canvas)


def _paint(canvas: Array, axes: tuple[Array, Array, Array], part: BodyPart, blur_mm: float) -> None:
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


class _ImageEffects:
    """Effects of the scanner in the plane of a slice: blur, shading, noise, padding."""

    def __init__(self, geometry: Geometry, scanner: Scanner) -> None:
        self._scanner, self._kernel = scanner, KERNELS[scanner.kernel]
        self._z = geometry.origin_mm[2] + geometry.spacing_mm[2] * np.arange(geometry.shape_zyx[0])
        self._spacing_yx = geometry.spacing_zyx[1:]
        self._rays = Rays(geometry)
        self._gains = noise_gains(geometry, self._kernel.noise_cutoff_per_mm)
        ny, nx = self._shape = geometry.shape_zyx[1:]
        u, v = np.linspace(-1, 1, nx)[None], np.linspace(-1, 1, ny)[:, None]
        self._beyond = (u**2 + v**2 > 1) if scanner.padded else np.zeros((ny, nx), dtype=np.bool_)

    def on(self, slice_hu: Array, n: int) -> Array:
        """Return slice ``n`` as the scanner shows it."""
        motion = self._scanner.motion_mm * (0.75 + 0.25 * np.sin(self._z[n] / 40 + self._scanner.seed % 628 / 100))
        seen = _blurred(slice_hu, self._spacing_yx, float(np.hypot(self._kernel.psf_fwhm_mm, motion)))
        if self._scanner.noise_hu or self._scanner.hardening:
            effects = self._rays.through(slice_hu)
            seen += np.float32(self._scanner.hardening) * effects.shade_hu
            if self._scanner.noise_hu:
                seen += np.float32(self._scanner.noise_hu) * self._noise(effects, n)
        seen[self._beyond] = _LOWEST_HU
        return seen

    def _noise(self, effects: RayEffects, n: int) -> Array:
        """Sample noise; the more a direction's rays have met, the more the noise varies along this direction."""
        pair = np.stack([self._white(n), self._white(n + 1)])
        all_ways, across = (coloured(pair, gain, _SHARED_NOISE)[0] for gain in self._gains)
        return np.asarray(effects.along * (all_ways - across) + effects.across * across)

    def _white(self, n: int) -> Array:
        return np.random.default_rng([self._scanner.seed, 3, n]).standard_normal(self._shape, dtype=np.float32)


def _blurred(slice_hu: Array, spacing_yx: NDArray[np.float64], fwhm_mm: float) -> Array:
    """Blur a painted slice to a point spread of this width, less the blur of the voxels themselves."""
    from scipy.ndimage import gaussian_filter1d

    for axis, step in enumerate(spacing_yx):
        variance = (fwhm_mm / 2.355) ** 2 - step**2 / 12
        if variance > 0:
            slice_hu = gaussian_filter1d(slice_hu, variance**0.5 / step, axis=axis, mode="nearest", truncate=3.0)
    return slice_hu


def coloured(white: Array, gain: Array, shared: float) -> Array:
    """Make noise of white noise (z + 1, y, x): a spectrum in the plane, and something in common with the next slice.

    Args:
        white: Independent, with a variance of 1.
        gain: As returned by :func:`noise_gains`.
        shared: Weight of the next slice's noise; neighbours' correlation is ``shared / (1 + shared²)``.
    """
    from scipy import fft

    mixed = (white[:-1] + np.float32(shared) * white[1:]) / np.float32(np.hypot(1, shared))
    return np.asarray(fft.irfft2(fft.rfft2(mixed) * gain, s=white.shape[1:]))


def noise_gains(geometry: Geometry, cutoff_per_mm: float) -> tuple[Array, Array]:
    """Return the spectrum of filtered back-projection, low at low frequencies and none beyond the kernel's.

    The first has a variance of 1; the second is its part that varies along x.
    """
    ny, nx = geometry.shape_zyx[1:]
    dx, dy, _ = geometry.spacing_mm
    along, across = np.fft.fftfreq(ny, dy)[:, None], np.fft.rfftfreq(nx, dx)[None]
    frequency = np.hypot(along, across)
    gain = np.sqrt(frequency + _NOISE_FLOOR_PER_MM) * np.exp(-((frequency / cutoff_per_mm) ** 2))
    both_halves = np.where((np.arange(nx // 2 + 1) == 0) | (2 * np.arange(nx // 2 + 1) == nx), 1, 2)
    gain /= np.sqrt((gain**2 * both_halves).sum() / (nx * ny))
    share = across**2 / np.maximum(frequency, 1e-9) ** 2
    return gain.astype(np.float32), (gain * share).astype(np.float32)
