"""``ctlymph collection init``: a draft of cases.csv, which makes a folder of one's own a dataset."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import Annotated

import typer

from ctlymph.cli.console import say, show_table
from ctlymph.cli.options import RegionOption

_SHOWN = 10


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Your CTs and labels, in any layout.")],
    region: RegionOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a cases.csv that is there.")] = False,
) -> None:
    """Draft cases.csv for your own CTs and labels: then they train, evaluate, fold and export.

    CTs (NIfTI, NRRD, MetaImage, DICOM) and their labels are matched by the names of files and folders. Check the draft:
    fill in each region that is "?" (or give --region if it is the same for all), the patient where several cases are
    of one, and train or test where the split is fixed.

    [bold]Example[/bold]

      ctlymph collection init MYDATA --region mediastinum
    """
    from ctlymph.datasets.cases_csv import HEADER, UNDECIDED
    from ctlymph.datasets.cases_draft import draft_cases, write_draft

    drafts = draft_cases(folder, region or UNDECIDED)
    path = write_draft(folder, drafts, overwrite=overwrite)
    show_table(f"{path}: {len(drafts)} cases", HEADER, [astuple(draft) for draft in drafts[:_SHOWN]])
    if len(drafts) > _SHOWN:
        say(f"and {len(drafts) - _SHOWN} more")
    if without := [draft.case for draft in drafts if not draft.labels]:
        say(f"{len(without)} cases have no labels, the first {without[0]}: name them, or remove the rows")
    todo = "" if region else " Fill in each region: mediastinum or abdomen."
    say(f"{path}: {len(drafts)} cases. Check it before you use it.{todo}")
