"""The patient's body, without table, clothes and the air around it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.morphology import Mask, closed, dilate, erode, fill_slices, largest_component
from ctlymph.core.volume import Geometry

SKIN_HU = -350
"""Between air (−1000) and fat (−100), low enough for skin folds at 3 mm."""

_TABLE_RADIUS_MM = 8.0
"""Table shells, sheets and cables are thinner than 16 mm; the trunk and the neck are not."""

_CROPPED_MM = 120.0
"""If the field of view cuts the chest wall, lung may reach the image's edge over up to this length."""
_MEND_MM = 15.0
"""Half the length of a gap in the chest wall that counts as such a cut."""


def find_body(hu: NDArray[np.int16], geometry: Geometry) -> Mask:
    """Find the body with everything inside it, such as lungs and bowel gas.

    Args:
        hu: HU on a grid of about 3 mm, z, y, x, axes towards L, P, S.
        geometry: That grid.

    Returns:
        Boolean array like ``hu``; all False if nothing thick enough is in view.
    """
    solid = hu > SKIN_HU
    cores = erode(fill_slices(solid, geometry, _CROPPED_MM), geometry, _TABLE_RADIUS_MM)
    if not cores.any():
        return np.zeros_like(solid)
    trunk = dilate(largest_component(cores), geometry, _TABLE_RADIUS_MM + 2 * float(geometry.spacing_mm.max()))
    return _with_cavities(largest_component(trunk & solid), geometry)


def _with_cavities(trunk: Mask, geometry: Geometry) -> Mask:
    """Add the lungs and the gas inside the trunk, also where the field of view cuts its wall."""
    from scipy import ndimage

    mended = closed(trunk, geometry, _MEND_MM)
    filled = fill_slices(mended, geometry, _CROPPED_MM)
    cavities = dilate(filled & ~mended, geometry, _MEND_MM + float(geometry.spacing_mm.max())) & filled
    whole = fill_slices(trunk, geometry, _CROPPED_MM) | cavities
    # A cavity that is open in a few slices only is closed by those above and below.
    slices = 1 + 2 * round(_MEND_MM / geometry.spacing_mm[2])
    steadied = ndimage.binary_closing(np.pad(whole, ((slices, slices), (0, 0), (0, 0))), np.ones((slices, 1, 1)))
    return np.asarray(whole | steadied[slices:-slices])
