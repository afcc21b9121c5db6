from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from ctlymph.cli.main import main
from ctlymph.core.volume import Geometry, Masks, Volume
from ctlymph.io.images import write_image, write_masks
from ctlymph.io.mitk import read_point_set
from ctlymph.io.node_tables import read_nodes_csv

GRID = Geometry((20, 60, 64), np.array([-30.0, -25.0, 400.0]), np.array([0.8, 0.8, 2.0]))


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A folder with ``case1.nii.gz`` and two balls under labels 2 and 7 in ``mask.nrrd``."""
    k, j, i = np.indices(GRID.shape_zyx)
    points = GRID.index_to_mm(np.stack([i, j, k], axis=-1))
    labels = np.zeros(GRID.shape_zyx, dtype=np.uint16)
    for label, centre, diameter in ((2, (-15.0, -5.0, 415.0), 16), (7, (8.0, 5.0, 425.0), 10)):
        labels[np.linalg.norm(points - centre, axis=-1) <= diameter / 2] = label
    hu = np.where(labels > 0, 45, -90).astype(np.int16)
    write_image(Volume(hu, GRID), tmp_path / "case1.nii.gz")
    write_masks(Masks(labels, GRID).reorient("RAS"), tmp_path / "mask.nrrd")
    write_masks(Masks((labels > 0).astype(np.uint16), GRID), tmp_path / "binary.nii.gz")
    return tmp_path


def ctlymph(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run the command as a shell would; give its exit code."""
    monkeypatch.setattr(sys, "argv", ["ctlymph", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_:
        main()
    return int(exit_.value.code or 0)


def test_a_drawn_mask_is_measured_and_all_files_appear(
    case: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ctlymph(monkeypatch, "measure", case / "case1.nii.gz", case / "mask.nrrd", "-o", case / "out") == 0
    assert sorted(path.name for path in (case / "out").iterdir()) == [
        "masks.nii.gz",
        "nodes.csv",
        "nodes.json",
        "nodes.mps",
        "nodes.mrk.json",
        "report.html",
    ]
    first, second = read_nodes_csv(case / "out" / "nodes.csv")
    assert (first.case, first.node, second.node, first.score, first.model) == ("case1", 2, 7, None, "")
    assert [first.short_axis_mm, first.long_axis_mm] == pytest.approx([16, 16], abs=0.5)
    assert [second.short_axis_mm, second.long_axis_mm] == pytest.approx([10, 10], abs=0.5)
    assert first.point_mm == pytest.approx((-15, -5, 415), abs=0.3)
    assert first.mean_hu == 45
    assert read_point_set(case / "out" / "nodes.mps")[0] == pytest.approx(first.point_mm, abs=1e-3)
    output = capsys.readouterr()
    assert output.out.splitlines()[0].startswith("node\t")
    assert len(output.out.splitlines()) == 3
    assert "not for diagnosis" in output.err


def test_json_prints_the_rows(case: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert ctlymph(monkeypatch, "measure", case / "case1.nii.gz", case / "mask.nrrd", "-o", case / "out", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [node["node"] for node in document["nodes"]] == [2, 7]


def test_one_label_for_two_nodes_is_pointed_out_and_split_on_demand(
    case: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("measure", case / "case1.nii.gz", case / "binary.nii.gz", "-o")
    assert ctlymph(monkeypatch, *arguments, case / "one") == 0
    assert "1 label but 2 separate pieces" in capsys.readouterr().err
    assert len(read_nodes_csv(case / "one" / "nodes.csv")) == 1
    assert ctlymph(monkeypatch, *arguments, case / "two", "--split") == 0
    assert "pieces" not in capsys.readouterr().err
    assert len(read_nodes_csv(case / "two" / "nodes.csv")) == 2


def test_a_mask_on_another_grid_is_refused_by_name_and_nothing_is_written(
    case: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shifted = Geometry(GRID.shape_zyx, GRID.origin_mm + np.array([0, 0, 30]), GRID.spacing_mm)
    write_masks(Masks(np.ones(GRID.shape_zyx, dtype=np.uint16), shifted), case / "shifted.nii.gz")
    code = ctlymph(monkeypatch, "measure", case / "case1.nii.gz", case / "shifted.nii.gz", "-o", case / "out")
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert code == 1
    assert line.startswith("error:")
    assert "shifted.nii.gz" in line
    assert "30.00 mm away" in line
    assert not (case / "out").exists()


def test_an_empty_mask_gives_empty_results_and_says_so(
    case: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_masks(Masks(np.zeros(GRID.shape_zyx, dtype=np.uint16), GRID), case / "empty.nii.gz")
    assert ctlymph(monkeypatch, "measure", case / "case1.nii.gz", case / "empty.nii.gz", "-o", case / "out") == 0
    assert "holds no node" in capsys.readouterr().err
    assert read_nodes_csv(case / "out" / "nodes.csv") == []
    assert "The masks hold no node" in (case / "out" / "report.html").read_text()


def test_results_are_not_overwritten_unless_asked(
    case: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("measure", case / "case1.nii.gz", case / "mask.nrrd", "-o", case / "out")
    assert ctlymph(monkeypatch, *arguments) == 0
    assert ctlymph(monkeypatch, *arguments) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert ctlymph(monkeypatch, *arguments, "--overwrite") == 0
