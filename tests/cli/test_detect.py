"""``ctlymph detect`` as a person runs it: a process, files, exit codes."""

from __future__ import annotations

import csv
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ctlymph.core.volume import Geometry, Volume
from ctlymph.io.dicom.ct_writer import write_ct_series
from ctlymph.io.images import write_image
from ctlymph.phantom.scan.patient import Phantom

COLUMNS = "case,node,x_mm,y_mm,z_mm,i,j,k,score,region,station,short_axis_mm,long_axis_mm,volume_mm3,mean_hu,model"
FILES = {"nodes.csv", "nodes.json", "nodes.mrk.json", "nodes.mps", "masks.nii.gz", "report.html"}
OBJECTS = {"seg.dcm", "sr.dcm", "sr_ohif.dcm"}


def ctlymph(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ctlymph", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload,no-any-return]


def assert_one_line_error(done: subprocess.CompletedProcess[str], *words: object) -> None:
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1, done.stderr
    assert len(errors) == 1, done.stderr
    assert done.stderr.splitlines()[-1] == errors[0]
    assert "Traceback" not in done.stderr + done.stdout
    for word in words:
        assert str(word) in errors[0]


@pytest.fixture(scope="module")
def ct_file(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ct") / "patient.nii.gz"
    write_image(phantom.volume, path)
    return path


@pytest.fixture(scope="module")
def ct_folder(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ct") / "series"
    write_ct_series(phantom.volume, path)
    return path


def test_a_dicom_folder_gives_every_file_and_the_documented_columns(ct_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = ctlymph("detect", ct_folder, "-o", out)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in out.iterdir()} == FILES | OBJECTS
    assert (out / "nodes.csv").read_text().splitlines()[0] == COLUMNS
    rows = list(csv.DictReader((out / "nodes.csv").open()))
    assert len(rows) >= 5
    assert "for research use, not for diagnosis" in done.stderr.lower()
    assert str(out / "report.html") in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_dicom_and_nifti_of_one_ct_give_the_same_nodes(ct_folder: Path, ct_file: Path, tmp_path: Path) -> None:
    tables = []
    for ct in (ct_folder, ct_file):
        done = ctlymph("detect", ct, "-o", tmp_path / ct.name, "--json", "--formats", "csv", "--region", "mediastinum")
        assert done.returncode == 0, done.stderr
        tables.append(json.loads(done.stdout)["nodes"])
    # The files round the grid differently in the sixth decimal, which tells between marks
    # of equal score; the best three have no rivals.
    best = [[(n["i"], n["j"], n["k"]) for n in table[:3]] for table in tables]
    assert len(best[0]) == 3
    assert best[0] == best[1]
    assert {node["region"] for node in tables[0]} == {"mediastinum"}


def test_several_cts_get_a_folder_each_and_one_table_and_done_ones_are_kept(ct_file: Path, tmp_path: Path) -> None:
    twin = tmp_path / "twin.nii.gz"
    twin.write_bytes(ct_file.read_bytes())
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(b"")
    out = tmp_path / "out"
    options = ("-o", out, "--formats", "mitk", "--region", "mediastinum", "--jobs", 2)
    done = ctlymph("detect", ct_file, bad, twin, *options)
    assert done.returncode == 1
    assert "bad.nii.gz" in done.stderr
    assert "1 of 3 CTs failed" in done.stderr
    assert {path.name for path in out.iterdir()} == {"patient", "twin", "nodes.csv"}
    assert {path.name for path in (out / "twin").iterdir()} == {"nodes.csv", "nodes.mps"}
    rows = list(csv.DictReader((out / "nodes.csv").open()))
    assert {row["case"] for row in rows} == {"patient", "twin"}
    again = ctlymph("detect", ct_file, twin, *options)
    assert again.returncode == 0
    assert again.stderr.count("done before, kept") == 2


def test_an_existing_result_is_not_overwritten_unasked(ct_file: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    done = ctlymph("detect", ct_file, "-o", tmp_path)
    assert_one_line_error(done, tmp_path, "--overwrite")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_ct_of_legs_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    hu = np.full((40, 80, 120), -1000, dtype=np.int16)
    hu[:, 30:60, 20:50] = hu[:, 30:60, 70:100] = 40
    write_image(Volume(hu, Geometry(hu.shape, np.zeros(3), np.full(3, 3.0))), tmp_path / "legs.nii.gz")
    done = ctlymph("detect", tmp_path / "legs.nii.gz", "-o", tmp_path / "out")
    assert_one_line_error(done, "legs.nii.gz", "neither a mediastinum nor an abdomen", "give a CT")
    assert not (tmp_path / "out").exists()


def test_bad_input_is_one_line_that_names_it(ct_folder: Path, tmp_path: Path) -> None:
    inputs = {name: tmp_path / name for name in ("empty", "text.txt", "zero.nii.gz", "no_such_thing", "cut")}
    inputs["empty"].mkdir()
    inputs["text.txt"].write_text("hello")
    inputs["zero.nii.gz"].write_bytes(b"")
    inputs["cut"].mkdir()
    for file in sorted(ct_folder.iterdir()):
        data = file.read_bytes()
        (inputs["cut"] / file.name).write_bytes(data[: len(data) // 2] if file.name.endswith("3.dcm") else data)
    for path in inputs.values():
        done = ctlymph("detect", path, "-o", tmp_path / "out")
        assert_one_line_error(done, path.name)
        assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_that_cannot_be_written_is_refused_before_the_work(ct_file: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    assert_one_line_error(ctlymph("detect", ct_file, "-o", closed / "out"), "closed")


def test_an_output_below_a_file_is_refused_before_the_work(ct_file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_one_line_error(ctlymph("detect", ct_file, "-o", tmp_path / "file" / "out"), tmp_path / "file")


def test_running_out_of_room_while_writing_is_one_line_and_leaves_nothing(ct_file: Path, tmp_path: Path) -> None:
    def shrink_the_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    done = ctlymph("detect", ct_file, "-o", tmp_path / "out", preexec_fn=shrink_the_disk)
    assert_one_line_error(done, tmp_path / "out", "room", "free space")
    assert list(tmp_path.iterdir()) == []


def test_usage_errors_exit_with_2(ct_file: Path, tmp_path: Path) -> None:
    assert ctlymph("detect").returncode == 2
    assert ctlymph("detect", ct_file, "-o", tmp_path / "o", "--formats", "docx").returncode == 2
    assert ctlymph("detect", ct_file, "-o", tmp_path / "o", "--region", "pelvis").returncode == 2
    assert ctlymph("detect", ct_file, "-o", tmp_path / "o", "--threshold", "1.5").returncode == 2
    assert ctlymph("detect", ct_file, "-o", tmp_path / "o", "--model", "unicorn").returncode == 2
    assert ctlymph("detect", ct_file, "-o", tmp_path / "o", "--unicorn").returncode == 2


def test_help_shows_an_example_and_loads_nothing_heavy() -> None:
    done = ctlymph("detect", "--help")
    assert done.returncode == 0
    assert "ctlymph detect CT_FOLDER -o OUT" in done.stdout
    heavy = ("numpy", "scipy", "SimpleITK", "pydicom", "skimage", "torch")
    probe = f"import sys, ctlymph.cli.main; print([name for name in {heavy} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
