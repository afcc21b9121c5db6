"""Registration of a later CT to an earlier one of the same patient.

Three steps, from coarse to fine. First the shift with the best correlation of
all; only voxels that both scans show count (Padfield, IEEE Trans Image Process
2012), so that the fields of view may differ. Then a rigid motion. Then a
deformation: demons with symmetric forces (Thirion, Med Image Anal 1998;
Vercauteren et al., NeuroImage 2009), on grids of 8 and 4 mm. The deformation is
smooth over 12 mm and more, so that it follows breath and posture, but not the
growth of nodes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctlymph.core.errors import CtlymphError
from ctlymph.core.morphology import Mask, box_around, dilate, erode, fill_slices, largest_component
from ctlymph.core.progress import SILENT, Progress
from ctlymph.core.short_repr import short_repr
from ctlymph.core.volume import Geometry, Volume, geometry_of, resample_array, to_sitk

if TYPE_CHECKING:
    import SimpleITK

MIN_OVERLAP_MM = 60.0
"""Length of the body, from head to feet, that both CTs must show."""
MIN_CORRELATION, USUAL_CORRELATION = 0.82, 0.88
"""Real CTs reach 0.85 and more with a deformed copy of themselves, and 0.71 to 0.80 with another patient's."""
MAX_DEFORMATION_MM = 50.0

_COARSE_MM, _FINE_MM = 8.0, 4.0
_AIR_HU, _BONE_HU = -1000, 300
_SKIN_HU = -350
_SOFT_HU = (-200, 200)
_TABLE_RADIUS_MM = 8.0
_CROPPED_MM = 120.0
_RIM_MM = 16.0
"""Width of the air round the body that counts in the search for the shift, so that the body's outline does."""
_MIN_SHARE = 0.2
"""Share of the body, in the scan that shows less of it, that must overlap with the other at least."""
_THREADS = 4
"""A fixed number: rounding depends on how sums are split, and a result must not depend on the computer."""


