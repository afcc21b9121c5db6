from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.preprocessing import FunctionTransformer

from ctlymph import models
from ctlymph.errors import CtlymphError
from ctlymph.models import dump_part, load_part


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


@pytest.mark.parametrize("write", [pickle.dumps, lambda evil: b"", lambda evil: b"PK\x03\x04 cut off"])
def test_what_is_no_part_is_refused_and_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "part.skops"
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


def test_a_file_that_unfolds_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "part.skops"
    dump_part(path, {"zeros": np.zeros(100_000)})
    monkeypatch.setattr(models, "LARGEST_PART", 100_000)
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
