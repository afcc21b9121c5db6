from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ctlymph.phantom.body.shapes import (
    Ellipsoid,
    Intersection,
    LatticeSolid,
    Offset,
    Solid,
    Subtraction,
    SuperellipticColumn,
    Tubes,
    Union,
    tube,
)

AXES = tuple(np.arange(-30, 30.1, step, dtype=np.float32) for step in (1.0, 1.5, 2.0))
length = st.floats(2.0, 12.0)


def volume_mm3(solid: Solid, step: float = 0.5) -> float:
    """Count voxel centres."""
    low, high = solid.bounds
    x, y, z = (np.arange(a, b + step, step, dtype=np.float32) for a, b in zip(low - step, high, strict=True))
    return float((solid.on_grid(x, y, z, 2.0) < 0).sum() * step**3)


def turned(seed: int) -> NDArray[np.float64]:
    return Rotation.random(rng=np.random.default_rng(seed)).as_matrix()


@settings(max_examples=25, deadline=None)
@given(length, length, length, st.integers(0, 1000))
def test_an_ellipsoids_surface_is_where_its_distance_is_zero(a: float, b: float, c: float, seed: int) -> None:
    axes = turned(seed)
    ellipsoid = Ellipsoid((3, -2, 1), (a, b, c), axes)
    directions = np.random.default_rng(seed).normal(size=(40, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    surface = directions * (a, b, c) @ axes.T + (3, -2, 1)
    assert np.abs(ellipsoid.at(surface)).max() < 1e-3
    low, high = ellipsoid.bounds
    assert (surface >= low - 1e-6).all()
    assert (surface <= high + 1e-6).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_a_tubes_distance_is_that_to_the_nearest_of_densely_sown_balls(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = np.column_stack([rng.uniform(-15, 15, (4, 3)), rng.uniform(2, 5, 4)])
    # A cone's nearest ball is not quite at the foot of the perpendicular, and the less so the steeper its side.
    steepest = (np.abs(np.diff(rows[:, 3])) / np.linalg.norm(np.diff(rows[:, :3], axis=0), axis=1)).max()
    assume(steepest < 0.3)
    pieces = Tubes(rows[:-1, :3], rows[1:, :3], np.column_stack([rows[:-1, 3], rows[1:, 3]]))
    share = np.linspace(0, 1, 300)[:, None]
    balls = np.concatenate([a + share * (b - a) for a, b in pairwise(rows)])
    points = balls[::40, :3] + rng.normal(0, 3, (len(balls[::40]), 3))
    sown = (np.linalg.norm(points[:, None] - balls[None, :, :3], axis=2) - balls[:, 3]).min(axis=1)
    near = sown < 6
    assert np.abs(pieces.at(points)[near] - sown[near]).max() < 0.6


def test_distances_on_a_grid_are_those_at_its_points() -> None:
    solid = Union(
        (tube([(-10, 0, 0, 4), (0, 8, 5, 3), (10, 0, 9, 5)]), Ellipsoid((0, 0, -10), (5, 9, 4), turned(3))), 4.0
    )
    x, y, z = AXES
    grid = solid.on_grid(x, y, z, 5.0)
    points = np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1).reshape(-1, 3)
    at = solid.at(points).reshape(len(x), len(y), len(z)).transpose(2, 1, 0)
    close = at < 1.0
    assert close.sum() > 100
    np.testing.assert_allclose(grid[close], at[close], atol=1e-3)
    assert (grid[~close] > 0.9).all()


def test_a_sampled_solid_keeps_its_volume_and_surface() -> None:
    ball = Ellipsoid((1, 2, 3), (15, 12, 10), turned(1))
    sampled = LatticeSolid(ball, 2.0)
    assert volume_mm3(sampled) == pytest.approx(4 / 3 * np.pi * 15 * 12 * 10, rel=0.02)
    points = np.array([(1, 2, 3)]) + np.eye(3) @ np.diag([9.0, 9.0, 9.0])
    np.testing.assert_allclose(sampled.at(points), ball.at(points), atol=0.1)


def test_solids_can_be_joined_cut_and_grown() -> None:
    big, small = Ellipsoid((0, 0, 0), (10, 10, 10)), Ellipsoid((0, 0, 0), (6, 6, 6))
    hollow = Subtraction(big, (small,))
    assert volume_mm3(hollow) == pytest.approx(4 / 3 * np.pi * (10**3 - 6**3), rel=0.02)
    assert volume_mm3(Union((big, small))) == pytest.approx(4 / 3 * np.pi * 10**3, rel=0.02)
    assert volume_mm3(Offset(small, 4.0)) == pytest.approx(4 / 3 * np.pi * 10**3, rel=0.02)


def test_a_column_of_exponent_two_is_an_elliptic_cylinder_and_contains_its_contour() -> None:
    rows = np.array([(-20, 2, 10, -8, 4, 2.0), (20, 2, 10, -8, 4, 2.0)], dtype=float)
    column = SuperellipticColumn(rows)
    assert volume_mm3(column) == pytest.approx(np.pi * 10 * 6 * 40, rel=0.03)
    contour = column.contour(np.radians(np.arange(0, 360, 20)), np.linspace(-15, 15, 18))
    assert np.abs(column.at(contour)).max() < 1e-3
    back, left = column.contour(np.radians([0.0, 90.0]), 0.0)
    np.testing.assert_allclose(back, (2, 4, 0), atol=1e-6)
    np.testing.assert_allclose(left, (12, -2, 0), atol=1e-6)


def test_many_far_solids_make_no_near_one() -> None:
    far = tuple(Ellipsoid((0, 0, 30), (10, 10, 10)) for _ in range(40))
    joined = Union(far, 16.0)
    x = y = np.array([0.0], dtype=np.float32)
    z = np.array([0.0, 4.0, 8.0], dtype=np.float32)
    assert joined.on_grid(x, y, z, 4.0).min() > 4
    assert joined.at([(0, 0, 4.0)])[0] > 4


def test_a_sampled_solid_is_far_from_points_beyond_its_lattice() -> None:
    sampled = LatticeSolid(Ellipsoid((0, 0, 0), (6, 6, 6)), 1.5, margin_mm=2.0)
    axis = np.array([0.0, 20.0], dtype=np.float32)
    assert sampled.at([(20.0, 0, 0)])[0] == pytest.approx(14, abs=0.5)
    assert sampled.on_grid(axis, axis, axis, 4.0)[0, 0, 1] == pytest.approx(14, abs=0.5)


def test_what_has_nothing_in_common_has_a_box_without_volume() -> None:
    low, high = Intersection((Ellipsoid((0, 0, 0), (5, 5, 5)), Ellipsoid((20, 0, 0), (5, 5, 5)))).bounds
    assert (high >= low).all()
    assert np.prod(high - low) == 0
