"""Options that several commands share, and how their values are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

RegionChoice = Literal["auto", "mediastinum", "abdomen"]
"""Where to detect nodes in a CT."""

OutputOption = Annotated[
    Path, typer.Option("--output", "-o", metavar="OUT", readable=False, help="Folder for the results.")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace results in OUT.")]
SeriesOption = Annotated[str | None, typer.Option(metavar="UID", help="Which DICOM series, if there are several.")]
AllowGapsOption = Annotated[bool, typer.Option("--allow-gaps", help="Interpolate missing slices.")]
ModelOption = Annotated[str, typer.Option(metavar="NAME|DIR", help="lymphnet, blobs, or a folder of ctlymph train.")]
ThresholdOption = Annotated[
    float | None, typer.Option(metavar="P", min=0, max=1, help="Score from which on a detection counts as a node.")
]
DeviceOption = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option(help="Where networks run; auto: a GPU if PyTorch sees one.")
]
RegionOption = Annotated[
    Literal["mediastinum", "abdomen"] | None, typer.Option(help="Only where this region is annotated.")
]
CasesOption = Annotated[
    list[str] | None, typer.Option(metavar="NAMES", help="Case names, separated by commas; may be repeated.")
]
WhatOption = Annotated[
    str | None, typer.Option(metavar="LIST", help="Of ct,seg,annotations,candidates,masks; default all.")
]
FoldsOption = Annotated[
    str | None,
    typer.Option("--folds", metavar="K|NAME|FILE", help="Their number; roth2014, seff2014, iuga2021; or a file."),
]
FormatsOption = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="Of csv,json,slicer,mitk,masks,report,seg,sr,sr_ohif; default all, the last three for DICOM only.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
SeedOption = Annotated[int, typer.Option(min=0, help="The same seed makes the same folds.")]


def names_of(given: Sequence[str] | None) -> tuple[str, ...]:
    """Read the values of ``--cases``; nothing where it is not given.

    Raises:
        typer.BadParameter: If it is given and names nothing: an empty variable in a script must not mean all cases.
    """
    names = _parts(",".join(given or ()))
    if given and not names:
        raise typer.BadParameter("it names no case; write it as MED_LYMPH_001,ABD_LYMPH_002", param_hint="--cases")
    return names


def data_types_of(what: str | None) -> tuple[str, ...]:
    """Read the value of ``--what``; all types of data where it is not given.

    Raises:
        typer.BadParameter: If it names something that the collection does not have.
    """
    from ctlymph.datasets.case import DATA_TYPES

    return choices_of(what, DATA_TYPES, "--what") or DATA_TYPES


def formats_of(text: str | None) -> tuple[str, ...] | None:
    """Read the value of ``--formats``; None, which means all that fit, where it is not given.

    Raises:
        typer.BadParameter: If it names something else than formats.
    """
    from ctlymph.outputs.result_files import FORMATS

    return choices_of(text, FORMATS, "--formats")


def choices_of(text: str | None, known: Iterable[str], option: str) -> tuple[str, ...] | None:
    """Read a list of words, separated by commas.

    Args:
        text: The value; None where the option is not given.
        known: The words to choose from.
        option: Name of the option, for the error.

    Returns:
        The words that were named, in the order of ``known``; None where the option is not given.

    Raises:
        typer.BadParameter: If it names no word, or another.
    """
    if text is None:
        return None
    known, names = tuple(known), _parts(text)
    if not names or not set(names) <= set(known):
        raise typer.BadParameter(f"{text!r}: choose from {', '.join(known)}", param_hint=option)
    return tuple(name for name in known if name in names)


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.replace(" ", "").split(",") if part)
