"""Sizes of nodes as DICOM structured reports (PS3.16 TID 1500, Measurement Report), in two forms.

The **segment form** follows the standard: a group for each node (TID 1411) that refers to its segment in a DICOM-SEG,
with sizes, site and score. The **OHIF form** is for the OHIF viewer (3.12): a group for each node whose long and short
axis are lines in the image, tracked as the viewer's own bidirectional tool. The viewer fails on groups without
coordinates, so the two forms are separate objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.coding import Code

from ctlymph.core.errors import CtlymphError
from ctlymph.core.nodes import Diameter, LymphNode
from ctlymph.core.short_repr import short_repr
from ctlymph.core.volume import Geometry
from ctlymph.io.atomic import explained, new_file
from ctlymph.io.dicom import codes
from ctlymph.io.dicom.references import ObjectHeader, ReferencedCT, SourceImage, fill_in
from ctlymph.io.dicom.seg_reader import SEG_CLASS
from ctlymph.io.dicom.seg_writer import Segment, tracking_uid
from ctlymph.io.dicom.uids import new_uid

if TYPE_CHECKING:
    from highdicom.sr import MeasurementReport
    from highdicom.sr.value_types import ContentItem

OHIF_TOOL = "Cornerstone3DTools@^0.1.0:Bidirectional"
"""Tracking identifier of OHIF's tool for two diameters."""

_OFF_PLANE_MM = 0.1
"""Maximal distance of the end of an axis from the slice that shows it."""


@dataclass(frozen=True)
class Measured:
    """The content of a report.

    Attributes:
        nodes: The nodes with their sizes.
        segments: The segment of each node.
        grid: Geometry of the CT; its slices are those of the source.
        source: References to the CT.
        model: Name of the detector; empty for annotated nodes.
        segmentation: Header of the DICOM-SEG with these segments.
    """

    nodes: Sequence[LymphNode]
    segments: Sequence[Segment]
    grid: Geometry
    source: ReferencedCT
    model: str
    segmentation: ObjectHeader

    __repr__ = short_repr


def write_segment_report(path: Path, measured: Measured, header: ObjectHeader) -> None:
    """Write the segment form, a Comprehensive 3D SR.

    Raises:
        CtlymphError: If there is no node, or the file cannot be written.
    """
    _reject_empty(path, measured)
    groups = [_segment_group(measured, number) for number in range(len(measured.nodes))]
    others = [*images_with(measured.nodes, measured.grid, measured.source), _segmentation_of(measured)]
    write_report(path, program_report(groups), measured.source, header, others)


def write_ohif_report(path: Path, measured: Measured, header: ObjectHeader) -> None:
    """Write the OHIF form, a Comprehensive SR.

    Raises:
        CtlymphError: If there is no node, the axes are in no image of the CT, or the file cannot be written.
    """
    _reject_empty(path, measured)
    if not measured.source.slices:
        raise CtlymphError(f"{path.name} draws in the CT's own images, and this CT was resampled when it was read")
    report = program_report([_segment_group(measured, 0)])  # highdicom makes no report without a group; it is replaced
    _under(report[0], "126010").ContentSequence = [_line_group(measured, n) for n in range(len(measured.nodes))]
    images = list(images_with(measured.nodes, measured.grid, measured.source))
    write_report(path, report, measured.source, header, images, three_d=False)


def _reject_empty(path: Path, measured: Measured) -> None:
    if not measured.nodes:
        raise CtlymphError(f"{path.name} would hold no node; write one only where there are nodes")


def program_report(groups: Sequence[Any]) -> MeasurementReport:
    """Return a report of measurement groups, with the program as its observer."""
    from highdicom.sr import (
        CodedConcept,
        DeviceObserverIdentifyingAttributes,
        MeasurementReport,
        ObservationContext,
        ObserverContext,
    )

    program = DeviceObserverIdentifyingAttributes(
        uid=new_uid("device", version("ctlymph")),
        manufacturer_name="ctlymph",
        model_name="ctlymph",
        serial_number=version("ctlymph"),
    )
    context = ObservationContext(observer_device_context=ObserverContext(CodedConcept.from_code(_DEVICE), program))
    return MeasurementReport(context, _CT_SCAN, groups, title=_TITLE)


