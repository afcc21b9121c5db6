"""Node-RADS 1.0 of nodes with masks: the likelihood of cancer in a node, 1 (very low) to 5 (very high).

The rules are those of Elsholtz FHJ et al., Eur Radiol 2021;31:6116. They name visual features, such as an irregular
border, without numbers. The definitions used here are given at the constants and in ``docs/noderads.md``.

A feature that cannot be assessed in the scan is not guessed: it has no points, and the category becomes a range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctlymph.core.morphology import Mask, dilate, largest_component
from ctlymph.core.nodes import LymphNode, NodeRads, NodeRadsFeature, Sizes
from ctlymph.core.volume import Geometry, Masks, Volume, reorient_array

Array = NDArray[np.float32]

NORMAL, ENLARGED, BULK = "normal", "enlarged", "bulk"
HOMOGENEOUS, HETEROGENEOUS, FOCAL, GROSS = "homogeneous", "heterogeneous", "focal necrosis", "gross necrosis"
SMOOTH, IRREGULAR = "smooth", "irregular"
TEXTURES, BORDERS = (HOMOGENEOUS, HETEROGENEOUS, FOCAL, GROSS), (SMOOTH, IRREGULAR)
"""Findings in the order of their points (Elsholtz 2021). A spherical node without a fatty hilum has one point."""
FIRST, LAST = {NORMAL: 1, ENLARGED: 2}, {NORMAL: 4, ENLARGED: 5}
"""Category without points, to which each point adds one, and the highest category (Elsholtz 2021)."""

BULK_MM = 30.0
"""Lowest longest diameter, in any plane, of a bulky node (Elsholtz 2021)."""
LIMIT_MM = 10.0
"""Lowest short axis of an enlarged node (Elsholtz 2021)."""
LIMITS_MM = {"inguinal": 15.0} | dict.fromkeys(
    ("mesenteric", "obturator", "mesorectal", "retrocrural", "cardiophrenic"), 5.0
)
"""The same at stations with this word in their name (Elsholtz 2021; its sites in the neck are no stations here)."""
GROWTH_MM = 2.0
"""Lowest growth of the short axis of an enlarged node (Elsholtz 2021)."""
_EQUAL_MM = 1e-6
"""Lengths with a smaller difference are equal: 12.3 - 10.3 is less than 2 in floating point."""

_BLUR_MM = 1.1
"""SD of a scan's blur: edges of real scans are about 3 mm wide (docs/realism.md)."""
_FWHM = 2.355
"""Full width of a Gaussian at half its maximum, in SDs."""
_AROUND_MM = 3.0
"""SD of the Gaussian over which the surroundings are averaged."""
_MARGIN_MM = 10.0
"""Width of the surroundings from which their blur into the node, and the noise, are estimated."""
_NOISE_MM, _GRAIN_MM = 5.0, 1.5
"""Window in which noise is measured; its correlation length (docs/realism.md)."""

_SMOOTHING_MM = (0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8)
"""SDs of the Gaussian that smooths within a node: the first one that leaves little noise is used."""
_LITTLE_NOISE_HU, _MUCH_NOISE_HU = 6.0, 9.0
"""Noise that it should leave, and noise with which texture cannot be assessed. Chosen here."""
_MIN_MM3 = 60.0
"""Minimal volume off the edge to assess texture: a ball of 5 mm. Chosen here."""
_MIN_SMOOTHED = 1.5
"""The same, in units of the volume over which smoothing averages. Chosen here."""
_EDGE = 0.12
"""Voxels with a larger share of the surroundings than this are the node's edge."""

_FAT_HU, _FAT_MM3, _FAT_EDGE = -20.0, 12.0, 0.16
"""A fatty hilum is darker, larger, and has a smaller share of the surroundings than this: fluid has 0 HU or more."""
_CALCIUM_HU = 100.0
"""Calcium is at least this much brighter than the node's median. Chosen here."""
_HALO = 2.7
"""Distance up to which fat and calcium blur into the node, in SDs of the blur."""

