"""``ctlymph phantom``: synthetic patients with known lymph nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctlymph.cli.console import progress, say
from ctlymph.cli.processes import in_processes
from ctlymph.core.errors import CtlymphError

if TYPE_CHECKING:
    from ctlymph.phantom.collection.backgrounds import Background
    from ctlymph.phantom.collection.patients import Patient


class Standard(StrEnum):
    """Standard collections."""

    small = "small"
    full = "full"


class Tree(StrEnum):
    """How DICOM files are laid out."""

    idc = "idc"
    nbia = "nbia"


def phantom(
    output: Annotated[
        Path, typer.Argument(metavar="OUT", readable=False, help="Folder for the collection; made if absent.")
    ],
    cases: Annotated[
        int | None, typer.Option(min=1, max=1998, metavar="N", help="How many cases, of both regions; default 1.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed makes the same patients; default 0.")] = None,
    standard: Annotated[
        Standard | None, typer.Option("--set", help="A standard collection: 12 cases, or 90 and 86; its seed is fixed.")
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
        typer.Option(metavar="CT", readable=False, help="Put nodes into this CT instead; may be repeated."),
    ] = None,
    draws: Annotated[
        int, typer.Option(min=1, max=500, metavar="N", help="With --background: put nodes into each CT so many times.")
    ] = 1,
    layout: Annotated[Tree, typer.Option(help="As idc-index or NBIA Data Retriever lay it out.")] = Tree.idc,
    zipped: Annotated[bool, typer.Option("--zip", help="Annotations, candidates and masks as zip archives.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Patients made at the same time.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make and replace cases that exist.")] = False,
) -> None:
    """Make patients whose lymph nodes are known, laid out as the public collection.

    The patients are synthetic torsos, or with --background CTs of your own, into
    whose fat synthetic nodes are put; nodes that those CTs have themselves are
    not annotated.

    OUT holds the CTs as DICOM, annotations, candidates and masks as files and
    as DICOM-SEG, and under OUT/truth all nodes with their sizes, also those that
    are not annotated. What reads the collection reads it. A real CT takes some
    200 MB; --spacing makes smaller ones. Cases that are complete are left alone,
    so that an interrupted run goes on where it stopped.

    [bold]Examples[/bold]

      ctlymph phantom PHANTOMS --set small --jobs 2

      ctlymph phantom COARSE --cases 4 --seed 7 --spacing 1.5,1.5,2 --no-contrast

      ctlymph phantom FOLLOWED --cases 2 --timepoints 3

      ctlymph phantom INSERTED --background chest.nii.gz --background CT_FOLDER --draws 10
    """
    from ctlymph.phantom.collection.backgrounds import inserted_patients
    from ctlymph.phantom.collection.collection_files import SET_SEED, SETS, check_folder, finish, split
    from ctlymph.phantom.collection.patients import Wishes, phantom_patients

    if standard and not (cases is None and seed is None):
        raise CtlymphError("--set fixes the cases and the seed; leave out --cases and --seed, or --set")
    of_torsos = {"--cases": cases, "--set": standard, "--spacing": spacing, "--thickness": thickness}
    given = [name for name, value in (of_torsos | {"--contrast": contrast}).items() if value is not None]
    given += ["--timepoints"] if timepoints > 1 else []
    if background and given:
        raise CtlymphError(f"{given[0]} is for synthetic torsos; a CT given by --background is as it is: leave one out")
    if draws > 1 and not background:
        raise CtlymphError("--draws is for CTs given by --background; torsos are counted by --cases")
    wishes = Wishes(
        seed=SET_SEED if standard else seed or 0,
        spacing_mm=_spacing(spacing) if spacing is not None else None,
        thickness_mm=thickness,
        contrast=contrast,
        timepoints=timepoints,
        layout=layout.value,
    )
    check_folder(output)
    wanted: Sequence[Patient]
    if background:
        wanted = inserted_patients(output, _looked_at(background, jobs), wishes, draws)
    else:
        wanted = phantom_patients(output, SETS[standard] if standard else split(cases or 1), wishes)
    missing = wanted if overwrite else [patient for patient in wanted if not patient.is_complete()]
    if len(missing) < len(wanted):
        say(f"{output}: {len(wanted) - len(missing)} of {len(wanted)} patients are complete, left as they are")
    _write_all(output, missing, jobs)
    finish(output, wishes, zipped=zipped)


def _looked_at(paths: list[Path], jobs: int) -> list[Background]:
    from ctlymph.phantom.collection.backgrounds import look_at_background

    found: list[Background] = []
    with progress().task("Looking at CTs", len(paths)) as advance:
        if jobs == 1 or len(paths) < 2:
            looks: Iterable[Background] = map(look_at_background, paths)
        else:
            looks = in_processes(jobs, look_at_background, [(path,) for path in paths])
        for look in looks:
            found.append(look)
            advance(1)
    return sorted(found, key=lambda look: paths.index(look.path))


def _write_all(output: Path, missing: Sequence[Patient], jobs: int) -> None:
    output.mkdir(parents=True, exist_ok=True)
    if jobs == 1 or len(missing) < 2:
        for patient in missing:
            say(_write(patient, shown=True))
        return
    with progress().task("making patients", len(missing)) as advance:
        for made in in_processes(jobs, _write, [(patient, False) for patient in missing]):
            say(made)
            advance(1)


def _write(patient: Patient, shown: bool) -> str:
    from ctlymph.core.progress import SILENT

    lines = []
    for case in patient.write(progress() if shown else SILENT):
        columns, rows, slices = case.phantom.volume.geometry.shape_ijk
        name = f"{case.name}, time point {case.timepoint}" if patient.wishes.timepoints > 1 else case.name
        lines.append(f"{name}: {columns} × {rows} × {slices} voxels, {len(case.annotated)} nodes annotated")
    return "\n".join(lines)


def _spacing(text: str) -> tuple[float, float, float]:
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        raise CtlymphError(f"--spacing: {text!r} is not three numbers of mm; write it as 0.8,0.8,2") from None
    if not all(0.3 <= step <= 20 for step in (x, y, z)):
        raise CtlymphError(f"--spacing: {text} mm is not between 0.3 and 20 mm; choose others")
    return x, y, z
