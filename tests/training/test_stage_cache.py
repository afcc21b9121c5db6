from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from contexts import scene_with_nodes
from ctlymph.core.errors import CtlymphError
from ctlymph.core.progress import Progress
from ctlymph.detectors import cherry2014
from ctlymph.detectors.base import (
    ENLARGED_MM,
    HIT_MM,
    Arrays,
    Candidates,
    DetectionContext,
    System,
    TrueNodes,
)
from ctlymph.detectors.settings import NOT_A_SETTING
from ctlymph.nn.run_context import Device, RunContext
from ctlymph.training import stage_cache as stage_cache_module
from ctlymph.training.cases import read_context, write_context
from ctlymph.training.stage_cache import INNER_FOLDS, StageCache


@dataclass(frozen=True)
class SmallCase:
    """Stands for a case of a collection; without a name its patient has this case alone."""

    number: int
    of: str = ""

    @property
    def patient(self) -> str:
        return self.of or f"patient{self.number}"

    def digest(self) -> str:
        return f"case{self.number}"

    def load(self) -> tuple[DetectionContext, TrueNodes]:
        return scene_with_nodes(self.number)


@dataclass(frozen=True)
class Teller:
    """A stage whose model is the list of cases that it has learned from; it writes down who was looked at by whom."""

    version: ClassVar[int] = 1
    examples: ClassVar[type[Any]] = dict

    name: str
    log: Path = field(metadata=NOT_A_SETTING)

    def extract(self, context: DetectionContext, candidates: Candidates, truth: TrueNodes) -> Arrays:
        learned_from = candidates.features[0].tolist() if candidates.features.size else []
        with self.log.open("a") as log:
            log.write(f"{self.name} observed {context.volume.case}, by what learned from {learned_from}\n")
        assert int(context.volume.case.removeprefix("scene")) not in learned_from
        return {"case": np.array([int(context.volume.case.removeprefix("scene"))])}

    def fit(self, extracted: Sequence[Arrays], seed: int) -> dict[str, Any]:
        return {"cases": np.sort(np.concatenate([each["case"] for each in extracted]))}

    def score(self, model: Mapping[str, Any], context: DetectionContext, candidates: Candidates) -> Candidates:
        with self.log.open("a") as log:
            log.write(f"{self.name} applied {context.volume.case}\n")
        return Candidates(np.zeros((1, 3)), np.ones(1), np.ones(1), model["cases"][None])


CASES: list[Any] = [SmallCase(number) for number in range(1, 6)]


def test_a_later_stage_learns_only_from_candidates_of_cases_that_the_one_before_has_not_seen(tmp_path: Path) -> None:
    stages = (Teller("first", tmp_path / "log"), Teller("second", tmp_path / "log"))
    stage_cache = StageCache(tmp_path / "lab")
    models = stage_cache.fit(System(stages), CASES)  # Teller asserts it
    assert stage_cache.model(models[0])["cases"].tolist() == [1, 2, 3, 4, 5]
    assert stage_cache.model(models[1])["cases"].tolist() == [1, 2, 3, 4, 5]


def test_it_has_not_seen_other_scans_of_their_patients_either(tmp_path: Path) -> None:
    patients = {1: "a", 2: "a", 3: "b", 4: "b", 5: "c"}
    cases: list[Any] = [SmallCase(number, of) for number, of in patients.items()]
    stages = (Teller("first", tmp_path / "log"), Teller("second", tmp_path / "log"))
    StageCache(tmp_path / "lab").fit(System(stages), cases)
    told = re.findall(r"second observed scene(\d), by what learned from \[(.*)\]", (tmp_path / "log").read_text())
    learned_from = {int(case): {patients[int(each)] for each in others.split(", ")} for case, others in told}
    assert learned_from == {case: {"a", "b", "c"} - {of} for case, of in patients.items()}


