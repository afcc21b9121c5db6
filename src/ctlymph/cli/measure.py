"""``ctlymph measure``: sizes of annotated nodes."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from ctlymph.cli.console import RESEARCH_USE, progress, say, show_json, show_nodes
from ctlymph.cli.options import FormatsOption, JsonOption, OutputOption, OverwriteOption, SeriesOption, formats_of
from ctlymph.io.atomic import check_new_folder


def measure(
    ct: Annotated[
        Path,
        typer.Argument(metavar="CT", readable=False, help="DICOM folder, file, zip or DICOMDIR, or an image file."),
    ],
    mask: Annotated[
        Path,
        typer.Argument(
            metavar="MASK",
            readable=False,
            help="Labels on the CT's grid, one a node, as an image file, a DICOM-SEG, or its report; gaps allowed.",
        ),
    ],
    output: OutputOption,
    split: Annotated[
        bool, typer.Option("--split", help="Measure each separate piece of a label as a node of its own.")
    ] = False,
    series: SeriesOption = None,
    formats: FormatsOption = None,
    as_json: JsonOption = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Measure annotated nodes: short and long axis, volume, mean HU, and a report with pictures.

    The mask must lie on the CT's grid; its axes may run in another order.

    [bold]Examples[/bold]

      ctlymph measure CT_FOLDER nodes.nii.gz -o OUT

      ctlymph measure ct.nii.gz one_label_for_all.nrrd -o OUT --split
    """
    check_new_folder(output, overwrite=overwrite)
    names = formats_of(formats)
    from ctlymph.io import read
    from ctlymph.io.node_tables import row_of
    from ctlymph.outputs.result_files import write_results
    from ctlymph.workflows.measuring import measure as measure_nodes

    start = time.perf_counter()
    volume = read(ct, series=series, progress=progress())
    reading = time.perf_counter() - start
    result = measure_nodes(volume, mask, split=split)
    result = replace(result, seconds={"reading": reading, **result.seconds})
    left_out = write_results(output, result, names, overwrite=overwrite)
    for note in (*result.notes, *left_out.values()):
        say(f"note: {note}")
    if as_json:
        show_json({"case": result.case, "nodes": [asdict(row_of(result.case, node)) for node in result]})
    else:
        show_nodes(f"{len(result)} nodes of {result.case}", result)
    say(f"{RESEARCH_USE} Report: {output / 'report.html'}")
