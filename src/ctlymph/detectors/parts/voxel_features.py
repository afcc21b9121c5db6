"""Features of voxels: intensity, shape by the Hessian, texture. Computed where they are asked for, not everywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.volume import Geometry, to_sitk

Floats = NDArray[np.float32]

WINDOW_HU = (-150.0, 250.0)
SCALES_MM = (1.5, 2.5, 4.0, 6.5, 10.0)
"""Gaussian scales, mm: a ball of radius r answers most at r / √3, so that these are radii of 2.6 to 17 mm."""
SURROUNDINGS_MM = (4.0, 8.0)
_TISSUES = {"gas": (-2000, -250), "fat": (-160, -40), "bright": (170, 4000)}

NAMES = (
    "hu",
    *(f"{what} {scale}" for scale in SCALES_MM for what in ("mean", "steepness", "least", "middle", "most")),
    *(f"spread {scale}" for scale in SURROUNDINGS_MM),
    *(f"{tissue} {scale}" for tissue in _TISSUES for scale in SURROUNDINGS_MM),
)
"""What the columns of :func:`voxel_features` are."""


def voxel_features(hu: NDArray[np.int16], grid: Geometry, at_zyx: NDArray[np.intp]) -> Floats:
    """Give the features of voxels.

    Args:
        hu: The CT on an even grid, z, y, x.
        grid: That grid.
        at_zyx: Which voxels, ``(n, 3)``.

    Returns:
        ``(n, len(NAMES))``. Curvatures are the eigenvalues of the Hessian by rising value, times the scale squared, HU.
    """
    clipped = np.clip(hu.astype(np.float32), *WINDOW_HU)
    flat = np.ravel_multi_index(tuple(at_zyx.T), hu.shape)
    columns: list[NDArray[np.floating]] = [clipped.ravel()[flat]]
    for scale in SCALES_MM:
        smooth = gaussian(clipped, grid, scale)
        columns += [smooth.ravel()[flat], *_slope_and_curvatures(smooth, at_zyx, scale / grid.spacing_zyx)]
    for scale in SURROUNDINGS_MM:
        mean, square = gaussian(clipped, grid, scale).ravel()[flat], gaussian(clipped**2, grid, scale).ravel()[flat]
        columns.append(np.sqrt(np.maximum(square - mean**2, 0)))
    for low, high in _TISSUES.values():
        there = ((hu >= low) & (hu <= high)).astype(np.float32)
        columns += [gaussian(there, grid, scale).ravel()[flat] for scale in SURROUNDINGS_MM]
    return np.stack(columns, axis=1).astype(np.float32)


def gaussian(array: Floats, grid: Geometry, sigma_mm: float) -> Floats:
    """Smooth an array z, y, x."""
    import SimpleITK as sitk

    # A slab thinner than four voxels is repeated outwards, for the recursive filter's sake.
    missing = [(max(0, 4 - n), 0) for n in array.shape]
    image = to_sitk(np.pad(array, missing, mode="edge"))
    image.SetSpacing(grid.spacing_mm.tolist())
    smooth = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(image, sigma_mm))
    return np.asarray(smooth[tuple(slice(before, None) for before, _ in missing)])


def _slope_and_curvatures(
    smooth: Floats, at_zyx: NDArray[np.intp], scale_voxels: NDArray[np.float64]
) -> tuple[Floats, Floats, Floats, Floats]:
    """Give length of the gradient and eigenvalues of the Hessian by rising value, in units of the scale."""
    padded = np.pad(smooth, 1, mode="edge")
    steps = np.array(padded.strides) // padded.itemsize
    flat, values = (at_zyx + 1) @ steps, padded.ravel()
    here = values[flat]
    ahead, behind = ([values[flat + way * step] for step in steps] for way in (1, -1))
    scale = scale_voxels.astype(np.float32)
    slope = np.sqrt(sum(((ahead[a] - behind[a]) * scale[a] / 2) ** 2 for a in range(3)))
    hessian = {(a, a): (ahead[a] + behind[a] - 2 * here) * scale[a] ** 2 for a in range(3)}
    for a, b in ((0, 1), (0, 2), (1, 2)):
        same = values[flat + steps[a] + steps[b]] + values[flat - steps[a] - steps[b]]
        other = values[flat + steps[a] - steps[b]] + values[flat - steps[a] + steps[b]]
        hessian[a, b] = (same - other) * (scale[a] * scale[b] / 4)
    return slope, *eigenvalues(hessian)


def eigenvalues(matrix: dict[tuple[int, int], Floats]) -> tuple[Floats, Floats, Floats]:
    """Give the eigenvalues of many symmetric 3 × 3 matrices by rising value, in closed form (Smith, CACM 1961)."""
    mean = (matrix[0, 0] + matrix[1, 1] + matrix[2, 2]) / 3
    a, b, c = (matrix[n, n] - mean for n in range(3))
    d, e, f = matrix[0, 1], matrix[0, 2], matrix[1, 2]
    radius = np.sqrt((a**2 + b**2 + c**2 + 2 * (d**2 + e**2 + f**2)) / 6)
    determinant = a * (b * c - f**2) - d * (d * c - f * e) + e * (d * f - b * e)
    half = determinant / np.maximum(2 * radius**3, 1e-12)
    angle = np.arccos(np.clip(half, -1, 1)) / 3
    most, least = mean + 2 * radius * np.cos(angle), mean + 2 * radius * np.cos(angle + 2 * np.pi / 3)
    return least, 3 * mean - most - least, most
