from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.preprocessing import FunctionTransformer

from ctlymph.core.errors import CtlymphError
from ctlymph.detectors import model_store
from ctlymph.detectors.lymphnet import LymphNet
from ctlymph.detectors.model_migration import migrated
from ctlymph.detectors.model_store import INSTALLED, check_fits, dump_part, ending_of, load_part, read_card
from ctlymph.detectors.registry import METHODS


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("ran",)


def test_a_forest_comes_back_as_it_was(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    forest = RandomForestClassifier(5, random_state=0).fit(rows, rows[:, 0] > 0)
    path = tmp_path / "part.skops"
    dump_part(path, {"forest": forest, "slope": 1.5, "name": "x", "array": np.arange(3)})
    found = load_part(path)
    np.testing.assert_array_equal(found["forest"].predict_proba(rows), forest.predict_proba(rows))
    assert (found["slope"], found["name"], found["array"].tolist()) == (1.5, "x", [0, 1, 2])


def test_arrays_alone_come_back_without_scikit_learn(tmp_path: Path) -> None:
    weights = {"first.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "first.bias": np.zeros(2, np.float32)}
    part = {"weights": weights, "sizes": np.array([1, 2])}
    assert ending_of(part) == ".npz"
    dump_part(tmp_path / "part.npz", part)
    found = load_part(tmp_path / "part.npz")
    assert found.keys() == part.keys()
    assert found["weights"].keys() == weights.keys()
    np.testing.assert_array_equal(found["weights"]["first.weight"], weights["first.weight"])
    assert found["weights"]["first.weight"].dtype == np.float32
    script = (
        "import pathlib, sys; from ctlymph.detectors.model_store import load_part; "
        "load_part(pathlib.Path(sys.argv[1])); print('sklearn' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", script, tmp_path / "part.npz"], stdout=subprocess.PIPE, check=True)
    assert told.stdout.strip() == b"False"


def test_what_is_not_arrays_alone_is_left_to_skops() -> None:
    for other in ({"slope": 1.5}, {"forest": RandomForestClassifier()}, {"names": np.array(["a", None], object)}):
        assert ending_of({"weights": {"a": np.zeros(1)}, **other}) == ".skops"
    with pytest.raises(ValueError, match="cannot contain it"):
        ending_of({"a/b": np.zeros(1)})


def test_objects_in_arrays_are_refused_and_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "part.npz", evil=np.array([_Evil()], object))
    with pytest.raises(CtlymphError, match="cannot read"):
        load_part(tmp_path / "part.npz")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("ending", [".npz", ".skops"])
@pytest.mark.parametrize("write", [pickle.dumps, lambda evil: b"", lambda evil: b"PK\x03\x04 cut off"])
def test_what_is_no_part_is_refused_and_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[object], bytes], ending: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"part{ending}"
    path.write_bytes(write(_Evil()))
    with pytest.raises(CtlymphError, match="cannot read"):
        load_part(path)
    assert not (tmp_path / "ran").exists()


def test_a_function_in_a_part_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "part.skops"
    skops.io.dump({"forest": FunctionTransformer(os.system)}, path)
    with pytest.raises(CtlymphError, match="could run code"):
        load_part(path)


@pytest.mark.parametrize("ending", [".npz", ".skops"])
def test_a_file_that_unfolds_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    path = tmp_path / f"part{ending}"
    dump_part(path, {"zeros": np.zeros(100_000)})
    monkeypatch.setattr(model_store, "LARGEST_PART", 100_000)
    with pytest.raises(CtlymphError, match="unpacks to"):
        load_part(path)


def test_a_part_that_is_no_dict_or_has_lost_a_file_is_refused(tmp_path: Path) -> None:
    skops.io.dump([1, 2], tmp_path / "list.skops")
    with pytest.raises(CtlymphError, match="is no part of a model"):
        load_part(tmp_path / "list.skops")
    whole, cut = tmp_path / "whole.skops", tmp_path / "cut.skops"
    dump_part(whole, {"zeros": np.zeros(100)})
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(cut, "w") as target:
        for name in source.namelist():
            if not name.endswith(".npy"):
                target.writestr(name, source.read(name))
    with pytest.raises(CtlymphError, match="cannot read"):
        load_part(cut)


def test_an_absent_part_is_named(tmp_path: Path) -> None:
    with pytest.raises(CtlymphError, match=r"cannot read .*gone\.skops"):
        load_part(tmp_path / "gone.skops")


def test_the_models_that_come_with_the_package_fit_their_methods() -> None:
    folders = sorted(path.parent for path in INSTALLED.glob("*/model.json"))
    assert [folder.name for folder in folders] == ["lymphnet"]
    for folder in folders:
        card = read_card(folder)
        for region, each in card.regions.items():
            check_fits(folder, each.stages, METHODS[card.method].systems[region].stages)


def as_first_format(settings: str) -> dict[str, Any]:
    """Return the content of the shipped model.json as ctlymph 0.1 wrote it."""
    card = json.loads((INSTALLED / "lymphnet" / "model.json").read_text(encoding="utf-8"))
    for region in card["regions"].values():
        stages = region.pop("stages")
        region["parts"] = [{key: stage[key] for key in ("stage", "file", "sha256")} for stage in stages]
        region["parts"][0]["settings"] = settings
        region["figures"] = region.pop("metrics")
    return {**card, "format": "ctlymph-model-1"}


OLD = "LymphNet(name='lymphnet', width=32, spacing_mm=1.5, apart_mm=8.0, least=0.005, at_most=60)"


def test_a_model_of_the_first_format_is_read_as_one_of_the_second(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(json.dumps(as_first_format(OLD)), encoding="utf-8")
    card, current = read_card(tmp_path), read_card(INSTALLED / "lymphnet")
    for region, each in card.regions.items():
        assert each.stages == tuple(replace(stage, version=1) for stage in current.regions[region].stages)
        assert replace(each, stages=()) == replace(current.regions[region], stages=())
        with pytest.raises(CtlymphError, match="its stage lymphnet is version 1, here it is version 2"):
            check_fits(tmp_path, each.stages, (LymphNet(),))
    (tmp_path / "model.json").write_text(json.dumps(as_first_format(OLD.replace("32", "16"))), encoding="utf-8")
    (stage,) = read_card(tmp_path).regions["abdomen"].stages
    assert stage.settings["width"] == 16


@pytest.mark.parametrize("settings", ["", "LymphNet(", "5", "__import__('os')", "f(x=g)", "(" * 3000])
def test_settings_of_the_first_format_that_are_none_are_refused(tmp_path: Path, settings: str) -> None:
    (tmp_path / "model.json").write_text(json.dumps(as_first_format(settings)), encoding="utf-8")
    with pytest.raises(CtlymphError):
        check_fits(tmp_path, read_card(tmp_path).regions["abdomen"].stages, (LymphNet(),))


def test_nested_settings_of_the_first_format_are_read() -> None:
    text = "Blobs(name='blobs', settings=BlobSettings(radii_mm=(4.5, 6.0), apart_mm=7.0, exact=None, low=-3))"
    card = {"regions": {"abdomen": {"parts": [{"stage": "blobs", "settings": text}], "figures": None, "nodes": 0}}}
    (stage,) = migrated(card)["regions"]["abdomen"]["stages"]
    inner = {"radii_mm": [4.5, 6.0], "min_distance_mm": 7.0, "exact": None, "low": -3}
    assert stage == {"stage": "blobs", "version": 1, "settings": {"settings": inner}}
