"""The patients of a synthetic collection: the recipe of each, and its files, written all or none."""

from __future__ import annotations

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from ctlymph.core.errors import CtlymphError, Remedy
from ctlymph.core.progress import SILENT, Progress
from ctlymph.core.regions import ABDOMEN, MEDIASTINUM
from ctlymph.datasets.ct_lymph_nodes.catalogue import TITLE, catalogue
from ctlymph.datasets.layout import SYNTHETIC
from ctlymph.io.atomic import explained, new_folder
from ctlymph.phantom.body.physique import Physique
from ctlymph.phantom.collection.case_files import (
    DICOM,
    SIDES,
    TRUTH,
    CaseToWrite,
    Layout,
    annotated,
    replace_csv,
    write_case,
)
from ctlymph.phantom.collection.simulated_candidates import sample_candidates
from ctlymph.phantom.nodes.timepoints import LineageRow, PatientTimePoint, follow_up
from ctlymph.phantom.scan.patient import PhantomSpec, scan_patient
from ctlymph.phantom.scan.scanner import KERNELS

PREFIX = {MEDIASTINUM: "MED", ABDOMEN: "ABD"}
_MATRIX = 512
_NOTICE = (
    "SYNTHETIC DATA\n\nNo patient was scanned: `ctlymph phantom` computed these images from geometric models.\n"
    "Names of cases and files are those of the collection CT Lymph Nodes (TCIA), whose layout this folder has;\n"
    "nothing in it comes from that collection. For research use, not for diagnosis.\n"
)


@dataclass(frozen=True)
class PhantomOptions:
    """Options of the user; None means that a value is sampled for each patient, as it varies in the public collection.

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
class Patient(ABC):
    """A patient of a synthetic collection, to be made.

    Attributes:
        folder: The collection.
        names: The cases that its scan is: one, or one of either region.
        options: The user's.
    """

    folder: Path
    names: tuple[str, ...]
    options: PhantomOptions

    @abstractmethod
    def recipe(self) -> dict[str, object]:
        """Return everything that determines the patient, as JSON values."""

    @abstractmethod
    def scans(self, progress: Progress = SILENT) -> Iterator[tuple[Iterable[CaseToWrite], tuple[LineageRow, ...]]]:
        """Make each scan: its cases, and which nodes came from which."""

    @property
    @abstractmethod
    def notice(self) -> str:
        """Text of the file in the collection's folder that says what it is."""

    def is_complete(self) -> bool:
        """Return whether all its cases are there already.

        Raises:
            CtlymphError: If one of them was made from another recipe.
        """
        recipes = [_recipe_file(self.folder, name) for name in self.names]
        for path in (path for path in recipes if path.is_file()):
            try:
                former = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise CtlymphError(f"{path} is not JSON ({error})", Remedy.OVERWRITE) from error
            if former != self.recipe():
                raise CtlymphError(f"{path} was made with other options", Remedy.OVERWRITE)
        return all(path.is_file() for path in recipes)

    def write(self, progress: Progress = SILENT) -> list[CaseToWrite]:
        """Make the patient and write its cases, all or nothing; cases of the same names are replaced.

        Raises:
            CtlymphError: If the folder cannot be written.
        """
        done: list[CaseToWrite] = []
        lineage: list[LineageRow] = []
        with new_folder(self.folder, overwrite=True) as staging:
            for (cases, links), root in zip(self.scans(progress), roots(staging, self.options.timepoints), strict=True):
                root.mkdir(exist_ok=True)
                (root / SYNTHETIC).write_text(self.notice, encoding="utf-8")
                for case in cases:
                    write_case(case, root, self.options.layout)
                    done.append(case)
                lineage += links
            (staging / SYNTHETIC).write_text(self.notice, encoding="utf-8")
            (staging / TRUTH).mkdir(exist_ok=True)
            for name in self.names:
                if self.options.timepoints > 1:
                    _write_lineage(staging / TRUTH / f"{name}_lineage.csv", lineage)
                _recipe_file(staging, name).write_text(json.dumps(self.recipe(), indent=2) + "\n", encoding="utf-8")
            self._remove_former()
        return done

    def _remove_former(self) -> None:
        """Remove earlier cases of these names, whose UIDs differ. The recipe goes first."""
        with explained(self.folder):
            for name in self.names:
                _recipe_file(self.folder, name).unlink(missing_ok=True)
                for root in (self.folder, *self.folder.glob("timepoint_*")):
                    for below in (*SIDES, DICOM["idc"], f"{DICOM['nbia']}/{TITLE}"):
                        if (root / below / name).is_dir():
                            shutil.rmtree(root / below / name)


