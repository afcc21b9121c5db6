"""Cherry 2014: candidates in the abdomen, by a random forest on voxels and a support vector machine on candidates.

Cherry KM, Wang S, Turkbey EB, Summers RM: Abdominal lymphadenopathy detection using random forest, SPIE Medical
Imaging 2014, https://doi.org/10.1117/12.2043837. The forest sees the intensity of every voxel of the search region, its
shape by the Hessian (ball, tube, sheet; blobness alone is not enough), and the texture around it. Candidates are where
voxels gather that it takes for a node's. A support vector machine scores each candidate by its voxels together, and by
how far tissue like its middle extends.

The paper leaves open, and here is chosen: scales (1.5 to 10 mm, of balls of radius 2.6 to 17 mm); texture (spread of
HU, and shares of gas, fat and bright voxels, within 4 and 8 mm); how voxels become candidates (peaks of −σ²∇² of their
probabilities, at the scale of six radii); the forest (40 trees, at most 300 voxels of a node, so that large nodes do
not drown small ones).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ctlymph.detectors.base import DetectionContext, Stage
from ctlymph.detectors.parts.candidate_svm import CandidateSvm
from ctlymph.detectors.parts.voxel_features import Floats, voxel_features
from ctlymph.detectors.parts.voxel_forest import VoxelForest


@dataclass(frozen=True)
class CherryVoxels(VoxelForest):
    """A forest on intensity, shape and texture."""

    version: ClassVar[int] = 1

    name: str = "cherry2014-voxels"

    def features(self, context: DetectionContext, at_zyx: NDArray[np.intp]) -> Floats:
        """Return the features named in :data:`ctlymph.detectors.parts.voxel_features.NAMES`, ``(n, f)``."""
        return voxel_features(context.hu, context.grid, at_zyx)


STAGES: tuple[Stage, ...] = (CherryVoxels(), CandidateSvm("cherry2014-svm"))