@dataclass(frozen=True, eq=False)
class Registration:
    """A mapping from a later scan to an earlier one; without arguments, the identity.

    Attributes:
        affine: 4 × 4, from later to earlier LPS mm: the rigid motion.
        deformation_mm: ``z, y, x, 3``: what is added to a point before the rigid motion; x, y, z in LPS mm.
        grid: Where ``deformation_mm`` lies, in the later scan; beyond its edge the nearest value holds.
        correlation: Correlation of the two CTs' soft tissues once registered; 1 for identical images.
    """

    affine: NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    deformation_mm: NDArray[np.float32] = field(default_factory=lambda: np.zeros((1, 1, 1, 3), dtype=np.float32))
    grid: Geometry = field(default_factory=lambda: Geometry((1, 1, 1), np.zeros(3), np.ones(3)))
    correlation: float = 1.0

    __repr__ = short_repr

    def to_earlier(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Map points ``(n, 3)`` of the later scan to the earlier one's LPS mm, wherever they lie."""
        from scipy.ndimage import map_coordinates

        points = np.asarray(points_mm, dtype=np.float64).reshape(-1, 3)
        places = self.grid.mm_to_index(points)[:, ::-1].T
        bent = [map_coordinates(self.deformation_mm[..., axis], places, order=1, mode="nearest") for axis in range(3)]
        return np.asarray((points + np.stack(bent, axis=1)) @ self.affine[:3, :3].T + self.affine[:3, 3])


def register(earlier: Volume, later: Volume, progress: Progress = SILENT) -> Registration:
    """Return where each point of a later CT lies in an earlier one of the same patient.

    Either may be with or without contrast agent, and show more or less of the body; the patient lies in the same
    position in both, turned by some 15 degrees at most. The same CTs give the same result.

    Raises:
        CtlymphError: If one of them shows no body, or they cannot be registered: less than
            :data:`MIN_OVERLAP_MM` of the body is in both, they correlate less than :data:`MIN_CORRELATION`, or the body
            would be deformed by more than :data:`MAX_DEFORMATION_MM` or fold.
    """
    with progress.task("Registering", 4) as advance:
        fine = _TissueMap.of(earlier), _TissueMap.of(later)
        coarse = fine[0].coarser(_COARSE_MM), fine[1].coarser(_COARSE_MM)
        advance(1)
        turn = _rigid(*coarse, _shift_mm(*coarse))
        advance(1)
        deformation = _Overlay.of(*coarse, turn).deformation(None, steps=60, smooth_mm=16)
        advance(1)
        overlay = _Overlay.of(*fine, turn)
        deformation = overlay.deformation(deformation, steps=20, smooth_mm=12)
        advance(1)
    correlation = overlay.correlation(deformation)
    fault = overlay.fault(deformation, correlation)
    if fault:
        raise CtlymphError(
            f"{later.case} cannot be registered to {earlier.case}: {fault}; "
            "give two CTs of the same part of one patient"
        )
    return Registration(_affine(turn), *_field(deformation), correlation)


@dataclass(frozen=True, eq=False)
class _TissueMap:
    """A CT on a coarse grid: tissues between 0 (air, and all that is not the patient) and 1 (bone)."""

    tissue: NDArray[np.float32]
    body: Mask
    grid: Geometry

    @classmethod
    def of(cls, volume: Volume) -> _TissueMap:
        small = volume.reorient("LPS").resample(_FINE_MM)
        body = _body(small.hu, small.geometry)
        if not body.any():
            raise CtlymphError(f"{volume.case} shows no body that could be registered; give a CT of the trunk")
        return cls(np.where(body, _tissue(small.hu), np.float32(0)), body, small.geometry)

    def coarser(self, spacing_mm: float) -> _TissueMap:
        grid = self.grid.with_spacing(spacing_mm)
        share = resample_array(self.body.astype(np.float32), self.grid, grid, 0)
        return _TissueMap(resample_array(self.tissue, self.grid, grid, 0), share > 0.5, grid)

    @cached_property
    def image(self) -> SimpleITK.Image:
        return to_sitk(self.tissue, self.grid)


def _body(hu: NDArray[np.int16], grid: Geometry) -> Mask:
    """Return the trunk and what it encloses, without table and blankets, which differ from scan to scan."""
    solid = hu > _SKIN_HU
    cores = erode(fill_slices(solid, grid, _CROPPED_MM), grid, _TABLE_RADIUS_MM)
    if not cores.any():
        return cores
    trunk = dilate(largest_component(cores), grid, _TABLE_RADIUS_MM + 2 * float(grid.spacing_mm.max())) & solid
    return fill_slices(largest_component(trunk), grid, _CROPPED_MM)


def _shift_mm(earlier: _TissueMap, later: _TissueMap) -> NDArray[np.float64]:
    """Return the shift from later to earlier LPS mm, by whole voxels, at which both correlate best."""
    here, there = (dilate(scan.body, scan.grid, _RIM_MM) for scan in (earlier, later))
    correlation, common = _correlations(earlier.tissue, here, later.tissue, there)
    correlation[common < _MIN_SHARE * min(here.sum(), there.sum())] = -1
    best = np.array(np.unravel_index(correlation.argmax(), correlation.shape))
    steps = np.where(best < here.shape, best, best - correlation.shape)
    return np.asarray(earlier.grid.index_to_mm(steps[::-1]) - later.grid.origin_mm)


def _correlations(
    fixed: NDArray[np.float32], fixed_mask: Mask, moved: NDArray[np.float32], moved_mask: Mask
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Correlate two arrays within their masks at every shift of the second (negative ones at the end of each axis).

    Returns:
        The correlation, and the number of voxels within both masks.
    """
    from scipy import fft

    lengths = [fft.next_fast_len(a + b - 1, real=True) for a, b in zip(fixed.shape, moved.shape, strict=True)]

    def spectra(array: NDArray[np.float32], mask: Mask) -> list[NDArray[np.complex128]]:
        inside = np.where(mask, array.astype(np.float64), 0)
        return [fft.rfftn(each, lengths) for each in (mask.astype(np.float64), inside, inside**2)]

    def sums(a: NDArray[np.complex128], b: NDArray[np.complex128]) -> NDArray[np.float64]:
        return np.asarray(fft.irfftn(a * b.conj(), lengths))

    (f0, f1, f2), (m0, m1, m2) = spectra(fixed, fixed_mask), spectra(moved, moved_mask)
    common = np.maximum(np.rint(sums(f0, m0)), 0)
    count = np.maximum(common, 1)
    of_fixed, of_moved = sums(f1, m0), sums(f0, m1)
    product = (sums(f2, m0) - of_fixed**2 / count).clip(0) * (sums(f0, m2) - of_moved**2 / count).clip(0)
    scale = np.sqrt(product)
    known = scale > 1e-6 * scale.max()
    return np.where(known, (sums(f1, m1) - of_fixed * of_moved / count) / np.where(known, scale, 1), -1), common


def _rigid(earlier: _TissueMap, later: _TissueMap, shift_mm: NDArray[np.float64]) -> SimpleITK.Euler3DTransform:
    """Refine a shift to a rigid motion from later to earlier LPS mm."""
    import SimpleITK as sitk

    motion = sitk.Euler3DTransform()
    motion.SetCenter(later.grid.index_to_mm(np.argwhere(later.body).mean(axis=0)[::-1]).tolist())
    motion.SetTranslation(shift_mm.tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    method.SetMetricFixedMask(to_sitk(dilate(later.body, later.grid, _RIM_MM), later.grid))
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.02, 60, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetNumberOfThreads(_THREADS)
    method.SetInitialTransform(motion, inPlace=True)
    method.Execute(later.image, earlier.image)
    return motion


@dataclass(frozen=True, eq=False)
class _Overlay:
    """The part of a later scan that the earlier one also shows, and the earlier one mapped to it rigidly.

    Attributes:
        fixed: Tissues of the later scan.
        moved: Tissues of the earlier one on the same grid; where it shows nothing, those of the later.
        common: The body of the later scan where the earlier one shows something.
    """

    fixed: SimpleITK.Image
    moved: SimpleITK.Image
    common: Mask

    @classmethod
    def of(cls, earlier: _TissueMap, later: _TissueMap, turn: SimpleITK.Euler3DTransform) -> _Overlay:
        import SimpleITK as sitk

        moved = sitk.GetArrayFromImage(sitk.Resample(earlier.image, later.image, turn, sitk.sitkLinear, -1.0))
        shown = moved >= 0
        common = later.body & shown
        box = box_around(common, 2) if common.any() else (slice(0, 4),) * 3
        grid = later.grid.crop([part.start for part in box], common[box].shape)
        filled = np.where(shown, moved, later.tissue)
        return cls(to_sitk(later.tissue[box], grid), to_sitk(filled[box], grid), common[box])

    def deformation(self, start: SimpleITK.Image | None, steps: int, smooth_mm: float) -> SimpleITK.Image:
        """Return what to add to each point, mm, so that the earlier scan fits the later one."""
        import SimpleITK as sitk

        demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
        demons.SetNumberOfIterations(steps)
        demons.SetStandardDeviations(smooth_mm / self.fixed.GetSpacing()[0])
        demons.SetMaximumUpdateStepLength(1.0)
        demons.SetNumberOfThreads(_THREADS)
        known: list[SimpleITK.Image] = []
        if start is not None:
            resampler = sitk.ResampleImageFilter()
            resampler.SetReferenceImage(self.fixed)
            resampler.UseNearestNeighborExtrapolatorOn()
            known = [resampler.Execute(start)]
        deformation: SimpleITK.Image = demons.Execute(self.fixed, self.moved, *known)
        return deformation

    def correlation(self, deformation: SimpleITK.Image) -> float:
        """Return the correlation of the soft tissues of both; 0 where nothing is common."""
        import SimpleITK as sitk

        if not self.common.any():
            return 0.0
        moved = sitk.Warp(
            self.moved,
            deformation,
            outputOrigin=self.fixed.GetOrigin(),
            outputSpacing=self.fixed.GetSpacing(),
            outputDirection=self.fixed.GetDirection(),
        )
        soft = [
            np.clip(sitk.GetArrayViewFromImage(image)[self.common], *_tissue(_SOFT_HU)) for image in (self.fixed, moved)
        ]
        return float(np.nan_to_num(np.corrcoef(*soft)[0, 1]))

    def fault(self, deformation: SimpleITK.Image, correlation: float) -> str:
        """Return what is implausible; empty if nothing is."""
        import SimpleITK as sitk

        overlap_mm = int(self.common.any(axis=(1, 2)).sum()) * self.fixed.GetSpacing()[2]
        if overlap_mm < MIN_OVERLAP_MM:
            return f"they have {overlap_mm:.0f} mm of the body in common, and {MIN_OVERLAP_MM:.0f} mm are needed"
        if correlation < MIN_CORRELATION:
            return f"where they fit best, their correlation is {correlation:.2f}, and {MIN_CORRELATION} is needed"
        farthest = float(np.linalg.norm(sitk.GetArrayViewFromImage(deformation)[self.common], axis=-1).max())
        if farthest > MAX_DEFORMATION_MM:
            return f"the body would be deformed by {farthest:.0f} mm, and {MAX_DEFORMATION_MM:.0f} mm are plausible"
        swelling = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(deformation))
        return "the body would fold" if swelling[self.common].min() <= 0 else ""


def _tissue(hu: ArrayLike) -> NDArray[np.float32]:
    scaled = (np.clip(hu, _AIR_HU, _BONE_HU) - _AIR_HU) / (_BONE_HU - _AIR_HU)
    return np.asarray(scaled, dtype=np.float32)


def _affine(turn: SimpleITK.Euler3DTransform) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(turn.GetMatrix()).reshape(3, 3)
    matrix[:3, 3] = turn.TransformPoint((0.0, 0.0, 0.0))
    return matrix


def _field(deformation: SimpleITK.Image) -> tuple[NDArray[np.float32], Geometry]:
    import SimpleITK as sitk

    return sitk.GetArrayFromImage(deformation).astype(np.float32), geometry_of(deformation)
