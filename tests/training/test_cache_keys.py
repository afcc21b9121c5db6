from __future__ import annotations

import inspect
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import pytest

from ctlymph.detectors.lymphnet import LymphNet
from ctlymph.detectors.registry import METHODS
from ctlymph.training.cache_keys import digest_of, stage_key

SOURCE = """
from dataclasses import dataclass
from typing import ClassVar

@dataclass(frozen=True)
class Plain:
    version: ClassVar[int] = 1
    name: str = "plain"
    radius_mm: float = 5.0

    def score(self, model, context, candidates):
        return candidates
"""


def test_values_that_differ_have_other_names() -> None:
    assert digest_of("a", 1, ["b"]) == digest_of("a", 1, ["b"])
    assert len({digest_of("a", 1), digest_of("a", "1"), digest_of("a1"), digest_of(1, "a")}) == 4


def key_of(source: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the key of the stage in a module with this source."""
    from importlib import import_module

    folder.mkdir()
    (folder / "student_stage.py").write_text(source, encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.delitem(__import__("sys").modules, "student_stage", raising=False)
        module = import_module("student_stage")
        assert inspect.getsource(module) == source
        return stage_key(module.Plain())


def test_a_changed_comment_or_line_of_code_keeps_the_key_and_a_raised_version_changes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = key_of(SOURCE, tmp_path / "first", monkeypatch)
    comment = key_of(SOURCE + "# a comment, and a line\nx = 1\n", tmp_path / "comment", monkeypatch)
    raised = key_of(SOURCE.replace("[int] = 1", "[int] = 2"), tmp_path / "raised", monkeypatch)
    assert first == comment
    assert first != raised


def test_every_setting_is_part_of_the_key_also_those_of_training() -> None:
    keys = {stage_key(stage) for stage in (LymphNet(), LymphNet(min_score=0.1), LymphNet(side=32))}
    shorter = replace(LymphNet().schedule, steps=7)
    assert len(keys | {stage_key(LymphNet(schedule=shorter))}) == 4


def test_a_copy_of_a_stage_under_its_old_name_has_a_key_of_its_own() -> None:
    @dataclass(frozen=True)
    class MyNet(LymphNet):
        version: ClassVar[int] = 1

    assert stage_key(MyNet()) != stage_key(LymphNet())


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
def test_every_stage_has_a_version_of_its_own_and_a_key_that_no_other_has(method: object) -> None:
    for system in METHODS[method.name].systems.values():  # type: ignore[attr-defined]
        assert all(isinstance(vars(type(stage))["version"], int) for stage in system.stages)
        assert len({stage_key(stage) for stage in system.stages}) == len(system.stages)


def test_what_json_cannot_hold_is_refused_with_the_name_of_the_field() -> None:
    @dataclass(frozen=True)
    class Wrong:
        version: ClassVar[int] = 1
        name: str = "wrong"
        where: Path = field(default=Path("x"))

    with pytest.raises(TypeError, match=r"Wrong\.where is .* which is no setting"):
        stage_key(Wrong())  # type: ignore[arg-type]
