"""Outlines of a mask on one slice, with sub-pixel precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

POINTS = 256
"""Number of vertices of a smoothed outline."""

WAVELENGTH_PX = 10.0
"""Details of an outline shorter than this (in longer pixel sides) come from the pixel grid and are smoothed away."""


def outlines(section: NDArray[np.bool_], spacing_mm: ArrayLike = (1.0, 1.0)) -> list[NDArray[np.float64]]:
    """Return the smooth outlines of a 2D mask.

    Polygons halfway between the pixels inside and outside (marching squares)
    follow the steps of the pixel grid: their longest diameter is about 0.3
    pixels too long. Each polygon is therefore low-pass filtered along its length
    (Fourier descriptors, a Butterworth filter at ``WAVELENGTH_PX``). The filter
    works in the frame in which the outline's second moments are those of a
    circle: an ellipse, however slender, is one harmonic there and keeps its
    axes. In the frame of the image the tips of slender outlines would be cut.
    Pixels that touch at a corner are connected. The outside of the image counts
    as background.

    >>> section = np.zeros((20, 20), dtype=bool)
    >>> section[5:15, 5:15] = True
    >>> [outline.shape for outline in outlines(section)]
    [(256, 2)]

    Args:
        section: Two-dimensional mask.
        spacing_mm: Distance between pixel centres along each axis of the array.

    Returns:
        One closed polygon for each outer outline and each hole: ``POINTS`` × 2
        fractional indices in the order of the array's axes. The first vertex is
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
    # Half a harmonic above the limit, so that the highest harmonic below it is hardly damped.
    cutoff = max(1.0, _perimeter(polygon) / wavelength) + 0.5
    harmonic = np.arange(len(spectrum))
    gain = np.where(harmonic > 1, 1 / (1 + (harmonic / cutoff) ** 8), 1.0)
    return np.asarray(np.fft.irfft(spectrum * gain[:, None], POINTS, axis=0) @ unround.T + centre)


def _evenly(polygon: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``POINTS`` vertices at equal distances along a closed polygon."""
    closed = np.concatenate([polygon, polygon[:1]])
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    places = np.arange(POINTS) * (length[-1] / POINTS)
    return np.stack([np.interp(places, length, closed[:, axis]) for axis in (0, 1)], axis=1)


def _perimeter(polygon: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(polygon - np.roll(polygon, 1, axis=0), axis=1).sum())
