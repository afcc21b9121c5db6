"""``ctlymph evaluate``: detectors judged by one protocol."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctlymph.cli.console import RESEARCH_USE, progress, say, show_json, show_table
from ctlymph.core.errors import CtlymphError

if TYPE_CHECKING:
    from ctlymph.evaluation.detections import GroundTruth
    from ctlymph.evaluation.protocol import Evaluation


class HitRule(StrEnum):
    """When a mark reaches a node."""

    near = "15mm"
    radius = "radius"
    overlap = "iou0.1"
    ids = "ids"


class DuplicateRule(StrEnum):
    """What a further mark on a node is."""

    ignored = "ignored"
    fp = "fp"


def evaluate(
    files: Annotated[
        list[Path], typer.Argument(metavar="MARKS... TRUTH", help="Marks of one detector or several, then the truth.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT", readable=False, help="Folder for the results.")
    ],
    hit: Annotated[
        HitRule,
        typer.Option(help="A mark reaches a node within 15 mm, half its long axis, by boxes, or as it names it."),
    ] = (HitRule.near),
    duplicates: Annotated[
        DuplicateRule, typer.Option(help="What further marks on a node are.")
    ] = DuplicateRule.ignored,
    all_nodes: Annotated[bool, typer.Option("--all-nodes", help="Count nodes below 10 mm short axis, too.")] = False,
    cases_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The cases that were looked at, one name a line.")
    ] = None,
    region: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only cases with this region annotated: mediastinum or abdomen.")
    ] = None,
    ct: Annotated[
        Path | None, typer.Option("--ct", metavar="FOLDER", help="The CTs, for pictures of what was missed.")
    ] = None,
    at: Annotated[
        float | None,
        typer.Option("--at", metavar="FP", help="Tell the threshold for so many false positives a CT."),
    ] = None,
    bootstraps: Annotated[int, typer.Option(min=10, help="Resamplings of the patients, for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same intervals.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print evaluation.json instead of the tables.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that are there.")] = False,
) -> None:
    """Judge detectors: sensitivity against false positives per CT, with honest intervals.

    A hit is a node with a mark in reach that serves no other node. A false positive is a mark in reach of no node.
    Nodes with a short axis below 10 mm, or of unknown size, are neither hit nor missed, and marks on them are no false
    positives, unless --all-nodes counts them. Intervals: 95 %, from resampling patients.

    MARKS: nodes.csv or a folder of detect, LUNA16 csv, Slicer markups, .mps, a folder of the collection's candidates,
    MONAI boxes, a DICOM-SEG or its report. TRUTH: a folder of the collection, a nodes.csv, instance masks, a DICOM-SEG,
    or a folder with CT and DICOM-SEG.

    [bold]Examples[/bold]

      ctlymph evaluate OUT/nodes.csv DATA -o JUDGED

      ctlymph evaluate ours.csv theirs.csv truth.csv -o JUDGED --hit radius --duplicates fp --ct DATA
    """
    from ctlymph.core.extras import check_installed
    from ctlymph.evaluation.bootstrap import Resampling
    from ctlymph.evaluation.matching import MatchingRules
    from ctlymph.evaluation.protocol import Protocol, evaluate_detections, evaluate_region
    from ctlymph.evaluation.readers.cts import find_scans, scans_in
    from ctlymph.evaluation.readers.detection_files import read_detections
    from ctlymph.evaluation.summary import document
    from ctlymph.io.atomic import check_new_folder, new_folder
    from ctlymph.outputs.evaluation_files import write_evaluation

    if len(files) < 2:
        raise CtlymphError("give the marks, and last the truth: ctlymph evaluate MARKS TRUTH -o OUT")
    check_new_folder(output, overwrite=overwrite)
    check_installed("matplotlib", purpose="the plot of the curves")
    truth = _truth(files[-1], cases_file, boxes=hit is HitRule.overlap)
    rules = MatchingRules(hit.value, duplicates.value, all_nodes)
    protocol = Protocol(rules, Resampling(bootstraps, seed))
    detectors = [read_detections(path) for path in files[:-1]]
    found = (
        evaluate_region(detectors, truth, region, protocol)
        if region
        else evaluate_detections(detectors, truth, protocol)
    )
    scans = find_scans(ct, truth.cases) if ct else scans_in(files[-1], truth.cases)
    with new_folder(output, overwrite=overwrite) as staging:
        write_evaluation(staging, found, scans, progress())
    if as_json:
        show_json(document(found))
    else:
        _show(found, at)
        say(f"{output / 'evaluation.html'}. {RESEARCH_USE}")


def _truth(path: Path, cases_file: Path | None, *, boxes: bool) -> GroundTruth:
    from ctlymph.evaluation.readers.ground_truth_files import read_cases, read_ground_truth

    return read_ground_truth(path, read_cases(cases_file) if cases_file else (), boxes=boxes)


def _show(found: Evaluation, at: float | None) -> None:
    from ctlymph.evaluation.summary import HEADER, difference_table, protocol_line, table

    show_table(protocol_line(found), HEADER, table(found))
    if found.differences:
        first = found.results[0].detector
        show_table(f"less {first}", ("detector", "figure", "difference", "p"), difference_table(found))
    for result in found.results:
        for note in result.notes:
            say(note)
        if at is not None:
            point = result.curve.operating_point(at)
            say(
                f"{result.detector}, {result.mode}: threshold {point.threshold:.4g} gives sensitivity "
                f"{point.sensitivity:.3f} at {point.false_per_volume:.3g} false positives per CT"
            )
