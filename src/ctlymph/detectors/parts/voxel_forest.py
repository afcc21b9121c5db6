"""Voxels that look like a node's, by a random forest, and the candidates where they gather.

The common part of Cherry 2014 and Liu 2014, which differ in what a voxel is told by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import resample_array
from ctlymph.detectors.base import ENLARGED_MM, GRID_MM, Arrays, Candidates, DetectionContext, TrueNodes
from ctlymph.detectors.parts.extent_features import reaches
from ctlymph.detectors.parts.voxel_features import Floats, gaussian

_VOXELS_AT_A_TIME = 100_000
_RADIUS_OF_SCALE = np.sqrt(3)
"""−σ²∇² of a ball of radius r is greatest at σ = r / √3 (Lindeberg, IJCV 1998)."""
_LEAST_RESPONSE = 0.01
_RIM = 0.05
"""A voxel of which mask covers more than this, but not half, is neither in the node nor off it."""


@dataclass(frozen=True)
class VoxelForest:
    """First stage of a candidate generator; a method says in :meth:`features` what a voxel is told by.

    Attributes:
        name: Of the stage.
        trees: In the forest.
        depth: Of each tree, at most.
        leaf: Voxels in a leaf, at least.
        per_node: Voxels of one node that are learned from, at most, so that large nodes do not outweigh small ones.
        off_nodes: Other voxels of a case that are learned from.
        radii_mm: Sizes at which gathering voxels are looked for.
        apart_mm: Candidates keep this distance, or the radius of the better one.
        at_most: Candidates of a scene.
        seed: Which voxels are learned from.
    """

    name: str = "voxels"
    trees: int = 40
    depth: int = 16
    leaf: int = 8
    per_node: int = 300
    off_nodes: int = 12_000
    radii_mm: tuple[float, ...] = (3.5, 5.0, 7.0, 10.0, 14.0, 19.0)
    apart_mm: float = 9.0
    at_most: int = 300
    seed: int = 0

    def features(self, context: DetectionContext, at_zyx: NDArray[np.intp]) -> Floats:
        """Give the features of voxels ``(n, 3)`` of the scene's grid, ``(n, f)``."""
        raise NotImplementedError

    def extract(self, context: DetectionContext, candidates: Candidates, truth: TrueNodes) -> Arrays:
        """Draw voxels of the nodes and others, with their features; rims of nodes are neither."""
        node = node_of_voxels(context, truth)
        rng = np.random.default_rng(self.seed)
        drawn = [_some(np.flatnonzero(node == number), self.per_node, rng) for number in np.unique(node[node > 0])]
        others = _some(np.flatnonzero(node == 0), self.off_nodes, rng)
        rows = np.concatenate([*drawn, others])
        features = self.features(context, context.tissue[rows])
        return {"features": features.astype(np.float16), "inside": node[rows] > 0}

    def fit(self, extracted: Sequence[Arrays], seed: int) -> dict[str, Any]:
        """Grow the forest.

        Raises:
            CtlymphError: If no case has a node, or none anything else.
        """
        from sklearn.ensemble import RandomForestClassifier

        inside = np.concatenate([each["inside"] for each in extracted])
        if inside.all() or not inside.any():
            raise CtlymphError(f"{self.name}: {len(extracted)} cases show no node in a region; add cases")
        forest = RandomForestClassifier(
            self.trees,
            max_depth=self.depth,
            min_samples_leaf=self.leaf,
            max_samples=0.5,
            class_weight="balanced_subsample",
            random_state=seed,
            n_jobs=-1,
        )
        forest.fit(np.concatenate([each["features"] for each in extracted]).astype(np.float32), inside)
        # Threads add the trees' votes up in the order in which they end, which changes the last digit.
        return {"forest": forest.set_params(n_jobs=1)}

    def predict(self, model: Mapping[str, Any], context: DetectionContext, candidates: Candidates) -> Candidates:
        """Propose candidates; ``extra["looks"]`` describes each: its voxels, how sure they are, how far it goes on."""
        at = context.tissue
        features = self.features(context, at)
        chances = _chances(model["forest"], features)
        found = self._gatherings(context, chances)
        row_of = np.full(context.hu.shape, -1, dtype=np.int32)
        row_of[tuple(at.T)] = np.arange(len(at))
        described = np.column_stack([chances, features])
        middles = np.array([each.at_zyx for each in found]).reshape(-1, 3).astype(np.intp)
        looks = np.array([_look(each, row_of, described) for each in found], dtype=np.float32)
        looks = looks.reshape(len(found), 2 + 3 * described.shape[1])
        return Candidates(
            context.grid.index_to_mm(middles[:, ::-1]),
            np.clip([each.response for each in found], 0, 1),
            np.array([each.radius_mm for each in found]),
            {"looks": np.hstack([looks, reaches(context.hu, at, middles)])},
        )

    def _gatherings(self, context: DetectionContext, chances: Floats) -> list[_Gathering]:
        """Find where likely voxels gather in balls of the wanted sizes, the best first, apart from each other."""
        from scipy import ndimage

        likely = np.zeros(context.hu.shape, dtype=np.float32)
        likely[tuple(context.tissue.T)] = chances
        inside = np.zeros(context.hu.shape, dtype=bool)
        inside[tuple(context.tissue.T)] = True
        found: list[_Gathering] = []
        for radius_mm in self.radii_mm:
            sigma = radius_mm / _RADIUS_OF_SCALE
            response = -ndimage.laplace(gaussian(likely, context.grid, sigma)) * (sigma / GRID_MM) ** 2
            peaks = inside & (response == ndimage.maximum_filter(response, 3)) & (response > _LEAST_RESPONSE)
            found += [_Gathering(at, radius_mm, float(response[tuple(at)])) for at in np.argwhere(peaks)]
        return self._apart(sorted(found, key=lambda each: -each.response))

    def _apart(self, found: Sequence[_Gathering]) -> list[_Gathering]:
        """Keep the best; drop those too near to a better one (non-maximum suppression in mm)."""
        kept: list[_Gathering] = []
        for each in found:
            away = (np.linalg.norm(each.at_zyx - other.at_zyx) * GRID_MM for other in kept)
            if all(mm > max(self.apart_mm, other.radius_mm) for mm, other in zip(away, kept, strict=True)):
                kept.append(each)
                if len(kept) == self.at_most:
                    break
        return kept


