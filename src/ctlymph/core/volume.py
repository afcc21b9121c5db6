"""CT volumes: arrays with a position in the patient.

Arrays are ``z, y, x``. Indices ``i, j, k`` run along ``x, y, z`` of the array
(so ``array[k, j, i]``), and points are ``x, y, z`` in LPS millimetres: x grows
to the patient's left, y to the back, z to the head. Conversion between index
and millimetres happens in :class:`Geometry` and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import permutations
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctlymph.core.errors import CtlymphError

if TYPE_CHECKING:
    import SimpleITK

AIR_HU = -1024
"""CT number of air, which fills the outside of the scanner's field of view."""

Interpolation = Literal["nearest", "linear", "bspline"]

_AXIS_LETTERS = (("R", "L"), ("A", "P"), ("I", "S"))


@dataclass(frozen=True, eq=False)
class Geometry:
    """The position of an array's voxels in the patient.

    >>> grid = Geometry((40, 512, 512), origin_mm=(-180, -180, 900), spacing_mm=(0.7, 0.7, 2.5))
    >>> grid
    Geometry(512 × 512 × 40 voxels of 0.7 × 0.7 × 2.5 mm, LPS, origin -180, -180, 900 mm)
    >>> grid.index_to_mm([10, 20, 4]).tolist()
    [-173.0, -166.0, 910.0]
    >>> grid.nearest_voxel((-173.2, -166.1, 910.9))
    (10, 20, 4)

    Attributes:
        shape_zyx: Number of voxels along z, y, x of the array.
        origin_mm: Centre of voxel ``i, j, k = 0, 0, 0``; x, y, z in LPS mm.
        spacing_mm: Distance between voxel centres along i, j, k; positive.
        direction: 3 × 3; column n is the unit vector, in LPS, along which the
            n-th index grows. Orthonormal, either handedness.

    Raises:
        CtlymphError: If a number is not finite, a spacing not positive, or the
            direction's columns are not perpendicular unit vectors.
    """

    shape_zyx: tuple[int, int, int]
    origin_mm: NDArray[np.float64]
    spacing_mm: NDArray[np.float64]
    direction: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape_zyx", tuple(int(n) for n in self.shape_zyx))
        object.__setattr__(self, "origin_mm", _frozen(self.origin_mm, (3,)))
        object.__setattr__(self, "spacing_mm", _frozen(self.spacing_mm, (3,)))
        object.__setattr__(self, "direction", _frozen(self.direction, (3, 3)))
        for name in ("origin_mm", "spacing_mm", "direction"):
            if not np.isfinite(getattr(self, name)).all():
                raise CtlymphError(f"the image's {name.removesuffix('_mm')} holds NaN or infinity; repair its header")
        if (self.spacing_mm <= 0).any():
            raise CtlymphError(f"the image's spacing {self.spacing_mm.tolist()} mm is not positive; repair its header")
        if np.abs(self.direction.T @ self.direction - np.eye(3)).max() > 1e-3:
            raise CtlymphError("the image's axes are not perpendicular (sheared); resample it to a rectangular grid")

    def __repr__(self) -> str:
        origin = ", ".join(f"{mm:g}" for mm in np.round(self.origin_mm, 2))
        return f"Geometry({self.summary}, origin {origin} mm)"

    @property
    def summary(self) -> str:
        """The size, spacing and orientation in words; i, j, k order."""
        size = " × ".join(map(str, self.shape_ijk))
        spacing = " × ".join(f"{mm:.4g}" for mm in self.spacing_mm)
        return f"{size} voxels of {spacing} mm, {self.orientation}"

    @classmethod
    def from_affine(cls, affine: ArrayLike, shape_zyx: tuple[int, int, int]) -> Geometry:
        """Return the geometry of a 4 × 4 matrix that maps ``i, j, k, 1`` to LPS mm.

        Args:
            affine: The matrix.
            shape_zyx: Number of voxels along z, y, x of the array.

        Raises:
            CtlymphError: If a number is not finite, a column is zero, or the columns are not perpendicular.
        """
        matrix = np.asarray(affine, dtype=np.float64)
        columns = matrix[:3, :3]
        spacing = np.linalg.norm(columns, axis=0)
        if not np.isfinite(matrix).all() or (spacing == 0).any():
            raise CtlymphError("the image's affine holds NaN, infinity or a zero column; repair its header")
        return cls(shape_zyx, matrix[:3, 3], spacing, columns / spacing)

    @cached_property
    def affine(self) -> NDArray[np.float64]:
        """4 × 4 matrix that maps ``i, j, k, 1`` to LPS mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.direction * self.spacing_mm
        matrix[:3, 3] = self.origin_mm
        return matrix

    @cached_property
    def _inverse(self) -> NDArray[np.float64]:
        return np.asarray(np.linalg.inv(self.affine[:3, :3]))

    def index_to_mm(self, ijk: ArrayLike) -> NDArray[np.float64]:
        """Map indices i, j, k ``(..., 3)``, fractions allowed, to LPS mm ``(..., 3)``."""
        return np.asarray(ijk, dtype=np.float64) @ self.affine[:3, :3].T + self.origin_mm

    def mm_to_index(self, xyz_mm: ArrayLike) -> NDArray[np.float64]:
        """Map LPS mm ``(..., 3)`` to fractional indices i, j, k ``(..., 3)``, which may lie outside the grid."""
        return (np.asarray(xyz_mm, dtype=np.float64) - self.origin_mm) @ self._inverse.T

    def nearest_voxel(self, xyz_mm: ArrayLike) -> tuple[int, int, int]:
        """Return i, j, k of the voxel nearest to an LPS point, also for points outside the grid."""
        last = np.array(self.shape_ijk) - 1
        i, j, k = (int(n) for n in np.clip(np.rint(self.mm_to_index(xyz_mm)), 0, last))
        return i, j, k

    def contains(self, xyz_mm: ArrayLike) -> NDArray[np.bool_]:
        """Return which LPS points ``(..., 3)`` lie within a voxel of the grid."""
        index = np.rint(self.mm_to_index(xyz_mm))
        return np.asarray(((index >= 0) & (index < self.shape_ijk)).all(axis=-1))

    @property
    def shape_ijk(self) -> tuple[int, int, int]:
        """Number of voxels along i, j, k."""
        return self.shape_zyx[::-1]

    @property
    def spacing_zyx(self) -> NDArray[np.float64]:
        """Spacing in the order of the array's axes, mm."""
        return np.asarray(self.spacing_mm[::-1])

    @property
    def voxel_mm3(self) -> float:
        """Volume of one voxel, mm³."""
        return float(np.prod(self.spacing_mm))

    @cached_property
    def corners_mm(self) -> NDArray[np.float64]:
        """Centres of the eight outermost voxels, ``(8, 3)``, LPS mm."""
        return self.index_to_mm(np.array(np.meshgrid(*([0, n - 1] for n in self.shape_ijk))).reshape(3, -1).T)

    @property
    def orientation(self) -> str:
        """Patient directions in which i, j, k grow, by the nearest patient axes: ``LPS`` for the usual axial CT."""
        rows = _nearest_axes(self.direction)
        return "".join(_AXIS_LETTERS[row][int(self.direction[row, column] > 0)] for column, row in enumerate(rows))

    def matches(self, other: Geometry, tolerance_mm: float = 0.01) -> bool:
        """Return whether both have the same shape, and corners that agree within ``tolerance_mm``."""
        if self.shape_zyx != other.shape_zyx:
            return False
        return bool(np.abs(self.corners_mm - other.corners_mm).max() <= tolerance_mm)

    def crop(self, start_zyx: ArrayLike, shape_zyx: ArrayLike) -> Geometry:
        """Return the geometry of ``array[start : start + shape]`` (z, y, x); start may be negative (padding)."""
        start = np.asarray(start_zyx, dtype=int)
        z, y, x = (int(n) for n in np.asarray(shape_zyx, dtype=int))
        return replace(self, shape_zyx=(z, y, x), origin_mm=self.index_to_mm(start[::-1]))

    def with_spacing(self, spacing_mm: ArrayLike) -> Geometry:
        """Return a grid over the same box with another spacing, mm: one number, or three for i, j, k."""
        spacing = np.broadcast_to(np.asarray(spacing_mm, dtype=np.float64), (3,))
        extent = np.array(self.shape_ijk) * self.spacing_mm
        x, y, z = (int(n) for n in np.maximum(1, np.ceil(extent / spacing - 1e-6)))
        first_centre = (spacing / self.spacing_mm - 1) / 2
        return replace(self, shape_zyx=(z, y, x), origin_mm=self.index_to_mm(first_centre), spacing_mm=spacing)


