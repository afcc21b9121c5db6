"""``ctlymph benchmark``: every method under one protocol, on one page."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctlymph.cli.collection_folds import chosen_folds
from ctlymph.cli.console import RESEARCH_USE, progress, say, show_json, show_table
from ctlymph.cli.options import DeviceOption, RegionOption
from ctlymph.cli.training_options import CacheOption, JobsOption, WithOption, stage_cache
from ctlymph.core.errors import CtlymphError, UsageError
from ctlymph.io.atomic import check_new_folder, new_folder

if TYPE_CHECKING:
    from ctlymph.detectors.method import Method
    from ctlymph.training.external_predictions import ExternalPredictions
    from ctlymph.workflows.benchmarking import BenchmarkReport

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
        int | None, typer.Option(min=1, metavar="N", help="Networks: number of batches; default each method's own.")
    ] = None,
    predictions: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FOLDER", help="Made by another program on the same folds; may be repeated."),
    ] = None,
    device: DeviceOption = "auto",
    inject: Annotated[
        bool,
        typer.Option("--inject", help="Also evaluate classifiers alone: candidates are added on missed nodes."),
    ] = False,
    extra_train: WithOption = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(metavar="COLLECTION", help="Also test on it, after training on all cases; may be repeated."),
    ] = None,
    ct: Annotated[
        list[Path] | None,
        typer.Option("--ct", metavar="CT", help="Without annotations, for pictures; may be repeated."),
    ] = None,
    bootstraps: Annotated[int, typer.Option(min=10, help="Resamplings of the patients, for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of folds, training and intervals.")] = 0,
    jobs: JobsOption = None,
    cache: CacheOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print benchmark.json instead of the tables.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that are there.")] = False,
) -> None:
    """Compare methods by cross-validation over patients: one protocol, one page.

    OUT/index.html shows sensitivities with intervals, curves, differences, costs, and pictures of hits, misses and
    false positives; a folder for each region has the page of evaluate. Intermediate results are kept in OUT/cache
    (--cache; about 100 MB a case): after an interruption the same command goes on from there, and adding a method
    takes a fraction of the time.

    --predictions compares another program: FOLDER has a folder for each fold (fold_0, fold_1, …) or the predictions of
    all folds, in any format that evaluate reads. Give it the folds of --folds FILE.

    [bold]Examples[/bold]

      ctlymph phantom -o PHANTOMS --set small && ctlymph benchmark PHANTOMS -o OUT

      ctlymph benchmark DATA -o OUT --folds seff2014 --methods nih-candidates,nih-seff2014 --inject

      ctlymph benchmark DATA -o OUT --folds folds.json --methods lymphnet --predictions nnunet=NNUNET_FOLDER
    """
    from ctlymph.core.regions import REGIONS
    from ctlymph.datasets.case import Collection
    from ctlymph.evaluation.bootstrap import Resampling
    from ctlymph.outputs.benchmark_files import write_benchmark
    from ctlymph.training.splits import training_cases
    from ctlymph.workflows.benchmarking import BenchmarkPlan, run

    _check(output, overwrite)
    collection, wanted = Collection(folder), (region,) if region else REGIONS
    collection.cases(region)
    cases = training_cases(collection, wanted).distinct
    plan = BenchmarkPlan(
        collection=collection,
        methods=_methods(methods, steps),
        predictions=_predictions(predictions),
        regions=wanted,
        folds=chosen_folds(folds, cases, seed),
        inject=inject,
        resampling=Resampling(bootstraps, seed),
        test_collections=tuple(map(Collection, also or ())),
        cts=tuple(ct or ()),
        extra_train=tuple(map(Collection, extra_train or ())),
    )
    with stage_cache(cache or output / "cache", seed, jobs, device) as work:
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


def _predictions(given: Sequence[str] | None) -> tuple[ExternalPredictions, ...]:
    from ctlymph.training.external_predictions import ExternalPredictions

    found = []
    for text in given or ():
        name, _, folder = text.partition("=")
        if not name or not folder:
            raise typer.BadParameter(f"{text!r}: write it as NAME=FOLDER", param_hint="--predictions")
        found.append(ExternalPredictions(name, Path(folder)))
    return tuple(found)


def _show(report: BenchmarkReport, output: Path, command: str, as_json: bool) -> None:
    from ctlymph.evaluation.summary import HEADER, protocol_line, table
    from ctlymph.outputs.benchmark_summary import benchmark_document

    if as_json:
        show_json(benchmark_document(report, command))
    else:
        for each in (*report.cross_validated, *report.tested):
            title = f"{each.region}, {each.title}: {protocol_line(each.evaluation)}"
            show_table(title, HEADER, table(each.evaluation))
            for note in each.notes:
                say(f"note: {note}")
    if report.plan.collection.synthetic:
        say("All cases for training are synthetic: the metrics compare methods and say little about real CTs.")
    say(f"{output / PAGE}. {RESEARCH_USE}")
