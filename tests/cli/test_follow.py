"""``ctlymph follow`` from files to files."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ctlymph.cli.main import main
from ctlymph.core.result import Result
from ctlymph.core.volume import Masks, Volume
from ctlymph.io import read
from ctlymph.io.dicom.ct_writer import CTHeader, write_ct_series
from ctlymph.io.images import write_image, write_masks
from ctlymph.measurement.axes import measure_masks
from ctlymph.outputs.result_files import write_results
from ctlymph.phantom.scan.patient import Phantom


def ctlymph(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run the command as a shell would; give its exit code."""
    monkeypatch.setattr(sys, "argv", ["ctlymph", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_:
        main()
    return int(exit_.value.code or 0)


@pytest.fixture(scope="module")
def scans(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chest twice, as DICOM with a DICOM-SEG of its three largest nodes, the second time moved and one node gone."""
    folder = tmp_path_factory.mktemp("scans")
    coarse = phantom.volume.resample(2.5)
    labels = Volume(phantom.masks.labels.astype(np.int16), phantom.masks.geometry).resample(coarse.geometry, "nearest")
    counts = np.bincount(labels.hu.ravel().clip(0))
    counts[0] = 0
    largest = np.argsort(-counts)[:3].tolist()
    moved = replace(coarse.geometry, origin_mm=coarse.geometry.origin_mm + np.array([12.0, -7.0, 20.0]))
    for number, (geometry, kept) in enumerate(((coarse.geometry, largest), (moved, largest[:2]))):
        place = folder / f"visit{number}"
        volume = replace(coarse, geometry=geometry)
        about = CTHeader("P9", study_date=f"2020010{number + 1}", study_uid=f"2.25.{number + 1}")
        write_ct_series(volume, place / "ct", about)
        volume = read(place / "ct")
        masks = Masks(sum(np.uint16(n + 1) * (labels.hu == each) for n, each in enumerate(kept)), volume.geometry)
        (place / "out").mkdir()
        result = Result(volume, masks, measure_masks(volume, masks))
        write_results(place / "out", result, ("json", "masks", "seg"))
        write_image(volume, place / "ct.nii.gz")
        write_masks(masks, place / "nodes.nii.gz")
    return folder


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "response.csv").open() as file:
        return list(csv.DictReader(file))


def test_segmentations_are_followed_and_all_files_appear(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    segs = [scans / f"visit{n}" / "out" / "seg.dcm" for n in (0, 1)]
    assert ctlymph(monkeypatch, "follow", *segs, "-o", tmp_path / "out", "--json") == 0
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"response.html", "response.csv", "response.json", "targets.csv", "response_1.dcm"}
    rows = table(tmp_path / "out")
    assert {row["node"]: row["parents"] for row in rows if row["visit"] == "1"} == {"1": "0:1", "2": "0:2"}
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads((tmp_path / "out" / "response.json").read_text())
    nodes = [node for visit in said["visits"] for node in visit["nodes"]]
    assert all(1 <= node["node_rads"]["lowest"] <= node["node_rads"]["highest"] <= 5 for node in nodes)
    targets = (tmp_path / "out" / "targets.csv").read_text()
    (tmp_path / "mine.csv").write_text(targets.replace("target,", "left out,", 1).replace("non-left out", "left out"))
    again = (*segs, "-o", tmp_path / "again", "--targets", tmp_path / "mine.csv")
    assert ctlymph(monkeypatch, "follow", *again) == 0


def test_folders_of_results_and_drawn_nodes_give_the_same(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = [scans / f"visit{n}" / "out" for n in (0, 1)]
    assert ctlymph(monkeypatch, "follow", *results, "-o", tmp_path / "a") == 0
    images = [scans / f"visit{n}" / "ct.nii.gz" for n in (0, 1)]
    drawn = [word for n in (0, 1) for word in ("--nodes", scans / f"visit{n}" / "nodes.nii.gz")]
    assert ctlymph(monkeypatch, "follow", *images, *drawn, "-o", tmp_path / "b") == 0
    first, second = table(tmp_path / "a"), table(tmp_path / "b")
    for column in ("node", "parents", "role", "short_axis_mm"):
        assert [row[column] for row in first] == [row[column] for row in second]


def test_scans_that_are_no_course_of_one_patient_are_refused(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (scans / f"visit{n}" / "out" / "seg.dcm" for n in (0, 1))

    def refused(*arguments: object) -> str:
        assert ctlymph(monkeypatch, "follow", *arguments, "-o", tmp_path / "out") == 1
        assert not (tmp_path / "out").exists()
        return capsys.readouterr().err.splitlines()[-1]

    assert "is before visit 0" in refused(second, first)
    assert "given twice" in refused(first, first)
    other = read(scans / "visit1" / "ct")
    write_ct_series(other, tmp_path / "other" / "ct", CTHeader("SOMEONE", study_date="20200301"))
    nodes = scans / "visit1" / "nodes.nii.gz"
    both = (scans / "visit0" / "ct", tmp_path / "other" / "ct", "--nodes", scans / "visit0" / "nodes.nii.gz")
    assert "2 patients" in refused(*both, "--nodes", nodes)
    seg = scans / "visit1" / "out" / "seg.dcm"
    assert "frame of reference" in refused(
        *(scans / "visit0" / "ct", scans / "visit1" / "ct"), *("--nodes", seg, "--nodes", seg)
    )
    too_few = ("follow", scans / "visit0" / "ct", scans / "visit1" / "ct", "--nodes", nodes, "-o", tmp_path / "out")
    assert ctlymph(monkeypatch, *too_few) == 2
    assert "one for each" in capsys.readouterr().err
    assert "lies up to" in refused(
        *(scans / "visit0" / "ct", scans / "visit1" / "ct"), *("--nodes", nodes, "--nodes", nodes)
    )


def test_another_part_of_the_body_is_refused(
    scans: Path, phantom: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    coarse = phantom.volume.resample(2.5)
    half = coarse.hu.shape[0] // 2
    paths = []
    for name, low in (("chest", half), ("pelvis", 0)):
        part = coarse.crop((low, 0, 0), (half - 20, *coarse.hu.shape[1:]))
        write_image(part, tmp_path / f"{name}.nii.gz")
        write_masks(Masks(np.zeros(part.hu.shape, np.uint16), part.geometry), tmp_path / f"{name}_nodes.nii.gz")
        paths.append(tmp_path / f"{name}.nii.gz")
    nodes = [word for path in paths for word in ("--nodes", tmp_path / f"{path.name[:-7]}_nodes.nii.gz")]
    assert ctlymph(monkeypatch, "follow", *paths, *nodes, "-o", tmp_path / "out") == 1
    assert "cannot be registered" in capsys.readouterr().err
