"""How far tissue like that in a candidate's middle goes on: a node ends, a vessel or a loop of bowel leads away."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ctlymph.detectors.base import GRID_MM
from ctlymph.detectors.parts.voxel_features import WINDOW_HU, Floats

_SMOOTH_MM = 1.2
_MIDDLE_MM = 3.0
_LIKE_HU = 35.0
"""Nodes differ by less from their middle, noise at 2 mm included; fat and bright blood by more."""
_FARTHEST_MM = 24.0
_SHELLS_MM = (8.0, 12.0, 16.0, 20.0)
_SHELL_MM = 1.0
"""Half the thickness of a shell."""
_BLOOD_PERCENTILE = 90
"""Of a region's soft tissue: blood after contrast, or muscle and liver without."""

NAMES = (
    *("size", "extent least", "extent middle", "extent most"),
    *(f"{what} at {mm:g} mm" for what in ("share", "ways out") for mm in _SHELLS_MM),
    *("middle", "middle less blood"),
)
"""What the columns of :func:`extent_features` are."""


def extent_features(hu: NDArray[np.int16], tissue_zyx: NDArray[np.intp], at_zyx: NDArray[np.intp]) -> Floats:
    """Follow the tissue of each candidate's middle as far as it hangs together, to 24 mm.

    Args:
        hu: The CT on the even grid of a scene, z, y, x.
        tissue_zyx: Its soft tissue, ``(m, 3)``.
        at_zyx: The candidates' middles, ``(n, 3)``.

    Returns:
        ``(n, len(NAMES))``: edge of a cube of the same volume (mm), standard deviations along its axes (mm),
        share of spheres around the middle that it covers, pieces in which it meets these, HU of the middle, and that
        less the HU of blood.
    """
    from scipy import ndimage

    reach = int(_FARTHEST_MM / GRID_MM)
    away_mm = np.linalg.norm(np.indices((2 * reach + 1,) * 3) - reach, axis=0) * GRID_MM
    shells = [np.abs(away_mm - mm) <= _SHELL_MM for mm in _SHELLS_MM]
    clipped = np.clip(hu.astype(np.float32), *WINDOW_HU)
    smooth = np.pad(ndimage.gaussian_filter(clipped, _SMOOTH_MM / GRID_MM), reach, mode="edge")
    blood = float(np.percentile(clipped[tuple(tissue_zyx.T)], _BLOOD_PERCENTILE)) if len(tissue_zyx) else 0.0
    rows = np.empty((len(at_zyx), len(NAMES)), np.float32)
    for row, at in zip(rows, at_zyx, strict=True):
        box = smooth[tuple(slice(n, n + 2 * reach + 1) for n in at)]
        middle = float(np.median(box[away_mm < _MIDDLE_MM]))
        pieces, _ = ndimage.label((np.abs(box - middle) < _LIKE_HU) & (away_mm <= _FARTHEST_MM))
        own = (pieces == pieces[reach, reach, reach]) & (pieces > 0)
        shares = [own[shell].mean() for shell in shells]
        ways = [ndimage.label(own & shell)[1] for shell in shells]
        row[:] = [np.cbrt(own.sum()) * GRID_MM, *_extents_mm(own), *shares, *ways, middle, middle - blood]
    return rows


def _extents_mm(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Give the standard deviations along the axes of a body, the least first; zeros for a voxel or none."""
    at_mm = np.argwhere(mask) * GRID_MM
    if len(at_mm) < 2:
        return np.zeros(3)
    return np.asarray(np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(at_mm.T)), 0)))
