"""A synthetic collection on disk: which patients it has, and how each of them is written, all or nothing."""

from __future__ import annotations

import csv
import json
import shutil
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from ctlymph.collection.catalogue import TITLE, catalogue
from ctlymph.collection.layout import SYNTHETIC, DicomSeries, find_cases
from ctlymph.errors import CtlymphError
from ctlymph.io.atomic import explained, new_file, new_folder
from ctlymph.phantom.candidates import draw_candidates
from ctlymph.phantom.layout import DICOM, SIDES, TRUTH, CaseToWrite, Layout, annotated, write_case
from ctlymph.phantom.parts import Build
from ctlymph.phantom.patient import PhantomSpec, scan_patient
from ctlymph.phantom.scanner import KERNELS
from ctlymph.phantom.timepoints import Link, TimePoint, follow_up
from ctlymph.progress import SILENT, Progress
from ctlymph.regions import ABDOMEN, MEDIASTINUM

SETS = {"small": (6, 6), "full": (90, 86)}
"""How many cases of mediastinum and abdomen each standard set has."""

SET_SEED = 1
"""Seed of the standard sets."""

_PREFIX = {MEDIASTINUM: "MED", ABDOMEN: "ABD"}
_MATRIX = 512
_NOTICE = (
    "SYNTHETIC DATA\n\nNo patient was scanned: `ctlymph phantom` computed these images from geometric models.\n"
    "Names of cases and files are those of the collection CT Lymph Nodes (TCIA), whose layout this folder has;\n"
    "nothing in it comes from that collection. For research use, not for diagnosis.\n"
)
_SHARED = (
    *("abdominal_case", "mediastinal_case", "evidence", "abdominal_slices", "mediastinal_slices"),
    "same_sex_and_age",
)
_METADATA = (
    *("Series UID", "Collection", "3rd Party Analysis", "Data Description URI", "Subject ID", "Study UID"),
    *("Study Description", "Study Date", "Series Description", "Manufacturer", "Modality", "SOP Class Name"),
    *("SOP Class UID", "Number of Images", "File Size", "File Location", "Download Timestamp"),
)


@dataclass(frozen=True)
class Wishes:
    """What the user fixes; what is None is drawn for each patient, as it varies in the public collection.

    Attributes:
        seed: The same seed makes the same patients.
        spacing_mm: Distance of voxels along x, y, z.
        thickness_mm: Width of the slice profile.
        contrast: With contrast agent.
        timepoints: How often each patient is scanned.
        layout: ``idc`` (idc-index) or ``nbia`` (NBIA Data Retriever).
    """

    seed: int = 0
    spacing_mm: tuple[float, float, float] | None = None
    thickness_mm: float | None = None
    contrast: bool | None = None
    timepoints: int = 1
    layout: Layout = "idc"


