"""Options of the commands that train methods: where results are kept, how many processes, which device."""

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
    from ctlymph.nn.run_context import Device
    from ctlymph.training.stage_cache import StageCache

_MAX_JOBS = 4
"""Processes, unless more are asked for: each may hold 2 GB."""

JobsOption = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Cases at a time; default the cores, at most 4.")
]
WithOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--with",
        metavar="COLLECTION",
        readable=False,
        help="More cases for training in every round, never for testing; may be repeated.",
    ),
]
CacheOption = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", readable=False, help="Where intermediate results are kept, to go on from there."),
]


def sensitivity_text(card: RegionCard, false_per_volume: float) -> str:
    """Return a model's sensitivity in cross-validation with its interval; empty where it was not measured."""
    for one in card.metrics["sensitivity"] if card.metrics else ():
        if one["false_per_volume"] == false_per_volume and one["value"] is not None:
            return f"{one['value']:.2f} ({one['low']:.2f}–{one['high']:.2f})"
    return ""


def is_helper_process() -> bool:
    """Return whether torchrun started this process along with a first one, which writes and shows the results."""
    return os.environ.get("RANK", "0") != "0"


@contextmanager
def stage_cache(folder: Path, seed: int, jobs: int | None, device: Device) -> Iterator[StageCache]:
    """Open the cache in which methods are trained.

    Raises:
        CtlymphError: If the folder is a file.
    """
    from ctlymph.nn.run_context import RunContext
    from ctlymph.training.stage_cache import StageCache

    if folder.exists() and not folder.is_dir():
        raise CtlymphError(f"{folder} is a file; give a folder for intermediate results")
    count = jobs or min(_MAX_JOBS, usable_cores())
    run = RunContext(device)
    if count == 1:
        yield StageCache(folder, seed, progress=progress(), run=run)
    else:
        with workers(count) as execute:
            yield StageCache(folder, seed, execute, progress(), run)
