"""The benchmark on a small collection: complete, resumable, and open about what failed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ctlymph.cli.benchmark import benchmark
from ctlymph.core.errors import CtlymphError
from ctlymph.datasets.case import Collection
from ctlymph.detectors.base import System
from ctlymph.detectors.parts.network_stage import NetworkStage
from ctlymph.detectors.registry import METHODS
from ctlymph.io import read
from ctlymph.io.images import write_image
from ctlymph.training import stage_cache as stage_cache_module
from ctlymph.workflows import benchmarking
from ctlymph.workflows.benchmarking import STANDARD


def compare(collection: Path, output: Path, **options: Any) -> None:
    given: dict[str, Any] = {
        **{"methods": "blobs,liu2014,seff2014", "folds": "2", "region": "mediastinum", "inject": True, "also": None},
        **{"ct": None, "bootstraps": 20, "seed": 0, "jobs": 1, "cache": None, "as_json": False, "overwrite": False},
    }
    benchmark(collection, output, **(given | options))


@pytest.fixture(scope="module")
def made(toy_collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The benchmark, with the collection itself as one that nobody learns from, and one of its CTs as unknown."""
    folder = tmp_path_factory.mktemp("benchmark")
    ct = folder / "someone.nii.gz"
    series = next(toy_collection.glob("ct_lymph_nodes/MED_*/*/CT_*"))
    write_image(read(series), ct)
    compare(toy_collection, folder / "out", also=[toy_collection], ct=[ct])
    return folder / "out"


def numbers(folder: Path) -> dict[str, Any]:
    """Give benchmark.json without what changes from run to run."""
    found = json.loads((folder / "benchmark.json").read_text())
    del found["command"]
    for each in (*found["cross_validated"], *found["others"]):
        del each["costs"]
    return dict(found)


def test_every_method_is_judged_on_every_case(made: Path) -> None:
    (region,) = numbers(made)["cross_validated"]
    assert region["cases"] == 6
    alone = [each for each in region["detectors"] if each["mode"] == "end to end"]
    assert [each["detector"] for each in alone] == ["blobs", "liu2014", "seff2014"]
    assert all(each["detections"]["hit"] + each["detections"]["false_positive"] > 0 for each in alone)


def test_with_injected_candidates_every_node_is_in_reach_of_a_mark(made: Path) -> None:
    (region,) = numbers(made)["cross_validated"]
    modes = {each["mode"]: each for each in region["detectors"] if each["detector"] == "seff2014"}
    judged = modes.get("injected", modes["end to end"])  # where the generator missed none, none is injected
    assert judged["nodes_within_reach"] == region["nodes"]["all"]


def test_the_page_is_self_contained_and_says_what_matters(made: Path) -> None:
    page = (made / "index.html").read_text(encoding="utf-8")
    assert page.count("For research use, not for diagnosis") >= 2
    assert "All training cases are synthetic" in page
    assert 'src="http' not in page
    assert "0.78 at 6, 0.861 at 10" in page
    assert "someone" in page
    assert page.count("data:image/jpeg") >= 9
    assert (made / "mediastinum" / "evaluation.html").exists()
    assert (made / "mediastinum-collection" / "matches.csv").exists()


