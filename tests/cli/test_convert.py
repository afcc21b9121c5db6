"""``ctlymph convert`` as a person runs it: files in, files out, one line when it cannot be."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from ctlymph.cli.main import main
from ctlymph.core.volume import Volume, geometry_of
from ctlymph.io import read
from ctlymph.io.dicom.ct_writer import CTHeader, write_ct_series
from ctlymph.io.images import write_image

Run = Callable[..., tuple[int, str]]
FORMATS = ("ct.nii.gz", "ct.nii", "ct.hdr", "ct.nrrd", "ct.nhdr", "ct.mha", "ct.mhd", "dicom")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run ``ctlymph convert`` in this process; give its exit code and what it said."""

    def call(source: object, *arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["ctlymph", "convert", str(source), "-o", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capfd.readouterr()
        assert out == ""
        return int(caught.value.code or 0), err

    return call


@pytest.mark.parametrize(("first", "second"), list(product(FORMATS, FORMATS)))
def test_voxels_and_places_survive_every_pair_of_formats(
    tmp_path: Path, oblique_volume: Volume, run: Run, first: str, second: str
) -> None:
    write_image(oblique_volume, tmp_path / "source.nrrd")
    one, two = tmp_path / "1" / first, tmp_path / "2" / second
    assert run(tmp_path / "source.nrrd", one)[0] == 0
    assert run(one, two)[0] == 0
    volume = read(two)
    # DICOM is written axial; all else keeps the order of the voxels.
    expected = oblique_volume.reorient("LPS") if "dicom" in (first, second) else oblique_volume
    np.testing.assert_array_equal(volume.hu, expected.hu)
    assert volume.geometry.matches(expected.geometry, tolerance_mm=1e-4)


def test_a_real_dicom_series_becomes_what_simpleitk_reads(shared_data: Path, tmp_path: Path, run: Run) -> None:
    code, said = run(shared_data / "nih" / "slices" / "1-416.dcm", tmp_path / "slice.nii.gz")
    assert code == 0
    assert "512 × 512 × 1 voxels" in said
    image = sitk.ReadImage(str(shared_data / "nih" / "slices" / "1-416.dcm"))
    volume = read(tmp_path / "slice.nii.gz")
    np.testing.assert_array_equal(volume.hu, np.maximum(sitk.GetArrayFromImage(image), -1024))
    np.testing.assert_allclose(volume.geometry.origin_mm, image.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(volume.geometry.spacing_mm[:2], image.GetSpacing()[:2], atol=1e-6)


def test_a_dicom_series_made_from_dicom_is_a_new_series_of_the_same_study(
    tmp_path: Path, oblique_volume: Volume, run: Run
) -> None:
    header = CTHeader(patient_id="P7", patient_name="Doe^Jane", study_date="20140914", study_description="Staging")
    write_ct_series(oblique_volume, tmp_path / "in", header)
    assert run(tmp_path / "in", tmp_path / "out", "--spacing", "1.5")[0] == 0
    before, after = (pydicom.dcmread(next((tmp_path / name).iterdir())) for name in ("in", "out"))
    for keyword in (
        "StudyInstanceUID",
        "FrameOfReferenceUID",
        "PatientID",
        "PatientName",
        "StudyDate",
        "StudyDescription",
    ):
        assert after[keyword].value == before[keyword].value
    assert after.SeriesInstanceUID != before.SeriesInstanceUID
    assert after.PixelSpacing == [1.5, 1.5]


def test_axes_can_be_turned_and_the_grid_resampled(tmp_path: Path, oblique_volume: Volume, run: Run) -> None:
    write_image(oblique_volume, tmp_path / "in.nrrd")
    assert run(tmp_path / "in.nrrd", tmp_path / "turned.mha", "--orient", "ras")[0] == 0
    image = sitk.DICOMOrient(sitk.ReadImage(str(tmp_path / "in.nrrd")), "RAS")
    np.testing.assert_array_equal(read(tmp_path / "turned.mha").hu, sitk.GetArrayFromImage(image))
    assert read(tmp_path / "turned.mha").geometry.matches(geometry_of(image))
    assert run(tmp_path / "in.nrrd", tmp_path / "coarse.mha", "--spacing", "2,2,4")[0] == 0
    assert read(tmp_path / "coarse.mha").geometry.spacing_mm == pytest.approx([2, 2, 4])


def test_notes_of_the_reader_are_shown(tmp_path: Path, run: Run) -> None:
    sitk.WriteImage(sitk.Image([4, 4, 4], sitk.sitkInt16) - 3000, str(tmp_path / "in.nrrd"))
    code, said = run(tmp_path / "in.nrrd", tmp_path / "out.nii")
    assert code == 0
    assert "note: 64 voxels below -1024 HU (padding) became -1024 HU\n" in said


def test_an_output_that_exists_is_kept_unless_told_otherwise(tmp_path: Path, oblique_volume: Volume, run: Run) -> None:
    write_image(oblique_volume, tmp_path / "in.nrrd")
    for output in (tmp_path / "out.nii.gz", tmp_path / "folder"):
        assert run(tmp_path / "in.nrrd", output)[0] == 0
        code, said = run(tmp_path / "in.nrrd", output)
        assert (code, said.count("\n")) == (1, 1)
        assert said.startswith(f"error: {output}")
        assert said.endswith("or add --overwrite\n")
        assert run(tmp_path / "in.nrrd", output, "--overwrite")[0] == 0


@pytest.mark.parametrize(
    ("output", "options", "code", "words"),
    [
        ("out.jpg", [], 2, "has a suffix that is not known here"),
        ("out.nii", ["--orient", "LLS"], 2, "must name each of R/L, A/P, I/S once"),
        ("out.nii", ["--spacing", "1,2"], 2, "neither one number of mm nor three"),
        ("out.nii", ["--spacing", "-1"], 2, "neither one number of mm nor three"),
        ("folder", ["--orient", "RAS"], 2, "always written axial"),
        ("out.nii", ["--series", "1.2"], 1, "holds no DICOM series"),
    ],
)
def test_what_cannot_be_done_is_refused_and_leaves_nothing(
    tmp_path: Path, oblique_volume: Volume, run: Run, output: str, options: list[str], code: int, words: str
) -> None:
    write_image(oblique_volume, tmp_path / "in.nrrd")
    done, said = run(tmp_path / "in.nrrd", tmp_path / output, *options)
    assert done == code
    assert words in " ".join(said.replace("│", " ").split())
    assert [path.name for path in tmp_path.iterdir()] == ["in.nrrd"]


def test_a_folder_may_have_a_suffix_if_that_is_said(tmp_path: Path, oblique_volume: Volume, run: Run) -> None:
    write_image(oblique_volume, tmp_path / "in.nrrd")
    assert run(tmp_path / "in.nrrd", tmp_path / "series.1", "--to", "dicom")[0] == 0
    assert read(tmp_path / "series.1").case == "in"


def test_bad_input_ends_in_one_line_and_no_output(tmp_path: Path, run: Run) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "nothing.nii.gz").write_bytes(b"")
    for name in ("empty", "notes.txt", "nothing.nii.gz", "absent"):
        code, said = run(tmp_path / name, tmp_path / "out.nii.gz")
        assert code == 1
        *progress, error = said.splitlines()
        assert error.startswith("error: ")
        assert name in error
        assert all("Reading" in line for line in progress)
        assert not (tmp_path / "out.nii.gz").exists()
