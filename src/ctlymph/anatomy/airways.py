"""The trachea and the carina."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.morphology import Mask
from ctlymph.core.short_repr import short_repr
from ctlymph.core.volume import Geometry

_AIR_HU = -880
"""Darker than most of the lung, so that lumen and lung stay separate if only a thin wall is between them."""

_AREA_MM2 = (70.0, 700.0)
"""Area of an axial section of the lumen: 10–27 mm wide in adults (Breatnach 1984), less the partial volume."""

_LENGTH_MM = 25.0
_BRONCHUS_MM2 = 30.0
_OFF_MIDLINE_MM = 45.0


@dataclass(frozen=True, eq=False)
class Airway:
    """The part of the trachea that is in the field of view.

    Attributes:
        lumen: Boolean array z, y, x: the trachea, and the part of the main bronchi that is connected to it.
        path_ijk: Centres of the trachea, one for each slice from top to bottom; i, j, k, shape ``(n, 3)``.
        carina_ijk: The last centre before the lumen splits; i, j, k. None if the split is out of view.
    """

    lumen: Mask
    path_ijk: NDArray[np.float64]
    carina_ijk: NDArray[np.float64] | None

    __repr__ = short_repr


def find_airway(hu: NDArray[np.int16], geometry: Geometry, body: Mask) -> Airway:
    """Find the trachea: the longest chain, from slice to slice, of round air spots in soft tissue near the midline.

    Args:
        hu: HU on a grid of about 3 mm, z, y, x, axes towards L, P, S.
        geometry: That grid.
        body: The body on the same grid.

    Returns:
        The airway; its path is empty if no trachea is in view.
    """
    slices = [_Slice(plane, inside, geometry) for plane, inside in zip(hu, body, strict=True)]
    chains = []
    visited: set[tuple[int, int]] = set()
    for k in range(len(hu) - 1, 0, -1):
        for label in slices[k].starts():
            if (k, label) not in visited:
                chain, splits = _follow(slices, k, label)
                visited.update((k - step, spot) for step, spot in enumerate(chain))
                chains.append((k, chain, splits))
    if not chains or max(len(chain) for _, chain, _ in chains) * geometry.spacing_mm[2] < _LENGTH_MM:
        return Airway(np.zeros_like(body), np.empty((0, 3)), None)
    top, chain, splits = max(chains, key=lambda c: len(c[1]))
    return _airway(slices, top, chain, splits)


class _Slice:
    """The labelled air spots of one slice."""

    def __init__(self, hu: NDArray[np.int16], body: NDArray[np.bool_], geometry: Geometry) -> None:
        from scipy import ndimage

        self.hu, self.body, self.geometry = hu, body, geometry
        self.labels, self.count = ndimage.label((hu < _AIR_HU) & body)
        pixel_mm2 = float(np.prod(geometry.spacing_mm[:2]))
        self.area_mm2 = np.bincount(self.labels.ravel(), minlength=self.count + 1) * pixel_mm2

    def starts(self) -> list[int]:
        """Return the labels of spots that have the size, shape and place of a trachea."""
        low, high = _AREA_MM2
        sized = [n for n in range(1, self.count + 1) if low <= self.area_mm2[n] <= high]
        return [n for n in sized if self._is_trachea(n)]

    def centre_ij(self, label: int) -> NDArray[np.float64]:
        """Return the mean column and row of a spot."""
        rows, columns = np.nonzero(self.labels == label)
        return np.array([columns.mean(), rows.mean()])

    def _is_trachea(self, label: int) -> bool:
        from scipy import ndimage

        spot = self.labels == label
        rows, columns = np.nonzero(spot)
        sx, sy, _ = self.geometry.spacing_mm
        spread = np.sort(np.linalg.eigvalsh(np.cov(np.stack([columns * sx, rows * sy]))))
        midline = np.nonzero(self.body)[1].mean()
        ring = ndimage.binary_dilation(spot, iterations=3) & ~ndimage.binary_dilation(spot)
        return bool(
            spread[1] < 6 * spread[0]
            and abs(columns.mean() - midline) * sx < _OFF_MIDLINE_MM
            and self.hu[ring].mean() > -450  # surrounded by soft tissue: no dark patch of lung
        )


def _follow(slices: list[_Slice], top: int, label: int) -> tuple[list[int], bool]:
    """Follow a spot downwards; return its label in each slice, and whether it ends by splitting in two."""
    chain = [label]
    for k in range(top - 1, -1, -1):
        above, here = slices[k + 1], slices[k]
        touched = np.unique(here.labels[above.labels == chain[-1]])
        touched = touched[(touched > 0) & (here.area_mm2[touched] >= _BRONCHUS_MM2)]
        if len(touched) != 1 or here.area_mm2[touched[0]] > _AREA_MM2[1]:
            return chain, len(touched) == 2
        chain.append(int(touched[0]))
    return chain, False


def _airway(slices: list[_Slice], top: int, chain: list[int], splits: bool) -> Airway:
    lumen = np.zeros((len(slices), *slices[0].hu.shape), dtype=bool)
    path = []
    for k, label in zip(range(top, -1, -1), chain, strict=False):
        lumen[k] = slices[k].labels == label
        path.append([*slices[k].centre_ij(label), float(k)])
    bottom = top - len(chain) + 1
    for k in range(bottom - 1, max(bottom - 4, -1), -1):  # the main bronchi, as far as they are separate from lung
        here = slices[k]
        touched = np.unique(here.labels[lumen[k + 1]])
        small = touched[(touched > 0) & (here.area_mm2[touched] <= _AREA_MM2[1])]
        lumen[k] = np.isin(here.labels, small)
    path_ijk = np.array(path)
    return Airway(lumen, path_ijk, path_ijk[-1] if splits else None)
