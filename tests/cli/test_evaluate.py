from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from ctlymph.cli.main import app
from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import Geometry, Masks, Volume
from ctlymph.io.images import write_image, write_masks

TRUTH = "case,node,x_mm,y_mm,z_mm,short_axis_mm,long_axis_mm,region,station\n"


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """The toy case of the protocol: 0.9 on A, 0.8 on A again, 0.7 on nothing, 0.6 on B, 0.5 on C in another scan."""
    rows = ("1,1,0,0,0,12,15,,\n", "1,2,100,0,0,12,15,,\n", "2,1,0,50,0,12,15,,\n")
    (tmp_path / "truth.csv").write_text(TRUTH + "".join(rows))
    marks = ("1,0,0,0,0.9", "1,0,0,0,0.8", "1,0,300,0,0.7", "1,100,0,0,0.6", "2,0,50,0,0.5")
    header = "seriesuid,coordX,coordY,coordZ,probability\n"
    (tmp_path / "marks.csv").write_text(header + "\n".join(marks) + "\n")
    (tmp_path / "worse.csv").write_text(header + "\n".join(marks[2:]) + "\n")
    return tmp_path


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments), "--bootstraps", "50"])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_all_results_of_the_toy_case_are_written(toy: Path) -> None:
    result = run(toy / "marks.csv", "--truth", toy / "truth.csv", "-o", toy / "out", "--at", "0.4")
    assert "marks\tend to end\t1.000" in result.stdout
    assert "threshold 0.9 gives sensitivity 0.333 at 0 false positives per CT" in result.stderr
    points = [(row["false_per_volume"], row["hits"]) for row in rows_of(toy / "out" / "froc.csv")]
    assert points == [("0", "1"), ("0.5", "1"), ("0.5", "2"), ("0.5", "3")]
    outcomes = [row["outcome"] for row in rows_of(toy / "out" / "matches.csv") if row["kind"] == "detection"]
    assert outcomes == ["hit", "duplicate", "false positive", "hit", "hit"]
    nodes = [(row["outcome"], row["score"]) for row in rows_of(toy / "out" / "matches.csv") if row["kind"] == "node"]
    assert nodes == [("hit", "0.9"), ("hit", "0.6"), ("hit", "0.5")]
    assert json.loads((toy / "out" / "evaluation.json").read_text())["rules"]["hit"] == "15mm"
    assert Image.open(toy / "out" / "froc.png").size[0] > 1000
    assert (toy / "out" / "froc.svg").read_text().startswith("<?xml")
    page = (toy / "out" / "evaluation.html").read_text()
    assert "For research use, not for diagnosis" in page
    assert "the highest-scoring of 1 false positives" in page.lower()
    assert "0.0, 300.0, 0.0" in page


def test_two_detectors_are_compared(toy: Path) -> None:
    result = run(toy / "marks.csv", toy / "worse.csv", "--truth", toy / "truth.csv", "-o", toy / "out")
    assert "worse\tsensitivity at 1 FP\t-0.333" in result.stdout


def test_json_is_what_is_written(toy: Path) -> None:
    result = run(toy / "marks.csv", "--truth", toy / "truth.csv", "-o", toy / "out", "--json", "--duplicates", "fp")
    assert json.loads(result.stdout) == json.loads((toy / "out" / "evaluation.json").read_text())


def test_the_same_seed_gives_the_same_files(toy: Path) -> None:
    for name in ("one", "two"):
        run(toy / "marks.csv", "--truth", toy / "truth.csv", "-o", toy / name, "--seed", "3")
    for name in ("evaluation.json", "froc.csv", "matches.csv", "froc.png"):
        assert (toy / "one" / name).read_bytes() == (toy / "two" / name).read_bytes()


def test_the_truth_is_an_option_and_the_old_order_of_files_a_usage_error(toy: Path) -> None:
    for files in ((toy / "marks.csv",), (toy / "marks.csv", toy / "truth.csv")):
        result = run(*files, "-o", toy / "out")
        assert result.exit_code == 2
        assert "--truth TRUTH" in " ".join(result.output.replace("│", " ").split())
    assert not (toy / "out").exists()


def test_marks_of_a_case_that_the_truth_does_not_have_are_refused_and_nothing_is_left(toy: Path) -> None:
    (toy / "marks.csv").write_text("seriesuid,coordX,coordY,coordZ,probability\n3,0,0,0,0.9\n")
    with pytest.raises(CtlymphError, match="3"):
        run(toy / "marks.csv", "--truth", toy / "truth.csv", "-o", toy / "out")
    assert not (toy / "out").exists()


def write_ct(path: Path) -> None:
    """Write fat that reaches from -40 to 118 mm along each axis, with a ball of 12 mm at 100, 0, 0."""
    index = np.indices((80, 80, 80)) * 2.0 - 40
    ball = np.sqrt(index[0] ** 2 + index[1] ** 2 + (index[2] - 100) ** 2) < 6
    geometry = Geometry((80, 80, 80), np.array([-40.0, -40.0, -40.0]), np.array([2.0, 2.0, 2.0]))
    write_image(Volume(np.where(ball, 50, -100).astype(np.int16), geometry), path)


def pictures(page: str) -> int:
    return page.count("<image ")


