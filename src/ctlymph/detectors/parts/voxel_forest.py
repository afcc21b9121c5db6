"""Candidates where voxels gather that a random forest takes for a node's: the first stage of Cherry 2014 and Liu 2014.

The two methods differ in the features of a voxel, and each gives its own in :meth:`VoxelForest.features`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError
from ctlymph.core.peaks import local_maxima, separated
from ctlymph.core.short_repr import short_repr
from ctlymph.core.volume import resample_array
from ctlymph.detectors.base import ENLARGED_MM, GRID_MM, Candidates, DetectionContext, TrueNodes
from ctlymph.detectors.parts.extent_features import extent_features
from ctlymph.detectors.parts.feature_scorer import concatenated
from ctlymph.detectors.parts.voxel_features import Floats, gaussian

_VOXELS_AT_A_TIME = 100_000
_RADIUS_OF_SCALE = np.sqrt(3)
"""−σ²∇² of a ball of radius r is greatest at σ = r / √3 (Lindeberg, IJCV 1998)."""
_MIN_RESPONSE = 0.01
_RIM = 0.05
"""A voxel of which the mask covers more than this, but not half, counts as neither in the node nor off it."""


@dataclass(frozen=True, eq=False)
class VoxelExamples:
    """Voxels of one case; n of them.

    Attributes:
        features: ``(n, f)`` float16.
        is_node: ``(n,)``.
    """

    features: NDArray[np.float16]
    is_node: NDArray[np.bool_]

    __repr__ = short_repr


@dataclass(frozen=True)
class VoxelForest(ABC):
    """A generator of candidates by a random forest on voxels.

    Attributes:
        name: Of the stage.
        trees: Trees in the forest.
        max_depth: Depth of a tree at most.
        min_leaf: Voxels in a leaf at least.
        voxels_per_node: Voxels of one node at most that it is trained on, so that large nodes do not outweigh small
            ones.
        voxels_off_nodes: Voxels of a case off nodes that it is trained on.
        radii_mm: Radii of the balls in which voxels gather.
        min_distance_mm: Candidates are farther than this, and than the better one's radius, from each other.
        max_candidates: Candidates of a region at most.
        seed: Of the choice of voxels.
    """

    examples: ClassVar[type[Any]] = VoxelExamples

    name: str = "voxels"
    trees: int = 40
    max_depth: int = 16
    min_leaf: int = 8
    voxels_per_node: int = 300
    voxels_off_nodes: int = 12_000
    radii_mm: tuple[float, ...] = (3.5, 5.0, 7.0, 10.0, 14.0, 19.0)
    min_distance_mm: float = 9.0
    max_candidates: int = 300
    seed: int = 0

    @abstractmethod
    def features(self, context: DetectionContext, at_zyx: NDArray[np.intp]) -> Floats:
        """Return the features of voxels ``(n, 3)`` of the context's grid, ``(n, f)``."""

    def extract(self, context: DetectionContext, truth: TrueNodes) -> VoxelExamples:
        """Draw voxels in and off nodes; the rims of nodes are neither."""
        node = node_of_voxels(context, truth)
        rng = np.random.default_rng(self.seed)
        numbers = np.unique(node[node > 0])
        in_nodes = [subsample(np.flatnonzero(node == number), self.voxels_per_node, rng) for number in numbers]
        off_nodes = subsample(np.flatnonzero(node == 0), self.voxels_off_nodes, rng)
        rows = np.concatenate([*in_nodes, off_nodes])
        return VoxelExamples(self.features(context, context.tissue[rows]).astype(np.float16), node[rows] > 0)

    def fit(self, extracted: Sequence[VoxelExamples], seed: int) -> dict[str, Any]:
        """Train the forest.

        Raises:
            CtlymphError: If no case has a voxel in a node, or none has one off nodes.
        """
        from sklearn.ensemble import RandomForestClassifier

        examples = concatenated(extracted)
        if examples.is_node.all() or not examples.is_node.any():
            raise CtlymphError(f"{self.name}: {len(extracted)} cases show no node in a region; add cases")
        forest = RandomForestClassifier(
            self.trees,
            max_depth=self.max_depth,
            min_samples_leaf=self.min_leaf,
            max_samples=0.5,
            class_weight="balanced_subsample",
            random_state=seed,
            n_jobs=-1,
        )
        forest.fit(examples.features.astype(np.float32), examples.is_node)
        # Threads add the trees' votes up in the order in which they end, which changes the last digit.
        return {"forest": forest.set_params(n_jobs=1)}

    def propose(self, model: Mapping[str, Any], context: DetectionContext) -> Candidates:
        """Return the balls in which likely voxels gather.

        A candidate's ``features`` are those of :func:`_ball_features`, and its :func:`extent_features`.
        """
        at = context.tissue
        features = self.features(context, at)
        probabilities = _probabilities(model["forest"], features)
        balls = self._balls(context, probabilities)
        row_of = np.full(context.hu.shape, -1, dtype=np.int32)
        row_of[tuple(at.T)] = np.arange(len(at))
        voxels = np.column_stack([probabilities, features])
        described = np.array([_ball_features(each, row_of, voxels) for each in balls], dtype=np.float32)
        described = described.reshape(len(balls), 2 + 3 * voxels.shape[1])
        centres = np.array([each.at_zyx for each in balls]).reshape(-1, 3).astype(np.intp)
        return Candidates(
            context.grid.index_to_mm(centres[:, ::-1]),
            np.clip([each.response for each in balls], 0, 1),
            np.array([each.radius_mm for each in balls]),
            np.hstack([described, extent_features(context.hu, at, centres)]),
        )

    def _balls(self, context: DetectionContext, probabilities: Floats) -> list[_Ball]:
        """Return the peaks of −σ²∇² of the voxels' probabilities, the highest first, separated from each other."""
        from scipy import ndimage

        likely = np.zeros(context.hu.shape, dtype=np.float32)
        likely[tuple(context.tissue.T)] = probabilities
        is_tissue = np.zeros(context.hu.shape, dtype=bool)
        is_tissue[tuple(context.tissue.T)] = True
        balls: list[_Ball] = []
        for radius_mm in self.radii_mm:
            sigma = radius_mm / _RADIUS_OF_SCALE
            response = -ndimage.laplace(gaussian(likely, context.grid, sigma)) * (sigma / GRID_MM) ** 2
            peaks = local_maxima(response, is_tissue & (response > _MIN_RESPONSE))
            balls += [_Ball(at, radius_mm, float(response[tuple(at)])) for at in peaks]
        balls.sort(key=lambda each: -each.response)
        points_mm = np.array([each.at_zyx for each in balls]).reshape(-1, 3) * GRID_MM
        radii_mm = np.array([each.radius_mm for each in balls])
        farther_than = np.nextafter(np.maximum(self.min_distance_mm, radii_mm), np.inf)
        rows = separated(points_mm, kept_mm=farther_than, max_count=self.max_candidates)
        return [balls[row] for row in rows]


