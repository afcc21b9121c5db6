"""``ctlymph detect``: one CT or many, from any file to nodes, masks, sizes and a report."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctlymph.cli.console import RESEARCH_USE, progress, reason, say, show_json, show_nodes
from ctlymph.cli.options import (
    AllowGapsOption,
    DeviceOption,
    FormatsOption,
    JsonOption,
    ModelOption,
    OutputOption,
    OverwriteOption,
    RegionChoice,
    SeriesOption,
    ThresholdOption,
    formats_of,
)
from ctlymph.cli.processes import in_processes
from ctlymph.core.errors import CtlymphError
from ctlymph.io.atomic import check_new_folder, new_file

if TYPE_CHECKING:
    from ctlymph.core.result import Result
    from ctlymph.nn.run_context import Device
    from ctlymph.workflows.detection import DetectOptions


@dataclass(frozen=True)
class _Job:
    """What is the same for every CT of a run; plain values, so that it can go to another process."""

    region: str
    model: str
    threshold: float | None
    device: Device
    series: str | None
    allow_gaps: bool
    formats: tuple[str, ...] | None
    overwrite: bool


def detect(
    cts: Annotated[
        list[Path],
        typer.Argument(metavar="CT...", readable=False, help="DICOM folder, file, zip or DICOMDIR, or an image file."),
    ],
    output: OutputOption,
    region: Annotated[RegionChoice, typer.Option(help="Where to detect; auto: all that CT shows.")] = "auto",
    model: ModelOption = "lymphnet",
    threshold: ThresholdOption = None,
    formats: FormatsOption = None,
    series: SeriesOption = None,
    allow_gaps: AllowGapsOption = False,
    device: DeviceOption = "auto",
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="CTs worked on at a time.")] = 1,
    as_json: JsonOption = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Find and measure the lymph nodes in CTs. For research use, not for diagnosis.

    One CT writes its results into OUT. Several write a folder each, and
    OUT/nodes.csv over all; those that OUT holds already are not done again.

    [bold]Examples[/bold]

      ctlymph detect CT_FOLDER -o OUT

      ctlymph detect a.nii.gz b.nii.gz study.zip -o OUT --region mediastinum --jobs 2
    """
    job = _Job(region, model, threshold, device, series, allow_gaps, formats_of(formats), overwrite)
    _options(job)  # refuses what cannot be used before anything is read
    if len(cts) == 1:
        check_new_folder(output, overwrite=overwrite)
        result = _one(cts[0], output, job)
        _show(result, output, as_json)
    else:
        _many(cts, output, job, jobs, as_json)


def _options(job: _Job) -> DetectOptions:
    from ctlymph.workflows.detection import DetectOptions

    return DetectOptions(job.region, job.model, job.threshold, progress(), job.device)


def _one(ct: Path, folder: Path, job: _Job) -> Result:
    """Read, detect, write; all of the folder or nothing."""
    import time

    from ctlymph.io import read
    from ctlymph.outputs.result_files import write_results
    from ctlymph.workflows.detection import find_nodes

    start = time.perf_counter()
    volume = read(ct, series=job.series, allow_gaps=job.allow_gaps, progress=progress())
    reading = time.perf_counter() - start
    for note in volume.notes:
        say(f"note: {note}")
    try:
        result = find_nodes(volume, _options(job))
    except CtlymphError as error:
        raise error.at(ct) from error
    result = replace(result, seconds={"reading": reading, **result.seconds})
    with progress().task("Writing", 1) as advance:
        left_out = write_results(folder, result, job.formats, overwrite=job.overwrite)
        advance(1)
    for why in left_out.values():
        say(f"note: {why}")
    return result


def _show(result: Result, output: Path, as_json: bool) -> None:
    from ctlymph.io.node_tables import row_of

    if as_json:
        show_json({"case": result.case, "nodes": [asdict(row_of(result.case, node)) for node in result.nodes]})
    else:
        regions = " and ".join(result.regions)
        show_nodes(f"{len(result.nodes)} nodes in the {regions} of {result.case}", result.nodes)
    say(f"{result.trained_on} {RESEARCH_USE}")
    shown = output / "report.html"
    say(f"Report: {shown}" if shown.exists() else f"Results: {output}")


def _many(cts: Sequence[Path], output: Path, job: _Job, jobs: int, as_json: bool) -> None:
    if job.formats is not None and "csv" not in job.formats:
        job = replace(job, formats=("csv", *job.formats))  # of these the table over all is made
    folders = [output / name for name in _folder_names(cts)]
    check_new_folder(output, overwrite=True)
    failures = _run_all(list(zip(cts, folders, strict=True)), job, jobs)
    for failure in failures:
        say(f"error: {failure}")
    if len(failures) == len(cts):
        raise CtlymphError(f"all {len(cts)} CTs failed; see above")
    _join_tables(folders, output, as_json)
    if failures:
        raise CtlymphError(f"{len(failures)} of {len(cts)} CTs failed, the others are in {output}; see above")


def _run_all(work: list[tuple[Path, Path]], job: _Job, jobs: int) -> list[str]:
    """Process every CT whose folder is not complete yet; return the errors of those that failed."""
    todo = []
    for ct, folder in work:
        if (folder / "nodes.csv").exists() and not job.overwrite:
            say(f"{ct}: done before, kept ({folder}); --overwrite does it again")
        else:
            todo.append((ct, folder))
    if jobs == 1 or len(todo) < 2:
        return [error for ct, folder in todo if (error := _attempt(ct, folder, job))]
    return [error for error in in_processes(jobs, _attempt, [(*each, job) for each in todo]) if error]


def _attempt(ct: Path, folder: Path, job: _Job) -> str | None:
    """Process one CT of many; return the error, if any, so that the others go on."""
    try:
        result = _one(ct, folder, job)
    except CtlymphError as error:
        return reason(error)
    except (OSError, MemoryError, UnicodeEncodeError) as error:
        return f"{ct}: {reason(error)}"
    say(f"{ct}: {len(result.nodes)} nodes ({folder})")
    return None


def _folder_names(cts: Sequence[Path]) -> list[str]:
    """Name each CT's folder after its file, numbered where two have the same name."""
    names: list[str] = []
    for ct in cts:
        stem = re.sub(r"(\.nii|\.tar)?(\.[A-Za-z]\w*)?$", "", ct.resolve().name) if ct.is_file() else ct.resolve().name
        name = stem or "ct"
        number = 2
        while name in names:
            name, number = f"{stem}_{number}", number + 1
        names.append(name)
    return names


def _join_tables(folders: Sequence[Path], output: Path, as_json: bool) -> None:
    from ctlymph.io.node_tables import read_nodes_csv, write_rows

    rows = [
        row for folder in folders if (folder / "nodes.csv").exists() for row in read_nodes_csv(folder / "nodes.csv")
    ]
    with new_file(output / "nodes.csv", overwrite=True) as path:
        write_rows(path, rows)
    if as_json:
        show_json([asdict(row) for row in rows])
    say(f"{len(rows)} nodes in all: {output / 'nodes.csv'}")
    say(RESEARCH_USE)