@dataclass(frozen=True)
class Blind:
    """A generator that marks one place, far from every node."""

    version: ClassVar[int] = 1

    name: str = "blind"

    def propose(self, model: Mapping[str, Any], context: DetectionContext) -> Candidates:
        return Candidates(np.full((1, 3), 1e4), np.ones(1), np.ones(1))


@dataclass(frozen=True)
class Counter:
    """A classifier's first stage that must be given every enlarged node to learn from, and none to be tested on."""

    version: ClassVar[int] = 1

    name: str
    folder: Path = field(metadata=NOT_A_SETTING)

    def score(self, model: Mapping[str, Any], context: DetectionContext, candidates: Candidates) -> Candidates:
        np.save(self.folder / f"{context.volume.case}.npy", candidates.points_mm)
        return candidates


def test_a_classifier_learns_from_nodes_that_the_generator_missed_but_is_not_given_them_to_find(tmp_path: Path) -> None:
    system = System((Blind(),), (Counter("counter", tmp_path), Teller("last", tmp_path / "log")))
    stage_cache = StageCache(tmp_path / "lab")
    models = stage_cache.fit(system, CASES)
    for case in CASES:
        _, truth = case.load()
        given = np.load(tmp_path / f"scene{case.number}.npy")
        away = np.linalg.norm(truth.points_mm[:, None] - given[None], axis=2)
        assert (away.min(axis=1)[truth.short_axes_mm >= ENLARGED_MM] == 0).all()
        assert len(given) == truth.enlarged + 1
    stage_cache.predict(system.stages, models, [SmallCase(9)])  # type: ignore[list-item]
    assert np.load(tmp_path / "scene9.npy").tolist() == [[1e4] * 3]


def test_only_nodes_beyond_the_reach_of_every_candidate_are_missed() -> None:
    truth = TrueNodes(np.array([[0.0, 0, 0], [40, 0, 0], [80, 0, 0]]), np.array([12.0, 12, 8]), None)
    candidates = Candidates(np.array([[HIT_MM - 0.1, 0, 0]]), np.ones(1), np.ones(1))
    missed = truth.missed(candidates)
    assert missed.points_mm.tolist() == [[40, 0, 0]]
    assert (missed.scores.tolist(), missed.radii_mm.tolist()) == ([0.0], [6.0])


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    stages = (Teller("first", log), Teller("second", log))
    stage_cache = StageCache(tmp_path / "lab")
    models = stage_cache.fit(System(stages), CASES)
    stage_cache.predict(stages, models, [SmallCase(9)])  # type: ignore[list-item]
    done = log.read_text()
    assert done.count("first observed") == done.count("second observed") == done.count("first applied") - 1 == 5
    assert stage_cache.fit(System(stages), CASES) == models
    stage_cache.predict(stages, models, [SmallCase(9)])  # type: ignore[list-item]
    assert log.read_text() == done
    other = (stages[0], replace(stages[1], name="third"))
    stage_cache.fit(System(other), CASES)
    assert log.read_text().count("first") == done.count("first")


def test_a_raised_version_trains_that_stage_and_those_after_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass(frozen=True)
    class Newer(Teller):
        """The same as before, but for its version, which the test raises."""

    log = tmp_path / "log"
    stages = (Teller("first", log), Newer("second", log), Teller("third", log))
    stage_cache = StageCache(tmp_path / "lab")
    before = stage_cache.fit(System(stages), CASES)
    done = log.read_text()
    monkeypatch.setattr(Newer, "version", 2)
    after = stage_cache.fit(System(stages), CASES)
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, False]
    assert log.read_text().count("first observed") == done.count("first observed")
    assert log.read_text().count("second observed") == 2 * done.count("second observed")


def test_contexts_of_another_version_are_read_again_and_nothing_made_from_the_old_ones_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    stage_cache = StageCache(tmp_path / "lab")
    before = stage_cache.fit(System((Teller("first", log),)), CASES)
    monkeypatch.setattr(stage_cache_module, "CONTEXT_VERSION", 99)
    assert stage_cache.fit(System((Teller("first", log),)), CASES) != before
    assert log.read_text().count("first observed") == 2 * len(CASES)