def _segment_group(measured: Measured, number: int) -> Any:
    """Return the group of a node that refers to its segment (TID 1411)."""
    from highdicom.sr import (
        AlgorithmIdentification,
        FindingSite,
        Measurement,
        ReferencedSegment,
        SourceSeriesForSegmentation,
        TrackingIdentifier,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )

    node, segment = measured.nodes[number], measured.segments[number]
    where, which = codes.site(node.region), codes.side(node.station)
    # ReferencedSegment.from_segmentation of highdicom 0.28 fails for a single segment.
    place = ReferencedSegment(
        SEG_CLASS,
        measured.segmentation.uid("instance"),
        number + 1,
        source_series=SourceSeriesForSegmentation(measured.source.header.series_uid),
    )
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(tracking_uid(segment.name, measured.segmentation), segment.name),
        referenced_segment=place,
        finding_type=codes.node_type(node.region, node.station),
        finding_sites=[FindingSite(where, laterality=which)] if where else None,
        algorithm_id=AlgorithmIdentification(measured.model or "ctlymph", version("ctlymph")),
        measurements=[Measurement(name, value, unit, derivation=how) for name, value, unit, how in _numbers(node)],
        qualitative_evaluations=_evaluations(node),
    )


def _numbers(node: LymphNode) -> list[tuple[Code, float, Code, Code | None]]:
    """Return the measurements of a node: name, value, unit and derivation."""
    sizes = node.sizes
    found: list[tuple[Code, float, Code, Code | None]] = [
        (codes.LONG_AXIS, round(sizes.long_axis.length_mm, 2), codes.MM, None),
        (codes.SHORT_AXIS, round(sizes.short_axis.length_mm, 2), codes.MM, None),
        (codes.VOLUME, round(sizes.volume_mm3, 1), codes.MM3, None),
        (codes.ATTENUATION, round(sizes.mean_hu, 1), codes.HU, codes.MEAN),
    ]
    if node.score is not None:
        found.append((codes.PROBABILITY, round(node.score, 4), codes.ONE, None))
    return found


def _evaluations(node: LymphNode) -> list[Any]:
    """Return station and Node-RADS, in codes of our own scheme."""
    from highdicom.sr import QualitativeEvaluation

    texts = [(codes.STATION, f"station-{node.station}", node.station)] if node.station else []
    if node.node_rads:
        texts.append((codes.NODE_RADS, f"node-rads-{node.node_rads}", f"Node-RADS {node.node_rads}"))
    return [
        QualitativeEvaluation(name, Code(value.replace(" ", "-")[:16], codes.OWN_SCHEME, meaning))
        for name, value, meaning in texts
    ]


def _line_group(measured: Measured, number: int) -> ContentItem:
    """Return the group of a node whose axes are lines in an image."""
    from highdicom.sr import RelationshipTypeValues as Relation
    from highdicom.sr.value_types import (
        CodeContentItem,
        ContainerContentItem,
        ContentSequence,
        NumContentItem,
        TextContentItem,
        UIDRefContentItem,
    )

    node, segment = measured.nodes[number], measured.segments[number]
    group = ContainerContentItem(_GROUP, template_id="1501", relationship_type=Relation.CONTAINS)
    uid = tracking_uid(segment.name, measured.segmentation)
    items: list[ContentItem] = [
        TextContentItem(_TRACKING, OHIF_TOOL, Relation.HAS_OBS_CONTEXT),
        UIDRefContentItem(_TRACKING_UID, uid, Relation.HAS_OBS_CONTEXT),
        CodeContentItem(_FINDING, codes.node_type(node.region, node.station), Relation.CONTAINS),
    ]
    if (where := codes.site(node.region)) is not None:
        items.append(CodeContentItem(_FINDING_SITE, where, Relation.CONTAINS))
    for name, axis in ((codes.LONG_AXIS, node.sizes.long_axis), (codes.SHORT_AXIS, node.sizes.short_axis)):
        length = NumContentItem(name, round(axis.length_mm, 2), codes.MM, relationship_type=Relation.CONTAINS)
        length.ContentSequence = ContentSequence([_line(measured, axis)])
        items.append(length)
    group.ContentSequence = ContentSequence(items)
    return group


def _line(measured: Measured, axis: Diameter) -> ContentItem:
    """Return the item of an axis as a line in its image."""
    from highdicom.sr import RelationshipTypeValues as Relation
    from highdicom.sr.value_types import ContentSequence, ImageContentItem, ScoordContentItem

    image, points = axis_in_image(measured.grid, measured.source.slices, axis)
    line = ScoordContentItem(_PATH, "POLYLINE", points, relationship_type=Relation.INFERRED_FROM)
    where = ImageContentItem(
        _SOURCE_IMAGE, image.sop_class, image.uid, image.frame or None, relationship_type=Relation.SELECTED_FROM
    )
    line.ContentSequence = ContentSequence([where])
    return line


