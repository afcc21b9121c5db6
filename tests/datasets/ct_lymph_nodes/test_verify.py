from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from ctlymph.datasets.case import Collection
from ctlymph.datasets.ct_lymph_nodes.catalogue import CatalogueEntry, catalogue
from ctlymph.datasets.ct_lymph_nodes.verify import Finding, numbers_digest, verify
from ctlymph.datasets.layout import find_cases
from small_collection import ct_folder, write_small_collection

NAME = "ABD_LYMPH_003"
DATA_TYPES = ("ct", "annotations", "candidates", "masks")


@pytest.fixture
def entry(tmp_path: Path) -> CatalogueEntry:
    """A case on disk in ``tmp_path``, and what a catalogue would say of it."""
    write_small_collection(tmp_path, [NAME])
    real = catalogue().entry(NAME)
    assert real is not None
    files = find_cases(tmp_path).cases[NAME]
    slices = files.series[0].files
    size = sum(path.stat().st_size for path in slices)
    series = [each for each in real.series if each.modality == "CT"]
    positives, negatives = (len(each["grtIDs.txt"].read(10_000).split()) for each in (files.positives, files.negatives))
    return replace(
        real,
        short_axes_mm=(10.0,) * len(files.annotations["sizes.txt"].read(10_000).splitlines()),
        positives=positives,
        negatives=negatives,
        annotations_sha256=numbers_digest(files.annotations),
        candidates_sha256=numbers_digest(files.positives, files.negatives),
        series=(replace(series[0], files=len(slices), bytes=size),),
    )


def write_checksums(folder: Path) -> None:
    lines = [
        f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".dcm", ".gz")
    ]
    (folder / "checksums").mkdir()
    (folder / "checksums" / "all.md5").write_text("".join(lines))


def found(folder: Path, entry: CatalogueEntry, quick: bool = False) -> dict[str, Finding]:
    return {finding.data_type: finding for finding in verify(Collection(folder), [entry], DATA_TYPES, quick=quick)}


def slices(folder: Path) -> list[Path]:
    return sorted(ct_folder(folder, NAME, "idc").iterdir())


def test_a_whole_case_is_whole_and_it_is_said_what_nothing_vouches_for(tmp_path: Path, entry: CatalogueEntry) -> None:
    findings = found(tmp_path, entry)
    assert {finding.state for finding in findings.values()} == {"whole"}
    assert "no checksums here" in findings["ct"].remark
    write_checksums(tmp_path)
    assert {finding.remark for finding in found(tmp_path, entry).values()} == {""}


def test_what_is_not_there_is_missing(tmp_path: Path, entry: CatalogueEntry) -> None:
    for name in ("ct_lymph_nodes", "MED_ABD_LYMPH_MASKS", "MED_ABD_LYMPH_CANDIDATES"):
        shutil.rmtree(tmp_path / name)
    states = {kind: finding.state for kind, finding in found(tmp_path, entry).items()}
    assert states == {"ct": "missing", "annotations": "whole", "candidates": "missing", "masks": "missing"}
    other = replace(entry, case="MED_LYMPH_090")
    assert {finding.state for finding in found(tmp_path, other).values()} == {"missing"}


def test_a_slice_too_few_is_short(tmp_path: Path, entry: CatalogueEntry) -> None:
    slices(tmp_path)[3].unlink()
    finding = found(tmp_path, entry)["ct"]
    assert (finding.state, finding.remark) == ("short", "29 of 30 files")


def cut_a_slice(folder: Path) -> None:
    path = slices(folder)[5]
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_pixel(folder: Path) -> None:
    path = slices(folder)[5]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def swap_a_slice(folder: Path) -> None:
    path = slices(folder)[5]
    dataset = pydicom.dcmread(path)
    dataset.PatientID = NAME.replace("3", "4")
    dataset.save_as(path)


