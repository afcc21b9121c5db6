"""What commands share that let methods learn: where results are kept, and in how many processes the work is done."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctlymph.cli.console import progress
from ctlymph.cli.processes import usable_cores, workers
from ctlymph.core.errors import CtlymphError

if TYPE_CHECKING:
    from ctlymph.detectors.model_store import RegionCard
    from ctlymph.training.stage_cache import StageCache

_AT_MOST = 4
"""Processes, unless more are asked for: each may hold 2 GB."""

JobsOption = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Cases worked on at a time; default the cores, at most 4.")
]
WithOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--with",
        metavar="COLLECTION",
        readable=False,
        help="Learned from in every round, too, and never tested on; may be repeated.",
    ),
]
CacheOption = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", readable=False, help="Where intermediate results are kept, to go on from."),
]


def figure_of(card: RegionCard, false_per_volume: float) -> str:
    """Give a model's sensitivity in cross-validation with its interval; nothing where it was not measured."""
    for one in card.metrics["sensitivity"] if card.metrics else ():
        if one["false_per_volume"] == false_per_volume and one["value"] is not None:
            return f"{one['value']:.2f} ({one['low']:.2f}–{one['high']:.2f})"
    return ""


def works_for_another() -> bool:
    """Tell whether torchrun started this process beside a first one, which writes and shows the results."""
    return os.environ.get("RANK", "0") != "0"


@contextmanager
def stage_cache(folder: Path, seed: int, jobs: int | None) -> Iterator[StageCache]:
    """Open a place where methods learn.

    Raises:
        CtlymphError: If the folder is a file.
    """
    from ctlymph.training.stage_cache import StageCache

    if folder.exists() and not folder.is_dir():
        raise CtlymphError(f"{folder} is a file; give the name of a folder for what is kept")
    count = jobs or min(_AT_MOST, usable_cores())
    if count == 1:
        yield StageCache(folder, seed, progress=progress())
    else:
        with workers(count) as do:
            yield StageCache(folder, seed, do, progress())
