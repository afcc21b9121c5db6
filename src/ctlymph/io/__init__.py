"""Reading CTs from any format, and writing what was found; one module a format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ctlymph.errors import CtlymphError
from ctlymph.progress import SILENT, Progress

if TYPE_CHECKING:
    from ctlymph.volume import Volume


def read(
    path: str | Path, *, series: str | None = None, allow_gaps: bool = False, progress: Progress = SILENT
) -> Volume:
    """Read a CT from whatever ``path`` is.

    Args:
        path: An image file (NIfTI, NRRD, MetaImage, Analyze: see
            :func:`ctlymph.io.images.read_image`), or DICOM: a file, a folder with
            folders below it, a zip archive or a DICOMDIR (see
            :func:`ctlymph.io.dicom_series.read_dicom`).
        series: SeriesInstanceUID, or its beginning, where the DICOM holds several series.
        allow_gaps: Interpolate missing DICOM slices instead of refusing the series.
        progress: Shown while DICOM is read.

    Returns:
        The volume in HU; its ``notes`` say what was done to the data.

    Raises:
        CtlymphError: If nothing is there, or it cannot be read as one CT volume.
    """
    path = Path(path)
    if not path.exists():
        raise CtlymphError(f"{path} does not exist; check its name")
    from ctlymph.io.images import image_suffix, read_image

    if path.is_file() and image_suffix(path):
        if series is not None:
            raise CtlymphError(f"{path} is an image file, which holds no DICOM series; leave --series out")
        return read_image(path)
    if path.is_dir():
        _refuse_folder_of_images(path)
    from ctlymph.io.dicom_series import ReadOptions, read_dicom

    return read_dicom(path, ReadOptions(series=series, allow_gaps=allow_gaps, progress=progress))


def _refuse_folder_of_images(folder: Path) -> None:
    from ctlymph.io.images import image_suffix

    files = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    if files and all(file.is_file() and image_suffix(file) for file in files):
        named = ", ".join(file.name for file in files[:3]) + (", …" if len(files) > 3 else "")
        raise CtlymphError(f"{folder} holds image files and no DICOM ({named}); give one of the files instead")
