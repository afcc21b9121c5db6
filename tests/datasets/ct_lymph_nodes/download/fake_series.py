"""Makes small series as the collection's own, with records of their true size: what a test's service serves."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ImplicitVRLittleEndian

from ctlymph.datasets.ct_lymph_nodes.catalogue import Series

STORAGE = {"CT": UID("1.2.840.10008.5.1.4.1.1.2"), "SEG": UID("1.2.840.10008.5.1.4.1.1.66.4")}


@dataclass(frozen=True)
class FakeSeries:
    """A series and the folder that its files lie in."""

    series: Series
    folder: Path

    def paths(self) -> list[Path]:
        """Give its files, sorted by name."""
        return sorted(self.folder.iterdir())

    def md5s(self) -> dict[str, str]:
        """Give the MD5 of each file, by name."""
        return {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in self.paths()}


def make_ct(parent: Path, number: int = 1, files: int = 4, *, side: int = 16) -> FakeSeries:
    """Write a CT series of ``files`` slices of side × side pixels, of case MED_LYMPH_<number>, to a folder of its own.

    The same arguments make the same bytes.
    """
    return _make(parent, number, "CT", files, side)


def make_seg(parent: Path, number: int = 1, *, side: int = 16) -> FakeSeries:
    """Write a stand-in for the SEG of the same case and study: one file, of which only the header is true."""
    return _make(parent, number, "SEG", 1, side)


def slice_bytes(series: Series, instance: int, path: Path, *, side: int = 16, case: str | None = None) -> Path:
    """Write one instance of a series, or one that wrongly names another ``case``."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ImplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = STORAGE[series.modality]
    meta.MediaStorageSOPInstanceUID = UID(f"{series.series_uid}.{instance}")
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128, is_implicit_VR=True, is_little_endian=True)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.Modality, dataset.PatientID = series.modality, case or series.case
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = series.study_uid, series.series_uid
    dataset.Rows = dataset.Columns = side
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    seed = [instance, *map(ord, series.series_uid)]
    dataset.PixelData = np.random.default_rng(seed).integers(-1000, 1000, (side, side), dtype=np.int16).tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.save_as(path, enforce_file_format=True)
    return path


def _make(parent: Path, number: int, modality: str, files: int, side: int) -> FakeSeries:
    study = f"61.7.{1000 + number}"
    series_uid = f"{study}.1" if modality == "CT" else f"1.2.276.{1000 + number}"
    name = uuid.uuid5(uuid.NAMESPACE_OID, series_uid)
    series = Series(f"MED_LYMPH_{number:03d}", modality, series_uid, study, files, 0, str(name), 1)
    folder = parent / str(name)
    folder.mkdir(parents=True)
    for instance in range(files):
        # Names as in the bucket: they tell nothing of the order.
        name = uuid.uuid5(uuid.NAMESPACE_OID, f"{series_uid}.{instance}")
        slice_bytes(series, instance, folder / f"{name}.dcm", side=side)
    total = sum(path.stat().st_size for path in folder.iterdir())
    return FakeSeries(Series(**{**vars(series), "bytes": total}), folder)
