"""The parts of the body in which lymph nodes are looked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctlymph.core.volume import Geometry

MEDIASTINUM = "mediastinum"
ABDOMEN = "abdomen"
REGIONS = (MEDIASTINUM, ABDOMEN)


@dataclass(frozen=True, eq=False)
class Region:
    """A search region in one CT.

    Attributes:
        name: ``mediastinum`` or ``abdomen``.
        mask: Boolean array z, y, x on a coarse grid (about 3 mm).
        geometry: That grid, axes towards L, P, S.
    """

    name: str
    mask: NDArray[np.bool_]
    geometry: Geometry

    def __repr__(self) -> str:
        litres = np.count_nonzero(self.mask) * self.geometry.voxel_mm3 / 1e6
        return f"Region({self.name}, {litres:.2g} litres, grid of {self.geometry.summary})"

    def contains(self, points_mm: ArrayLike) -> NDArray[np.bool_]:
        """Tell which LPS points ``(n, 3)`` lie in a voxel of the region."""
        index_zyx = np.rint(self.geometry.mm_to_index(points_mm)).astype(int)[:, ::-1]
        found = self.geometry.contains(points_mm)
        found[found] = self.mask[tuple(index_zyx[found].T)]
        return found
