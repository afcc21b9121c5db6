"""How far tissue like that at a candidate's centre extends: a node ends, a vessel or a loop of bowel leads away."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ctlymph.detectors.base import GRID_MM
from ctlymph.detectors.parts.voxel_features import WINDOW_HU, Floats

_SMOOTH_MM = 1.2
_CENTRE_MM = 3.0
_LIKE_HU = 35.0
"""Voxels of a node differ by less from its centre, noise at 2 mm included; fat and bright blood by more."""
_FARTHEST_MM = 24.0
_SHELLS_MM = (8.0, 12.0, 16.0, 20.0)
_SHELL_MM = 1.0
"""Half the thickness of a shell."""
_BLOOD_PERCENTILE = 90
"""Of a region's soft tissue: blood after contrast, or muscle and liver without."""

NAMES = (
    *("size", "extent 1", "extent 2", "extent 3"),
    *(f"{what} at {mm:g} mm" for what in ("share", "pieces") for mm in _SHELLS_MM),
    *("centre", "centre less blood"),
)
"""Names of the columns of :func:`extent_features`."""


def extent_features(hu: NDArray[np.int16], tissue_zyx: NDArray[np.intp], at_zyx: NDArray[np.intp]) -> Floats:
    """Return features of the connected tissue around candidates whose HU are those of the centre, up to 24 mm away.

    Args:
        hu: The CT on the grid of a context, z, y, x, HU.
        tissue_zyx: Voxels of soft tissue, ``(m, 3)``.
        at_zyx: The candidates' centres, ``(n, 3)``.

    Returns:
        ``(n, len(NAMES))``: edge of a cube of the same volume (mm), standard deviations along its axes by rising value
        (mm), share that it covers of spheres around the centre, number of pieces in which it meets these, HU at the
        centre, and that less the HU of blood.
    """
    from scipy import ndimage

    half = int(_FARTHEST_MM / GRID_MM)
    distances_mm = np.linalg.norm(np.indices((2 * half + 1,) * 3) - half, axis=0) * GRID_MM
    shells = [np.abs(distances_mm - mm) <= _SHELL_MM for mm in _SHELLS_MM]
    clipped = np.clip(hu.astype(np.float32), *WINDOW_HU)
    smooth = np.pad(ndimage.gaussian_filter(clipped, _SMOOTH_MM / GRID_MM), half, mode="edge")
    blood = float(np.percentile(clipped[tuple(tissue_zyx.T)], _BLOOD_PERCENTILE)) if len(tissue_zyx) else 0.0
    rows = np.empty((len(at_zyx), len(NAMES)), np.float32)
    for row, at in zip(rows, at_zyx, strict=True):
        box = smooth[tuple(slice(n, n + 2 * half + 1) for n in at)]
        centre = float(np.median(box[distances_mm < _CENTRE_MM]))
        pieces, _ = ndimage.label((np.abs(box - centre) < _LIKE_HU) & (distances_mm <= _FARTHEST_MM))
        own = (pieces == pieces[half, half, half]) & (pieces > 0)
        shares = [own[shell].mean() for shell in shells]
        counts = [ndimage.label(own & shell)[1] for shell in shells]
        row[:] = [np.cbrt(own.sum()) * GRID_MM, *_extents_mm(own), *shares, *counts, centre, centre - blood]
    return rows


def _extents_mm(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the standard deviations along the axes of a body by rising value, ``(3,)``; zeros for a voxel or none."""
    at_mm = np.argwhere(mask) * GRID_MM
    if len(at_mm) < 2:
        return np.zeros(3)
    return np.asarray(np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(at_mm.T)), 0)))
