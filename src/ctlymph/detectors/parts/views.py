"""The 2.5D sampler of Roth et al. (MICCAI 2014, arXiv 1406.2639): three perpendicular images through a point of a CT.

A view is an axial, a coronal and a sagittal image through a point, of any size, shifted and rotated as one. Views are
interpolated linearly in the CT's int16 voxels; no resampled copy is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.short_repr import short_repr
from ctlymph.core.volume import AIR_HU, Geometry, Volume

if TYPE_CHECKING:
    import torch

PLANES = 3
"""Axial, coronal, sagittal. Rows run to the back in axial images and to the head in the others; columns run to the
left, in sagittal ones to the back. All this before a view is rotated."""

_COLUMNS = np.array([[1.0, 0, 0], [1, 0, 0], [0, 1, 0]])
_ROWS = np.array([[0.0, 1, 0], [0, 0, 1], [0, 0, 1]])
"""Directions of the columns and rows of the three images, LPS."""


@dataclass(frozen=True, eq=False)
class Frames:
    """Sizes, shifts and rotations of views around their points; n of them.

    Attributes:
        sides_mm: ``(n,)`` length of the images' sides.
        shifts_mm: ``(n, 3)`` LPS, from the point to the middle of the view.
        turns: ``(n, 3, 3)`` rotation matrices.
    """

    sides_mm: NDArray[np.float64]
    shifts_mm: NDArray[np.float64]
    turns: NDArray[np.float64]

    __repr__ = short_repr

    def __len__(self) -> int:
        return len(self.sides_mm)

    def first(self, count: int) -> Frames:
        """Return the first ``count``."""
        return Frames(self.sides_mm[:count], self.shifts_mm[:count], self.turns[:count])


def random_frames(
    sides_mm: Sequence[float], shifts: int, turns: int, *, shift_mm: float, seed: int | Sequence[int]
) -> Frames:
    """Return frames of every size with random shifts and rotations, in random order.

    Args:
        sides_mm: Lengths of the sides.
        shifts: Number of shifts for each size.
        turns: Number of rotations for each shift.
        shift_mm: Longest shift; shifts are uniform in the ball.
        seed: The same seed gives the same frames.
    """
    from scipy.spatial.transform import Rotation

    rng = np.random.default_rng(seed)
    count = len(sides_mm) * shifts * turns
    way = rng.normal(size=(len(sides_mm) * shifts, 3))
    way *= shift_mm * rng.random((len(way), 1)) ** (1 / 3) / np.linalg.norm(way, axis=1, keepdims=True)
    about = rng.normal(size=(count, 3))
    about *= rng.uniform(0, 2 * np.pi, (count, 1)) / np.linalg.norm(about, axis=1, keepdims=True)
    order = rng.permutation(count)
    return Frames(
        np.repeat(np.asarray(sides_mm, float), shifts * turns)[order],
        np.repeat(way, turns, axis=0)[order],
        Rotation.from_rotvec(about).as_matrix()[order],
    )


def views_of(volume: Volume, points_mm: NDArray[np.float64], frames: Frames, side: int) -> NDArray[np.float32]:
    """Return views of points in a CT.

    Args:
        volume: The CT, any spacing and orientation.
        points_mm: ``(p, 3)`` LPS mm.
        frames: The same for each place; n of them.
        side: Pixels along the images' sides.

    Returns:
        HU, ``(p, n, 3, side, side)``; what lies outside the CT is air.
    """
    from ctlymph.detectors.parts.view_sampler import sample_images

    grids = _grids(volume.geometry, points_mm, frames, side)
    images = np.empty((len(grids.first), side, side), np.float32)
    sample_images(volume.hu, grids.first, grids.row, grids.column, np.float32(AIR_HU), images)
    return images.reshape(len(points_mm), len(frames), PLANES, side, side)


def views_by_torch(
    hu: torch.Tensor, geometry: Geometry, points_mm: NDArray[np.float64], frames: Frames, side: int
) -> torch.Tensor:
    """Return the same views, computed by PyTorch.

    Args:
        hu: The CT's voxels, z, y, x, on any device.
        geometry: Of these voxels.
        points_mm: As in :func:`views_of`.
        frames: As there.
        side: As there.

    Returns:
        What :func:`views_of` returns, on the device. Both agree to 0.01 HU, except where a pixel lies half a voxel
        outside: there rounding decides between the edge and air.
    """
    import torch

    grids = _grids(geometry, points_mm, frames, side)
    first, row, column = (torch.from_numpy(each).to(hu.device) for each in (grids.first, grids.row, grids.column))
    pixel = torch.arange(side, device=hu.device, dtype=torch.float32)
    at = first[:, None, None] + pixel[:, None, None] * row[:, None, None] + pixel[None, :, None] * column[:, None, None]
    last = torch.tensor(geometry.shape_ijk, device=hu.device) - 1
    inside = ((at >= -0.5) & (at <= last + 0.5)).all(dim=-1)
    at = torch.minimum(at.clamp(min=0), last.float())
    low = torch.minimum(at.floor().long(), (last - 1).clamp(min=0))
    part = at - low
    high = torch.minimum(low + 1, last)
    value = torch.zeros(at.shape[:-1], device=hu.device)
    for corner in range(8):
        upper = [bool(corner >> axis & 1) for axis in range(3)]
        i, j, k = ((high if up else low)[..., axis] for axis, up in enumerate(upper))
        weight = torch.ones_like(value)
        for axis, up in enumerate(upper):
            weight = weight * (part[..., axis] if up else 1 - part[..., axis])
        value += weight * hu[k, j, i].float()
    value = torch.where(inside, value, torch.full_like(value, AIR_HU))
    return value.reshape(len(points_mm), len(frames), PLANES, side, side)


@dataclass(frozen=True, eq=False)
class _Grids:
    """Positions of the pixels of images, in indices i, j, k of the CT, float32; one row an image.

    Attributes:
        first: ``(m, 3)`` the first pixel.
        row: ``(m, 3)`` the step from one row to the next.
        column: ``(m, 3)`` the step from one column to the next.
    """

    first: NDArray[np.float32]
    row: NDArray[np.float32]
    column: NDArray[np.float32]


def _grids(geometry: Geometry, points_mm: NDArray[np.float64], frames: Frames, side: int) -> _Grids:
    step_mm = (frames.sides_mm / side)[:, None, None]
    row_mm = np.einsum("nab,pb->npa", frames.turns, _ROWS) * step_mm
    column_mm = np.einsum("nab,pb->npa", frames.turns, _COLUMNS) * step_mm
    corner_mm = frames.shifts_mm[:, None] - (row_mm + column_mm) * (side - 1) / 2
    first_mm = np.asarray(points_mm).reshape(-1, 1, 1, 3) + corner_mm
    zero = geometry.mm_to_index(np.zeros(3))
    steps = [geometry.mm_to_index(each) - zero for each in (row_mm, column_mm)]
    row, column = (np.broadcast_to(each, first_mm.shape) for each in steps)
    grids = (geometry.mm_to_index(first_mm), row, column)
    return _Grids(*(np.ascontiguousarray(each.reshape(-1, 3), dtype=np.float32) for each in grids))
