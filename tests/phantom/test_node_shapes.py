from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ctlymph.phantom.body.shapes import Ellipsoid
from ctlymph.phantom.nodes.node_shapes import Lobulated, directions, measure_solid, sample_shape
from ctlymph.phantom.nodes.node_statistics import NODE_STATISTICS

REGIONS = st.sampled_from(sorted(NODE_STATISTICS))


def section_axes(radii: tuple[float, float, float], axes: np.ndarray) -> tuple[float, float]:
    """Axes of the central axial section of an ellipsoid, by linear algebra."""
    shape = axes @ np.diag(1 / np.square(radii)) @ axes.T
    shortest, longest = np.linalg.eigvalsh(shape[:2, :2])[::-1] ** -0.5
    return float(2 * longest), float(2 * shortest)


@pytest.mark.parametrize("seed", range(6))
def test_axes_of_an_ellipsoid_are_those_of_its_central_section(seed: int) -> None:
    radii, axes = (5.0, 7.0, 10.0), Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
    extent = measure_solid(Ellipsoid((0.3, 0.2, 0.1), radii, axes))
    np.testing.assert_allclose((extent.long_axis_mm, extent.short_axis_mm), section_axes(radii, axes), atol=0.08)
    assert extent.volume_mm3 == pytest.approx(4 / 3 * np.pi * np.prod(radii), rel=0.01)
    np.testing.assert_allclose(extent.centre_mm, (0.3, 0.2, 0.1), atol=0.02)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), REGIONS, st.floats(3.0, 40.0))
def test_a_sampled_node_has_the_short_axis_asked_for(seed: int, region: str, short_mm: float) -> None:
    shape = sample_shape(np.random.default_rng(seed), NODE_STATISTICS[region], short_mm)
    # Where two sections have all but the same diameter, a hair decides which one is measured.
    assert measure_solid(shape).short_axis_mm == pytest.approx(short_mm, rel=0.08)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), REGIONS)
def test_a_nodes_surface_has_no_distance_and_lies_in_its_box(seed: int, region: str) -> None:
    shape = sample_shape(np.random.default_rng(seed), NODE_STATISTICS[region], 12.0).at_place((4, 5, 6))
    surface = shape.surface(directions(300))
    assert np.abs(shape.at(surface)).max() < 2e-3
    low, high = shape.bounds
    assert (surface >= low).all()
    assert (surface <= high).all()


def test_moving_and_growing_a_shape_keeps_its_form() -> None:
    shape = sample_shape(np.random.default_rng(0), NODE_STATISTICS["abdomen"], 10.0)
    before, after = measure_solid(shape), measure_solid(shape.at_place((20, -30, 40), 2.0))
    assert after.volume_mm3 == pytest.approx(8 * before.volume_mm3, rel=0.02)
    assert after.short_axis_mm == pytest.approx(20.0, rel=0.02)
    np.testing.assert_allclose(after.centre_mm, 2 * np.array(before.centre_mm) + (20, -30, 40), atol=0.1)


def test_an_ellipsoid_without_relief_is_an_ellipsoid() -> None:
    ball = Lobulated(Ellipsoid((0, 0, 0), (6, 6, 6)), np.zeros((0, 4)))
    assert measure_solid(ball).volume_mm3 == pytest.approx(4 / 3 * np.pi * 6**3, rel=0.01)


@pytest.mark.parametrize("region", sorted(NODE_STATISTICS))
def test_counts_and_sizes_have_the_quantiles_of_the_real_ones(region: str) -> None:
    rng, figures = np.random.default_rng(0), NODE_STATISTICS[region]
    counts = np.array([figures.count(rng) for _ in range(4000)])
    shorts = np.concatenate([figures.short_axes_mm(rng, count) for count in counts])
    # Quantiles 25, 50, 75 % of the annotation files: nodes of a case, short axis in mm.
    real = {
        "mediastinum": ((1.25, 3, 5), (11.95, 14.3, 17.5)),
        "abdomen": ((2, 5, 9), (10.3, 12.6, 16.6)),
    }[region]
    np.testing.assert_allclose(np.percentile(counts[counts > 0], (25, 50, 75)), real[0], atol=1)
    np.testing.assert_allclose(np.percentile(shorts, (25, 50, 75)), real[1], rtol=0.06)
    assert (counts == 0).mean() == pytest.approx(figures.none, abs=0.02)
    assert counts.max() <= figures.most


def test_sizes_of_a_patient_come_largest_first_and_never_below_the_least_that_is_annotated() -> None:
    for figures in NODE_STATISTICS.values():
        sizes = figures.short_axes_mm(np.random.default_rng(1), 50)
        assert (np.diff(sizes) <= 0).all()
        assert sizes[-1] >= figures.min_mm
        assert len(figures.short_axes_mm(np.random.default_rng(1), 0)) == 0
