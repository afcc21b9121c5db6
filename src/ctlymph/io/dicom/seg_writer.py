"""Instance masks as a DICOM Segmentation object: binary, one segment for each node (DICOM PS3.3, A.51)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import Geometry, Masks
from ctlymph.io.atomic import explained, new_file
from ctlymph.io.dicom.codes import ANATOMICAL_STRUCTURE, code_item, node_type, side, site
from ctlymph.io.dicom.ct_writer import decimal
from ctlymph.io.dicom.references import ObjectHeader, ReferencedCT, SourceImage, fill_in
from ctlymph.io.dicom.seg_reader import SEG_CLASS

_SEGMENTATION = Code("113076", "DCM", "Segmentation")
_SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")


@dataclass(frozen=True)
class Segment:
    """One node of a segmentation.

    Attributes:
        label: Its label in the masks.
        name: Its name in viewers and its tracking identifier; at most 64 characters.
        region: ``mediastinum``, ``abdomen`` or empty.
        station: Name of its lymph node station, or empty.
        description: Its sizes and further details, for people.
        algorithm: ``MANUAL``, ``SEMIAUTOMATIC`` or ``AUTOMATIC``.
        algorithm_name: Required unless it is ``MANUAL``.
    """

    label: int
    name: str
    region: str = ""
    station: str = ""
    description: str = ""
    algorithm: Literal["MANUAL", "SEMIAUTOMATIC", "AUTOMATIC"] = "MANUAL"
    algorithm_name: str = ""


def write_segmentation(
    path: Path,
    layers: Sequence[Masks],
    segments: Sequence[Segment],
    source: ReferencedCT,
    header: ObjectHeader,
    *,
    overwrite: bool = False,
) -> None:
    """Write masks as a DICOM-SEG in which segment n is ``segments[n - 1]``; slices without a node are left out.

    Args:
        path: The file.
        layers: Masks on the grid of the CT, whose slices are its images. Each label is in one of them; overlapping
            nodes are in different ones.
        segments: The labels to write, each with at least one voxel.
        source: References to the CT.
        header: Description and UIDs of the object.
        overwrite: Replace a file that exists.

    Raises:
        CtlymphError: If a segment has no voxel, there is no segment, the number of slices is not that of the CT's
            images, or the file cannot be written.
    """
    grid = layers[0].geometry
    if source.slices and len(source.slices) != grid.shape_zyx[0]:
        raise CtlymphError(f"the masks have {grid.shape_zyx[0]} slices, the CT {len(source.slices)}; give one grid")
    frames = _frames(layers, segments)
    if not frames:
        raise CtlymphError(f"{path.name} would hold no segment; write one only where there are nodes")
    dataset = _about(source, header)
    _set_pixels(dataset, np.stack([pixels for _, _, pixels in frames]))
    dataset.SegmentSequence = [_segment(number, each, header) for number, each in enumerate(segments, start=1)]
    _set_references(dataset, source, sorted({k for _, k, _ in frames}))
    _set_groups(dataset, grid, source, frames)
    _set_dimensions(dataset, header)
    with new_file(path, overwrite=overwrite) as staging, explained(path):
        dataset.save_as(staging, enforce_file_format=True)


def tracking_uid(segment: str, header: ObjectHeader) -> str:
    """Return the tracking UID of a segment, which is the same in all objects with the header's seed."""
    return header.uid(f"tracking {segment}")


SegmentFrame = tuple[int, int, NDArray[np.bool_]]
"""Segment number, slice and pixels."""


def _frames(layers: Sequence[Masks], segments: Sequence[Segment]) -> list[SegmentFrame]:
    from scipy.ndimage import find_objects

    boxes = [(layer.labels, find_objects(layer.labels)) for layer in layers]
    frames: list[SegmentFrame] = []
    for number, segment in enumerate(segments, start=1):
        place = segment.label - 1
        found = [(labels, box[place]) for labels, box in boxes if 0 <= place < len(box) and box[place] is not None]
        if not found:
            raise CtlymphError(f"segment {segment.name} has no voxel; leave it out")
        ((labels, box),) = found
        for k in range(box[0].start, box[0].stop):
            pixels = labels[k] == segment.label
            if pixels.any():
                frames.append((number, k, pixels))
    return frames


def _about(source: ReferencedCT, header: ObjectHeader) -> Dataset:
    """Return a data set with patient, study, series and equipment."""
    result = Dataset()
    fill_in(result, source)
    result.SOPClassUID = SEG_CLASS
    result.SOPInstanceUID = header.uid("instance")
    result.Modality = "SEG"
    result.ImageType = ["DERIVED", "PRIMARY"]
    result.FrameOfReferenceUID = source.header.frame_uid
    result.PositionReferenceIndicator = None
    result.SeriesInstanceUID = header.series_uid or header.uid("series")
    result.SeriesNumber, result.SeriesDescription = header.series_number, header.description
    result.InstanceNumber = 1
    result.ContentDate, result.ContentTime = header.created.strftime("%Y%m%d"), header.created.strftime("%H%M%S")
    result.ContentLabel, result.ContentDescription = "LYMPH_NODES", header.description
    result.ContentCreatorName = ""
    result.Manufacturer = result.ManufacturerModelName = "ctlymph"
    result.SoftwareVersions = version("ctlymph")
    result.DeviceSerialNumber = "0"
    result.ensure_file_meta()
    result.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return result


