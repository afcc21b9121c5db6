"""Statistics of a CT's tissues, noise and edges, to compare synthetic CTs with real ones.

Tissues are located in the same way in every scan, by their position and homogeneity, and never by labels. A tissue
that is not found is NaN: a chest does not show a whole liver, and in an unenhanced scan the aorta is hard to find.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctlymph.anatomy.landmarks import Landmarks, find_landmarks
from ctlymph.anatomy.search_regions import find_regions
from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import Geometry, Volume
from ctlymph.detectors.blobs import BlobSettings, find_blobs

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

MEASURES = {
    "fat_hu": "fat, mean HU",
    "fat_sd": "fat, SD",
    "muscle_hu": "muscle, mean HU",
    "muscle_sd": "muscle, SD",
    "liver_hu": "liver, mean HU",
    "liver_sd": "liver, SD",
    "aorta_hu": "aorta, mean HU",
    "aorta_sd": "aorta, SD",
    "lung_hu": "lung, mean HU",
    "lung_sd": "lung, SD",
    "noise_hu": "noise, SD of what is finer than 3 mm",
    "noise_lag1": "noise, correlation of neighbouring pixels",
    "noise_width_mm": "noise, width of its correlation, mm",
    "noise_slices": "noise, correlation of neighbouring slices",
    "edge_mm": "edge of body wall and fat, 10 to 90 %, mm",
    "spots_per_litre": "round spots per litre searched",
}
"""The measures, by the name of their field."""

_LIVER_RADIUS_MM, _MUSCLE_RADIUS_MM, _AORTA_RADIUS_MM = 17.0, 8.0, 6.0
NOISE_SCALE_MM = 3.0
_PROFILE_MM = 8.0


@dataclass(frozen=True)
class ImageStatistics:
    """The figures of one CT, named as in :data:`MEASURES`; NaN where a tissue was not found."""

    case: str
    fat_hu: float
    fat_sd: float
    muscle_hu: float
    muscle_sd: float
    liver_hu: float
    liver_sd: float
    aorta_hu: float
    aorta_sd: float
    lung_hu: float
    lung_sd: float
    noise_hu: float
    noise_lag1: float
    noise_width_mm: float
    noise_slices: float
    edge_mm: float
    spots_per_litre: float


def measure_image(volume: Volume) -> ImageStatistics:
    """Measure tissues, noise and edges of one CT of a trunk.

    Args:
        volume: The CT, HU, any axis order.

    Returns:
        Its statistics; NaN where a tissue was not found.

    Raises:
        CtlymphError: If it is not a CT of a trunk.
    """
    volume = volume.reorient("LPS")
    landmarks = find_landmarks(volume)
    tissues = _Tissues(landmarks)
    muscle, liver = tissues.muscle(), tissues.liver()
    return ImageStatistics(
        volume.case,
        *_moments(volume, landmarks, tissues.fat()),
        *_ball_moments(volume, muscle, _MUSCLE_RADIUS_MM),
        *_ball_moments(volume, liver, _LIVER_RADIUS_MM),
        *_ball_moments(volume, tissues.aorta(), _AORTA_RADIUS_MM),
        *_moments(volume, landmarks, tissues.lung()),
        *_grain_of(volume, liver, muscle),
        edge_mm(volume, landmarks),
        _spots_per_litre(volume, landmarks),
    )


class Grain(NamedTuple):
    """The noise of a CT; NaN where nothing even was found.

    Attributes:
        sd_hu: Standard deviation of what is finer than 3 mm.
        lag1: Correlation of neighbouring pixels, finer than 3 mm.
        width_mm: Width at half height of its correlation.
        slices: Correlation of neighbouring slices.
    """

    sd_hu: float
    lag1: float
    width_mm: float
    slices: float


def grain(volume: Volume, landmarks: Landmarks) -> Grain:
    """Measure the noise of a CT (axes LPS) in the most even part of the liver, or else of the muscles of the back."""
    tissues = _Tissues(landmarks)
    return _grain_of(volume, tissues.liver(), tissues.muscle())


def _grain_of(volume: Volume, liver: Floats | None, muscle: Floats | None) -> Grain:
    place, radius = (liver, _LIVER_RADIUS_MM) if liver is not None else (muscle, 6.0)
    return _noise(_box(volume, place, radius), volume.geometry)


def aorta_hu(volume: Volume, landmarks: Landmarks) -> tuple[float, float]:
    """Return mean and standard deviation of the CT numbers in the aorta; NaN where it was not found."""
    return _ball_moments(volume, _Tissues(landmarks).aorta(), _AORTA_RADIUS_MM)


def compare(statistics: Sequence[ImageStatistics], real: Sequence[ImageStatistics]) -> list[tuple[str, ...]]:
    """Compare CTs with real ones.

    Returns:
        A row for each measure: its name, median and range of the real CTs, the same of the others, and how many of
        the others lie within the range of the real ones.
    """
    rows: list[tuple[str, ...]] = []
    for name, words in MEASURES.items():
        theirs, ours = (np.array([getattr(each, name) for each in group]) for group in (real, statistics))
        theirs, ours = theirs[~np.isnan(theirs)], ours[~np.isnan(ours)]
        within = f"{((ours >= theirs.min()) & (ours <= theirs.max())).sum()} of {len(ours)}" if len(theirs) else ""
        rows.append((words, _range(theirs), _range(ours), within))
    return rows


def _range(values: Floats) -> str:
    if not len(values):
        return "not found"
    low, middle, high = (f"{each:.3g}" for each in (values.min(), np.median(values), values.max()))
    return f"{middle} ({low} to {high})"


class _Tissues:
    """Places of tissues on the coarse grid of the landmarks, z, y, x."""

    def __init__(self, landmarks: Landmarks) -> None:
        from scipy.ndimage import uniform_filter

        self._landmarks = landmarks
        self._spacing = landmarks.geometry.spacing_zyx
        hu = np.clip(landmarks.hu, -200, 400).astype(np.float32)
        size = np.maximum(1, np.rint(9 / self._spacing)).astype(int)
        self._mean = uniform_filter(hu, size)
        self._sd = np.sqrt(np.maximum(uniform_filter(hu**2, size) - self._mean**2, 0))
        self._hu = hu

    def fat(self) -> Mask:
        """Voxels deep in fat."""
        deep: Mask = self._landmarks.body & (np.abs(self._mean + 105) < 25) & (self._sd < 40) & (self._hu < -40)
        return deep

    def lung(self) -> Mask:
        """Lung, away from its surface and from large vessels."""
        from scipy.ndimage import binary_erosion

        deep = binary_erosion(self._landmarks.lungs, iterations=3)
        return np.asarray(deep & (self._hu <= -200))

    def muscle(self) -> Floats | None:
        """Centre of the most even ball of the muscles next to the spinous processes, LPS mm."""
        x, y = self._from_spine()
        paraspinal = (np.abs(x) > 18) & (np.abs(x) < 50) & (y > 20) & (y < 75)
        return self._most_even(paraspinal & (self._mean > 10) & (self._mean < 95), _MUSCLE_RADIUS_MM)

    def liver(self) -> Floats | None:
        """Centre of the most even ball of 17 mm on the patient's right, in front of the spine, LPS mm."""
        x, y = self._from_spine()
        right = (x < -35) & (x > -130) & (y < 50)
        inside = right & (self._mean > 20) & (self._mean < 180) & (self._sd < 60)
        return self._most_even(inside, _LIVER_RADIUS_MM)

    def aorta(self) -> Floats | None:
        """Centre of the most even ball of 6 mm just to the left and in front of the spine, LPS mm."""
        x, y = self._from_spine()
        near = (x > 0) & (x < 32) & (y < -20) & (y > -50)
        return self._most_even(near & (self._mean > 20), _AORTA_RADIUS_MM)

    def _from_spine(self) -> tuple[Floats, Floats]:
        """Return how far columns lie to the left of the spine's middle on each slice, and rows behind it, mm."""
        spine = self._landmarks.spine
        _, rows, columns = self._hu.shape
        x = (np.arange(columns) - spine[:, :1])[:, None, :] * self._spacing[2]
        y = (np.arange(rows) - spine[:, 1:2])[:, :, None] * self._spacing[1]
        return x, y

    def _most_even(self, where: Mask, radius_mm: float) -> Floats | None:
        """Find the ball with the least SD."""
        from scipy.ndimage import distance_transform_edt

        deep = distance_transform_edt(where, sampling=self._spacing) >= min(radius_mm, 9.0) * (radius_mm > 12)
        ball = _ball(radius_mm, self._spacing)
        places = np.argwhere(deep & where & self._landmarks.body)
        if not len(places):
            return None
        # A sample of places is enough: an even organ is even in many of them.
        places = places[:: max(1, len(places) // 3000)]
        inside = np.clip(places[:, None] + ball, 0, np.array(self._hu.shape) - 1)
        values = self._hu[tuple(np.moveaxis(inside, -1, 0))]
        best = places[np.argmin(values.std(axis=1))]
        return np.asarray(self._landmarks.geometry.index_to_mm(best[::-1]))


def _ball(radius_mm: float, spacing_zyx: Floats) -> NDArray[np.intp]:
    half = np.floor(radius_mm / spacing_zyx).astype(int)
    offsets = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in half), indexing="ij"), axis=-1).reshape(-1, 3)
    inside: NDArray[np.intp] = offsets[np.linalg.norm(offsets * spacing_zyx, axis=1) <= radius_mm]
    return inside