_NECROTIC_HU, _FLUID_HU = 37.0, 27.0
"""A necrotic voxel is darker than the first. A node that is darker than the second as a whole is necrotic even without
a contrast within it: unenhanced nodes have about 40 HU. Chosen here."""
_CONTRAST_HU = 15.0
"""A necrotic voxel is at least this much darker than the rest of the node. Chosen here."""
_NECROTIC_MM3 = 30.0
"""Smallest necrosis: a ball of about 4 mm. Chosen here."""
_CORE = 0.04
"""Necrosis is a core: on average its share of the surroundings is less than this. Uniformity is assessed there, too."""
_GROSS = 1 / 3
"""Necrosis of at least this share of the node is gross. Chosen here."""
_LIVING_HU = 32.0
"""It is also gross if half of the node off the edge is darker than this: hardly any tissue is viable. Chosen here."""
_ENHANCED_HU = 48.0
"""Darker tissue is hardly enhanced, so that necrosis may be invisible. Chosen here."""
_UNEVEN_HU, _COARSER = 4.4, 1.4
"""Lowest SD of heterogeneous tissue, beyond that of the noise, and the factor of smoothing relative to that for
necrosis. Chosen here."""

_LONG_WAVES = 5
"""Waves of an outline up to this number are its form: an ellipse, a bean, lobes. Shorter ones are its relief."""
_POINTS = 256
"""Number of points at which an outline is sampled."""
_SHORTEST_MM = 3.0
"""Shorter waves come from the voxel grid."""
_IRREGULAR = 0.030
"""Lowest root mean square of the relief, relative to the section's radius, of an irregular border. Chosen here: manual
outlines of ordinary nodes differ by 7 % from an ellipsoid, but mostly in long waves; 2 % remain."""
_RADIUS_MM, _RADIUS_PX = 4.0, 5.0
"""The border of sections with a smaller radius cannot be assessed."""
_SECTIONS = 2
"""Minimal number of sections with at least half the area of the largest one."""

_SPHERICAL = 1.4
"""Lowest ratio of the diameters of the ellipsoid with the moments of a node that is not spherical. Chosen here."""
_MIN_EXTENT = 3
"""The shape of a node with fewer voxels along any axis cannot be assessed."""


def assess_nodes(
    volume: Volume, masks: Masks, nodes: Sequence[LymphNode], former: Mapping[int, float] | None = None
) -> list[LymphNode]:
    """Return the nodes with their Node-RADS.

    Args:
        volume: The CT, in any orientation.
        masks: Instance masks on the volume's grid; labels are the nodes' numbers.
        nodes: Nodes from :func:`ctlymph.measurement.axes.measure_masks`, with their stations if known.
        former: Short axes in the former scan, mm, by the number of the node in this one; nodes may be absent.

    Returns:
        The same nodes, in the same order.

    Raises:
        ValueError: If the masks do not lie on the volume's grid, within 0.1 mm, or lack a node.
    """
    from scipy.ndimage import find_objects

    if not masks.geometry.matches(volume.geometry, tolerance_mm=0.1):
        raise ValueError("the masks do not lie on the volume's grid")
    boxes = find_objects(masks.labels)
    margin = np.ceil(_MARGIN_MM / volume.geometry.spacing_zyx).astype(int)
    assessed = []
    for node in nodes:
        box = boxes[node.node - 1] if 0 < node.node <= len(boxes) else None
        if box is None:
            raise ValueError(f"the masks hold no node {node.node}")
        around = tuple(
            slice(max(0, part.start - extra), part.stop + extra) for part, extra in zip(box, margin, strict=True)
        )
        mask = masks.labels[around] == node.node
        geometry = volume.geometry.crop([part.start for part in around], mask.shape)
        before = (former or {}).get(node.node)
        found = node_rads(mask, geometry, volume.hu[around], node.sizes, node.station, before)
        assessed.append(replace(node, node_rads=found))
    return assessed


def node_rads(
    mask: Mask,
    geometry: Geometry,
    hu: NDArray[np.int16],
    sizes: Sizes,
    station: str = "",
    former_short_mm: float | None = None,
) -> NodeRads:
    """Return the Node-RADS of one node.

    Args:
        mask: bool, z, y, x, with a margin of about 10 mm; a mask at the array's edge counts as cut off by the scan.
        geometry: Position of ``mask``; an oblique array is not resampled.
        hu: HU of the same voxels.
        sizes: The node's sizes, from :func:`ctlymph.measurement.axes.measure_mask`.
        station: Name of its station, or empty.
        former_short_mm: Its short axis in the former scan, mm, or None.

    Raises:
        ValueError: If no voxel is set, or the shapes differ.
    """
    if mask.shape != geometry.shape_zyx or hu.shape != mask.shape:
        raise ValueError(f"shapes differ: mask {mask.shape}, geometry {geometry.shape_zyx}, HU {hu.shape}")
    if not mask.any():
        raise ValueError("the mask holds no voxel")
    upright, grid = reorient_array(mask, geometry, "LPS")
    tissue = _Tissue(upright, reorient_array(hu, geometry, "LPS")[0].astype(np.float32), grid)
    size = assess_size(sizes, station, former_short_mm)
    return _concluded(size, _assess_texture(tissue), _assess_border(upright, grid), _assess_shape(tissue))