@dataclass(frozen=True)
class PhantomPatient:
    """A patient to be made.

    Attributes:
        folder: The collection.
        names: The cases that its scan is: one, or one of either region.
        spec: What to make.
        wishes: The user's.
    """

    folder: Path
    names: tuple[str, ...]
    spec: PhantomSpec
    wishes: Wishes

    def is_complete(self) -> bool:
        """Tell whether all its cases are there already.

        Raises:
            CtlymphError: If one of them was made from another recipe.
        """
        recipes = [_recipe_file(self.folder, name) for name in self.names]
        for path in (path for path in recipes if path.is_file()):
            try:
                former = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise CtlymphError(f"{path} is not JSON ({error}); remove it, or add --overwrite") from error
            if former != self._recipe():
                raise CtlymphError(f"{path} tells of other options; choose another folder, or add --overwrite")
        return all(path.is_file() for path in recipes)

    def write(self, progress: Progress = SILENT) -> list[CaseToWrite]:
        """Make the patient and write its cases, all or nothing; cases of the same names are replaced.

        Raises:
            CtlymphError: If the folder cannot be written.
        """
        written: list[CaseToWrite] = []
        with new_folder(self.folder, overwrite=True) as staging:
            visits = follow_up(self.spec.seed, self.wishes.timepoints, contrast=self.spec.contrast)
            for visit, root in zip(visits, _roots(staging, self.wishes.timepoints), strict=True):
                root.mkdir(exist_ok=True)
                (root / SYNTHETIC).write_text(_NOTICE, encoding="utf-8")
                for case in self._scanned(visit, progress):
                    write_case(case, root, self.wishes.layout)
                    written.append(case)
            (staging / SYNTHETIC).write_text(_NOTICE, encoding="utf-8")
            (staging / TRUTH).mkdir(exist_ok=True)
            for name in self.names:
                if len(visits) > 1:
                    _write_lineage(staging / TRUTH / f"{name}_lineage.csv", [link for v in visits for link in v.links])
                text = json.dumps(self._recipe(), indent=2) + "\n"
                _recipe_file(staging, name).write_text(text, encoding="utf-8")
            self._remove_former()
        return written

    def _scanned(self, visit: TimePoint, progress: Progress) -> Iterable[CaseToWrite]:
        noise = int(np.random.SeedSequence([self.spec.seed, visit.number]).generate_state(1)[0])
        phantom = scan_patient(visit.anatomy, replace(self.spec, seed=noise), progress)
        build = Build.drawn(np.random.default_rng([self.spec.seed, 1]), self.spec.contrast)
        for name in self.names:
            region = _region(name)
            rng = np.random.default_rng([noise, len(name), *name.encode()])
            nodes = annotated(phantom, region)
            found = draw_candidates(visit.anatomy, phantom.volume, region, nodes, rng)
            yield CaseToWrite(
                name, region, phantom, found, build.sex, build.age, seed=self.spec.seed, timepoint=visit.number
            )

    def _remove_former(self) -> None:
        """Remove what was made under these names before: other UIDs would lie beside it. The recipe goes first."""
        with explained(self.folder):
            for name in self.names:
                _recipe_file(self.folder, name).unlink(missing_ok=True)
                for root in (self.folder, *self.folder.glob("timepoint_*")):
                    for below in (*SIDES, DICOM["idc"], f"{DICOM['nbia']}/{TITLE}"):
                        if (root / below / name).is_dir():
                            shutil.rmtree(root / below / name)

    def _recipe(self) -> dict[str, object]:
        plain: dict[str, object] = json.loads(json.dumps(asdict(self.spec)))
        return plain | {"timepoints": self.wishes.timepoints, "layout": self.wishes.layout}


def phantom_patients(folder: Path, counts: tuple[int, int], wishes: Wishes) -> list[PhantomPatient]:
    """List the patients of a collection with so many cases of mediastinum and abdomen.

    Names, and which two of them are one scan, are those of the public collection.
    A patient does not depend on how many others there are.
    """
    names = [f"{_PREFIX[region]}_LYMPH_{n:03d}" for region in _PREFIX for n in range(1, counts[region == ABDOMEN] + 1)]
    scans: dict[str, list[str]] = {}
    for name in names:
        scans.setdefault(_scan(name), []).append(name)
    return [PhantomPatient(folder, tuple(each), _spec(scan, wishes), wishes) for scan, each in scans.items()]


def split(count: int) -> tuple[int, int]:
    """Deal a number of cases out to mediastinum and abdomen."""
    return (count + 1) // 2, count // 2


def check_folder(folder: Path) -> None:
    """Refuse a folder with files that are not of a synthetic collection: nobody shall mix it with real cases.

    Raises:
        CtlymphError: If it is a file, or holds such files.
    """
    if folder.exists() and not folder.is_dir():
        raise CtlymphError(f"{folder} is a file; give the name of a folder for the output")
    holds = folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())
    if holds and not (folder / SYNTHETIC).is_file():
        raise CtlymphError(f"{folder} holds other files than a synthetic collection ({SYNTHETIC}); choose another one")


