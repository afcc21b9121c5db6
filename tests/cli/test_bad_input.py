"""What a stranger may give to the commands by mistake: each ends in one line that names it, and leaves nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from ctlymph.cli.main import main
from ctlymph.core.volume import Geometry, Volume
from ctlymph.io import read
from ctlymph.io.dicom.ct_writer import write_ct_series
from ctlymph.io.images import write_image

COMMANDS: dict[str, Callable[[Path, Path, Path], list[object]]] = {
    "detect": lambda bad, good, out: ["detect", bad, "-o", out],
    "measure": lambda bad, good, out: ["measure", bad, good, "-o", out],
    "convert": lambda bad, good, out: ["convert", bad, "-o", out / "ct.nii.gz"],
    "convert to DICOM": lambda bad, good, out: ["convert", bad, "-o", out],
}


def refusal(arguments: list[object], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> str:
    """Run a command in this process; give its error line, without its progress."""
    monkeypatch.setattr(sys, "argv", ["ctlymph", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    *rest, error = capfd.readouterr().err.splitlines()
    assert error.startswith("error: ")
    assert all(line.startswith(("Reading", "note: ")) for line in rest)
    return error


@pytest.fixture
def good(tmp_path: Path) -> Path:
    geometry = Geometry((4, 5, 6), np.zeros(3), np.ones(3), np.eye(3))
    write_image(Volume(np.full((4, 5, 6), -5, np.int16), geometry, "good"), tmp_path / "good.nii.gz")
    return tmp_path / "good.nii.gz"


def fifo(place: Path, good: Path) -> Path:
    os.mkfifo(place / "pipe.nii.gz")
    return place / "pipe.nii.gz"


def folder_of_a_fifo(place: Path, good: Path) -> Path:
    (place / "pipes").mkdir()
    os.mkfifo(place / "pipes" / "1.dcm")
    return place / "pipes"


def locked_archive(place: Path, good: Path) -> Path:
    with zipfile.ZipFile(place / "locked.zip", "w") as archive:
        archive.writestr("1.dcm", b"x" * 1000)
    content = bytearray((place / "locked.zip").read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag "encrypted"
    (place / "locked.zip").write_bytes(content)
    return place / "locked.zip"


def archive_that_claims_too_much(place: Path, good: Path) -> Path:
    with zipfile.ZipFile(place / "bomb.zip", "w") as archive:
        archive.writestr("1.dcm", b"x" * 1000)
    content = bytearray((place / "bomb.zip").read_bytes())
    start = content.index(b"PK\x01\x02") + 24
    content[start : start + 4] = (4_000_000_000).to_bytes(4, "little")
    (place / "bomb.zip").write_bytes(content)
    return place / "bomb.zip"


def half_an_archive(place: Path, good: Path) -> Path:
    (place / "half.zip").write_bytes(b"PK\x03\x04" + b"x" * 1000)
    return place / "half.zip"


def archive_of_another_kind(place: Path, good: Path) -> Path:
    (place / "study.tar.gz").write_bytes(b"\x1f\x8b" + b"x" * 1000)
    return place / "study.tar.gz"


def slices_larger_than_most_memories(place: Path, good: Path) -> Path:
    write_ct_series(read(good), place / "huge")
    for file in (place / "huge").iterdir():
        dataset = pydicom.dcmread(file)
        dataset.Rows = dataset.Columns = 65535
        dataset.save_as(file)
    return place / "huge"


def infinite_affine(place: Path, good: Path) -> Path:
    image = nib.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4))
    image.header["srow_x"] = (1, 0, 0, np.inf)
    (place / "infinite.nii").write_bytes(image.header.binaryblock + bytes(4) + bytes(128))
    return place / "infinite.nii"


def unprintable_name(place: Path, good: Path) -> Path:
    path = Path(os.fsdecode(os.fsencode(place) + b"/a\xff.nii.gz"))
    path.write_bytes(good.read_bytes())
    return path


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (fifo, "pipe.nii.gz is a pipe or a device"),
        (folder_of_a_fifo, "pipes is empty"),
        (locked_archive, "locked.zip is locked by a password"),
        (archive_that_claims_too_much, "bomb.zip/1.dcm would unpack from 0 MiB to 3814 MiB"),
        (half_an_archive, "half.zip is damaged"),
        (archive_of_another_kind, "study.tar.gz is an archive of a kind not read here; unpack it"),
        (slices_larger_than_most_memories, "huge/"),
        (infinite_affine, "infinite.nii: the image's affine holds NaN, infinity"),
        (unprintable_name, "has a name that is not UTF-8"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_thing_that_is_no_ct_is_refused_by_name(
    tmp_path: Path,
    good: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    command: str,
    make: Callable[[Path, Path], Path],
    words: str,
) -> None:
    bad = make(tmp_path, good)
    before = sorted(tmp_path.iterdir())
    arguments = COMMANDS[command](bad, good, tmp_path / "out")
    assert words in refusal(arguments, monkeypatch, capfd)
    if (tmp_path / "out").is_dir():
        assert list((tmp_path / "out").iterdir()) == []
        (tmp_path / "out").rmdir()
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["good.nii.gz", "good.mha", "folder", "slice.dcm"])
def test_what_may_not_be_read_is_an_error_and_no_wrong_usage(
    tmp_path: Path,
    good: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    command: str,
    name: str,
) -> None:
    write_image(read(good), tmp_path / "good.mha")
    write_ct_series(read(good), tmp_path / "folder")
    (tmp_path / "slice.dcm").write_bytes(next((tmp_path / "folder").iterdir()).read_bytes())
    (tmp_path / name).chmod(0)
    if os.access(tmp_path / name, os.R_OK):
        pytest.skip("the superuser reads every file")
    error = refusal(COMMANDS[command](tmp_path / name, good, tmp_path / "out"), monkeypatch, capfd)
    (tmp_path / name).chmod(0o700)
    assert name in error
    assert "permission" in error


def test_voxels_of_another_unit_than_mm_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for step in (0.001, 700.0):
        geometry = Geometry((4, 5, 6), np.zeros(3), np.full(3, step), np.eye(3))
        write_image(Volume(np.full((4, 5, 6), -5, np.int16), geometry, "ct"), tmp_path / "ct.nii", overwrite=True)
        error = refusal(["detect", tmp_path / "ct.nii", "-o", tmp_path / "out"], monkeypatch, capfd)
        assert f"ct.nii: its voxels are {step:.4g} × {step:.4g} × {step:.4g} mm" in error


def test_resampling_to_more_voxels_than_fit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    geometry = Geometry((40, 50, 60), np.zeros(3), np.full(3, 5.0), np.eye(3))
    write_image(Volume(np.zeros((40, 50, 60), np.int16), geometry, "ct"), tmp_path / "ct.nii")
    arguments = ["convert", tmp_path / "ct.nii", "-o", tmp_path / "out.nii", "--spacing", "0.05"]
    assert "would make 120000 million voxels" in refusal(arguments, monkeypatch, capfd)


def test_a_picture_is_doubted_to_be_in_hu(tmp_path: Path) -> None:
    geometry = Geometry((4, 5, 6), np.zeros(3), np.ones(3), np.eye(3))
    for darkest, doubted in ((-1, False), (0, True)):
        hu = np.full((4, 5, 6), 200, np.int16)
        hu[0, 0, 0] = darkest
        write_image(Volume(hu, geometry, "ct"), tmp_path / f"{darkest}.nrrd")
        assert any("hardly a CT in HU" in note for note in read(tmp_path / f"{darkest}.nrrd").notes) is doubted


def test_odd_headers_are_not_remarked_on_by_libraries(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    image = nib.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4))
    image.header["pixdim"][1:4] = 0
    (tmp_path / "odd.nii").write_bytes(image.header.binaryblock + bytes(4) + bytes(128))
    read(tmp_path / "odd.nii")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "| true", "> /dev/full"])
def test_streams_may_be_closed_or_full(tmp_path: Path, good: Path, closed: str) -> None:
    geometry = read(good).geometry
    write_image(Volume(np.ones(geometry.shape_zyx, np.int16), geometry, "mask"), tmp_path / "mask.nii")
    command = f'"{sys.executable}" -m ctlymph measure "{good}" "{tmp_path}/mask.nii" -o "{tmp_path}/out" {closed}'
    done = subprocess.run(["bash", "-c", command], stderr=subprocess.PIPE, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert (tmp_path / "out" / "report.html").exists()
