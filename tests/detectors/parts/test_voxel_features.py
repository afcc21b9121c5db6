from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ctlymph.core.volume import Geometry
from ctlymph.detectors.parts.voxel_features import NAMES, SCALES_MM, eigenvalues, voxel_features

GRID = Geometry((40, 40, 40), np.zeros(3), np.full(3, 2.0))


@given(st.integers(0, 10_000), st.sampled_from([1e-3, 1.0, 1e3]))
def test_eigenvalues_are_those_of_numpy(seed: int, size: float) -> None:
    matrices = np.random.default_rng(seed).normal(0, size, (20, 3, 3))
    matrices = matrices + matrices.swapaxes(1, 2)
    given_as = {(a, b): matrices[:, a, b] for a in range(3) for b in range(a, 3)}
    found = np.stack(eigenvalues(given_as), axis=1)
    np.testing.assert_allclose(found, np.linalg.eigvalsh(matrices), atol=1e-6 * size)


def test_eigenvalues_of_equal_axes_are_equal() -> None:
    zero, two = np.zeros(1), np.full(1, 2.0)
    found = eigenvalues({(0, 0): two, (1, 1): two, (2, 2): two, (0, 1): zero, (0, 2): zero, (1, 2): zero})
    np.testing.assert_allclose(np.stack(found)[:, 0], 2)


def _features(inside: np.ndarray) -> dict[str, float]:
    hu = np.where(inside, 60, -100).astype(np.int16)
    return dict(zip(NAMES, voxel_features(hu, GRID, np.array([[20, 20, 20]]))[0].tolist(), strict=True))


def test_a_ball_curves_along_three_axes_and_a_tube_along_two() -> None:
    z, y, x = np.indices(GRID.shape_zyx) - 20
    ball = _features(z**2 + y**2 + x**2 < 4**2)
    tube = _features(y**2 + x**2 < 4**2)
    scale = SCALES_MM[2]
    assert max(ball[f"curvature 1 {scale}"], ball[f"curvature 3 {scale}"]) < -20
    assert tube[f"curvature 2 {scale}"] < -20 < tube[f"curvature 3 {scale}"]
    assert abs(tube[f"curvature 3 {scale}"]) < 1


def test_an_even_field_has_its_value_and_no_shape() -> None:
    found = _features(np.ones(GRID.shape_zyx, bool))
    assert found["hu"] == 60
    assert all(
        abs(found[f"{name} {scale}"]) < 1 for scale in SCALES_MM for name in ("slope", "curvature 1", "curvature 3")
    )
    assert found["spread 4.0"] < 1
    assert found["fat 8.0"] == found["gas 8.0"] == 0
