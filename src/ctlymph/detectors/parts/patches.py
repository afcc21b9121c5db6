"""Training examples of region networks: CTs on an isotropic grid with their nodes, and augmented patches of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.short_repr import short_repr
from ctlymph.core.volume import AIR_HU, Geometry, Masks, resample_array
from ctlymph.detectors.base import ENLARGED_MM, TISSUE_HU, Arrays, DetectionContext, TrueNodes, sample, working_grid

Floats = NDArray[np.float64]

_ENHANCED_HU = (45.0, 350.0)
"""HU that contrast agent may have raised, and bone hardly has."""

OTHER, NODE, IGNORE = 0, 1, 2
"""Labels of voxels: of no enlarged node, of one, or ignored in training: of a node that is small or of unknown size,
for not all of these are annotated, or outside the region, where none is."""


def example_of(context: DetectionContext, truth: TrueNodes, spacing_mm: float) -> Arrays:
    """Return the training example of a case.

    Returns:
        ``hu`` int16 z, y, x on an isotropic grid over the region; ``labels`` of its voxels, uint8; and of the enlarged
        nodes ``centres_zyx`` on that grid, ``(m, 3)``, and ``short_axes_mm``.
    """
    grid = working_grid(context.region, spacing_mm)
    enlarged = truth.short_axes_mm >= ENLARGED_MM
    return {
        "hu": sample(context.volume, grid),
        "labels": _labels(context, truth, grid),
        "centres_zyx": grid.mm_to_index(truth.points_mm[enlarged])[:, ::-1],
        "short_axes_mm": truth.short_axes_mm[enlarged],
    }


def _labels(context: DetectionContext, truth: TrueNodes, grid: Geometry) -> NDArray[np.uint8]:
    labels = np.where(context.near(grid), OTHER, IGNORE).astype(np.uint8)
    enlarged = truth.short_axes_mm >= ENLARGED_MM
    if truth.masks is None:
        for point_mm, short_mm, large in zip(truth.points_mm, truth.short_axes_mm, enlarged, strict=True):
            radius = (short_mm if np.isfinite(short_mm) else ENLARGED_MM) / 2
            labels[_ball(grid, point_mm, radius)] = NODE if large else IGNORE
        return labels
    is_node, is_unsure = _by_size(truth.masks, truth.points_mm, enlarged)
    for inside, value in ((is_unsure, IGNORE), (is_node, NODE)):
        share = resample_array(np.multiply(inside, 255, dtype=np.uint8), truth.masks.geometry, grid, 0)
        labels[share > 127] = value
    return labels


def _by_size(
    masks: Masks, points_mm: Floats, enlarged: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the masks of enlarged nodes, and those of others; a mask is of the node with the nearest centre."""
    from scipy.ndimage import center_of_mass

    labels = masks.labels
    numbers = np.unique(labels[labels > 0])
    large = np.zeros(int(labels.max()) + 1, bool)
    if len(numbers) and len(points_mm):
        middles = np.array(center_of_mass(labels > 0, labels, numbers)).reshape(-1, 3)
        middles_mm = masks.geometry.index_to_mm(middles[:, ::-1])
        nearest = np.linalg.norm(middles_mm[:, None] - points_mm[None], axis=2).argmin(axis=1)
        large[numbers] = enlarged[nearest]
    return large[labels], ~large[labels] & (labels > 0)


def _ball(grid: Geometry, point_mm: Floats, radius_mm: float) -> tuple[NDArray[np.intp], ...]:
    middle = grid.mm_to_index(point_mm)[::-1]
    extent = np.ceil(radius_mm / grid.spacing_zyx).astype(int) + 1
    start = np.clip(np.floor(middle).astype(int) - extent, 0, grid.shape_zyx)
    stop = np.clip(np.floor(middle).astype(int) + extent + 2, start, grid.shape_zyx)
    z, y, x = np.meshgrid(*(np.arange(a, b) for a, b in zip(start, stop, strict=True)), indexing="ij")
    distance_mm = np.linalg.norm((np.stack([z, y, x], axis=-1) - middle) * grid.spacing_zyx, axis=-1)
    inside = distance_mm <= radius_mm
    return z[inside], y[inside], x[inside]


@dataclass(frozen=True, eq=False)
class Patch:
    """A patch of a case, before it is scaled for a network.

    Attributes:
        hu: float32 z, y, x.
        labels: Of its voxels, as in an example.
        centres_zyx: Of the enlarged nodes in and near it, ``(m, 3)``.
        short_axes_mm: ``(m,)``.
    """

    hu: NDArray[np.float32]
    labels: NDArray[np.uint8]
    centres_zyx: Floats
    short_axes_mm: Floats

    __repr__ = short_repr


@dataclass(frozen=True)
class Augmentation:
    """How patches are changed at random, as other patients and scanners would change them; largest amounts.

    Attributes:
        turn_deg: Rotation about the body's axis.
        tilt_deg: About the others.
        stretch: Of each axis, relative.
        mirrored: Share of patches with left and right exchanged; both sides of the body have nodes.
        enhancement: Factor of what lies above 45 HU, up to the bones, from its inverse on: the phase of the contrast
            agent.
        unenhanced: Share of patches in which hardly any of that is left, as without contrast agent.
        shift_hu: Of the scale.
        noise_hu: Standard deviation of noise, whose grain varies; little is more likely than much.
        blur_voxels: Sigma of smoothing in the slice.
        thickness_voxels: Slices averaged.
        cut: Share of patches that a scan's end or the edge of its field of view runs through.
    """

    turn_deg: float = 10.0
    tilt_deg: float = 4.0
    stretch: float = 0.12
    mirrored: float = 0.3
    enhancement: float = 1.4
    unenhanced: float = 0.2
    shift_hu: float = 10.0
    noise_hu: float = 70.0
    blur_voxels: float = 0.7
    thickness_voxels: int = 3
    cut: float = 0.1


