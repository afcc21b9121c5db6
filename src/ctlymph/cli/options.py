"""Options that several commands share, and how their values are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from ctlymph.core.errors import CtlymphError

RegionOption = Annotated[str | None, typer.Option(metavar="NAME", help="mediastinum or abdomen.")]
CasesOption = Annotated[
    list[str] | None, typer.Option(metavar="NAMES", help="Case names, separated by commas; may be repeated.")
]
WhatOption = Annotated[
    str | None, typer.Option(metavar="KINDS", help="Of ct, seg, annotations, candidates, masks; default all.")
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
SeedOption = Annotated[int, typer.Option(min=0, help="The same seed makes the same folds.")]


def names_of(given: Sequence[str] | None) -> tuple[str, ...]:
    """Read the values of ``--cases``; nothing where it is not given.

    Raises:
        CtlymphError: If it is given and names nothing: an empty variable in a script must not mean all cases.
    """
    names = _parts(",".join(given or ()))
    if given and not names:
        raise CtlymphError("--cases names no case; write it as MED_LYMPH_001,ABD_LYMPH_002")
    return names


def kinds_of(what: str | None) -> tuple[str, ...]:
    """Read the value of ``--what``; all kinds where it is not given.

    Raises:
        CtlymphError: If it names something that the collection does not have.
    """
    from ctlymph.datasets.case import KINDS

    wanted = _parts(what) if what is not None else KINDS
    for kind in wanted or ("nothing",):
        if kind not in KINDS:
            raise CtlymphError(f"--what: there is no {kind}; choose of {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if kind in wanted)


def formats_of(text: str | None) -> tuple[str, ...] | None:
    """Read the value of ``--formats``; None, which means all that fit, where it is not given."""
    from ctlymph.outputs.result_files import FORMATS

    if text is None:
        return None
    names = _parts(text)
    if not names or not set(names) <= set(FORMATS):
        raise typer.BadParameter(f"{text!r}: choose from {', '.join(FORMATS)}", param_hint="--formats")
    return names


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.replace(" ", "").split(",") if part)
