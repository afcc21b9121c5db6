from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ctlymph.cli.phantom import phantom
from ctlymph.errors import CtlymphError
from ctlymph.io.images import read_masks
from ctlymph.io.tables import read_nodes_csv


def make(folder: Path, **options: object) -> None:
    phantom(
        folder,
        **({"cases": 1, "seed": 3, "spacing": "5,5,10", "contrast": True, "jobs": 1, "overwrite": False} | options),
    )  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "out"
    make(folder)
    return folder


def test_a_case_is_a_dicom_series_masks_and_a_table_that_agree(made: Path) -> None:
    import SimpleITK as sitk

    case = made / "PHANTOM_0001"
    assert sorted(path.name for path in case.iterdir()) == ["ct", "masks.nii.gz", "phantom.json", "truth.csv"]
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(case / "ct")))
    image = reader.Execute()
    masks = read_masks(case / "masks.nii.gz")
    assert image.GetSize() == masks.geometry.shape_ijk
    np.testing.assert_allclose(image.GetOrigin(), masks.geometry.origin_mm, atol=1e-3)
    rows = read_nodes_csv(case / "truth.csv")
    assert {row.case for row in rows} == {"PHANTOM_0001"}
    for row in rows:
        np.testing.assert_allclose(image.TransformPhysicalPointToIndex(row.point_mm), (row.i, row.j, row.k))
        assert row.score is None


def test_the_series_says_that_it_is_synthetic(made: Path) -> None:
    import pydicom

    header = pydicom.dcmread(next((made / "PHANTOM_0001" / "ct").iterdir()))
    assert "SYNTHETIC" in str(header.PatientName)
    assert "SYNTHETIC" in header.SeriesDescription
    assert header.PatientID == "PHANTOM_0001"


def test_a_complete_case_is_left_alone_and_said_so(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (made / "PHANTOM_0001" / "truth.csv").stat().st_mtime_ns
    make(made)
    assert "complete" in capsys.readouterr().err
    assert (made / "PHANTOM_0001" / "truth.csv").stat().st_mtime_ns == before


def test_a_case_of_another_seed_is_not_taken_for_this_one(made: Path) -> None:
    with pytest.raises(CtlymphError, match=r"PHANTOM_0001 was made with other options.*--overwrite"):
        make(made, seed=4)


def test_two_jobs_write_the_same_bytes_as_one(made: Path, tmp_path: Path) -> None:
    make(tmp_path / "again", cases=2, jobs=2)
    first, second = made / "PHANTOM_0001", tmp_path / "again" / "PHANTOM_0001"
    names = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(second) for path in second.rglob("*") if path.is_file())
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    other = tmp_path / "again" / "PHANTOM_0002" / "truth.csv"
    assert other.read_bytes() != (first / "truth.csv").read_bytes()


@pytest.mark.parametrize("spacing", ["1,1", "one", "0,1,1", "1,1,nan"])
def test_a_wrong_spacing_is_refused_in_one_line(tmp_path: Path, spacing: str) -> None:
    with pytest.raises(CtlymphError, match="--spacing"):
        make(tmp_path / "out", spacing=spacing)
    assert not (tmp_path / "out").exists()
