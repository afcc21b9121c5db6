"""Predictions of other programs, and the folds that they must fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.datasets.folds import Folds
from ctlymph.training.external_predictions import ExternalPredictions, read_predictions

FOLDS = Folds((("A", "B"), ("C", "D")))
CASES = ["A", "B", "C", "D"]


def write(folder: Path, marks: Mapping[str, Sequence[float]]) -> None:
    """Write a nodes.csv: by case, the x of each mark, which is its score times 100, too."""
    folder.mkdir(parents=True)
    rows = [f"{case},{x},2,3,{x / 100}\n" for case, places in marks.items() for x in places]
    (folder / "nodes.csv").write_text("case,x_mm,y_mm,z_mm,score\n" + "".join(rows), encoding="utf-8")


def test_a_folder_for_each_fold_is_read_as_one(tmp_path: Path) -> None:
    write(tmp_path / "fold_0", {"A": [10], "B": [20, 30]})
    write(tmp_path / "fold_1" / "validation", {"C": [40], "other": [50]})
    (tmp_path / "fold_1" / "validation" / "cases.txt").write_text("C\nD\n")
    found = read_predictions(ExternalPredictions("net", tmp_path), CASES, FOLDS)
    assert (found.name, found.cases) == ("net", tuple(CASES))
    assert [found.cases[number] for number in found.case] == ["A", "B", "B", "C"]
    np.testing.assert_allclose(found.points_mm[:, 0], [10, 20, 30, 40])
    np.testing.assert_allclose(found.scores, [0.1, 0.2, 0.3, 0.4])
    assert not found.injected.any()


def test_one_folder_for_all_folds_is_read_and_cases_of_the_other_region_are_left_out(tmp_path: Path) -> None:
    write(tmp_path / "all", {"D": [1], "A": [2], "B": [3], "C": [4]})
    found = read_predictions(ExternalPredictions("net", tmp_path / "all"), ["A", "C"], FOLDS)
    assert found.cases == ("A", "C")
    assert sorted(found.points_mm[:, 0].tolist()) == [2, 4]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (
            {"fold_0": "AB", "fold_1": "C"},
            "D is not in the predictions of net; predict it, or, .* in cases.txt",
        ),
        (
            {"fold_0": "ABC", "fold_1": "CD"},
            "C is in the predictions of net for the folds 0 and 1; keep that of",
        ),
        (
            {"fold_0": "AC", "fold_1": "BD"},
            "B is in .* for fold 1, but the benchmark tests it in fold 0",
        ),
        ({"fold_0": "AB"}, "has folders of the folds 0, but the benchmark has 2 folds"),
        ({"fold_1": "AB", "fold_2": "CD"}, "has folders of the folds 1, 2, but the benchmark has 2 folds"),
        ({"all": "ABC"}, "holds no detections"),
    ],
)
def test_predictions_that_do_not_fit_the_folds_are_refused_by_case(
    tmp_path: Path, parts: Mapping[str, str], words: str
) -> None:
    for name, cases in parts.items():
        write(tmp_path / name, {case: [1] for case in cases})
    if "all" in parts:
        (tmp_path / "all" / "nodes.csv").unlink()
    with pytest.raises(CtlymphError, match=words):
        read_predictions(ExternalPredictions("net", tmp_path), CASES, FOLDS)


def test_an_absent_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CtlymphError, match="gone is no folder"):
        read_predictions(ExternalPredictions("net", tmp_path / "gone"), CASES, FOLDS)
