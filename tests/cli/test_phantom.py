"""A synthetic collection: laid out as the public one, and its files agree with each other."""

from __future__ import annotations

import csv
import subprocess
from pathlib import Path
from shutil import copytree, which
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from ctlymph.cli.main import app
from ctlymph.cli.phantom import LayoutChoice, SetChoice, phantom
from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import Geometry, Masks, Volume
from ctlymph.datasets.case import Case, Collection
from ctlymph.datasets.ct_lymph_nodes.catalogue import catalogue
from ctlymph.datasets.ct_lymph_nodes.verify import verify
from ctlymph.datasets.folds import make_folds
from ctlymph.evaluation.readers.ground_truth_files import read_ground_truth
from ctlymph.io.dicom.seg_reader import read_segmentation
from ctlymph.io.mitk import read_point_set
from ctlymph.io.node_tables import read_nodes_csv
from ctlymph.phantom.collection.case_files import CaseToWrite, write_candidates
from ctlymph.phantom.collection.collection_files import split
from ctlymph.phantom.collection.patients import PhantomOptions, phantom_patients
from ctlymph.phantom.collection.simulated_candidates import SimulatedCandidates
from ctlymph.phantom.scan.patient import Phantom

NAMES = ["MED_LYMPH_001", "MED_LYMPH_002", "ABD_LYMPH_001"]
"""The second and the third are one scan."""


def make(folder: Path, **options: Any) -> None:
    given: dict[str, Any] = {
        **{"cases": 3, "seed": 3, "standard": None, "timepoints": 1, "spacing": "5,5,8", "thickness": None},
        **{
            "contrast": True,
            "background": None,
            "layout": LayoutChoice.idc,
            "zipped": False,
            "jobs": 1,
            "overwrite": False,
        },
    }
    phantom(folder, **(given | options))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "out"
    make(folder)
    return folder


@pytest.fixture(scope="module")
def cases(made: Path) -> list[Case]:
    return Collection(made).cases()


def test_the_collections_reader_finds_everything(made: Path, cases: list[Case]) -> None:
    assert Collection(made).notes == ()
    assert [case.name for case in cases] == NAMES
    for case in cases:
        assert case.has == {"ct", "seg", "annotations", "candidates", "masks"}
        assert case.nodes()
        assert case.entry is None


def test_annotations_candidates_masks_and_truth_agree(made: Path, cases: list[Case]) -> None:
    for case in cases:
        masks, nodes = case.masks(), case.nodes()
        grid = masks.geometry
        truth = {row.node: row for row in read_nodes_csv(made / "truth" / f"{case.name}.csv")}
        with (made / "truth" / f"{case.name}.csv").open(encoding="utf-8") as file:
            marked = {int(row["row"]): row for row in csv.DictReader(file) if row["marked"] == "1"}
        assert sorted(marked) == [node.row for node in nodes]
        assert set(np.unique(masks.labels)) == set(range(len(nodes) + 1))
        for node in nodes:
            true = truth[int(marked[node.row]["node"])]
            assert true.region == case.region
            assert node.short_axis_mm == pytest.approx(true.short_axis_mm, abs=0.051)
            assert np.abs(grid.mm_to_index(node.point_mm) - node.index_ijk).max() < 0.01
            assert np.abs(grid.mm_to_index(true.point_mm) - node.index_ijk).max() <= 0.51
            voxels = np.argwhere(masks.labels == int(marked[node.row]["mask"]))[:, ::-1]
            assert np.abs(voxels - node.index_ijk).max(axis=1).min() <= 1
        for candidate in case.candidates():
            assert grid.contains(candidate.point_mm)
            if candidate.row:
                node = nodes[candidate.row - 1]
                assert np.linalg.norm(np.subtract(candidate.point_mm, node.point_mm)) < 15
        assert sum(not candidate.positive for candidate in case.candidates()) >= 10


def test_what_is_not_annotated_is_in_the_truth(made: Path, cases: list[Case]) -> None:
    for case in cases:
        rows = read_nodes_csv(made / "truth" / f"{case.name}.csv")
        assert len(rows) > len(case.nodes())
        assert case is cases[0] or any(row.region != case.region for row in rows)


def test_the_two_names_of_one_scan_have_its_voxels_and_come_into_one_fold(made: Path, cases: list[Case]) -> None:
    first, chest, belly = cases
    np.testing.assert_array_equal(chest.ct().hu, belly.ct().hu)
    assert chest.ct().geometry.matches(belly.ct().geometry)
    assert chest.files.series[0].series_uid != belly.files.series[0].series_uid
    folds = make_folds(cases, 2)
    assert folds.fold_of(chest.name) == folds.fold_of(belly.name) != folds.fold_of(first.name)
    assert read_ground_truth(made).patients == ("MED_LYMPH_001", "ABD_LYMPH_001", "ABD_LYMPH_001")
    assert "ABD_LYMPH_001,MED_LYMPH_002," in (made / "shared_scans.csv").read_text(encoding="utf-8")
    assert (made / "cases.csv").read_text(encoding="utf-8").splitlines() == [
        "case,patient,region",
        "ABD_LYMPH_001,ABD_LYMPH_001,abdomen",
        "MED_LYMPH_001,MED_LYMPH_001,mediastinum",
        "MED_LYMPH_002,ABD_LYMPH_001,mediastinum",
    ]


