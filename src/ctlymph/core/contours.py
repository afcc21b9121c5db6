"""The outline of a mask on one slice, at sub-voxel precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

POINTS = 256
"""Vertices of every smoothed outline."""

WAVELENGTH_PX = 10.0
"""Details of an outline shorter than this, in the longer side of a pixel, are staircase and are smoothed away."""


def outlines(section: NDArray[np.bool_], spacing_mm: ArrayLike = (1.0, 1.0)) -> list[NDArray[np.float64]]:
    """Trace the smooth outlines of a 2D mask.

    The polygons halfway between the pixels inside and outside (marching
    squares) carry the staircase of the grid: their longest diameter is about
    0.3 pixels too long. Each is therefore low-passed along its length (Fourier
    descriptors, a Butterworth filter at ``WAVELENGTH_PX``). That is done in the
    frame where the outline's second moments are those of a circle, so that an
    ellipse, however slender, is one harmonic and keeps its axes; in the image's
    own frame slender tips would be cut. Pixels that touch at a corner belong
    together, and what lies beyond the edge of the image counts as outside.

    Args:
        section: Two-dimensional mask.
        spacing_mm: Distance between pixel centres along each axis of the array.

    Returns:
        One closed polygon for each outer outline and each hole: ``POINTS`` × 2
        fractional indices in the order of the array's axes, the first vertex
        not repeated.
    """
    from skimage.measure import find_contours

    spacing = np.asarray(spacing_mm, dtype=np.float64)
    padded = np.pad(section, 1).astype(np.float64)
    polygons = find_contours(padded, 0.5, fully_connected="high")
    return [_smoothed((polygon[:-1] - 1) * spacing, WAVELENGTH_PX * spacing.max()) / spacing for polygon in polygons]


def _smoothed(polygon: NDArray[np.float64], wavelength: float) -> NDArray[np.float64]:
    centre = polygon.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov((_evenly(polygon) - centre).T))
    unround = axes * np.sqrt(variances)
    spectrum = np.fft.rfft(_evenly((polygon - centre) @ np.linalg.inv(unround).T), axis=0)
    # Half a harmonic beyond the limit, so that the last one allowed passes nearly whole.
    cutoff = max(1.0, _perimeter(polygon) / wavelength) + 0.5
    harmonic = np.arange(len(spectrum))
    gain = np.where(harmonic > 1, 1 / (1 + (harmonic / cutoff) ** 8), 1.0)
    return np.asarray(np.fft.irfft(spectrum * gain[:, None], POINTS, axis=0) @ unround.T + centre)


def _evenly(polygon: NDArray[np.float64]) -> NDArray[np.float64]:
    """Place ``POINTS`` vertices at even distances along a closed polygon."""
    closed = np.concatenate([polygon, polygon[:1]])
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    places = np.arange(POINTS) * (length[-1] / POINTS)
    return np.stack([np.interp(places, length, closed[:, axis]) for axis in (0, 1)], axis=1)


def _perimeter(polygon: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(polygon - np.roll(polygon, 1, axis=0), axis=1).sum())
