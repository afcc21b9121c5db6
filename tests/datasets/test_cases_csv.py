from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ctlymph.core.errors import CtlymphError, UsageError
from ctlymph.datasets.case import Collection
from ctlymph.datasets.cases_csv import read_cases_csv
from ctlymph.datasets.folds import make_folds
from ctlymph.evaluation.readers.ground_truth_files import read_ground_truth
from ctlymph.io.csv_table import write_csv
from ctlymph.measurement.masks import split
from ctlymph.training import splits
from own_data import HEADER, row, write_cases, write_own_data


def test_any_folder_of_cts_and_labels_is_a_dataset(tmp_path: Path) -> None:
    written = write_own_data(tmp_path)
    collection = Collection(tmp_path)
    assert collection.notes == ()
    assert [case.name for case in collection.cases()] == ["PAT001", "PAT002", "PAT004", "PAT003"]
    assert [case.name for case in collection.cases("abdomen")] == ["PAT003"]
    for case in collection.cases():
        small = written[case.name]
        ct = case.ct()
        assert ct.case == case.name
        assert np.array_equal(ct.hu, small.volume.hu)
        assert np.array_equal(case.masks(ct).labels, small.masks.labels)
        assert case.has == {"ct", "annotations", "masks"}
        assert (case.patient, case.split, case.entry, case.licence) == (case.name, "", None, "")


def test_nodes_are_measured_where_nobody_gave_a_size(tmp_path: Path) -> None:
    written = write_own_data(tmp_path)
    for case in Collection(tmp_path).cases():
        small = {len(written[case.name].nodes) - row: node for row, node in enumerate(written[case.name].nodes)}
        for node in case.nodes():
            assert node.point_mm == pytest.approx(small[node.row].point_mm, abs=0.01)
            # voxels are 2 mm: an axis is short or long by up to one of them
            assert node.long_axis_mm == pytest.approx(max(small[node.row].axes_mm[:2]), abs=2.5)
            assert node.short_axis_mm is not None
            assert node.short_axis_mm <= (node.long_axis_mm or 0)


def test_a_binary_mask_becomes_one_node_a_piece(tmp_path: Path) -> None:
    written = write_own_data(tmp_path, binary=True)
    for case in Collection(tmp_path).cases():
        assert len(case.nodes()) == len(written[case.name].nodes)
        assert case.masks().labels.max() == len(written[case.name].nodes)


def test_a_table_of_points_gives_the_nodes_and_labels_the_sizes_that_it_lacks(tmp_path: Path) -> None:
    small = write_own_data(tmp_path)["PAT001"]
    first, second = (node.point_mm for node in small.nodes)
    columns = ("case", "x_mm", "y_mm", "z_mm", "short_axis_mm")
    rows = [("PAT001", *first, 12.5), ("PAT001", *second, None), ("PAT002", 0, 0, 0, 9)]
    write_csv(tmp_path / "points.csv", columns, rows)
    write_cases(tmp_path, [f"{row('PAT001')},points.csv"], f"{HEADER},points")
    (case,) = Collection(tmp_path).cases()
    given, measured = case.nodes()
    assert (given.point_mm, given.short_axis_mm, given.long_axis_mm) == (first, 12.5, None)
    assert measured.point_mm == second
    assert measured.short_axis_mm == pytest.approx(min(small.nodes[1].axes_mm[:2]), abs=2.5)


def test_names_decide_nothing_where_the_table_says_otherwise(tmp_path: Path) -> None:
    write_own_data(tmp_path)
    (tmp_path / "images" / "PAT003.nii.gz").rename(tmp_path / "images" / "x.nii.gz")
    write_cases(tmp_path, ["MED_LYMPH_002,P7,abdomen,,images/x.nii.gz,labels/PAT003.nii.gz"])
    (case,) = Collection(tmp_path).cases()
    assert (case.region, case.patient, case.entry) == ("abdomen", "P7", None)


def test_windows_paths_blanks_and_capitals_are_understood(tmp_path: Path) -> None:
    write_own_data(tmp_path)
    write_cases(tmp_path, ["PAT001, P1 ,Mediastinum,TEST,images\\PAT001.nii.gz, labels\\PAT001.nii.gz"])
    (case,) = read_cases_csv(tmp_path / "cases.csv")
    assert (case.patient, case.regions, case.split) == ("P1", ("mediastinum",), "test")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["PAT001,,?,,images/PAT001.nii.gz,"], "line 2: region is '\\?'; write mediastinum or abdomen, or both as"),
        (["PAT001,,,,images/PAT001.nii.gz,"], "line 2: region is ''"),
        ([row("PAT001"), "PAT001,,abdomen,,,"], "line 3: PAT001 stands in line 2 already"),
        ([row("PAT001"), "pat001,,abdomen,,,"], "line 3: pat001 stands in line 2 already"),
        (["PAT001,,abdomen,,images/none.nii.gz,"], "line 2: ct images/none.nii.gz does not exist"),
        ([row("PAT001"), "P2,,abdomen,,,labels/none.nii.gz"], "line 3: labels labels/none.nii.gz does not exist"),
        ([row("PAT001", split="validation")], "line 2: split is 'validation'; write train or test"),
        (["a/b,,abdomen,,images/PAT001.nii.gz,"], "line 2: 'a/b' cannot name a case"),
        (
            [row("PAT001", patient="A", split="train"), row("PAT002", patient="A", split="test")],
            "line 3: PAT002 and PAT001 \\(line 2\\) are of patient A",
        ),
        ([row("PAT001", region="mediastinum;abdomen")], "line 2: two regions are annotated, so each node must say"),
        ([], "holds no case; add a row for each, such as PAT001,"),
        (["PAT009,,abdomen,,,"], "PAT009 names no file, and no file was found by that name"),
    ],
)
def test_what_is_wrong_is_said_with_line_and_remedy(tmp_path: Path, rows: list[str], message: str) -> None:
    write_own_data(tmp_path)
    write_cases(tmp_path, rows)
    with pytest.raises(CtlymphError, match=f"cases.csv.*{message}"):
        Collection(tmp_path)


