"""A synthetic collection on disk: its folder, and the files about all of its cases."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path

from ctlymph.core.errors import CtlymphError
from ctlymph.core.regions import ABDOMEN
from ctlymph.datasets.cases_csv import CASES
from ctlymph.datasets.ct_lymph_nodes.catalogue import catalogue
from ctlymph.datasets.layout import SYNTHETIC, DicomSeries, find_cases
from ctlymph.io.atomic import new_file
from ctlymph.phantom.collection.case_files import DICOM, SIDES, TRUTH, replace_csv
from ctlymph.phantom.collection.patients import PhantomOptions, region_of, roots

COLLECTION_SIZES = {"small": (6, 6), "full": (90, 86)}
"""How many cases of mediastinum and abdomen each standard set has."""

SET_SEED = 1
"""Seed of the standard sets."""

_SHARED = (
    *("abdominal_case", "mediastinal_case", "evidence", "abdominal_slices", "mediastinal_slices"),
    "same_sex_and_age",
)
_METADATA = (
    *("Series UID", "Collection", "3rd Party Analysis", "Data Description URI", "Subject ID", "Study UID"),
    *("Study Description", "Study Date", "Series Description", "Manufacturer", "Modality", "SOP Class Name"),
    *("SOP Class UID", "Number of Images", "File Size", "File Location", "Download Timestamp"),
)


def split(count: int) -> tuple[int, int]:
    """Return how many of ``count`` cases are of the mediastinum and of the abdomen."""
    return (count + 1) // 2, count // 2


def check_folder(folder: Path) -> None:
    """Check that a folder holds nothing but a synthetic collection, so that nobody mixes it with real cases.

    Raises:
        CtlymphError: If it is a file, or holds such files.
    """
    if folder.exists() and not folder.is_dir():
        raise CtlymphError(f"{folder} is a file; name a folder for the output")
    holds = folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())
    if holds and not (folder / SYNTHETIC).is_file():
        raise CtlymphError(f"{folder} holds other files than a synthetic collection ({SYNTHETIC}); choose another one")


def finish(folder: Path, options: PhantomOptions, *, zipped: bool = False) -> None:
    """Write the files about all cases: shared scans, patients, the retriever's table of series, the archives.

    Raises:
        CtlymphError: If it cannot be written.
    """
    for root in roots(folder, options.timepoints):
        series = {name: files.series for name, files in find_cases(root).cases.items()}
        replace_csv(root / "shared_scans.csv", _SHARED, _shared_rows(series))
        replace_csv(root / CASES, ("case", "patient", "region"), _case_rows(folder / TRUTH, series))
        if options.layout == "nbia":
            table = root / DICOM["nbia"] / "metadata.csv"
            rows = [_metadata(table.parent, each) for found in series.values() for each in found]
            replace_csv(table, _METADATA, rows)
        if zipped:
            for side in SIDES:
                _pack(root / side)


def _shared_rows(series: dict[str, tuple[DicomSeries, ...]]) -> list[tuple[object, ...]]:
    slices = {name: max((len(each.files) for each in found), default=0) for name, found in series.items()}
    rows: list[tuple[object, ...]] = []
    for name in sorted(slices):
        named = catalogue().entry(name)
        other = named.same_scan_as if named else None
        if named and other in slices and named.region == ABDOMEN:
            rows.append((name, other, "the same synthetic scan", slices[name], slices[other], True))
    return rows


def _case_rows(truth: Path, names: Iterable[str]) -> list[tuple[object, ...]]:
    """Return name, patient and annotated region of each case; all cases of one background CT are of one patient."""
    rows: list[tuple[object, ...]] = []
    for name in sorted(names):
        recipe = truth / f"{name}_phantom.json"
        made = json.loads(recipe.read_text(encoding="utf-8")) if recipe.is_file() else {}
        background = made.get("background_sha256", "")
        patient = f"CT_{background[:16]}" if background else catalogue().patient_of(name)
        rows.append((name, patient, region_of(name)))
    return rows


def _metadata(folder: Path, series: DicomSeries) -> tuple[object, ...]:
    """Return the row of one series in the table that NBIA Data Retriever writes."""
    import pydicom

    header = pydicom.dcmread(series.files[0], stop_before_pixels=True)
    size = sum(path.stat().st_size for path in series.files)
    place = ".\\" + str(series.path.relative_to(folder)).replace("/", "\\")
    day = f"{header.StudyDate[4:6]}-{header.StudyDate[6:]}-{header.StudyDate[:4]}"
    about = (header.StudyDescription, day, header.SeriesDescription, header.get("Manufacturer", ""), series.modality)
    kind = (header.SOPClassUID.name, header.SOPClassUID)
    return (
        *(series.series_uid, "SYNTHETIC", "NO", "", series.case, header.StudyInstanceUID, *about, *kind),
        *(len(series.files), f"{size / 1e6:.2f} MB", place, ""),
    )


def _pack(folder: Path) -> None:
    """Move a folder into an archive next to it; other cases in that archive are kept."""
    if not folder.is_dir():
        return
    archive = folder.with_suffix(".zip")
    files = {str(path.relative_to(folder.parent)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    with new_file(archive, overwrite=True) as staging, zipfile.ZipFile(staging, "w", zipfile.ZIP_DEFLATED) as new:
        if archive.is_file():
            with zipfile.ZipFile(archive) as former:
                for name in former.namelist():
                    if name not in files:
                        new.writestr(zipfile.ZipInfo(name), former.read(name), zipfile.ZIP_DEFLATED)
        for name, path in files.items():
            new.writestr(zipfile.ZipInfo(name), path.read_bytes(), zipfile.ZIP_DEFLATED)
    shutil.rmtree(folder)