def spoil_a_slice(folder: Path) -> None:
    path = slices(folder)[5]
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("spoil", [cut_a_slice, swap_a_slice, spoil_a_slice])
def test_a_spoilt_slice_is_found_without_checksums(
    tmp_path: Path, entry: CatalogueEntry, spoil: Callable[[Path], None]
) -> None:
    spoil(tmp_path)
    assert found(tmp_path, entry)["ct"].state == "altered"


@pytest.mark.parametrize("spoil", [cut_a_slice, swap_a_slice, spoil_a_slice, flip_a_pixel])
def test_any_change_of_a_slice_is_found_with_checksums(
    tmp_path: Path, entry: CatalogueEntry, spoil: Callable[[Path], None]
) -> None:
    write_checksums(tmp_path)
    spoil(tmp_path)
    finding = found(tmp_path, entry)["ct"]
    assert (finding.state, finding.remark) == ("altered", f"{slices(tmp_path)[5].name} is not as it was downloaded")


def test_the_quick_check_sees_numbers_and_sizes_alone(tmp_path: Path, entry: CatalogueEntry) -> None:
    write_checksums(tmp_path)
    flip_a_pixel(tmp_path)
    assert found(tmp_path, entry, quick=True)["ct"].state == "whole"
    cut_a_slice(tmp_path)
    assert found(tmp_path, entry, quick=True)["ct"].state == "short"


def test_a_slice_too_many_is_altered(tmp_path: Path, entry: CatalogueEntry) -> None:
    shutil.copy(slices(tmp_path)[0], slices(tmp_path)[0].with_name("z.dcm"))
    finding = found(tmp_path, entry)["ct"]
    assert (finding.state, finding.remark) == ("altered", "31 files, not 30")


def test_a_ct_of_the_same_name_that_is_another_counts_as_missing(tmp_path: Path, entry: CatalogueEntry) -> None:
    for path in slices(tmp_path):
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID = "1.2.3"
        dataset.save_as(path)
    finding = found(tmp_path, entry)["ct"]
    assert finding.state == "missing"
    assert "another" in finding.remark


def test_an_altered_mask_is_found(tmp_path: Path, entry: CatalogueEntry) -> None:
    write_checksums(tmp_path)
    path = next(tmp_path.rglob("*_mask.nii.gz"))
    path.write_bytes(path.read_bytes() + b"\0")
    assert found(tmp_path, entry)["masks"].state == "altered"


@pytest.mark.parametrize("ending", ["\r\n", "\n\n", "  \n"])
def test_line_endings_and_spaces_are_no_alteration(tmp_path: Path, entry: CatalogueEntry, ending: str) -> None:
    for path in tmp_path.rglob("*.txt"):
        path.write_bytes(path.read_text().replace("\n", ending).encode())
    states = {kind: finding.state for kind, finding in found(tmp_path, entry).items()}
    assert states["annotations"] == states["candidates"] == "whole"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("lymphnodes_sizes.txt", "annotations"),
        ("lymphnodes_indices.txt", "annotations"),
        ("lymphnodes_physicalPoints.txt", "annotations"),
        ("lymphnodes_physicalPoints.mps", "annotations"),
        ("negCADe_physicalPoints.txt", "candidates"),
        ("negCADe_physicalPoints.mps", "candidates"),
        ("posCADe_grtIDs.txt", "candidates"),
    ],
)
def test_an_altered_number_is_found(tmp_path: Path, entry: CatalogueEntry, name: str, kind: str) -> None:
    path = next(tmp_path.rglob(f"{NAME}_{name}"))
    text = path.read_text()
    end = text.index("</x>") if path.suffix == ".mps" else len(text.rstrip())
    path.write_text(f"{text[: end - 1]}{(int(text[end - 1]) + 1) % 10}{text[end:]}")
    finding = found(tmp_path, entry)[kind]
    assert finding.state == "altered"


def test_points_too_few_are_short(tmp_path: Path, entry: CatalogueEntry) -> None:
    for path in tmp_path.rglob(f"{NAME}_negCADe_*.txt"):
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert found(tmp_path, entry)["candidates"].state == "short"
