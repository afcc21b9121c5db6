"""``ctlymph follow``: nodes over time, and the response by RECIST 1.1."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctlymph.cli.console import RESEARCH_USE, progress, say, show_json, show_table
from ctlymph.cli.options import (
    DeviceOption,
    ModelOption,
    OutputOption,
    OverwriteOption,
    RegionChoice,
    ThresholdOption,
)
from ctlymph.io.atomic import check_new_folder, new_folder

if TYPE_CHECKING:
    from ctlymph.followup.course import FollowUp


def follow(
    baseline: Annotated[
        Path, typer.Argument(metavar="BASELINE", readable=False, help="CT, results of detect or measure, or DICOM-SEG.")
    ],
    followups: Annotated[
        list[Path], typer.Argument(metavar="FOLLOWUP...", readable=False, help="Likewise, in the order of time.")
    ],
    output: OutputOption,
    nodes: Annotated[
        list[Path] | None,
        typer.Option(metavar="MASK", readable=False, help="Annotated nodes of the CTs: one for each, in their order."),
    ] = None,
    targets: Annotated[
        Path | None,
        typer.Option(metavar="CSV", readable=False, help="Roles of the baseline's nodes: targets.csv, edited by you."),
    ] = None,
    region: Annotated[RegionChoice, typer.Option(help="Where to detect nodes in CTs.")] = "auto",
    model: ModelOption = "lymphnet",
    threshold: ThresholdOption = None,
    device: DeviceOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print response.json instead of the table.")] = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Follow a patient's nodes from scan to scan, and assess the response by RECIST 1.1. For research use only.

    The scans are registered and their nodes matched; nodes that merged or split are found. OUT/response.html shows
    the course; response.csv and response.json hold the measurements. To choose the targets yourself, edit
    OUT/targets.csv and give it with --targets.

    [bold]Examples[/bold]

      ctlymph follow CT_JANUARY CT_APRIL CT_JULY -o OUT

      ctlymph follow jan.nii.gz apr.nii.gz --nodes jan_nodes.nii.gz --nodes apr_nodes.nii.gz -o OUT

      ctlymph follow RESULTS_JANUARY april/seg.dcm -o OUT --targets OUT/targets.csv --overwrite
    """
    from ctlymph.followup.roles import read_roles
    from ctlymph.outputs.response_files import write_response
    from ctlymph.outputs.response_sr import write_reports
    from ctlymph.workflows.detection import DetectOptions
    from ctlymph.workflows.following import check_scans, read_scan
    from ctlymph.workflows.following import follow as follow_scans

    paths = [baseline, *followups]
    check_new_folder(output, overwrite=overwrite)
    if nodes and len(nodes) != len(paths):
        raise typer.BadParameter(f"{len(nodes)} for {len(paths)} CTs; give one for each", param_hint="--nodes")
    options = DetectOptions(region, model, threshold, progress(), device)
    masks: list[Path | None] = [*nodes] if nodes else [None] * len(paths)
    scans = [read_scan(path, options, mask) for path, mask in zip(paths, masks, strict=True)]
    check_scans(scans)
    roles = read_roles(targets, scans[0].nodes) if targets else None
    followed = follow_scans(scans, roles=roles, progress=progress())
    for note in followed.notes:
        say(f"note: {note}")
    with new_folder(output, overwrite=overwrite) as staging:
        write_response(staging, followed)
        write_reports(staging, followed)
    _show(followed, output, as_json)


def _show(followed: FollowUp, output: Path, as_json: bool) -> None:
    import json

    if as_json:
        show_json(json.loads((output / "response.json").read_text(encoding="utf-8")))
    else:
        rows = []
        for visit, each in zip(followed.course.visits, followed.response.assessments, strict=True):
            day = visit.day.isoformat() if visit.day else ""
            sums = f"{each.sum_mm:.1f}", f"{each.hypothetical_mm:.1f}"
            rows.append(
                (str(visit.number), visit.name, day, *sums, each.category or "baseline", "; ".join(each.reasons))
            )
        header = ("visit", "scan", "day", "sum mm", "by volume mm", "RECIST 1.1", "why")
        show_table(f"{followed.patient}: response by RECIST 1.1", header, rows)
    say(f"{followed.trained_on} {RESEARCH_USE}".strip())
    say(f"Report: {output / 'response.html'}")
