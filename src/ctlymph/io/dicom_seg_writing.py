"""Instance masks as a DICOM Segmentation object: binary, one segment a node (DICOM PS3.3, A.51 Segmentation IOD)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ctlymph.errors import CtlymphError
from ctlymph.io.atomic import explained, new_file
from ctlymph.io.dicom_ct import CTHeader, decimal
from ctlymph.io.dicom_seg import SEG_CLASS
from ctlymph.io.uids import new_uid
from ctlymph.regions import ABDOMEN, MEDIASTINUM
from ctlymph.volume import Geometry, Masks, reorient_array

if TYPE_CHECKING:
    from pydicom import Dataset

_CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"

Code = tuple[str, str]
"""Value and meaning in SNOMED CT."""

_CATEGORY: Code = ("91723000", "Anatomical structure")
_LYMPH_NODE: Code = ("59441001", "Lymph node")
_TYPES: dict[str, Code] = {
    MEDIASTINUM: ("62683002", "Mediastinal lymph node"),
    ABDOMEN: ("818991007", "Abdominal lymph node"),
}
_SITES: dict[str, Code] = {MEDIASTINUM: ("72410000", "Mediastinum"), ABDOMEN: ("818981001", "Abdomen")}


@dataclass(frozen=True)
class Segment:
    """One node of a segmentation.

    Attributes:
        label: Its label in the masks.
        name: What viewers call it, at most 64 characters.
        region: ``mediastinum``, ``abdomen`` or empty.
        algorithm: ``MANUAL``, ``SEMIAUTOMATIC`` or ``AUTOMATIC``.
        algorithm_name: Needed unless it is ``MANUAL``.
    """

    label: int
    name: str
    region: str = ""
    algorithm: Literal["MANUAL", "SEMIAUTOMATIC", "AUTOMATIC"] = "MANUAL"
    algorithm_name: str = ""


@dataclass(frozen=True)
class Segmented:
    """The CT that was segmented.

    Attributes:
        header: Its patient and study; ``study_uid``, ``series_uid`` and ``frame_uid`` must not be empty.
        image_uids: SOPInstanceUID of each slice, along the z of the masks.
    """

    header: CTHeader
    image_uids: Sequence[str]


@dataclass(frozen=True)
class SegHeader:
    """What the object says of itself.

    Attributes:
        description: SeriesDescription, at most 64 characters.
        created: When its content was made.
        series_number: Number of the series within its study.
        series_uid: Empty: a new one.
        seed: New UIDs follow from it; empty: at random.
    """

    description: str
    created: datetime
    series_number: int = 300
    series_uid: str = ""
    seed: str = ""

    def uid(self, purpose: str) -> str:
        """Give a UID for a part of the object."""
        return new_uid(self.seed, purpose) if self.seed else new_uid()


def write_segmentation(
    path: Path,
    masks: Masks,
    segments: Sequence[Segment],
    source: Segmented,
    header: SegHeader,
    *,
    overwrite: bool = False,
) -> None:
    """Write masks as a DICOM-SEG in which segment n is ``segments[n - 1]``; slices without a node are left out.

    Args:
        path: The file.
        masks: On the grid of the CT, whose axes must be the nearest to L, P, S.
        segments: What to write of them, each with at least one voxel.
        source: The CT.
        header: The object's own.
        overwrite: Replace a file.

    Raises:
        CtlymphError: If a segment has no voxel, there is none, the slices are not as many as the CT's images, or the
            file cannot be written.
    """
    labels, geometry = reorient_array(masks.labels, masks.geometry, "LPS")
    if len(source.image_uids) != len(labels):
        raise CtlymphError(f"the masks have {len(labels)} slices, the CT {len(source.image_uids)}; give the same grid")
    frames = _frames(labels, segments)
    if not frames:
        raise CtlymphError(f"{path.name} would hold no segment; write one only where there are nodes")
    dataset = _about(source, header)
    _set_pixels(dataset, np.stack([pixels for _, _, pixels in frames]))
    dataset.SegmentSequence = [_segment(number, each, header) for number, each in enumerate(segments, start=1)]
    _set_references(dataset, source, sorted({k for _, k, _ in frames}))
    _set_groups(dataset, geometry, source, frames)
    _set_dimensions(dataset, header)
    with new_file(path, overwrite=overwrite) as staging, explained(path):
        dataset.save_as(staging, enforce_file_format=True)


Frame = tuple[int, int, NDArray[np.bool_]]
"""Segment number, slice and pixels."""


def _frames(labels: NDArray[np.uint16], segments: Sequence[Segment]) -> list[Frame]:
    from scipy.ndimage import find_objects

    boxes = find_objects(labels, max_label=max((each.label for each in segments), default=0))
    frames: list[Frame] = []
    for number, segment in enumerate(segments, start=1):
        box = boxes[segment.label - 1] if segment.label > 0 else None
        if box is None:
            raise CtlymphError(f"segment {segment.name} has no voxel; leave it out")
        for k in range(box[0].start, box[0].stop):
            pixels = labels[k] == segment.label
            if pixels.any():
                frames.append((number, k, pixels))
    return frames


def _about(source: Segmented, header: SegHeader) -> Dataset:
    """Fill in patient, study, series and equipment."""
    from pydicom import Dataset
    from pydicom.uid import ExplicitVRLittleEndian

    ct, result = source.header, Dataset()
    result.SpecificCharacterSet = "ISO_IR 192"
    result.SOPClassUID = SEG_CLASS
    result.SOPInstanceUID = header.uid("instance")
    result.Modality = "SEG"
    result.ImageType = ["DERIVED", "PRIMARY"]
    result.PatientID, result.PatientName = ct.patient_id, ct.patient_name
    result.PatientBirthDate, result.PatientSex = ct.birth_date, ct.sex
    if ct.age:
        result.PatientAge = ct.age
    result.StudyDate, result.StudyTime = ct.study_date, ct.study_time
    result.StudyID, result.AccessionNumber = ct.study_id, ct.accession_number
    result.ReferringPhysicianName = ""
    if ct.study_description:
        result.StudyDescription = ct.study_description
    result.StudyInstanceUID, result.FrameOfReferenceUID = ct.study_uid, ct.frame_uid
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


def _segment(number: int, segment: Segment, header: SegHeader) -> Dataset:
    from pydicom import Dataset

    result = Dataset()
    result.SegmentNumber, result.SegmentLabel = number, segment.name
    result.SegmentAlgorithmType = segment.algorithm
    if segment.algorithm != "MANUAL":
        result.SegmentAlgorithmName = segment.algorithm_name
    result.SegmentedPropertyCategoryCodeSequence = [_code(_CATEGORY)]
    result.SegmentedPropertyTypeCodeSequence = [_code(_TYPES.get(segment.region, _LYMPH_NODE))]
    if segment.region in _SITES:
        result.AnatomicRegionSequence = [_code(_SITES[segment.region])]
    result.TrackingID = segment.name
    result.TrackingUID = header.uid(f"tracking {segment.name}")
    result.RecommendedDisplayCIELabValue = _colour(number)
    return result


def _code(code: Code) -> Dataset:
    from pydicom import Dataset

    result = Dataset()
    result.CodeValue, result.CodingSchemeDesignator, result.CodeMeaning = code[0], "SCT", code[1]
    return result


def _colour(number: int) -> list[int]:
    """Give a light colour, in CIELab as DICOM scales it, far in hue from those of the numbers beside it."""
    hue = 2 * np.pi * number * 0.618
    return [round(0.7 * 65535), *(round((60 * float(turn) + 128) * 257) for turn in (np.cos(hue), np.sin(hue)))]


def _set_references(dataset: Dataset, source: Segmented, slices: Sequence[int]) -> None:
    from pydicom import Dataset

    series = Dataset()
    series.SeriesInstanceUID = source.header.series_uid
    series.ReferencedInstanceSequence = [_image(source.image_uids[k]) for k in slices]
    dataset.ReferencedSeriesSequence = [series]


def _image(uid: str) -> Dataset:
    from pydicom import Dataset

    result = Dataset()
    result.ReferencedSOPClassUID, result.ReferencedSOPInstanceUID = _CT_CLASS, uid
    return result


def _set_groups(dataset: Dataset, geometry: Geometry, source: Segmented, frames: Sequence[Frame]) -> None:
    """Set what frames share, and each frame's segment, place and image."""
    from pydicom import Dataset

    across, down, between = geometry.spacing_mm
    orientation, measures, shared = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = decimal(geometry.direction[:, :2].T.ravel())
    measures.SliceThickness = measures.SpacingBetweenSlices = decimal(between)
    measures.PixelSpacing = decimal([down, across])
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    dataset.SharedFunctionalGroupsSequence = [shared]
    slices = sorted({k for _, k, _ in frames})
    dataset.PerFrameFunctionalGroupsSequence = [
        _group(segment, slices.index(k) + 1, source.image_uids[k], geometry.index_to_mm((0, 0, k)))
        for segment, k, _ in frames
    ]


def _group(segment: int, place: int, image_uid: str, corner_mm: NDArray[np.float64]) -> Dataset:
    from pydicom import Dataset

    result, content, position, identity, derivation = (Dataset() for _ in range(5))
    content.DimensionIndexValues = [segment, place]
    position.ImagePositionPatient = decimal(corner_mm)
    identity.ReferencedSegmentNumber = segment
    purpose, how, image = Dataset(), Dataset(), _image(image_uid)
    for each, value, meaning in (
        (purpose, "121322", "Source image for image processing operation"),
        (how, "113076", "Segmentation"),
    ):
        each.CodeValue, each.CodingSchemeDesignator, each.CodeMeaning = value, "DCM", meaning
    image.PurposeOfReferenceCodeSequence = [purpose]
    derivation.DerivationCodeSequence, derivation.SourceImageSequence = [how], [image]
    result.FrameContentSequence, result.PlanePositionSequence = [content], [position]
    result.SegmentIdentificationSequence, result.DerivationImageSequence = [identity], [derivation]
    return result


def _set_dimensions(dataset: Dataset, header: SegHeader) -> None:
    """Say that frames are ordered by segment, then by place."""
    from pydicom import Dataset
    from pydicom.datadict import tag_for_keyword

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
