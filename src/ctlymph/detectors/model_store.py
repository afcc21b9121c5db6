"""Trained models in folders: a card that says what it is, and what its stages have learned.

Parts hold arrays, written by numpy, or scikit-learn estimators as well, written by skops; reading them never runs code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.core.regions import REGIONS
from ctlymph.detectors.base import Stage, settings_of
from ctlymph.io.atomic import explained, new_file

CARD = "model.json"
INSTALLED = Path(__file__).parent / "trained"
"""Where the models lie that come with the package, each in a folder of its name."""
FORMAT = "ctlymph-model-1"
INTENDED_USE = "For research use, not for diagnosis. Candidates for enlarged lymph nodes in CT, for a reader to judge."

ARRAYS, ESTIMATORS = ".npz", ".skops"
"""Endings of parts: of arrays alone, and of all others. To read the latter scikit-learn is needed, whose import takes
seconds."""

TRUSTED = ("sklearn.tree._tree.Tree",)
"""Types that skops does not trust by itself: a tree is arrays of numbers."""

LARGEST_PART = 500_000_000
"""Bytes that a part may unfold to; the largest forest here has 10 MB."""


def dump_part(path: Path, part: Mapping[str, Any]) -> None:
    """Write what a stage has learned.

    Args:
        path: A file that ends as :func:`ending_of` says, or in ``.skops``; it appears whole or not at all, and
            replaces what is there.
        part: Estimators, arrays, numbers and strings by name; a mapping of such is a value, too.

    Raises:
        CtlymphError: If it cannot be written.
    """
    with new_file(path, overwrite=True) as staging, explained(path):
        if path.suffix == ARRAYS:
            np.savez(staging, **dict(_flat(part)))
        else:
            import skops.io

            skops.io.dump(dict(part), staging)


def ending_of(part: Mapping[str, Any]) -> str:
    """Give the ending of the file for what a stage has learned."""
    values = [value for _, value in _flat(part)]
    plain = all(isinstance(value, np.ndarray) and not value.dtype.hasobject for value in values)
    return ARRAYS if plain else ESTIMATORS


def _flat(part: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give the values of a mapping and of those in it, each with the way to it."""
    for name, value in part.items():
        if "/" in name:
            raise ValueError(f"{name!r}: names are joined by /, and cannot hold it")
        if isinstance(value, Mapping):
            yield from ((f"{name}/{below}", each) for below, each in _flat(value))
        else:
            yield name, value


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Undo :func:`_flat`."""
    part: dict[str, Any] = {}
    for way, value in flat.items():
        *above, name = way.split("/")
        there = part
        for each in above:
            there = there.setdefault(each, {})
        there[name] = value
    return part


def load_part(path: Path) -> dict[str, Any]:
    """Read what :func:`dump_part` wrote.

    Raises:
        CtlymphError: If it is absent, no such file, too large, or holds a type that could run code.
    """
    from zipfile import BadZipFile, ZipFile

    try:
        with ZipFile(path) as archive:
            size = sum(each.file_size for each in archive.infolist())
        if size > LARGEST_PART:
            raise CtlymphError(f"{path} unfolds to {size / 1e6:.0f} MB; train the model again")
        if path.suffix == ARRAYS:
            with np.load(path, allow_pickle=False) as file:
                return _nested({name: file[name] for name in file.files})
        import skops.io

        if unknown := sorted(set(skops.io.get_untrusted_types(file=path)) - set(TRUSTED)):
            raise CtlymphError(f"{path} holds {shown(unknown[0])}, which could run code; do not trust its source")
        part = skops.io.load(path, trusted=list(TRUSTED))
    except (OSError, BadZipFile, KeyError, ValueError, TypeError, AttributeError, ImportError) as error:
        raise CtlymphError(f"cannot read {path}: {shown(error)}; train the model again") from error
    if not isinstance(part, dict):
        raise CtlymphError(f"{path} holds no part of a model; train the model again")
    return part


def read_weights(path: Path) -> tuple[dict[str, Any], str]:
    """Read a network's weights from a ``.safetensors`` file, which holds arrays and nothing that could run.

    Returns:
        Arrays by name, and the file's SHA-256.

    Raises:
        CtlymphError: If it cannot be read.
    """
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise CtlymphError(f"{path}: safetensors is not installed: pip install 'ctlymph[train]'") from error
    try:
        return load_file(path), _sha256(path)
    except (OSError, SafetensorError, TypeError, KeyError) as error:
        raise CtlymphError(f"cannot read {path}: {shown(error)}; give weights as a .safetensors file") from error


@dataclass(frozen=True)
class Stored:
    """What one stage has learned, in its file.

    Attributes:
        stage: Name of the stage.
        settings: Its settings, as it writes them; they must be those of the stage that reads the file.
        file: Its place in the model's folder.
        sha256: Of the file.
    """

    stage: str
    settings: str
    file: str
    sha256: str


@dataclass(frozen=True)
class RegionCard:
    """What a model is in one region.

    Attributes:
        cases: Names of the cases that it has learned from.
        nodes: Their enlarged nodes.
        parts: What its stages have learned, in the order of their work.
        figures: How good it was in cross-validation on these cases; None where that was not measured.
        sigmoid: Slope and offset of the sigmoid that turns the log-odds of its scores into chances; None where they
            stay as they are.
    """

    cases: Sequence[str]
    nodes: int
    parts: Sequence[Stored]
    figures: Mapping[str, Any] | None
    sigmoid: tuple[float, float] | None = None


@dataclass(frozen=True)
class Card:
    """What a model is: ``model.json``.

    Attributes:
        method: Name in the table of methods.
        trained_on: One sentence, shown wherever the model's output is.
        synthetic: Whether its cases are synthetic.
        licence: Of the cases.
        seed: For whatever was drawn.
        threshold: Score from which on marks count as nodes.
        threshold_is: What that threshold gives.
        versions: Of the programs that trained it.
        regions: By name.
        intended_use: What it is for.
        format: Of the folder.
    """

    method: str
    trained_on: str
    synthetic: bool
    licence: str
    seed: int
    threshold: float
    threshold_is: str
    versions: Mapping[str, str]
    regions: Mapping[str, RegionCard]
    intended_use: str = INTENDED_USE
    format: str = FORMAT


@dataclass(frozen=True, eq=False)
class Model:
    """A model that has been read.

    Attributes:
        card: What it is.
        parts: By region, what each stage has learned.
    """

    card: Card
    parts: Mapping[str, Sequence[Mapping[str, Any]]] = field(repr=False)


def store(folder: Path, file: str, stage: Stage, part: Mapping[str, Any]) -> Stored:
    """Write what a stage has learned into a model's folder.

    Raises:
        CtlymphError: If it cannot be written.
    """
    dump_part(folder / file, part)
    return stored(folder, file, stage)


def stored(folder: Path, file: str, stage: Stage) -> Stored:
    """Tell what :func:`store` has written."""
    return Stored(stage.name, settings_of(stage), file, _sha256(folder / file))


def write_card(folder: Path, card: Card) -> None:
    """Write ``model.json``."""
    text = json.dumps(asdict(card), indent=2, ensure_ascii=False, allow_nan=False)
    (folder / CARD).write_text(text + "\n", encoding="utf-8")


def models_in(folder: Path) -> list[Path]:
    """Give the folders of the models that one stands for: itself, or those of single regions that lie in it."""
    return [folder] if (folder / CARD).exists() else sorted(path.parent for path in folder.glob(f"*/{CARD}"))


def read_model(folder: Path) -> Model:
    """Read a model's folder. Nothing in it can run code.

    Raises:
        CtlymphError: If it is none, is damaged, or holds what could run code.
    """
    card = read_card(folder)
    parts = {
        region: [_checked(folder, part) for part in each.parts]  # whole, before anything of it is used
        for region, each in card.regions.items()
    }
    return Model(card, parts)


def read_card(folder: Path) -> Card:
    """Read ``model.json``.

    Raises:
        CtlymphError: If it is absent, or no card.
    """
    path = folder / CARD
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        regions = {
            name: RegionCard(
                **{
                    **each,
                    "parts": tuple(Stored(**part) for part in each["parts"]),
                    "cases": tuple(each["cases"]),
                    "sigmoid": tuple(each["sigmoid"]) if each.get("sigmoid") else None,
                }
            )
            for name, each in given["regions"].items()
        }
        card = Card(**{**given, "regions": regions})
    except OSError as error:
        raise CtlymphError(f"{folder} holds no model: {shown(error)}; give a folder of ctlymph train") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CtlymphError(f"{path} is no card of a model ({shown(error)}); train the model again") from error
    if wrong := _wrong_in(card):
        raise CtlymphError(f"{path}: {wrong}; train the model again")
    return card


def _wrong_in(card: Card) -> str:
    """Say what keeps a card from being used, or nothing."""
    if card.format != FORMAT:
        return f"its format is {shown(card.format)}, expected {FORMAT}"
    if not isinstance(card.method, str) or not isinstance(card.trained_on, str):
        return "its method or what it was trained on is no text"
    if not isinstance(card.threshold, int | float) or not 0 <= card.threshold <= 1:
        return f"its threshold {shown(card.threshold)} is not from 0 to 1"
    if not card.regions or not set(card.regions) <= set(REGIONS):
        return f"its regions are {shown(sorted(card.regions))}, expected some of {', '.join(REGIONS)}"
    for each in card.regions.values():
        if each.sigmoid and (len(each.sigmoid) != 2 or not all(isinstance(n, int | float) for n in each.sigmoid)):
            return "its sigmoid is not two numbers"
        for part in each.parts:
            if not all(isinstance(text, str) for text in (part.stage, part.settings, part.file, part.sha256)):
                return "a part is not described by texts"
            if Path(part.file).name != part.file or not part.file.endswith((ARRAYS, ESTIMATORS)):
                return f"{shown(part.file)} is no name of a part"
    return ""


def _checked(folder: Path, part: Stored) -> dict[str, Any]:
    path = folder / part.file
    if path.exists() and _sha256(path) != part.sha256:
        raise CtlymphError(f"{path} is not the file that {CARD} speaks of; train or copy the model again")
    return load_part(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
