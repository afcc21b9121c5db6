"""``blobs``: bright round spots in fat, by the eigenvalues of the Hessian at several scales.

The baseline that any method must beat. A node is a lump of soft tissue, 8–30 mm across and mostly set in fat. At the
scale of its radius all three curvatures of the intensity are negative and alike. A vessel has one curvature near zero,
a sheet of muscle or bowel wall two. This is the blobness that Cherry et al. use for candidates in the abdomen (SPIE
2014, 10.1117/12.2043837); they found, too, that it is not enough by itself, and that intensity is the best single
feature. Scales are chosen by the normalised Laplacian (Lindeberg, IJCV 1998).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.nodes import Mark
from ctlymph.core.peaks import local_maxima, separated
from ctlymph.core.progress import SILENT, Progress
from ctlymph.core.regions import Region
from ctlymph.core.volume import AIR_HU, Geometry, Volume, resample_array
from ctlymph.detectors.base import Candidates, DetectionContext, sample, working_grid
from ctlymph.detectors.parts.voxel_features import derivatives, gaussian


@dataclass(frozen=True)
class BlobSettings:
    """What counts as a blob.

    Attributes:
        radii_mm: Node radii, one scale each; the response to a ball of radius r is greatest at σ = r / √3.
        grid_mm: Finest working grid; coarser scales use a coarser one.
        window_hu: Fat to enhancing tissue. Clipping there keeps lung, bone and contrast-filled vessels from outshining
            nodes.
        tissue_hu: Mean HU in the core of a node: impossible below the first, certain from the second to the third,
            impossible above the last. The real node of slice 1-416 of ABD_LYMPH_001 holds 55 ± 24 HU; enhancing ones
            have up to 120.
        foreign_hu: Darker is gas or lung, brighter is bone or a contrast-filled vessel; both near the centre count
            against a node.
        contrast_hu: A node that exceeds its surroundings by this much has the full score.
        min_distance_mm: Marks keep this distance from each other, or the larger of their radii.
        max_marks: Marks of a region at most.
    """

    radii_mm: tuple[float, ...] = (4.5, 6.0, 8.0, 10.5, 14.0, 18.0)
    grid_mm: float = 1.5
    window_hu: tuple[float, float] = (-120.0, 130.0)
    tissue_hu: tuple[float, float, float, float] = (-30.0, 15.0, 110.0, 160.0)
    foreign_hu: tuple[float, float] = (-300.0, 200.0)
    contrast_hu: float = 130.0
    min_distance_mm: float = 7.0
    max_marks: int = 60


_BALL_RESPONSE = 4 * np.pi * 3**1.5 * (2 * np.pi) ** -1.5 * np.exp(-1.5)
"""−σ²∇² of a unit ball of radius √3 σ at its centre: 0.925."""

_CENTRE_MM = 2.0
_PEAKS_AT_A_TIME = 1000


@dataclass(frozen=True)
class Blobs:
    """The generator of ``blobs``, which is a rule and needs no second stage."""

    version: ClassVar[int] = 1

    name: str = "blobs"
    settings: BlobSettings = BlobSettings()

    def propose(self, model: Mapping[str, Any], context: DetectionContext) -> Candidates:
        """Return the round soft-tissue spots of the region."""
        marks = find_blobs(context.volume, context.region, self.settings)
        return Candidates(
            np.array([mark.point_mm for mark in marks]).reshape(-1, 3),
            np.array([mark.score for mark in marks], dtype=np.float64),
            np.array([mark.radius_mm for mark in marks], dtype=np.float64),
        )


def find_blobs(
    volume: Volume, region: Region, settings: BlobSettings | None = None, progress: Progress = SILENT
) -> list[Mark]:
    """Mark the round soft-tissue spots of a region.

    Args:
        volume: The CT, any spacing and orientation.
        region: Where to search.
        settings: What counts as a blob.
        progress: Where to show the scales done.

    Returns:
        Marks by falling score. The score, 0…1, is contrast × roundness × how node-like the HU in and around the spot
        are (1 for a ball that stands fully out of fat). It is not a probability.

    Example:
        >>> distance_mm = np.linalg.norm(np.indices((40, 40, 40)) * 2.0 - 40, axis=0)
        >>> grid = Geometry((40, 40, 40), origin_mm=np.zeros(3), spacing_mm=np.full(3, 2.0))
        >>> ct = Volume(np.where(distance_mm < 8, 60, -100).astype(np.int16), grid)
        >>> best = find_blobs(ct, Region("abdomen", np.ones((40, 40, 40), bool), grid))[0]
        >>> best.radius_mm, bool(np.linalg.norm(np.subtract(best.point_mm, 40)) < 2)
        (8.0, True)
    """
    settings = settings or BlobSettings()
    grid = working_grid(region, settings.grid_mm)
    hu = sample(volume, grid)
    marks: list[Mark] = []
    with progress.task(f"Blobs in the {region.name}", len(settings.radii_mm)) as advance:
        for radius_mm in settings.radii_mm:
            marks += _at_scale(hu, grid, radius_mm, region, settings)
            advance(1)
    marks.sort(key=lambda mark: -mark.score)
    points_mm = np.array([mark.point_mm for mark in marks]).reshape(-1, 3)
    distances_mm = np.maximum(settings.min_distance_mm, [mark.radius_mm for mark in marks])
    return [marks[row] for row in separated(points_mm, distances_mm, distances_mm, settings.max_marks)]


def _at_scale(
    hu: NDArray[np.int16], fine: Geometry, radius_mm: float, region: Region, settings: BlobSettings
) -> list[Mark]:
    """Return the peaks of −∇² at one scale as marks with their scores."""
    from scipy import ndimage

    sigma_mm = radius_mm / np.sqrt(3)
    grid = fine.with_spacing(max(settings.grid_mm, sigma_mm / 2))
    coarse = resample_array(hu, fine, grid, AIR_HU)
    smooth = gaussian(np.clip(coarse.astype(np.float32), *settings.window_hu), grid, sigma_mm)
    response = -ndimage.laplace(smooth)
    peaks = local_maxima(response, response > 0)
    peaks = peaks[region.contains(grid.index_to_mm(peaks[:, ::-1]))]
    curvatures = _curvatures(smooth, peaks, sigma_mm / grid.spacing_zyx)
    contrast = np.clip(-curvatures.sum(axis=1) / (_BALL_RESPONSE * settings.contrast_hu), 0, 1)
    # Of three negative curvatures, the weakest against the mean of the other two: 1 ball, 0 tube.
    weakest, others = -curvatures[:, 2], -curvatures[:, :2].mean(axis=1)
    roundness = np.sqrt(np.clip(weakest / np.maximum(others, 1e-6), 0, 1))
    scores = contrast * roundness
    scores[scores > 0] *= _node_likeness(coarse, grid, peaks[scores > 0], radius_mm, settings)
    points = grid.index_to_mm(peaks[:, ::-1])
    return [
        Mark((x, y, z), float(score), radius_mm, region.name)
        for (x, y, z), score in zip(points.tolist(), scores, strict=True)
        if score > 0
    ]


def _curvatures(
    smooth: NDArray[np.float32], at_zyx: NDArray[np.intp], sigma_voxels: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return σ² times the eigenvalues of the Hessian by rising value, ``(n, 3)``; exactly 0 along an axis of one voxel.

    For that the eigenvalues are LAPACK's: those in closed form, which suit half a million voxels, are off in the last
    digits.
    """
    _, triangle = derivatives(smooth, at_zyx, sigma_voxels, np.float64)
    hessian = np.empty((len(at_zyx), 3, 3))
    for (a, b), values in triangle.items():
        hessian[:, a, b] = hessian[:, b, a] = values
    return np.asarray(np.linalg.eigvalsh(hessian))