def _moments(volume: Volume, landmarks: Landmarks, mask: Mask) -> tuple[float, float]:
    """Return mean and SD of the CT's own voxels nearest to the mask's."""
    places = np.argwhere(mask)
    if len(places) < 50:
        return np.nan, np.nan
    places = places[:: max(1, len(places) // 20000)]
    index = np.rint(volume.geometry.mm_to_index(landmarks.geometry.index_to_mm(places[:, ::-1]))).astype(int)
    i, j, k = np.clip(index, 0, np.array(volume.geometry.shape_ijk) - 1).T
    values = volume.hu[k, j, i].astype(np.float64)
    return float(values.mean()), float(values.std())


def _ball_moments(volume: Volume, centre_mm: Floats | None, radius_mm: float) -> tuple[float, float]:
    if centre_mm is None:
        return np.nan, np.nan
    ball = _ball(radius_mm, volume.geometry.spacing_zyx)
    centre = np.rint(volume.geometry.mm_to_index(centre_mm)).astype(int)[::-1]
    inside = np.clip(centre + ball, 0, np.array(volume.geometry.shape_zyx) - 1)
    values = volume.hu[tuple(inside.T)].astype(np.float64)
    return float(values.mean()), float(values.std())


def _box(volume: Volume, centre_mm: Floats | None, radius_mm: float) -> Floats | None:
    """Cut a cube that lies within an even ball."""
    if centre_mm is None:
        return None
    half = np.maximum(np.rint(radius_mm / np.sqrt(3) / volume.geometry.spacing_zyx), 1).astype(int)
    centre = np.rint(volume.geometry.mm_to_index(centre_mm)).astype(int)[::-1]
    low = np.maximum(centre - half, 0)
    part = volume.hu[tuple(slice(a, b) for a, b in zip(low, centre + half + 1, strict=True))]
    return part.astype(np.float64)


def _noise(box: Floats | None, geometry: Geometry) -> Grain:
    from scipy.ndimage import gaussian_filter

    if box is None or min(box.shape[1:]) < 6:
        return Grain(np.nan, np.nan, np.nan, np.nan)
    sigma = (0, *(NOISE_SCALE_MM / geometry.spacing_zyx[1:]))
    fine = box - gaussian_filter(box, sigma, mode="nearest")
    fine -= fine.mean(axis=(1, 2), keepdims=True)
    across = [_correlation(fine[:, :, :-n], fine[:, :, n:]) for n in range(1, fine.shape[2] // 2)]
    curve = np.array([1.0, *across])
    under = np.flatnonzero(curve < 0.5)
    n = int(under[0]) if len(under) else len(curve) - 1
    half = n - (0.5 - curve[n]) / max(curve[n - 1] - curve[n], 1e-6)
    slices = _correlation(fine[:-1], fine[1:]) if len(fine) > 1 else np.nan
    return Grain(float(fine.std()), float(across[0]), float(2 * half * geometry.spacing_zyx[2]), slices)


def _correlation(first: Floats, second: Floats) -> float:
    return float((first * second).mean() / max(np.sqrt((first**2).mean() * (second**2).mean()), 1e-9))


def edge_mm(volume: Volume, landmarks: Landmarks) -> float:
    """Return the width, from 10 to 90 %, of the median profile from fat into soft tissue, in the slices' plane.

    Profiles that do not begin in fat and end in soft tissue, such as those of thin sheets, are left out.
    """
    from scipy.ndimage import gaussian_filter, map_coordinates

    spacing = volume.geometry.spacing_zyx[1:]
    step, rng = 0.25, np.random.default_rng(0)
    along = np.arange(-_PROFILE_MM, _PROFILE_MM + step / 2, step)
    profiles: list[Floats] = []
    for k in np.linspace(0, len(volume.hu) - 1, 12).astype(int)[1:-1]:
        slice_hu = np.clip(volume.hu[k], -200, 200).astype(np.float32)
        smooth = gaussian_filter(slice_hu, 1.5 / spacing)
        slope = np.stack(np.gradient(smooth, *spacing))
        steep = np.linalg.norm(slope, axis=0)
        places = np.argwhere((np.abs(smooth + 30) < 15) & (steep > 12))
        places = places[rng.permutation(len(places))[:600]]
        heading = (slope / np.maximum(steep, 1e-6))[:, places[:, 0], places[:, 1]]
        where = places.T[:, :, None] + heading[:, :, None] * along / spacing[:, None, None]
        profiles += list(map_coordinates(slice_hu, where, order=1, mode="nearest"))
    if len(profiles) < 30:
        return np.nan
    rows = np.array(profiles, dtype=np.float64)
    ends = along > _PROFILE_MM - 3
    clean = (np.abs(rows[:, ::-1][:, ends].mean(axis=1) + 100) < 25) & (np.abs(rows[:, ends].mean(axis=1) - 55) < 40)
    if clean.sum() < 30:
        return np.nan
    # Each profile crosses at a slightly different place than the smoothed slice does: align them at their own crossing.
    rows = rows[clean]
    crossing = np.array([along[np.argmin(np.abs(gaussian_filter(row, 4)[20:-20] + 25)) + 20] for row in rows])
    aligned = np.array([np.interp(along, along - at, row) for at, row in zip(crossing, rows, strict=True)])
    middle = np.median(aligned, axis=0)
    low, high = middle[along < -5].mean(), middle[along > 5].mean()
    share = np.maximum.accumulate((middle - low) / (high - low))
    return float(np.interp(0.9, share, along) - np.interp(0.1, share, along))


def _spots_per_litre(volume: Volume, landmarks: Landmarks) -> float:
    """Return the number of spots that ``blobs`` marks at a low score, by litre of the regions."""
    try:
        regions = find_regions(landmarks)
    except CtlymphError:  # The scan shows neither region well enough to be searched, so that there is no such figure.
        return np.nan
    settings = BlobSettings(max_marks=5000)
    spots = sum(sum(mark.score > 0.15 for mark in find_blobs(volume, region, settings)) for region in regions)
    litres = sum(float(region.mask.sum() * np.prod(region.geometry.spacing_mm)) for region in regions) / 1e6
    return spots / litres
