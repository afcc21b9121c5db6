"""The lungs, without airways and bowel gas."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ctlymph.anatomy.airways import Airway
from ctlymph.core.morphology import Mask, closed, components, erode
from ctlymph.core.volume import Geometry

_LUNG_HU = -400
"""Halfway between aerated lung (about −850) and soft tissue (about 40)."""

_SMALLEST_MM3 = 30_000.0
"""Volume of a lung base that just enters the scan; smaller pieces are no landmark."""

_GAS_MEDIAN_HU = -940.0
_GAS_SPREAD_HU = 25.0
"""Gas in bowel, stomach and trachea is darker and much more uniform than lung, which contains vessels."""

_VESSEL_RADIUS_MM = 6.0


def find_lungs(hu: NDArray[np.int16], geometry: Geometry, body: Mask, airway: Airway) -> Mask:
    """Find both lungs, with their vessels.

    Args:
        hu: HU on a grid of about 3 mm, z, y, x, axes towards L, P, S.
        geometry: That grid.
        body: The body on the same grid.
        airway: Trachea on the same grid; its lumen is left out, and lungs extend above its lower end.

    Returns:
        Boolean array like ``hu``; all False if no lung is in view.
    """
    labels, sizes = components((hu < _LUNG_HU) & body & ~airway.lumen)
    # A lung extends above the carina or out of the scan. Colon with stool has similar HU but lies lower.
    lowest_top = int(airway.path_ijk[-1, 2]) if len(airway.path_ijk) else len(hu) - 2
    lungs = np.zeros_like(body)
    for label, size in enumerate(sizes, start=1):
        if size * geometry.voxel_mm3 < _SMALLEST_MM3:
            break
        part = labels == label
        if part[lowest_top:].any() and not _is_gas(hu, part, geometry):
            lungs |= part
    return closed(lungs, geometry, _VESSEL_RADIUS_MM) & body & ~airway.lumen


def _is_gas(hu: NDArray[np.int16], part: Mask, geometry: Geometry) -> bool:
    interior = erode(part, geometry, 1.5 * float(geometry.spacing_mm.max()))
    values = hu[interior if interior.any() else part]
    low, middle, high = np.percentile(values, [25, 50, 75])
    return bool(middle < _GAS_MEDIAN_HU and high - low < 2 * _GAS_SPREAD_HU)
