"""The collection read back, in both layouts, from zips, and with what strangers may put into a folder."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

import ctlymph
from ctlymph.core.errors import CtlymphError
from ctlymph.datasets.annotations import POINT_SET, POINTS, read_points
from ctlymph.datasets.case import Case, Collection
from ctlymph.datasets.layout import find_cases
from ctlymph.io.mitk import read_point_set, write_point_set
from small_collection import NAMES, Layout, SmallCase, ct_folder, make_case, write_ct, write_small_collection


@pytest.fixture(scope="module")
def annotated(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real annotation and candidate files, unpacked."""
    folder = tmp_path_factory.mktemp("real")
    with tarfile.open(shared_data / "nih" / "MED_ABD_LYMPH_annotations_candidates.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder


def is_near(case: Case, row: int, limit_mm: float) -> bool:
    node = case.nodes()[row - 1]
    return any(np.linalg.norm(np.subtract(each.point_mm, node.point_mm)) <= limit_mm for each in case.candidates())


@pytest.mark.parametrize(
    ("region", "counts", "hit", "near", "rate"),
    [("mediastinum", (90, 388, 573, 3208), 286, 294, 35.64), ("abdomen", (86, 595, 1005, 3484), 595, 595, 40.51)],
)
def test_the_published_candidates_give_the_published_counts(
    annotated: Path, region: str, counts: tuple[int, ...], hit: int, near: int, rate: float
) -> None:
    cases = Collection(annotated).cases(region)
    found = [candidate for case in cases for candidate in case.candidates()]
    positives = sum(candidate.positive for candidate in found)
    assert (len(cases), sum(len(case.nodes()) for case in cases), positives, len(found) - positives) == counts
    rows = {(case.name, each.row) for case in cases for each in case.candidates() if each.positive}
    assert len(rows) == hit
    assert sum(is_near(case, node.row, 15) for case in cases for node in case.nodes()) == near
    assert (len(found) - positives) / len(cases) == pytest.approx(rate, abs=0.005)


def test_every_point_set_is_equal_to_its_text_and_comes_back_exactly_when_written(
    annotated: Path, tmp_path: Path
) -> None:
    sets = [files.annotations for files in find_cases(annotated).cases.values()]
    sets += [each for files in find_cases(annotated).cases.values() for each in (files.positives, files.negatives)]
    assert len(sets) == 3 * 176
    for files in sets:
        points = read_points({POINT_SET: files[POINT_SET]})
        assert points == read_points({POINTS: files[POINTS]})
        write_point_set(tmp_path / "again.mps", points)
        assert read_point_set(tmp_path / "again.mps") == points


def test_real_slices_belong_to_their_case_and_lie_where_its_annotations_say(
    annotated: Path, shared_data: Path, tmp_path: Path
) -> None:
    shutil.copytree(shared_data / "nih" / "slices", tmp_path / "CT Lymph Nodes" / "ABD_LYMPH_001" / "0-1")
    shutil.copytree(annotated / "MED_ABD_LYMPH_ANNOTATIONS" / "ABD_LYMPH_001", tmp_path / "ABD_LYMPH_001")
    (case,) = Collection(tmp_path).cases()
    assert case.name == "ABD_LYMPH_001"
    assert case.entry is not None, "its series begins with 61.7."
    assert case.has == {"ct", "annotations"}
    heights = {path.name: float(pydicom.dcmread(path).ImagePositionPatient[2]) for path in case.files.series[0].files}
    indices = np.array([node.index_ijk for node in case.nodes()])[:, 2]
    slope, start = np.polyfit([node.point_mm[2] for node in case.nodes()], indices, 1)
    assert {name: round(slope * z + start) for name, z in heights.items()} == {"1-416.dcm": 415, "1-154.dcm": 153}
    with pytest.raises(CtlymphError, match="missing"):
        case.ct()


def check_read_back(folder: Path, written: dict[str, SmallCase]) -> None:
    collection = Collection(folder)
    assert collection.notes == ()
    assert [case.name for case in collection.cases()] == sorted(written, key=lambda name: (name[0] != "M", name))
    for case in collection.cases():
        small = written[case.name]
        ct = case.ct()
        assert np.array_equal(ct.hu, small.volume.hu)
        assert ct.geometry.matches(small.volume.geometry)
        nodes_mm = np.array([node.point_mm for node in case.nodes()])
        assert nodes_mm == pytest.approx(np.array([node.point_mm for node in small.nodes]))
        assert [ct.geometry.nearest_voxel(node.point_mm) for node in case.nodes()] == [n.index_ijk for n in small.nodes]
        masks = case.masks(ct)
        assert np.array_equal(masks.labels, small.masks.labels)
        assert masks.geometry.matches(ct.geometry)
        negatives_mm = np.array([each.point_mm for each in case.candidates() if not each.positive])
        assert negatives_mm == pytest.approx(np.array(small.negatives_mm), rel=1e-5)
        assert case.has == {"ct", "annotations", "candidates", "masks"}
        assert case.licence == "CC BY 3.0"


@pytest.mark.parametrize("layout", ["idc", "nbia"])
def test_both_layouts_read_back_the_same_without_being_told(tmp_path: Path, layout: Layout) -> None:
    check_read_back(tmp_path, write_small_collection(tmp_path, NAMES, layout))


def test_side_downloads_and_series_are_read_from_their_zips(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    written = write_small_collection(plain, NAMES[:3])
    (tmp_path / "zipped").mkdir()
    for folder in plain.iterdir():
        with zipfile.ZipFile(tmp_path / "zipped" / f"{folder.name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.rglob("*")):
                archive.write(path, path.relative_to(plain))
            archive.writestr("__MACOSX/._junk", b"x")
    assert len(list((tmp_path / "zipped").iterdir())) == 4
    check_read_back(tmp_path / "zipped", written)


def test_unpacked_files_go_before_those_of_a_zip_beside_them(tmp_path: Path) -> None:
    write_small_collection(tmp_path, NAMES[:1], parts=["annotations"])
    folder = tmp_path / "MED_ABD_LYMPH_ANNOTATIONS"
    shutil.make_archive(str(folder), "zip", tmp_path, folder.name)
    (case,) = Collection(tmp_path).cases()
    assert [file.member for file in case.files.annotations.values()] == [""] * 4


def test_a_licence_and_checksums_beside_the_slices_do_no_harm(tmp_path: Path) -> None:
    written = write_small_collection(tmp_path, NAMES[:1])
    folder = ct_folder(tmp_path, NAMES[0], "idc")
    (folder / "LICENSE").write_text("CC BY 3.0")
    (folder / "md5hashes.csv").write_text("Filename,MD5Hash\n")
    check_read_back(tmp_path, written)


def test_two_series_in_one_folder_are_told_apart(tmp_path: Path) -> None:
    cases = {name: make_case(name) for name in NAMES[:2]}
    for name, case in cases.items():
        write_ct(case, tmp_path / name, "idc")
        for number, path in enumerate(sorted((tmp_path / name).iterdir())):
            path.rename(tmp_path / f"{name}-{number}.dcm")
        (tmp_path / name).rmdir()
    for case in Collection(tmp_path).cases():
        assert np.array_equal(case.ct().hu, cases[case.name].volume.hu)


def test_a_case_of_the_same_name_that_is_not_the_collections_has_no_entry(tmp_path: Path) -> None:
    write_small_collection(tmp_path, NAMES[:1], parts=["ct"])
    for path in tmp_path.rglob("*.dcm"):
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID = "1.2.3"
        dataset.save_as(path)
    (case,) = Collection(tmp_path).cases()
    assert case.entry is None
    assert case.flags == frozenset()
    assert case.licence == ""


@pytest.mark.parametrize("patient", ["../../x", "/etc/x", "a/b", "", ".", "..", "a\\b"])
def test_a_patient_id_that_is_no_name_is_left_out_and_said(tmp_path: Path, patient: str) -> None:
    write_small_collection(tmp_path, NAMES[:2], parts=["ct"])
    for path in ct_folder(tmp_path, NAMES[0], "idc").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.PatientID = patient
        dataset.save_as(path)
    collection = Collection(tmp_path)
    assert [case.name for case in collection.cases()] == [NAMES[1]]
    assert "is no name for a case" in collection.notes[0]


def test_what_is_absent_is_said_with_how_to_get_it(tmp_path: Path) -> None:
    write_small_collection(tmp_path, NAMES[:1], parts=["annotations"])
    (case,) = Collection(tmp_path).cases()
    for read, option in ((case.ct, "ct"), (case.candidates, "candidates"), (case.masks, "masks")):
        with pytest.raises(CtlymphError, match=f"download {option} of MED_LYMPH_001"):
            read()


@pytest.mark.parametrize("zipped", [False, True])
def test_masks_come_from_the_segmentation_where_no_nifti_is_there(
    tmp_path: Path, zipped: bool, write_segmentation: Callable[..., Path]
) -> None:
    small = write_small_collection(tmp_path, NAMES[:1], parts=["ct"])[NAMES[0]]
    slices = [pydicom.dcmread(path) for path in ct_folder(tmp_path, NAMES[0], "idc").iterdir()]
    slices.sort(key=lambda each: float(each.ImagePositionPatient[2]))
    folder = tmp_path / "ct_lymph_nodes" / NAMES[0] / "SEG_1.2.3"
    folder.mkdir()
    write_segmentation(folder / "seg.dcm", slices, small.masks.labels.astype(np.uint8))
    if zipped:
        shutil.make_archive(str(folder), "zip", tmp_path, folder.relative_to(tmp_path))
        shutil.rmtree(folder)
    (case,) = Collection(tmp_path).cases()
    assert case.has == {"ct", "seg"}
    assert np.array_equal(case.masks().labels, small.masks.labels)
    assert np.array_equal(case.masks(case.ct()).labels, small.masks.labels)


def test_a_mask_of_another_ct_is_refused(tmp_path: Path) -> None:
    write_small_collection(tmp_path, NAMES[:1], parts=["ct"])
    other = write_small_collection(tmp_path / "other", ["ABD_LYMPH_003"], parts=["masks"])
    source = next((tmp_path / "other").rglob("*_mask.nii.gz"))
    source.rename(tmp_path / "MED_LYMPH_001_mask.nii.gz")
    assert other
    with pytest.raises(CtlymphError, match=r"MED_LYMPH_001_mask\.nii\.gz is not of this CT"):
        Collection(tmp_path).cases()[0].masks()


def test_cases_are_chosen_by_region_and_name(tmp_path: Path) -> None:
    write_small_collection(tmp_path, NAMES, parts=["annotations"])
    collection = ctlymph.Collection(tmp_path)
    assert [case.name for case in collection.cases("abdomen")] == ["ABD_LYMPH_001", "ABD_LYMPH_003"]
    assert [case.name for case in collection.cases(names=["ABD_LYMPH_003"])] == ["ABD_LYMPH_003"]
    with pytest.raises(CtlymphError, match="no region neck"):
        collection.cases("neck")
    with pytest.raises(CtlymphError, match="holds no case MED_LYMPH_090"):
        collection.cases(names=["MED_LYMPH_090"])


def test_a_folder_without_the_collection_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CtlymphError, match="holds no case"):
        Collection(tmp_path)
    with pytest.raises(CtlymphError, match="is not a folder"):
        Collection(tmp_path / "none")


def test_a_damaged_slice_or_archive_hides_nothing_else(tmp_path: Path) -> None:
    written = write_small_collection(tmp_path, NAMES[:2])
    first = min(ct_folder(tmp_path, NAMES[0], "idc").iterdir())
    first.write_bytes(first.read_bytes()[:600])
    (tmp_path / "x.dcm").write_bytes(b"")
    (tmp_path / "half.zip").write_bytes(b"PK\x03\x04 and no more")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    next(tmp_path.rglob(f"{NAMES[1]}_lymphnodes_sizes.txt")).write_bytes(b"1 " * 4_000_000)
    collection = Collection(tmp_path)
    assert [case.name for case in collection.cases()] == list(NAMES[:2])
    assert all(
        any(name in note for note in collection.notes) for name in (first.name, "x.dcm", "half.zip", "sizes.txt")
    )
    damaged, sound = collection.cases()
    with pytest.raises(CtlymphError, match=first.name):
        damaged.ct()
    assert np.array_equal(sound.ct().hu, written[NAMES[1]].volume.hu)


def test_slices_cut_off_at_an_end_are_counted(tmp_path: Path) -> None:
    write_small_collection(tmp_path, NAMES[:1], parts=["ct"])
    (case,) = Collection(tmp_path).cases()
    assert case.missing_slices == 666 - 30


def test_of_two_masks_of_a_case_one_is_taken_and_it_is_said(tmp_path: Path) -> None:
    write_small_collection(tmp_path, NAMES[:1], parts=["masks"])
    shutil.copytree(tmp_path / "MED_ABD_LYMPH_MASKS", tmp_path / "more")
    assert "MED_LYMPH_001 has 2 masks" in Collection(tmp_path).notes[0]
