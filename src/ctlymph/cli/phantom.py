"""``ctlymph phantom``: synthetic patients with known lymph nodes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctlymph.cli.console import progress, say
from ctlymph.cli.processes import in_processes
from ctlymph.errors import CtlymphError

if TYPE_CHECKING:
    from ctlymph.phantom.collection import PhantomCase


def phantom(
    output: Annotated[
        Path, typer.Argument(metavar="OUT", readable=False, help="Folder for the cases; made if absent.")
    ],
    cases: Annotated[int, typer.Option(min=1, max=9999, metavar="N", help="How many patients.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same patients.")] = 0,
    spacing: Annotated[
        str, typer.Option(metavar="X,Y,Z", help="Distance of voxels along x, y and z, mm.")
    ] = "0.8,0.8,2",
    contrast: Annotated[
        bool, typer.Option("--contrast/--no-contrast", help="With or without intravenous and oral contrast.")
    ] = True,
    jobs: Annotated[int, typer.Option(min=1, help="Cases made at the same time.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make and replace cases that exist.")] = False,
) -> None:
    """Make synthetic torsos whose lymph nodes are known, as DICOM.

    Each case is a folder OUT/PHANTOM_0001 with the CT series (ct/), the nodes'
    masks (masks.nii.gz) and their true places and sizes (truth.csv, with the
    columns of nodes.csv). Cases that are complete are left alone, so that an
    interrupted run goes on where it stopped.

    [bold]Examples[/bold]

      ctlymph phantom PHANTOMS --cases 4 --seed 7

      ctlymph phantom THIN --spacing 0.7,0.7,1 --no-contrast --jobs 2
    """
    from ctlymph.phantom.collection import phantom_cases
    from ctlymph.phantom.patient import PhantomSpec

    wanted = phantom_cases(output, cases, PhantomSpec(seed, _spacing(spacing), contrast=contrast))
    missing = wanted if overwrite else [case for case in wanted if not case.is_complete()]
    for case in wanted:
        if case not in missing:
            say(f"{case.folder}: complete, left as it is")
    if jobs == 1 or len(missing) < 2:
        for case in missing:
            say(_write(case, overwrite, shown=True))
    else:
        _write_together(missing, overwrite, jobs)


def _write_together(missing: list[PhantomCase], overwrite: bool, jobs: int) -> None:
    with progress().task("making patients", len(missing)) as advance:
        for made in in_processes(jobs, _write, [(case, overwrite, False) for case in missing]):
            say(made)
            advance(1)


def _write(case: PhantomCase, overwrite: bool, shown: bool) -> str:
    from ctlymph.progress import SILENT

    made = case.write(overwrite=overwrite, progress=progress() if shown else SILENT)
    columns, rows, slices = made.volume.geometry.shape_ijk
    return f"{case.folder}: {columns} × {rows} × {slices} voxels, {len(made.nodes)} nodes"


def _spacing(text: str) -> tuple[float, float, float]:
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        raise CtlymphError(f"--spacing: {text!r} is not three numbers of mm; write it as 0.8,0.8,2") from None
    if not all(0.3 <= step <= 20 for step in (x, y, z)):
        raise CtlymphError(f"--spacing: {text} mm is not between 0.3 and 20 mm; choose others")
    return x, y, z
