"""The candidates that the collection publishes, in the place of a generator.

They are those of Cherry 2014 in the abdomen and of Liu 2014 in the mediastinum, as computed by their authors, without
scores. Those of a synthetic collection are drawn at random around its nodes, and say nothing of any detector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ctlymph.core.errors import CtlymphError, Remedy
from ctlymph.detectors.base import Candidates, DetectionContext

RADIUS_MM = 7.0
"""The median of the collection's nodes; the files hold points alone."""


@dataclass(frozen=True)
class PublishedCandidates:
    """A generator that reads its candidates."""

    version: ClassVar[int] = 1

    name: str = "nih-candidates"

    def propose(self, model: Mapping[str, Any], context: DetectionContext) -> Candidates:
        """Return the published candidates, all with the score 1.

        Raises:
            CtlymphError: If there are none.
        """
        if context.published_mm is None:
            raise CtlymphError(
                f"{context.volume.case} has no published candidates; they exist for the cases of CT Lymph Nodes only; "
                "choose another method",
                Remedy.DOWNLOAD,
                kinds="candidates",
            )
        # The files list those on nodes first; the order must not give them away.
        points_mm = context.published_mm[np.lexsort(context.published_mm.T)]
        return Candidates(points_mm, np.ones(len(points_mm)), np.full(len(points_mm), RADIUS_MM))
