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
_ENLARGED_MM = 10.0
_HIT_MM = 15.0
"""As in Roth 2014: a detection within 15 mm of a node's centre is on it."""


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
    """Return how many of the patient's enlarged nodes were detected, and how many detections are none of its nodes."""
    import numpy as np

    detected = np.array([node.point_mm for node in result.nodes]).reshape(-1, 3)
    known = np.array([node.centre_mm for node in phantom.nodes]).reshape(-1, 3)
    enlarged = np.array([node.extent.short_axis_mm >= _ENLARGED_MM for node in phantom.nodes], dtype=bool)
    distance_mm = np.linalg.norm(known[:, None] - detected[None], axis=2)
    hits = int((distance_mm <= _HIT_MM).any(axis=1)[enlarged].sum())
    false = int((distance_mm > _HIT_MM).all(axis=0).sum())
    return (
        f"{len(result.nodes)} detections: {hits} of the patient's {enlarged.sum()} nodes with a short axis of 10 mm or "
        f"more are detected, and {false} detections are on no node."
    )
