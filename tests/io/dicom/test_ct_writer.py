"""Written CT series against SimpleITK, pydicom and dciodvfy."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import Geometry, Volume, geometry_of
from ctlymph.io import read
from ctlymph.io.dicom.ct_writer import BODY_PARTS, CTHeader, derived_header, write_ct_series

FULL = CTHeader(
    patient_id="CASE_001",
    patient_name="Müller^Anna",
    birth_date="19410203",
    sex="F",
    age="073Y",
    study_date="20140914",
    study_time="120000",
    study_id="7",
    accession_number="A7",
    study_description="Abdominal lymph nodes",
    series_description="Portal venous",
    body_part="ABDOMEN",
    comment="Synthetic: no patient",
    derivation="Computed from nothing",
    seed="5",
)


def by_simpleitk(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    (series,) = reader.GetGDCMSeriesIDs(str(folder))
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), series))
    return reader.Execute()


def files(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "LPI", "RAI", "PSL", "SLA", "LSP"])
def test_simpleitk_reads_back_every_voxel_at_its_place(
    tmp_path: Path, oblique_volume: Volume, orientation: str
) -> None:
    volume = oblique_volume.reorient(orientation)
    write_ct_series(volume, tmp_path / "ct")
    image = by_simpleitk(tmp_path / "ct")
    kji = np.argwhere(np.ones(volume.hu.shape, dtype=bool))
    places = volume.geometry.index_to_mm(kji[:, ::-1])
    index = geometry_of(image).mm_to_index(places)
    assert np.abs(index - np.rint(index)).max() * volume.geometry.spacing_mm.max() < 1e-4
    back = sitk.GetArrayFromImage(image)
    assert back.shape == volume.reorient("LPS").hu.shape
    np.testing.assert_array_equal(back[tuple(np.rint(index).astype(int)[:, ::-1].T)], volume.hu[tuple(kji.T)])


@pytest.mark.parametrize("implicit_vr", [False, True])
def test_a_written_series_is_read_back_here(tmp_path: Path, oblique_volume: Volume, implicit_vr: bool) -> None:
    write_ct_series(oblique_volume, tmp_path / "ct", FULL, implicit_vr=implicit_vr)
    volume, expected = read(tmp_path / "ct"), oblique_volume.reorient("LPS")
    np.testing.assert_array_equal(volume.hu, expected.hu)
    assert volume.geometry.matches(expected.geometry, tolerance_mm=1e-4)
    assert volume.case == "CASE_001"
    assert volume.notes == ()


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is absent (Debian package dicom3tools)")
@pytest.mark.parametrize("implicit_vr", [False, True])
@pytest.mark.parametrize(("header", "warnings"), [(FULL, 0), (CTHeader(), 3)])
def test_dciodvfy_finds_no_error(
    tmp_path: Path, oblique_volume: Volume, header: CTHeader, warnings: int, implicit_vr: bool
) -> None:
    write_ct_series(oblique_volume, tmp_path / "ct", header, implicit_vr=implicit_vr)
    for path in (tmp_path / "ct").iterdir():
        done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        assert "Error" not in done.stdout + done.stderr
        assert done.returncode == 0
        # Without a header: study date and time, which a DICOMDIR would want, and the empty laterality.
        assert done.stderr.count("Warning") == warnings, done.stderr


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is absent (Debian package dicom3tools)")
@pytest.mark.parametrize("part", sorted(BODY_PARTS))
def test_every_body_part_is_one_without_a_side(tmp_path: Path, oblique_volume: Volume, part: str) -> None:
    write_ct_series(oblique_volume, tmp_path / "ct", replace(FULL, body_part=part))
    done = subprocess.run(["dciodvfy", tmp_path / "ct" / "1-1.dcm"], capture_output=True, text=True, check=False)
    assert done.stderr == "CTImage\n"


def test_all_slices_share_their_series_and_differ_in_their_own_uid(tmp_path: Path, oblique_volume: Volume) -> None:
    write_ct_series(oblique_volume, tmp_path / "ct")
    slices = files(tmp_path / "ct")
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "ImageOrientationPatient"):
        assert len({str(slice_[keyword].value) for slice_ in slices}) == 1
    assert len({slice_.SOPInstanceUID for slice_ in slices}) == len(slices)
    assert [slice_.InstanceNumber for slice_ in slices] == list(range(1, len(slices) + 1))
    heights = [slice_.ImagePositionPatient[2] for slice_ in slices]
    assert heights == sorted(heights)
    for slice_ in slices:
        assert slice_.file_meta.MediaStorageSOPInstanceUID == slice_.SOPInstanceUID
        assert list(slice_.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
        assert slice_.PatientID == "oblique"


def test_a_seed_gives_the_same_bytes_and_none_gives_new_uids(tmp_path: Path, oblique_volume: Volume) -> None:
    for name, seed in (("a", "5"), ("b", "5"), ("c", "6"), ("d", ""), ("e", "")):
        write_ct_series(oblique_volume, tmp_path / name, replace(FULL, seed=seed))
    content = {name: b"".join(f.read_bytes() for f in sorted((tmp_path / name).iterdir())) for name in "abcde"}
    assert content["a"] == content["b"]
    uids = {name: files(tmp_path / name)[0].SeriesInstanceUID for name in "acde"}
    assert len(set(uids.values())) == 4


def test_a_derived_series_stays_in_its_study_and_frame_of_reference(tmp_path: Path, oblique_volume: Volume) -> None:
    write_ct_series(oblique_volume, tmp_path / "source", FULL)
    source = read(tmp_path / "source")
    write_ct_series(source.resample(1.0), tmp_path / "derived", derived_header(source, "Resampled to 1 mm"))
    before, after = files(tmp_path / "source")[0], files(tmp_path / "derived")[0]
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName", "PatientSex", "StudyDate"):
        assert after[keyword].value == before[keyword].value, keyword
    assert after.SeriesInstanceUID != before.SeriesInstanceUID
    assert after.DerivationDescription == "Resampled to 1 mm"


def test_a_written_series_replaces_a_longer_one_whole_and_no_other_files(tmp_path: Path) -> None:
    def volume(slices: int) -> Volume:
        return Volume(np.zeros((slices, 4, 4), np.int16), Geometry((slices, 4, 4), np.zeros(3), np.ones(3)))

    write_ct_series(volume(12), tmp_path / "ct")
    with pytest.raises(CtlymphError, match=r"holds files already.*overwrite=True"):
        write_ct_series(volume(9), tmp_path / "ct")
    write_ct_series(volume(9), tmp_path / "ct", overwrite=True)
    assert sorted(path.name for path in (tmp_path / "ct").iterdir()) == [f"1-{n}.dcm" for n in range(1, 10)]
    (tmp_path / "ct" / "report.txt").write_text("mine")
    with pytest.raises(CtlymphError, match=r"holds other files than a written series \(report\.txt\)"):
        write_ct_series(volume(9), tmp_path / "ct", overwrite=True)
    assert len(list((tmp_path / "ct").iterdir())) == 10


def test_an_interrupted_series_leaves_nothing(
    tmp_path: Path, oblique_volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = pydicom.Dataset.save_as

    def interrupted(dataset: pydicom.Dataset, path: Path, **options: bool) -> None:
        if dataset.InstanceNumber == 4:
            raise KeyboardInterrupt
        save(dataset, path, **options)

    monkeypatch.setattr(pydicom.Dataset, "save_as", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_ct_series(oblique_volume, tmp_path / "ct")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("field", ["patient_id", "study_id", "series_description"])
def test_a_text_that_dicom_cannot_hold_is_refused_by_name(field: str) -> None:
    for text in ("x" * 65, "a\\b"):
        with pytest.raises(CtlymphError, match=field.replace("_", " ")):
            CTHeader(**{field: text})


def test_a_derived_header_cuts_what_its_source_says_beyond_dicoms_limits(oblique_volume: Volume) -> None:
    volume = replace(
        oblique_volume,
        attributes={"SeriesDescription": "x" * 70, "StudyDescription": "a\\b", "BodyPartExamined": "ARM"},
    )
    header = derived_header(volume, "Turned")
    assert header.series_description == "x" * 64
    assert header.study_description == "a/b"
    assert header.body_part == ""


def test_a_case_too_long_for_a_patient_id_is_refused_and_leaves_nothing(tmp_path: Path, oblique_volume: Volume) -> None:
    with pytest.raises(CtlymphError, match=r"64 characters and no backslash in patient id.*shorten or rename it"):
        write_ct_series(replace(oblique_volume, case="x" * 65), tmp_path / "ct")
    assert list(tmp_path.iterdir()) == []
