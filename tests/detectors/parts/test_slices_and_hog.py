"""The slices through candidates, and their histograms of gradients."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from skimage.feature import hog

from ctlymph.core.volume import AIR_HU, Geometry, Masks, Volume
from ctlymph.detectors.parts.hog import hog_of, windowed
from ctlymph.detectors.parts.slices import PER_AXIS, mask_slices_of, slices_of

CENTRE_MM = np.array([12.0, -30.0, 250.0])
HALF_AXES_MM = np.array([14.0, 9.0, 6.0])
MIDDLE = PER_AXIS // 2 + PER_AXIS * np.arange(3)


def grid(spacing_mm: tuple[float, float, float], direction: np.ndarray) -> Geometry:
    """A grid of some 90 mm, its middle near the centre."""
    x, y, z = (round(90 / step) for step in spacing_mm)
    start = CENTRE_MM - direction @ (np.array([x, y, z]) * spacing_mm) / 2
    return Geometry((z, y, x), start, np.array(spacing_mm), direction)


def away(geometry: Geometry) -> np.ndarray:
    """How far voxels lie from the centre, 1 on the ellipsoid's surface."""
    z, y, x = np.indices(geometry.shape_zyx)
    return np.linalg.norm((geometry.index_to_mm(np.stack([x, y, z], axis=-1)) - CENTRE_MM) / HALF_AXES_MM, axis=-1)


def smooth_ellipsoid(geometry: Geometry) -> Volume:
    return Volume((1000 * np.exp(-(away(geometry) ** 2)) - 100).astype(np.int16), geometry)


OBLIQUE = Rotation.from_euler("zyx", (8, -12, 17), degrees=True).as_matrix()
TURNED = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


@pytest.mark.parametrize(
    ("spacing_mm", "direction"),
    [((0.7, 0.7, 1.0), np.eye(3)), ((0.8, 0.8, 1.5), OBLIQUE), ((1.2, 0.8, 0.9), OBLIQUE @ TURNED)],
    ids=["fine", "oblique", "oblique and stored along other axes"],
)
def test_any_grid_gives_the_same_slices(spacing_mm: tuple[float, float, float], direction: np.ndarray) -> None:
    expected = slices_of(smooth_ellipsoid(grid((1.0, 1.0, 1.0), np.eye(3))), CENTRE_MM[None])
    found = slices_of(smooth_ellipsoid(grid(spacing_mm, direction)), CENTRE_MM[None])
    assert np.abs(found.astype(int) - expected).max() < 50  # of 1000; a grid turned wrongly differs by hundreds


def test_slices_are_axial_then_coronal_then_sagittal() -> None:
    geometry = grid((1.0, 1.0, 1.0), np.eye(3))
    masks = Masks((away(geometry) <= 1).astype(np.uint16), geometry)
    middle = mask_slices_of(masks, CENTRE_MM[None])[0][MIDDLE]
    rows, columns = middle.any(axis=2).sum(axis=1), middle.any(axis=1).sum(axis=1)
    x, y, z = 2 * HALF_AXES_MM
    np.testing.assert_allclose(rows, [y, z, z], atol=2)
    np.testing.assert_allclose(columns, [x, x, y], atol=2)


def test_what_lies_outside_the_ct_is_air() -> None:
    geometry = grid((1.0, 1.0, 1.0), np.eye(3))
    corner = slices_of(smooth_ellipsoid(geometry), geometry.origin_mm[None])[0]
    assert (corner[:, :20, :20] == AIR_HU).all()
    assert (corner[MIDDLE, 30:, 30:] > AIR_HU).all()


def test_no_candidates_give_no_slices_and_no_features() -> None:
    slices = slices_of(smooth_ellipsoid(grid((2.0, 2.0, 2.0), np.eye(3))), np.empty((0, 3)))
    assert slices.shape == (0, 27, 45, 45)
    assert hog_of(windowed(slices), (9, 5)).shape == (0, 27, 576 + 2304)


def test_cell_sizes_are_described_one_after_the_other() -> None:
    images = np.random.default_rng(0).random((2, 3, 45, 45), dtype=np.float32)
    both = hog_of(images, (9, 5))
    np.testing.assert_array_equal(both, np.concatenate([hog_of(images, (9,)), hog_of(images, (5,))], axis=2))


def test_an_edge_fills_the_orientation_that_it_has() -> None:
    upright = np.zeros((1, 45, 45), dtype=np.float32)
    upright[:, :, 22:] = 1
    by_orientation = [hog_of(image, (9,)).reshape(-1, 9).sum(axis=0).argmax() for image in (upright[0], upright[0].T)]
    assert by_orientation[0] != by_orientation[1]


@pytest.mark.parametrize("cell", [9, 5, 8])
def test_the_histograms_are_those_of_scikit_image(cell: int) -> None:
    images = np.random.default_rng(3).random((4, 45, 45), dtype=np.float32)
    images[1] = np.round(images[1])  # many gradients of exactly one orientation
    images[2] = 0.5
    of_others = [
        hog(image, orientations=9, pixels_per_cell=(cell, cell), cells_per_block=(2, 2), block_norm="L2-Hys")
        for image in images
    ]
    np.testing.assert_allclose(hog_of(images, (cell,)), of_others, atol=5e-4)


def test_a_shift_of_all_hu_within_the_window_changes_no_feature() -> None:
    hu = np.random.default_rng(0).integers(0, 100, (1, 45, 45)).astype(np.int16)
    np.testing.assert_allclose(hog_of(windowed(hu), (9,)), hog_of(windowed(hu + np.int16(50)), (9,)), atol=2e-3)
