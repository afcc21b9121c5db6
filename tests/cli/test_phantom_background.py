"""Nodes in someone's CT: laid out as the public collection, resumable, and open about what they are."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import which
from subprocess import run
from typing import Any

import numpy as np
import pydicom
import pytest
import typer

from ctlymph.cli.phantom import LayoutChoice, phantom
from ctlymph.core.errors import CtlymphError
from ctlymph.datasets.case import Collection
from ctlymph.io import read
from ctlymph.io.images import write_image
from ctlymph.phantom.scan.head_and_legs import make_legs
from ctlymph.phantom.scan.patient import PhantomSpec, make_patient


def make(folder: Path, *backgrounds: Path, **options: Any) -> None:
    given: dict[str, Any] = {
        **{"cases": None, "seed": 8, "standard": None, "timepoints": 1, "spacing": None, "thickness": None},
        **{"contrast": None, "background": list(backgrounds), "layout": LayoutChoice.idc, "zipped": False},
        **{"draws": 1, "jobs": 1, "overwrite": False},
    }
    phantom(folder, **(given | options))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "jane_doe.nii.gz"
    write_image(make_patient(PhantomSpec(seed=3, spacing_mm=(1.4, 1.4, 2.5), z_range_mm=(40, 330))).volume, path)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Path:
    folder = tmp_path_factory.mktemp("inserted") / "out"
    make(folder, source)
    return folder


def test_a_ct_of_both_regions_gets_the_names_of_one_scan(made: Path) -> None:
    collection = Collection(made)
    assert collection.synthetic
    assert [case.name for case in collection.cases()] == ["MED_LYMPH_002", "ABD_LYMPH_001"]
    assert all(case.has == {"ct", "seg", "annotations", "candidates", "masks"} for case in collection.cases())


def test_draws_put_other_nodes_into_the_same_patient(made: Path, source: Path, tmp_path: Path) -> None:
    make(tmp_path / "out", source, draws=2)
    first, second = Collection(tmp_path / "out").cases("mediastinum")
    assert first.patient == second.patient != Collection(made).cases("abdomen")[0].name
    (before,) = Collection(made).cases("mediastinum")
    assert first.nodes() == before.nodes(), "the first draw is the same with and without further ones"
    assert first.nodes() != second.nodes()
    assert len({case.patient for case in Collection(tmp_path / "out").cases()}) == 1


def test_draws_without_a_ct_are_refused(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="is for CTs given by --background"):
        make(tmp_path / "out", background=None, draws=2)


def test_annotations_masks_and_candidates_agree_with_the_ct(made: Path, source: Path) -> None:
    before = read(source)
    for case in Collection(made).cases():
        ct, masks, nodes = case.ct(), case.masks(), case.nodes()
        assert ct.geometry.matches(before.geometry, tolerance_mm=0.02)
        assert (ct.hu[masks.labels == 0] == before.hu[masks.labels == 0]).mean() > 0.97
        assert set(np.unique(masks.labels)) == set(range(len(nodes) + 1))
        points = np.array([node.point_mm for node in nodes])
        for node in nodes:
            near = tuple(slice(max(0, n - 1), n + 2) for n in reversed(node.index_ijk))
            assert masks.labels[near].any()
        candidates = case.candidates()
        assert sum(not candidate.positive for candidate in candidates) >= 10
        for candidate in candidates:
            apart = np.linalg.norm(points - candidate.point_mm, axis=1)
            assert (apart.min() < 15) if candidate.positive else (apart.min() > 13)  # points lie in voxels


def test_files_say_that_the_nodes_are_synthetic_and_name_no_patient(made: Path) -> None:
    assert "not: a detector" in (made / "SYNTHETIC.txt").read_text(encoding="utf-8")
    header = pydicom.dcmread(next(made.glob("ct_lymph_nodes/*/*/CT_*/*.dcm")))
    assert "SYNTHETIC" in header.ImageComments
    assert str(header.PatientName).startswith("SYNTHETIC^")
    assert not any("jane" in str(element.value).lower() for element in header if element.keyword != "PixelData")


def test_a_second_run_leaves_what_is_done_and_another_seed_is_refused(
    made: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = next(made.glob("MED_ABD_LYMPH_MASKS/*/*.nii.gz"))
    before = marker.stat().st_mtime_ns
    make(made, source)
    assert marker.stat().st_mtime_ns == before
    assert "1 of 1 patients are complete" in capsys.readouterr().err
    with pytest.raises(CtlymphError, match="other options"):
        make(made, source, seed=9)


def test_the_recipe_holds_the_ct_by_its_voxels(made: Path) -> None:
    recipe = json.loads((made / "truth" / "MED_LYMPH_002_phantom.json").read_text(encoding="utf-8"))
    assert len(recipe["background_sha256"]) == 64
    assert recipe["seed"] == 8


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_ct_without_a_region_is_named_and_the_others_are_made(
    source: Path, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], jobs: int
) -> None:
    legs, absent = tmp_path / "legs.nii.gz", tmp_path / "absent.nii.gz"
    write_image(make_legs(PhantomSpec(1, (3.0, 3.0, 4.0))), legs)
    with pytest.raises(CtlymphError, match="2 of 3 CTs could not be used, the others are in"):
        make(tmp_path / "out", legs, absent, source, jobs=jobs)
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 2
    assert any(str(legs) in line and "neither a mediastinum nor an abdomen" in line for line in errors)
    assert any(str(absent) in line for line in errors)
    names = [case.name for case in Collection(tmp_path / "out").cases()]
    assert names == [case.name for case in Collection(made).cases()]


def test_where_no_ct_can_be_used_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(CtlymphError, match="none of the CTs can be used"):
        make(tmp_path / "out", tmp_path / "absent.nii.gz")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options",
    [{"cases": 2}, {"spacing": "1,1,1"}, {"thickness": 2.0}, {"contrast": True}, {"timepoints": 2}],
    ids=lambda given: next(iter(given)),
)
def test_options_of_synthetic_torsos_are_refused(tmp_path: Path, source: Path, options: dict[str, Any]) -> None:
    with pytest.raises(typer.BadParameter, match="synthetic torsos"):
        make(tmp_path / "out", source, **options)


@pytest.mark.skipif(which("dciodvfy") is None, reason="dciodvfy (Debian package dicom3tools) is not installed")
def test_dciodvfy_finds_no_error(made: Path) -> None:
    for folder in made.glob("ct_lymph_nodes/*/*/*"):
        said = run(["dciodvfy", next(folder.glob("*.dcm"))], capture_output=True, text=True, check=False).stderr
        assert "Error" not in said
