"""``ctlymph evaluate``: detectors evaluated under one protocol."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ctlymph.cli.console import RESEARCH_USE, progress, say, show_json, show_table
from ctlymph.cli.options import JsonOption, OutputOption, OverwriteOption, RegionOption

if TYPE_CHECKING:
    from ctlymph.evaluation.protocol import Evaluation


HitOption = Annotated[
    Literal["15mm", "radius", "iou0.1", "ids"],
    typer.Option(help="A detection reaches a node within 15 mm, half its long axis, by boxes, or by its name."),
]
LabelsOption = Annotated[
    Literal["auto", "instances", "classes"],
    typer.Option(help="Labels of detected masks: one a node, or classes, whose connected components are nodes."),
]
TruthLabelsOption = Annotated[
    Literal["auto", "instances", "classes"], typer.Option(help="Labels of true masks, likewise.")
]


def evaluate(
    detections: Annotated[
        list[Path], typer.Argument(metavar="DETECTIONS", help="Detections of one detector or several: see above.")
    ],
    output: OutputOption,
    truth: Annotated[
        Path | None, typer.Option("--truth", metavar="TRUTH", help="The true nodes (required): see above.")
    ] = None,
    hit: HitOption = "15mm",
    duplicates: Annotated[
        Literal["ignored", "fp"], typer.Option(help="What further detections on a node are.")
    ] = "ignored",
    all_nodes: Annotated[bool, typer.Option("--all-nodes", help="Count nodes below 10 mm short axis, too.")] = False,
    labels: LabelsOption = "auto",
    truth_labels: TruthLabelsOption = "auto",
    structure: Annotated[
        str, typer.Option(metavar="NAME", help="The class to read from nnU-Net's or TotalSegmentator's masks.")
    ] = "",
    cases_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="All annotated cases, one name a line.")
    ] = None,
    split: Annotated[
        Literal["train", "test"] | None, typer.Option(help="Only the test cases of TRUTH's cases.csv, or all others.")
    ] = None,
    region: RegionOption = None,
    ct: Annotated[
        Path | None,
        typer.Option("--ct", metavar="FOLDER", help="The CTs, for pictures and for names by SeriesInstanceUID."),
    ] = None,
    at: Annotated[
        float | None,
        typer.Option("--at", metavar="FP", help="Print the threshold for so many false positives a CT."),
    ] = None,
    bootstraps: Annotated[int, typer.Option(min=10, help="Resamplings of the patients, for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same intervals.")] = 0,
    as_json: JsonOption = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Evaluate detectors: sensitivity against false positives per CT, with intervals over patients.

    A hit is a node with a detection within reach that serves no other node. A false positive is a detection within
    reach of no node. Nodes with a short axis below 10 mm, or of unknown size, are neither hit nor missed, and
    detections on them are no false positives, unless --all-nodes counts them. Intervals: 95 %, from resampling
    patients.

    DETECTIONS: nodes.csv or a folder of detect; masks: nnU-Net's output folder, TotalSegmentator's, instance masks;
    LUNA16 csv; boxes of nnDetection or MONAI; Slicer markups, .mps; a DICOM-SEG or its report; a folder of the
    collection's candidates. TRUTH: a dataset (the collection, or any folder with a cases.csv), a nodes.csv, LUNA16's
    annotations.csv, instance masks, a DICOM-SEG, or a folder with CT and DICOM-SEG.

    [bold]Examples[/bold]

      ctlymph evaluate OUT/nodes.csv --truth DATA -o EVALUATION

      ctlymph evaluate NNUNET_OUTPUT --truth DATA -o EVALUATION --hit iou0.1

      ctlymph evaluate ours.csv theirs.csv --truth truth.csv -o EVALUATION --hit radius --duplicates fp --ct DATA
    """
    if truth is None:
        raise typer.BadParameter(
            "give the true nodes by this option: ctlymph evaluate DETECTIONS... --truth TRUTH -o OUT",
            param_hint="--truth",
        )
    from ctlymph.evaluation.bootstrap import Resampling
    from ctlymph.evaluation.matching import MatchingRules
    from ctlymph.evaluation.protocol import Protocol, evaluate_detections, evaluate_region
    from ctlymph.evaluation.readers.case_names import series_in
    from ctlymph.evaluation.readers.cts import find_scans, scans_in
    from ctlymph.evaluation.readers.detection_files import read_detections
    from ctlymph.evaluation.readers.ground_truth_files import masks_read_from, read_cases, read_ground_truth
    from ctlymph.evaluation.summary import document
    from ctlymph.io.atomic import check_new_folder, new_folder
    from ctlymph.outputs.evaluation_files import write_evaluation

    check_new_folder(output, overwrite=overwrite)
    boxes, bars = hit == "iou0.1", progress()
    cases = read_cases(cases_file) if cases_file else ()
    nodes = read_ground_truth(truth, cases, boxes=boxes, labels=truth_labels, split=split, progress=bars)
    nodes = nodes.with_series(series_in(ct)) if ct else nodes
    protocol = Protocol(MatchingRules(hit, duplicates, all_nodes), Resampling(bootstraps, seed))
    detectors = [
        read_detections(path, boxes=boxes, labels=labels, structure=structure, progress=bars) for path in detections
    ]
    found = (
        evaluate_region(detectors, nodes, region, protocol)
        if region
        else evaluate_detections(detectors, nodes, protocol)
    )
    scans = find_scans(ct, nodes.cases) if ct else scans_in(truth, nodes.cases, masks_read_from(truth))
    with new_folder(output, overwrite=overwrite) as staging:
        write_evaluation(staging, found, scans, bars)
    if as_json:
        show_json(document(found))
    else:
        _show(found, at)
        say(f"{output / 'evaluation.html'}. {RESEARCH_USE}")


def _show(found: Evaluation, at: float | None) -> None:
    from ctlymph.evaluation.summary import HEADER, difference_table, protocol_line, table

    show_table(protocol_line(found), HEADER, table(found))
    if found.differences:
        first = found.results[0].detector
        show_table(f"less {first}", ("detector", "metric", "difference", "p"), difference_table(found))
    for note in dict.fromkeys(note for result in found.results for note in result.notes):
        say(note)
    for result in found.results:
        if at is not None:
            point = result.curve.operating_point(at)
            say(
                f"{result.detector}, {result.mode}: threshold {point.threshold:.4g} gives sensitivity "
                f"{point.sensitivity:.3f} at {point.false_per_volume:.3g} false positives per CT"
            )
