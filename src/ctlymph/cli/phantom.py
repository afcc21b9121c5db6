"""``ctlymph phantom``: synthetic patients with known lymph nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctlymph.cli.console import progress, reason, say
from ctlymph.cli.processes import in_processes
from ctlymph.core.errors import CtlymphError

if TYPE_CHECKING:
    from ctlymph.phantom.collection.backgrounds import Background
    from ctlymph.phantom.collection.patients import Patient


class SetChoice(StrEnum):
    """Standard collections."""

    small = "small"
    full = "full"


class LayoutChoice(StrEnum):
    """How DICOM files are laid out."""

    idc = "idc"
    nbia = "nbia"


def phantom(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="OUT", readable=False, help="Folder for the collection; made if absent."
        ),
    ],
    cases: Annotated[
        int | None, typer.Option(min=1, max=1998, metavar="N", help="How many cases, of both regions; default 1.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed makes the same patients; default 0.")] = None,
    standard: Annotated[
        SetChoice | None,
        typer.Option("--set", help="A standard collection: 12 cases, or 90 and 86; its seed is fixed."),
    ] = None,
    timepoints: Annotated[
        int, typer.Option(min=1, max=9, metavar="T", help="Scans of each patient, each in a collection of its own.")
    ] = 1,
    spacing: Annotated[
        str | None, typer.Option(metavar="X,Y,Z", help="Distance of voxels, mm; default as in the real ones.")
    ] = None,
    thickness: Annotated[
        float | None, typer.Option(min=0.3, max=20, metavar="MM", help="Slice thickness; default the slices' distance.")
    ] = None,
    contrast: Annotated[
        bool | None, typer.Option("--contrast/--no-contrast", help="Contrast agent; default in nine of ten.")
    ] = None,
    background: Annotated[
        list[Path] | None,
        typer.Option(metavar="CT", readable=False, help="Insert nodes into this CT instead; may be repeated."),
    ] = None,
    draws: Annotated[
        int, typer.Option(min=1, max=500, metavar="N", help="With --background: insert nodes into each CT N times.")
    ] = 1,
    layout: Annotated[
        LayoutChoice, typer.Option(help="As idc-index or NBIA Data Retriever lay it out.")
    ] = LayoutChoice.idc,
    zipped: Annotated[bool, typer.Option("--zip", help="Annotations, candidates and masks as zip archives.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Patients made at the same time.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make and replace cases that exist.")] = False,
) -> None:
    """Make patients whose lymph nodes are known, in the layout of the public collection.

    The patients are synthetic torsos. With --background they are CTs of your own,
    with synthetic nodes inserted into the fat; the CTs' own nodes are not annotated.

    OUT holds the CTs as DICOM; annotations, candidates and masks as files and as
    DICOM-SEG; and in OUT/truth all nodes with their sizes, annotated or not. Every
    command that reads the public collection reads it. A case of the default size
    takes some 200 MB; --spacing makes smaller ones. Complete cases are left alone,
    so an interrupted run can be started again. A CT that cannot be used is
    reported, and the others are made.

    [bold]Examples[/bold]

      ctlymph phantom -o PHANTOMS --set small --jobs 2

      ctlymph phantom -o COARSE --cases 4 --seed 7 --spacing 1.5,1.5,2 --no-contrast

      ctlymph phantom -o FOLLOWED --cases 2 --timepoints 3

      ctlymph phantom -o INSERTED --background chest.nii.gz --background CT_FOLDER --draws 10
    """
    from ctlymph.phantom.collection.backgrounds import inserted_patients
    from ctlymph.phantom.collection.collection_files import COLLECTION_SIZES, SET_SEED, check_folder, split
    from ctlymph.phantom.collection.patients import PhantomOptions, phantom_patients

    if standard and not (cases is None and seed is None):
        raise typer.BadParameter("fixes the cases and the seed; leave out --cases and --seed", param_hint="--set")
    of_torsos = {"--cases": cases, "--set": standard, "--spacing": spacing, "--thickness": thickness}
    of_torsos |= {"--contrast": contrast, "--timepoints": timepoints if timepoints > 1 else None}
    _check_background(background, draws, of_torsos)
    options = PhantomOptions(
        seed=SET_SEED if standard else seed or 0,
        spacing_mm=_spacing(spacing) if spacing is not None else None,
        thickness_mm=thickness,
        contrast=contrast,
        timepoints=timepoints,
        layout=layout.value,
    )
    check_folder(output)
    patients: Sequence[Patient]
    problems = []
    if background:
        usable = _backgrounds(background, jobs)
        if len(usable) < len(background):
            problems.append(f"{len(background) - len(usable)} of {len(background)} CTs could not be used")
        patients = inserted_patients(output, usable, options, draws)
    else:
        patients = phantom_patients(output, COLLECTION_SIZES[standard] if standard else split(cases or 1), options)
    if failed := _make(output, patients, jobs, overwrite=overwrite, zipped=zipped):
        problems.append(f"{failed} of {len(patients)} patients could not be made")
    if problems:
        raise CtlymphError(f"{' and '.join(problems)}, the others are in {output}; see above")


def _check_background(background: list[Path] | None, draws: int, of_torsos: Mapping[str, object]) -> None:
    """Refuse options of synthetic torsos with --background, and --draws without it.

    Raises:
        typer.BadParameter: If there is such an option.
    """
    given = [name for name, value in of_torsos.items() if value is not None]
    if background and given:
        raise typer.BadParameter("is for synthetic torsos; leave it or --background out", param_hint=given[0])
    if draws > 1 and not background:
        wrong = "is for CTs given by --background; torsos are counted by --cases"
        raise typer.BadParameter(wrong, param_hint="--draws")


def _make(output: Path, patients: Sequence[Patient], jobs: int, *, overwrite: bool, zipped: bool) -> int:
    """Make the patients that are not complete and the files about all of them; return how many could not be made.

    Raises:
        CtlymphError: If none could be made.
    """
    from ctlymph.phantom.collection.collection_files import finish

    missing = patients if overwrite else [patient for patient in patients if not patient.is_complete()]
    if len(missing) < len(patients):
        say(f"{output}: {len(patients) - len(missing)} of {len(patients)} patients are complete, left as they are")
    failed = _write_all(output, missing, jobs)
    if failed == len(patients):
        raise CtlymphError("no patient could be made; see above")
    finish(output, patients[0].options, zipped=zipped)
    return failed


def _backgrounds(paths: list[Path], jobs: int) -> list[Background]:
    """Return the CTs that nodes can be put into, in the order given; say what is wrong with each of the others.

    Raises:
        CtlymphError: If there is none.
    """
    found: dict[Path, Background] = {}
    with progress().task("Reading CTs", len(paths)) as advance:
        if jobs == 1 or len(paths) < 2:
            results: Iterable[Background | str] = map(_background, paths)
        else:
            results = in_processes(jobs, _background, [(path,) for path in paths])
        for result in results:
            if isinstance(result, str):
                say(f"error: {result}")
            else:
                found[result.path] = result
            advance(1)
    if not found:
        raise CtlymphError("none of the CTs can be used; see above")
    return [found[path] for path in paths if path in found]


def _background(path: Path) -> Background | str:
    """Return a CT that nodes can be put into, or why they cannot."""
    from ctlymph.phantom.collection.backgrounds import read_background

    try:
        return read_background(path)
    except CtlymphError as error:
        return reason(error)
    except (OSError, MemoryError) as error:
        return f"{path}: {reason(error)}"


def _write_all(output: Path, missing: Sequence[Patient], jobs: int) -> int:
    """Make and write patients, print a line about each case, and return how many patients could not be made."""
    output.mkdir(parents=True, exist_ok=True)
    failed = 0
    if jobs == 1 or len(missing) < 2:
        for patient in missing:
            failed += _reported(_write(patient, shown=True))
        return failed
    with progress().task("Making patients", len(missing)) as advance:
        for made in in_processes(jobs, _write, [(patient, False) for patient in missing]):
            failed += _reported(made)
            advance(1)
    return failed


def _reported(made: list[str] | CtlymphError) -> int:
    """Print what :func:`_write` returned; return 1 if the patient could not be made, else 0."""
    if isinstance(made, CtlymphError):
        say(f"error: {reason(made)}")
        return 1
    say("\n".join(made))
    return 0


def _write(patient: Patient, shown: bool) -> list[str] | CtlymphError:
    """Make and write a patient; return a line about each case, or why it cannot be made.

    A full disk and the like are errors of the whole command.
    """
    from ctlymph.core.progress import SILENT

    lines = []
    try:
        made = patient.write(progress() if shown else SILENT)
    except CtlymphError as error:
        return error
    for case in made:
        columns, rows, slices = case.phantom.volume.geometry.shape_ijk
        name = f"{case.name}, time point {case.timepoint}" if patient.options.timepoints > 1 else case.name
        lines.append(f"{name}: {columns} × {rows} × {slices} voxels, {len(case.annotated)} nodes annotated")
    return lines


def _spacing(text: str) -> tuple[float, float, float]:
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        wrong = f"{text!r} is not three numbers of mm, such as 0.8,0.8,2"
        raise typer.BadParameter(wrong, param_hint="--spacing") from None
    if not all(0.3 <= step <= 20 for step in (x, y, z)):
        raise typer.BadParameter(f"{text} mm is not between 0.3 and 20 mm; choose others", param_hint="--spacing")
    return x, y, z