@dataclass(frozen=True, eq=False)
class Volume:
    """A CT volume: int16 HU ``z, y, x`` and their position in the patient.

    >>> grid = Geometry((20, 64, 64), origin_mm=(-40, -40, 100), spacing_mm=(1.25, 1.25, 3))
    >>> ct = Volume(np.full(grid.shape_zyx, -1024, dtype=np.int16), grid, case="phantom")
    >>> ct
    Volume(64 × 64 × 20 voxels of 1.25 × 1.25 × 3 mm, LPS, 0 notes)
    >>> ct.resample(2.5).hu.shape
    (24, 32, 32)
    >>> ct.reorient("RAS").geometry.orientation
    'RAS'

    Attributes:
        hu: int16 array, z, y, x.
        geometry: Position of the voxels; its shape is that of the array.
        case: Name of the case: the PatientID for DICOM, else the name of the file without its suffix.
        notes: Remarks of the reader for the user, such as a corrected gantry tilt, one sentence each.
        attributes: Facts about the source, such as ``SeriesInstanceUID``, ``Modality`` or ``path``.
    """

    hu: NDArray[np.int16]
    geometry: Geometry
    case: str = "ct"
    notes: tuple[str, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_array(self.hu, self.geometry, np.dtype(np.int16))

    def __repr__(self) -> str:
        # Neither case nor attributes, which hold the patient's name and number.
        return f"Volume({self.geometry.summary}, {len(self.notes)} notes)"

    def crop(self, start_zyx: ArrayLike, shape_zyx: ArrayLike, fill: int = AIR_HU) -> Volume:
        """Return a copy of a box of the volume.

        Args:
            start_zyx: Index at which the box starts, z, y, x; may be negative.
            shape_zyx: Number of voxels of the box, z, y, x.
            fill: HU of the part of the box that lies outside the volume.
        """
        return replace(
            self,
            hu=crop_array(self.hu, start_zyx, shape_zyx, fill),
            geometry=self.geometry.crop(start_zyx, shape_zyx),
        )

    def reorient(self, orientation: str = "LPS") -> Volume:
        """Return the volume with its axes permuted and flipped so that i, j, k grow towards ``orientation``.

        Nothing is resampled, and the array is a view. An oblique volume stays
        oblique: its axes are matched with the nearest patient axes.

        Raises:
            ValueError: If ``orientation`` does not name each patient axis once, as ``LPS`` or ``RAI`` does.
        """
        hu, geometry = reorient_array(self.hu, self.geometry, orientation)
        return replace(self, hu=hu, geometry=geometry)

    def resample(self, grid: Geometry | ArrayLike, interpolation: Interpolation = "linear") -> Volume:
        """Return the volume resampled to another grid, or to another spacing over the same box.

        Axes that become coarser are smoothed first, against aliasing.

        Args:
            grid: The grid, or a spacing in mm: one number, or three for i, j, k.
            interpolation: ``nearest``, ``linear`` or ``bspline``.
        """
        target = grid if isinstance(grid, Geometry) else self.geometry.with_spacing(grid)
        hu = resample_array(self.hu, self.geometry, target, AIR_HU, interpolation)
        return replace(self, hu=hu, geometry=target)


@dataclass(frozen=True, eq=False)
class Masks:
    """Instance masks of nodes: one label for each node.

    Attributes:
        labels: uint16 array, z, y, x: 0 background, any other value one node; values may have gaps.
        geometry: Position of the voxels; its shape is that of the array.
    """

    labels: NDArray[np.uint16]
    geometry: Geometry

    def __post_init__(self) -> None:
        _check_array(self.labels, self.geometry, np.dtype(np.uint16))

    def __repr__(self) -> str:
        return f"Masks({self.geometry.summary}, largest label {self.labels.max(initial=0)})"

    def reorient(self, orientation: str = "LPS") -> Masks:
        """Return the masks with their axes permuted and flipped, as :meth:`Volume.reorient` does."""
        return Masks(*reorient_array(self.labels, self.geometry, orientation))


def crop_array(array: NDArray[Any], start_zyx: ArrayLike, shape_zyx: ArrayLike, fill: float) -> NDArray[Any]:
    """Return a copy of the box ``array[start : start + shape]``; its part outside the array becomes ``fill``."""
    start = np.asarray(start_zyx, dtype=int)
    shape = np.asarray(shape_zyx, dtype=int)
    low = np.clip(start, 0, array.shape)
    high = np.clip(start + shape, low, array.shape)
    result = np.full(tuple(shape), fill, dtype=array.dtype)
    inside = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
    result[inside] = array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return result


def reorient_array(array: NDArray[Any], geometry: Geometry, orientation: str = "LPS") -> tuple[NDArray[Any], Geometry]:
    """Permute and flip ``array`` (z, y, x) so that its indices i, j, k grow towards ``orientation``.

    Returns:
        A view of the array, and its geometry.

    Raises:
        ValueError: If ``orientation`` does not name each patient axis once, as ``LPS`` or ``RAI`` does.
    """
    requested = [_axis_of(letter) for letter in orientation.upper()]
    if sorted(row for row, _ in requested) != [0, 1, 2]:
        raise ValueError(f"orientation {orientation!r} must name each of R/L, A/P, I/S once, e.g. 'LPS'")
    rows = _nearest_axes(geometry.direction)
    order = [rows.index(row) for row, _ in requested]
    pairs = zip(requested, order, strict=True)
    flip = [(geometry.direction[row, column] > 0) != positive for (row, positive), column in pairs]
    corner = np.zeros(3)
    for column, flipped in zip(order, flip, strict=True):
        if flipped:
            corner[column] = geometry.shape_ijk[column] - 1
    signs = np.where(flip, -1.0, 1.0)
    x, y, z = (geometry.shape_ijk[column] for column in order)
    turned = Geometry(
        (z, y, x), geometry.index_to_mm(corner), geometry.spacing_mm[order], geometry.direction[:, order] * signs
    )
    # Axis n of the index is axis 2 - n of the array.
    result = array.transpose([2 - order[2], 2 - order[1], 2 - order[0]])
    result = result[tuple(slice(None, None, -1 if flipped else 1) for flipped in reversed(flip))]
    return result, turned


def resample_array(
    array: NDArray[Any],
    geometry: Geometry,
    target: Geometry,
    fill: float,
    interpolation: Interpolation = "linear",
) -> NDArray[Any]:
    """Return ``array`` (z, y, x) resampled from its grid to ``target``, with its own data type.

    With ``linear`` and ``bspline``, axes along which the target is coarser are
    averaged and smoothed first, to the variance of a voxel of the target. The
    values at the edge extend one voxel beyond the outermost centres; ``fill`` is
    used farther out.
    """
    import SimpleITK as sitk

    methods = {"nearest": sitk.sitkNearestNeighbor, "linear": sitk.sitkLinear, "bspline": sitk.sitkBSpline}
    image = to_sitk(array, geometry)
    if interpolation != "nearest":
        # Extent of a target voxel along each source axis: exact for parallel grids, a fair mean for oblique ones.
        image = _coarsened(image, np.abs(geometry.direction.T @ target.direction) @ target.spacing_mm)
        # Half a voxel lies outside the outermost centres, and after padding interpolation reaches it.
        image = sitk.ZeroFluxNeumannPad(image, [1, 1, 1], [1, 1, 1])
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([int(n) for n in target.shape_ijk])
    resampler.SetOutputOrigin(target.origin_mm.tolist())
    resampler.SetOutputSpacing(target.spacing_mm.tolist())
    resampler.SetOutputDirection(target.direction.ravel().tolist())
    resampler.SetInterpolator(methods[interpolation])
    resampler.SetDefaultPixelValue(float(fill))
    resampler.SetOutputPixelType(to_sitk(array[:1, :1, :1]).GetPixelID())
    return np.asarray(sitk.GetArrayFromImage(resampler.Execute(image)))


def _coarsened(image: SimpleITK.Image, step_mm: NDArray[np.float64]) -> SimpleITK.Image:
    """Average whole bins of voxels, then smooth, so that samples at distances of ``step_mm`` do not alias."""
    import SimpleITK as sitk

    bins = [int(n) for n in np.maximum(1, np.floor(step_mm / np.array(image.GetSpacing()) + 1e-6))]
    if max(bins) > 1:
        missing = [-size % n for size, n in zip(image.GetSize(), bins, strict=True)]
        if any(missing):  # BinShrink would drop the last, incomplete bins
            image = sitk.ZeroFluxNeumannPad(image, [0, 0, 0], missing)
        image = sitk.BinShrink(image, bins)
    # Each voxel is a box of variance spacing² / 12; the Gaussian adds the rest of the target's variance.
    spacing_mm = np.array(image.GetSpacing())
    sigma_mm = np.sqrt(np.maximum(0.0, step_mm**2 - spacing_mm**2) / 12)
    wide = (sigma_mm >= 0.25 * spacing_mm) & (np.array(image.GetSize()) >= 4)  # the recursive filter needs four samples
    for axis in np.flatnonzero(wide).tolist():
        image = sitk.RecursiveGaussian(
            sitk.Cast(image, sitk.sitkFloat32),
            float(sigma_mm[axis]),
            False,
            sitk.RecursiveGaussianImageFilter.ZeroOrder,
            axis,
        )
    return image


def to_sitk(array: NDArray[Any], geometry: Geometry | None = None) -> SimpleITK.Image:
    """Return a copy of an array ``z, y, x`` (bool becomes uint8) as a SimpleITK image with the given geometry."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array.astype(np.uint8) if array.dtype == bool else array)
    if geometry is not None:
        image.SetOrigin(geometry.origin_mm.tolist())
        image.SetSpacing(geometry.spacing_mm.tolist())
        image.SetDirection(geometry.direction.ravel().tolist())
    return image


def geometry_of(image: SimpleITK.Image) -> Geometry:
    """Return the geometry of a 3D SimpleITK image."""
    x, y, z = image.GetSize()
    return Geometry(
        (z, y, x),
        np.array(image.GetOrigin()),
        np.array(image.GetSpacing()),
        np.array(image.GetDirection()).reshape(3, 3),
    )


def _frozen(value: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    array = np.array(value, dtype=np.float64).reshape(shape)
    array.flags.writeable = False
    return array


def _check_array(array: NDArray[Any], geometry: Geometry, dtype: np.dtype[Any]) -> None:
    if array.dtype != dtype:
        raise TypeError(f"the array must be {dtype}, not {array.dtype}")
    if array.shape != geometry.shape_zyx:
        raise ValueError(f"the array's shape {array.shape} is not the geometry's {geometry.shape_zyx} (z, y, x)")


def _nearest_axes(direction: NDArray[np.float64]) -> tuple[int, ...]:
    """Return one patient axis (row) for each index axis (column), so that the total agreement is greatest."""
    return max(
        permutations(range(3)), key=lambda rows: sum(abs(direction[rows[column], column]) for column in range(3))
    )


def _axis_of(letter: str) -> tuple[int, bool]:
    """Return the patient axis (0 x, 1 y, 2 z) of a letter, and whether it is the positive end in LPS."""
    for row, (negative, positive) in enumerate(_AXIS_LETTERS):
        if letter in (negative, positive):
            return row, letter == positive
    raise ValueError(f"orientation letter {letter!r} is none of R, L, A, P, I, S")