def _set_pixels(dataset: Dataset, pixels: NDArray[np.bool_]) -> None:
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = dataset.PixelRepresentation = 0
    dataset.LossyImageCompression = "00"
    dataset.SegmentationType = "BINARY"
    packed = np.packbits(pixels.ravel(), bitorder="little").tobytes()
    dataset.PixelData = packed + b"\0" * (len(packed) % 2)
    dataset["PixelData"].VR = "OB"


def _segment(number: int, segment: Segment, header: ObjectHeader) -> Dataset:
    result = Dataset()
    result.SegmentNumber, result.SegmentLabel = number, segment.name
    if segment.description:
        result.SegmentDescription = segment.description
    result.SegmentAlgorithmType = segment.algorithm
    if segment.algorithm != "MANUAL":
        result.SegmentAlgorithmName = segment.algorithm_name
    result.SegmentedPropertyCategoryCodeSequence = [code_item(ANATOMICAL_STRUCTURE)]
    kind = code_item(node_type(segment.region, segment.station))
    if (which := side(segment.station)) is not None:
        kind.SegmentedPropertyTypeModifierCodeSequence = [code_item(which)]
    result.SegmentedPropertyTypeCodeSequence = [kind]
    if (where := site(segment.region)) is not None:
        result.AnatomicRegionSequence = [code_item(where)]
    result.TrackingID = segment.name
    result.TrackingUID = tracking_uid(segment.name, header)
    result.RecommendedDisplayCIELabValue = _colour(number)
    return result


def _colour(number: int) -> list[int]:
    """Return a light colour, in CIELab as scaled by DICOM, whose hue differs from those of the next numbers."""
    hue = 2 * np.pi * number * 0.618
    return [round(0.7 * 65535), *(round((60 * float(turn) + 128) * 257) for turn in (np.cos(hue), np.sin(hue)))]


def _set_references(dataset: Dataset, source: ReferencedCT, slices: Sequence[int]) -> None:
    used = dict.fromkeys(source.slices[k].uid for k in slices) if source.slices else ()
    images = [image for image in source.objects if not used or image.uid in used]
    series = Dataset()
    series.SeriesInstanceUID = source.header.series_uid
    series.ReferencedInstanceSequence = [image.reference() for image in images]
    dataset.ReferencedSeriesSequence = [series]
    if not source.slices:  # no frame corresponds to one image: all of them are the source of the whole
        dataset.SourceImageSequence = [_as_source(image) for image in images]


def _set_groups(dataset: Dataset, geometry: Geometry, source: ReferencedCT, frames: Sequence[SegmentFrame]) -> None:
    """Set the elements that frames share, and the segment, position and image of each frame."""
    across, down, between = geometry.spacing_mm
    orientation, measures, shared = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = decimal(geometry.direction[:, :2].T.ravel())
    measures.SliceThickness = measures.SpacingBetweenSlices = decimal(between)
    measures.PixelSpacing = decimal([down, across])
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    dataset.SharedFunctionalGroupsSequence = [shared]
    slices = sorted({k for _, k, _ in frames})
    dataset.PerFrameFunctionalGroupsSequence = [
        _group(segment, slices.index(k) + 1, source.slices[k : k + 1], geometry.index_to_mm((0, 0, k)))
        for segment, k, _ in frames
    ]


def _group(segment: int, place: int, images: Sequence[SourceImage], corner_mm: NDArray[np.float64]) -> Dataset:
    """Return the segment and position of one frame, and its image, if there is one."""
    result, content, position, identity = (Dataset() for _ in range(4))
    content.DimensionIndexValues = [segment, place]
    position.ImagePositionPatient = decimal(corner_mm)
    identity.ReferencedSegmentNumber = segment
    result.FrameContentSequence, result.PlanePositionSequence = [content], [position]
    result.SegmentIdentificationSequence = [identity]
    if images:
        result.DerivationImageSequence = [_derivation(*images)]
    return result


def _derivation(image: SourceImage) -> Dataset:
    result = Dataset()
    result.DerivationCodeSequence = [code_item(_SEGMENTATION)]
    result.SourceImageSequence = [_as_source(image)]
    return result


def _as_source(image: SourceImage) -> Dataset:
    result = image.reference()
    result.PurposeOfReferenceCodeSequence = [code_item(_SOURCE_IMAGE)]
    return result


def _set_dimensions(dataset: Dataset, header: ObjectHeader) -> None:
    """Set the dimensions of the frames: by segment, then by position."""
    organization = Dataset()
    organization.DimensionOrganizationUID = header.uid("dimensions")
    dataset.DimensionOrganizationSequence = [organization]
    dataset.DimensionIndexSequence = []
    for pointer, group in (
        ("ReferencedSegmentNumber", "SegmentIdentificationSequence"),
        ("ImagePositionPatient", "PlanePositionSequence"),
    ):
        index = Dataset()
        index.DimensionOrganizationUID = organization.DimensionOrganizationUID
        index.DimensionIndexPointer = tag_for_keyword(pointer)
        index.FunctionalGroupPointer = tag_for_keyword(group)
        index.DimensionDescriptionLabel = pointer
        dataset.DimensionIndexSequence.append(index)
