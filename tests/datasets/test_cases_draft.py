from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ctlymph.cli.collection_init import init
from ctlymph.core.errors import CtlymphError
from ctlymph.datasets.case import Collection
from ctlymph.datasets.cases_draft import draft_cases, write_draft
from own_data import write_own_data
from small_collection import write_small_collection

LAYOUTS = {
    "two folders": [("images/PAT001.nii.gz", "labels/PAT001.nii.gz"), ("images/PAT002.nii.gz", "labels/PAT002.nii.gz")],
    "a folder a case": [("PAT001/ct.nii.gz", "PAT001/mask.nii.gz"), ("PAT002/ct.nrrd", "PAT002/segmentation.nrrd")],
    "names in files": [("PAT001_ct.nii.gz", "PAT001_mask.nii.gz"), ("PAT002.mha", "PAT002_seg.mha")],
    "below others": [
        ("siteA/CT/PAT001.nii", "siteA/Masks/PAT001.nii"),
        ("siteB/CT/PAT002.nii", "siteB/Masks/PAT002.nii"),
    ],
}


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_cts_and_labels_are_matched_by_their_names(tmp_path: Path, layout: str) -> None:
    touch(tmp_path, *(name for pair in LAYOUTS[layout] for name in pair))
    drafts = draft_cases(tmp_path)
    assert [draft.case for draft in drafts] == ["PAT001", "PAT002"]
    assert [(draft.ct, draft.labels) for draft in drafts] == LAYOUTS[layout]
    assert {(draft.region, draft.split) for draft in drafts} == {("?", "")}
    assert [draft.patient for draft in drafts] == ["PAT001", "PAT002"]


def test_the_layout_of_nnunet_gives_the_split(tmp_path: Path) -> None:
    touch(tmp_path, "imagesTr/A_01_0000.nii.gz", "labelsTr/A_01.nii.gz", "imagesTs/B_02_0000.nii.gz", "dataset.json")
    first, second = draft_cases(tmp_path, "abdomen")
    assert (first.case, first.split, first.labels) == ("A_01", "train", "labelsTr/A_01.nii.gz")
    assert (second.case, second.split, second.labels) == ("B_02", "test", "")
    assert first.region == "abdomen"


def test_scans_that_are_called_alike_are_of_the_patient_above_them(tmp_path: Path) -> None:
    touch(tmp_path, "P1/day0.nii.gz", "P1/day0_mask.nii.gz", "P1/day90.nii.gz", "P2/day0.nii.gz")
    drafts = draft_cases(tmp_path)
    assert [(draft.case, draft.patient) for draft in drafts] == [
        ("P1_day0", "P1"),
        ("P1_day90", "P1"),
        ("P2_day0", "P2"),
    ]
    assert drafts[0].labels == "P1/day0_mask.nii.gz"


def test_dicom_is_named_after_the_patient(tmp_path: Path) -> None:
    write_small_collection(tmp_path, ["MED_LYMPH_001"], parts=["ct", "masks"])
    (draft,) = draft_cases(tmp_path, "mediastinum")
    assert (draft.case, draft.patient) == ("MED_LYMPH_001", "MED_LYMPH_001")
    assert draft.labels.endswith("MED_LYMPH_001_mask.nii.gz")
    write_draft(tmp_path, [draft])
    (case,) = Collection(tmp_path).cases()
    assert case.masks(case.ct()).labels.any()


def test_the_command_drafts_a_dataset_that_reads(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(init)
    written = write_own_data(tmp_path)
    (tmp_path / "cases.csv").unlink()
    result = CliRunner().invoke(app, [str(tmp_path), "--region", "mediastinum"])
    assert result.exit_code == 0
    assert sorted(case.name for case in Collection(tmp_path).cases("mediastinum")) == sorted(written)
    again = CliRunner().invoke(app, [str(tmp_path)])
    assert isinstance(again.exception, CtlymphError), "a table that somebody has completed is not lost"
    assert CliRunner().invoke(app, [str(tmp_path), "--overwrite"]).exit_code == 0
    with pytest.raises(CtlymphError, match="line 2: region is '\\?'"):
        Collection(tmp_path)


def test_a_folder_without_cts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CtlymphError, match="holds no CT"):
        draft_cases(tmp_path)
