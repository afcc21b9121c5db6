from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ctlymph.core.contours import outlines


def disc(radius: float, size: int = 41, centre: tuple[float, float] = (20.0, 20.0)) -> NDArray[np.bool_]:
    y, x = np.indices((size, size))
    return np.asarray(np.hypot(y - centre[0], x - centre[1]) <= radius)


def area(polygon: NDArray[np.float64]) -> float:
    y, x = polygon.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def test_the_outline_of_a_disc_is_a_circle_about_its_centre() -> None:
    (polygon,) = outlines(disc(12.3, centre=(20.2, 19.6)))
    assert polygon.mean(axis=0) == pytest.approx([20.2, 19.6], abs=0.15)
    assert np.hypot(*(polygon - [20.2, 19.6]).T) == pytest.approx(12.3, abs=0.4)
    assert area(polygon) == pytest.approx(np.pi * 12.3**2, rel=0.02)


def test_the_outline_is_traced_in_the_order_of_the_arrays_axes() -> None:
    section = np.zeros((30, 50), dtype=bool)
    section[3:9, 30:45] = True
    (polygon,) = outlines(section)
    assert polygon.mean(axis=0) == pytest.approx([5.5, 37.0], abs=0.1)


def test_pieces_and_holes_have_outlines_of_their_own_and_corners_connect() -> None:
    ring = disc(12.0) & ~disc(6.0)
    assert sorted(round(area(polygon)) for polygon in outlines(ring)) == pytest.approx(
        [np.pi * 36, np.pi * 144], rel=0.03
    )
    assert len(outlines(np.eye(2, dtype=bool))) == 1
    assert len(outlines(np.array([[True, False, True]]))) == 2


def test_an_empty_mask_has_no_outline() -> None:
    assert outlines(np.zeros((4, 5), dtype=bool)) == []
