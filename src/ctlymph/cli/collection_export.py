"""``ctlymph collection export``: the collection in the forms that other programs read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from ctlymph.cli.collection_folds import chosen_folds
from ctlymph.cli.console import progress, say
from ctlymph.cli.options import CasesOption, FoldsOption, RegionOption, SeedOption, choices_of, names_of
from ctlymph.cli.processes import in_processes
from ctlymph.core.errors import shown

if TYPE_CHECKING:
    from ctlymph.datasets.exports.export_job import ExportJob

CSV = "csv"


def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the collection lies.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT", readable=False, help="Folder to export to; made if absent.")
    ],
    formats: Annotated[str, typer.Option(metavar="LIST", help="Of nnunet,nndetection,monai,csv.")],
    region: RegionOption = None,
    cases: CasesOption = None,
    folds: FoldsOption = None,
    seed: SeedOption = 0,
    task: Annotated[int, typer.Option(min=1, max=999, help="Number of the dataset (nnunet, nndetection).")] = 501,
    name: Annotated[
        str | None, typer.Option(help="Name of the dataset; default CTLymphNodes, or of your own data the folder's.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Cases converted at the same time.")] = 1,
    skip_incomplete: Annotated[
        bool, typer.Option("--skip-incomplete", help="Leave out cases that lack data that the form needs.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what was made from other files.")] = False,
) -> None:
    """Export cases for nnU-Net, nnDetection or MONAI, or their nodes as a table (nodes.csv).

    CTs and labels are converted to NIfTI once, in OUT/cases; each form links to them. Export several forms to the
    same OUT to save space and time. Cases that are complete are left alone, so that an interrupted run goes on where it
    stopped.

    [bold]Examples[/bold]

      ctlymph collection export DATA -o OUT --formats nnunet --region abdomen --folds 5 --jobs 2

      ctlymph collection export DATA -o OUT --formats monai --folds folds.json

      ctlymph collection export DATA -o OUT --formats csv
    """
    from ctlymph.datasets.case import Collection
    from ctlymph.datasets.exports.export_job import ExportJob, complete_cases, default_name

    exports = _exports()
    chosen = choices_of(formats, exports, "--formats") or ()
    needed = tuple(dict.fromkeys(types for each in chosen for types in exports[each].NEEDS))
    collection = Collection(folder)
    for note in collection.notes:
        say(shown(note, 300))
    selected, remarks = complete_cases(collection.cases(region, names_of(cases)), needed, skip=skip_incomplete)
    for remark in remarks:
        say(remark)
    training = [case for case in selected if not case.is_test]
    fold_list = chosen_folds(folds, training, seed) if folds and chosen != (CSV,) else None  # a table has none
    job = ExportJob(selected, output, task, name or default_name(selected, collection.folder), fold_list, overwrite)
    for path in _write(job, chosen, jobs):
        say(f"{path}: {len(selected)} cases")


def _exports() -> dict[str, ModuleType]:
    """Return the module of each format, which says what it needs."""
    from ctlymph.datasets.exports import monai_datalist, nndetection, nnunet, nodes_csv

    return {"nnunet": nnunet, "nndetection": nndetection, "monai": monai_datalist, CSV: nodes_csv}


def _write(job: ExportJob, formats: Sequence[str], jobs: int) -> Iterator[Path]:
    from ctlymph.datasets.exports.export_job import write_terms
    from ctlymph.datasets.exports.monai_datalist import write_monai
    from ctlymph.datasets.exports.nndetection import write_nndetection
    from ctlymph.datasets.exports.nnunet import write_nnunet
    from ctlymph.datasets.exports.nodes_csv import write_table
    from ctlymph.datasets.exports.prepared import Preparation, one_by_one

    if CSV in formats:
        yield write_table(job)
    writers = {"nnunet": write_nnunet, "nndetection": write_nndetection, "monai": write_monai}
    if chosen := [writers[each] for each in formats if each != CSV]:
        run = one_by_one if jobs == 1 else partial(in_processes, jobs)
        prepared = Preparation(job.folder, job.overwrite, run, progress()).prepare_all(job.cases)
        yield from (write(job, prepared) for write in chosen)
    write_terms(job)