def test_the_segmentation_object_holds_the_voxels_of_the_mask(cases: list[Case]) -> None:
    for case in cases:
        masks = case.masks()
        (file,) = next(series.files for series in case.files.series if series.modality == "SEG")
        np.testing.assert_array_equal(read_segmentation(file, masks.geometry).labels, masks.labels)


def test_simpleitk_and_nibabel_read_the_same_places(cases: list[Case]) -> None:
    import nibabel as nib
    import SimpleITK as sitk

    for case in cases:
        folder = next(series.path for series in case.files.series if series.modality == "CT")
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
        image = reader.Execute()
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), case.ct().hu)
        assert case.files.mask is not None
        mask = nib.load(case.files.mask.path)
        assert mask.shape == image.GetSize()
        corner = mask.affine @ [1, 2, 3, 1] * [-1, -1, 1, 1]
        np.testing.assert_allclose(corner[:3], image.TransformIndexToPhysicalPoint((1, 2, 3)), atol=1e-3)


def test_point_sets_agree_with_the_text_and_the_whole_is_verified(made: Path) -> None:
    for path in sorted(made.rglob("*_physicalPoints.mps")):
        text = np.loadtxt(path.with_suffix(".txt"), ndmin=2)
        np.testing.assert_allclose(read_point_set(path), text.reshape(-1, 3), rtol=0, atol=0)
    expected = [entry for entry in catalogue().entries if entry.case in NAMES]
    assert {finding.state for finding in verify(Collection(made), expected)} == {"whole"}


def test_points_that_were_changed_are_no_longer_whole(made: Path, tmp_path: Path) -> None:
    copytree(made, tmp_path, dirs_exist_ok=True)
    (entry,) = (entry for entry in catalogue().entries if entry.case == NAMES[0])
    points = tmp_path / "MED_ABD_LYMPH_ANNOTATIONS" / NAMES[0] / f"{NAMES[0]}_lymphnodes_physicalPoints.txt"
    points.write_text(points.read_text().replace("1", "2"))
    assert [finding.state for finding in verify(Collection(tmp_path), [entry], ["annotations"])] == ["altered"]


def test_every_dicom_file_says_that_it_is_synthetic_and_its_uids_need_no_registration(made: Path) -> None:
    import pydicom

    assert "No patient was scanned" in (made / "SYNTHETIC.txt").read_text()
    for file in made.rglob("*.dcm"):
        header = pydicom.dcmread(file, stop_before_pixels=True)
        assert str(header.PatientName).startswith("SYNTHETIC^")
        assert header.SeriesDescription.startswith("SYNTHETIC")
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
            assert header[keyword].value.startswith("2.25.")


@pytest.mark.skipif(which("dciodvfy") is None, reason="needs dciodvfy (Debian's dicom3tools)")
def test_dciodvfy_finds_no_error(cases: list[Case]) -> None:
    for series in (series for case in cases for series in case.files.series):
        said = subprocess.run(["dciodvfy", series.files[0]], capture_output=True, text=True, check=False).stderr
        assert not [line for line in said.splitlines() if line.startswith("Error")], said


def test_a_complete_case_is_left_alone_and_said_so(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*.dcm")}
    make(made)
    assert "2 of 2 patients are complete" in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in made.rglob("*.dcm")}


def test_cases_of_another_seed_are_refused_and_replaced_only_on_demand(made: Path, tmp_path: Path) -> None:
    copytree(made, tmp_path, dirs_exist_ok=True)
    with pytest.raises(CtlymphError, match=r"MED_LYMPH_001.*other options.*overwrite=True"):
        make(tmp_path, cases=1, seed=4)
    make(tmp_path, cases=1, seed=4, overwrite=True)
    case = Collection(tmp_path).cases()[0]
    assert [series.modality for series in case.files.series].count("CT") == 1


