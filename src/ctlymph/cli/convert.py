"""``ctlymph convert``: DICOM to NIfTI, NRRD, MetaImage or Analyze, any of these to another, and back to DICOM."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctlymph.cli.console import progress, say
from ctlymph.cli.options import AllowGapsOption, SeriesOption
from ctlymph.core.errors import CtlymphError, Remedy
from ctlymph.io.atomic import check_new_folder

if TYPE_CHECKING:
    from ctlymph.core.volume import Volume

_MOST_VOXELS = 2**31
"""Resampled to so many, 8 GB of numbers, a CT does not fit on most computers."""


class OutputKind(StrEnum):
    """What OUT becomes where its name does not say."""

    DICOM = "dicom"


def convert(
    source: Annotated[
        Path,
        typer.Argument(metavar="IN", readable=False, help="DICOM folder, file, zip or DICOMDIR, or an image file."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            readable=False,
            help="Image file (.nii.gz .nii .nrrd .nhdr .mha .mhd .hdr), or a folder for a DICOM CT series.",
        ),
    ],
    to: Annotated[
        OutputKind | None, typer.Option(help="Write a DICOM folder even though OUT's name has a suffix.")
    ] = None,
    series: SeriesOption = None,
    allow_gaps: AllowGapsOption = False,
    orient: Annotated[
        str | None, typer.Option(metavar="AXES", help="Turn the axes, without resampling: LPS, RAS, …")
    ] = None,
    spacing: Annotated[str | None, typer.Option(metavar="MM", help="Resample: one number, or three for i,j,k.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what OUT holds.")] = False,
) -> None:
    """Convert a CT between DICOM and image files, or from one image format to another.

    Voxels stay where they are in the patient, in millimetres. A DICOM series is
    always written axial; when it comes from DICOM it keeps the patient, study
    and frame of reference and gets a new series UID.

    [bold]Examples[/bold]

      ctlymph convert CT_FOLDER -o ct.nii.gz

      ctlymph convert ct.nii.gz -o CT_FOLDER

      ctlymph convert study.zip -o ct.nrrd --series 1.2.840.113 --orient RAS
    """
    as_dicom = to is OutputKind.DICOM or _is_folder(output)
    grid = _spacing(spacing)
    if as_dicom:
        if orient:
            raise typer.BadParameter("a DICOM series is always written axial", param_hint="--orient")
        check_new_folder(output, overwrite=overwrite)
    elif output.exists() and not overwrite:
        raise CtlymphError(f"{output} exists", Remedy.OVERWRITE)

    from ctlymph.io import read

    volume = read(source, series=series, allow_gaps=allow_gaps, progress=progress())
    for note in volume.notes:
        say(f"note: {note}")
    if grid:
        volume = _resampled(volume, grid)
    volume = _turned(volume, "LPS" if as_dicom else orient)
    _write(volume, output, as_dicom, overwrite)
    size = " × ".join(str(n) for n in volume.geometry.shape_ijk)
    step = " × ".join(f"{mm:.4g}" for mm in volume.geometry.spacing_mm)
    say(f"{output}: {size} voxels of {step} mm, axes {volume.geometry.orientation}")


def _write(volume: Volume, output: Path, as_dicom: bool, overwrite: bool) -> None:
    if as_dicom:
        from ctlymph.io.dicom.ct_writer import write_ct_series

        write_ct_series(volume, output, overwrite=overwrite, progress=progress())
    else:
        from ctlymph.io.images import write_image

        write_image(volume, output, overwrite=overwrite)


def _resampled(volume: Volume, spacing_mm: list[float]) -> Volume:
    from math import prod

    geometry = volume.geometry
    voxels = prod(
        n * old / new for n, old, new in zip(geometry.shape_ijk, geometry.spacing_mm, spacing_mm, strict=True)
    )
    if voxels > _MOST_VOXELS:
        raise CtlymphError(f"--spacing would make {voxels / 1e6:.0f} million voxels, too many; choose a larger one")
    return volume.resample(spacing_mm)


def _turned(volume: Volume, orientation: str | None) -> Volume:
    if orientation is None:
        return volume
    try:
        return volume.reorient(orientation)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--orient") from error


def _is_folder(output: Path) -> bool:
    from ctlymph.io.images import FORMATS, image_suffix

    if image_suffix(output):
        return False
    if output.suffix and not output.is_dir():
        raise typer.BadParameter(
            f"{output} has a suffix that is not known here; use one of {', '.join(FORMATS)},"
            " or add --to dicom to make a folder of that name",
            param_hint="--output",
        )
    return True


def _spacing(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 3) or not all(0.05 <= number <= 100 for number in numbers):
        raise typer.BadParameter(
            f"{text!r} is neither one number of mm nor three such as 0.8,0.8,2", param_hint="--spacing"
        )
    return numbers * 3 if len(numbers) == 1 else numbers