def category(size: str, texture_points: int, border_points: int, shape_points: int) -> int:
    """Return the category, 1–5, that follows from size and points (Elsholtz 2021).

    >>> category("enlarged", texture_points=2, border_points=0, shape_points=1)
    5
    >>> category("normal", texture_points=0, border_points=0, shape_points=0)
    1

    Args:
        size: ``normal``, ``enlarged`` or ``bulk``.
        texture_points: 0 homogeneous, 1 heterogeneous, 2 focal and 3 gross necrosis.
        border_points: 0 smooth, 1 irregular.
        shape_points: 1 spherical without a fatty hilum, else 0.

    Raises:
        ValueError: If the size is none of these, or points are out of range.
    """
    if size not in (*FIRST, BULK):
        raise ValueError(f"size {size!r} is none of {NORMAL}, {ENLARGED}, {BULK}")
    if not (0 <= texture_points <= 3 and 0 <= border_points <= 1 and 0 <= shape_points <= 1):
        raise ValueError(f"points {texture_points}, {border_points}, {shape_points} are not within 0–3, 0–1, 0–1")
    if size == BULK:
        return 5
    return min(FIRST[size] + texture_points + border_points + shape_points, LAST[size])


def assess_size(sizes: Sizes, station: str = "", former_short_mm: float | None = None) -> NodeRadsFeature:
    """Return whether a node is normal, enlarged or bulk; the arguments are those of :func:`node_rads`."""
    longest, short = sizes.any_plane_long_axis.length_mm, sizes.short_axis.length_mm
    limit = next((limit for word, limit in LIMITS_MM.items() if word in station.lower().split()), LIMIT_MM)
    where = f" ({station})" if limit != LIMIT_MM else ""
    if _reaches(longest, BULK_MM):
        return NodeRadsFeature(BULK, 0, f"longest diameter {longest:.1f} mm, {BULK_MM:g} or more")
    if _reaches(short, limit):
        return NodeRadsFeature(ENLARGED, 0, f"short axis {short:.1f} mm, {limit:g} or more{where}")
    if former_short_mm is not None and _reaches(short - former_short_mm, GROWTH_MM):
        return NodeRadsFeature(
            ENLARGED, 0, f"short axis {short:.1f} mm after {former_short_mm:.1f}, grown by {GROWTH_MM:g} or more"
        )
    return NodeRadsFeature(NORMAL, 0, f"short axis {short:.1f} mm, below {limit:g}{where}")


def _reaches(length_mm: float, limit_mm: float) -> bool:
    return length_mm >= limit_mm - _EQUAL_MM


def _concluded(
    size: NodeRadsFeature, texture: NodeRadsFeature, border: NodeRadsFeature, shape: NodeRadsFeature
) -> NodeRads:
    features = {"texture": (texture, 3), "border": (border, 1), "shape": (shape, 1)}
    known = [0 if feature.points is None else feature.points for feature, _ in features.values()]
    worst = [most if feature.points is None else feature.points for feature, most in features.values()]
    lowest, highest = category(size.finding, *known), category(size.finding, *worst)
    said = [
        f"{name} not judged (0 to {most})" if feature.points is None else f"{feature.finding} {feature.points}"
        for name, (feature, most) in features.items()
    ]
    reason = "bulk, whatever else" if size.finding == BULK else f"{size.finding}; points: {', '.join(said)}"
    return NodeRads(lowest, highest, size, texture, border, shape, reason)


