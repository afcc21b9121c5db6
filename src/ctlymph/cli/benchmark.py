"""``ctlymph benchmark``: every method under one protocol, on one page."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctlymph.cli.collection_folds import chosen_folds
from ctlymph.cli.console import RESEARCH_USE, progress, say, show_json, show_table
from ctlymph.cli.options import RegionOption
from ctlymph.cli.training_options import CacheOption, JobsOption, WithOption, stage_cache
from ctlymph.core.errors import CtlymphError, UsageError
from ctlymph.io.atomic import check_new_folder, new_folder

if TYPE_CHECKING:
    from ctlymph.detectors.method import Method
    from ctlymph.workflows.benchmarking import Report

PAGE = "index.html"


def benchmark(
    folder: Annotated[
        Path, typer.Argument(metavar="COLLECTION", readable=False, help="Folder of cases with CTs and annotations.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT", readable=False, help="Folder for the results.")
    ],
    methods: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Separated by commas; default the classical ones.")
    ] = None,
    folds: Annotated[
        str, typer.Option(metavar="K|NAME|FILE", help="Their number; roth2014, seff2014, iuga2021; or a file.")
    ] = "4",
    region: RegionOption = None,
    steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Of all networks: batches; default each method's own.")
    ] = None,
    inject: Annotated[
        bool,
        typer.Option("--inject", help="Also judge classifiers alone: candidates are put onto nodes that were missed."),
    ] = False,
    extra_train: WithOption = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(metavar="COLLECTION", help="One that nobody learns from, judged too; may be repeated."),
    ] = None,
    ct: Annotated[
        list[Path] | None, typer.Option("--ct", metavar="CT", help="Without known nodes, to look at; may be repeated.")
    ] = None,
    bootstraps: Annotated[int, typer.Option(min=10, help="Resamplings of the patients, for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of folds, learning and intervals.")] = 0,
    jobs: JobsOption = None,
    cache: CacheOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print benchmark.json instead of the tables.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that are there.")] = False,
) -> None:
    """Compare methods by cross-validation over patients: one protocol, one page.

    OUT/index.html shows sensitivities with intervals, curves, differences, cost, and pictures of what was found,
    missed and wrongly marked; a folder for each region holds the page of evaluate. What is done is kept in OUT/cache
    (--cache; about 100 MB a case): the same command goes on where it was interrupted, and further methods are added
    in a fraction of the time.

    [bold]Examples[/bold]

      ctlymph phantom -o PHANTOMS --set small && ctlymph benchmark PHANTOMS -o OUT

      ctlymph benchmark DATA -o OUT --folds seff2014 --methods nih-candidates,nih-seff2014 --inject
    """
    from ctlymph.core.regions import REGIONS
    from ctlymph.datasets.case import Collection
    from ctlymph.evaluation.bootstrap import Resampling
    from ctlymph.outputs.benchmark_files import write_benchmark
    from ctlymph.training.splits import usable
    from ctlymph.workflows.benchmarking import Plan, run

    _check(output, overwrite)
    collection, wanted = Collection(folder), (region,) if region else REGIONS
    collection.cases(region)
    cases = usable(collection, wanted).distinct
    plan = Plan(
        collection=collection,
        methods=_methods(methods, steps),
        regions=wanted,
        folds=chosen_folds(folds, cases, seed),
        inject=inject,
        resampling=Resampling(bootstraps, seed),
        others=tuple(map(Collection, also or ())),
        cts=tuple(ct or ()),
        extra_train=tuple(map(Collection, extra_train or ())),
    )
    with stage_cache(cache or output / "cache", seed, jobs) as work:
        report = run(plan, work)
    command = shlex.join(["ctlymph", *sys.argv[1:]])
    with new_folder(output, overwrite=True) as staging:
        write_benchmark(staging, report, command, progress())
    _show(report, output, command, as_json)


def _check(output: Path, overwrite: bool) -> None:
    if (output / PAGE).exists() and not overwrite:
        raise CtlymphError(f"{output} holds a benchmark already; choose another folder, or add --overwrite")
    check_new_folder(output, overwrite=True)


def _methods(text: str | None, steps: int | None) -> tuple[Method, ...]:
    from ctlymph.detectors.registry import method
    from ctlymph.workflows.benchmarking import STANDARD

    names = list(STANDARD) if text is None else [name.strip() for name in text.split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        raise UsageError(f"--methods {text!r}: name methods, each once, separated by commas")
    chosen = tuple(map(method, names))
    if steps is None:
        return chosen
    if not any(each.network for each in chosen):
        raise UsageError(f"--steps {steps} is for networks, and none is compared; name some with --methods")
    return tuple(each.in_steps(steps) for each in chosen)


def _show(report: Report, output: Path, command: str, as_json: bool) -> None:
    from ctlymph.evaluation.summary import HEADER, protocol_line, table
    from ctlymph.outputs.benchmark_summary import benchmark_document

    if as_json:
        show_json(benchmark_document(report, command))
    else:
        for each in (*report.crossed, *report.others):
            title = f"{each.region}, {each.title}: {protocol_line(each.evaluation)}"
            show_table(title, HEADER, table(each.evaluation))
            for note in each.notes:
                say(f"note: {note}")
    if report.plan.collection.synthetic:
        say("All cases that were learned from are synthetic: the figures compare methods, and say little of real CTs.")
    say(f"{output / PAGE}. {RESEARCH_USE}")
