"""DICOM objects of results, checked with other people's programs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shutil import which

import numpy as np
import pydicom
import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.core.nodes import LymphNode
from ctlymph.core.result import Result
from ctlymph.core.volume import Geometry, Masks, Volume
from ctlymph.io import read
from ctlymph.io.dicom.ct_writer import CTHeader, write_ct_series
from ctlymph.io.dicom.seg_reader import read_segments
from ctlymph.measurement.axes import measure_masks
from ctlymph.outputs.result_files import write_files, write_results

STATIONS = ("7", "4R", "left para-aortic", "")


def tool(name: str) -> str | None:
    """Find a program of dcmqi, which pip installs next to Python."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else which(name)


needs_dciodvfy = pytest.mark.skipif(which("dciodvfy") is None, reason="needs dciodvfy (Debian's dicom3tools)")
needs_dcmqi = pytest.mark.skipif(tool("segimage2itkimage") is None, reason="needs dcmqi (pip install dcmqi)")


def tilted(degrees: float) -> np.ndarray:
    """Turn the patient's axes about x."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


GRIDS = {
    "thin": ((24, 96, 100), (0.8, 0.7, 1.0), np.eye(3)),
    "thick": ((12, 96, 100), (0.8, 0.8, 5.0), np.eye(3)),
    "oblique": ((24, 96, 100), (0.8, 0.7, 1.5), tilted(17)),
}


def nodes_in(volume: Volume, count: int) -> tuple[Masks, list[LymphNode]]:
    """Draw ellipsoids and measure them as a detector would, every other with a score."""
    labels = np.zeros(volume.hu.shape, dtype=np.uint16)
    places = np.stack(np.meshgrid(*map(np.arange, labels.shape), indexing="ij"), axis=-1)
    columns = 10
    for number in range(count):
        centre = np.array([labels.shape[0] // 2, 6 + 9 * (number // columns), 6 + 9 * (number % columns)])
        radii = np.array([2.4, 2.6 + 0.1 * (number % 9), 3.4])
        labels[(((places - centre) / radii) ** 2).sum(axis=-1) <= 1] = number + 1
    masks = Masks(labels, volume.geometry)
    regions = ("mediastinum", "abdomen", "")
    return masks, [
        LymphNode(
            node.node,
            node.point_mm,
            node.index_ijk,
            node.sizes,
            0.5 + node.node / 1000 if node.node % 2 else None,
            regions[node.node % 3],
            STATIONS[node.node % 4],
            "lymphnet",
        )
        for node in measure_masks(volume, masks)
    ]


@pytest.fixture(params=[*((grid, 2) for grid in GRIDS), ("thin", 1), ("thin", 60)], ids=lambda p: f"{p[0]}-{p[1]}")
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Result]:
    """A CT as DICOM, and what is written of the nodes in it."""
    grid, count = request.param
    shape, spacing, direction = GRIDS[grid]
    geometry = Geometry(shape, np.array([-40.0, -30.0, -100.0]), np.array(spacing), direction)
    hu = np.random.default_rng(3).normal(0, 20, shape).astype(np.int16)
    write_ct_series(Volume(hu, geometry), tmp_path / "ct", CTHeader("P1", "Doe^Jane", study_date="20200102"))
    volume = read(tmp_path / "ct")
    masks, nodes = nodes_in(volume, count)
    assert len(nodes) == count
    result = Result(volume, masks, nodes, ("mediastinum",), "lymphnet")
    (tmp_path / "out").mkdir()
    assert write_results(tmp_path / "out", result, ("seg", "sr", "sr_ohif")) == {}
    return tmp_path / "out", result


@needs_dciodvfy
def test_dciodvfy_finds_no_error(made: tuple[Path, Result]) -> None:
    for file in ("seg.dcm", "sr.dcm", "sr_ohif.dcm"):
        said = subprocess.run(["dciodvfy", made[0] / file], capture_output=True, text=True, check=False).stderr
        assert not [line for line in said.splitlines() if line.startswith("Error")], said


def read_by_dcmqi(segmentation: Path, folder: Path, geometry: Geometry, count: int) -> list[np.ndarray]:
    """Give each segment's voxels on the CT's grid, as dcmqi reads them."""
    import SimpleITK

    folder.mkdir()
    command = [tool("segimage2itkimage"), "--inputDICOM", segmentation, "--outputDirectory", folder]
    subprocess.run([*command, "--prefix", "p", "-t", "nrrd"], check=True, capture_output=True)
    found = np.zeros((count, *geometry.shape_zyx), dtype=bool)
    for number in range(count):
        image = SimpleITK.ReadImage(str(folder / f"p-{number + 1}.nrrd"))
        places = np.argwhere(SimpleITK.GetArrayFromImage(image) > 0)[:, ::-1]
        points = [image.TransformIndexToPhysicalPoint([int(n) for n in place]) for place in places]
        i, j, k = np.rint(geometry.mm_to_index(points)).astype(int).T
        found[number, k, j, i] = True
    return list(found)


@needs_dcmqi
def test_dcmqi_gives_the_same_voxels_back(made: tuple[Path, Result], tmp_path: Path) -> None:
    folder, result = made
    back = read_by_dcmqi(folder / "seg.dcm", tmp_path / "back", result.volume.geometry, len(result.nodes))
    for number, found in enumerate(back, start=1):
        np.testing.assert_array_equal(found, result.masks.labels == number)


@needs_dcmqi
def test_dcmqi_reads_the_same_numbers(made: tuple[Path, Result], tmp_path: Path) -> None:
    folder, result = made
    command = [tool("tid1500reader"), "--inputDICOM", folder / "sr.dcm", "--outputMetadata", tmp_path / "read.json"]
    subprocess.run(command, check=True, capture_output=True)
    groups = json.loads((tmp_path / "read.json").read_text())["Measurements"]
    for group, node in zip(groups, result.nodes, strict=True):
        assert group["TrackingIdentifier"] == f"Lymph node {node.node}"
        assert group["ReferencedSegment"] == node.node
        values = {item["quantity"]["CodeMeaning"]: float(item["value"]) for item in group["measurementItems"]}
        assert values["Short Axis"] == pytest.approx(node.sizes.short_axis.length_mm, abs=0.006)
        assert values["Long Axis"] == pytest.approx(node.sizes.long_axis.length_mm, abs=0.006)
        assert values["Volume"] == pytest.approx(node.sizes.volume_mm3, abs=0.06)
        assert ("Probability" in values) == (node.score is not None)


def items(dataset: pydicom.Dataset) -> Iterator[pydicom.Dataset]:
    for item in dataset.get("ContentSequence", ()):
        yield item
        yield from items(item)


def test_highdicom_reads_the_segment_form_with_places_and_stations(made: tuple[Path, Result]) -> None:
    import highdicom as hd

    folder, result = made
    report = hd.sr.srread(folder / "sr.dcm")
    groups = report.content.get_volumetric_roi_measurement_groups()
    segmentation = pydicom.dcmread(folder / "seg.dcm")
    for group, node, segment in zip(groups, result.nodes, segmentation.SegmentSequence, strict=True):
        assert group.tracking_uid == segment.TrackingUID
        assert group.referenced_segment.referenced_sop_instance_uid == segmentation.SOPInstanceUID
        assert (group.finding_type.value == "28330007") == (node.station == "7")
        said = {each.name.meaning: each.value.meaning for each in group.get_qualitative_evaluations()}
        assert said.get("Lymph node station", "") == node.station


def test_the_lines_of_the_ohif_form_are_the_axes(made: tuple[Path, Result]) -> None:
    folder, result = made
    volume = result.volume
    report = pydicom.dcmread(folder / "sr_ohif.dcm")
    groups = [item for item in items(report) if item.get("ConceptNameCodeSequence", [{}])[0].CodeValue == "125007"]
    for group, node in zip(groups, result.nodes, strict=True):
        texts = [item.TextValue for item in items(group) if item.ValueType == "TEXT"]
        assert texts == ["Cornerstone3DTools@^0.1.0:Bidirectional"]
        numbers = [item for item in items(group) if item.ValueType == "NUM"]
        assert [item.ConceptNameCodeSequence[0].CodeMeaning for item in numbers] == ["Long Axis", "Short Axis"]
        for number, axis in zip(numbers, (node.sizes.long_axis, node.sizes.short_axis), strict=True):
            (line,) = number.ContentSequence
            (image,) = line.ContentSequence
            assert (line.GraphicType, image.RelationshipType) == ("POLYLINE", "SELECTED FROM")
            k = volume.attributes["sop_instance_uids"].index(image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
            columns_rows = np.reshape(line.GraphicData, (2, 2)) - 0.5  # the first pixel's middle is 0.5, 0.5
            ends = volume.geometry.index_to_mm(np.insert(columns_rows, 2, k, axis=1))
            np.testing.assert_allclose(ends, [axis.start_mm, axis.end_mm], atol=0.01)


def test_patient_study_and_frame_are_the_cts_and_uids_are_new(made: tuple[Path, Result], tmp_path: Path) -> None:
    folder, result = made
    ct = pydicom.dcmread(result.volume.attributes["files"][0])
    objects = [pydicom.dcmread(folder / f"{name}.dcm") for name in ("seg", "sr", "sr_ohif")]
    for each in objects:
        for word in ("PatientID", "PatientName", "StudyInstanceUID", "StudyDate"):
            assert each[word].value == ct[word].value
    assert objects[0].FrameOfReferenceUID == ct.FrameOfReferenceUID
    uids = [uid for each in (*objects, ct) for uid in (each.SOPInstanceUID, each.SeriesInstanceUID)]
    assert len(set(uids)) == len(uids)
    again = Result(result.volume, result.masks, result.nodes, (), "lymphnet")
    (tmp_path / "again").mkdir()
    write_results(tmp_path / "again", again, ("seg",))
    assert pydicom.dcmread(tmp_path / "again" / "seg.dcm").SOPInstanceUID not in uids


@needs_dciodvfy
@needs_dcmqi
def test_nodes_that_overlap_are_written_and_read_whole(tmp_path: Path) -> None:
    geometry = Geometry((8, 20, 20), np.zeros(3), np.array([1.0, 1.0, 2.0]))
    write_ct_series(Volume(np.zeros((8, 20, 20), np.int16), geometry), tmp_path / "ct")
    volume = read(tmp_path / "ct")
    first, second = np.zeros((2, 8, 20, 20), dtype=np.uint16)
    first[2:5, 3:12, 3:12], second[3:6, 8:16, 8:16] = 1, 2
    layers = [Masks(first, volume.geometry), Masks(second, volume.geometry)]
    nodes = [node for layer in layers for node in measure_masks(volume, layer)]
    result = Result(volume, layers[0], nodes, overlapping=(layers[1],))
    left_out = write_files(tmp_path, result, ("seg", "sr", "masks", "report"))
    assert list(left_out) == ["masks"]
    assert (tmp_path / "report.html").read_text().count('class="outline') >= 6  # both nodes in three planes
    back = read_segments(tmp_path / "seg.dcm", volume.geometry)
    theirs = read_by_dcmqi(tmp_path / "seg.dcm", tmp_path / "back", volume.geometry, 2)
    for layer, found, written in zip(back, theirs, layers, strict=True):
        np.testing.assert_array_equal(layer.labels, written.labels)
        np.testing.assert_array_equal(found, written.labels > 0)
    for file in ("seg.dcm", "sr.dcm"):
        said = subprocess.run(["dciodvfy", tmp_path / file], capture_output=True, text=True, check=False).stderr
        assert not [line for line in said.splitlines() if line.startswith("Error")], said


def test_a_ct_that_is_no_dicom_is_written_as_such_first(tmp_path: Path) -> None:
    turned = Geometry((20, 24, 96), np.zeros(3), np.array([1.0, 1.5, 0.8]), np.eye(3)[[1, 2, 0]])
    volume = Volume(np.random.default_rng(1).normal(0, 20, (20, 24, 96)).astype(np.int16), turned, "someone")
    labels = np.zeros(volume.hu.shape, dtype=np.uint16)
    labels[5:12, 4:10, 30:40] = 3
    masks = Masks(labels, turned)
    result = Result(volume, masks, measure_masks(volume, masks))
    assert write_files(tmp_path, result, ("sr", "sr_ohif")) == {}
    ct = read(tmp_path / "ct")
    np.testing.assert_array_equal(ct.hu, volume.reorient("LPS").hu)
    (back,) = read_segments(tmp_path / "seg.dcm", ct.geometry, ct.attributes)
    np.testing.assert_array_equal(back.labels > 0, masks.reorient("LPS").labels > 0)


def test_a_segmentation_of_another_patient_or_frame_is_refused(tmp_path: Path) -> None:
    geometry = Geometry((4, 9, 9), np.zeros(3), np.ones(3))
    write_ct_series(Volume(np.zeros((4, 9, 9), np.int16), geometry), tmp_path / "ct", CTHeader("P1"))
    volume = read(tmp_path / "ct")
    masks = Masks(np.pad(np.ones((2, 3, 3), np.uint16), ((1, 1), (3, 3), (3, 3))), volume.geometry)
    write_files(tmp_path, Result(volume, masks, measure_masks(volume, masks)), ("seg",))
    for keyword, what in (("PatientID", "of patient"), ("FrameOfReferenceUID", "of frame of reference")):
        with pytest.raises(CtlymphError, match=what):
            read_segments(tmp_path / "seg.dcm", geometry, volume.attributes | {keyword: "2.25.99"})


@needs_dciodvfy
@pytest.mark.parametrize("kind", ["resampled", "enhanced"])
def test_a_ct_that_was_resampled_or_is_one_object_is_referred_to(tmp_path: Path, kind: str) -> None:
    shape, spacing, direction = GRIDS["thick"]
    grid = Geometry(shape, np.zeros(3), np.array(spacing), direction)
    write_ct_series(Volume(np.zeros(shape, np.int16), grid), tmp_path / "ct", CTHeader("P1"))
    volume = read(tmp_path / "ct")
    if kind == "resampled":
        about = {"sop_instance_uids": None, "frame_numbers": None}
    else:
        uid, count = volume.attributes["source_uids"][0], shape[0]
        about = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2.1", "source_uids": (uid,)}
        about |= {"sop_instance_uids": (uid,) * count, "frame_numbers": tuple(range(1, count + 1))}
    volume = replace(volume, attributes=volume.attributes | about)
    left_out = write_files(tmp_path, Result(volume, *nodes_in(volume, 2)), ("seg", "sr", "sr_ohif"))
    assert list(left_out) == (["sr_ohif"] if kind == "resampled" else [])
    for file in ("seg.dcm", "sr.dcm"):
        said = subprocess.run(["dciodvfy", tmp_path / file], capture_output=True, text=True, check=False).stderr
        assert not [line for line in said.splitlines() if line.startswith("Error")], said
    segmentation = pydicom.dcmread(tmp_path / "seg.dcm")
    if kind == "enhanced":
        frame = segmentation.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
        height = segmentation.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient[2]
        assert frame.ReferencedFrameNumber == round(height / spacing[2]) + 1


def test_what_cannot_be_written_says_why(tmp_path: Path) -> None:
    write_ct_series(Volume(np.zeros((4, 9, 9), np.int16), Geometry((4, 9, 9), np.zeros(3), np.ones(3))), tmp_path / "c")
    volume = read(tmp_path / "c")
    none = Result(volume, Masks(np.zeros((4, 9, 9), np.uint16), volume.geometry), [])
    (tmp_path / "out").mkdir()
    assert write_results(tmp_path / "out", none, ("seg",)) == {"seg": "seg.dcm is not written: there are no nodes"}
    assert not list((tmp_path / "out").iterdir())
