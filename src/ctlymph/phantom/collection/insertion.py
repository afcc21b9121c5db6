"""Synthetic lymph nodes in a real CT: in its fat, as sharp and as noisy as the scan itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctlymph.anatomy.landmarks import Landmarks, find_landmarks
from ctlymph.anatomy.search_regions import find_regions
from ctlymph.core.errors import CtlymphError
from ctlymph.core.morphology import Mask, box_around, distance_mm
from ctlymph.core.progress import SILENT, Progress
from ctlymph.core.regions import ABDOMEN, MEDIASTINUM, Region
from ctlymph.core.volume import AIR_HU, Geometry, Masks, Volume, resample_array
from ctlymph.phantom.body.shapes import Array, LatticeSolid
from ctlymph.phantom.nodes.placement import make_nodes, place_nodes
from ctlymph.phantom.nodes.placement_field import PlacementField
from ctlymph.phantom.nodes.station_map import Station
from ctlymph.phantom.nodes.synthetic_nodes import TrueNode
from ctlymph.phantom.scan.image_statistics import NOISE_SCALE_MM, aorta_hu, edge_mm, grain
from ctlymph.phantom.scan.patient import Phantom
from ctlymph.phantom.scan.scanner import blurred_parts, coloured, label, noise_gains

_GRID_MM = 1.5
_SMOOTH_MM = 1.2
_FAT_HU = (-150.0, -35.0)
"""Between gas and soft tissue; the upper limit is halfway from fat to an organ: nodes begin where organs end."""
_ENHANCED_HU = 100.0
"""CT number of the aorta from which on the scan counts as enhanced."""
_USUAL_EDGE_MM = 3.0
"""Median of real scans; for those in which no clean edge is found."""
_CUTOFFS_PER_MM = np.linspace(0.12, 1.5, 140)
_WALL_MM = 18.0
"""Fat this near to the abdominal wall holds hardly any nodes."""
_HALF_WIDTH_MM = {MEDIASTINUM: 55.0, ABDOMEN: 85.0}
"""How far from the midline nodes of a region are tried."""
_WHOLE_MM = {MEDIASTINUM: 220.0, ABDOMEN: 380.0}
"""Height of a region; a scan that shows a part of it gets that share of the nodes."""
_CLOSED_MM = 50.0
_ROOM_MM = 6.0
"""Largest depth in fat, from its border, at which a node is first tried."""


class Insertion(NamedTuple):
    """A CT with nodes in it, its truth, and the regions that it shows."""

    phantom: Phantom
    regions: tuple[Region, ...]


def insert_nodes(volume: Volume, seed: int, progress: Progress = SILENT) -> Insertion:
    """Insert synthetic nodes into the fat of the search regions that a CT shows.

    Numbers, sizes, shapes and CT numbers are sampled as for synthetic patients; nodes abut on vessels, organs and each
    other but do not enter them. Nodes that the CT has itself are not known, and not annotated.

    Args:
        volume: The CT, any axis order; the result's axes are LPS.
        seed: The same seed gives the same nodes.
        progress: Where to show the steps.

    Returns:
        The CT with nodes, its truth, and the regions. The attributes of the source's header are left out.

    Raises:
        CtlymphError: If the CT is tilted, or shows neither mediastinum nor abdomen.
    """
    volume = volume.reorient("LPS")
    if not np.allclose(volume.geometry.direction, np.eye(3), atol=1e-3):
        raise CtlymphError(f"{volume.case}: its axes are not those of the patient; nodes are put into axial scans only")
    geometry = replace(volume.geometry, direction=np.eye(3))
    with progress.task("Putting nodes into the CT", 3) as advance:
        landmarks = find_landmarks(volume)
        regions = tuple(find_regions(landmarks))
        fat = CTPlacementField(volume, regions, aorta_hu(volume, landmarks)[0], _midline_mm(landmarks))
        advance(1)
        nodes = make_nodes(fat, place_nodes(fat, np.random.default_rng([seed, 2])))
        masks = label([node.solid for node in nodes], geometry)
        advance(1)
        hu = render_nodes(Volume(volume.hu, geometry), nodes, ScanAppearance.of(volume, landmarks), seed)
        advance(1)
    shown = tuple(node for node in nodes if (masks == node.node).any())
    notes = ("Synthetic lymph nodes were put into this CT; those that it had before are not annotated.",)
    return Insertion(Phantom(Volume(hu, geometry, volume.case, notes), Masks(masks, geometry), shown), regions)


@dataclass(frozen=True, eq=False)
class CTPlacementField(PlacementField):
    """The fat that a CT shows within its search regions.

    Attributes:
        volume: The CT, axes LPS.
        found: The regions.
        aorta_hu: Mean CT number in the aorta; NaN where it was not found.
        midline_mm: Where the spine lies, along x.
    """

    volume: Volume
    found: tuple[Region, ...]
    aorta_hu: float
    midline_mm: float

    @property
    def enhanced(self) -> bool:
        """Whether the scan is contrast-enhanced."""
        return self.aorta_hu >= _ENHANCED_HU

    @cached_property
    def _grid(self) -> Geometry:
        coarse = self.found[0].geometry
        sides = box_around(np.logical_or.reduce([region.mask for region in self.found]), 3)
        return coarse.crop([s.start for s in sides], [s.stop - s.start for s in sides]).with_spacing(_GRID_MM)

    @cached_property
    def _insides(self) -> dict[str, Mask]:
        return {region.name: self._finer(region.mask, region.geometry) for region in self.found}

    def _finer(self, mask: Mask, geometry: Geometry) -> Mask:
        return np.asarray(resample_array(mask, geometry, self._grid, 0, "nearest").astype(np.bool_))

    @cached_property
    def _gap_mm(self) -> Array:
        """Depth of each voxel of the grid in the fat of a region, mm; negative outside."""
        from scipy.ndimage import gaussian_filter

        hu = resample_array(self.volume.hu, self.volume.geometry, self._grid, AIR_HU).astype(np.float32)
        smooth = gaussian_filter(np.clip(hu, -300, 200), _SMOOTH_MM / _GRID_MM)
        fat = (smooth > _FAT_HU[0]) & (smooth < _FAT_HU[1])
        fat &= np.logical_or.reduce(list(self._insides.values()))
        gap = distance_mm(~fat, self._grid) - distance_mm(fat, self._grid)
        gap -= np.sign(gap) * np.float32(_GRID_MM / 2)
        gap = gaussian_filter(gap, 0.6)
        for axis in range(3):  # nodes may not leave the grid, which may end where the scan does
            np.moveaxis(gap, axis, 0)[[0, -1]] = -_CLOSED_MM
        return np.asarray(gap)

    @cached_property
    def occupied(self) -> LatticeSolid:
        """The space that nodes may not enter: everything but the fat of the regions."""
        return LatticeSolid.of(self._gap_mm, self._grid.origin_mm, _GRID_MM)

    def stations(self, region: str | None = None) -> tuple[Station, ...]:
        """Return one station for each region found; it covers all of the region and has no name."""
        found = (each.name for each in self.found if region in (None, each.name))
        return tuple(Station("", name, (0, 0, 0), (9.0, 9.0, 12.0), 1.0, 1.0) for name in found)

    def share(self, region: str) -> float:
        """Return the share of a region that the scan shows, by its height, 0 to 1."""
        found = next(each for each in self.found if each.name == region)
        high_mm = found.mask.any(axis=(1, 2)).sum() * found.geometry.spacing_mm[2]
        return min(1.0, float(high_mm) / _WHOLE_MM[region])

    @cached_property
    def _roomy(self) -> dict[str, NDArray[np.intp]]:
        """Voxels (n, 3), z, y, x, where nodes of each region are tried: in fat, near its border."""
        from scipy.ndimage import distance_transform_edt

        near = (self._gap_mm > 0) & (self._gap_mm < _ROOM_MM)
        places = {}
        for region in self.found:
            inside = region.mask
            if region.name == ABDOMEN:
                inside = distance_transform_edt(inside, (1e3, *region.geometry.spacing_zyx[1:])) > _WALL_MM
            columns = region.geometry.index_to_mm(np.outer(np.arange(inside.shape[2]), (1, 0, 0)))[:, 0]
            central = np.abs(columns - self.midline_mm) < _HALF_WIDTH_MM[region.name]
            places[region.name] = np.argwhere(near & self._finer(inside & central, region.geometry))
        return places

    def middle(self, station: Station, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return a random place in a region's fat, LPS mm."""
        places = self._roomy[station.region]
        if not len(places):
            raise CtlymphError(f"{self.volume.case}: there is no fat in its {station.region}; choose another CT")
        return self._grid.index_to_mm(places[int(rng.integers(len(places)))][::-1])

    def station_at(self, point_mm: NDArray[np.float64], stations: Sequence[Station]) -> Station | None:
        """Return the station of the region in which a point lies."""
        i, j, k = self._grid.nearest_voxel((float(point_mm[0]), float(point_mm[1]), float(point_mm[2])))
        return next((station for station in stations if self._insides[station.region][k, j, i]), None)