@dataclass(frozen=True)
class _Tissue:
    """The voxels of a node and its surroundings.

    Attributes:
        mask: The node; boolean, z, y, x, axes LPS.
        hu: HU of the same voxels.
        geometry: Their position.
    """

    mask: Mask
    hu: Array
    geometry: Geometry

    def spread(self, values: NDArray[np.generic], sigma_mm: ArrayLike) -> Array:
        """Return the values blurred by a Gaussian with this SD, mm."""
        from scipy.ndimage import gaussian_filter

        sigma = np.broadcast_to(sigma_mm, 3) / self.geometry.spacing_zyx
        return np.asarray(gaussian_filter(values.astype(np.float32), sigma, mode="nearest"))

    def mean(self, values: Array, within: Mask, sigma_mm: float) -> Array:
        """Return the values blurred within a mask, without any influence of values outside."""
        weight = self.spread(within, sigma_mm)
        return np.asarray(self.spread(np.where(within, values, 0), sigma_mm) / np.maximum(weight, np.float32(1e-3)))

    @cached_property
    def blur_mm(self) -> NDArray[np.float64]:
        """SD of the scan's blur along z, y, x, mm; across thick slices that of their profile."""
        return np.maximum(_BLUR_MM, self.geometry.spacing_zyx / _FWHM)

    @cached_property
    def foreign(self) -> Array:
        """Share of each voxel's signal that comes from outside the node, 0…1."""
        return 1 - self.spread(self.mask, self.blur_mm)

    @cached_property
    def own_hu(self) -> Array:
        """HU without the signal from the surroundings; valid within the node, up to its edge."""
        soft = np.clip(self.hu, -200, 300)
        around = self.mean(soft, self.foreign > 0.8, _AROUND_MM)
        theirs = self.spread(np.where(self.mask, 0, around), self.blur_mm)
        return np.asarray((soft - theirs) / np.maximum(1 - self.foreign, np.float32(0.3)))

    @cached_property
    def noise_hu(self) -> float:
        """SD of the scan's noise: that of the most uniform fifth of the soft tissue and fat in view."""
        from scipy.ndimage import uniform_filter

        size = np.maximum(1, np.rint(_NOISE_MM / self.geometry.spacing_zyx)).astype(int)
        soft = np.clip(self.hu, -200, 300)
        mean = uniform_filter(soft, size)
        sd = np.sqrt(np.maximum(uniform_filter(soft**2, size) - mean**2, 0))
        known = ((mean > -160) & (mean < 200)) | self.mask
        return float(np.percentile(sd[known], 20))

    def noise_left_hu(self, sigma_mm: float) -> float:
        """Return the SD of the noise after smoothing by a Gaussian with this SD, mm."""
        grain = np.maximum(_GRAIN_MM, self.geometry.spacing_zyx)
        return self.noise_hu * float(np.sqrt(np.minimum(1, grain / _averaging_mm(sigma_mm))).prod())

    @cached_property
    def smoothing_mm(self) -> float:
        """SD of the Gaussian that the noise requires, mm."""
        enough = (sigma for sigma in _SMOOTHING_MM if self.noise_left_hu(sigma) <= _LITTLE_NOISE_HU)
        return next(enough, _SMOOTHING_MM[-1])

    @cached_property
    def _fine(self) -> Array:
        """Slightly smoothed HU."""
        return self.mean(self.own_hu, self.mask & (self.foreign < 0.45), _SMOOTHING_MM[1])

    @cached_property
    def fat(self) -> Mask:
        """Dark voxels of the node off its edge."""
        return self.mask & (self.foreign < _FAT_EDGE) & (self._fine < _FAT_HU)

    @cached_property
    def fat_mm3(self) -> float:
        """Volume of the largest piece of fat, mm³."""
        return self.volume_mm3(largest_component(self.fat))

    @cached_property
    def core(self) -> Mask:
        """The node without its edge, fat and calcium, and without the voxels into which these blur."""
        inside = self.mask & (self.foreign < _EDGE)
        if not inside.any():
            return inside
        calcium = self.mask & (self._fine > float(np.median(self._fine[inside])) + _CALCIUM_HU)
        in_blurs = replace(self.geometry, spacing_mm=(self.geometry.spacing_zyx / self.blur_mm)[::-1])
        strange = self.fat | calcium
        return inside & ~dilate(strange, in_blurs, _HALO) if strange.any() else inside

    def volume_mm3(self, part: Mask) -> float:
        """Return the volume of some voxels, mm³."""
        return float(np.count_nonzero(part) * self.geometry.voxel_mm3)


