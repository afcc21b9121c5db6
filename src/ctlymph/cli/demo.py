"""``ctlymph demo``: a synthetic patient, its lymph nodes detected, and a report, in one go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctlymph.cli.console import RESEARCH_USE, progress, say
from ctlymph.io.atomic import check_new_folder, new_folder

if TYPE_CHECKING:
    from ctlymph.core.result import Result
    from ctlymph.phantom.scan.patient import Phantom

_SPACING_MM = (1.0, 1.0, 2.0)


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT", readable=False, help="Folder for CT and results.")
    ] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed makes another patient.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier demo.")] = False,
) -> None:
    """Make a synthetic patient, detect and measure the lymph nodes, and write a report.

    OUT/ct holds the CT as DICOM, OUT/result what detect writes for it. No network, no data and no GPU are needed.

    [bold]Example[/bold]

      ctlymph demo -o DEMO
    """
    from ctlymph.io import read
    from ctlymph.io.dicom.ct_writer import write_ct_series
    from ctlymph.outputs.result_files import write_results
    from ctlymph.phantom.scan.patient import PhantomSpec, make_patient
    from ctlymph.workflows.detection import DetectOptions, find_nodes

    check_new_folder(output, overwrite=overwrite)
    phantom = make_patient(PhantomSpec(seed, spacing_mm=_SPACING_MM), progress())
    with new_folder(output, overwrite=overwrite) as staging:
        write_ct_series(phantom.volume, staging / "ct")
        result = find_nodes(read(staging / "ct", progress=progress()), DetectOptions(progress=progress()))
        write_results(staging / "result", result)
    say(_summary(result, phantom))
    say(f"The CT is synthetic. {result.trained_on} {RESEARCH_USE}")
    say(f"Open {output / 'result' / 'report.html'} in a browser. The CT itself is in {output / 'ct'}.")


def _summary(result: Result, phantom: Phantom) -> str:
    """Return how many of the patient's enlarged nodes are detected, and how many detections are on no node."""
    from ctlymph.evaluation import Detections, GroundTruth, Outcome, match

    detections = Detections.of_case("demo", [node.point_mm for node in result.nodes])
    truth = GroundTruth.of_case(
        "demo",
        [node.centre_mm for node in phantom.nodes],
        short_axis_mm=[node.extent.short_axis_mm for node in phantom.nodes],
    )
    matches = match(detections, truth)
    hits, counted = (matches.outcome == Outcome.HIT).sum(), (~matches.excluded).sum()
    return (
        f"{len(detections)} detections: {hits} of the patient's {counted} nodes with a short axis of "
        f"{matches.rules.min_short_axis_mm:g} mm or more are detected, and {matches.false.sum()} detections are on no "
        "node."
    )
