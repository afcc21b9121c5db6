"""``ctlymph collection folds``: folds for cross-validation, in a file that anyone can reuse."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctlymph.cli.console import say, show_table
from ctlymph.cli.options import FoldsOption, RegionOption, SeedOption

if TYPE_CHECKING:
    from ctlymph.datasets.case import Case
    from ctlymph.datasets.ct_lymph_nodes.catalogue import CatalogueEntry
    from ctlymph.datasets.folds import Folds


def folds(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="FOLDER", help="Only cases of this folder; without it, the whole collection."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", readable=False, help="Where to write them (JSON).")
    ] = None,
    number: FoldsOption = "5",
    seed: SeedOption = 0,
    region: RegionOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Make folds for cross-validation and print how even they are.

    Folds are by patient: the two names of one scan are always in the same fold. For each region they are nearly equal
    in cases and in annotated nodes. Nothing needs to be downloaded.

    A name stands for the number of folds of a publication (Roth 2014: 3, Seff 2014: 6, Iuga 2021: 4). Only the number
    is theirs: their lists of cases were not published. A file of folds is checked and shown.

    [bold]Examples[/bold]

      ctlymph collection folds --folds 5 --seed 1 -o folds.json

      ctlymph collection folds --folds roth2014 --region mediastinum -o folds.json
    """
    from ctlymph.datasets.case import Collection
    from ctlymph.datasets.ct_lymph_nodes.catalogue import catalogue

    cases: list[CatalogueEntry] | list[Case]
    if folder:
        cases = [case for case in Collection(folder).cases(region) if not case.is_test]
    else:
        cases = [entry for entry in catalogue().entries if region in (None, entry.region)]
    if number and Path(number).is_file() and (folder or region):
        raise typer.BadParameter(
            f"{number} says itself which cases it holds; leave out FOLDER and --region", param_hint="--folds"
        )
    made = chosen_folds(number or "5", cases, seed)
    if output:
        made.write(output, overwrite=overwrite)
    _show(made, cases)
    if output:
        say(f"written to {output}")


def chosen_folds(text: str, cases: Sequence[CatalogueEntry] | Sequence[Case], seed: int) -> Folds:
    """Read the value of ``--folds``: a number, the name of a setting, or a file.

    Raises:
        typer.BadParameter: If it is none of these.
        CtlymphError: If the file cannot be read, or the folds are impossible for the cases.
    """
    from ctlymph.datasets.folds import FOLD_SETTINGS, make_folds, read_folds

    if text.isdecimal():
        return make_folds(cases, int(text), seed)
    if text in FOLD_SETTINGS:
        return make_folds(cases, FOLD_SETTINGS[text].k, seed, text)
    if Path(text).is_file():
        return read_folds(Path(text))
    raise typer.BadParameter(
        f"{text} is neither a number, nor a file, nor one of {', '.join(FOLD_SETTINGS)}", param_hint="--folds"
    )


def _show(made: Folds, cases: Sequence[CatalogueEntry] | Sequence[Case]) -> None:
    from ctlymph.core.regions import REGIONS
    from ctlymph.datasets.folds import counts

    counted = counts(cases)
    regions = [region for region in (*REGIONS, "") if any(region in each.nodes for each in counted.values())]
    rows = []
    for fold, names in enumerate(made.folds):
        row = [str(fold), str(len(names))]
        for region in regions:
            here = [counted[name].nodes[region] for name in names if name in counted and region in counted[name].nodes]
            row += [str(len(here)), str(sum(here))]
        rows.append(row)
    header = ("fold", "cases", *(f"{region or 'other'} {what}" for region in regions for what in ("cases", "nodes")))
    show_table(f"{made.k} folds", header, rows)
