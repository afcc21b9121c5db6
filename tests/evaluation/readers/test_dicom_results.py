from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ctlymph.core.errors import CtlymphError
from ctlymph.core.result import Result
from ctlymph.core.volume import Geometry, Masks, Volume
from ctlymph.evaluation.readers.detection_files import read_detections
from ctlymph.evaluation.readers.ground_truth_files import read_ground_truth
from ctlymph.io import read
from ctlymph.io.dicom.ct_writer import CTHeader, write_ct_series
from ctlymph.measurement.axes import measure_masks
from ctlymph.outputs.result_files import write_results


@pytest.fixture
def written(tmp_path: Path) -> Result:
    """Two scored nodes in an oblique CT, as DICOM objects without the CT."""
    turn = Rotation.from_euler("x", 12, degrees=True).as_matrix()
    grid = Geometry((14, 40, 44), np.array([5.0, -8.0, 100.0]), np.array([0.8, 0.8, 2.5]), turn)
    write_ct_series(Volume(np.zeros(grid.shape_zyx, np.int16), grid), tmp_path / "ct", CTHeader("P5"))
    volume = read(tmp_path / "ct")
    labels = np.zeros(grid.shape_zyx, dtype=np.uint16)
    labels[2:5, 4:14, 4:16], labels[9:12, 22:34, 20:30] = 1, 2
    masks = Masks(labels, volume.geometry)
    nodes = [replace(node, score=node.node / 4) for node in measure_masks(volume, masks)]
    result = Result(volume, masks, nodes)
    (tmp_path / "out").mkdir()
    write_results(tmp_path / "out", result, ("seg", "sr"))
    return result


def test_segments_are_true_nodes_with_their_sizes(written: Result, tmp_path: Path) -> None:
    truth = read_ground_truth(tmp_path / "out" / "seg.dcm")
    assert truth.cases == ("P5",)
    np.testing.assert_allclose(truth.points_mm, [node.sizes.centroid_mm for node in written.nodes], atol=1e-3)
    np.testing.assert_allclose(
        truth.short_axis_mm, [node.sizes.short_axis.length_mm for node in written.nodes], atol=1e-3
    )


def test_segments_are_marks_with_the_scores_of_their_report(written: Result, tmp_path: Path) -> None:
    plain, scored = read_detections(tmp_path / "out" / "seg.dcm"), read_detections(tmp_path / "out" / "sr.dcm")
    np.testing.assert_allclose(plain.points_mm, [node.sizes.centroid_mm for node in written.nodes], atol=1e-3)
    np.testing.assert_array_equal(plain.points_mm, scored.points_mm)
    assert (plain.scores.tolist(), scored.scores.tolist()) == ([1, 1], [0.25, 0.5])


def test_a_dicom_file_of_another_kind_is_refused(written: Result, tmp_path: Path) -> None:
    with pytest.raises(CtlymphError, match="holds no detections that can be read"):
        read_detections(next((tmp_path / "ct").iterdir()))
