"""``ctlymph models``: which methods there are, and what trained models were trained on and are worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctlymph.cli.console import RESEARCH_USE, say, show_json, show_table
from ctlymph.cli.training_options import sensitivity_text

if TYPE_CHECKING:
    from ctlymph.detectors.method import Method
    from ctlymph.detectors.model_store import ModelCard

_RATE = 3.0


def models(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FOLDER]...", readable=False, help="Of models, or folders that hold such."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print methods and cards as JSON.")] = False,
) -> None:
    """List the methods and installed models, or the models in folders: what each was trained on, and how good it is.

    [bold]Examples[/bold]

      ctlymph models

      ctlymph models MODELS --json
    """
    from ctlymph.detectors.model_store import INSTALLED, models_in, read_card
    from ctlymph.detectors.registry import all_methods, plugins

    given = folders or sorted(INSTALLED.glob("*"))
    found = [folder for each in given for folder in models_in(each) or [each]]  # of one without, reading tells why
    cards = {str(folder if folders else folder.relative_to(INSTALLED)): read_card(folder) for folder in found}
    if as_json:
        methods = [
            {
                "name": each.name,
                "summary": each.summary,
                "rule": not each.is_trainable,
                "package": plugins().sources.get(each.name, "ctlymph"),
            }
            for each in all_methods().values()
        ]
        show_json({"methods": methods, "models": {name: asdict(card) for name, card in cards.items()}})
        return
    if not folders:
        rows = [(each.name, _kind(each), _summary(each, plugins().sources)) for each in all_methods().values()]
        show_table("Methods", ("method", "kind", "how it works"), rows)
        for note in plugins().notes:
            say(f"note: {note}")
        say("ctlymph train writes a model into a folder; ctlymph models FOLDER describes it.")
    header = ("model", "method", "region", "cases", "enlarged nodes", "synthetic", "sensitivity at 3 FP a CT")
    title = "Models" if folders else "Models that come with ctlymph"
    show_table(title, header, [row for name, card in cards.items() for row in _rows(name, card)])
    for name, card in cards.items():
        say(f"{name}: {card.trained_on} Licence of the cases: {card.licence or 'not known'}.")
    say(RESEARCH_USE)


def _kind(method: Method) -> str:
    if not method.is_trainable:
        return "rule"
    return "network, to be trained" if method.network else "to be trained"


def _summary(method: Method, sources: Mapping[str, str]) -> str:
    return f"{method.summary} ({sources[method.name]})" if method.name in sources else method.summary


def _rows(name: str, card: ModelCard) -> list[tuple[str, ...]]:
    synthetic = "yes" if card.synthetic else "no"
    return [
        (
            name,
            card.method,
            region,
            str(len(each.cases)),
            str(each.nodes),
            synthetic,
            sensitivity_text(each, _RATE) or "not measured",
        )
        for region, each in card.regions.items()
    ]
