"""References of DICOM objects to the CT that they are derived from: its images, patient and study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydicom import Dataset

from ctlymph.core.errors import CtlymphError
from ctlymph.core.short_repr import short_repr
from ctlymph.core.volume import Volume
from ctlymph.io.dicom.ct_writer import CTHeader, derived_header
from ctlymph.io.dicom.header import CT_CLASS
from ctlymph.io.dicom.uids import new_uid


@dataclass(frozen=True)
class SourceImage:
    """An image: an object, or one frame of it.

    Attributes:
        uid: SOPInstanceUID.
        sop_class: SOPClassUID.
        frame: Number of the frame in a multi-frame object, from 1; 0 for an object with one image.
    """

    uid: str
    sop_class: str = CT_CLASS
    frame: int = 0

    def reference(self) -> Dataset:
        """Return an item of a sequence that refers to images."""
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = self.sop_class, self.uid
        if self.frame:
            item.ReferencedFrameNumber = self.frame
        return item


@dataclass(frozen=True)
class ReferencedCT:
    """The CT that a DICOM object is derived from.

    Attributes:
        header: Its patient and study; ``study_uid``, ``series_uid`` and ``frame_uid`` must not be empty.
        objects: All objects of its slices.
        slices: The image of each slice, along z of the array; empty if slices were resampled, so that no image
            shows one of them.
    """

    header: CTHeader
    objects: Sequence[SourceImage]
    slices: Sequence[SourceImage]

    __repr__ = short_repr


def referenced_ct(volume: Volume) -> ReferencedCT:
    """Return the references to the DICOM objects from which a volume was read.

    Raises:
        CtlymphError: If it was not read from DICOM, or its headers lack the UIDs that others refer to.
    """
    facts = volume.attributes
    if not facts.get("source_uids"):
        raise CtlymphError("the CT is no DICOM; write it as DICOM first (ctlymph convert), or name the format")
    missing = [name for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID") if not facts.get(name)]
    if missing or not all(facts["source_uids"]):
        raise CtlymphError(f"the CT's headers lack {' and '.join(missing) or 'SOPInstanceUID'}, which others refer to")
    series = str(facts["SeriesInstanceUID"])
    frame = str(facts.get("FrameOfReferenceUID") or new_uid(series, "frame of reference"))
    header = replace(derived_header(volume, ""), series_uid=series, frame_uid=frame)
    header = replace(header, patient_id=header.patient_id or volume.case)
    kind = str(facts["SOPClassUID"])
    uids, frames = facts.get("sop_instance_uids") or (), facts.get("frame_numbers") or ()
    many = kind != CT_CLASS
    slices = tuple(SourceImage(uid, kind, frame * many) for uid, frame in zip(uids, frames, strict=True))
    return ReferencedCT(header, tuple(SourceImage(uid, kind) for uid in facts["source_uids"]), slices)


def fill_in(dataset: Dataset, source: ReferencedCT) -> None:
    """Set the elements of patient and study that objects derived from a CT have in common with it."""
    ct = source.header
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientID, dataset.PatientName = ct.patient_id, ct.patient_name
    dataset.PatientBirthDate, dataset.PatientSex = ct.birth_date, ct.sex
    if ct.age:
        dataset.PatientAge = ct.age
    dataset.StudyDate, dataset.StudyTime = ct.study_date, ct.study_time
    dataset.StudyID, dataset.AccessionNumber = ct.study_id, ct.accession_number
    dataset.ReferringPhysicianName = ""
    if ct.study_description:
        dataset.StudyDescription = ct.study_description
    dataset.StudyInstanceUID = ct.study_uid


@dataclass(frozen=True)
class ObjectHeader:
    """Description and UIDs of a derived object.

    Attributes:
        description: SeriesDescription, at most 64 characters.
        created: Time at which its content was made.
        series_number: Number of the series within its study.
        series_uid: SeriesInstanceUID; empty: a new one.
        seed: Seed of new UIDs; empty: random UIDs.
    """

    description: str
    created: datetime
    series_number: int = 300
    series_uid: str = ""
    seed: str = ""

    def uid(self, purpose: str) -> str:
        """Return a UID for a part of the object."""
        return new_uid(self.seed, purpose) if self.seed else new_uid()
