"""The settings of a stage as plain JSON.

A trained model fits a stage of the same name, version and settings. The same three, with the settings that only
training uses, are part of the keys under which intermediate results are kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from ctlymph.detectors.base import Stage

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

TRAINING_ONLY = {"setting": "training only"}
"""Metadata of a field that matters while a stage is trained, but not when it is used."""
NOT_A_SETTING = {"setting": "none"}
"""Metadata of a field that changes no result, or that another field stands for."""


@dataclass(frozen=True)
class StageSettings:
    """What tells a stage from others.

    Attributes:
        stage: Its name.
        version: Of its behaviour.
        settings: By name; numbers, texts, lists and objects as JSON has them.
    """

    stage: str
    version: int
    settings: Mapping[str, Json]


def settings_of(stage: Stage, *, training: bool = False) -> StageSettings:
    """Return a stage's name, version and settings.

    Args:
        stage: A dataclass, whose fields are its settings.
        training: Include the fields that are marked :data:`TRAINING_ONLY`.

    Raises:
        TypeError: If a field holds what JSON cannot: mark it :data:`NOT_A_SETTING`, or use another type.

    Example:
        >>> from ctlymph.detectors.nih_candidates import PublishedCandidates
        >>> settings_of(PublishedCandidates())
        StageSettings(stage='nih-candidates', version=1, settings={})
    """
    assert is_dataclass(stage)
    settings = _object(stage, training, type(stage).__name__)
    settings.pop("name", None)
    return StageSettings(stage.name, stage.version, settings)


def difference(trained: StageSettings, current: StageSettings) -> str:
    """Return the first thing in which a trained stage differs from today's, as a clause; empty if they agree."""
    if trained.stage != current.stage:
        return f"it has the stage {trained.stage} where this version of ctlymph has {current.stage}"
    if trained.version != current.version:
        return f"its stage {trained.stage} is version {trained.version}, here it is version {current.version}"
    for name in dict.fromkeys((*current.settings, *trained.settings)):
        if name not in trained.settings or name not in current.settings:
            where = "here" if name in current.settings else "in the model"
            return f"its stage {trained.stage} has the setting {name} only {where}"
        if trained.settings[name] != current.settings[name]:
            return (
                f"its stage {trained.stage} has {name} = {trained.settings[name]!r}, here it is "
                f"{current.settings[name]!r}"
            )
    return ""


def _object(instance: DataclassInstance, training: bool, place: str) -> dict[str, Json]:
    left_out = {NOT_A_SETTING["setting"]} | (set() if training else {TRAINING_ONLY["setting"]})
    return {
        field.name: _json(getattr(instance, field.name), training, f"{place}.{field.name}")
        for field in fields(instance)
        if field.metadata.get("setting") not in left_out
    }


def _json(value: Any, training: bool, place: str) -> Json:
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, tuple | list):
        return [_json(each, training, f"{place}[{number}]") for number, each in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {name: _json(value[name], training, f"{place}[{name!r}]") for name in sorted(value)}
    if is_dataclass(value) and not isinstance(value, type):
        return _object(value, training, place)
    raise TypeError(f"{place} is {value!r}, which is no setting: use finite numbers, texts, tuples or dataclasses")
