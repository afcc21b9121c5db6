"""Cherry 2014: candidates in the abdomen, by a random forest on voxels and a support vector machine on candidates.

Cherry KM, Wang S, Turkbey EB, Summers RM: Abdominal lymphadenopathy detection using random forest, SPIE Medical
Imaging 2014, https://doi.org/10.1117/12.2043837. Every voxel of the search region is told by its intensity, by the
shape that the Hessian sees at it (ball, tube, sheet; blobness alone is not enough), and by texture; where voxels that
look like a node's gather is a candidate; a second classifier judges candidates by what their voxels say together, and
by how far tissue like their middle goes on.

Left open by the paper, and chosen here: scales (1.5 to 10 mm, of balls of radius 2.6 to 17 mm); texture (spread of HU,
and shares of gas, fat and bright voxels, within 4 and 8 mm); what gathers (peaks of −σ²∇² of the chances, at the scale
of six radii); forest (40 trees, 300 voxels a node, so that large ones do not drown small ones).
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
    """Voxels told by intensity, shape and texture."""

    version: ClassVar[int] = 1

    name: str = "cherry2014-voxels"

    def features(self, context: DetectionContext, at_zyx: NDArray[np.intp]) -> Floats:
        """Give intensity, shape and texture, as :data:`ctlymph.detectors.parts.voxel_features.NAMES` names them."""
        return voxel_features(context.hu, context.grid, at_zyx)


STAGES: tuple[Stage, ...] = (CherryVoxels(), CandidateSvm("cherry2014-svm"))
