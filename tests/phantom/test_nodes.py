from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ctlymph.phantom.anatomy import Anatomy
from ctlymph.phantom.nodes import Lobulated, axial_axes
from ctlymph.phantom.shapes import Ellipsoid


def section_axes(radii: tuple[float, float, float], axes: np.ndarray) -> tuple[float, float]:
    """Axes of the central axial section of an ellipsoid, by linear algebra."""
    shape = axes @ np.diag(1 / np.square(radii)) @ axes.T
    shortest, longest = np.linalg.eigvalsh(shape[:2, :2])[::-1] ** -0.5
    return float(2 * longest), float(2 * shortest)


@pytest.mark.parametrize("seed", range(6))
def test_axes_of_an_ellipsoid_are_those_of_its_central_section(seed: int) -> None:
    radii, axes = (5.0, 7.0, 10.0), Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
    measured = axial_axes(Ellipsoid((0.3, 0.2, 0.1), radii, axes))
    # Planes are 0.3 mm apart, so that the middle one is missed by at most 0.15 mm.
    np.testing.assert_allclose(measured, section_axes(radii, axes), atol=0.05)


def test_volume_of_a_lobulated_node_is_that_of_the_points_inside() -> None:
    bumps = np.array([(0, 0, 1, 0.16, 5), (1, 0, 0, -0.14, 3), (0, -0.6, 0.8, 0.1, 8)], dtype=float)
    node = Lobulated(Ellipsoid((0, 0, 0), (6, 8, 9)), bumps)
    low, high = node.bounds
    x, y, z = (np.arange(a, b, 0.3, dtype=np.float32) for a, b in zip(low, high, strict=True))
    inside = node.on_grid(x, y, z, 1.0) < 0
    assert not any(face.any() for face in (inside[0], inside[-1], inside[:, 0], inside[:, -1], inside[..., 0]))
    assert node.volume_mm3 == pytest.approx(inside.sum() * 0.3**3, rel=0.01)
    smooth = Lobulated(node.base, bumps[:1])
    assert smooth.volume_mm3 > 1.02 * 4 / 3 * np.pi * 6 * 8 * 9


def test_surface_points_of_a_node_have_no_distance() -> None:
    node = Lobulated(Ellipsoid((4, 5, 6), (6, 8, 9)), np.array([(0, 0, 1, 0.16, 5.0)]))
    directions = np.random.default_rng(0).normal(size=(50, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    assert np.abs(node.at(node.surface(directions))).max() < 1e-3


def test_a_patient_has_8_to_14_nodes_in_both_regions_of_the_sizes_promised(anatomy: Anatomy) -> None:
    assert 8 <= len(anatomy.nodes) <= 14
    assert {node.region for node in anatomy.nodes} == {"mediastinum", "abdomen"}
    assert [node.node for node in anatomy.nodes] == list(range(1, len(anatomy.nodes) + 1))
    for node in anatomy.nodes:
        assert 5 < node.short_axis_mm < 33
        assert node.short_axis_mm <= node.long_axis_mm
        assert node.station


def test_nodes_touch_neither_each_other_nor_vessels_organs_or_bones(anatomy: Anatomy) -> None:
    directions = np.random.default_rng(1).normal(size=(500, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    solid = {"vessel", "organ", "bowel", "bone", "airway", "muscle"}
    for node in anatomy.nodes:
        surface = node.solid.surface(directions)
        for part in anatomy.parts:
            if part.kind in solid or (part.kind == "node" and part.solid is not node.solid):
                assert part.solid.at(surface).min() > 0, (node.station, part.name)


def test_some_nodes_lie_against_a_vessel(anatomy: Anatomy) -> None:
    directions = np.random.default_rng(1).normal(size=(500, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    gaps = [
        min(float(p.solid.at(node.solid.surface(directions)).min()) for p in anatomy.parts if p.kind == "vessel")
        for node in anatomy.nodes
    ]
    assert min(gaps) < 2.0