def _midline_mm(landmarks: Landmarks) -> float:
    column = float(np.median(landmarks.spine[:, 0]))
    return float(landmarks.geometry.index_to_mm([column, 0, 0])[0])


@dataclass(frozen=True)
class ScanAppearance:
    """Sharpness and noise of a scan.

    Attributes:
        psf_fwhm_mm: Width of the in-plane point spread (Gaussian), mm.
        noise_hu: Standard deviation of the noise.
        cutoff_per_mm: Where its power ends in the plane.
        shared: Weight of the next slice's noise in a slice's.
    """

    psf_fwhm_mm: float
    noise_hu: float
    cutoff_per_mm: float
    shared: float

    @classmethod
    def of(cls, volume: Volume, landmarks: Landmarks) -> ScanAppearance:
        """Measure a scan, axes LPS.

        Raises:
            CtlymphError: If no homogeneous tissue is found in it, so that its noise cannot be measured.
        """
        edge, noise = edge_mm(volume, landmarks), grain(volume, landmarks)
        if np.isnan(noise.sd_hu):
            raise CtlymphError(f"{volume.case}: no homogeneous tissue to measure its noise in; choose another CT")
        # The edge of a half-plane behind a Gaussian rises from 10 to 90 % within 2.563 standard deviations.
        fwhm = 2.355 / 2.563 * (_USUAL_EDGE_MM if np.isnan(edge) else edge)
        spectra = [_fine_part(volume.geometry, cutoff) for cutoff in _CUTOFFS_PER_MM]
        nearest = int(np.argmin([abs(lag1 - noise.lag1) for _, lag1 in spectra]))
        common = float(np.clip(np.nan_to_num(noise.slices), 0, 0.499))
        shared = (1 - np.sqrt(1 - 4 * common**2)) / (2 * common) if common else 0.0
        level = noise.sd_hu / max(spectra[nearest][0], 0.2)
        return cls(float(fwhm), float(level), float(_CUTOFFS_PER_MM[nearest]), float(shared))

    def noise(self, geometry: Geometry, rng: np.random.Generator) -> Array:
        """Sample noise on a grid, (z, y, x), HU."""
        depth, height, width = geometry.shape_zyx
        white = rng.standard_normal((depth + 1, height, width), dtype=np.float32)
        gain, _ = noise_gains(geometry, self.cutoff_per_mm)
        return coloured(white, gain, self.shared) * np.float32(self.noise_hu)


