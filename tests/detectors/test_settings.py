from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import ClassVar

import pytest

from ctlymph.detectors.registry import METHODS
from ctlymph.detectors.settings import NOT_A_SETTING, TRAINING_ONLY, StageSettings, difference, settings_of


@dataclass(frozen=True)
class Inner:
    """A nested group of settings."""

    radii_mm: tuple[float, ...] = (4.5, 0.1 + 0.2)
    hidden: int = field(default=1, metadata=NOT_A_SETTING)


@dataclass(frozen=True)
class Toy:
    """A stage with a setting of every kind."""

    version: ClassVar[int] = 3
    name: str = "toy"
    inner: Inner = Inner()
    limits: tuple[tuple[int, float | None], ...] = ((1, 2.5), (2, None))
    kind: str = "soft"
    exact: bool = True
    by_name: dict[str, float] = field(default_factory=lambda: {"b": 2.0, "a": 1.0})
    steps: int = field(default=100, metadata=TRAINING_ONLY)
    device: object = field(default=object, metadata=NOT_A_SETTING)


def test_settings_are_plain_json_and_come_back_as_they_were() -> None:
    settings = settings_of(Toy())  # type: ignore[arg-type]
    assert settings == StageSettings(
        "toy",
        3,
        {
            "inner": {"radii_mm": [4.5, 0.30000000000000004]},
            "limits": [[1, 2.5], [2, None]],
            "kind": "soft",
            "exact": True,
            "by_name": {"a": 1.0, "b": 2.0},
        },
    )
    assert settings_of(Toy(), training=True).settings["steps"] == 100  # type: ignore[arg-type]
    text = json.dumps(asdict(settings))
    assert StageSettings(**json.loads(text)) == settings
    assert json.dumps(asdict(settings_of(Toy(by_name={"a": 1.0, "b": 2.0})))) == text  # type: ignore[arg-type]


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
def test_the_settings_of_every_method_come_back_as_they_were(method: object) -> None:
    for system in METHODS[method.name].systems.values():  # type: ignore[attr-defined]
        for stage in system.stages:
            settings = settings_of(stage)
            assert StageSettings(**json.loads(json.dumps(asdict(settings)))) == settings


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1: 2}, object(), b"x"])
def test_other_values_are_refused(value: object) -> None:
    with pytest.raises(TypeError, match=r"Toy\.limits\[0\] is .*which is no setting"):
        settings_of(Toy(limits=(value,)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("trained", "words"),
    [
        (StageSettings("a", 1, {"x": 1, "y": [2]}), ""),
        (StageSettings("b", 1, {"x": 1, "y": [2]}), "it has the stage b where this version of ctlymph has a"),
        (StageSettings("a", 2, {"x": 1, "y": [2]}), "its stage a is version 2, here it is version 1"),
        (StageSettings("a", 1, {"x": 1, "y": [3]}), r"its stage a has y = [3], here it is [2]"),
        (StageSettings("a", 1, {"y": [2]}), "its stage a has the setting x only here"),
        (StageSettings("a", 1, {"x": 1, "y": [2], "z": 0}), "its stage a has the setting z only in the model"),
    ],
)
def test_what_differs_is_named(trained: StageSettings, words: str) -> None:
    assert difference(trained, StageSettings("a", 1, {"x": 1, "y": [2]})) == words
