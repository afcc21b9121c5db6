"""A model from a small collection to its use, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from ctlymph.cli.main import app
from ctlymph.cli.train import train as train_command
from ctlymph.core.errors import CtlymphError
from ctlymph.datasets.case import Collection
from ctlymph.detectors.base import NO_CANDIDATES, Arrays, Candidates, DetectionContext, System, TrueNodes
from ctlymph.detectors.calibration import calibrated
from ctlymph.detectors.method import Method
from ctlymph.detectors.model_store import ModelCard, read_card, read_model
from ctlymph.detectors.registry import METHODS, method
from ctlymph.detectors.roth2014 import RothViews
from ctlymph.detectors.settings import TRAINING_ONLY
from ctlymph.detectors.shin2016 import ResidualViews
from ctlymph.training.stage_cache import StageCache
from ctlymph.workflows.detection import DetectOptions, detector, find_nodes
from ctlymph.workflows.training import Training, train


@pytest.fixture(scope="module")
def trained(toy_collection: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelCard, StageCache]:
    folder = tmp_path_factory.mktemp("model")
    stage_cache = StageCache(tmp_path_factory.mktemp("lab"))
    training = Training(method("liu2014"), Collection(toy_collection), ("mediastinum",), folds=2, bootstraps=20)
    return folder, train(folder, training, stage_cache), stage_cache


def test_the_card_tells_what_the_model_is(trained: tuple[Path, ModelCard, StageCache], toy_collection: Path) -> None:
    folder, card, _ = trained
    assert read_card(folder) == card
    assert card.synthetic
    assert "synthetic" in card.trained_on
    region = card.regions["mediastinum"]
    assert list(region.cases) == [case.name for case in Collection(toy_collection).cases("mediastinum")]
    assert region.metrics is not None
    assert region.metrics["cases"] == len(region.cases)
    assert region.nodes == region.metrics["nodes"]["counted"]
    assert 0 < card.threshold < 1
    assert json.loads((folder / "model.json").read_text())["intended_use"].startswith("For research use")


def test_the_threshold_gives_what_the_card_says(
    trained: tuple[Path, ModelCard, StageCache], toy_collection: Path
) -> None:
    _, card, _ = trained
    figures = card.regions["mediastinum"].metrics
    assert figures is not None
    assert figures["detections"]["false_positive"] >= 3 * figures["cases"], "the toy has enough false positives to tell"
    assert card.threshold_is == "3 false positives per CT in cross-validation"


def test_the_same_seed_gives_the_same_scores_and_the_model_is_used_by_detect(
    trained: tuple[Path, ModelCard, StageCache], toy_collection: Path, tmp_path: Path
) -> None:
    folder, card, _ = trained
    again = tmp_path / "again"
    again.mkdir()
    training = Training(method("liu2014"), Collection(toy_collection), ("mediastinum",), folds=0)
    train(again, training, StageCache(tmp_path / "lab"))
    ct = Collection(toy_collection).cases("mediastinum")[0].ct()
    results = [find_nodes(ct, DetectOptions(model=str(each), threshold=0)) for each in (folder, again)]
    first, second = ([node.point_mm for node in result.nodes] for result in results)
    assert first == second
    assert first
    sigmoid = card.regions["mediastinum"].sigmoid
    assert sigmoid is not None
    chances, scores = (np.array([node.score for node in result.nodes]) for result in results)
    np.testing.assert_allclose(chances, calibrated(scores, *sigmoid))
    assert results[0].regions == ["mediastinum"]
    assert "synthetic" in results[0].trained_on
    assert {node.model for node in results[0].nodes} == {"liu2014"}
    assert all(node.station for node in results[0].nodes)


def test_a_region_that_the_model_does_not_know_is_refused(
    trained: tuple[Path, ModelCard, StageCache], toy_collection: Path
) -> None:
    ct = Collection(toy_collection).cases("mediastinum")[0].ct()
    with pytest.raises(CtlymphError, match="knows the mediastinum only"):
        find_nodes(ct, DetectOptions(region="abdomen", model=str(trained[0])))


def _copy(trained: tuple[Path, ModelCard, StageCache], tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained[0], tmp_path / "copy"))


def test_a_damaged_part_is_refused(trained: tuple[Path, ModelCard, StageCache], tmp_path: Path) -> None:
    folder = _copy(trained, tmp_path)
    part = next(folder.glob("*.skops"))
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    with pytest.raises(CtlymphError, match="is not the file that"):
        read_model(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "ctlymph-model-9"}, "has the format"),
        ({"threshold": 2}, "is not from 0 to 1"),
        ({"threshold": None}, "is not from 0 to 1"),
        ({"regions": {}}, "its regions are"),
        (
            {"regions": {"mediastinum": {"cases": [], "nodes": 1, "stages": [], "metrics": None, "sigmoid": [1]}}},
            "sigm",
        ),
        ({"surprise": 1}, "does not describe a model"),
        ({"method": "seff2014"}, "has .* stages"),
        ({"method": "unheard"}, "no method"),
    ],
)
def test_a_card_that_is_off_is_refused(
    trained: tuple[Path, ModelCard, StageCache], tmp_path: Path, change: dict[str, object], words: str
) -> None:
    folder = _copy(trained, tmp_path)
    card = folder / "model.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | change))
    with pytest.raises(CtlymphError, match=words):
        detector(str(folder))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "its stage liu2014-voxels is version 2, here it is version 1"),
        ({"settings": {"trees": 7}}, "its stage liu2014-voxels has trees = 7, here it is 40"),
        (
            {"stage": "cherry2014-voxels"},
            "it has the stage cherry2014-voxels where this version of ctlymph has liu2014",
        ),
    ],
)
def test_a_stage_that_differs_is_refused_by_name(
    trained: tuple[Path, ModelCard, StageCache], tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    folder = _copy(trained, tmp_path)
    card = json.loads((folder / "model.json").read_text())
    stage = card["regions"]["mediastinum"]["stages"][0]
    stage |= change | {"settings": stage["settings"] | change.get("settings", {})}
    (folder / "model.json").write_text(json.dumps(card))
    with pytest.raises(CtlymphError, match=f"does not fit this version of ctlymph: {words}.*; train the model again"):
        detector(str(folder))


def test_a_part_is_never_read_from_elsewhere(trained: tuple[Path, ModelCard, StageCache], tmp_path: Path) -> None:
    folder = _copy(trained, tmp_path)
    card = folder / "model.json"
    card.write_text(card.read_text().replace("mediastinum-1", "../mediastinum-1"))
    with pytest.raises(CtlymphError, match="is no name of a stage's file"):
        read_card(folder)


def test_names_that_cannot_be_used_say_what_to_do(tmp_path: Path) -> None:
    for name, words in (
        ("seff2014", "seff2014 is not trained yet"),
        ("unheard", "there is no method 'unheard'; choose one of"),
        (str(tmp_path), "holds no model"),
        (str(tmp_path / "absent"), "holds no model"),
    ):
        with pytest.raises(CtlymphError, match=words):
            detector(name)


def test_a_rule_and_a_region_without_the_method_are_refused(toy_collection: Path, tmp_path: Path) -> None:
    collection = Collection(toy_collection)
    with pytest.raises(CtlymphError, match="learns nothing"):
        train(tmp_path, Training(method("blobs"), collection, ("abdomen",)), StageCache(tmp_path))
    with pytest.raises(CtlymphError, match="is for the abdomen alone"):
        train(tmp_path, Training(method("cherry2014"), collection, ("mediastinum",)), StageCache(tmp_path))


def test_the_command_refuses_a_folder_with_files_before_any_work(toy_collection: Path, tmp_path: Path) -> None:
    (tmp_path / "taken.txt").touch()
    with pytest.raises(CtlymphError, match="holds files already"):
        train_command("liu2014", toy_collection, tmp_path)
    assert np.array_equal([path.name for path in tmp_path.iterdir()], ["taken.txt"])


def test_the_command_goes_on_where_the_library_was_and_shows_the_figures(
    trained: tuple[Path, ModelCard, StageCache], toy_collection: Path, tmp_path: Path
) -> None:
    _, card, stage_cache = trained
    asked = ["train", "liu2014", toy_collection, "-o", tmp_path / "model", "--folds", 2, "--jobs", 1]
    asked += ["--region", "mediastinum", "--cache", stage_cache.folder]
    result = CliRunner().invoke(app, list(map(str, asked)), catch_exceptions=False)
    assert result.exit_code == 0
    figures = card.regions["mediastinum"].metrics
    assert figures is not None
    at_three = next(one for one in figures["sensitivity"] if one["false_per_volume"] == 3)
    assert f"{at_three['value']:.2f} (" in result.stdout
    assert (tmp_path / "model" / "model.json").exists()


def _asked(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["models", *map(str, arguments)])


def test_models_shows_what_a_model_is_worth(trained: tuple[Path, ModelCard, StageCache]) -> None:
    folder, card, _ = trained
    for given in (folder, folder.parent):
        shown = _asked(given)
        assert shown.exit_code == 0
        assert "synthetic" in shown.output
        row = shown.stdout.splitlines()[1].split("\t")
        assert str(len(card.regions["mediastinum"].cases)) in row
        assert "not measured" not in row
    told = json.loads(_asked(folder, "--json").stdout)
    assert told["models"][str(folder)]["trained_on"] == card.trained_on
    assert {"name": "blobs", "summary": method("blobs").summary, "rule": True, "package": "ctlymph"} in told["methods"]


def test_models_names_every_method_and_refuses_what_is_no_model(tmp_path: Path) -> None:
    listed = [line.split("\t")[0] for line in _asked().stdout.splitlines()[1:]]
    assert listed[: len(METHODS)] == list(METHODS)
    assert "lymphnet" in listed[len(METHODS) :], "the model that comes with the package"
    refused = _asked(tmp_path)
    assert isinstance(refused.exception, CtlymphError)
    assert "holds no model" in str(refused.exception)


def test_a_network_without_pytorch_is_refused_at_once(
    toy_collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctlymph.core.extras.find_spec", lambda name: None if name == "torch" else find_spec(name))
    training = Training(method("roth2014"), Collection(toy_collection), ("mediastinum",))
    with pytest.raises(CtlymphError, match=r"roth2014 needs PyTorch.* pip install 'ctlymph\[train\]'"):
        train(tmp_path, training, StageCache(tmp_path / "lab"))


@dataclass(frozen=True)
class Counting:
    """A stage that tells what it learned from, and from where it began."""

    version: ClassVar[int] = 1
    examples: ClassVar[type[Any]] = dict

    name: str = "counting"
    steps: int = field(default=5, metadata=TRAINING_ONLY)
    began: str = field(default="", metadata=TRAINING_ONLY)

    def configured(self, steps: int | None, part: Mapping[str, Any] | None, sha256: str) -> Counting:
        return Counting(steps=steps or self.steps, began="" if part is None else f"{part['steps']} {sha256[:4]}")

    def extract(self, context: DetectionContext, truth: TrueNodes) -> Arrays:
        return {"nodes": np.array(len(truth.points_mm))}

    def fit(self, extracted: Sequence[Arrays], seed: int) -> dict[str, Any]:
        return {"steps": self.steps, "began": self.began, "cases": len(extracted)}

    def propose(self, model: Mapping[str, Any], context: DetectionContext) -> Candidates:
        return NO_CANDIDATES


def test_further_collections_and_a_former_model_are_learned_from(toy_collection: Path, tmp_path: Path) -> None:
    counting = Method("counting", "Counts.", {"mediastinum": System((Counting(),))})
    given = Collection(toy_collection)
    parts = []
    for name, tuning in (
        ("first", {}),
        ("second", {"steps": 9, "begin_with": tmp_path / "first", "extra_train": (given,)}),
    ):
        (tmp_path / name).mkdir()
        card = train(
            tmp_path / name,
            Training(counting, given, ("mediastinum",), folds=2, bootstraps=10, **tuning),  # type: ignore[arg-type]
            StageCache(tmp_path / "lab"),
        )
        assert card.regions["mediastinum"].stages[0].settings == {}
        parts.append((read_model(tmp_path / name).parts["mediastinum"][0], card))
    (first, former), (second, card) = parts
    cases = len(given.cases("mediastinum"))
    assert first == {"steps": 5, "began": "", "cases": cases}
    digest = former.regions["mediastinum"].stages[0].sha256
    assert second == {"steps": 9, "began": f"5 {digest[:4]}", "cases": 2 * cases}
    assert len(card.regions["mediastinum"].cases) == 2 * cases


def test_a_network_begins_with_someones_weights(toy_collection: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    weights = ResidualViews().module().state_dict()
    save_file(weights, tmp_path / "mine.safetensors")
    given = Collection(toy_collection)
    training = Training(method("shin2016"), given, ("mediastinum",), steps=7, begin_with=tmp_path / "mine.safetensors")
    stage = next(each for each in training.systems["mediastinum"].stages if isinstance(each, ResidualViews))
    assert stage.schedule.steps == 7
    assert stage.schedule.last_layer == "classifier"
    assert stage.start is not None
    assert stage.start.weights.keys() == weights.keys()
    np.testing.assert_array_equal(stage.start.weights["features.0.conv.weight"], weights["features.0.conv.weight"])
    (tmp_path / "broken.safetensors").write_bytes(b"none")
    for name, words in (("broken", "give weights as a .safetensors file"), ("absent", "cannot read")):
        with pytest.raises(CtlymphError, match=words):
            _ = replace(training, begin_with=tmp_path / f"{name}.safetensors").systems


def test_tuning_that_does_not_fit_is_refused(
    trained: tuple[Path, ModelCard, StageCache], toy_collection: Path, tmp_path: Path
) -> None:
    given = Collection(toy_collection)
    with pytest.raises(CtlymphError, match="liu2014 has no network"):
        train(tmp_path, Training(method("liu2014"), given, ("mediastinum",), steps=3), StageCache(tmp_path / "lab"))
    other = Training(method("lymphnet"), given, ("mediastinum",), begin_with=trained[0])
    with pytest.raises(CtlymphError, match="is a model of liu2014 for the mediastinum; give one of lymphnet"):
        train(tmp_path, other, StageCache(tmp_path / "lab"))


def test_where_a_network_runs_is_no_setting_of_it() -> None:
    assert {"device", "precision"}.isdisjoint(vars(RothViews()))
    with pytest.raises(CtlymphError, match="there is no device 'tpu'"):
        DetectOptions(device="tpu")  # type: ignore[arg-type]