def finish(folder: Path, wishes: Wishes, *, zipped: bool = False) -> None:
    """Write what tells of all cases together: shared scans, the retriever's table of series, the archives.

    Raises:
        CtlymphError: If it cannot be written.
    """
    for root in _roots(folder, wishes.timepoints):
        series = {name: files.series for name, files in find_cases(root).cases.items()}
        _write_csv(root / "shared_scans.csv", _SHARED, _shared_rows(series))
        if wishes.layout == "nbia":
            table = root / DICOM["nbia"] / "metadata.csv"
            rows = [_metadata(table.parent, each) for found in series.values() for each in found]
            _write_csv(table, _METADATA, rows)
        if zipped:
            for side in SIDES:
                _pack(root / side)


def _roots(folder: Path, timepoints: int) -> list[Path]:
    """Give the folder of each time point; each is a collection of its own."""
    return [folder] if timepoints == 1 else [folder / f"timepoint_{n}" for n in range(timepoints)]


def _recipe_file(folder: Path, name: str) -> Path:
    return folder / TRUTH / f"{name}_phantom.json"


def _region(name: str) -> str:
    return next(region for region, prefix in _PREFIX.items() if name.startswith(prefix))


def _scan(name: str) -> str:
    """Give a name that both names of one scan share, whether or not both are wanted."""
    named = catalogue().entry(name)
    other = named.same_scan_as if named else None
    return "+".join(sorted((name, other))) if other else name


def _spec(scan: str, wishes: Wishes) -> PhantomSpec:
    """Draw what to make; all is drawn whatever the user fixes, so that the rest does not depend on it."""
    rng = np.random.default_rng([wishes.seed, len(scan), *scan.encode()])
    seed = int(rng.integers(2**32))
    slices_mm = float(rng.choice([1.0, 1.25, 5.0], p=[0.77, 0.2, 0.03]))
    contrast = bool(rng.random() < 0.9)
    kernel = str(rng.choice(list(KERNELS), p=[0.35, 0.5, 0.15]))
    noise_hu = round(float(rng.uniform(*KERNELS[kernel].usual_noise_hu)), 1)
    chest = float(rng.uniform(120, 230)), float(rng.uniform(425, 465))
    belly = float(rng.uniform(-180, -70)), float(rng.uniform(235, 300))
    is_whole = "+" in scan or rng.random() < 0.15
    low, high = (belly[0], chest[1]) if is_whole else chest if _region(scan) == MEDIASTINUM else belly
    return PhantomSpec(
        seed,
        spacing_mm=wishes.spacing_mm or (1.0, 1.0, slices_mm),
        matrix=None if wishes.spacing_mm else _MATRIX,
        thickness_mm=wishes.thickness_mm,
        z_range_mm=(round(low, 1), round(high, 1)),
        contrast=contrast if wishes.contrast is None else wishes.contrast,
        kernel=kernel,
        noise_hu=noise_hu,
    )


def _write_lineage(path: Path, links: Sequence[Link]) -> None:
    columns = ("timepoint", "node", "parents", "fate", "short_axis_mm")
    rows = [
        (link.timepoint, link.node, " ".join(map(str, link.parents)), link.fate, f"{link.short_axis_mm:.2f}")
        for link in links
    ]
    _write_csv(path, columns, rows)


def _shared_rows(series: dict[str, tuple[DicomSeries, ...]]) -> list[tuple[object, ...]]:
    slices = {name: max((len(each.files) for each in found), default=0) for name, found in series.items()}
    rows: list[tuple[object, ...]] = []
    for name in sorted(slices):
        named = catalogue().entry(name)
        other = named.same_scan_as if named else None
        if named and other in slices and named.region == ABDOMEN:
            rows.append((name, other, "the same synthetic scan", slices[name], slices[other], True))
    return rows


def _metadata(folder: Path, series: DicomSeries) -> tuple[object, ...]:
    """Give the row of one series in the table that NBIA Data Retriever writes."""
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


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with new_file(path, overwrite=True) as staging, staging.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _pack(folder: Path) -> None:
    """Put a folder into an archive beside it, with what that holds of other cases, and remove the folder."""
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
