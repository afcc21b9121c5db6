"""Masks of nodes as detections: nnU-Net's, TotalSegmentator's, our own; on any grid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import Geometry, Masks
from ctlymph.evaluation.detections import Detections, GroundTruth
from ctlymph.evaluation.protocol import evaluate
from ctlymph.evaluation.readers.detection_files import read_detections
from ctlymph.evaluation.readers.ground_truth_files import read_ground_truth
from ctlymph.io.images import write_masks

GRID = Geometry((12, 24, 20), np.array([-50.0, 20.0, 300.0]), np.array([0.8, 0.8, 2.0]), np.diag([1.0, -1.0, 1.0]))
FIRST, SECOND = [-45.6, 12.4, 307.0], [-38.4, 15.6, 317.0]
"""Centres of the two blocks of :func:`two_blocks`, LPS mm."""


def two_blocks(first: int, second: int) -> Masks:
    """Two blocks: i 3…8, j 4…15, k 2…5 and i 13…16, j 4…7, k 8…9."""
    labels = np.zeros(GRID.shape_zyx, dtype=np.uint16)
    labels[2:6, 4:16, 3:9] = first
    labels[8:10, 4:8, 13:17] = second
    return Masks(labels, GRID)


def saved(path: Path, masks: Masks) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_masks(masks, path)
    return path


def dataset_json(folder: Path, labels: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps({"labels": labels, "file_ending": ".nii.gz"}))


def points(detections: Detections, case: str) -> list[list[float]]:
    return detections.points_mm[detections.case == detections.cases.index(case)].round(3).tolist()


def test_every_component_of_nnunets_masks_is_a_detection_of_score_one(tmp_path: Path) -> None:
    dataset_json(tmp_path, {"background": 0, "lymph_node": 1})
    saved(tmp_path / "A.nii.gz", two_blocks(1, 1))
    saved(tmp_path / "B.nii.gz", two_blocks(0, 0))
    found = read_detections(tmp_path, "nnU-Net")
    assert (found.name, found.cases, found.scores.tolist()) == ("nnU-Net", ("A", "B"), [1, 1])
    assert points(found, "A") == [FIRST, SECOND]
    assert found.boxes_mm is not None
    assert found.boxes_mm[1].round(3).tolist() == [[-40, 14, 315], [-36.8, 17.2, 319]]
    assert found.notes == (
        "every connected component of its masks is a detection",
        "masks hold no scores, so every detection has the score 1",
    )


@pytest.mark.parametrize(
    "labels", [{"background": 0, "vessel": 1, "lymph_node": 2}, {"0": "background", "1": "vessel", "2": "lymph_node"}]
)
def test_one_class_of_nnunet_can_be_chosen_by_name_or_label(tmp_path: Path, labels: dict[str, Any]) -> None:
    dataset_json(tmp_path, labels)
    saved(tmp_path / "A.nii.gz", two_blocks(1, 2))
    assert points(read_detections(tmp_path), "A") == [FIRST, SECOND]
    assert points(read_detections(tmp_path, structure="lymph_node"), "A") == [SECOND]
    assert points(read_detections(tmp_path, structure="1"), "A") == [FIRST]
    with pytest.raises(CtlymphError, match="holds lymph_node, vessel, but not node"):
        read_detections(tmp_path, structure="node")


def test_a_dataset_json_that_is_none_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "A.nii.gz", two_blocks(1, 2))
    (tmp_path / "dataset.json").write_text("[]")
    with pytest.raises(CtlymphError, match=r"cannot read the labels in .*dataset\.json"):
        read_detections(tmp_path)


def test_masks_with_one_label_are_binary_and_others_are_instances_unless_it_is_said(tmp_path: Path) -> None:
    saved(tmp_path / "binary" / "A.nii.gz", two_blocks(255, 255))
    saved(tmp_path / "instances" / "A.nii.gz", two_blocks(1, 1))
    saved(tmp_path / "instances" / "B.nii.gz", two_blocks(1, 2))
    assert len(read_detections(tmp_path / "binary")) == 2
    assert len(read_detections(tmp_path / "binary", labels="instances")) == 1
    found = read_detections(tmp_path / "instances")
    assert len(found) == 3, "a label is one node, though it has two pieces in A"
    assert found.notes[0] == "every label of its masks is a detection"
    assert len(read_detections(tmp_path / "instances", labels="classes")) == 4
    assert read_detections(tmp_path / "binary" / "A.nii.gz").name == "A"


def test_totalsegmentators_folders_hold_one_binary_mask_a_structure(tmp_path: Path) -> None:
    saved(tmp_path / "A" / "aorta.nii.gz", two_blocks(1, 0))
    saved(tmp_path / "A" / "lymph_nodes.nii.gz", two_blocks(0, 1))
    saved(tmp_path / "B" / "lymph_nodes.nii.gz", two_blocks(1, 1))
    found = read_detections(tmp_path)
    assert (points(found, "A"), points(found, "B")) == ([SECOND], [FIRST, SECOND])
    with pytest.raises(CtlymphError, match=r"B has no mask of aorta; add it, empty where nothing was found"):
        read_detections(tmp_path, structure="aorta")
    with pytest.raises(CtlymphError, match="holds aorta, lymph_nodes, but not spleen"):
        read_detections(tmp_path, structure="spleen")


def test_instance_masks_may_lie_in_folders_named_after_their_cases(tmp_path: Path) -> None:
    for case in ("LYMPH_A", "LYMPH_B"):
        saved(tmp_path / case / f"{case}_mask.nii.gz", two_blocks(1, 2))
    found = read_detections(tmp_path)
    assert (found.cases, len(found)) == (("LYMPH_A", "LYMPH_B"), 4)
    assert found.notes[0] == "every label of its masks is a detection"


def test_structures_that_are_no_lymph_nodes_are_refused_unless_chosen(tmp_path: Path) -> None:
    for name in ("aorta", "spleen"):
        saved(tmp_path / "A" / f"{name}.nii.gz", two_blocks(1, 0))
    with pytest.raises(CtlymphError, match="holds aorta, spleen, of which none is named after lymph nodes"):
        read_detections(tmp_path)
    assert points(read_detections(tmp_path, structure="spleen"), "A") == [FIRST]


def test_totalsegmentators_label_map_names_its_labels_in_the_header(tmp_path: Path) -> None:
    saved(tmp_path / "plain.nii.gz", two_blocks(7, 9))
    image = nib.load(tmp_path / "plain.nii.gz")
    table = b'<LabelTable><Label Key="7" Red="1"><![CDATA[aorta]]></Label><Label Key="9"><![CDATA[lymph_node]]></Label>'
    image.header.extensions.append(nib.nifti1.Nifti1Extension(0, table))
    (tmp_path / "out").mkdir()
    nib.save(image, tmp_path / "out" / "A.nii.gz")
    assert points(read_detections(tmp_path / "out"), "A") == [SECOND]
    assert points(read_detections(tmp_path / "out", structure="aorta"), "A") == [FIRST]


def test_our_own_masks_have_the_scores_of_the_table_next_to_them_and_give_it_boxes(tmp_path: Path) -> None:
    mask = saved(tmp_path / "A" / "masks.nii.gz", two_blocks(1, 2))
    table = "case,node,x_mm,y_mm,z_mm,score\nA,2,-38,15,317,0.75\nA,1,-45,12,307,0.5\n"
    (tmp_path / "A" / "nodes.csv").write_text(table)
    for path in (mask, tmp_path, tmp_path / "A"):
        found = read_detections(path, boxes=True)
        assert (found.cases, found.scores.tolist()) == (("A",), [0.75, 0.5])
        assert found.boxes_mm is not None
        assert found.boxes_mm[:, 0].round(3).tolist() == [[-40, 14, 315], [-48, 7.6, 303]]
    (tmp_path / "A" / "nodes.csv").write_text(table.replace("A,2,", "A,3,"))
    with pytest.raises(CtlymphError, match=r"masks\.nii\.gz has no label 3"):
        read_detections(tmp_path, boxes=True)


def test_cts_are_not_taken_for_masks(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.full((4, 4, 4), -1000, np.int16), np.eye(4)), tmp_path / "A.nii.gz")
    with pytest.raises(CtlymphError, match="the value -1000, but a mask"):
        read_detections(tmp_path)


@pytest.mark.parametrize("axes", ["LPS", "RAS", "SLA", "PIR"])
def test_world_coordinates_decide_not_the_grid(tmp_path: Path, axes: str) -> None:
    saved(tmp_path / "truth" / "A.nii.gz", two_blocks(1, 2))
    saved(tmp_path / "found" / "A.nrrd", two_blocks(1, 2).reorient(axes))
    (result,) = evaluate(tmp_path / "found", tmp_path / "truth", "iou0.1", all_nodes=True, bootstraps=20).results
    assert result.curve.hits.tolist() == [2]
    assert np.abs(result.matches.detections.points_mm - result.matches.truth.points_mm).max() < 1e-3
    coarse = Geometry((6, 12, 10), np.add(GRID.origin_mm, [0.4, -0.4, 1.0]), GRID.spacing_mm * 2, GRID.direction)
    saved(tmp_path / "coarse" / "A.mha", Masks(np.ascontiguousarray(two_blocks(1, 2).labels[::2, ::2, ::2]), coarse))
    (result,) = evaluate(tmp_path / "coarse", tmp_path / "truth", all_nodes=True, bootstraps=20).results
    assert result.curve.hits.tolist() == [2]


def test_truth_of_classes_is_read_by_component_where_nnunet_or_the_caller_says_so(tmp_path: Path) -> None:
    dataset_json(tmp_path, {"background": 0, "lymph_node": 1})
    saved(tmp_path / "labelsTr" / "A.nii.gz", two_blocks(1, 1))
    saved(tmp_path / "plain" / "A.nii.gz", two_blocks(1, 1))
    for truth in (read_ground_truth(tmp_path / "labelsTr"), read_ground_truth(tmp_path / "plain", labels="classes")):
        assert truth.points_mm.round(3).tolist() == [FIRST, SECOND]
        assert truth.notes == (
            "every connected component of the true masks is a node, so that nodes that touch count as one",
        )
    with pytest.raises(CtlymphError, match="say that labels are classes"):
        read_ground_truth(tmp_path / "plain")


def test_detections_without_scores_have_one_operating_point_and_no_metrics_of_scores(tmp_path: Path) -> None:
    saved(tmp_path / "A.nii.gz", two_blocks(1, 2))
    truth = GroundTruth.from_points({"A": [FIRST, (500, 0, 0)]}, short_axis_mm=12)
    result = evaluate(tmp_path, truth, "15mm", bootstraps=20).results[0]
    for metric in (result.metrics.sensitivity, result.metrics.cpm, result.metrics.ap, result.metrics.auc):
        assert np.isnan(metric.value).all()
    assert result.metrics.max_sensitivity.value == 0.5
    assert any("one operating point: sensitivity 0.500 at 0 false positives per CT" in note for note in result.notes)