def _fine_part(geometry: Geometry, cutoff_per_mm: float) -> tuple[float, float]:
    """Return SD and correlation of neighbouring pixels of noise of variance 1, of its part finer than 3 mm."""
    plane = replace(geometry, shape_zyx=(1, 64, 64))
    gain, _ = noise_gains(plane, cutoff_per_mm)
    dx, dy, _ = plane.spacing_mm
    along, across = np.fft.fftfreq(64, dy)[:, None], np.fft.rfftfreq(64, dx)[None]
    finer = 1 - np.exp(-2 * (np.pi * NOISE_SCALE_MM) ** 2 * (along**2 + across**2))
    power = (gain * finer) ** 2 * np.where(np.isin(np.arange(33), (0, 32)), 1, 2)
    total = power.sum()
    return float(np.sqrt(total / 64**2)), float((power * np.cos(2 * np.pi * across * dx)).sum() / total)


def render_nodes(volume: Volume, nodes: Sequence[TrueNode], appearance: ScanAppearance, seed: int) -> NDArray[np.int16]:
    """Return the CT's voxels (z, y, x; axes LPS) with the nodes in it, as sharp and noisy as it is."""
    hu = volume.hu.copy()
    for node in nodes:
        box, grid = _around(node, volume.geometry)
        if not hu[box].size:
            continue
        whole = [replace(part, hu=1.0) for part in node.parts]
        share = blurred_parts(whole, grid, appearance.psf_fwhm_mm, 0.0)
        tissue = blurred_parts(node.parts, grid, appearance.psf_fwhm_mm, 0.0)
        # The old noise fades with the old tissue; new noise is added up to the scan's level.
        left = 1 - np.clip(share, 0, 1)
        noise = appearance.noise(grid, np.random.default_rng([seed, 3, node.node])) * np.sqrt(1 - left**2)
        hu[box] = np.clip(np.rint(hu[box] * left + tissue + noise), -1024, 3071)
    return hu


def _around(node: TrueNode, geometry: Geometry) -> tuple[tuple[slice, slice, slice], Geometry]:
    """Return the voxels in which a node shows."""
    low, high = node.solid.bounds
    first = np.floor(geometry.mm_to_index(low - 4.0) - 1).astype(int)[::-1]
    last = np.ceil(geometry.mm_to_index(high + 4.0) + 1).astype(int)[::-1]
    start = np.clip(first, 0, geometry.shape_zyx)
    stop = np.clip(last + 1, start, geometry.shape_zyx)
    k, j, i = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    return (k, j, i), geometry.crop(start, stop - start)
