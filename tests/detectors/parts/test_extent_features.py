from __future__ import annotations

import numpy as np
import pytest

from ctlymph.detectors.base import GRID_MM
from ctlymph.detectors.parts.extent_features import NAMES, extent_features

MIDDLE = np.array([[30, 30, 30]])


def described(shape: np.ndarray, blood_hu: int = 150) -> dict[str, float]:
    hu = np.where(shape, 50, -100).astype(np.int16)
    hu[:5] = blood_hu
    (row,) = extent_features(hu, np.argwhere(hu > 0), MIDDLE)
    return dict(zip(NAMES, row.tolist(), strict=True))


def away() -> np.ndarray:
    return np.linalg.norm(np.indices((61, 61, 61)) - 30, axis=0) * GRID_MM


def test_a_ball_ends_and_a_vessel_goes_on_by_two_ways() -> None:
    y, x = np.indices((61, 61)) - 30
    tube = np.repeat((np.hypot(y, x) * GRID_MM <= 6)[None], 61, axis=0)
    ball = described(away() <= 7)
    vessel = described(tube)
    assert ball["share at 12 mm"] == ball["pieces at 12 mm"] == 0
    assert vessel["pieces at 12 mm"] == vessel["pieces at 20 mm"] == 2
    assert vessel["extent 3"] > 2 * vessel["extent 2"]
    assert ball["extent 3"] == pytest.approx(ball["extent 1"], rel=0.05)


def test_size_is_that_of_a_cube_of_the_same_volume_but_for_the_blurred_rim() -> None:
    cube_mm = 8 * (4 * np.pi / 3) ** (1 / 3)
    assert cube_mm - 2 * GRID_MM < described(away() <= 8)["size"] < cube_mm


def test_what_does_not_hang_together_with_the_middle_is_not_followed() -> None:
    apart = (away() <= 6) | ((away() > 14) & (away() < 20))
    assert described(apart)["share at 16 mm"] == 0


def test_the_middle_is_compared_with_blood() -> None:
    assert described(away() <= 9, blood_hu=150)["centre less blood"] == pytest.approx(-100, abs=5)


def test_a_middle_at_the_edge_of_the_grid_is_described_too() -> None:
    hu = np.full((20, 20, 20), 50, np.int16)
    assert np.isfinite(extent_features(hu, np.empty((0, 3), np.intp), np.array([[0, 0, 19]]))).all()
