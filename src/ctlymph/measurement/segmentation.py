"""Segmentation of detected nodes by a random walker within soft tissue.

Around each detection, fat, vessel lumen, bone, lung and gas are excluded by
their HU. The remaining tissue is divided by a random walker (Grady, PAMI 2006)
between the node's core and a shell at about twice the node's radius. A node
surrounded by fat is segmented as a whole, with sub-voxel edges. Where it
touches muscle, bowel or another node of the same density, the walker cuts at the
narrowest place between core and shell. Both are balls at first. A second walk
uses a core and a shell of the shape of the first mask, since a ball cuts the
ends of a long node. The mask cannot leak beyond the second shell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.morphology import Mask, dilate, erode, largest_component
from ctlymph.core.nodes import Mark, Point
from ctlymph.core.progress import SILENT, Progress
from ctlymph.core.volume import Geometry, Masks, Volume, resample_array

_FAT_HU = -100.0
_LUNG_HU = -500.0
_EDGE_MM = 1.2
"""If lung or gas is this near, the edge lies halfway to it, else halfway to fat. With a larger distance, a thin layer
of fat between node and lung would count as node."""

_SHELL = 2.0
_CORE = 0.55
"""Radii of the two seeds, in radii of the detection. Without any edge the walker cuts at their harmonic mean, 0.86."""

_DEEP, _BEYOND = 0.35, 0.9
"""Seeds of the second walk, in radii of the detection: this deep in the first mask, and this far from it."""

_EXTENT = 2.25
"""Maximal distance of a mask's voxels from the detection, in its radii."""

_VOXELS_PER_RADIUS = 6.5
_FINEST_MM = 0.7
_ENHANCED_HU = 60.0
"""A vessel lumen is at least this much brighter than an adjacent node."""

_STEP_HU = 25.0
"""The weight of an edge falls by e over this difference of neighbours, or over the SD of the noise if that is more."""

_NOISE_PER_MM = 30.0
"""Noise, HU, for a Gaussian of 1 mm: sharp kernels (80 HU) get the maximum, 1.5 mm, smooth ones 0.4 mm."""

_MIN_NODE_HU = -10.0
"""A node thinner than the slices can be as dark as this, by partial volume."""

_CALCIUM = 0.05
"""Calcium has less than this share of a node; a larger bright hole is bone."""

_NECK = 0.4
"""Tails thinner than this, in radii of the detection, are vessels or fascia and are cut off."""

_SAME_NODE = 0.5
"""A detection with more than this share of its mask in the mask of a better one is the same node."""


def segment_marks(
    volume: Volume, marks: Sequence[Mark], progress: Progress = SILENT
) -> tuple[Masks, list[tuple[int, Mark]]]:
    """Segment the node of every detection.

    Args:
        volume: The CT, in any orientation.
        marks: The detections by descending score; voxels in two masks belong to the earlier one.
        progress: Reports the detections done.

    Returns:
        Instance masks on the CT's own grid, and the ``(label, mark)`` of each,
        with labels 1…n in the order of the detections. A detection whose mask
        lies mostly within an earlier mask is left out: both are the same node.
    """
    labels = np.zeros(volume.hu.shape, dtype=np.uint16)
    kept: list[tuple[int, Mark]] = []
    with progress.task("Segmenting", len(marks)) as advance:
        for mark in marks:
            mask, start = segment_mark(volume, mark)
            box = labels[tuple(slice(a, a + n) for a, n in zip(start, mask.shape, strict=True))]
            occupied = mask & (box > 0)
            if occupied.sum() <= _SAME_NODE * mask.sum():
                free = largest_component(mask & ~occupied)
                box[free] = len(kept) + 1
                kept.append((len(kept) + 1, mark))
            advance(1)
    return Masks(labels, volume.geometry), kept


def segment_mark(volume: Volume, mark: Mark) -> tuple[Mask, tuple[int, int, int]]:
    """Segment the node of one detection.

    Returns:
        Boolean array z, y, x: a box of the CT's own grid with one connected piece,
        never empty; and the index z, y, x at which the box starts in the CT.
    """
    box = _box(volume.geometry, mark.point_mm, (_EXTENT + 0.05) * mark.radius_mm)
    start = tuple(part.start for part in box)
    geometry = volume.geometry.crop(start, [part.stop - part.start for part in box])
    fine = _fine_grid(geometry, mark)
    level = _level(resample_array(volume.hu[box], geometry, fine, -1024, "linear").astype(np.float32), fine, mark)
    native = resample_array(level, fine, geometry, 0.0) >= 0.5
    if not native.any():  # a node thinner than the distance of the slices
        native[geometry.nearest_voxel(mark.point_mm)[::-1]] = True
    return largest_component(native), (start[0], start[1], start[2])


