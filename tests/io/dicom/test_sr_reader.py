from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.core.nodes import LymphNode
from ctlymph.core.result import Result
from ctlymph.core.volume import Geometry, Masks, Volume
from ctlymph.io import read
from ctlymph.io.dicom.ct_writer import write_ct_series
from ctlymph.io.dicom.sr_reader import is_report, read_report
from ctlymph.measurement.axes import measure_masks
from ctlymph.outputs.result_files import write_results
from ctlymph.workflows.measuring import measure


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Result]:
    """A CT with two nodes and a score, and its DICOM objects."""
    grid = Geometry((12, 40, 40), np.zeros(3), np.array([1.0, 1.0, 2.0]))
    write_ct_series(Volume(np.zeros(grid.shape_zyx, np.int16), grid), tmp_path / "ct")
    volume = read(tmp_path / "ct")
    labels = np.zeros(grid.shape_zyx, dtype=np.uint16)
    labels[2:6, 4:14, 4:16], labels[5:9, 22:34, 20:30] = 1, 2
    masks = Masks(labels, volume.geometry)
    first, second = measure_masks(volume, masks)
    first = LymphNode(1, first.point_mm, first.index_ijk, first.sizes, 0.75, "abdomen", "", "lymphnet")
    result = Result(volume, masks, [first, second])
    (tmp_path / "out").mkdir()
    write_results(tmp_path / "out", result, ("seg", "sr", "sr_ohif"))
    return tmp_path / "out", result


def test_our_own_report_comes_back(made: tuple[Path, Result]) -> None:
    folder, result = made
    report = read_report(folder / "sr.dcm")
    assert report.segmentation == folder / "seg.dcm"
    assert [node.name for node in report.nodes] == ["Lymph node 1", "Lymph node 2"]
    assert [node.score for node in report.nodes] == [0.75, None]
    for node, true in zip(report.nodes, result.nodes, strict=True):
        assert node.short_axis_mm == pytest.approx(true.sizes.short_axis.length_mm, abs=0.006)
        assert node.volume_mm3 == pytest.approx(true.sizes.volume_mm3, abs=0.06)


def test_nodes_are_measured_again_by_their_report(made: tuple[Path, Result]) -> None:
    folder, result = made
    again = measure(result.volume, folder / "sr.dcm")
    assert [node.score for node in again.nodes] == [0.75, None]
    assert [node.sizes for node in again.nodes] == [node.sizes for node in result.nodes]


def test_dcmqis_report_is_read(shared_data: Path, tmp_path: Path) -> None:
    with tarfile.open(shared_data / "ct" / "dcmqi_ct_seg_sr.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    (path,) = [file for file in tmp_path.rglob("*.dcm") if is_report(file)]
    report = read_report(path)
    assert report.nodes
    assert all(node.segment >= 1 and node.segmentation_uid for node in report.nodes)


def test_what_cannot_be_used_says_why(made: tuple[Path, Result], tmp_path: Path) -> None:
    folder, _ = made
    with pytest.raises(CtlymphError, match="no measurement that refers to a segment"):
        read_report(folder / "sr_ohif.dcm")
    (tmp_path / "a" / "b").mkdir(parents=True)
    shutil.copy(folder / "sr.dcm", tmp_path / "a" / "b" / "sr.dcm")
    with pytest.raises(CtlymphError, match="not in its folder"):
        _ = read_report(tmp_path / "a" / "b" / "sr.dcm").segmentation
    (tmp_path / "text.dcm").write_text("nothing")
    assert not is_report(tmp_path / "text.dcm")
