"""How fast a CT series is read: ctlymph beside SimpleITK, pydicom, highdicom and the bytes alone.

Run ``python benchmarks/reading.py``. It writes a series of uncompressed slices
to a temporary folder, reads it with each reader in turn, several rounds over,
and prints medians and ratios of that one run. Every reader ends with the whole
volume in memory, in HU; files are in the system's cache after the first round,
which is not counted.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from ctlymph.io.dicom.series import read_dicom

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"


def write_series(folder: Path, slices: int, size: int, explicit: bool, unsigned: bool) -> None:
    """Write a plain CT series, signed HU as in the CT Lymph Nodes collection, or unsigned as from a scanner."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 30, (size, size + slices)).astype(np.int16)
    study, series, frame_of_reference = (generate_uid(entropy_srcs=[name]) for name in ("study", "series", "frame"))
    for number in range(slices):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian if explicit else ImplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = CT_IMAGE_STORAGE
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(number)])
        slice_ = pydicom.FileDataset("", {}, file_meta=meta, preamble=bytes(128))
        slice_.SOPClassUID, slice_.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        slice_.Modality, slice_.PatientID, slice_.SeriesDescription = "CT", "BENCHMARK", "a CT to read"
        slice_.ImageType, slice_.Manufacturer, slice_.PatientPosition = ["ORIGINAL", "PRIMARY", "AXIAL"], "none", "HFS"
        slice_.StudyInstanceUID, slice_.SeriesInstanceUID = study, series
        slice_.FrameOfReferenceUID, slice_.InstanceNumber = frame_of_reference, number + 1
        slice_.ImagePositionPatient = [-180.0, -160.5, -600 + number]
        slice_.ImageOrientationPatient, slice_.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.7, 0.7]
        slice_.SliceThickness, slice_.KVP = 1, 120
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
        slice_.Rows = slice_.Columns = size
        slice_.BitsAllocated, slice_.PixelRepresentation = 16, int(not unsigned)
        slice_.BitsStored, slice_.HighBit = (12, 11) if unsigned else (16, 15)
        slice_.RescaleSlope, slice_.RescaleIntercept = 1, -1024 if unsigned else 0
        slice_.PixelData = (noise[:, number : number + size] + (1024 if unsigned else 0)).tobytes()
        slice_["PixelData"].VR = "OW"
        slice_.save_as(folder / f"1-{number + 1:03d}.dcm", enforce_file_format=True)


def with_ctlymph(folder: Path) -> np.ndarray:
    return read_dicom(folder).hu


def with_simpleitk(folder: Path) -> np.ndarray:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return sitk.GetArrayFromImage(reader.Execute())


def with_simpleitk_image(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def with_pydicom(folder: Path) -> np.ndarray:
    slices = sorted(
        (pydicom.dcmread(path) for path in folder.iterdir()), key=lambda slice_: slice_.ImagePositionPatient[2]
    )
    return np.stack([slice_.pixel_array + np.int16(slice_.RescaleIntercept) for slice_ in slices]).astype(np.int16)


def with_highdicom(folder: Path) -> np.ndarray:
    import highdicom as hd

    return hd.get_volume_from_series([pydicom.dcmread(path) for path in folder.iterdir()], dtype=np.int16).array


def bytes_alone(folder: Path) -> np.ndarray:
    """Read every file, one after the other, into one block of memory: no reader that keeps them can do less."""
    paths = sorted(folder.iterdir())
    block = np.empty((len(paths), max(path.stat().st_size for path in paths)), np.uint8)
    for path, row in zip(paths, block, strict=True):
        with path.open("rb", buffering=0) as file:
            file.readinto(row.data)  # type: ignore[attr-defined]
    return block


def readers() -> dict[str, Callable[[Path], object]]:
    found: dict[str, Callable[[Path], object]] = {
        "bytes alone": bytes_alone,
        "ctlymph": with_ctlymph,
        "SimpleITK, image": with_simpleitk_image,
        "SimpleITK, array": with_simpleitk,
        "pydicom + stack": with_pydicom,
    }
    if importlib.util.find_spec("highdicom"):
        found["highdicom"] = with_highdicom
    return found


def measure(folder: Path, rounds: int) -> dict[str, float]:
    """Give each reader's median time in seconds over ``rounds``, readers taking turns."""
    times: dict[str, list[float]] = {name: [] for name in readers()}
    for number in range(rounds + 1):
        for name, read in readers().items():
            start = time.perf_counter()
            result = read(folder)
            elapsed = time.perf_counter() - start
            del result
            if number:
                times[name].append(elapsed)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=660)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--unsigned", action="store_true", help="12 bits with an intercept of −1024, explicit VR")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ctlymph-reading-") as name:
        folder = Path(name)
        write_series(folder, options.slices, options.size, options.unsigned, options.unsigned)
        if not np.array_equal(with_ctlymph(folder), with_simpleitk(folder)):
            raise SystemExit("ctlymph and SimpleITK read different voxels")
        medians = measure(folder, options.rounds)
    kind = "unsigned 12 bits, explicit VR" if options.unsigned else "signed 16 bits, implicit VR"
    print(f"{options.slices} slices of {options.size}², uncompressed, {kind}; median of {options.rounds} rounds")
    print(f"{'reader':<18}{'seconds':>9}{'× ctlymph':>11}{'× bytes':>9}")
    for reader, seconds in medians.items():
        ratios = seconds / medians["ctlymph"], seconds / medians["bytes alone"]
        print(f"{reader:<18}{seconds:>9.3f}{ratios[0]:>11.2f}{ratios[1]:>9.2f}")


if __name__ == "__main__":
    main()
