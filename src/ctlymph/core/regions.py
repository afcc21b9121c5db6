"""The parts of the body that are searched for lymph nodes."""

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
        """Return which LPS points lie in a voxel of the region.

        >>> grid = Geometry((2, 2, 2), (0, 0, 0), (3, 3, 3))
        >>> Region(ABDOMEN, np.ones(grid.shape_zyx, dtype=bool), grid).contains([[3, 3, 3], [30, 3, 3]]).tolist()
        [True, False]

        Args:
            points_mm: Shape ``(n, 3)``: x, y, z in LPS mm.

        Returns:
            Boolean array of shape ``(n,)``.
        """
        index_zyx = np.rint(self.geometry.mm_to_index(points_mm)).astype(int)[:, ::-1]
        found = self.geometry.contains(points_mm)
        found[found] = self.mask[tuple(index_zyx[found].T)]
        return found
