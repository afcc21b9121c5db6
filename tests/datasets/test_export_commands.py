from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from ctlymph.cli.collection_export import export
from ctlymph.cli.collection_folds import folds
from ctlymph.core.errors import CtlymphError
from ctlymph.datasets.folds import read_folds
from small_collection import SmallCase, write_small_collection

APP = typer.Typer()
APP.command()(export)
APP.command()(folds)


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(APP, [str(argument) for argument in arguments])
    if isinstance(result.exception, CtlymphError):
        raise result.exception
    if result.exit_code == 2:
        raise typer.BadParameter(" ".join(result.stderr.replace("│", " ").split()))
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def collection(small_collection: tuple[Path, dict[str, SmallCase]]) -> Path:
    return small_collection[0]


def test_forms_are_exported_to_one_folder_from_one_conversion(collection: Path, tmp_path: Path) -> None:
    for formats in ("nnunet", "nndetection, monai, csv"):
        run("export", collection, "-o", tmp_path, "--formats", formats, "--folds", 2, "--seed", 1, "--jobs", 2)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("LICENSE.txt", "CITATION.txt", "CITATION.bib", "cases", "nodes.csv"),
        *("Dataset501_CTLymphNodes", "Task501_CTLymphNodes"),
        *("datalist.json", "datalist_boxes.json", "datalist_points.json"),
    }
    ct = tmp_path / "cases" / "ABD_LYMPH_001" / "ct.nii.gz"
    assert ct.stat().st_nlink == 3
    splits = [
        json.loads((tmp_path / f"{name}501_CTLymphNodes" / "splits_final.json").read_text())
        for name in ("Dataset", "Task")
    ]
    assert splits[0] == splits[1]


def test_region_and_cases_choose_what_is_exported(collection: Path, tmp_path: Path) -> None:
    run(
        "export", collection, "-o", tmp_path, "--formats", "nnunet", "--region", "abdomen", "--task", 7, "--name", "ABD"
    )
    run("export", collection, "-o", tmp_path, "--formats", "monai", "--cases", "MED_LYMPH_001,ABD_LYMPH_003")
    images = (tmp_path / "Dataset007_ABD" / "imagesTr").iterdir()
    assert sorted(path.name for path in images) == ["ABD_LYMPH_001_0000.nii.gz", "ABD_LYMPH_003_0000.nii.gz"]
    items = json.loads((tmp_path / "datalist.json").read_text())["training"]
    assert [item["case"] for item in items] == ["MED_LYMPH_001", "ABD_LYMPH_003"]


def test_incomplete_cases_stop_an_export_unless_they_are_skipped(tmp_path: Path) -> None:
    write_small_collection(tmp_path / "data", ["MED_LYMPH_001"])
    write_small_collection(tmp_path / "data", ["ABD_LYMPH_003"], parts=["ct"])
    arguments = ("export", tmp_path / "data", "-o", tmp_path / "out", "--formats", "nnunet")
    with pytest.raises(CtlymphError, match="ABD_LYMPH_003"):
        run(*arguments)
    assert not (tmp_path / "out").exists()
    assert "ABD_LYMPH_003 is left out" in run(*arguments, "--skip-incomplete").stderr


def test_folds_of_the_whole_collection_need_no_data(tmp_path: Path) -> None:
    path = tmp_path / "folds.json"
    printed = run("folds", "--folds", "roth2014", "--seed", 4, "-o", path).stdout
    made = read_folds(path)
    assert (made.k, made.seed, made.setting, len(made.names)) == (3, 4, "roth2014", 176)
    rows = [line.split("\t") for line in printed.splitlines()]
    assert rows[0] == ["fold", "cases", "mediastinum cases", "mediastinum nodes", "abdomen cases", "abdomen nodes"]
    assert [sum(int(row[column]) for row in rows[1:]) for column in range(1, 6)] == [176, 90, 388, 86, 595]


def test_an_export_takes_the_folds_of_a_file(collection: Path, tmp_path: Path) -> None:
    path = tmp_path / "folds.json"
    run("folds", collection, "--folds", 2, "-o", path)
    run("export", collection, "-o", tmp_path / "out", "--formats", "monai", "--folds", path)
    items = json.loads((tmp_path / "out" / "datalist.json").read_text())["training"]
    made = read_folds(path)
    assert {item["case"]: item["fold"] for item in items} == {name: made.fold_of(name) for name in made.names}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("folds", "--folds", "nobody2020"), "neither a number"),
        (("folds", "--region", "neck"), "'neck' is not one of 'mediastinum', 'abdomen'"),
        (("export", ".", "-o", "out", "--formats", "coco"), "choose from nnunet, nndetection, monai, csv"),
    ],
)
def test_what_no_option_can_mean_is_a_usage_error(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(typer.BadParameter, match=message):
        run(*arguments)


def test_impossible_folds_are_one_line() -> None:
    with pytest.raises(CtlymphError, match="choose 2 to"):
        run("folds", "--folds", "1")
