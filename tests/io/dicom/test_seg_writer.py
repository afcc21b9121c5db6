from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from shutil import which

import numpy as np
import pydicom
import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import Masks, Volume
from ctlymph.io import read
from ctlymph.io.dicom.ct_writer import CTHeader, image_uid, write_ct_series
from ctlymph.io.dicom.references import ObjectHeader, ReferencedCT, SourceImage
from ctlymph.io.dicom.seg_reader import read_segmentation
from ctlymph.io.dicom.seg_writer import Segment, write_segmentation

CT = CTHeader("P1", "Doe^Jane", study_date="20200102", study_uid="2.25.1", series_uid="2.25.2", frame_uid="2.25.3")
SEG = ObjectHeader("Nodes", datetime(2020, 1, 2, 3, 4, 5), seed="x")
NODES = (
    Segment(4, "node 4", "mediastinum"),
    Segment(2, "node 2", "abdomen", algorithm="AUTOMATIC", algorithm_name="blobs"),
)


@pytest.fixture
def axial(oblique_volume: Volume) -> Volume:
    return oblique_volume.reorient("LPS")


@pytest.fixture
def masks(axial: Volume) -> Masks:
    labels = np.zeros(axial.hu.shape, dtype=np.uint16)
    labels[1:3, 2:5, 1:4] = 4
    labels[-1, -1, -1] = 2
    return Masks(labels, axial.geometry)


@pytest.fixture
def source(axial: Volume) -> ReferencedCT:
    images = [SourceImage(image_uid(CT.series_uid, n + 1)) for n in range(len(axial.hu))]
    return ReferencedCT(CT, images, images)


def test_our_own_reader_gives_the_same_voxels_on_the_ct_that_it_refers_to(
    tmp_path: Path, axial: Volume, masks: Masks, source: ReferencedCT
) -> None:
    write_ct_series(axial, tmp_path / "ct", CT)
    write_segmentation(tmp_path / "seg.dcm", [masks], NODES, source, SEG)
    back = read_segmentation(tmp_path / "seg.dcm", read(tmp_path / "ct").geometry)
    np.testing.assert_array_equal(back.labels, np.select([masks.labels == 4, masks.labels == 2], [1, 2]))
    images = {pydicom.dcmread(path).SOPInstanceUID for path in (tmp_path / "ct").iterdir()}
    (series,) = pydicom.dcmread(tmp_path / "seg.dcm").ReferencedSeriesSequence
    assert {image.ReferencedSOPInstanceUID for image in series.ReferencedInstanceSequence} < images


def test_highdicom_reads_segments_with_their_meaning(tmp_path: Path, masks: Masks, source: ReferencedCT) -> None:
    import highdicom as hd

    write_segmentation(tmp_path / "seg.dcm", [masks], NODES, source, SEG)
    seg = hd.seg.segread(tmp_path / "seg.dcm")
    first, second = (seg.get_segment_description(number) for number in (1, 2))
    assert (first.segmented_property_type.value, second.segmented_property_type.value) == ("62683002", "818991007")
    assert (first.algorithm_type.value, second.algorithm_type.value) == ("MANUAL", "AUTOMATIC")
    assert seg.number_of_frames == 3


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, masks: Masks, source: ReferencedCT) -> None:
    for name in ("a", "b"):
        write_segmentation(tmp_path / name, [masks], NODES, source, SEG)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.skipif(which("dciodvfy") is None, reason="needs dciodvfy (Debian's dicom3tools)")
def test_dciodvfy_finds_no_error(tmp_path: Path, masks: Masks, source: ReferencedCT) -> None:
    write_segmentation(tmp_path / "seg.dcm", [masks], NODES, source, SEG)
    said = subprocess.run(["dciodvfy", tmp_path / "seg.dcm"], capture_output=True, text=True, check=False).stderr
    assert not [line for line in said.splitlines() if line.startswith("Error")], said


def test_a_segment_without_voxels_and_another_grid_are_refused(
    tmp_path: Path, masks: Masks, source: ReferencedCT
) -> None:
    with pytest.raises(CtlymphError, match="no voxel"):
        write_segmentation(tmp_path / "seg.dcm", [masks], [Segment(3, "node 3")], source, SEG)
    with pytest.raises(CtlymphError, match="no segment"):
        write_segmentation(tmp_path / "seg.dcm", [masks], [], source, SEG)
    with pytest.raises(CtlymphError, match="one grid"):
        write_segmentation(tmp_path / "seg.dcm", [masks], NODES, replace(source, slices=[SourceImage("2.25.9")]), SEG)
    assert not list(tmp_path.iterdir())
