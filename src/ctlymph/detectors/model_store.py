"""Trained models in folders: a card that describes the model, and a file of what each stage has learned.

These parts hold arrays, written by numpy, or scikit-learn estimators too, written by skops; reading never runs code.
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
from ctlymph.detectors.base import Stage
from ctlymph.detectors.model_migration import FORMAT_1, migrated
from ctlymph.detectors.settings import StageSettings, difference, settings_of
from ctlymph.io.atomic import explained, new_file

CARD = "model.json"
INSTALLED = Path(__file__).parent / "trained"
"""Folder of the models that come with the package."""
FORMAT = "ctlymph-model-2"
INTENDED_USE = "For research use, not for diagnosis. Candidates for enlarged lymph nodes in CT, for a reader to judge."

ARRAYS, ESTIMATORS = ".npz", ".skops"
"""Endings of parts: of arrays only, and of all others. Reading the latter needs scikit-learn, whose import takes
seconds."""

TRUSTED = ("sklearn.tree._tree.Tree",)
"""Types that skops does not trust by default: a tree is arrays of numbers."""

LARGEST_PART = 500_000_000
"""Most bytes that a part may unpack to; the largest forest here has 10 MB."""


def dump_part(path: Path, part: Mapping[str, Any]) -> None:
    """Write what a stage has learned.

    Args:
        path: A file with the ending by :func:`ending_of`, or ``.skops``; it appears whole or not at all, and
            replaces one that is there.
        part: Estimators, arrays, numbers and strings by name; also mappings of these.

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
    """Return the ending of the file for what a stage has learned."""
    values = [value for _, value in _flat(part)]
    plain = all(isinstance(value, np.ndarray) and not value.dtype.hasobject for value in values)
    return ARRAYS if plain else ESTIMATORS