@dataclass(frozen=True, eq=False)
class _Gathering:
    """A place, z, y, x of the grid, where likely voxels gather in a ball of this radius."""

    at_zyx: NDArray[np.intp]
    radius_mm: float
    response: float


def node_of_voxels(context: DetectionContext, truth: TrueNodes) -> NDArray[np.int32]:
    """Tell of each voxel of ``scene.tissue`` in which node it is: 0 in none, −1 at a rim.

    Without masks a node is a ball of its short axis, and its rim reaches as far again.
    """
    at = context.tissue
    if truth.masks is not None:
        labels, grid = truth.masks.labels, truth.masks.geometry
        nearest = resample_array(labels, grid, context.grid, 0, "nearest")[tuple(at.T)].astype(np.int32)
        share = resample_array((labels > 0).astype(np.float32), grid, context.grid, 0)[tuple(at.T)]
        return np.where(share > 0.5, nearest, np.where((share > _RIM) | (nearest > 0), -1, 0))
    node = np.zeros(len(at), dtype=np.int32)
    points_mm = context.grid.index_to_mm(at[:, ::-1])
    for number, (point, short_axis) in enumerate(zip(truth.points_mm, truth.short_axes_mm, strict=True), start=1):
        away = np.linalg.norm(points_mm - point, axis=1)
        node[(away < np.nan_to_num(short_axis, nan=ENLARGED_MM)) & (node == 0)] = -1
        node[away < short_axis / 2] = number
    return node


def _some(rows: NDArray[np.intp], at_most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    return rows if len(rows) <= at_most else rng.choice(rows, at_most, replace=False)


def _chances(forest: Any, features: Floats) -> Floats:
    """Give each voxel's chance to be a node's, a part at a time to bound memory."""
    parts = np.array_split(features, max(1, len(features) // _VOXELS_AT_A_TIME))
    found = [forest.predict_proba(part)[:, 1].astype(np.float32) for part in parts if len(part)]
    return np.concatenate(found) if found else np.empty(0, np.float32)


def _look(found: _Gathering, row_of: NDArray[np.int32], features: Floats) -> NDArray[np.float32]:
    """Describe a candidate: response, radius, and its voxels' features at the centre, their mean and their spread."""
    reach = int(np.ceil(found.radius_mm / GRID_MM))
    box = tuple(slice(max(0, n - reach), n + reach + 1) for n in found.at_zyx)
    offsets = np.indices(row_of[box].shape).reshape(3, -1).T + [side.start for side in box] - found.at_zyx
    near = np.linalg.norm(offsets, axis=1) * GRID_MM <= found.radius_mm
    rows = row_of[box].ravel()[near]
    ball = features[rows[rows >= 0]]
    centre = features[row_of[tuple(found.at_zyx)]]
    return np.concatenate([[found.response, found.radius_mm], centre, ball.mean(axis=0), ball.std(axis=0)])