def test_a_missing_column_is_named_with_an_example(tmp_path: Path) -> None:
    write_own_data(tmp_path)
    write_cases(tmp_path, ["PAT001,images/PAT001.nii.gz"], "case,ct")
    with pytest.raises(CtlymphError, match="has no column region; its columns are case,patient,region"):
        Collection(tmp_path)


def test_a_folder_without_the_table_says_how_to_write_it(tmp_path: Path) -> None:
    write_own_data(tmp_path)
    (tmp_path / "cases.csv").unlink()
    with pytest.raises(CtlymphError, match=r"write cases.csv into it \(ctlymph collection init drafts it\)"):
        Collection(tmp_path)


def test_cases_of_unknown_region_are_named_and_not_passed_over(tmp_path: Path) -> None:
    write_own_data(tmp_path)
    (tmp_path / "cases.csv").unlink()
    (tmp_path / "labels" / "PAT001.nii.gz").rename(tmp_path / "PAT001_mask.nii.gz")
    collection = Collection(tmp_path)
    assert "no region is known of PAT001; write cases.csv" in collection.notes[0]
    with pytest.raises(CtlymphError, match="in which region the nodes of PAT001"):
        collection.cases("abdomen")


def test_two_regions_need_nodes_that_say_theirs(tmp_path: Path) -> None:
    write_own_data(tmp_path)
    columns = ("x_mm", "y_mm", "z_mm", "short_axis_mm", "region")
    write_csv(tmp_path / "points.csv", columns, [(0, 0, 0, 12, "Abdomen"), (0, 0, 200, 14, "mediastinum")])
    write_cases(tmp_path, [f"{row('PAT001', region='abdomen; mediastinum')},points.csv"], f"{HEADER},points")
    collection = Collection(tmp_path)
    (case,) = collection.cases("abdomen")
    assert collection.cases("mediastinum") == [case]
    assert case.region == "mediastinum;abdomen"
    assert [node.short_axis_mm for node in case.nodes("mediastinum")] == [14]
    assert len(case.nodes()) == 2
    truth = read_ground_truth(tmp_path)
    assert truth.of_region("abdomen").short_axis_mm.tolist() == [12]
    assert truth.of_region("abdomen").regions == ("abdomen",)
    chosen = splits.training_cases(collection)
    assert [(each.name, each.region) for each in chosen.all] == [("PAT001", "mediastinum"), ("PAT001", "abdomen")]
    assert chosen.distinct == [case]
    write_csv(tmp_path / "points.csv", columns, [(0, 0, 0, 12, "")])
    with pytest.raises(CtlymphError, match="node 1 of PAT001 names no region"):
        case.nodes()


def test_test_cases_are_never_trained_on(tmp_path: Path) -> None:
    write_own_data(tmp_path, rows=[row("PAT001"), row("PAT002", split="test"), row("PAT004", split="train")])
    collection = Collection(tmp_path)
    chosen = splits.training_cases(collection, ("mediastinum",))
    assert [case.name for case in chosen.all] == ["PAT001", "PAT004"]
    assert "for testing only, never trained on: PAT002" in chosen.notes[0]
    assert [case.name for case in splits.test_cases(collection, "mediastinum").all] == ["PAT002"]


def test_folds_keep_the_cases_of_a_patient_together(tmp_path: Path) -> None:
    rows = [row("PAT001", patient="A"), row("PAT002", patient="B"), row("PAT003"), row("PAT004", patient="A")]
    write_own_data(tmp_path, rows=rows)
    cases = Collection(tmp_path).cases()
    folds = make_folds(cases, 2)
    assert folds.fold_of("PAT001") == folds.fold_of("PAT004")
    folds.check(cases)
    apart = type(folds)((("PAT001", "PAT003"), ("PAT002", "PAT004")))
    with pytest.raises(CtlymphError, match="PAT001 and PAT004 are of one patient; put them in one fold"):
        apart.check(cases)


def test_truth_is_read_from_the_table(tmp_path: Path) -> None:
    written = write_own_data(tmp_path)
    truth = read_ground_truth(tmp_path)
    assert sorted(truth.cases) == sorted(written)
    assert len(truth) == sum(len(case.nodes) for case in written.values())
    assert dict(zip(truth.cases, truth.regions, strict=True))["PAT003"] == "abdomen"


def test_truth_of_a_split_holds_its_cases_alone(tmp_path: Path) -> None:
    write_own_data(tmp_path, rows=[row("PAT001"), row("PAT002", split="test"), row("PAT004", split="train")])
    assert read_ground_truth(tmp_path, split="test").cases == ("PAT002",)
    assert read_ground_truth(tmp_path, split="train").cases == ("PAT001", "PAT004")
    with pytest.raises(CtlymphError, match="names no test case among those to evaluate"):
        read_ground_truth(tmp_path, ["PAT001"], split="test")
    with pytest.raises(UsageError, match=r"has no cases\.csv"):
        read_ground_truth(tmp_path / "labels", split="test")


def test_pieces_that_touch_at_a_corner_are_one_node(tmp_path: Path) -> None:
    small = write_own_data(tmp_path, binary=True)["PAT001"]
    assert len(np.unique(split(small.masks).labels)) == 1 + len(small.nodes)
