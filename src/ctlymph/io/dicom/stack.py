"""Stacks of DICOM planes, and their conversion to one rectangular, regular grid.

Only the positions and directions of the planes are used. Slice location,
thickness and gantry tilt are often absent or wrong, and are ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError, Remedy
from ctlymph.core.short_repr import short_repr
from ctlymph.core.volume import AIR_HU, Geometry
from ctlymph.io.dicom.pixels import DicomPlane

POSITION_TOLERANCE_MM = 0.1
"""Maximal deviation of planes from a regular, straight stack: positions are often rounded to 0.1 mm."""

SAME_PLACE_MM = 0.01
"""Planes at smaller distances are at the same position."""

DEFAULT_STEP_MM = 1.0
"""Slice spacing of a single slice whose file has neither spacing nor thickness."""

WIDEST_STEP_MM = 25.0
"""Larger than the slice spacing in any CT protocol."""

_GAP = 1.5
_NEIGHBOURS = 3
_RUN = 3


@dataclass(frozen=True, eq=False)
class Stack:
    """Parallel planes of one size, ascending along their normal.

    Attributes:
        planes: At least one.
        direction: 3 × 3; columns are the unit vectors of i, j and of the normal i × j, LPS.
        spacing_xy_mm: Distance between columns, then between rows.
        places_mm: ``(n, 3)``; first pixel of each plane relative to that of the first plane, along i, j, k.
    """

    planes: tuple[DicomPlane, ...]
    direction: NDArray[np.float64]
    spacing_xy_mm: tuple[float, float]
    places_mm: NDArray[np.float64]

    __repr__ = short_repr

    @property
    def heights_mm(self) -> NDArray[np.float64]:
        """Positions along the normal, ascending, mm."""
        return np.asarray(self.places_mm[:, 2])

    @cached_property
    def steps_mm(self) -> NDArray[np.float64]:
        """Distance of each plane from the one before, along the normal, mm."""
        return np.diff(self.heights_mm)

    @property
    def is_even(self) -> bool:
        """Whether all steps are equal, within the tolerance (and a quarter of a step)."""
        even = np.linspace(0, self.heights_mm[-1], len(self.planes))
        tolerance = min(POSITION_TOLERANCE_MM, 0.25 * float(np.median(self.steps_mm))) if len(self.planes) > 1 else 0
        return bool(np.abs(self.heights_mm - even).max() <= tolerance)

    @property
    def is_straight(self) -> bool:
        """Whether the planes are exactly above one another, within the tolerance: no gantry tilt."""
        return bool(np.abs(self.places_mm[:, :2]).max() <= POSITION_TOLERANCE_MM)

    @cached_property
    def gaps(self) -> list[int]:
        """Numbers of the steps in which planes are missing.

        Such a step is wider than in any protocol, or at least 1.5 times as
        wide as the narrower ones nearby (lower quartile of itself and three on
        either side) and not one of three similar ones in a row. Single missing
        planes are therefore gaps, and a part of the stack with wider steps is not.
        """
        steps = self.steps_mm
        if self.is_even and (steps <= WIDEST_STEP_MM).all():
            return []
        return [n for n, step in enumerate(steps) if step > WIDEST_STEP_MM or self._is_gap(n)]

    def _is_gap(self, number: int) -> bool:
        steps = self.steps_mm
        near = np.sort(steps[max(0, number - _NEIGHBOURS) : number + _NEIGHBOURS + 1])
        if steps[number] < _GAP * near[(len(near) - 1) // 4]:
            return False
        first = last = number
        while first > 0 and np.isclose(steps[first - 1], steps[number], rtol=0.1):
            first -= 1
        while last + 1 < len(steps) and np.isclose(steps[last + 1], steps[number], rtol=0.1):
            last += 1
        return last - first + 1 < _RUN

    def where(self, number: int) -> str:
        """Return the position of a plane as text: its coordinate along the patient axis nearest to the normal."""
        axis = int(np.abs(self.direction[:, 2]).argmax())
        return f"{'xyz'[axis]} = {self.planes[number].frame.position_mm[axis]:.2f} mm"


def stack_planes(planes: Sequence[DicomPlane]) -> Stack:
    """Return parallel planes of one size, sorted along their normal; direction and spacing are those of the first one.

    Raises:
        CtlymphError: If a position, direction or spacing is not one (NaN, wrong
            number of values, zero spacing, axes that are not perpendicular).
    """
    for plane in planes:
        _check_place(plane)
    row, column = np.asarray(planes[0].frame.orientation).reshape(2, 3)
    row = row / np.linalg.norm(row)
    column = column - (column @ row) * row
    column = column / np.linalg.norm(column)
    direction = np.column_stack((row, column, np.cross(row, column)))
    places = np.array([plane.frame.position_mm for plane in planes]) @ direction
    order = np.argsort(places[:, 2], kind="stable")
    between_rows, between_columns = planes[0].frame.spacing_yx_mm
    return Stack(
        planes=tuple(planes[n] for n in order),
        direction=direction,
        spacing_xy_mm=(between_columns, between_rows),
        places_mm=places[order] - places[order[0]],
    )


def _check_place(plane: DicomPlane) -> None:
    frame = plane.frame
    values = (*frame.position_mm, *frame.orientation, *frame.spacing_yx_mm)
    counts = (len(frame.position_mm), len(frame.orientation), len(frame.spacing_yx_mm))
    if counts != (3, 6, 2) or not np.isfinite(values).all() or min(frame.spacing_yx_mm) <= 0:
        raise CtlymphError(f"{plane.name} has no valid position, orientation or pixel spacing; repair or remove it")
    axes = np.asarray(frame.orientation).reshape(2, 3)
    if np.abs(axes @ axes.T - np.eye(2)).max() > 0.02:
        raise CtlymphError(f"the row and column directions of {plane.name} are not perpendicular unit vectors")


def reject_gaps(stack: Stack, allow_gaps: bool = False) -> None:
    """Reject a stack with missing planes; if gaps are allowed, only one with nothing but gaps.

    Raises:
        CtlymphError: If planes are missing; the message contains the position of the first gap.
    """
    usual = np.delete(stack.steps_mm, stack.gaps)
    if not stack.gaps or (allow_gaps and len(usual)):
        return
    first = stack.gaps[0]
    where = f"{stack.where(first)} ({stack.planes[first].name}) and {stack.where(first + 1)}"
    what = f"slices are missing between {where} ({stack.planes[first + 1].name}), {stack.steps_mm[first]:.2f} mm apart"
    if not len(usual):
        raise CtlymphError(f"{what}; fetch the whole series, or read one file")
    more = f" (and in {len(stack.gaps) - 1} more places)" if len(stack.gaps) > 1 else ""
    raise CtlymphError(f"{what} where {np.median(usual):.2f} mm is usual{more}", Remedy.ALLOW_GAPS)


@dataclass(frozen=True, eq=False)
class Grid:
    """Voxels on a rectangular, regular grid, and the corrections that this required.

    Attributes:
        hu: int16 ``z, y, x``.
        geometry: Their position.
        notes: The corrections, one sentence each; empty if there were none.
        interpolated: Indices k of slices within a gap.
        resampled: Whether the slices are not the original planes.
    """

    hu: NDArray[np.int16]
    geometry: Geometry
    notes: tuple[str, ...] = ()
    interpolated: tuple[int, ...] = ()
    resampled: bool = False

    __repr__ = short_repr


def to_grid(stack: Stack, hu: NDArray[np.int16]) -> Grid:
    """Return planes (int16, in the stack's order) on a rectangular, regular grid.

    The voxels of a straight and even stack are unchanged. In other stacks, planes
    are shifted in their own plane (by linear interpolation; the grid grows to
    contain all of them, surrounded by air), which corrects gantry tilt. They are
    interpolated linearly along the normal, which corrects uneven steps and fills
    gaps. The first and the last plane keep their positions.
    """
    notes: list[str] = []
    start_mm = np.zeros(3)
    resampled = not (stack.is_straight and stack.is_even)
    if not stack.is_straight:
        hu, start_mm = _sheared(stack, hu)
        notes.append(_tilt_note(stack))
    heights, interpolated = stack.heights_mm, np.empty(0, int)
    if not stack.is_even:
        heights = _even_heights(stack)
        hu = _between(hu, stack.heights_mm, heights)
        interpolated = _within_gaps(stack, heights)
        notes += _step_notes(stack, heights, interpolated)
    first = stack.planes[0].frame
    step = heights[-1] / (len(heights) - 1) if len(heights) > 1 else _single_step(stack, notes)
    geometry = Geometry(
        hu.shape,
        np.array(first.position_mm) + stack.direction @ start_mm,
        np.array((*stack.spacing_xy_mm, step)),
        stack.direction,
    )
    return Grid(hu, geometry, tuple(notes), tuple(interpolated.tolist()), resampled)


def _single_step(stack: Stack, notes: list[str]) -> float:
    frame = stack.planes[0].frame
    for value, name in ((frame.step_mm, "spacing between slices"), (frame.thickness_mm, "slice thickness")):
        if value and np.isfinite(value):
            notes.append(f"There is one slice only; its {name} of {abs(value):g} mm is taken for the spacing along z.")
            return abs(value)
    notes.append(f"There is one slice only, of unknown thickness; {DEFAULT_STEP_MM:g} mm is taken for it.")
    return DEFAULT_STEP_MM


def _tilt_note(stack: Stack) -> str:
    across = stack.places_mm[:, :2]
    line = np.outer(stack.heights_mm / stack.heights_mm[-1], across[-1]) if stack.heights_mm[-1] else 0 * across
    if np.abs(across - line).max() > POSITION_TOLERANCE_MM:
        return "The slices were displaced within their planes and were shifted back, by linear interpolation."
    angle = np.degrees(np.arctan2(np.linalg.norm(across[-1]), stack.heights_mm[-1]))
    return f"A gantry tilt of {angle:.1f}° was corrected by shear, by linear interpolation within the slices."


def _sheared(stack: Stack, hu: NDArray[np.int16]) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """Shift planes in their own plane; return them, and the start of the new grid along i, j, k, mm."""
    low_mm = stack.places_mm[:, :2].min(axis=0)
    shifts = (stack.places_mm[:, :2] - low_mm) / stack.spacing_xy_mm
    wider, higher = np.ceil(shifts.max(axis=0) - 1e-6).astype(int)
    result = np.full((len(hu), hu.shape[1] + higher, hu.shape[2] + wider), AIR_HU, np.int16)
    for plane, (right, down), out in zip(hu, shifts, result, strict=True):
        canvas = np.full(out.shape, AIR_HU, np.float32)
        rows, columns = int(down + 1e-6), int(right + 1e-6)
        canvas[rows : rows + plane.shape[0], columns : columns + plane.shape[1]] = plane
        for axis, part in ((0, down - rows), (1, right - columns)):
            if abs(part) > 1e-6:
                before = np.roll(canvas, 1, axis)
                before.swapaxes(0, axis)[0] = AIR_HU
                canvas = np.float32(1 - part) * canvas + np.float32(part) * before
        out[...] = np.rint(canvas)
    return result, np.array((*low_mm, 0.0))


def _even_heights(stack: Stack) -> NDArray[np.float64]:
    steps = np.sort(np.delete(stack.steps_mm, stack.gaps))
    usual = steps[(len(steps) - 1) // 2]
    return np.linspace(0, stack.heights_mm[-1], round(stack.heights_mm[-1] / usual) + 1)


def _tolerance(heights: NDArray[np.float64]) -> float:
    return min(POSITION_TOLERANCE_MM, 0.25 * float(heights[1] - heights[0]))


def _between(hu: NDArray[np.int16], places: NDArray[np.float64], heights: NDArray[np.float64]) -> NDArray[np.int16]:
    """Interpolate linearly between planes; a plane within the tolerance of a requested height is copied."""
    result = np.empty((len(heights), *hu.shape[1:]), np.int16)
    upper = np.clip(np.searchsorted(places, heights), 1, len(places) - 1)
    for out, height, above in zip(result, heights, upper, strict=True):
        nearest = above - (height - places[above - 1] < places[above] - height)
        if abs(places[nearest] - height) <= _tolerance(heights):
            out[...] = hu[nearest]
            continue
        part = np.float32((height - places[above - 1]) / (places[above] - places[above - 1]))
        out[...] = np.rint((1 - part) * hu[above - 1] + part * hu[above])
    return result


def _within_gaps(stack: Stack, heights: NDArray[np.float64]) -> NDArray[np.int_]:
    margin = _tolerance(heights)
    inside = np.zeros(len(heights), bool)
    for gap in stack.gaps:
        low, high = stack.heights_mm[gap : gap + 2]
        inside |= (heights > low + margin) & (heights < high - margin)
    return np.flatnonzero(inside)


def _step_notes(stack: Stack, heights: NDArray[np.float64], interpolated: NDArray[np.int_]) -> list[str]:
    notes = []
    if len(interpolated):
        gaps = ", ".join(f"{stack.where(gap)} and {stack.where(gap + 1)[4:]}" for gap in stack.gaps[:5])
        more = ", …" if len(stack.gaps) > 5 else ""
        notes.append(f"{len(interpolated)} missing slices were interpolated (between {gaps}{more}).")
    distances_mm = np.abs(stack.heights_mm[:, None] - heights[None, :])
    kept = (distances_mm.min(axis=1) <= _tolerance(heights)).all()
    filled = np.count_nonzero(distances_mm.min(axis=0) > _tolerance(heights))
    if not kept or filled > len(interpolated):
        steps = np.delete(stack.steps_mm, stack.gaps)
        notes.append(
            f"The slices lie unevenly ({steps.min():.2f} to {steps.max():.2f} mm apart) and were interpolated "
            f"to an even {heights[1]:.3f} mm."
        )
    return notes
