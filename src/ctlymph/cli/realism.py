"""``ctlymph realism``: how synthetic CTs compare with real ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctlymph.cli.console import progress, say, show_json, show_table
from ctlymph.cli.remedies import in_options
from ctlymph.core.errors import CtlymphError

if TYPE_CHECKING:
    from ctlymph.core.volume import Volume
    from ctlymph.phantom.scan.image_statistics import ImageStatistics


def realism(
    cts: Annotated[list[Path], typer.Argument(metavar="CT...", help="CTs, or folders of synthetic collections.")],
    against: Annotated[
        list[Path] | None, typer.Option("--against", metavar="CT", help="A real CT; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the measures of every CT as JSON.")] = False,
) -> None:
    """Measure tissues, noise and edges of CTs, to compare synthetic ones with real ones.

    CT numbers and their spread in fat, muscle, liver, aorta and lung, strength and grain of the noise, width of edges,
    and round spots per litre, which look like nodes. Without --against, each CT has a column of its own.

    [bold]Examples[/bold]

      ctlymph realism PHANTOMS --against real1.nii.gz --against real2.nii.gz

      ctlymph realism CT_FOLDER scan.nii.gz
    """
    from dataclasses import asdict

    from ctlymph.phantom.scan.image_statistics import MEASURES, compare

    statistics, real = _statistics(cts), _statistics(against or [])
    if as_json:
        groups = {"measured": statistics, "against": real}
        show_json({name: [_plain(asdict(each)) for each in group] for name, group in groups.items()})
    elif real:
        header = ("median (range)", f"{len(real)} real", f"{len(statistics)} measured", "within")
        show_table("Realism", header, compare(statistics, real))
    else:
        rows = [(words, *(f"{getattr(each, name):.3g}" for each in statistics)) for name, words in MEASURES.items()]
        show_table("Realism", ("", *(each.case for each in statistics)), rows)


def _statistics(paths: list[Path]) -> list[ImageStatistics]:
    from ctlymph.datasets.case import Collection
    from ctlymph.io import read
    from ctlymph.phantom.scan.image_statistics import measure_image

    sources: list[Callable[[], Volume]] = []
    for path in paths:
        if (path / "SYNTHETIC.txt").is_file():
            sources += [case.ct for case in Collection(path).cases() if "ct" in case.has]
        else:
            sources.append(partial(read, path))
    found = []
    with progress().task("Measuring CTs", len(sources)) as advance:
        for source in sources:
            try:
                found.append(measure_image(source()))
            except CtlymphError as error:
                say(f"left out: {in_options(error)}")
            advance(1)
    if sources and not found:
        raise CtlymphError("no CT could be measured; name CTs of chest or abdomen")
    return found


def _plain(measures: dict[str, object]) -> dict[str, object]:
    """Return the measures with None for NaN, which JSON does not have."""
    return {name: None if value != value else value for name, value in measures.items()}
