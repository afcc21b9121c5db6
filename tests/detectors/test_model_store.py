from __future__ import annotations

import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.preprocessing import FunctionTransformer

from ctlymph.core.errors import CtlymphError
from ctlymph.detectors import model_store
from ctlymph.detectors.model_store import dump_part, ending_of, load_part


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
    with pytest.raises(ValueError, match="cannot hold it"):
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
    with pytest.raises(CtlymphError, match="unfolds to"):
        load_part(path)


def test_a_part_that_is_no_dict_or_has_lost_a_file_is_refused(tmp_path: Path) -> None:
    skops.io.dump([1, 2], tmp_path / "list.skops")
    with pytest.raises(CtlymphError, match="no part of a model"):
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