@dataclass(frozen=True, eq=False)
class _Ball:
    """A place, z, y, x of the grid, where likely voxels gather in a ball of this radius."""

    at_zyx: NDArray[np.intp]
    radius_mm: float
    response: float


def node_of_voxels(context: DetectionContext, truth: TrueNodes) -> NDArray[np.int32]:
    """Return in which node each voxel of ``context.tissue`` is, numbered from 1: 0 in none, −1 at a rim.

    Without masks a node is a ball of its short axis, and its rim extends as far again.
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
        distance = np.linalg.norm(points_mm - point, axis=1)
        node[(distance < np.nan_to_num(short_axis, nan=ENLARGED_MM)) & (node == 0)] = -1
        node[distance < short_axis / 2] = number
    return node


def subsample(rows: NDArray[np.intp], max_count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw ``max_count`` of some rows without replacement; return all of them if there are no more."""
    return rows if len(rows) <= max_count else rng.choice(rows, max_count, replace=False)


def _probabilities(forest: Any, features: Floats) -> Floats:
    """Return each voxel's probability to be a node's, computed part by part to bound memory."""
    parts = np.array_split(features, max(1, len(features) // _VOXELS_AT_A_TIME))
    return np.concatenate(
        [np.empty(0, np.float32), *(forest.predict_proba(part)[:, 1].astype(np.float32) for part in parts if len(part))]
    )


def _ball_features(ball: _Ball, row_of: NDArray[np.int32], voxels: Floats) -> NDArray[np.float32]:
    """Return response, radius, and the features of voxels at the centre of a ball, their mean and their spread in it.

    Args:
        ball: The ball.
        row_of: z, y, x, row of ``voxels`` for each voxel of the grid; −1 for none.
        voxels: ``(n, f)`` probability and features.
    """
    radius = int(np.ceil(ball.radius_mm / GRID_MM))
    box = tuple(slice(max(0, n - radius), n + radius + 1) for n in ball.at_zyx)
    offsets = np.indices(row_of[box].shape).reshape(3, -1).T + [side.start for side in box] - ball.at_zyx
    is_inside = np.linalg.norm(offsets, axis=1) * GRID_MM <= ball.radius_mm
    rows = row_of[box].ravel()[is_inside]
    inside = voxels[rows[rows >= 0]]
    centre = voxels[row_of[tuple(ball.at_zyx)]]
    return np.concatenate([[ball.response, ball.radius_mm], centre, inside.mean(axis=0), inside.std(axis=0)])