def _node_likeness(
    hu: NDArray[np.int16], grid: Geometry, at_zyx: NDArray[np.intp], radius_mm: float, settings: BlobSettings
) -> NDArray[np.float64]:
    """Return how much the HU around voxels ``(n, 3)`` are those of a node of this radius, 0…1."""
    dark, bright = settings.foreign_hu
    likeness = np.empty(len(at_zyx))
    for start in range(0, len(at_zyx), _PEAKS_AT_A_TIME):
        chosen = slice(start, start + _PEAKS_AT_A_TIME)
        cubes, distances_mm = _cubes(hu, grid, at_zyx[chosen], 1.5 * radius_mm)
        # A large scale averages a small bright thing with the fat around it: the very centre counts, too.
        means = [_mean(cubes, distances_mm, sigma_mm) for sigma_mm in (radius_mm / 3, min(radius_mm / 3, _CENTRE_MM))]
        foreign = _mean((cubes < dark) | (cubes > bright), distances_mm, radius_mm / 2)
        tissue = np.minimum(*(np.interp(mean, settings.tissue_hu, (0, 1, 1, 0)) for mean in means))
        likeness[chosen] = tissue * np.clip(1 - 2 * foreign, 0, 1)
    return likeness


def _cubes(
    array: NDArray[np.int16], grid: Geometry, at_zyx: NDArray[np.intp], extent_mm: float
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the voxels around given ones, ``(n, z, y, x)``, edges repeated, and their distances, mm, ``(z, y, x)``."""
    offsets = [np.arange(-n, n + 1) for n in np.ceil(extent_mm / grid.spacing_zyx).astype(int)]
    index = [
        np.clip(at_zyx[:, axis, None] + offsets[axis], 0, array.shape[axis] - 1).reshape(
            [-1, *(offsets[axis].size if n == axis else 1 for n in range(3))]
        )
        for axis in range(3)
    ]
    away_mm = np.meshgrid(*(o * s for o, s in zip(offsets, grid.spacing_zyx, strict=True)), indexing="ij")
    return array[tuple(index)].astype(np.float32), np.linalg.norm(away_mm, axis=0)


def _mean(cubes: NDArray[Any], distances_mm: NDArray[np.float64], sigma_mm: float) -> NDArray[np.float32]:
    """Return the Gaussian-weighted mean of each cube."""
    weights = np.exp(-0.5 * (distances_mm / sigma_mm) ** 2)
    return np.asarray(cubes.reshape(len(cubes), -1) @ (weights / weights.sum()).ravel().astype(np.float32))