def test_a_folder_of_real_cases_is_not_mixed_with_synthetic_ones(tmp_path: Path) -> None:
    (tmp_path / "ct_lymph_nodes").mkdir()
    with pytest.raises(CtlymphError, match="other files than a synthetic collection"):
        make(tmp_path, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["ct_lymph_nodes"]


def test_two_jobs_write_the_same_bytes_as_one(made: Path, tmp_path: Path) -> None:
    make(tmp_path / "again", jobs=2)
    names = sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(tmp_path / "again") for path in tmp_path.rglob("*") if path.is_file())
    for name in names:
        assert (made / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_the_retrievers_layout_and_zips_are_read_alike(tmp_path: Path, cases: list[Case]) -> None:
    make(tmp_path, cases=1, layout=LayoutChoice.nbia, zipped=True)
    (case,) = Collection(tmp_path).cases()
    assert case.has == cases[0].has
    assert case.nodes() == cases[0].nodes()
    np.testing.assert_array_equal(case.masks().labels, cases[0].masks().labels)
    with (tmp_path / "manifest-synthetic" / "metadata.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["Modality"] for row in rows} == {"CT", "SEG"}
    for row in rows:
        place = tmp_path / "manifest-synthetic" / row["File Location"].replace("\\", "/")
        assert len(list(place.iterdir())) == int(row["Number of Images"])
    make(tmp_path, cases=2, layout=LayoutChoice.nbia, zipped=True)
    assert [each.name for each in Collection(tmp_path).cases()] == ["MED_LYMPH_001", "ABD_LYMPH_001"]
    assert Collection(tmp_path).cases()[0].nodes() == case.nodes()


def test_each_time_point_is_a_collection_and_a_lineage_binds_their_nodes(tmp_path: Path) -> None:
    make(tmp_path, cases=1, timepoints=2)
    (first,), (second,) = (Collection(tmp_path / f"timepoint_{n}").cases() for n in (0, 1))
    assert first.nodes() != second.nodes()
    with (tmp_path / "truth" / "MED_LYMPH_001_lineage.csv").open(encoding="utf-8") as file:
        links = list(csv.DictReader(file))
    known = {row["node"] for row in links if row["timepoint"] == "0"}
    parents = {parent for row in links if row["timepoint"] == "1" for parent in row["parents"].split()}
    assert parents
    assert parents <= known
    for number in (0, 1):
        rows = read_nodes_csv(tmp_path / f"timepoint_{number}" / "truth" / "MED_LYMPH_001.csv")
        assert {str(row.node) for row in rows} <= {row["node"] for row in links if row["timepoint"] == str(number)}


def test_the_quirks_of_the_real_candidates_are_there_and_read(cases: list[Case], tmp_path: Path) -> None:
    texts = [file.read(1 << 20) for file in cases[0].files.negatives.values()]
    assert any(b"\r\n" in text for text in texts)
    grid = Geometry((4, 4, 4), np.zeros(3), np.ones(3))
    scanned = Phantom(Volume(np.zeros((4, 4, 4), np.int16), grid), Masks(np.zeros((4, 4, 4), np.uint16), grid), ())
    found = SimulatedCandidates((((0.01, 2, 3), 0),), ((4, 5, 6),))
    for name in ("MED_LYMPH_003", "MED_LYMPH_010", "MED_LYMPH_004"):
        write_candidates(CaseToWrite(name, "mediastinum", scanned, found, "F", 50, seed=1), tmp_path / name)
    case = {each.name: each for each in Collection(tmp_path).cases()}
    assert case["MED_LYMPH_003"].candidates()[0].point_mm == (9.15527e-5, 2, 3)
    assert b"e-005" in case["MED_LYMPH_003"].files.positives["physicalPoints.txt"].read(1 << 20)
    assert len(case["MED_LYMPH_010"].candidates()) == 1
    assert case["MED_LYMPH_004"].candidates() == ()
    assert case["MED_LYMPH_004"].files.negatives["physicalPoints.mps"].read(1) == b""


def test_a_patient_does_not_depend_on_how_many_others_there_are(tmp_path: Path) -> None:
    few, many = (phantom_patients(tmp_path, counts, PhantomOptions(seed=5)) for counts in (split(4), (90, 86)))
    fewer, all_ = ({name: patient.spec for patient in each for name in patient.names} for each in (few, many))
    assert len(fewer) == 4
    assert fewer.items() <= all_.items()
    assert len(all_) == 176
    assert sum(len(patient.names) == 2 for patient in many) == 26
    assert {spec.matrix for spec in all_.values()} == {512}


@pytest.mark.parametrize("spacing", ["1,1", "one", "0,1,1", "1,1,nan"])
def test_a_wrong_spacing_is_refused_in_one_line(tmp_path: Path, spacing: str) -> None:
    with pytest.raises(typer.BadParameter, match="mm") as error:
        make(tmp_path / "out", spacing=spacing)
    assert error.value.param_hint == "--spacing"
    assert not (tmp_path / "out").exists()


def test_a_standard_set_has_its_own_seed(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="fixes the cases and the seed"):
        make(tmp_path, standard=SetChoice.small)


def test_a_collection_goes_where_output_says_and_a_bare_folder_is_a_usage_error(tmp_path: Path) -> None:
    given = CliRunner().invoke(app, ["phantom", str(tmp_path / "out")])
    assert given.exit_code == 2
    assert "--output" in given.output
    assert list(tmp_path.iterdir()) == []
