"""``blobs``: bright round spots in fat, by the eigenvalues of the Hessian at several scales.

The baseline that any method must beat. A node is a lump of soft tissue, mostly
set in fat, 8–30 mm across; at the scale of its radius all three curvatures of
the intensity are negative and alike. A vessel has one curvature near zero, a
sheet of muscle or bowel wall two. This is the blobness used for candidates in
the abdomen by Cherry et al. (SPIE 2014, 10.1117/12.2043837), who also found that
it is not enough by itself, and that intensity is the best single feature. Scale selection by the normalised
Laplacian follows Lindeberg (IJCV 1998).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.nodes import Mark
from ctlymph.core.progress import SILENT, Progress
from ctlymph.core.regions import Region
from ctlymph.core.volume import AIR_HU, Geometry, Volume, resample_array
from ctlymph.detectors.base import Candidates, DetectionContext, sample, working_grid
from ctlymph.detectors.parts.voxel_features import gaussian


@dataclass(frozen=True)
class BlobSettings:
    """What the detector looks for.

    Attributes:
        radii_mm: Node radii, one scale each; a ball of radius r answers most at σ = r / √3.
        grid_mm: Finest working grid; coarser scales use a coarser one.
        window_hu: Fat to enhancing tissue. Clipping there keeps lung, bone and
            contrast-filled vessels from outshining nodes.
        tissue_hu: Mean HU in the core of a node: impossible below, sure from,
            sure to, impossible above. The real node of slice 1-416 of
            ABD_LYMPH_001 holds 55 ± 24 HU; enhancing ones reach 120.
        foreign_hu: Darker is gas or lung, brighter is bone or a contrast-filled
            vessel; both near the centre speak against a node.
        contrast_hu: A node that stands out of its surroundings by this much scores in full.
        apart_mm: Marks keep this distance from each other, or a stronger mark's radius.
        at_most: Marks per region.
    """

    radii_mm: tuple[float, ...] = (4.5, 6.0, 8.0, 10.5, 14.0, 18.0)
    grid_mm: float = 1.5
    window_hu: tuple[float, float] = (-120.0, 130.0)
    tissue_hu: tuple[float, float, float, float] = (-30.0, 15.0, 110.0, 160.0)
    foreign_hu: tuple[float, float] = (-300.0, 200.0)
    contrast_hu: float = 130.0
    apart_mm: float = 7.0
    at_most: int = 60


_BALL_RESPONSE = 4 * np.pi * 3**1.5 * (2 * np.pi) ** -1.5 * np.exp(-1.5)
"""−σ²∇² of a unit ball of radius √3 σ at its centre: 0.925."""

_CENTRE_MM = 2.0
_PEAKS_AT_A_TIME = 1000


def find_blobs(
    volume: Volume, region: Region, settings: BlobSettings | None = None, progress: Progress = SILENT
) -> list[Mark]:
    """Mark the round soft-tissue spots of a region.

    Args:
        volume: The CT, any spacing and orientation.
        region: Where to look.
        settings: What to look for.
        progress: Where to show the scales done.

    Returns:
        Marks by falling score. The score, 0…1, is contrast × roundness × how
        node-like the HU are, within and next to it (1 for a ball that stands fully out of fat); it is
        not a probability.
    """
    settings = settings or BlobSettings()
    box = working_grid(region, settings.grid_mm)
    hu = sample(volume, box)
    marks: list[Mark] = []
    with progress.task(f"Blobs in the {region.name}", len(settings.radii_mm)) as advance:
        for radius_mm in settings.radii_mm:
            marks += _at_scale(hu, box, radius_mm, region, settings)
            advance(1)
    return _spread_out(sorted(marks, key=lambda mark: -mark.score), settings)


@dataclass(frozen=True)
class Blobs:
    """The first and only stage of ``blobs``, which is a rule."""

    version: ClassVar[int] = 1

    name: str = "blobs"
    settings: BlobSettings = BlobSettings()

    def propose(self, model: Mapping[str, Any], context: DetectionContext) -> Candidates:
        """Mark the round soft-tissue spots of a region."""
        marks = find_blobs(context.volume, context.region, self.settings)
        return Candidates(
            np.array([mark.point_mm for mark in marks]).reshape(-1, 3),
            np.array([mark.score for mark in marks], dtype=np.float64),
            np.array([mark.radius_mm for mark in marks], dtype=np.float64),
        )


def _at_scale(
    hu: NDArray[np.int16], box: Geometry, radius_mm: float, region: Region, settings: BlobSettings
) -> list[Mark]:
    """Find the peaks of −σ²∇² at one scale and score each."""
    sigma_mm = radius_mm / np.sqrt(3)
    grid = box.with_spacing(max(settings.grid_mm, sigma_mm / 2))
    coarse = resample_array(hu, box, grid, AIR_HU)
    smooth = gaussian(np.clip(coarse.astype(np.float32), *settings.window_hu), grid, sigma_mm)
    peaks = _peaks(-_laplacian(smooth, grid))
    peaks = peaks[region.contains(grid.index_to_mm(peaks[:, ::-1]))]
    curvatures = np.linalg.eigvalsh(_hessian(smooth, grid, peaks)) * sigma_mm**2
    contrast = np.clip(-curvatures.sum(axis=1) / (_BALL_RESPONSE * settings.contrast_hu), 0, 1)
    # Of three negative curvatures, the weakest against the mean of the other two: 1 ball, 0 tube.
    weakest, others = -curvatures[:, 2], -curvatures[:, :2].mean(axis=1)
    roundness = np.sqrt(np.clip(weakest / np.maximum(others, 1e-6), 0, 1))
    scores = contrast * roundness
    scores[scores > 0] *= _node_like(coarse, grid, peaks[scores > 0], radius_mm, settings)
    points = grid.index_to_mm(peaks[:, ::-1])
    return [
        Mark((x, y, z), float(score), radius_mm, region.name)
        for (x, y, z), score in zip(points.tolist(), scores, strict=True)
        if score > 0
    ]


def _node_like(
    hu: NDArray[np.int16], grid: Geometry, at_zyx: NDArray[np.intp], radius_mm: float, settings: BlobSettings
) -> NDArray[np.float64]:
    """Tell how much the HU around given voxels, ``(n, 3)`` z, y, x, are those of a node of this radius, 0…1."""
    dark, bright = settings.foreign_hu
    likeness = np.empty(len(at_zyx))
    for part in range(0, len(at_zyx), _PEAKS_AT_A_TIME):
        chosen = slice(part, part + _PEAKS_AT_A_TIME)
        cubes, away_mm = _cubes(hu, grid, at_zyx[chosen], 1.5 * radius_mm)
        # A large scale averages a small bright thing with the fat around it: look at the very centre too.
        means = [_mean(cubes, away_mm, sigma_mm) for sigma_mm in (radius_mm / 3, min(radius_mm / 3, _CENTRE_MM))]
        foreign = _mean((cubes < dark) | (cubes > bright), away_mm, radius_mm / 2)
        tissue = np.minimum(*(np.interp(mean, settings.tissue_hu, (0, 1, 1, 0)) for mean in means))
        likeness[chosen] = tissue * np.clip(1 - 2 * foreign, 0, 1)
    return likeness


def _cubes(
    array: NDArray[np.int16], grid: Geometry, at_zyx: NDArray[np.intp], reach_mm: float
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Give the voxels around given ones, ``(n, z, y, x)``, edges repeated; and how far they lie away, mm."""
    reach = np.ceil(reach_mm / grid.spacing_zyx).astype(int)
    offsets = [np.arange(-r, r + 1) for r in reach]
    index = [
        np.clip(at_zyx[:, axis, None] + offsets[axis], 0, array.shape[axis] - 1).reshape(
            [-1, *(offsets[axis].size if n == axis else 1 for n in range(3))]
        )
        for axis in range(3)
    ]
    away = np.meshgrid(*(o * s for o, s in zip(offsets, grid.spacing_zyx, strict=True)), indexing="ij")
    return array[tuple(index)].astype(np.float32), np.linalg.norm(away, axis=0)


