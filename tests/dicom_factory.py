"""Makes small DICOM series, whole and broken in every way that archives know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom import Dataset, FileDataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CT, ENHANCED_CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.4"
SECONDARY_CAPTURE, SEG, SR = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("7", "66.4", "88.34"))
SHAPE = (6, 40, 36)

Edit = Callable[[Dataset, int], None]


def hu_volume(shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> np.ndarray:
    """Give int16 HU, z, y, x, every voxel another number as far as that goes."""
    return np.random.default_rng(seed).integers(-1024, 2000, shape, dtype=np.int16)


@dataclass
class SeriesPlan:
    """A CT series of the plainest kind; change what a test is about."""

    hu: np.ndarray = field(default_factory=hu_volume)
    origin_mm: tuple[float, float, float] = (-100.5, -72.25, -310.0)
    orientation: tuple[float, ...] = AXIAL
    spacing_yx_mm: tuple[float, float] = (0.75, 0.625)
    step_mm: float = 2.0
    heights_mm: tuple[float, ...] | None = None
    series_uid: str = "61.7.100"
    study_uid: str = "61.7.10"
    prefix: str = "1-"
    syntax: UID = ImplicitVRLittleEndian
    edit: Edit | None = None

    def positions_mm(self) -> np.ndarray:
        """Give the position of each slice, along the normal unless ``edit`` moves it."""
        row, column = np.reshape(self.orientation, (2, 3))
        heights = self.heights_mm or tuple(self.step_mm * n for n in range(len(self.hu)))
        return np.array(self.origin_mm) + np.outer(heights, np.cross(row, column))

    def datasets(self) -> list[FileDataset]:
        """Give the slices, in ascending order along the normal."""
        return [self._slice(number, position) for number, position in enumerate(self.positions_mm())]

    def write(self, folder: Path) -> list[Path]:
        """Write the slices; names run against the order of positions."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for number, dataset in enumerate(self.datasets()):
            paths.append(folder / f"{self.prefix}{len(self.hu) - number:03d}.dcm")
            dataset.save_as(paths[-1], enforce_file_format=True)
        return paths

    def _slice(self, number: int, position: np.ndarray) -> FileDataset:
        dataset = plain_object(CT, f"{self.series_uid}.{number}", self.syntax)
        dataset.Modality = "CT"
        dataset.PatientID = "PATIENT_1"
        dataset.SeriesDescription = "small"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = self.study_uid, self.series_uid
        dataset.FrameOfReferenceUID = "61.7.20"
        dataset.ImageType = ["DERIVED", "SECONDARY"]
        dataset.PatientPosition = "HFS"
        dataset.ImagePositionPatient = [f"{value:.9g}" for value in position]
        dataset.ImageOrientationPatient = [f"{value:.12g}"[:16] for value in self.orientation]
        dataset.PixelSpacing = list(self.spacing_yx_mm)
        dataset.RescaleSlope, dataset.RescaleIntercept = "1", "0"
        set_pixels(dataset, self.hu[number])
        if self.edit:
            self.edit(dataset, number)
        return dataset


def plain_object(sop_class: str, sop_uid: str, syntax: UID = ExplicitVRLittleEndian) -> FileDataset:
    """Give an object with nothing but its identity."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(sop_class), UID(sop_uid)
    encoding = {"is_implicit_VR": syntax.is_implicit_VR, "is_little_endian": syntax.is_little_endian}
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128, **encoding)
    dataset.SOPClassUID, dataset.SOPInstanceUID = UID(sop_class), UID(sop_uid)
    return dataset


def set_pixels(dataset: Dataset, stored: np.ndarray, bits_stored: int | None = None) -> None:
    """Put one frame, or several, of stored values (int16, uint16 or uint8) into a data set."""
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.BitsAllocated = 8 * stored.itemsize
    dataset.BitsStored = bits_stored or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    big_endian = dataset.file_meta.TransferSyntaxUID.is_little_endian is False
    dataset.PixelData = stored.astype(stored.dtype.newbyteorder(">" if big_endian else "<")).tobytes()
    dataset["PixelData"].VR = "OW"


def truth_object(sop_class: str, modality: str, sop_uid: str, study_uid: str = "61.7.10") -> FileDataset:
    """Return a SEG or SR object with the elements that the reader uses."""
    dataset = plain_object(sop_class, sop_uid)
    dataset.Modality, dataset.PatientID = modality, "PATIENT_1"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study_uid, f"{sop_uid}.1"
    return dataset


def enhanced(plan: SeriesPlan, order: list[int]) -> FileDataset:
    """Give a series as one enhanced multi-frame object, its frames in ``order``; rescale differs by frame."""
    dataset = plain_object(ENHANCED_CT, "61.7.500", plan.syntax)
    for keyword in ("Modality", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        setattr(dataset, keyword, plan.datasets()[0].get(keyword))
    stored = plan.hu[order].copy()
    dataset.NumberOfFrames = len(order)
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(plan.spacing_yx_mm), 2
    orientation.ImageOrientationPatient = list(plan.orientation)
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    dataset.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for place, number in enumerate(order):
        groups, position, rescale = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = list(plan.positions_mm()[number])
        rescale.RescaleSlope, rescale.RescaleIntercept = 1, -10 * place
        stored[place] += 10 * place
        groups.PlanePositionSequence, groups.PixelValueTransformationSequence = [position], [rescale]
        frames.append(groups)
    dataset.PerFrameFunctionalGroupsSequence = frames
    set_pixels(dataset, stored)
    return dataset