class PatchSampler:
    """Draws augmented patches from examples.

    Args:
        examples: As :func:`example_of` returns them.
        side: Voxels along the sides of a patch.
        augmentation: Augmentation.
    """

    def __init__(self, examples: Sequence[Arrays], side: int, augmentation: Augmentation) -> None:
        self.examples, self.side, self.augmentation = examples, side, augmentation
        self.nodes = [(case, n) for case, each in enumerate(examples) for n in range(len(each["centres_zyx"]))]
        self.places = [_tissue_of(each) for each in examples]

    def on_node(self, rng: np.random.Generator) -> Patch:
        """Return a patch with an enlarged node somewhere in it."""
        case, node = self.nodes[rng.integers(len(self.nodes))]
        middle = self.examples[case]["centres_zyx"][node] + rng.uniform(-0.3, 0.3, 3) * self.side
        return self._patch(case, middle, rng)

    def anywhere(self, rng: np.random.Generator) -> Patch:
        """Return a patch around a voxel of soft tissue in the region."""
        case = int(rng.integers(len(self.examples)))
        return self._patch(case, self.places[case][rng.integers(len(self.places[case]))], rng)

    def _patch(self, case: int, middle_zyx: Floats, rng: np.random.Generator) -> Patch:
        from ctlymph.detectors.parts.patch_resampling import cut

        example, side = self.examples[case], self.side
        matrix = _random_axes(self.augmentation, rng)
        offset = middle_zyx - matrix @ np.full(3, (side - 1) / 2)
        hu, labels = np.empty((side, side, side), np.float32), np.empty((side, side, side), np.uint8)
        cut(example["hu"], example["labels"], matrix, offset, (AIR_HU, IGNORE), hu, labels)
        inverse = np.linalg.inv(matrix)
        centres = (example["centres_zyx"] - offset) @ inverse.T
        near = ((centres > -side / 4) & (centres < side * 1.25)).all(axis=1)
        sizes = example["short_axes_mm"][near] * abs(np.linalg.det(inverse)) ** (1 / 3)
        hu = _as_scanned(hu, self.augmentation, rng)
        return Patch(*_cut(hu, labels, self.augmentation, rng), centres[near], sizes)


def _tissue_of(example: Arrays) -> NDArray[np.intp]:
    low, high = TISSUE_HU
    places = np.argwhere((example["labels"] == OTHER) & (example["hu"] >= low) & (example["hu"] <= high))
    return places if len(places) else np.array([example["hu"].shape]) // 2


def _random_axes(augmentation: Augmentation, rng: np.random.Generator) -> Floats:
    """Draw the directions and lengths of a patch's axes z, y, x in the example."""
    from scipy.spatial.transform import Rotation

    limits = np.array([augmentation.turn_deg, augmentation.tilt_deg, augmentation.tilt_deg])
    matrix = Rotation.from_euler("XYZ", rng.uniform(-limits, limits), degrees=True).as_matrix()
    scales = np.exp(rng.uniform(-1, 1, 3) * np.log1p(augmentation.stretch))
    if rng.random() < augmentation.mirrored:
        scales[2] *= -1
    return np.asarray(matrix * scales)


def _as_scanned(hu: NDArray[np.float32], augmentation: Augmentation, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the values as another contrast phase and another scanner would have them."""
    from scipy.ndimage import gaussian_filter, uniform_filter1d

    factor = np.exp(rng.uniform(-1, 1) * np.log(augmentation.enhancement))
    if rng.random() < augmentation.unenhanced:
        factor = rng.uniform(0.05, 0.5)
    low, high = _ENHANCED_HU
    hu = hu + np.float32(factor - 1) * (np.clip(hu, low, high) - low)
    if rng.random() < 0.5:
        thickness = int(rng.integers(1, augmentation.thickness_voxels + 1))
        hu = uniform_filter1d(hu, thickness, axis=0, mode="nearest")
    if rng.random() < 0.5:
        blur = rng.uniform(0, augmentation.blur_voxels)
        hu = gaussian_filter(hu, (0, blur, blur), mode="nearest")
    noise = rng.normal(size=hu.shape).astype(np.float32)
    if rng.random() < 0.5:
        noise = gaussian_filter(noise, rng.uniform(0.4, 0.8))
        noise /= noise.std()
    amount = augmentation.noise_hu * rng.random() ** 2
    return np.asarray(hu + noise * np.float32(amount) + np.float32(rng.uniform(-1, 1) * augmentation.shift_hu))


def _cut(
    hu: NDArray[np.float32], labels: NDArray[np.uint8], augmentation: Augmentation, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Let the scan end within some patches; voxels beyond are ignored."""
    if rng.random() < augmentation.cut:
        axis, at = int(rng.integers(3)), int(rng.integers(hu.shape[0] // 4))
        beyond = [slice(None)] * 3
        beyond[axis] = slice(0, at) if rng.random() < 0.5 else slice(hu.shape[axis] - at, None)
        hu[tuple(beyond)], labels[tuple(beyond)] = AIR_HU, IGNORE
    return hu, labels
