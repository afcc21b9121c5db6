"""``ctlymph measure``: sizes of nodes that someone else drew."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctlymph.cli.choices import FormatsOption, formats_of
from ctlymph.cli.console import RESEARCH_USE, progress, say, show_json, show_nodes
from ctlymph.errors import CtlymphError
from ctlymph.io.atomic import check_new_folder, new_folder

if TYPE_CHECKING:
    from ctlymph.io.results import Result
    from ctlymph.volume import Masks, Volume


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
            help="Labels on the CT's grid, one a node, as an image file, or as a DICOM-SEG; gaps allowed.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT", readable=False, help="Folder for the results.")
    ],
    split: Annotated[
        bool, typer.Option("--split", help="Measure each separate piece of a label as a node of its own.")
    ] = False,
    series: Annotated[
        str | None, typer.Option(metavar="UID", help="Which DICOM series, where there are several.")
    ] = None,
    formats: FormatsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the nodes as JSON.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results in OUT.")] = False,
) -> None:
    """Measure nodes that someone drew: short and long axis, volume, mean HU, and a report with pictures.

    The mask must lie on the CT's grid; its axes may run in another order.

    [bold]Examples[/bold]

      ctlymph measure CT_FOLDER nodes.nii.gz -o OUT

      ctlymph measure ct.nii.gz one_label_for_all.nrrd -o OUT --split
    """
    check_new_folder(output, overwrite=overwrite)
    result = _measured(ct, mask, series, split)
    from ctlymph.io.results import write_results
    from ctlymph.io.tables import row_of

    with new_folder(output, overwrite=overwrite) as staging:
        left_out = write_results(staging, result, formats_of(formats))
    for why in left_out.values():
        say(f"note: {why}")
    if as_json:
        show_json({"case": result.case, "nodes": [asdict(row_of(result.case, node)) for node in result.nodes]})
    else:
        show_nodes(f"{len(result.nodes)} nodes of {result.case}", result.nodes)
    say(f"{RESEARCH_USE} Report: {output / 'report.html'}")


def _measured(ct: Path, mask: Path, series: str | None, split: bool) -> Result:
    import time

    from ctlymph.io import read
    from ctlymph.io.results import Result
    from ctlymph.measurement.axes import measure_masks

    start = time.perf_counter()
    volume = read(ct, series=series, progress=progress())
    for note in volume.notes:
        say(f"note: {note}")
    try:
        first, *others = _layers(mask, volume, split)
    except CtlymphError as error:
        raise error if str(mask) in str(error) else CtlymphError(f"{mask}: {error}") from error
    read_by = time.perf_counter()
    nodes = [node for layer in (first, *others) for node in measure_masks(volume, layer)]
    nodes.sort(key=lambda node: node.node)
    if not nodes:
        say(f"note: {mask} holds no node; every voxel is 0")
    if others:
        say("note: nodes overlap; each is measured whole")
    seconds = {"reading": read_by - start, "measuring": time.perf_counter() - read_by}
    return Result(volume, first, nodes, notes=volume.notes, seconds=seconds, overlapping=tuple(others))


def _layers(mask: Path, volume: Volume, split: bool) -> tuple[Masks, ...]:
    """Read the nodes; more than one set of masks only where nodes overlap, as they may in a DICOM-SEG."""
    from ctlymph.io.dicom_seg import is_segmentation, read_segments
    from ctlymph.io.images import image_suffix, read_masks
    from ctlymph.measurement.masks import on_grid

    if image_suffix(mask) or not is_segmentation(mask):
        return (_one_label_a_node(on_grid(read_masks(mask), volume.geometry), split),)
    found = read_segments(mask, volume.geometry)
    found.refuse_other_than(volume)
    if len(found.layers) == 1:
        return (_one_label_a_node(found.layers[0], split),)
    if split:
        raise CtlymphError("its segments overlap, and a piece could be of several; leave --split out")
    return found.layers


def _one_label_a_node(masks: Masks, split: bool) -> Masks:
    from ctlymph.measurement import masks as drawn

    if split:
        return drawn.split(masks)
    counts = drawn.pieces(masks)
    if sum(counts) > len(counts):
        say(
            f"note: the mask has {len(counts)} {'label' if len(counts) == 1 else 'labels'} but {sum(counts)} separate"
            " pieces; each label is measured as one node. Add --split to measure each piece"
        )
    return masks
