from __future__ import annotations

import numpy as np
import pytest

from ctlymph.core.volume import Geometry
from ctlymph.phantom.scan.image_statistics import MEASURES, ImageStatistics, _noise, compare


def image(**figures: float) -> ImageStatistics:
    return ImageStatistics("case", **{**dict.fromkeys(MEASURES, 1.0), **figures})


def test_what_lies_within_the_range_of_the_real_ones_is_counted() -> None:
    rows = compare([image(fat_hu=-100), image(fat_hu=-80)], [image(fat_hu=-110), image(fat_hu=-95)])
    assert rows[0] == ("fat, mean HU", "-102 (-110 to -95)", "-90 (-100 to -80)", "1 of 2")


def test_a_tissue_that_was_not_found_is_said_to_be_so() -> None:
    rows = compare([image(aorta_hu=np.nan)], [image()])
    assert rows[list(MEASURES).index("aorta_hu")][2] == "not found"


@pytest.mark.parametrize("sd", [5.0, 40.0])
def test_white_noise_has_its_deviation_and_no_grain(sd: float) -> None:
    box = np.random.default_rng(1).normal(50, sd, (20, 40, 40))
    geometry = Geometry((20, 40, 40), np.zeros(3), np.array([0.7, 0.7, 1.0]))
    found_sd, lag1, width, slices = _noise(box, geometry)
    assert found_sd == pytest.approx(sd, rel=0.05)
    assert abs(lag1) < 0.05
    assert width == pytest.approx(0.7, abs=0.1)
    assert abs(slices) < 0.05


def test_smooth_noise_is_wider_than_white_noise() -> None:
    from scipy.ndimage import gaussian_filter

    geometry = Geometry((20, 40, 40), np.zeros(3), np.array([0.7, 0.7, 1.0]))
    white = np.random.default_rng(1).normal(50, 20, (20, 40, 40))
    grainy = gaussian_filter(white, (0, 1.2, 1.2))
    assert _noise(grainy, geometry)[2] > 2 * _noise(white, geometry)[2]
