"""Reading structured reports of measured nodes (PS3.16 TID 1500), by this program or others such as dcmqi."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pydicom
from pydicom import Dataset

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.core.short_repr import short_repr
from ctlymph.io.dicom.codes import LONG_AXIS, PROBABILITY, SHORT_AXIS, VOLUME
from ctlymph.io.dicom.header import faults
from ctlymph.io.dicom.seg_reader import SEG_CLASS

_SR_CLASSES = "1.2.840.10008.5.1.4.1.1.88."
_GROUP, _TRACKING = "125007", "112039"
_NUMBERS = {LONG_AXIS.value: "long_axis_mm", SHORT_AXIS.value: "short_axis_mm", VOLUME.value: "volume_mm3"}
_NUMBERS[PROBABILITY.value] = "score"


@dataclass(frozen=True)
class ReportedNode:
    """A node in a report; values that the report does not contain are None or empty.

    Attributes:
        name: Tracking identifier.
        segmentation_uid: SOPInstanceUID of the DICOM-SEG that contains it.
        segment: Its number there.
        short_axis_mm: Short axis, mm.
        long_axis_mm: Long axis, mm.
        volume_mm3: Volume, mm³.
        score: Confidence, 0…1.
    """

    name: str
    segmentation_uid: str
    segment: int
    short_axis_mm: float | None = None
    long_axis_mm: float | None = None
    volume_mm3: float | None = None
    score: float | None = None


@dataclass(frozen=True)
class StructuredReport:
    """A report: its path, and its nodes."""

    path: Path
    nodes: tuple[ReportedNode, ...]

    __repr__ = short_repr

    @property
    def scores(self) -> Mapping[int, float]:
        """Scores of the nodes, by the number of the segment."""
        return {node.segment: node.score for node in self.nodes if node.score is not None}

    @cached_property
    def segmentation(self) -> Path:
        """Path of the DICOM-SEG that it refers to, in its folder, or a folder next to or directly below that.

        Raises:
            CtlymphError: If the DICOM-SEG is not there, or the report refers to several.
        """
        uids = {node.segmentation_uid for node in self.nodes}
        if len(uids) > 1:
            raise CtlymphError(f"{self.path} refers to {len(uids)} segmentations; give one of them instead")
        for folder in (self.path.parent, self.path.parent.parent):
            for file in sorted(folder.glob("*.dcm")) + sorted(folder.glob("*/*.dcm")):
                try:
                    header = pydicom.dcmread(file, specific_tags=["SOPInstanceUID", "SOPClassUID"])
                except faults():
                    continue
                if header.get("SOPClassUID") == SEG_CLASS and header.get("SOPInstanceUID") in uids:
                    return file
        raise CtlymphError(
            f"the DICOM-SEG that {self.path} refers to is not in its folder; put it there, or give the DICOM-SEG itself"
        )


def is_report(path: Path) -> bool:
    """Return whether a file is a DICOM structured report."""
    try:
        found = pydicom.dcmread(path, specific_tags=["SOPClassUID"]).get("SOPClassUID")
    except faults():
        return False
    return str(found or "").startswith(_SR_CLASSES)


def read_report(path: Path) -> StructuredReport:
    """Read the nodes of a report whose groups refer to segments.

    Raises:
        CtlymphError: If it cannot be read, or no group refers to a segment.
    """
    try:
        dataset = pydicom.dcmread(path)
        groups = [item for item in _items(dataset) if _name(item) == _GROUP]
        nodes = tuple(node for group in groups if (node := _node(group)) is not None)
    except faults() as error:
        raise CtlymphError(f"cannot read {path}: {shown(error)}; give a DICOM report (TID 1500)") from error
    if not nodes:
        raise CtlymphError(f"{path} has no measurement that refers to a segment; give a report with segments, or a SEG")
    return StructuredReport(path, nodes)


def _node(group: Dataset) -> ReportedNode | None:
    """Return the node of a group, or None if it refers to no segment."""
    name, where, numbers = "", None, {}
    for item in group.get("ContentSequence", ()):
        if item.ValueType == "TEXT" and _name(item) == _TRACKING:
            name = str(item.TextValue)
        elif item.ValueType == "IMAGE" and item.ReferencedSOPSequence[0].get("ReferencedSegmentNumber"):
            where = item.ReferencedSOPSequence[0]
        elif item.ValueType == "NUM" and _name(item) in _NUMBERS and item.MeasuredValueSequence:
            numbers[_NUMBERS[_name(item)]] = float(item.MeasuredValueSequence[0].NumericValue)
    if where is None:
        return None
    segments = where.ReferencedSegmentNumber
    segment = int(segments if isinstance(segments, int) else segments[0])
    return ReportedNode(name, str(where.ReferencedSOPInstanceUID), segment, **numbers)


def _items(dataset: Dataset) -> Iterator[Dataset]:
    for item in dataset.get("ContentSequence", ()):
        yield item
        yield from _items(item)


def _name(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence") or ()
    return str(names[0].CodeValue) if names else ""