def test_what_is_kept_gives_the_same_numbers_and_makes_no_work(
    made: Path, toy_collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> None:
        raise AssertionError(f"done again: {arguments[1]}")

    for name in ("_predict", "_fit", "_fit_resumable", "_extract", "_try_to_load"):
        monkeypatch.setattr(stage_cache_module, name, refuse)
    compare(toy_collection, tmp_path, cache=made / "cache", also=[toy_collection], ct=[made.parent / "someone.nii.gz"])
    assert numbers(tmp_path) == numbers(made)


def test_what_was_lost_is_made_again_with_the_same_numbers(made: Path, toy_collection: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for number, path in enumerate(sorted((made / "cache").rglob("*.*"))):
        if number % 3:
            place = cache / path.relative_to(made / "cache")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path)
    compare(toy_collection, tmp_path / "out", cache=cache)
    first, second = (numbers(each)["cross_validated"] for each in (made, tmp_path / "out"))
    assert first == second


def test_a_method_that_cannot_be_tested_is_named_and_the_others_go_on(
    made: Path, toy_collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = benchmarking.cross_validate

    def without_masks(stage_cache: Any, system: System, *arguments: Any, **options: Any) -> Any:
        if system == METHODS["seff2014"].systems["mediastinum"]:
            raise CtlymphError("no masks here")
        return whole(stage_cache, system, *arguments, **options)

    monkeypatch.setattr(benchmarking, "cross_validate", without_masks)
    compare(toy_collection, tmp_path, cache=made / "cache")
    (region,) = numbers(tmp_path)["cross_validated"]
    assert [each["detector"] for each in region["detectors"]] == ["blobs", "liu2014"]
    assert region["notes"] == ["seff2014 could not be tested: no masks here"]
    with pytest.raises(CtlymphError, match="holds a benchmark already"):
        compare(toy_collection, tmp_path)


def test_predictions_made_elsewhere_are_compared_on_the_same_cases(
    made: Path, toy_collection: Path, tmp_path: Path
) -> None:
    rows = ["case,x_mm,y_mm,z_mm,score"]
    for case in Collection(toy_collection).cases("mediastinum"):
        rows += [f"{case.name},{','.join(map(str, node.point_mm))},0.9" for node in case.nodes()]
    (tmp_path / "perfect").mkdir()
    (tmp_path / "perfect" / "nodes.csv").write_text("\n".join(rows), encoding="utf-8")
    given = [f"net={tmp_path / 'perfect'}"]
    compare(toy_collection, tmp_path / "out", methods="blobs", predictions=given, cache=made / "cache")
    (region,) = numbers(tmp_path / "out")["cross_validated"]
    (found,) = (each for each in region["detectors"] if each["detector"] == "net")
    assert found["metrics"]["max_sensitivity"]["value"] == 1
    assert found["detections"]["false_positive"] == 0
    assert region["cases"] == 6
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "Predictions made elsewhere" in page
    rows = [row for row in rows if not row.startswith("MED_LYMPH_001,")]
    (tmp_path / "perfect" / "nodes.csv").write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(CtlymphError, match="MED_LYMPH_001 is not in the predictions of net"):
        compare(toy_collection, tmp_path / "less", methods="blobs", predictions=given, cache=made / "cache")
    with pytest.raises(CtlymphError, match="blobs is compared twice"):
        compare(toy_collection, tmp_path / "less", methods="blobs", predictions=["blobs=x"], cache=made / "cache")


@pytest.mark.parametrize("methods", ["", "blobs,blobs", "unheard"])
def test_methods_that_are_none_are_refused(toy_collection: Path, tmp_path: Path, methods: str) -> None:
    with pytest.raises(CtlymphError, match="method"):
        compare(toy_collection, tmp_path, methods=methods)


def test_steps_are_those_of_every_network(toy_collection: Path, tmp_path: Path) -> None:
    shorter = METHODS["shin2016"].in_steps(7)
    for region, system in shorter.systems.items():
        assert [stage.schedule.steps for stage in system.stages if isinstance(stage, NetworkStage)] == [7]
        assert system.generator == METHODS["shin2016"].systems[region].generator
    with pytest.raises(CtlymphError, match="for networks"):
        compare(toy_collection, tmp_path, methods="blobs", steps=7)


def test_a_folder_without_cases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CtlymphError, match="holds no case"):
        compare(tmp_path, tmp_path / "out")


def test_the_standard_methods_are_in_the_table_and_every_system_has_a_classifier_or_none() -> None:
    assert set(STANDARD) <= set(METHODS)
    for method in METHODS.values():
        assert method.is_trainable == (method.threshold is None)