def _mean(cubes: NDArray[Any], away_mm: NDArray[np.float64], sigma_mm: float) -> NDArray[np.float32]:
    """Gaussian-weighted mean of each cube."""
    weights = np.exp(-0.5 * (away_mm / sigma_mm) ** 2)
    return np.asarray(cubes.reshape(len(cubes), -1) @ (weights / weights.sum()).ravel().astype(np.float32))


def _laplacian(smooth: NDArray[np.float32], grid: Geometry) -> NDArray[np.float32]:
    """Sum of second differences, edges repeated, per mm²."""
    total = np.zeros_like(smooth)
    for axis, spacing in enumerate(grid.spacing_zyx):
        padded = np.moveaxis(np.pad(smooth, [(1, 1) if n == axis else (0, 0) for n in range(3)], mode="edge"), axis, 0)
        total += np.moveaxis(padded[2:] + padded[:-2] - 2 * padded[1:-1], 0, axis) / np.float32(spacing**2)
    return total


def _peaks(response: NDArray[np.float32]) -> NDArray[np.intp]:
    """Indices ``(n, 3)`` z, y, x of positive local maxima among 26 neighbours."""
    from scipy import ndimage

    highest = ndimage.maximum_filter(response, size=3, mode="nearest")
    return np.argwhere((response == highest) & (response > 0))


def _hessian(smooth: NDArray[np.float32], grid: Geometry, at_zyx: NDArray[np.intp]) -> NDArray[np.float64]:
    """Second differences at given voxels, ``(n, 3, 3)``, per mm²; edges repeated."""

    def value(*offsets: tuple[int, int]) -> NDArray[np.float64]:
        index = at_zyx.copy()
        for axis, step in offsets:
            index[:, axis] = np.clip(index[:, axis] + step, 0, smooth.shape[axis] - 1)
        return np.asarray(smooth[tuple(index.T)], dtype=np.float64)

    spacing = grid.spacing_zyx
    hessian = np.empty((len(at_zyx), 3, 3))
    for a in range(3):
        hessian[:, a, a] = (value((a, 1)) + value((a, -1)) - 2 * value()) / spacing[a] ** 2
        for b in range(a):
            corners = value((a, 1), (b, 1)) + value((a, -1), (b, -1)) - value((a, 1), (b, -1)) - value((a, -1), (b, 1))
            hessian[:, a, b] = hessian[:, b, a] = corners / (4 * spacing[a] * spacing[b])
    return hessian


def _spread_out(marks: list[Mark], settings: BlobSettings) -> list[Mark]:
    """Keep the best marks; drop those too near to a better one (non-maximum suppression in mm)."""
    kept: list[Mark] = []
    for mark in marks:
        point = np.array(mark.point_mm)
        if all(
            np.linalg.norm(point - other.point_mm) >= max(settings.apart_mm, other.radius_mm, mark.radius_mm)
            for other in kept
        ):
            kept.append(mark)
            if len(kept) == settings.at_most:
                break
    return kept
