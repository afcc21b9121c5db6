"""Features of chosen voxels: intensity, shape by the Hessian, texture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ctlymph.core.volume import Geometry, to_sitk

Floats = NDArray[np.float32]
Values = NDArray[np.floating[Any]]

WINDOW_HU = (-150.0, 250.0)
SCALES_MM = (1.5, 2.5, 4.0, 6.5, 10.0)
"""σ of Gaussians: a ball of radius r has the greatest response at r / √3, so that these are radii of 2.6 to 17 mm."""
SURROUNDINGS_MM = (4.0, 8.0)
_TISSUES = {"gas": (-2000, -250), "fat": (-160, -40), "bright": (170, 4000)}

NAMES = (
    "hu",
    *(
        f"{what} {scale}"
        for scale in SCALES_MM
        for what in ("mean", "slope", "curvature 1", "curvature 2", "curvature 3")
    ),
    *(f"spread {scale}" for scale in SURROUNDINGS_MM),
    *(f"{tissue} {scale}" for tissue in _TISSUES for scale in SURROUNDINGS_MM),
)
"""Names of the columns of :func:`voxel_features`."""


def voxel_features(hu: NDArray[np.int16], grid: Geometry, at_zyx: NDArray[np.intp]) -> Floats:
    """Return the features of voxels.

    Args:
        hu: The CT on a grid of cubic voxels, z, y, x, HU.
        grid: That grid.
        at_zyx: The voxels, ``(n, 3)``.

    Returns:
        ``(n, len(NAMES))``. The slope is the length of the gradient times the scale; the curvatures are the eigenvalues
        of the Hessian by rising value, times the scale squared; both HU.
    """
    clipped = np.clip(hu.astype(np.float32), *WINDOW_HU)
    flat = np.ravel_multi_index(tuple(at_zyx.T), hu.shape)
    columns: list[NDArray[np.floating]] = [clipped.ravel()[flat]]
    for scale in SCALES_MM:
        smooth = gaussian(clipped, grid, scale)
        slope, hessian = derivatives(smooth, at_zyx, scale / grid.spacing_zyx)
        columns += [smooth.ravel()[flat], slope, *eigenvalues(hessian)]
    for scale in SURROUNDINGS_MM:
        mean, square = gaussian(clipped, grid, scale).ravel()[flat], gaussian(clipped**2, grid, scale).ravel()[flat]
        columns.append(np.sqrt(np.maximum(square - mean**2, 0)))
    for low, high in _TISSUES.values():
        present = ((hu >= low) & (hu <= high)).astype(np.float32)
        columns += [gaussian(present, grid, scale).ravel()[flat] for scale in SURROUNDINGS_MM]
    return np.stack(columns, axis=1).astype(np.float32)


def gaussian(array: Floats, grid: Geometry, sigma_mm: float) -> Floats:
    """Return an array z, y, x smoothed by a Gaussian, edges repeated."""
    import SimpleITK as sitk

    # A slab thinner than four voxels is repeated outwards, for the recursive filter's sake.
    missing = [(max(0, 4 - n), 0) for n in array.shape]
    image = to_sitk(np.pad(array, missing, mode="edge"))
    image.SetSpacing(grid.spacing_mm.tolist())
    smooth = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(image, sigma_mm))
    return np.asarray(smooth[tuple(slice(before, None) for before, _ in missing)])


def derivatives(
    smooth: Floats, at_zyx: NDArray[np.intp], scale_voxels: NDArray[np.float64], dtype: DTypeLike = np.float32
) -> tuple[Values, dict[tuple[int, int], Values]]:
    """Return the length of the gradient and the Hessian at some voxels, by differences of neighbours.

    Args:
        smooth: An array z, y, x, smoothed by a Gaussian; its edges are repeated.
        at_zyx: The voxels, ``(n, 3)``.
        scale_voxels: σ of that Gaussian along z, y, x in voxels; the results are in units of it.
        dtype: In which to compute.

    Returns:
        The length of the gradient, ``(n,)``; the upper triangle of the Hessian by row and column, ``(n,)`` each.
    """
    padded = np.pad(smooth, 1, mode="edge")
    steps = np.array(padded.strides) // padded.itemsize
    flat, values = (at_zyx + 1) @ steps, padded.ravel()

    def value(*step: np.intp) -> Values:
        return np.asarray(values[flat + sum(step)], dtype)

    here, scale = value(), scale_voxels.astype(dtype)
    ahead, behind = ([value(way * step) for step in steps] for way in (1, -1))
    slope = np.sqrt(sum(((ahead[a] - behind[a]) * scale[a] / 2) ** 2 for a in range(3)))
    hessian = {(a, a): (ahead[a] + behind[a] - 2 * here) * scale[a] ** 2 for a in range(3)}
    for a, b in ((0, 1), (0, 2), (1, 2)):
        same = value(steps[a], steps[b]) + value(-steps[a], -steps[b])
        other = value(steps[a], -steps[b]) + value(-steps[a], steps[b])
        hessian[a, b] = (same - other) * (scale[a] * scale[b] / 4)
    return slope, hessian


def eigenvalues(matrix: Mapping[tuple[int, int], Values]) -> tuple[Values, Values, Values]:
    """Return the eigenvalues of symmetric 3 × 3 matrices by rising value, in closed form (Smith, CACM 1961).

    Args:
        matrix: By row and column, from 0, the elements of the upper triangle, ``(n,)``.
    """
    mean = (matrix[0, 0] + matrix[1, 1] + matrix[2, 2]) / 3
    a, b, c = (matrix[n, n] - mean for n in range(3))
    d, e, f = matrix[0, 1], matrix[0, 2], matrix[1, 2]
    radius = np.sqrt((a**2 + b**2 + c**2 + 2 * (d**2 + e**2 + f**2)) / 6)
    determinant = a * (b * c - f**2) - d * (d * c - f * e) + e * (d * f - b * e)
    half = determinant / np.maximum(2 * radius**3, 1e-12)
    angle = np.arccos(np.clip(half, -1, 1)) / 3
    largest, smallest = mean + 2 * radius * np.cos(angle), mean + 2 * radius * np.cos(angle + 2 * np.pi / 3)
    return smallest, 3 * mean - largest - smallest, largest