def _flat(part: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the values of a mapping and of the mappings in it, each with its path."""
    for name, value in part.items():
        if "/" in name:
            raise ValueError(f"{name!r}: names are joined by /, and cannot contain it")
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
        CtlymphError: If it is absent, damaged, too large, or holds a type that could run code.
    """
    from zipfile import BadZipFile, ZipFile

    try:
        with ZipFile(path) as archive:
            size = sum(each.file_size for each in archive.infolist())
        if size > LARGEST_PART:
            raise CtlymphError(f"{path} unpacks to {size / 1e6:.0f} MB; train the model again")
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
        raise CtlymphError(f"{path} is no part of a model; train the model again")
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
class TrainedStage(StageSettings):
    """A stage of a model: its settings, and the file of what it has learned.

    Attributes:
        stage: Its name.
        version: Of its behaviour when it was trained.
        settings: When it was trained, without those that only training uses.
        file: Name in the model's folder.
        sha256: Of the file.
    """

    file: str
    sha256: str


@dataclass(frozen=True)
class RegionCard:
    """A model in one region.

    Attributes:
        cases: Names of the cases that it was trained on.
        nodes: Number of their enlarged nodes.
        stages: In the order of their work.
        metrics: Of the cross-validation on these cases; None without one.
        sigmoid: Slope and offset of the sigmoid that turns the log-odds of its scores into probabilities; None where
            scores stay as they are.
    """

    cases: Sequence[str]
    nodes: int
    stages: Sequence[TrainedStage]
    metrics: Mapping[str, Any] | None
    sigmoid: tuple[float, float] | None = None


@dataclass(frozen=True)
class ModelCard:
    """What a model is: the content of ``model.json``.

    Attributes:
        method: Its name in the table of methods.
        trained_on: One sentence, shown wherever the model's output is.
        synthetic: Whether any of its cases is synthetic.
        licence: Of the cases.
        seed: Of the training.
        threshold: Score from which on marks count as nodes.
        threshold_is: How that threshold was chosen.
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
class TrainedModel:
    """A model that has been read.

    Attributes:
        card: What it is.
        parts: By region, what each stage has learned.
    """

    card: ModelCard
    parts: Mapping[str, Sequence[Mapping[str, Any]]] = field(repr=False)


def write_stage(folder: Path, file: str, stage: Stage, part: Mapping[str, Any]) -> TrainedStage:
    """Write what a stage has learned into a model's folder.

    Raises:
        CtlymphError: If it cannot be written.
    """
    dump_part(folder / file, part)
    return describe_stage(folder, file, stage)


def describe_stage(folder: Path, file: str, stage: Stage) -> TrainedStage:
    """Return the description of a stage whose file is in a model's folder."""
    return TrainedStage(**asdict(settings_of(stage)), file=file, sha256=_sha256(folder / file))


def check_fits(folder: Path, trained: Sequence[TrainedStage], stages: Sequence[Stage]) -> None:
    """Check that the stages of a model are the stages of its method as they are now.

    Raises:
        CtlymphError: If they are not; it names the first setting or version that differs.
    """
    if len(trained) != len(stages):
        wrong = f"it has {len(trained)} stages, here its method has {len(stages)}"
    else:
        found = (difference(one, settings_of(stage)) for one, stage in zip(trained, stages, strict=True))
        wrong = next(filter(None, found), "")
    if wrong:
        raise CtlymphError(f"{folder} does not fit this version of ctlymph: {wrong}; train the model again")


def write_card(folder: Path, card: ModelCard) -> None:
    """Write ``model.json``."""
    text = json.dumps(asdict(card), indent=2, ensure_ascii=False, allow_nan=False)
    (folder / CARD).write_text(text + "\n", encoding="utf-8")


def models_in(folder: Path) -> list[Path]:
    """Return the models in a folder: the folder itself if it is one, else those in the folders within."""
    return [folder] if (folder / CARD).exists() else sorted(path.parent for path in folder.glob(f"*/{CARD}"))


def read_model(folder: Path) -> TrainedModel:
    """Read a model's folder. Nothing in it can run code.

    Raises:
        CtlymphError: If it is none, is damaged, or holds what could run code.
    """
    card = read_card(folder)
    parts = {
        region: [_read_checked(folder, stage) for stage in each.stages]  # all, before any is used
        for region, each in card.regions.items()
    }
    return TrainedModel(card, parts)


def read_card(folder: Path) -> ModelCard:
    """Read ``model.json``.

    Raises:
        CtlymphError: If it is absent or not valid.
    """
    path = folder / CARD
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        if given["format"] == FORMAT_1:
            given = migrated(given) | {"format": FORMAT}
        elif given["format"] != FORMAT:
            raise CtlymphError(
                f"{path} has the format {shown(given['format'])}; this version of ctlymph reads {FORMAT}"
            )
        regions = {
            name: RegionCard(
                **{
                    **each,
                    "stages": tuple(TrainedStage(**stage) for stage in each["stages"]),
                    "cases": tuple(each["cases"]),
                    "sigmoid": tuple(each["sigmoid"]) if each.get("sigmoid") else None,
                }
            )
            for name, each in given["regions"].items()
        }
        card = ModelCard(**{**given, "regions": regions})
    except OSError as error:
        raise CtlymphError(f"{folder} holds no model: {shown(error)}; give a folder of ctlymph train") from error
    except (ValueError, TypeError, KeyError, AttributeError, SyntaxError, RecursionError) as error:
        raise CtlymphError(f"{path} does not describe a model ({shown(error)}); train the model again") from error
    if wrong := _wrong_in(card):
        raise CtlymphError(f"{path}: {wrong}; train the model again")
    return card


def _wrong_in(card: ModelCard) -> str:
    """Return why a card cannot be used; empty if it can."""
    if not isinstance(card.method, str) or not isinstance(card.trained_on, str):
        return "its method or what it was trained on is no text"
    if not isinstance(card.threshold, int | float) or not 0 <= card.threshold <= 1:
        return f"its threshold {shown(card.threshold)} is not from 0 to 1"
    if not card.regions or not set(card.regions) <= set(REGIONS):
        return f"its regions are {shown(sorted(card.regions))}, expected some of {', '.join(REGIONS)}"
    for each in card.regions.values():
        if each.sigmoid and (len(each.sigmoid) != 2 or not all(isinstance(n, int | float) for n in each.sigmoid)):
            return "its sigmoid is not two numbers"
        for stage in each.stages:
            if not all(isinstance(text, str) for text in (stage.stage, stage.file, stage.sha256)):
                return "a stage's name, file or digest is no text"
            if not isinstance(stage.version, int) or not isinstance(stage.settings, dict):
                return "a stage's version is no integer, or its settings are no object"
            if Path(stage.file).name != stage.file or not stage.file.endswith((ARRAYS, ESTIMATORS)):
                return f"{shown(stage.file)} is no name of a stage's file"
    return ""


def _read_checked(folder: Path, stage: TrainedStage) -> dict[str, Any]:
    path = folder / stage.file
    if path.exists() and _sha256(path) != stage.sha256:
        raise CtlymphError(f"{path} is not the file that {CARD} describes; train or copy the model again")
    return load_part(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