def _averaging_mm(sigma_mm: float) -> float:
    """Return the length over which a Gaussian averages: that of a box that leaves as much white noise."""
    return float(2 * np.sqrt(np.pi) * sigma_mm)


def _assess_texture(tissue: _Tissue) -> NodeRadsFeature:
    """Assess texture if the node, off its edge, is large enough for the noise, and enhanced.

    Without contrast agent a dark core may be noise, and necrosis may be invisible; only a node that is dark as a whole
    can be assessed.
    """
    size, left = tissue.volume_mm3(tissue.core), tissue.noise_left_hu(tissue.smoothing_mm)
    needed = max(_MIN_MM3, _MIN_SMOOTHED * _averaging_mm(tissue.smoothing_mm) ** 3)
    noise = f"noise of {tissue.noise_hu:.0f} HU in slices of {tissue.geometry.spacing_mm.max():.1f} mm"
    if left > _MUCH_NOISE_HU:
        return NodeRadsFeature("", None, f"{noise} is too much")
    if size < needed:
        return NodeRadsFeature("", None, f"{size:.0f} mm³ are free of edge and fat; {noise} asks for {needed:.0f}")
    necrosis, living_hu = _necrosis(tissue, left)
    if necrosis:
        return necrosis
    if living_hu < _ENHANCED_HU:
        return NodeRadsFeature("", None, f"{living_hu:.0f} HU is hardly enhanced, so that necrosis need not show")
    return _evenness(tissue)


def _necrosis(tissue: _Tissue, noise_left_hu: float) -> tuple[NodeRadsFeature | None, float]:
    """Search for a dark core; return the finding, if there is one, and the HU of the rest of the node."""
    smooth = tissue.mean(tissue.own_hu, tissue.core, tissue.smoothing_mm)
    values = smooth[tissue.core]
    # In uniform tissue, the noise makes a twentieth of the voxels brighter by 1.6 SDs.
    living, typical = float(np.percentile(values, 95)) - 1.6 * noise_left_hu, float(np.median(values))
    if typical < _FLUID_HU:
        return NodeRadsFeature(GROSS, 3, f"{typical:.0f} HU throughout"), living
    dark = largest_component(tissue.core & (smooth < min(living - _CONTRAST_HU, _NECROTIC_HU)))
    if tissue.volume_mm3(dark) < _NECROTIC_MM3 or float(tissue.foreign[dark].mean()) >= _CORE:
        return None, living
    if living < _ENHANCED_HU and typical >= _LIVING_HU:
        return None, living
    halfway = (float(np.percentile(smooth[dark], 20)) + living) / 2
    share = np.count_nonzero(values < halfway) / np.count_nonzero(tissue.mask)
    points = 3 if share >= _GROSS or typical < _LIVING_HU else 2
    reason = f"{smooth[dark].mean():.0f} HU within {living:.0f} HU, {share:.0%} of the node"
    return NodeRadsFeature(TEXTURES[points], points, reason), living


def _evenness(tissue: _Tissue) -> NodeRadsFeature:
    """Return whether the tissue is homogeneous or heterogeneous."""
    deep = tissue.core & (tissue.foreign < _CORE)
    if tissue.volume_mm3(deep) < _MIN_MM3:
        return NodeRadsFeature(
            "", None, f"{tissue.volume_mm3(deep):.0f} mm³ lie far from the edge, {_MIN_MM3:.0f} are needed"
        )
    sigma_mm = _COARSER * tissue.smoothing_mm
    variance = float(tissue.mean(tissue.own_hu, deep, sigma_mm)[deep].var()) - tissue.noise_left_hu(sigma_mm) ** 2
    uneven = max(0.0, variance) ** 0.5
    points = int(uneven >= _UNEVEN_HU)
    return NodeRadsFeature(TEXTURES[points], points, f"SD {uneven:.1f} HU beyond the noise, uneven from {_UNEVEN_HU:g}")


