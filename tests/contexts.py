"""Small scenes with known nodes, for tests of candidate generators and what follows them."""

from __future__ import annotations

import numpy as np

from ctlymph.anatomy.airways import Airway
from ctlymph.anatomy.landmarks import Landmarks
from ctlymph.core.regions import MEDIASTINUM, Region
from ctlymph.core.volume import Geometry, Masks, Volume
from ctlymph.detectors.base import Candidates, DetectionContext, TrueNodes

SIDE_MM = 80.0


def scene_with_nodes(
    seed: int, nodes: int = 3, spacing: tuple[float, float, float] = (1.5, 1.5, 2.0), *, masks: bool = True
) -> tuple[DetectionContext, TrueNodes]:
    """Make fat of 80 mm, crossed by vessels, with balls of 12 to 20 mm in it."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(SIDE_MM / step) for step in spacing[::-1])
    grid = Geometry(shape, np.array([-40.0, -200.0, 300.0]), np.array(spacing))
    place = grid.index_to_mm(np.indices(shape).reshape(3, -1).T[:, ::-1]).reshape(*shape, 3)
    inside = rng.uniform(15, 65, (40, 3)) + grid.origin_mm
    hu = np.full(shape, -100.0)
    for axis in (0, 2):  # vessels that run along x and z
        others = [n for n in range(3) if n != axis]
        hu[np.linalg.norm((place - inside[axis])[..., others], axis=-1) < 4] = 60
    points: list[np.ndarray] = []
    for point in inside[3:]:
        if len(points) < nodes and all(np.linalg.norm(point - other) > 25 for other in points):
            points.append(point)
    radii = rng.uniform(6, 10, len(points))
    labels = np.zeros(shape, np.uint16)
    for number, (point, radius) in enumerate(zip(points, radii, strict=True), start=1):
        ball = np.linalg.norm(place - point, axis=-1) < radius
        hu[ball], labels[ball] = 60, number
    hu += rng.normal(0, 12, shape)
    coarse = grid.with_spacing(3.0)
    everywhere = np.ones(coarse.shape_zyx, bool)
    lungs = np.zeros_like(everywhere)
    lungs[:, :, :2] = True
    spine = np.tile([coarse.shape_ijk[0] / 2, coarse.shape_ijk[1] - 1.0, 1.0], (coarse.shape_zyx[0], 1))
    airway = Airway(np.zeros_like(everywhere), np.empty((0, 3)), None)
    landmarks = Landmarks(np.zeros(coarse.shape_zyx, np.int16), coarse, everywhere, airway, lungs, spine)
    volume = Volume(hu.astype(np.int16), grid, f"scene{seed}")
    truth = TrueNodes(np.array(points).reshape(-1, 3), 2 * radii[: len(points)], Masks(labels, grid) if masks else None)
    return DetectionContext(volume, landmarks, Region(MEDIASTINUM, everywhere, coarse)), truth


def candidates_of(context: DetectionContext, truth: TrueNodes, seed: int) -> Candidates:
    """Nodes and as many other places, in no order."""
    rng = np.random.default_rng(seed)
    others = rng.uniform(15, 65, (60, 3)) + context.volume.geometry.origin_mm
    away = np.linalg.norm(others[:, None] - truth.points_mm[None], axis=2).min(axis=1)
    points = np.concatenate([truth.points_mm + rng.normal(0, 1, truth.points_mm.shape), others[away > 16][:9]])
    return Candidates(points, np.full(len(points), 0.5), np.full(len(points), 6.0))
