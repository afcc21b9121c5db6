"""Liu 2014: candidates in the mediastinum, as Cherry 2014 but with the places of organs as priors.

Liu J, Zhao J, Hoffman J, Yao J, Zhang W, Turkbey EB, Wang S, Kim C, Summers RM: Mediastinal lymph node detection on
thoracic CT scans using spatial prior from multi-atlas label fusion, SPIE Medical Imaging 2014; and Liu J et al.,
Medical Physics 2016, PMC4920813. Nodes of the mediastinum lie at known places beside trachea, lungs and spine:
distances to these are features of every voxel, beside shape and texture; a random forest finds candidates, a committee
of support vector machines judges them.

Left open or changed: organs are those that rules find (trachea, lungs, spine), not atlases of vessels; the extent of a
candidate is the ball in which its voxels gather (masks are drawn later, for every method the same way); the committee
is of ten machines, each with half of the candidates off nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.morphology import distance_mm
from ctlymph.detectors.base import DetectionContext, Stage
from ctlymph.detectors.parts.candidate_svm import CandidateSvm
from ctlymph.detectors.parts.voxel_features import Floats, voxel_features
from ctlymph.detectors.parts.voxel_forest import VoxelForest

_FARTHEST_MM = 100.0
"""A distance beyond says only that the organ is far, or out of view."""


@dataclass(frozen=True)
class LiuVoxels(VoxelForest):
    """Voxels told by shape and texture, and by where they are."""

    version: ClassVar[int] = 1

    name: str = "liu2014-voxels"

    def features(self, context: DetectionContext, at_zyx: NDArray[np.intp]) -> Floats:
        """Give the features of Cherry 2014, and :func:`places`."""
        return np.hstack([voxel_features(context.hu, context.grid, at_zyx), places(context, at_zyx)])


def places(context: DetectionContext, at_zyx: NDArray[np.intp]) -> Floats:
    """Give where voxels of the scene's grid lie, ``(n, 5)``, mm.

    To the left of the spine's column, behind it, above the carina (0 where it is not in view), from the nearest
    lung, and from the airway.
    """
    landmarks, grid = context.landmarks, context.landmarks.geometry
    points_mm = context.grid.index_to_mm(at_zyx[:, ::-1])
    index = grid.mm_to_index(points_mm)
    i, j, k = np.clip(np.rint(index), 0, np.array(grid.shape_ijk) - 1).astype(int).T
    beside_spine = (index[:, :2] - landmarks.spine[k, :2]) * grid.spacing_mm[:2]
    carina = landmarks.airway.carina_ijk
    above = np.zeros(len(index)) if carina is None else (index[:, 2] - carina[2]) * grid.spacing_mm[2]
    away = [
        np.minimum(distance_mm(organ, grid), _FARTHEST_MM)[k, j, i]
        for organ in (landmarks.lungs, landmarks.airway.lumen)
    ]
    return np.column_stack([beside_spine, above, *away]).astype(np.float32)


STAGES: tuple[Stage, ...] = (LiuVoxels(), CandidateSvm("liu2014-svm", committee=10))