def _box(geometry: Geometry, centre_mm: Point, radius_mm: float) -> tuple[slice, slice, slice]:
    """Return slices z, y, x of the voxels within a distance of a point, at least one along each axis."""
    centre = geometry.mm_to_index(centre_mm)[::-1]
    radius = radius_mm / geometry.spacing_zyx
    last = np.array(geometry.shape_zyx) - 1
    low = np.clip(np.floor(centre - radius).astype(int), 0, last)
    high = np.clip(np.ceil(centre + radius).astype(int), low, last)
    z, y, x = (slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))
    return z, y, x


def _fine_grid(geometry: Geometry, mark: Mark) -> Geometry:
    """Return a grid of cubic voxels, with the same number across a node of any size."""
    return geometry.with_spacing(max(_FINEST_MM, mark.radius_mm / _VOXELS_PER_RADIUS))


def _level(hu: NDArray[np.float32], grid: Geometry, mark: Mark) -> NDArray[np.float32]:
    """Return the level function of the node, 0…1; its surface is at 0.5."""
    z, y, x = np.indices(hu.shape)
    away_mm = np.linalg.norm(grid.index_to_mm(np.stack([x, y, z], axis=-1)) - mark.point_mm, axis=-1)
    core = away_mm < _CORE * mark.radius_mm
    if not core.any():  # the point lies beyond the centre of the last slice
        core = away_mm <= away_mm.min()
    smooth, noise_hu = _denoised(hu, grid, core)
    node_hu = float(np.median(smooth[core]))
    tissue = _tissue(smooth, grid, node_hu, noise_hu)
    step_hu = max(_STEP_HU, noise_hu)
    # Over three steps the weight of an edge is zero anyway; clipping keeps the walker's equations well conditioned.
    near_node = np.clip(smooth, node_hu - 1.5 * step_hu, node_hu + 1.5 * step_hu)
    domain = _WalkDomain(near_node, (tissue >= 0.5) | core, smooth > node_hu, grid, step_hu, _NECK * mark.radius_mm)
    _, _, node = domain.divided(core, away_mm >= _SHELL * mark.radius_mm)
    core = core | erode(node, grid, _DEEP * mark.radius_mm)
    far = ~dilate(node, grid, _BEYOND * mark.radius_mm)
    probability, solid, node = domain.divided(core, far | (away_mm >= _EXTENT * mark.radius_mm))
    # Towards fat the surface lies halfway in HU; towards other tissue, where the walker's probability is 0.5.
    own = np.minimum(probability, np.maximum(tissue, core))
    other = np.where(domain.walkable, np.minimum(probability, 0.45), tissue)
    level = np.where(node, own, other)
    return np.asarray(np.where(node & solid & (probability < 0.5), 1.0, level), dtype=np.float32)


def _denoised(hu: NDArray[np.float32], grid: Geometry, core: Mask) -> tuple[NDArray[np.float32], float]:
    """Smooth according to the noise in the core; return the result and the SD of the remaining noise, HU."""
    from scipy import ndimage

    sigma_mm = np.clip(_noise(hu, core) / _NOISE_PER_MM, 0.4, 1.5)
    smooth = ndimage.gaussian_filter(hu, sigma_mm / grid.spacing_zyx, mode="nearest")
    return np.asarray(smooth), _noise(smooth, core)


def _noise(hu: NDArray[np.float32], core: Mask) -> float:
    """Return the robust SD, in the core, of what a Gaussian of two voxels removes, HU; HU are clipped at edges."""
    from scipy import ndimage

    soft = np.clip(hu, -150, 250)
    rest = (soft - ndimage.gaussian_filter(soft, 2, mode="nearest"))[core]
    return float(1.4826 * np.median(np.abs(rest - np.median(rest))))


