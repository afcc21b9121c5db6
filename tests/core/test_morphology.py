"""Shapes with radii in mm, against scipy's structuring elements and by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ctlymph.core import morphology
from ctlymph.core.volume import Geometry

SPACING = (1.0, 1.5, 2.0)
# No distance between two voxels is one of these: at a tie, rounding to float32 decides.
RADII_MM = st.integers(11, 60).map(lambda tenths: tenths / 10 + 0.0317)


def grid(shape: tuple[int, int, int]) -> Geometry:
    return Geometry(shape, np.zeros(3), np.array(SPACING))


def ball(radius_mm: float) -> np.ndarray:
    n = [int(radius_mm / s) for s in SPACING[::-1]]
    z, y, x = np.mgrid[-n[0] : n[0] + 1, -n[1] : n[1] + 1, -n[2] : n[2] + 1]
    return np.hypot(np.hypot(z * SPACING[2], y * SPACING[1]), x * SPACING[0]) <= radius_mm


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), RADII_MM)
def test_dilation_by_distance_equals_dilation_by_a_ball_on_anisotropic_voxels(seed: int, radius_mm: float) -> None:
    mask = np.random.default_rng(seed).random((9, 11, 13)) > 0.98
    expected = ndimage.binary_dilation(mask, ball(radius_mm)) if mask.any() else mask
    assert np.array_equal(morphology.dilate(mask, grid(mask.shape), radius_mm), expected)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), RADII_MM)
def test_erosion_is_dilation_of_the_rest(seed: int, radius_mm: float) -> None:
    mask = np.random.default_rng(seed).random((9, 11, 13)) > 0.02
    geometry = grid(mask.shape)
    rest = morphology.dilate(~mask, geometry, radius_mm)
    assert np.array_equal(morphology.erode(mask, geometry, radius_mm), ~rest)


def test_the_box_around_a_mask_stops_at_the_array_and_is_empty_where_nothing_is() -> None:
    mask = np.zeros((5, 9, 9), dtype=bool)
    assert mask[morphology.box_around(mask, 2)].size == 0
    mask[4, 3, 1:6] = True
    box = morphology.box_around(mask, np.array([1, 2, 3]))
    assert [(side.start, side.stop) for side in box] == [(3, 5), (1, 6), (0, 9)]


def test_components_come_by_falling_size() -> None:
    mask = np.zeros((1, 5, 12), dtype=bool)
    mask[0, 0, 0] = mask[0, 2:4, 2:5] = mask[0, 1, 8:11] = True
    labels, sizes = morphology.components(mask)
    assert sizes.tolist() == [6, 3, 1]
    assert labels[0, 2, 2] == 1
    assert labels[0, 1, 8] == 2
    assert labels[0, 0, 0] == 3
    assert morphology.largest_component(mask).sum() == 6


def test_a_lung_that_the_image_edge_cuts_open_is_filled_and_outside_air_is_not() -> None:
    body = np.zeros((1, 20, 20), dtype=bool)
    body[0, 3:17, :15] = True
    body[0, 6:12, :8] = False  # open to the left edge over 6 pixels of 1.5 mm
    assert not morphology.fill_slices(body, grid(body.shape))[0, 8, 3]
    filled = morphology.fill_slices(body, grid(body.shape), gap_mm=12.0)
    assert filled[0, 8, 3]
    assert not filled[0, 1].any()
    assert not filled[0, 19].any()


def test_hull_of_an_l_shape_holds_its_inner_corner_but_not_its_outer_one() -> None:
    plane = np.zeros((10, 10), dtype=bool)
    plane[1:9, 1:3] = plane[7:9, 1:9] = True
    hull = morphology.hull_of_slice(plane)
    assert hull[5, 3]
    assert not hull[1, 8]
    assert hull[plane].all()


def test_hull_of_nothing_and_of_a_line_is_itself() -> None:
    plane = np.zeros((6, 6), dtype=bool)
    assert not morphology.hull_of_slice(plane).any()
    plane[2, 1:5] = True
    assert np.array_equal(morphology.hull_of_slice(plane), plane)
