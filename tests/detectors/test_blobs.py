"""The blob detector, on shapes whose answer is known and on the phantom."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ctlymph.anatomy.landmarks import find_landmarks
from ctlymph.anatomy.search_regions import find_regions
from ctlymph.core.nodes import Mark
from ctlymph.core.regions import Region
from ctlymph.core.volume import Geometry, Volume
from ctlymph.detectors.blobs import BlobSettings, find_blobs
from ctlymph.phantom.scan.patient import Phantom

CENTRE_MM = np.array([40.0, 40.0, 40.0])


def context(solid: np.ndarray, hu: float, geometry: Geometry) -> tuple[Volume, Region]:
    """A solid of one HU in fat, edges softened by one voxel, to be searched everywhere."""
    volume = Volume((-100 + (hu + 100) * np.clip(solid, 0, 1)).astype(np.int16), geometry)
    return volume, Region("abdomen", np.ones(geometry.shape_zyx, dtype=bool), geometry)


def points_mm(spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> tuple[np.ndarray, Geometry]:
    shape = tuple(round(80 / s) for s in spacing[::-1])
    geometry = Geometry((shape[0], shape[1], shape[2]), np.zeros(3), np.array(spacing))
    z, y, x = np.indices(shape)
    return geometry.index_to_mm(np.stack([x, y, z], axis=-1)) - CENTRE_MM, geometry


def ball(radius_mm: float, hu: float, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> list[Mark]:
    at, geometry = points_mm(spacing)
    return find_blobs(*context(radius_mm - np.linalg.norm(at, axis=-1) + 0.5, hu, geometry))


@pytest.mark.parametrize("radius_mm", [5.0, 8.0, 12.0])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.8, 2.5), (0.9, 0.9, 5.0)])
def test_a_ball_of_tissue_in_fat_is_the_best_mark_at_its_centre_and_size(
    radius_mm: float, spacing: tuple[float, float, float]
) -> None:
    best = ball(radius_mm, 55, spacing)[0]
    assert np.linalg.norm(best.point_mm - CENTRE_MM) < 2.0
    assert best.radius_mm == pytest.approx(radius_mm, rel=0.5)
    assert best.score > 0.7


def test_scores_lie_between_0_and_1_and_fall() -> None:
    scores = [mark.score for mark in ball(8, 55)]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)


def test_a_tube_scores_far_below_a_ball_of_its_width() -> None:
    at, geometry = points_mm()
    tube = find_blobs(*context(6 - np.hypot(at[..., 0], at[..., 1]) + 0.5, 55, geometry))
    away_from_ends = [mark.score for mark in tube if 20 < mark.point_mm[2] < 60]
    assert max(away_from_ends, default=0) < 0.4 * ball(6, 55)[0].score


def test_a_sheet_scores_far_below_a_ball_of_its_width() -> None:
    at, geometry = points_mm()
    sheet = find_blobs(*context(6 - np.abs(at[..., 0]) + 0.5, 55, geometry))
    inside = [mark.score for mark in sheet if all(20 < mm < 60 for mm in mark.point_mm[1:])]
    assert max(inside, default=0) < 0.3 * ball(6, 55)[0].score


@pytest.mark.parametrize("hu", [250, 900])
def test_a_ball_of_contrast_medium_or_bone_is_no_mark(hu: float) -> None:
    assert not [mark for mark in ball(7, hu) if np.linalg.norm(mark.point_mm - CENTRE_MM) < 3]


def test_marks_keep_their_distance() -> None:
    rng = np.random.default_rng(5)
    _, geometry = points_mm()
    lumps = ndimage.gaussian_filter(rng.normal(size=geometry.shape_zyx), 3)
    marks = find_blobs(*context(lumps / lumps.std(), 120, geometry))
    points = np.array([mark.point_mm for mark in marks])
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1) + 1e9 * np.eye(len(points))
    assert len(points) > 3
    assert apart.min() >= BlobSettings().min_distance_mm


def test_a_scan_of_three_slices_is_searched() -> None:
    geometry = Geometry((3, 60, 60), np.zeros(3), np.array([1.0, 1.0, 5.0]))
    z, y, x = np.indices(geometry.shape_zyx)
    away_mm = np.sqrt((y - 30) ** 2 + (x - 30) ** 2 + (5 * z - 5) ** 2)
    best = find_blobs(*context(7 - away_mm, 55, geometry))[0]
    assert np.linalg.norm(np.array(best.point_mm[:2]) - 30) < 2.5


def test_a_single_slice_holds_no_ball_but_is_no_fault() -> None:
    geometry = Geometry((1, 60, 60), np.zeros(3), np.array([1.0, 1.0, 3.0]))
    y, x = np.mgrid[0:60, 0:60]
    assert find_blobs(*context((7 - np.hypot(y - 30, x - 30))[None], 55, geometry)) == []


def test_nothing_but_fat_gives_no_mark() -> None:
    _, geometry = points_mm((2.0, 2.0, 2.0))
    assert find_blobs(*context(np.zeros(geometry.shape_zyx), 0, geometry)) == []


def test_most_nodes_of_the_phantom_are_marked(phantom: Phantom) -> None:
    regions = find_regions(find_landmarks(phantom.volume))
    points = np.array([mark.point_mm for region in regions for mark in find_blobs(phantom.volume, region)])
    nodes = [node for node in phantom.nodes if node.short_axis_mm >= 8]
    hit = [np.linalg.norm(points - np.array(node.centre_mm), axis=1).min() < 15 for node in nodes]
    assert np.mean(hit) >= 0.8