@dataclass(frozen=True)
class Slow(Teller):
    """A stage that is killed the first time, halfway."""

    def fit_resumable(
        self, extracted: Sequence[Arrays], seed: int, folder: Path, progress: Progress, device: Device
    ) -> dict[str, Any]:
        (folder / "device").write_text(device)
        halfway = folder / "halfway"
        if not halfway.exists():
            halfway.touch()
            raise KeyboardInterrupt
        return self.fit(extracted, seed)


def test_a_stage_that_learns_for_long_goes_on_in_its_folder(tmp_path: Path) -> None:
    system = System((Slow("slow", tmp_path / "log"),))
    stage_cache = StageCache(tmp_path / "lab", run=RunContext(device="cpu"))
    with pytest.raises(KeyboardInterrupt):
        stage_cache.fit(system, CASES)
    (model,) = stage_cache.fit(system, CASES)
    assert next((tmp_path / "lab").rglob("device")).read_text() == "cpu"
    assert stage_cache.model(model)["cases"].tolist() == [1, 2, 3, 4, 5]


@dataclass(frozen=True)
class Mean:
    """A stage that follows and learns nothing."""

    version: ClassVar[int] = 1

    name: str = "mean"

    def score(self, model: Mapping[str, Any], context: DetectionContext, candidates: Candidates) -> Candidates:
        return candidates


def test_what_no_later_stage_learns_from_is_not_made(tmp_path: Path) -> None:
    log = tmp_path / "log"
    models = StageCache(tmp_path / "lab").fit(System((Teller("first", log), Mean())), CASES)
    assert len(models) == 2
    assert "applied" not in log.read_text()


def test_lost_results_come_back_the_same(tmp_path: Path) -> None:
    stages = (cherry2014.CherryVoxels(trees=4), *cherry2014.STAGES[1:])
    stage_cache = StageCache(tmp_path / "lab")
    whole = stage_cache.predict(stages, stage_cache.fit(System(stages), CASES[:3]), CASES[3:])
    for path in sorted((tmp_path / "lab").rglob("*.*"))[::2]:
        path.unlink()
    again = stage_cache.predict(stages, stage_cache.fit(System(stages), CASES[:3]), CASES[3:])
    for first, second in zip(whole, again, strict=True):
        np.testing.assert_array_equal(first.candidates.points_mm, second.candidates.points_mm)
        np.testing.assert_array_equal(first.candidates.scores, second.candidates.scores)


def test_too_few_patients_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CtlymphError, match=f"give {INNER_FOLDS} or more"):
        StageCache(tmp_path).fit(System(cherry2014.STAGES), [*CASES[:2], SmallCase(3, "patient2")])  # type: ignore[list-item]


@pytest.mark.parametrize("masks", [True, False])
def test_a_scene_comes_back_as_it_was_written(tmp_path: Path, masks: bool) -> None:
    context, truth = scene_with_nodes(2, masks=masks)
    write_context(tmp_path / "scene.npz", context, truth)
    found, nodes = read_context(tmp_path / "scene.npz")
    np.testing.assert_array_equal(found.volume.hu, context.volume.hu)
    assert found.volume.geometry.matches(context.volume.geometry, 1e-9)
    assert (found.volume.case, found.region.name) == (context.volume.case, context.region.name)
    for name in ("body", "lungs", "spine", "hu"):
        np.testing.assert_array_equal(getattr(found.landmarks, name), getattr(context.landmarks, name))
    np.testing.assert_array_equal(found.tissue, context.tissue)
    np.testing.assert_array_equal(nodes.points_mm, truth.points_mm)
    assert (nodes.masks is None) == (not masks)
    if truth.masks and nodes.masks:
        np.testing.assert_array_equal(nodes.masks.labels, truth.masks.labels)
