from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import Geometry, Masks
from ctlymph.evaluation.readers.detection_files import read_detections
from ctlymph.io.images import write_masks

GRID = Geometry((12, 24, 20), np.array([-50.0, 20.0, 300.0]), np.array([0.8, 0.8, 2.0]), np.diag([1.0, -1.0, 1.0]))
BOX = [1, 3, 6, 16, 2, 9]
"""z0, y0, z1, y1, x0, x1 of a block with k 2…5, j 4…15, i 3…8: nnDetection's corners lie one voxel outside."""
LOW_HIGH = [[-48, 7.6, 303], [-43.2, 17.2, 311]]
STATED = {
    "itk_origin": GRID.origin_mm.tolist(),
    "itk_spacing": GRID.spacing_mm.tolist(),
    "itk_direction": GRID.direction.ravel().tolist(),
}


def saved(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def test_what_boxes2nii_writes_is_read_with_the_geometry_of_its_image(tmp_path: Path) -> None:
    write_masks(Masks(np.zeros(GRID.shape_zyx, np.uint16), GRID), tmp_path / "A_boxes.nii.gz")
    saved(tmp_path / "A_boxes.json", {"1": {"score": 0.25, "label": 0, "box": BOX}})
    found = read_detections(tmp_path)
    assert (found.cases, found.scores.tolist()) == (("A",), [0.25])
    assert found.boxes_mm is not None
    assert found.boxes_mm[0].round(3).tolist() == LOW_HIGH
    assert found.points_mm.round(3).tolist() == [[-45.6, 12.4, 307]]
    assert "threshold 0" in found.notes[0]


def test_the_fields_of_the_pickle_as_json_hold_their_own_geometry(tmp_path: Path) -> None:
    saved(tmp_path / "A_boxes.json", {"pred_boxes": [BOX, BOX], "pred_scores": [0.25, 0.125], **STATED})
    saved(tmp_path / "B_boxes.json", {"pred_boxes": [], "pred_scores": [], **STATED})
    found = read_detections(tmp_path)
    assert (found.cases, found.scores.tolist(), found.notes) == (("A", "B"), [0.25, 0.125], ())
    assert found.boxes_mm is not None
    assert found.boxes_mm[1].round(3).tolist() == LOW_HIGH
    assert read_detections(tmp_path / "A_boxes.json").cases == ("A",)


def test_the_lines_in_the_documentation_write_pickles_as_json_that_is_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    code = page.split("## Boxes of nnDetection")[1].split("```python")[1].split("```")[0]
    result = {key: tuple(value) for key, value in STATED.items()}
    result |= {"pred_boxes": np.array([BOX], float), "pred_scores": np.array([0.5]), "pred_labels": np.zeros(1)}
    (tmp_path / "A_boxes.pkl").write_bytes(pickle.dumps(result))
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)
    found = read_detections(tmp_path)
    assert found.boxes_mm is not None
    assert found.boxes_mm[0].round(3).tolist() == LOW_HIGH


class Harmful:
    """Unpickling it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_pickles_are_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "A_boxes.pkl").write_bytes(pickle.dumps(Harmful(tmp_path / "harm")))
    for path in (tmp_path, tmp_path / "A_boxes.pkl"):
        with pytest.raises(CtlymphError, match=r"A_boxes\.pkl is a pickle, which can run code and is not read; write"):
            read_detections(path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"1": {"score": 0.5, "box": BOX}}, r"needs A_boxes\.nii\.gz next to it"),
        ([BOX], "is not what nnDetection writes"),
        ({"1": {"score": "high", "box": BOX}}, "its scores are not lists"),
        ({"pred_boxes": [[1, 2, 3]], "pred_scores": [1], **STATED}, "its boxes are not lists of 6 finite numbers"),
        ({"pred_boxes": [BOX], "pred_scores": [1, 2], **STATED}, "2 scores for 1 boxes"),
        ({"pred_boxes": [BOX], "pred_scores": [1]}, "its itk_origin are not lists of 3"),
        ({"pred_boxes": [BOX], "pred_scores": [1], **STATED, "restore": False}, "boxes in resampled images"),
        ({"pred_boxes": [[6, 3, 1, 16, 2, 9]], "pred_scores": [1], **STATED}, "ends before it begins"),
    ],
)
def test_what_is_wrong_is_refused(tmp_path: Path, document: Any, message: str) -> None:
    with pytest.raises(CtlymphError, match=message):
        read_detections(saved(tmp_path / "A_boxes.json", document))
