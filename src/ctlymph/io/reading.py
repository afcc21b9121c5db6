"""CTs from any path: an image file, or DICOM in a file, a folder, an archive or a DICOMDIR."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ctlymph.core.errors import CtlymphError, Remedy
from ctlymph.core.progress import SILENT, Progress
from ctlymph.core.volume import Volume
from ctlymph.io.dicom.series import ReadOptions, read_dicom
from ctlymph.io.images import image_suffix, read_image


def read(
    path: str | Path, *, series: str | None = None, allow_gaps: bool = False, progress: Progress = SILENT
) -> Volume:
    """Read a CT from an image file or from DICOM.

    Args:
        path: An image file (NIfTI, NRRD, MetaImage, Analyze: see
            :func:`ctlymph.io.images.read_image`), or DICOM: a file, a folder with
            folders below it, a zip archive or a DICOMDIR (see
            :func:`ctlymph.io.dicom.series.read_dicom`).
        series: SeriesInstanceUID, or its beginning, if the DICOM has several series.
        allow_gaps: Interpolate missing DICOM slices instead of rejecting the series.
        progress: Reports the progress of reading DICOM.

    Returns:
        The volume in HU; its ``notes`` describe corrections and assumptions.

    Raises:
        CtlymphError: If the path does not exist, or cannot be read as one CT volume.

    Example:
        >>> import nibabel, numpy as np
        >>> import ctlymph
        >>> image = nibabel.Nifti1Image(np.full((5, 4, 3), -100, np.int16), np.diag([1.0, 1.0, 2.0, 1.0]))
        >>> nibabel.save(image, "patient.nii.gz")
        >>> ct = ctlymph.read("patient.nii.gz")
        >>> ct.case, ct.hu.shape, ct.geometry.spacing_mm.tolist()
        ('patient', (3, 4, 5), [1.0, 1.0, 2.0])
    """
    path = Path(path)
    if not path.exists():
        raise CtlymphError(f"{path} does not exist; check its name")
    if any(map(_is_surrogate, str(path))):
        raise CtlymphError(f"{str(path)!a} has a name that is not UTF-8; rename it")
    if path.is_file() and image_suffix(path):
        if series is not None:
            raise CtlymphError(f"{path} is an image file, which holds no DICOM series", Remedy.NO_SERIES)
        return _checked(read_image(path))
    if path.is_dir():
        _reject_folder_of_images(path)
    return _checked(read_dicom(path, ReadOptions(series=series, allow_gaps=allow_gaps, progress=progress)))


def _is_surrogate(letter: str) -> bool:
    return "\ud800" <= letter <= "\udfff"  # how Python represents a byte that is not UTF-8


def _checked(volume: Volume) -> Volume:
    """Add a note if the values cannot be the HU of a body, which contains fat and is surrounded by air."""
    if volume.hu.min() < 0:
        return volume
    note = "no voxel is below 0, so this is hardly a CT in HU (a picture of 0 to 255, or values off by 1024?)"
    return replace(volume, notes=(*volume.notes, note))


def _reject_folder_of_images(folder: Path) -> None:
    try:
        files = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    except PermissionError as error:
        raise CtlymphError(f"cannot read the folder {folder}: permission denied; change its permissions") from error
    if files and all(file.is_file() and image_suffix(file) for file in files):
        named = ", ".join(file.name for file in files[:3]) + (", …" if len(files) > 3 else "")
        raise CtlymphError(f"{folder} holds image files and no DICOM ({named}); give one of the files instead")
