"""``ctlymph train``: train a method on a collection."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from ctlymph.cli.console import RESEARCH_USE, say, show_json, show_table
from ctlymph.cli.options import DeviceOption, RegionOption
from ctlymph.cli.training_options import (
    CacheOption,
    JobsOption,
    WithOption,
    is_helper_process,
    sensitivity_text,
    stage_cache,
)
from ctlymph.io.atomic import check_new_folder, new_folder

if TYPE_CHECKING:
    from ctlymph.detectors.model_store import ModelCard


def train(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="liu2014, cherry2014, seff2014, seff2015, …")],
    collection: Annotated[
        Path, typer.Argument(metavar="COLLECTION", readable=False, help="Folder of cases with CTs and annotations.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="MODEL", readable=False, help="Folder for the model.")
    ],
    region: RegionOption = None,
    extra_train: WithOption = None,
    folds: Annotated[
        int, typer.Option(min=0, metavar="K", help="Of the cross-validation that gives metrics and threshold; 0: none.")
    ] = 4,
    steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Networks: number of batches; default the method's own.")
    ] = None,
    begin_with: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL|FILE",
            readable=False,
            help="Networks: train this model further, or start from these weights (.safetensors).",
        ),
    ] = None,
    device: DeviceOption = "auto",
    seed: Annotated[int, typer.Option(min=0, help="The same seed, data and versions give the same scores.")] = 0,
    jobs: JobsOption = None,
    cache: CacheOption = None,
    licence: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Licence and sources of the CTs, for the model's card.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the model's card.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that is there.")] = False,
) -> None:
    """Train a method on all cases of a collection, and measure it by cross-validation.

    The folder MODEL is for detect --model MODEL. Its model.json says what the model was trained on and how good it is;
    reading a model never runs code. Intermediate results are kept in MODEL.cache (--cache): after an interruption the
    same command goes on from there. Remove them when the model is complete.

    [bold]Examples[/bold]

      ctlymph train seff2014 DATA -o MODEL --jobs 2

      ctlymph train lymphnet INSERTED --with PHANTOMS -o MODEL --folds 5

      torchrun --nproc-per-node 8 -m ctlymph train lymphnet DATA -o MODEL    # on eight GPUs
    """
    from ctlymph.core.regions import REGIONS
    from ctlymph.datasets.case import Collection
    from ctlymph.detectors.registry import check_can_train
    from ctlymph.detectors.registry import method as find_method
    from ctlymph.workflows.training import Training
    from ctlymph.workflows.training import train as train_model

    chosen = find_method(method)
    check_can_train([chosen])
    given = Collection(collection)
    given.cases(region)
    check_new_folder(output, overwrite=overwrite)
    place = cache or output.with_name(f"{output.name}.cache")
    training = Training(
        chosen,
        given,
        (region,) if region else REGIONS,
        folds,
        extra_train=tuple(map(Collection, extra_train or ())),
        steps=steps,
        begin_with=begin_with,
        licence=licence,
    )
    if is_helper_process():
        with stage_cache(place, seed, jobs, device) as work, TemporaryDirectory() as unused:
            train_model(Path(unused), training, work)
        return
    with stage_cache(place, seed, jobs, device) as work, new_folder(output, overwrite=overwrite) as staging:
        card = train_model(staging, training, work)
    _show(card, output, place, as_json)


def _show(card: ModelCard, output: Path, place: Path, as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        show_json(asdict(card))
    else:
        rows = []
        for region, each in card.regions.items():
            cells = [sensitivity_text(each, rate) for rate in (1.0, 3.0, 10.0)]
            rows.append((region, str(len(each.cases)), str(each.nodes), *cells))
        header = ("region", "cases", "enlarged nodes", "sensitivity at 1 FP", "3 FP", "10 FP")
        show_table(f"{card.method}, by cross-validation", header, rows)
    say(f"{card.trained_on} {RESEARCH_USE}")
    say(f"Threshold {card.threshold:.3f}: {card.threshold_is}.")
    say(f"Model: {output}. Intermediate results are in {place}; you can remove them.")