def _assess_border(mask: Mask, grid: Geometry) -> NodeRadsFeature:
    """Assess the outlines on the slices with the smallest pixels, mostly the axial ones.

    The relief of an outline is its part in waves shorter than its form. An ordinary node has some; one with half as
    much again is irregular. The sharpness of the edge is not assessed.
    """
    if _is_cut(mask):
        return NodeRadsFeature("", None, "the scan ends within the node")
    axis = int(np.argmax(grid.spacing_zyx * (1.01, 1, 1)))
    sections, pixel_mm = np.moveaxis(mask, axis, 0), np.delete(grid.spacing_zyx, axis)
    areas = sections.sum(axis=(1, 2))
    large = np.flatnonzero(areas >= 0.5 * areas.max())
    radius_mm = float(np.sqrt(areas.max() * pixel_mm.prod() / np.pi))
    min_mm = max(_RADIUS_MM, _RADIUS_PX * float(pixel_mm.max()))
    if radius_mm < min_mm or len(large) < _SECTIONS:
        sizes = f"largest section {2 * radius_mm:.1f} mm wide, {len(large)} like it"
        return NodeRadsFeature("", None, f"{sizes}; {2 * min_mm:.1f} mm and {_SECTIONS} are needed")
    relief = float(np.mean([_relief(sections[index], pixel_mm) for index in large]))
    points = int(relief >= _IRREGULAR)
    return NodeRadsFeature(
        BORDERS[points], points, f"relief {relief:.1%} of the radius, irregular from {_IRREGULAR:.1%}"
    )


def _relief(section: Mask, pixel_mm: NDArray[np.float64]) -> float:
    """Return the root mean square of an outline's short waves, relative to the radius of the section."""
    from skimage.measure import find_contours

    outlines = find_contours(np.pad(section, 1).astype(np.float64), 0.5, fully_connected="high")
    # Fourier descriptors: the plane of the slice is that of complex numbers.
    points = max(outlines, key=len) * pixel_mm @ np.array((1, 1j))
    length_mm = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(points)))])
    even = np.interp(np.arange(_POINTS) * (length_mm[-1] / _POINTS), length_mm, points)
    spectrum, wave = np.fft.fft(even), np.fft.fftfreq(_POINTS, 1 / _POINTS)
    form = np.where(np.abs(wave) <= _LONG_WAVES, spectrum, 0)
    filtered = spectrum / (1 + (wave * _SHORTEST_MM / length_mm[-1]) ** 8)
    along = np.fft.ifft(1j * wave * form)
    across_mm = np.imag(np.fft.ifft(filtered - form) * np.conj(along / np.abs(along)))
    radius_mm = np.sqrt(np.count_nonzero(section) * pixel_mm.prod() / np.pi)
    return float(np.sqrt(np.mean(across_mm**2)) / radius_mm)


def _assess_shape(tissue: _Tissue) -> NodeRadsFeature:
    """Assess whether the node has a fatty hilum, and whether it is spherical."""
    voxels = np.argwhere(tissue.mask)
    spacing = tissue.geometry.spacing_zyx
    hilum = tissue.fat_mm3 >= _FAT_MM3
    fat = f"{tissue.fat_mm3:.0f} mm³ of fat within"
    if hilum:
        return NodeRadsFeature("fatty hilum", 0, fat)
    if _is_cut(tissue.mask):
        return NodeRadsFeature("", None, "the scan ends within the node")
    extent = np.ptp(voxels, axis=0) + 1
    if extent.min() < _MIN_EXTENT:
        return NodeRadsFeature("", None, f"{extent.min()} voxels across, {_MIN_EXTENT} are needed")
    moments = np.cov((voxels * spacing).T) + np.diag(spacing**2 / 12)
    variances = np.linalg.eigvalsh(moments)
    ratio = float(np.sqrt(variances[2] / variances[0]))
    said = f"{ratio:.2f} times as long as thick, spherical below {_SPHERICAL:g}"
    if ratio >= _SPHERICAL:
        return NodeRadsFeature("not spherical", 0, said)
    visible_mm3 = tissue.volume_mm3(tissue.mask & (tissue.foreign < _FAT_EDGE))
    if visible_mm3 < _MIN_MM3 or 3 * tissue.noise_left_hu(_SMOOTHING_MM[1]) > -_FAT_HU + _NECROTIC_HU:
        return NodeRadsFeature("", None, f"{said}; too small or too noisy to see a fatty hilum")
    return NodeRadsFeature("spherical, no fatty hilum", 1, said)


def _is_cut(mask: Mask) -> bool:
    """Return whether the mask reaches the array's edge."""
    return any(bool(np.take(mask, (0, -1), axis=axis).any()) for axis in range(3))
