from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import Geometry, Volume
from ctlymph.followup.registration import Registration, register

Points = NDArray[np.float64]
MAKE_LATER: dict[str, Callable[[Points], Points]] = {}
GRID = Geometry((64, 56, 80), np.array([-158.0, -110.0, -126.0]), np.array([4.0, 4.0, 4.0]))


def torso(points_mm: Points, seed: int = 0) -> NDArray[np.float64]:
    """HU of a trunk along z, with two lungs above, a spine, ribs, and organs of its own for each seed."""
    rng = np.random.default_rng(seed)
    x, y, z = points_mm.T
    hu = np.full(len(points_mm), -1000.0)
    hu[(x / 140) ** 2 + (y / 90) ** 2 < 1] = -100
    hu[(x / 125) ** 2 + (y / 75) ** 2 < 1] = 30
    for side in (-1, 1):
        hu[((x - side * 65) / 45) ** 2 + (y / 60) ** 2 + ((z - 90) / 110) ** 2 < 1] = -850
    for centre, radii, value in zip(
        rng.uniform((-100, -60, -150), (100, 60, 150), (90, 3)),
        rng.uniform(8, 30, (90, 3)),
        rng.choice([-100, 60, 100, 150], 90),
        strict=True,
    ):
        hu[(((points_mm - centre) / radii) ** 2).sum(axis=1) < 1] = value
    hu[(x / 18) ** 2 + ((y - 55) / 15) ** 2 < 1 - 0.4 * (np.mod(z, 30) < 8)] = 250
    return hu


def scan(
    to_earlier: Callable[[Points], Points] = lambda points: points, grid: Geometry = GRID, seed: int = 0
) -> Volume:
    """Scan a torso that lies so that each place is where ``to_earlier`` says in the torso itself."""
    z, y, x = np.indices(grid.shape_zyx)
    points_mm = grid.index_to_mm(np.stack([x, y, z], axis=-1).reshape(-1, 3))
    noise = np.random.default_rng([seed, *grid.shape_zyx]).normal(0, 20, len(points_mm))
    hu = torso(to_earlier(points_mm), seed) + noise
    return Volume(np.clip(hu, -1024, 3000).astype(np.int16).reshape(grid.shape_zyx), grid, f"torso {seed}")


@cache
def baseline() -> Volume:
    return scan()


def shifted(points_mm: Points) -> Points:
    return points_mm + np.array([37.0, -14.0, 52.0])


def turned(points_mm: Points) -> Points:
    return points_mm @ Rotation.from_euler("zyx", [8, -5, 4], degrees=True).as_matrix().T + (10.0, 5.0, -8.0)


def breathed(points_mm: Points) -> Points:
    x, _, z = points_mm.T
    bump = 14 * np.exp(-((z / 70) ** 2) - (x / 110) ** 2)
    return points_mm + np.stack([3 * np.sin(z / 50), -0.4 * bump, bump], axis=1) + (-6.0, 2.0, 9.0)


def inner_points(alignment_of: Callable[[Points], Points]) -> tuple[Points, Points]:
    """Give places in the body of a later scan, and where they are in the earlier, where that shows them."""
    points_mm = np.random.default_rng(3).uniform((-100, -55, -110), (100, 55, 110), (800, 3))
    earlier = alignment_of(points_mm)
    inside = GRID.contains(earlier) & ((earlier[:, 0] / 125) ** 2 + (earlier[:, 1] / 75) ** 2 < 1)
    return points_mm[inside], earlier[inside]


@pytest.mark.parametrize(("change", "median_mm", "most_mm"), [(shifted, 1, 2), (turned, 1, 2), (breathed, 2.5, 6)])
def test_where_a_place_was_is_found(change: Callable[[Points], Points], median_mm: float, most_mm: float) -> None:
    """To a fraction of a voxel of 4 mm; where the body bends by 14 mm within some cm, to one voxel and a half."""
    points_mm, earlier_mm = inner_points(change)
    registration = register(baseline(), scan(change))
    away_mm = np.linalg.norm(registration.to_earlier(points_mm) - earlier_mm, axis=1)
    assert np.median(away_mm) < median_mm
    assert np.percentile(away_mm, 95) < most_mm
    assert registration.correlation > 0.85


def test_scans_that_show_parts_of_different_length_are_aligned_either_way() -> None:
    short = scan(shifted, GRID.crop([6, 0, 0], [30, 56, 80]))
    points_mm, earlier_mm = inner_points(shifted)
    seen = short.geometry.contains(points_mm)
    for registration, here, there in (
        (register(baseline(), short), points_mm[seen], earlier_mm[seen]),
        (register(short, baseline()), earlier_mm[seen], points_mm[seen]),
    ):
        assert np.percentile(np.linalg.norm(registration.to_earlier(here) - there, axis=1), 95) < 4.0


def test_axes_spacing_and_table_make_no_difference() -> None:
    grid = Geometry((52, 90, 110), np.array([-158.0, -110.0, -126.0]), np.array([2.9, 2.5, 5.0]))
    later = scan(turned, grid)
    later.hu[:, -4:] = 300
    points_mm, earlier_mm = inner_points(turned)
    away_mm = np.linalg.norm(register(baseline(), later.reorient("RAS")).to_earlier(points_mm) - earlier_mm, axis=1)
    assert np.median(away_mm) < 2.0
    assert np.percentile(away_mm, 95) < 5.0


def test_contrast_agent_makes_no_difference() -> None:
    later = scan(breathed)
    hu = np.where((later.hu > 80) & (later.hu < 200), 60, later.hu).astype(np.int16)
    points_mm, earlier_mm = inner_points(breathed)
    away_mm = register(baseline(), Volume(hu, later.geometry)).to_earlier(points_mm) - earlier_mm
    assert np.median(np.linalg.norm(away_mm, axis=1)) < 2.5


def test_the_same_scans_give_the_same_bytes() -> None:
    first, second = (register(baseline(), scan(breathed)) for _ in range(2))
    assert first.deformation_mm.tobytes() == second.deformation_mm.tobytes()
    assert first.affine.tobytes() == second.affine.tobytes()


def test_another_body_is_refused() -> None:
    with pytest.raises(CtlymphError, match=r"torso 1 cannot be registered to torso 0: .* correlation is 0\.\d\d"):
        register(baseline(), scan(seed=1))


def test_another_part_of_the_body_is_refused() -> None:
    chest, pelvis = (scan(grid=GRID.crop([first, 0, 0], [28, 56, 80])) for first in (0, 36))
    with pytest.raises(CtlymphError, match="cannot be registered to"):
        register(chest, pelvis)


def test_a_scan_without_a_body_is_refused() -> None:
    empty = Volume(np.full((20, 20, 20), -1000, dtype=np.int16), Geometry((20, 20, 20), np.zeros(3), np.full(3, 5.0)))
    with pytest.raises(CtlymphError, match="shows no body"):
        register(baseline(), empty)


def test_an_overlap_of_a_few_slices_is_refused() -> None:
    slab = GRID.crop([30, 0, 0], [9, 56, 80])
    with pytest.raises(CtlymphError, match="mm of the body in common"):
        register(baseline(), scan(grid=slab))


def test_without_arguments_an_alignment_leaves_all_where_it_is() -> None:
    points_mm = np.array([[1.0, 2.0, 3.0], [-400.0, 5.5, 900.0]])
    assert np.array_equal(Registration().to_earlier(points_mm), points_mm)
    assert Registration().to_earlier(np.empty((0, 3))).shape == (0, 3)
