from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import Masks
from ctlymph.datasets.case import Case, Collection
from ctlymph.datasets.exports import monai_datalist, nndetection, nnunet, nodes_csv
from ctlymph.datasets.exports.export_job import ExportJob, complete_cases, default_name
from ctlymph.datasets.exports.prepared import Preparation, PreparedCase, prepare
from ctlymph.datasets.folds import make_folds
from ctlymph.io.images import read_image, read_masks, write_masks
from ctlymph.io.node_tables import COLUMNS
from own_data import row as case_row
from own_data import write_own_data
from small_collection import SmallCase, write_small_collection

Small = tuple[Path, dict[str, SmallCase]]
Exported = tuple[Path, list[PreparedCase], ExportJob]


@pytest.fixture(scope="module")
def cases(small_collection: Small) -> list[Case]:
    return Collection(small_collection[0]).cases()


@pytest.fixture(scope="module")
def exported(cases: list[Case], tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """All forms of the small collection in one folder."""
    folder = tmp_path_factory.mktemp("exported")
    job = ExportJob(cases, folder, folds=make_folds(cases, 2))
    prepared = Preparation(folder).prepare_all(cases)
    nnunet.write_nnunet(job, prepared)
    nndetection.write_nndetection(job, prepared)
    monai_datalist.write_monai(job, prepared)
    nodes_csv.write_table(job)
    return folder, prepared, job


def load(path: Path) -> dict[str, object]:
    document: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return document


def test_image_and_labels_are_those_of_the_collection_on_one_grid(exported: Exported, small_collection: Small) -> None:
    folder, _, _ = exported
    for name, case in small_collection[1].items():
        ct = read_image(folder / "cases" / name / "ct.nii.gz")
        instances = read_masks(folder / "cases" / name / "instances.nii.gz")
        nodes = read_masks(folder / "cases" / name / "nodes.nii.gz")
        np.testing.assert_array_equal(ct.hu, case.volume.hu)
        np.testing.assert_array_equal(instances.labels, case.masks.labels)
        np.testing.assert_array_equal(nodes.labels, case.masks.labels > 0)
        for geometry in (ct.geometry, instances.geometry, nodes.geometry):
            assert geometry.matches(case.volume.geometry, 1e-3)
        affines = [nib.load(folder / "cases" / name / f"{file}.nii.gz").affine for file in ("ct", "instances", "nodes")]
        assert (affines[0] == affines[1]).all()
        assert (affines[0] == affines[2]).all()


def test_a_label_lies_in_ras_where_the_annotation_is(exported: Exported, cases: list[Case]) -> None:
    for case in cases:
        image = nib.load(exported[0] / "cases" / case.name / "instances.nii.gz")
        for node in case.nodes():
            x, y, z = node.point_mm
            i, j, k = np.rint(np.linalg.solve(image.affine, [-x, -y, z, 1])[:3]).astype(int)
            assert image.dataobj[i, j, k] > 0


def test_labels_with_gaps_become_consecutive_and_the_record_tells_their_source(
    small_collection: Small, tmp_path: Path
) -> None:
    folder = tmp_path / "collection"
    small = write_small_collection(folder, ["ABD_LYMPH_003"])["ABD_LYMPH_003"]
    gaps = np.array([0, 3, 700, 9, 65535], dtype=np.uint16)[small.masks.labels]
    mask = folder / "MED_ABD_LYMPH_MASKS" / "ABD_LYMPH_003" / "ABD_LYMPH_003_mask.nii.gz"
    write_masks(Masks(gaps, small.masks.geometry), mask, overwrite=True)
    prepared = prepare(Collection(folder).cases()[0], tmp_path / "out")
    assert [instance.mask_label for instance in prepared.instances] == [3, 9, 700, 65535]
    labels = read_masks(tmp_path / "out" / "instances.nii.gz").labels
    for instance in prepared.instances:
        np.testing.assert_array_equal(labels == instance.label, gaps == instance.mask_label)
        assert instance.voxels == np.count_nonzero(labels == instance.label)
        z, y, x = np.nonzero(labels == instance.label)
        assert instance.low_ijk == (x.min(), y.min(), z.min())
        assert instance.high_ijk == (x.max(), y.max(), z.max())


def test_a_box_holds_whole_voxels(exported: Exported, small_collection: Small) -> None:
    for prepared in exported[1]:
        geometry = small_collection[1][prepared.name].volume.geometry
        assert prepared.instances
        for instance in prepared.instances:
            centre, extent = np.split(np.array(instance.box_mm), 2)
            low, high = np.array(instance.low_ijk), np.array(instance.high_ijk)
            np.testing.assert_allclose(extent, (high - low + 1) * geometry.spacing_mm)
            np.testing.assert_allclose(centre, geometry.index_to_mm((low + high) / 2))


def test_a_second_run_converts_nothing(cases: list[Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Preparation(tmp_path).prepare_all(cases)
    monkeypatch.setattr(Case, "ct", lambda case: pytest.fail("a CT was read again"))
    assert Preparation(tmp_path).prepare_all(cases) == first


def test_a_damaged_case_is_converted_again(cases: list[Case], tmp_path: Path) -> None:
    first = prepare(cases[0], tmp_path / "case")
    whole = (tmp_path / "case" / "ct.nii.gz").read_bytes()
    (tmp_path / "case" / "ct.nii.gz").write_bytes(whole[:-100])
    assert prepare(cases[0], tmp_path / "case") == first
    assert (tmp_path / "case" / "ct.nii.gz").read_bytes() == whole


def test_a_case_of_other_files_is_replaced_only_when_told_to(cases: list[Case], tmp_path: Path) -> None:
    prepare(cases[0], tmp_path / "case")
    with pytest.raises(CtlymphError, match=r"made from other files.*overwrite=True"):
        prepare(cases[1], tmp_path / "case")
    prepare(cases[1], tmp_path / "case", overwrite=True)
    np.testing.assert_array_equal(read_image(tmp_path / "case" / "ct.nii.gz").hu, cases[1].ct().hu)


def test_files_of_others_in_the_place_of_a_case_are_left_alone(cases: list[Case], tmp_path: Path) -> None:
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "ct.nii.gz").write_bytes(b"mine")
    with pytest.raises(CtlymphError, match="holds files already"):
        prepare(cases[0], tmp_path / "case")
    assert (tmp_path / "case" / "ct.nii.gz").read_bytes() == b"mine"


def test_cases_without_masks_are_named_or_left_out(tmp_path: Path, small_collection: Small) -> None:
    write_small_collection(tmp_path, ["MED_LYMPH_001"])
    write_small_collection(tmp_path, ["ABD_LYMPH_003"], parts=["ct", "annotations"])
    cases = Collection(tmp_path).cases()
    with pytest.raises(CtlymphError, match=r"1 of 2 .* ABD_LYMPH_003 \(masks or seg\).*skip=True"):
        complete_cases(cases, nnunet.NEEDS, skip=False)
    whole, remarks = complete_cases(cases, nnunet.NEEDS, skip=True)
    assert [case.name for case in whole] == ["MED_LYMPH_001"]
    assert remarks == [
        "MED_LYMPH_001 lacks 636 slices of its CT; see ctlymph collection verify",
        "ABD_LYMPH_003 is left out: it has no masks or seg",
    ]
    assert complete_cases(cases, nodes_csv.NEEDS, skip=False) == (cases, [])


def test_nnunet_gets_its_layout(exported: Exported) -> None:
    folder, prepared, job = exported
    dataset = folder / "Dataset501_CTLymphNodes"
    names = sorted(case.name for case in prepared)
    assert sorted(file.name for file in (dataset / "imagesTr").iterdir()) == [f"{name}_0000.nii.gz" for name in names]
    assert sorted(file.name for file in (dataset / "labelsTr").iterdir()) == [f"{name}.nii.gz" for name in names]
    description = load(dataset / "dataset.json")
    assert description["labels"] == {"background": 0, "lymph_node": 1}
    assert description["channel_names"] == {"0": "CT"}
    assert description["numTraining"] == len(names)
    assert "CC BY 3.0" in str(description["licence"])
    splits = json.loads((dataset / "splits_final.json").read_text())
    assert job.folds is not None
    assert [one["val"] for one in splits] == [job.folds.test(fold) for fold in range(2)]
    assert all(not set(one["train"]) & set(one["val"]) and sorted(one["train"] + one["val"]) == names for one in splits)


def test_the_ct_is_on_the_disk_once_for_all_forms(exported: Exported) -> None:
    folder = exported[0]
    ct = folder / "cases" / "MED_LYMPH_001" / "ct.nii.gz"
    for place in ("Dataset501_CTLymphNodes", "Task501_CTLymphNodes/raw_splitted"):
        assert (folder / place / "imagesTr" / "MED_LYMPH_001_0000.nii.gz").samefile(ct)


def test_nndetection_finds_each_instance_and_its_class(exported: Exported) -> None:
    # The rules of nnDetection's own check (nndet/utils/check.py), written anew: its package needs an old torch.
    task = exported[0] / "Task501_CTLymphNodes"
    description = load(task / "dataset.json")
    assert description["task"] == task.name
    assert description["dim"] == 3
    assert description["target_class"] is None
    assert description["annotation_style"] == "seg"
    classes, modalities = description["labels"], description["modalities"]
    assert isinstance(classes, dict)
    assert isinstance(modalities, dict)
    for numbered in (classes, modalities):
        assert [*map(int, numbered)] == [*range(len(numbered))]
    images = sorted((task / "raw_splitted" / "imagesTr").iterdir())
    assert len(images) == 5
    for path in images:
        name = path.name.removesuffix("_0000.nii.gz")
        assert "." not in name
        image, label = nib.load(path), nib.load(task / "raw_splitted" / "labelsTr" / f"{name}.nii.gz")
        assert image.shape == label.shape
        np.testing.assert_allclose(image.affine, label.affine, atol=1e-4)
        instances = load(task / "raw_splitted" / "labelsTr" / f"{name}.json")["instances"]
        assert isinstance(instances, dict)
        assert [*map(int, instances)] == [*range(1, len(instances) + 1)]
        assert all(type(of_class) is int and str(of_class) in classes for of_class in instances.values())
        assert np.unique(np.asarray(label.dataobj)).tolist() == [0, *map(int, instances)]


def test_monai_gets_boxes_and_points_in_ras(exported: Exported, cases: list[Case]) -> None:
    folder, prepared, job = exported
    items = {
        name: load(folder / name)["training"]
        for name in (monai_datalist.LIST, monai_datalist.BOXES, monai_datalist.POINTS)
    }
    for segmentation, boxes, points, ready, case in zip(*items.values(), prepared, cases, strict=True):  # type: ignore[call-overload]
        assert (folder / segmentation["image"]).samefile(ready.folder / "ct.nii.gz")
        assert (folder / segmentation["label"]).samefile(ready.folder / "nodes.nii.gz")
        assert job.folds is not None
        assert segmentation["fold"] == boxes["fold"] == points["fold"] == job.folds.fold_of(case.name)
        assert boxes["label"] == [0] * len(ready.instances)
        assert len(points["point"]) == len(points["label"]) == len(points["short_axis_mm"]) == len(case.nodes())
        for node, (x, y, z) in zip(case.nodes(), points["point"], strict=True):
            assert (-x, -y, z) == node.point_mm
            # Each annotated point of the small collection is the centre of a node's mask.
            assert any(np.allclose(box[:3], (x, y, z), atol=1.0) for box in boxes["box"])


def test_nodes_csv_has_the_annotated_nodes_and_leaves_unknown_sizes_empty(
    exported: Exported, cases: list[Case]
) -> None:
    with (exported[0] / "nodes.csv").open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert tuple(reader.fieldnames or ()) == COLUMNS
    nodes = [(case, node) for case in cases for node in case.nodes()]
    assert len(rows) == len(nodes)
    for row, (case, node) in zip(rows, nodes, strict=True):
        assert (row["case"], int(row["node"]), row["region"]) == (case.name, node.row, case.region)
        assert tuple(float(row[f"{axis}_mm"]) for axis in "xyz") == pytest.approx(node.point_mm, abs=5e-4)
        assert tuple(int(row[axis]) for axis in "ijk") == node.index_ijk
        assert row["short_axis_mm"] == ("" if node.short_axis_mm is None else f"{node.short_axis_mm:.2f}")
        assert (row["long_axis_mm"] == "") == (case.region == "mediastinum")
        assert {row[name] for name in ("score", "station", "volume_mm3", "mean_hu", "model")} == {""}
    assert rows[5]["short_axis_mm"] == ""  # the first node of MED_LYMPH_010, whose size is written as 0


def test_a_dataset_with_cases_of_another_export_is_refused_or_cleared(cases: list[Case], tmp_path: Path) -> None:
    prepared = Preparation(tmp_path).prepare_all(cases)
    nnunet.write_nnunet(ExportJob(cases, tmp_path, folds=make_folds(cases, 2)), prepared)
    fewer = ExportJob(cases[:2], tmp_path)
    with pytest.raises(CtlymphError, match="not of this export"):
        nnunet.write_nnunet(fewer, prepared[:2])
    dataset = nnunet.write_nnunet(replace(fewer, overwrite=True), prepared[:2])
    assert len(list((dataset / "imagesTr").iterdir())) == load(dataset / "dataset.json")["numTraining"] == 2
    assert not (dataset / "splits_final.json").exists()


def test_a_description_by_others_is_not_replaced(cases: list[Case], tmp_path: Path) -> None:
    prepared = Preparation(tmp_path).prepare_all(cases[:1])
    (tmp_path / "datalist.json").write_text('{"training": []}')
    with pytest.raises(CtlymphError, match=r"datalist\.json exists"):
        monai_datalist.write_monai(ExportJob(cases[:1], tmp_path), prepared)
    monai_datalist.write_monai(ExportJob(cases[:1], tmp_path, overwrite=True), prepared)
    monai_datalist.write_monai(ExportJob(cases[:1], tmp_path), prepared)


def test_where_links_are_impossible_files_are_copied_once(
    cases: list[Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    prepared = Preparation(tmp_path).prepare_all(cases[:1])
    dataset = nnunet.write_nnunet(ExportJob(cases[:1], tmp_path), prepared)
    copy = dataset / "imagesTr" / f"{cases[0].name}_0000.nii.gz"
    assert copy.read_bytes() == (prepared[0].folder / "ct.nii.gz").read_bytes()
    inode = copy.stat().st_ino
    nnunet.write_nnunet(ExportJob(cases[:1], tmp_path), prepared)
    assert copy.stat().st_ino == inode


@pytest.mark.parametrize(
    ("change", "message"), [({"name": "a/b"}, "no name"), ({"task": 0}, "no number"), ({"cases": []}, "no case")]
)
def test_impossible_exports_are_refused(cases: list[Case], change: dict[str, object], message: str) -> None:
    with pytest.raises(CtlymphError, match=message):
        replace(ExportJob(cases, Path()), **change)  # type: ignore[arg-type]


def test_test_cases_are_exported_apart(tmp_path: Path) -> None:
    rows = [*map(case_row, ("PAT001", "PAT002", "PAT003")), case_row("PAT004", split="test")]
    write_own_data(tmp_path / "My data", rows=rows)
    cases = Collection(tmp_path / "My data").cases()
    training = [case for case in cases if not case.is_test]
    job = ExportJob(cases, tmp_path, name=default_name(cases, tmp_path / "My data"), folds=make_folds(training, 2))
    prepared = Preparation(tmp_path).prepare_all(cases)
    dataset = nnunet.write_nnunet(job, prepared)
    assert dataset.name == "Dataset501_Mydata"
    assert [path.name for path in (dataset / "imagesTs").iterdir()] == ["PAT004_0000.nii.gz"]
    assert [path.name for path in (dataset / "labelsTs").iterdir()] == ["PAT004.nii.gz"]
    assert load(dataset / "dataset.json")["numTraining"] == 3
    rounds = json.loads((dataset / "splits_final.json").read_text())
    assert sorted(name for each in rounds for name in each["val"]) == ["PAT001", "PAT002", "PAT003"]
    task = nndetection.write_nndetection(job, prepared)
    assert {path.name for path in (task / "raw_splitted" / "labelsTs").iterdir()} == {"PAT004.nii.gz", "PAT004.json"}
    monai_datalist.write_monai(job, prepared)
    lists = json.loads((tmp_path / "datalist.json").read_text())
    assert ([item["case"] for item in lists["test"]], lists["numTest"], lists["numTraining"]) == (["PAT004"], 1, 3)
    assert prepare(cases[0], tmp_path / "cases" / "PAT001").folder.is_dir(), "what is there already is not made again"