def axis_in_image(
    grid: Geometry, slices: Sequence[SourceImage], axis: Diameter
) -> tuple[SourceImage, NDArray[np.float64]]:
    """Return the image that contains an axis, and its ends there: column and row, shape (2, 2).

    As in PS3.3 C.18.6, the upper left corner of the first pixel is 0, 0, and its centre 0.5, 0.5.

    Raises:
        CtlymphError: If the axis is not within one image.
    """
    ends = grid.mm_to_index([axis.start_mm, axis.end_mm])
    k = int(np.rint(ends[:, 2].mean()))
    if np.abs(ends[:, 2] - k).max() * grid.spacing_mm[2] > _OFF_PLANE_MM:
        raise CtlymphError("the CT's images are not axial, so that axes cannot be drawn in them; leave sr_ohif out")
    return slices[k], ends[:, :2] + 0.5


def _segmentation_of(measured: Measured) -> Dataset:
    """Return the elements of the DICOM-SEG that a report needs to refer to it."""
    result = Dataset()
    fill_in(result, measured.source)
    result.SOPClassUID, result.SOPInstanceUID = SEG_CLASS, measured.segmentation.uid("instance")
    result.SeriesInstanceUID = measured.segmentation.series_uid or measured.segmentation.uid("series")
    return result


def images_with(nodes: Sequence[LymphNode], grid: Geometry, source: ReferencedCT) -> Iterator[Dataset]:
    """Yield the elements of the CT's images (those with the nodes' long axes, or all) that a report needs."""
    used = {image.uid: image for image in source.objects}
    if source.slices and nodes:
        ends = grid.mm_to_index([node.sizes.long_axis.start_mm for node in nodes])
        nearest = np.clip(np.rint(ends[:, 2]).astype(int), 0, len(source.slices) - 1)
        used = {source.slices[k].uid: source.slices[k] for k in nearest}
    for image in used.values():
        result = Dataset()
        fill_in(result, source)
        result.SOPClassUID, result.SOPInstanceUID = image.sop_class, image.uid
        result.SeriesInstanceUID = source.header.series_uid
        yield result


def write_report(
    path: Path,
    report: Sequence[Dataset],
    source: ReferencedCT,
    header: ObjectHeader,
    evidence: Sequence[Dataset],
    three_d: bool = True,
) -> None:
    """Write a report as a Comprehensive 3D SR, or as one without the third dimension.

    Args:
        path: The file.
        report: The report, from :func:`program_report`.
        source: References to the CT; patient and study are the same.
        header: Description and UIDs of the object.
        evidence: The objects that it refers to, images first.
        three_d: Whether it may contain coordinates in space.

    Raises:
        CtlymphError: If the file cannot be written.
    """
    from highdicom.sr import Comprehensive3DSR, ComprehensiveSR

    kind = Comprehensive3DSR if three_d else ComprehensiveSR
    dataset = kind(
        evidence=evidence,
        content=report[0],
        series_instance_uid=header.series_uid or header.uid("series"),
        series_number=header.series_number,
        sop_instance_uid=header.uid("instance"),
        instance_number=1,
        manufacturer="ctlymph",
        is_complete=True,
        series_description=header.description,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
    )
    fill_in(dataset, source)
    with new_file(path) as staging, explained(path):
        dataset.save_as(staging, enforce_file_format=True)


def _under(item: Dataset, value: str) -> Dataset:
    """Return the item with a code value directly below another item."""
    found: Dataset = next(each for each in item.ContentSequence if each.ConceptNameCodeSequence[0].CodeValue == value)
    return found


_DEVICE = Code("121007", "DCM", "Device")
_TITLE = Code("126000", "DCM", "Imaging Measurement Report")
_CT_SCAN = Code("77477000", "SCT", "Computed tomography")
_GROUP = Code("125007", "DCM", "Measurement Group")
_TRACKING = Code("112039", "DCM", "Tracking Identifier")
_TRACKING_UID = Code("112040", "DCM", "Tracking Unique Identifier")
_FINDING = Code("121071", "DCM", "Finding")
_FINDING_SITE = Code("363698007", "SCT", "Finding Site")
_PATH = Code("121055", "DCM", "Path")
_SOURCE_IMAGE = Code("121112", "DCM", "Source of Measurement")
