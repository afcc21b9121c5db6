"""A long tube that winds through the free space between organs, as small bowel does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.short_repr import short_repr
from ctlymph.phantom.body.shapes import Bounds, Solid, Union

SPACING_MM = 9.0
"""Between neighbouring beads of a chain."""
_PRESSED_MM = 3.6
_SHARPEST_MM = 14.0
_STEPS = 140
_STEP_MM = 4.0

Points = NDArray[np.float64]


@dataclass(frozen=True)
class FreeSpace:
    """The space between organs, on a lattice.

    Attributes:
        corner_mm: x, y, z of its first point, LPS mm.
        is_free: (x, y, z), one point every 4 mm; True where no organ lies.
    """

    corner_mm: Points
    is_free: NDArray[np.bool_]

    __repr__ = short_repr

    @classmethod
    def between(cls, within: Solid, closed: Sequence[Solid], box: Bounds) -> FreeSpace:
        """Return the space in ``within`` and ``box`` (LPS mm) that is in none of the ``closed`` solids."""
        low, high = box
        x, y, z = (np.arange(a, b, _STEP_MM, dtype=np.float32) for a, b in zip(low, high, strict=True))
        is_free = (within.on_grid(x, y, z, _STEP_MM) < 0) & (Union(tuple(closed)).on_grid(x, y, z, _STEP_MM) > 0)
        # Whatever touches the box is closed, so that nothing leaves it.
        return cls(np.asarray(low, dtype=float), np.pad(is_free.T[1:-1, 1:-1, 1:-1], 1))

    @property
    def volume_mm3(self) -> float:
        """Its volume, mm³."""
        return float(self.is_free.sum()) * _STEP_MM**3

    def depths(self, points_mm: Points) -> tuple[NDArray[np.float64], Points]:
        """Return the depth of points (n, 3) in the space, mm, and the direction (n, 3) in which it grows."""
        from scipy.ndimage import map_coordinates

        where = ((points_mm - self.corner_mm) / _STEP_MM).T
        depth, *slope = (map_coordinates(field, where, order=1, mode="nearest") for field in self._fields)
        heading = np.stack(slope, axis=1)
        return depth, heading / (np.linalg.norm(heading, axis=1, keepdims=True) + 1e-6)

    def about(self, points_mm: Points, volume_mm3: float) -> FreeSpace:
        """Return the part of the space nearest to some points (n, 3), of volume ``volume_mm3``."""
        from scipy.spatial import KDTree

        free = np.argwhere(self.is_free)
        away, _ = KDTree(points_mm).query(free * _STEP_MM + self.corner_mm)
        kept = free[np.argsort(away, kind="stable")[: int(volume_mm3 / _STEP_MM**3)]]
        is_free = np.zeros_like(self.is_free)
        is_free[tuple(kept.T)] = True
        return FreeSpace(self.corner_mm, is_free)

    @cached_property
    def _fields(self) -> list[NDArray[np.float64]]:
        from scipy.ndimage import distance_transform_edt, gaussian_filter

        outside, inside = distance_transform_edt(~self.is_free), distance_transform_edt(self.is_free)
        depth = (inside - outside) * _STEP_MM
        return [depth, *np.gradient(gaussian_filter(depth, 0.7))]

    def spread(self, rng: np.random.Generator, count: int, depth_mm: float) -> Points:
        """Sample ``count`` evenly spaced points, ``depth_mm`` deep, LPS mm."""
        deep = np.argwhere(self._fields[0] > depth_mm) * _STEP_MM + self.corner_mm
        chosen = [int(rng.integers(len(deep)))]
        gaps = np.full(len(deep), np.inf)
        for _ in range(count - 1):
            gaps = np.minimum(gaps, np.square(deep - deep[chosen[-1]]).sum(axis=1))
            chosen.append(int(gaps.argmax()))
        return np.asarray(deep[chosen] + rng.normal(0, 2, (count, 3)))


def winding(space: FreeSpace, rng: np.random.Generator, ends: tuple[Points, Points], count: int) -> Points:
    """Return a chain of ``count`` beads from one end through all of the space to the other; LPS mm (n, 3)."""
    anchors = space.spread(rng, count // 8, 6.0)
    start, end = ends
    heading = (end - start) / np.linalg.norm(end - start)
    left, path = list(range(len(anchors))), [start]
    while left:
        steps = anchors[left] - path[-1]
        # Anchors that are passed now would have to be visited later.
        cost = np.linalg.norm(steps, axis=1) + 0.6 * (steps * heading).sum(axis=1)
        path.append(anchors[left.pop(int(cost.argmin()))])
    rows = np.array([*path, end])
    along = np.r_[0, np.cumsum(np.linalg.norm(np.diff(rows, axis=0), axis=1))]
    even = np.linspace(0, along[-1], count)
    return np.stack([np.interp(even, along, column) for column in rows.T], axis=1) + rng.normal(0, 1.0, (count, 3))


def packed(space: FreeSpace, chain_mm: Points, radii_mm: NDArray[np.float64]) -> Points:
    """Relax a chain of beads: none inside another, all in the space, the ends fixed; LPS mm (n, 3)."""
    chain = chain_mm.copy()
    for step in range(_STEPS):
        late = step / _STEPS
        for far, share in ((1, 0.15), (3, 0.26)):
            straight = (chain[: -2 * far] + chain[2 * far :]) / 2
            chain[far:-far] += share * (1 - 0.6 * late) * (straight - chain[far:-far])
        for _ in range(3):
            _equalize_spacing(chain)
            _unbent(chain)
        _out_of_each_other(chain, radii_mm)
        depth, inward = space.depths(chain)
        chain += inward * np.clip(radii_mm + 1.0 - depth, 0, 5.0)[:, None] * 0.7
        chain[[0, -1]] = chain_mm[[0, -1]]
    return chain


def _equalize_spacing(chain: Points) -> None:
    step = np.diff(chain, axis=0)
    length = np.linalg.norm(step, axis=1, keepdims=True) + 1e-6
    pull = step * (1 - SPACING_MM / length) * 0.4
    chain[:-1] += pull
    chain[1:] -= pull


def _unbent(chain: Points) -> None:
    """Open bends whose radius is less than ``_SHARPEST_MM``, where the loop would be a ball."""
    for distance in (2, 3, 4):
        min_length = 2 * _SHARPEST_MM * np.sin(distance * SPACING_MM / (2 * _SHARPEST_MM))
        step = chain[distance:] - chain[:-distance]
        length = np.linalg.norm(step, axis=1, keepdims=True) + 1e-6
        push = step * (np.maximum(min_length / length - 1, 0) * 0.15)
        chain[:-distance] -= push
        chain[distance:] += push


def _out_of_each_other(chain: Points, radii_mm: NDArray[np.float64]) -> None:
    from scipy.spatial import KDTree

    pairs = KDTree(chain).query_pairs(2 * float(radii_mm.max()), output_type="ndarray")
    first, second = pairs.T
    # Loops are flat where they press on each other.
    contact = radii_mm[first] + radii_mm[second] - _PRESSED_MM
    gap = chain[second] - chain[first]
    length = np.linalg.norm(gap, axis=1) + 1e-6
    # Neighbours along the chain are near each other anyway.
    overlap = np.where(np.abs(first - second) * SPACING_MM > 1.5 * contact, np.maximum(contact - length, 0), 0)
    push = gap / length[:, None] * (overlap * 0.35)[:, None]
    np.subtract.at(chain, first, push)
    np.add.at(chain, second, push)
