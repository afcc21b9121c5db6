"""DICOM series of CT volumes: one CT Image Storage file for each slice (DICOM PS3.3, A.3 CT Image IOD)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctlymph.core.errors import CtlymphError
from ctlymph.core.progress import SILENT, Progress
from ctlymph.core.volume import Geometry, Volume
from ctlymph.io.atomic import explained, new_folder
from ctlymph.io.dicom.uids import new_uid

if TYPE_CHECKING:
    from pydicom import Dataset

# Elements of type 2 are written even when empty (PS3.5 section 7.4.3), the others only with a value.
_TYPE_2 = {
    "patient_id": "PatientID",
    "patient_name": "PatientName",
    "birth_date": "PatientBirthDate",
    "sex": "PatientSex",
    "study_date": "StudyDate",
    "study_time": "StudyTime",
    "study_id": "StudyID",
    "accession_number": "AccessionNumber",
    "patient_position": "PatientPosition",
}
_TYPE_3 = {
    "age": "PatientAge",
    "study_description": "StudyDescription",
    "series_description": "SeriesDescription",
    "body_part": "BodyPartExamined",
    "derivation": "DerivationDescription",
    "comment": "ImageComments",
}
BODY_PARTS = frozenset(
    (
        *("HEAD", "HEADNECK", "NECK", "NECKCHEST", "NECKCHESTABDOMEN", "NECKCHESTABDPELV", "CHEST", "CHESTABDOMEN"),
        *("CHESTABDPELVIS", "MEDIASTINUM", "ABDOMEN", "ABDOMENPELVIS", "LIVER", "PELVIS", "WHOLEBODY"),
    )
)
"""Values of Body Part Examined (PS3.16 annex L) that are not paired, and therefore need no laterality."""

_LIMITS = {"study_id": 16, "accession_number": 16, "derivation": 1024, "comment": 10240}
_UIDS = {"study_uid": "StudyInstanceUID", "frame_uid": "FrameOfReferenceUID", "series_uid": "SeriesInstanceUID"}


@dataclass(frozen=True)
class CTHeader:
    """Patient, study and origin of a series to write, in DICOM's own formats.

    Attributes:
        patient_id: Empty: the volume's ``case``.
        patient_name: Family name, ``^``, given name.
        birth_date: YYYYMMDD.
        sex: ``M``, ``F``, ``O`` or empty.
        age: Such as ``073Y``.
        study_date: YYYYMMDD.
        study_time: HHMMSS.
        study_id: At most 16 characters.
        accession_number: At most 16 characters.
        study_description: At most 64 characters.
        series_description: At most 64 characters.
        body_part: One of :data:`BODY_PARTS`, or empty.
        patient_position: Such as ``HFS``; it has no influence on the geometry.
        derivation: The origin of the voxels, one sentence.
        comment: A remark for readers of the images, such as that they are synthetic.
        series_number: Number of the series within its study.
        study_uid: Empty: a new one.
        frame_uid: Frame of reference, shared by all series whose coordinates agree. Empty: a new one.
        series_uid: Empty: a new one. The images' own UIDs follow from it and their number.
        seed: Seed of new UIDs: the same seed gives the same ones. Empty: random UIDs.

    Raises:
        CtlymphError: If a text is too long for DICOM or contains a backslash, or the body part is another.
    """

    patient_id: str = field(default="", repr=False)
    patient_name: str = field(default="", repr=False)
    birth_date: str = field(default="", repr=False)
    sex: str = field(default="", repr=False)
    age: str = field(default="", repr=False)
    study_date: str = field(default="", repr=False)
    study_time: str = field(default="", repr=False)
    study_id: str = "1"
    accession_number: str = field(default="", repr=False)
    study_description: str = ""
    series_description: str = ""
    body_part: str = ""
    patient_position: str = "HFS"
    derivation: str = ""
    comment: str = ""
    series_number: int = 1
    study_uid: str = ""
    frame_uid: str = ""
    series_uid: str = ""
    seed: str = ""

    def __post_init__(self) -> None:
        if self.body_part and self.body_part not in BODY_PARTS:
            raise CtlymphError(f"body part {self.body_part!r} is none of {', '.join(sorted(BODY_PARTS))}")
        for each in fields(self):
            value = getattr(self, each.name)
            if not isinstance(value, str):
                continue
            limit = _LIMITS.get(each.name, 64)
            if len(value) > limit or "\\" in value:
                raise CtlymphError(
                    f"DICOM allows {limit} characters and no backslash in {each.name.replace('_', ' ')},"
                    f" not {value!r}; shorten or rename it"
                )


def derived_header(volume: Volume, derivation: str) -> CTHeader:
    """Return the header of a series computed from ``volume``.

    Patient, study and frame of reference are those of a volume read from DICOM,
    as PS3.3 C.7.3 and C.7.4 require for derived images in the same coordinates;
    only the series and its images get new UIDs. Texts that exceed DICOM's limits
    are cut, and a body part is left out unless it is one of :data:`BODY_PARTS`.

    Args:
        volume: The source.
        derivation: The origin of the voxels, one sentence.
    """
    values = {
        name: str(volume.attributes[keyword]).replace("\\", "/")[: _LIMITS.get(name, 64)]
        for name, keyword in (_TYPE_2 | _TYPE_3 | _UIDS).items()
        if volume.attributes.get(keyword) and name not in ("series_uid", "derivation")
    }
    if values.get("body_part") not in BODY_PARTS:
        values.pop("body_part", None)
    return CTHeader(derivation=derivation, **values)  # type: ignore[arg-type]


def write_ct_series(
    volume: Volume,
    folder: Path,
    header: CTHeader | None = None,
    *,
    implicit_vr: bool = False,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> None:
    """Write a volume as CT images, which appear in ``folder`` all together or not at all.

    Slices are axial, or those nearest to axial, from feet to head. Axes are
    permuted and flipped if necessary, never resampled: every voxel keeps its
    value and its position. Files are named ``1-001.dcm`` and so on; pixels are
    signed 16-bit, little endian, uncompressed, with rescale slope 1 and
    intercept 0.

    >>> grid = Geometry((2, 3, 4), origin_mm=(0, 0, 0), spacing_mm=(0.5, 0.5, 2))
    >>> write_ct_series(Volume(np.full(grid.shape_zyx, 40, dtype=np.int16), grid, "P1"), Path("series"))
    >>> sorted(path.name for path in Path("series").iterdir())
    ['1-1.dcm', '1-2.dcm']

    Args:
        volume: The volume.
        folder: The folder, made if it is absent.
        header: Patient, study and UIDs; by default those of :func:`derived_header`.
        implicit_vr: Leave the value representations out of the files, as some archives do.
        overwrite: Replace a series that this function wrote to ``folder`` before.
        progress: Reports the slices done.

    Raises:
        CtlymphError: If ``folder`` is a file, contains files and ``overwrite`` is
            not set, contains other files than a written series, or cannot be written.
    """
    axial = volume.reorient("LPS")
    header = header or derived_header(volume, "Written by ctlymph")
    header = replace(header, patient_id=header.patient_id or volume.case)
    slice_ = _new_slice(axial.geometry, header, implicit_vr)
    former = _former_series(folder) if overwrite else set()
    digits = len(str(len(axial.hu)))
    with (
        new_folder(folder, overwrite=overwrite) as staging,
        explained(folder),
        progress.task("Writing slices", len(axial.hu)) as advance,
    ):
        for k, hu in enumerate(axial.hu):
            name = f"1-{k + 1:0{digits}d}.dcm"
            former.discard(name)
            _fill_slice(slice_, axial.geometry, hu, k)
            slice_.save_as(staging / name, enforce_file_format=True)
            advance(1)
    # The remaining files of a longer series would mix with the new one.
    for name in former:
        (folder / name).unlink()


def _former_series(folder: Path) -> set[str]:
    """Return the names of files that may be replaced; reject a folder with other files."""
    if not folder.is_dir():
        return set()
    names = {file.name for file in folder.iterdir() if not file.name.startswith(".")}
    foreign = sorted(name for name in names if not re.fullmatch(r"1-\d+\.dcm", name))
    if foreign:
        raise CtlymphError(f"{folder} holds other files than a written series ({foreign[0]}); choose another folder")
    return names


def _new_slice(geometry: Geometry, header: CTHeader, implicit_vr: bool) -> Dataset:
    """Return a data set with the elements that all slices share."""
    from pydicom import Dataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    slice_ = Dataset()
    slice_.SpecificCharacterSet = "ISO_IR 192"
    slice_.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    slice_.SOPClassUID = CTImageStorage
    slice_.Modality = "CT"
    slice_.Manufacturer = "ctlymph"
    slice_.ReferringPhysicianName = ""
    for name, keyword in _TYPE_2.items():
        setattr(slice_, keyword, getattr(header, name))
    for name, keyword in _TYPE_3.items():
        if getattr(header, name):
            setattr(slice_, keyword, getattr(header, name))
    for name, keyword in _UIDS.items():
        setattr(slice_, keyword, getattr(header, name) or (new_uid(header.seed, keyword) if header.seed else new_uid()))
    slice_.SeriesNumber = header.series_number
    # Not known, and therefore empty, which is allowed for type 2 elements.
    for keyword in ("PositionReferenceIndicator", "KVP", "AcquisitionNumber"):
        setattr(slice_, keyword, None)
    if not header.body_part:  # it might be a paired one
        slice_.Laterality = None
    _set_pixel_description(slice_)
    _set_plane(slice_, geometry)
    slice_.ensure_file_meta()
    slice_.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit_vr else ExplicitVRLittleEndian
    return slice_


def _set_pixel_description(slice_: Dataset) -> None:
    slice_.SamplesPerPixel = 1
    slice_.PhotometricInterpretation = "MONOCHROME2"
    slice_.BitsAllocated = slice_.BitsStored = 16
    slice_.HighBit = 15
    slice_.PixelRepresentation = 1
    slice_.RescaleIntercept = 0
    slice_.RescaleSlope = 1
    slice_.RescaleType = "HU"
    slice_.WindowCenter = 40
    slice_.WindowWidth = 400


def _set_plane(slice_: Dataset, geometry: Geometry) -> None:
    across, down, between = geometry.spacing_mm
    slice_.Rows, slice_.Columns = geometry.shape_zyx[1:]
    slice_.PixelSpacing = decimal([down, across])
    slice_.SliceThickness = decimal(between)
    slice_.ImageOrientationPatient = decimal(geometry.direction[:, :2].T.ravel())


def _fill_slice(slice_: Dataset, geometry: Geometry, hu: NDArray[np.int16], k: int) -> None:
    """Set the elements that differ from slice to slice."""
    place = geometry.index_to_mm((0, 0, k))
    slice_.SOPInstanceUID = image_uid(slice_.SeriesInstanceUID, k + 1)
    slice_.file_meta.MediaStorageSOPInstanceUID = slice_.SOPInstanceUID
    slice_.InstanceNumber = k + 1
    slice_.ImagePositionPatient = decimal(place)
    slice_.SliceLocation = decimal(place @ geometry.direction[:, 2])
    slice_.PixelData = hu.astype("<i2", copy=False).tobytes()
    slice_["PixelData"].VR = "OW"


def decimal(values: ArrayLike) -> list[str]:
    """Return numbers as DICOM's decimal strings of at most 16 characters, rounded to 10 decimals."""
    from pydicom.valuerep import format_number_as_ds

    return [format_number_as_ds(float(np.round(value, 10)) + 0.0) for value in np.atleast_1d(values)]


def image_uid(series_uid: str, number: int) -> str:
    """Return the SOPInstanceUID of a written image, which depends on its series and its number, from 1."""
    return new_uid(series_uid, str(number))
