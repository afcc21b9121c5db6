"""Masks from marks, on shapes whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ctlymph.core.morphology import components
from ctlymph.core.nodes import Mark
from ctlymph.core.volume import Geometry, Volume
from ctlymph.measurement.axes import measure_mask
from ctlymph.measurement.segmentation import segment_mark, segment_marks

CENTRE_MM = np.array([40.3, 39.8, 40.1])
NODE_HU, FAT_HU, LUNG_HU = 55.0, -100.0, -850.0


def grid(spacing: tuple[float, float, float]) -> tuple[np.ndarray, Geometry]:
    shape = tuple(round(80 / s) for s in spacing[::-1])
    geometry = Geometry((shape[0], shape[1], shape[2]), np.zeros(3), np.array(spacing))
    z, y, x = np.indices(shape)
    return geometry.index_to_mm(np.stack([x, y, z], axis=-1)) - CENTRE_MM, geometry


def scanned(hu: np.ndarray, geometry: Geometry, noise_hu: float = 0.0) -> Volume:
    """Blur as a scanner does (0.5 mm), add noise of some correlation."""
    blurred = ndimage.gaussian_filter(hu, 0.5 / geometry.spacing_zyx)
    noise = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=hu.shape), 0.7)
    return Volume((blurred + noise * noise_hu / noise.std()).astype(np.int16), geometry)


def mark(radius_mm: float, offset_mm: tuple[float, float, float] = (0.5, -0.5, 0.4), score: float = 0.9) -> Mark:
    x, y, z = (float(c) for c in CENTRE_MM + offset_mm)
    return Mark((x, y, z), score, radius_mm, "abdomen")


def inside(signed_mm: np.ndarray) -> np.ndarray:
    """Share of each voxel inside, from the signed distance, about one mm soft."""
    return np.clip(signed_mm / 0.9 + 0.5, 0, 1)


def in_place(volume: Volume, found: tuple[np.ndarray, tuple[int, int, int]]) -> np.ndarray:
    mask, start = found
    whole = np.zeros(volume.hu.shape, dtype=bool)
    whole[tuple(slice(a, a + n) for a, n in zip(start, mask.shape, strict=True))] = mask
    return whole


@pytest.mark.parametrize("surroundings", [FAT_HU, LUNG_HU])
@pytest.mark.parametrize("guess", [0.8, 1.0, 1.25])
@pytest.mark.parametrize(("radius_mm", "noise_hu"), [(5.0, 0.0), (8.0, 15.0), (12.0, 25.0)])
def test_a_ball_keeps_its_size_in_fat_and_in_lung_whatever_the_marks_guess(
    radius_mm: float, noise_hu: float, guess: float, surroundings: float
) -> None:
    at, geometry = grid((0.8, 0.8, 1.0))
    share = inside(radius_mm - np.linalg.norm(at, axis=-1))
    volume = scanned(surroundings + (NODE_HU - surroundings) * share, geometry, noise_hu)
    mask, start = segment_mark(volume, mark(radius_mm * guess))
    box = volume.crop(start, mask.shape)
    sizes = measure_mask(mask, box.geometry, box.hu)
    assert sizes.long_axis.length_mm == pytest.approx(2 * radius_mm, abs=1.0)
    assert sizes.short_axis.length_mm == pytest.approx(2 * radius_mm, abs=1.0)


def test_a_ball_against_a_muscle_of_its_own_density_is_cut_off_the_muscle() -> None:
    at, geometry = grid((0.8, 0.8, 1.0))
    ball = inside(8 - np.linalg.norm(at, axis=-1))
    muscle = inside(at[..., 0] - 7.0)  # a slab that swallows a cap of the ball one mm deep
    volume = scanned(FAT_HU + (NODE_HU - FAT_HU) * np.maximum(ball, muscle), geometry, 12.0)
    found = in_place(volume, segment_mark(volume, mark(8.0)))
    dice = 2 * (found & (ball > 0.5)).sum() / (found.sum() + (ball > 0.5).sum())
    assert dice > 0.85


def test_a_contrast_filled_vessel_next_to_the_node_stays_out() -> None:
    at, geometry = grid((0.8, 0.8, 1.0))
    ball = inside(7 - np.linalg.norm(at, axis=-1))
    vessel = inside(5 - np.hypot(at[..., 0] - 11.5, at[..., 1]))
    hu = np.where(vessel > 0.5, 220.0, FAT_HU + (NODE_HU - FAT_HU) * ball)
    volume = scanned(hu, geometry, 12.0)
    found = in_place(volume, segment_mark(volume, mark(7.0)))
    assert (found & (vessel > 0.5)).sum() < 0.03 * found.sum()
    assert found.sum() == pytest.approx((ball > 0.5).sum(), rel=0.15)


def test_a_fatty_hilum_inside_is_part_of_the_node() -> None:
    at, geometry = grid((0.8, 0.8, 1.0))
    away = np.linalg.norm(at - [3.0, 0.0, 0.0], axis=-1)
    hu = FAT_HU + (NODE_HU - FAT_HU) * inside(9 - np.linalg.norm(at, axis=-1)) * (1 - inside(2.5 - away))
    volume = scanned(hu, geometry)
    found = in_place(volume, segment_mark(volume, mark(9.0, (-3.0, 0.0, 0.0))))
    assert found[away < 1.0].all()


def test_a_rib_inside_muscle_is_not_filled_but_a_speck_of_calcium_in_a_node_is() -> None:
    at, geometry = grid((0.8, 0.8, 1.0))
    away = np.linalg.norm(at - [4.0, 0.0, 0.0], axis=-1)
    for radius_mm, expected in ((5.0, False), (1.6, True)):
        hu = FAT_HU + (NODE_HU - FAT_HU) * inside(12 - np.linalg.norm(at, axis=-1))
        volume = scanned(np.where(away < radius_mm, 700.0, hu), geometry)
        found = in_place(volume, segment_mark(volume, mark(12.0, (-6.0, 0.0, 0.0))))
        assert found[away < 0.8].all() == expected


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 1000),
    radius_mm=st.floats(3.0, 18.0),
    spacing=st.tuples(st.floats(0.6, 1.0), st.just(0.8), st.floats(0.8, 5.0)),
    place=st.tuples(*[st.floats(-42.0, 42.0)] * 3),
)
def test_a_mask_is_one_piece_never_empty_and_never_far_from_its_mark_even_in_pure_noise(
    seed: int, radius_mm: float, spacing: tuple[float, float, float], place: tuple[float, float, float]
) -> None:
    at, geometry = grid(spacing)
    noise = np.random.default_rng(seed).normal(0, 150, geometry.shape_zyx)
    volume = scanned(noise, geometry)
    here = mark(radius_mm, place)
    found = in_place(volume, segment_mark(volume, here))
    assert len(components(found)[1]) == 1
    away = np.linalg.norm(at + CENTRE_MM - here.point_mm, axis=-1)[found]
    outside_mm = np.linalg.norm(np.maximum(np.abs(np.array(here.point_mm) - 40) - 40, 0))
    assert away.max() <= max(2.4 * radius_mm, outside_mm) + np.linalg.norm(geometry.spacing_mm)


def test_two_marks_in_one_ball_are_one_node_and_the_surer_mark_keeps_it() -> None:
    at, geometry = grid((1.0, 1.0, 1.0))
    volume = scanned(FAT_HU + 155 * inside(10 - np.linalg.norm(at, axis=-1)), geometry)
    masks, kept = segment_marks(volume, [mark(10.0, (0, 0, 0), 0.9), mark(8.0, (3, 0, 0), 0.5)])
    assert [(label, m.score) for label, m in kept] == [(1, 0.9)]
    assert np.unique(masks.labels).tolist() == [0, 1]


def test_two_balls_apart_are_two_labels_in_the_order_of_the_marks() -> None:
    at, geometry = grid((1.0, 1.0, 1.0))
    far = np.linalg.norm(at - [20.0, 0, 0], axis=-1)
    both = np.maximum(inside(7 - np.linalg.norm(at, axis=-1)), inside(6 - far))
    masks, kept = segment_marks(
        scanned(FAT_HU + 155 * both, geometry), [mark(6.0, (20, 0, 0), 0.9), mark(7.0, (0, 0, 0), 0.5)]
    )
    assert [label for label, _ in kept] == [1, 2]
    assert (masks.labels[far < 4] == 1).all()


def test_a_node_thinner_than_the_slices_still_has_a_voxel() -> None:
    at, geometry = grid((0.8, 0.8, 5.0))
    volume = scanned(FAT_HU + 155 * inside(2.0 - np.linalg.norm(at - [0, 0, 2.4], axis=-1)), geometry)
    mask, _ = segment_mark(volume, mark(4.0, (0, 0, 2.4)))
    assert mask.any()


def test_no_marks_give_empty_masks() -> None:
    _, geometry = grid((2.0, 2.0, 2.0))
    masks, kept = segment_marks(Volume(np.zeros(geometry.shape_zyx, np.int16), geometry), [])
    assert kept == []
    assert not masks.labels.any()