@dataclass(frozen=True)
class PhantomPatient(Patient):
    """A patient who is synthetic as a whole.

    Attributes:
        spec: The patient and the scan.
    """

    spec: PhantomSpec

    def recipe(self) -> dict[str, object]:
        """Return everything that determines the patient, as JSON values."""
        plain: dict[str, object] = json.loads(json.dumps(asdict(self.spec)))
        return plain | {"timepoints": self.options.timepoints, "layout": self.options.layout}

    def scans(self, progress: Progress = SILENT) -> Iterator[tuple[Iterable[CaseToWrite], tuple[LineageRow, ...]]]:
        """Scan the patient at each time point."""
        for timepoint in follow_up(self.spec.seed, self.options.timepoints, contrast=self.spec.contrast):
            yield self._scanned(timepoint, progress), timepoint.links

    @property
    def notice(self) -> str:
        """Text of the file in the collection's folder that says what it is."""
        return _NOTICE

    def _scanned(self, timepoint: PatientTimePoint, progress: Progress) -> Iterable[CaseToWrite]:
        noise = int(np.random.SeedSequence([self.spec.seed, timepoint.number]).generate_state(1)[0])
        phantom = scan_patient(timepoint.anatomy, replace(self.spec, seed=noise), progress)
        physique = Physique.sampled(np.random.default_rng([self.spec.seed, 1]), self.spec.contrast)
        for name in self.names:
            region = region_of(name)
            rng = np.random.default_rng([noise, len(name), *name.encode()])
            nodes = annotated(phantom, region)
            found = sample_candidates(timepoint.anatomy, phantom.volume, region, nodes, rng)
            yield CaseToWrite(
                name,
                region,
                phantom,
                found,
                physique.sex,
                physique.age,
                seed=self.spec.seed,
                timepoint=timepoint.number,
            )


def phantom_patients(folder: Path, counts: tuple[int, int], options: PhantomOptions) -> list[PhantomPatient]:
    """List the patients of a collection with so many cases of mediastinum and abdomen.

    Names, and which two of them are one scan, are those of the public collection.
    A patient does not depend on how many others there are.
    """
    names = [f"{PREFIX[region]}_LYMPH_{n:03d}" for region in PREFIX for n in range(1, counts[region == ABDOMEN] + 1)]
    scans: dict[str, list[str]] = {}
    for name in names:
        scans.setdefault(_scan(name), []).append(name)
    return [PhantomPatient(folder, tuple(each), options, _spec(scan, options)) for scan, each in scans.items()]


def roots(folder: Path, timepoints: int) -> list[Path]:
    """Return the folder of each time point; each is a collection of its own."""
    return [folder] if timepoints == 1 else [folder / f"timepoint_{n}" for n in range(timepoints)]


def _recipe_file(folder: Path, name: str) -> Path:
    return folder / TRUTH / f"{name}_phantom.json"


def region_of(name: str) -> str:
    """Return the region whose nodes are annotated in a case of that name."""
    return next(region for region, prefix in PREFIX.items() if name.startswith(prefix))


def _scan(name: str) -> str:
    """Return a name that both names of one scan share, whether or not both are wanted."""
    named = catalogue().entry(name)
    other = named.same_scan_as if named else None
    return "+".join(sorted((name, other))) if other else name


def _spec(scan: str, options: PhantomOptions) -> PhantomSpec:
    """Return the specification of a scan.

    Everything is sampled, whatever the user fixes, so that an option changes nothing but its own value.
    """
    rng = np.random.default_rng([options.seed, len(scan), *scan.encode()])
    seed = int(rng.integers(2**32))
    slices_mm = float(rng.choice([1.0, 1.25, 5.0], p=[0.77, 0.2, 0.03]))
    contrast = bool(rng.random() < 0.9)
    kernel = str(rng.choice(list(KERNELS), p=[0.35, 0.5, 0.15]))
    noise_hu = round(float(rng.uniform(*KERNELS[kernel].usual_noise_hu)), 1)
    chest = float(rng.uniform(120, 230)), float(rng.uniform(425, 465))
    belly = float(rng.uniform(-180, -70)), float(rng.uniform(235, 300))
    is_whole = "+" in scan or rng.random() < 0.15
    low, high = (belly[0], chest[1]) if is_whole else chest if region_of(scan) == MEDIASTINUM else belly
    return PhantomSpec(
        seed,
        spacing_mm=options.spacing_mm or (1.0, 1.0, slices_mm),
        matrix=None if options.spacing_mm else _MATRIX,
        thickness_mm=options.thickness_mm,
        z_range_mm=(round(low, 1), round(high, 1)),
        contrast=contrast if options.contrast is None else options.contrast,
        kernel=kernel,
        noise_hu=noise_hu,
    )


def _write_lineage(path: Path, links: Sequence[LineageRow]) -> None:
    columns = ("timepoint", "node", "parents", "fate", "short_axis_mm")
    rows = [
        (link.timepoint, link.node, " ".join(map(str, link.parents)), link.outcome, f"{link.short_axis_mm:.2f}")
        for link in links
    ]
    replace_csv(path, columns, rows)
