"""A DICOM-SEG, or its report, as nodes of one case: it states its own geometry, so that no CT is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ctlymph.core.short_repr import short_repr
from ctlymph.core.volume import Masks
from ctlymph.io.dicom.seg_reader import is_segmentation, own_grid, read_segments
from ctlymph.io.dicom.sr_reader import is_report, read_report


@dataclass(frozen=True, eq=False)
class DicomNodes:
    """The nodes of a case.

    Attributes:
        case: The PatientID.
        layers: Masks on the object's own grid; more than one where nodes overlap.
        scores: By label, where a report gives them.
    """

    case: str
    layers: tuple[Masks, ...]
    scores: Mapping[int, float]

    __repr__ = short_repr


def read_dicom_nodes(path: Path) -> DicomNodes | None:
    """Read the nodes of a DICOM-SEG or of a report that refers to one; None where the file is neither.

    Raises:
        CtlymphError: If it cannot be read, or the DICOM-SEG is not next to its report.
    """
    scores: Mapping[int, float] = {}
    if is_report(path):
        report = read_report(path)
        path, scores = report.segmentation, report.scores
    elif not is_segmentation(path):
        return None
    grid, case = own_grid(path)
    return DicomNodes(case or path.stem, read_segments(path, grid), scores)