def _tissue(hu: NDArray[np.float32], grid: Geometry, node_hu: float, noise_hu: float) -> NDArray[np.float32]:
    """Return the membership 0…1 in tissue like the node: 0.5 halfway to fat or lung, and to lumen, bone or calcium."""
    from scipy import ndimage

    node_hu = max(node_hu, _MIN_NODE_HU)
    window = 1 + 2 * np.ceil(_EDGE_MM / grid.spacing_zyx).astype(int)
    darkest = ndimage.minimum_filter(hu, tuple(window), mode="nearest")
    outside = np.where(darkest < _LUNG_HU, darkest, _FAT_HU)
    above_outside = (hu - outside) / (node_hu - outside)
    limit = node_hu + max(_ENHANCED_HU, 2.5 * noise_hu)
    below_lumen = 0.5 + (limit - hu) / _ENHANCED_HU
    return np.asarray(np.clip(np.minimum(above_outside, below_lumen), 0, 1))


@dataclass(frozen=True, eq=False)
class _WalkDomain:
    """The domain of the random walker.

    Attributes:
        hu: HU; steps over a difference are less probable.
        walkable: Voxels that the walker may enter.
        bright: Voxels brighter than the node.
        grid: Geometry of these arrays.
        step_hu: The weight of an edge falls by e over this difference.
        neck_mm: Connected parts with a smaller radius are tails.
    """

    hu: NDArray[np.float32]
    walkable: Mask
    bright: Mask
    grid: Geometry
    step_hu: float
    neck_mm: float

    def divided(self, core: Mask, shell: Mask) -> tuple[NDArray[np.float64], Mask, Mask]:
        """Divide the walkable voxels between core and shell.

        Returns:
            The probability of the core, 0…1; the part with 0.5 or more, with holes filled; and the node, without tails.
        """
        probability = _walk(self.hu, self.walkable, core, shell, self.step_hu)
        # Filled before tails are cut: the rim around a fatty hilum or a necrotic centre is no tail.
        solid = _filled(probability >= 0.5, self.bright)
        return probability, solid, _without_tails(solid, self.grid, core, self.neck_mm)


def _walk(hu: NDArray[np.float32], walkable: Mask, core: Mask, shell: Mask, step_hu: float) -> NDArray[np.float64]:
    """Return the probability, 0…1, that a walker from each voxel meets the core before the shell; 0 if not walkable."""
    from skimage.segmentation import random_walker

    labels = np.where(walkable, 0, -1).astype(np.int8)
    labels[walkable & shell] = 2
    labels[core] = 1
    reached = _connected(labels >= 0, core)
    labels[~reached] = -1
    if not (labels == 2).any() or not (labels == 0).any():  # surrounded by fat: there is nothing to divide
        return reached.astype(np.float64)
    # skimage weighs an edge by exp(−beta Δ² / (10 SD of the data)); this beta makes it exp(−(Δ / step)²).
    beta = 10 * float(hu.std()) / step_hu**2
    probability = random_walker(hu, labels, beta=beta, mode="cg_j", tol=1e-3, prob_tol=1, return_full_prob=True)
    return np.where(reached, np.clip(probability[0], 0, 1), 0.0)  # clipped, since the solver has a tolerance


def _connected(mask: Mask, core: Mask) -> Mask:
    """Return the parts of the mask that are connected, by faces, with the core."""
    from scipy import ndimage

    labels, count = ndimage.label(mask)
    met = np.zeros(count + 1, dtype=bool)
    met[labels[core]] = True
    met[0] = False
    return np.asarray(met[labels])


def _without_tails(node: Mask, grid: Geometry, core: Mask, radius_mm: float) -> Mask:
    """Return the node without parts that are connected by a neck thinner than the radius."""
    trunk = erode(node, grid, radius_mm)
    if not (trunk & core).any():
        return node | core
    kept = dilate(_connected(trunk, core & trunk), grid, radius_mm + 0.5 * float(grid.spacing_mm[0]))
    return _connected((node & kept) | core, core)


def _filled(node: Mask, bright: Mask) -> Mask:
    """Return the node with enclosed holes filled: fatty hilum, necrosis or calcium, but not a rib in muscle."""
    from scipy import ndimage

    holes, count = ndimage.label(ndimage.binary_fill_holes(node) & ~node)
    if count == 0:
        return node
    number = np.arange(1, count + 1)
    voxels = ndimage.sum_labels(np.ones(node.shape), holes, number)
    is_bone = (ndimage.mean(bright, holes, number) > 0.5) & (voxels > _CALCIUM * node.sum())
    return np.asarray(node | np.concatenate([[False], ~is_bone])[holes])