def test_the_page_shows_pictures_where_the_ct_is_given_and_says_why_elsewhere(toy: Path) -> None:
    (toy / "cts").mkdir()
    write_ct(toy / "cts" / "1.nii.gz")
    run(toy / "worse.csv", "--truth", toy / "truth.csv", "-o", toy / "out", "--ct", toy / "cts")
    page = (toy / "out" / "evaluation.html").read_text()
    assert pictures(page) == 6, "the missed node and the hit one in the CT, each on three planes"
    assert "it lies outside the CT" in page
    run(toy / "worse.csv", "--truth", toy / "truth.csv", "-o", toy / "bare")
    assert pictures((toy / "bare" / "evaluation.html").read_text()) == 0


def test_true_masks_are_not_shown_as_cts(toy: Path) -> None:
    labels = np.zeros((9, 9, 9), np.uint16)
    labels[2:7, 2:7, 2:7] = 2
    (toy / "truth").mkdir()
    write_masks(Masks(labels, Geometry((9, 9, 9), np.zeros(3), np.full(3, 3.0))), toy / "truth" / "1.nii.gz")
    (toy / "marks.csv").write_text("case,x_mm,y_mm,z_mm,score\n1,10,10,10,0.5\n")
    run(toy / "marks.csv", "--truth", toy / "truth", "-o", toy / "out")
    assert pictures((toy / "out" / "evaluation.html").read_text()) == 0
    write_masks(Masks(labels, Geometry((9, 9, 9), np.zeros(3), np.full(3, 3.0))), toy / "truth" / "1_mask.nii.gz")
    (toy / "truth" / "1.nii.gz").unlink()
    write_ct(toy / "truth" / "1.nii.gz")
    run(toy / "marks.csv", "--truth", toy / "truth", "-o", toy / "shown")
    assert pictures((toy / "shown" / "evaluation.html").read_text()) == 3


def test_a_folder_without_any_of_the_cts_is_an_error(toy: Path) -> None:
    (toy / "cts").mkdir()
    with pytest.raises(CtlymphError, match="no CT of 1 or another case"):
        run(toy / "marks.csv", "--truth", toy / "truth.csv", "-o", toy / "out", "--ct", toy / "cts")


def test_one_region_is_evaluated_alone(tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text(
        "case,node,x_mm,y_mm,z_mm,short_axis_mm,annotated_region\nM,1,0,0,0,12,mediastinum\nA,1,0,0,0,12,abdomen\n"
    )
    (tmp_path / "marks.csv").write_text("case,x_mm,y_mm,z_mm,score\nM,0,0,0,1\nA,90,0,0,1\n")
    files = (tmp_path / "marks.csv", "--truth", tmp_path / "truth.csv", "-o", tmp_path / "out")
    run(*files, "--region", "mediastinum")
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (found["cases"], found["nodes"]["all"], found["detectors"][0]["nodes_hit"]) == (1, 1, 1)
    assert found["detectors"][0]["detections"]["false_positive"] == 0
    assert run(*files, "--region", "pelvis").exit_code == 2
    (tmp_path / "truth.csv").write_text("case,x_mm,y_mm,z_mm,short_axis_mm\nM,0,0,0,12\nA,0,0,0,12\n")
    with pytest.raises(CtlymphError, match="annotated in no case"):
        run(*files, "--region", "abdomen", "--overwrite")


def test_nnunets_output_is_scored_on_a_dataset_of_ones_own(tmp_path: Path) -> None:
    """PAT001 has two nodes, one of them found. PAT002, of another region, has one, found, and a false positive."""
    grid = Geometry((20, 40, 40), np.array([-40.0, -40.0, 100.0]), np.array([1.0, 1.0, 2.0]))
    data, output = tmp_path / "data", tmp_path / "nnunet"
    for folder in (data / "labels", output):
        folder.mkdir(parents=True)
    for case, true, found in (("PAT001", (5, 25), (5,)), ("PAT002", (5,), (5, 28))):
        labels, foreground = np.zeros((2, *grid.shape_zyx), np.uint16)
        for number, start in enumerate(true, start=1):
            labels[5:12, start : start + 12, 5:17] = number
        for start in found:
            foreground[6:12, start + 1 : start + 11, 6:16] = 1
        write_masks(Masks(labels, grid), data / "labels" / f"{case}.nii.gz")
        write_masks(Masks(foreground, grid), output / f"{case}.nii.gz")
    (output / "dataset.json").write_text('{"labels": {"background": 0, "lymph_node": 1}}')
    rows = "PAT001,abdomen,labels/PAT001.nii.gz\nPAT002,mediastinum,labels/PAT002.nii.gz\n"
    (data / "cases.csv").write_text(f"case,region,labels\n{rows}")
    files = (output, "--truth", data, "-o", tmp_path / "out", "--hit", "iou0.1", "--overwrite", "--json")
    for region, hits, nodes, false in (((), 2, 3, 1), (("--region", "abdomen"), 1, 2, 0)):
        (found,) = json.loads(run(*files, *region).stdout)["detectors"]
        assert (found["nodes_hit"], found["detections"]["false_positive"]) == (hits, false)
        assert found["metrics"]["max_sensitivity"]["value"] == pytest.approx(hits / nodes, abs=1e-6)
    table = rows_of(tmp_path / "out" / "matches.csv")
    assert {row["case"] for row in table} == {"PAT001"}


def test_marks_that_name_no_nodes_cannot_be_matched_by_ids(toy: Path) -> None:
    with pytest.raises(CtlymphError, match="name no nodes"):
        run(toy / "marks.csv", "--truth", toy / "truth.csv", "-o", toy / "out", "--hit", "ids")
