"""Liu 2014: candidates in the mediastinum, as Cherry 2014 but with the positions of organs as priors.

Liu J, Zhao J, Hoffman J, Yao J, Zhang W, Turkbey EB, Wang S, Kim C, Summers RM: Mediastinal lymph node detection on
thoracic CT scans using spatial prior from multi-atlas label fusion, SPIE Medical Imaging 2014; and Liu J et al.,
Medical Physics 2016, PMC4920813. Nodes of the mediastinum lie at known places near trachea, lungs and spine. The
distances to these join shape and texture as features of every voxel. A random forest finds candidates, an ensemble of
support vector machines scores them.

Left open or changed: organs are those that rules find (trachea, lungs, spine), not atlases of vessels; the extent of a
candidate is the ball in which its voxels gather (masks are segmented later, in the same way for every method); the
ensemble has ten machines, each trained on half of the candidates off nodes.
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
"""A greater distance says only that the organ is far, or not in the scan."""


@dataclass(frozen=True)
class LiuVoxels(VoxelForest):
    """A forest on intensity, shape, texture and position."""

    version: ClassVar[int] = 1

    name: str = "liu2014-voxels"

    def features(self, context: DetectionContext, at_zyx: NDArray[np.intp]) -> Floats:
        """Return the features of Cherry 2014, and :func:`organ_distances`, ``(n, f)``."""
        return np.hstack([voxel_features(context.hu, context.grid, at_zyx), organ_distances(context, at_zyx)])


def organ_distances(context: DetectionContext, at_zyx: NDArray[np.intp]) -> Floats:
    """Return where voxels of the context's grid lie.

    Args:
        context: With the landmarks.
        at_zyx: The voxels, ``(n, 3)``.

    Returns:
        ``(n, 5)`` mm: to the left of the spinal canal, behind it, above the carina (0 where it is not in the scan),
        from the nearest lung, from the airway.
    """
    landmarks, grid = context.landmarks, context.landmarks.geometry
    index = grid.mm_to_index(context.grid.index_to_mm(at_zyx[:, ::-1]))
    i, j, k = np.clip(np.rint(index), 0, np.array(grid.shape_ijk) - 1).astype(int).T
    from_spine = (index[:, :2] - landmarks.spine[k, :2]) * grid.spacing_mm[:2]
    carina = landmarks.airway.carina_ijk
    above_carina = np.zeros(len(index)) if carina is None else (index[:, 2] - carina[2]) * grid.spacing_mm[2]
    distances = [
        np.minimum(distance_mm(organ, grid), _FARTHEST_MM)[k, j, i]
        for organ in (landmarks.lungs, landmarks.airway.lumen)
    ]
    return np.column_stack([from_spine, above_carina, *distances]).astype(np.float32)


STAGES: tuple[Stage, ...] = (LiuVoxels(), CandidateSvm("liu2014-svm", machines=10))
