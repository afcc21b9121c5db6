"""The collection as Python sees it: cases with their CT, nodes, candidates and masks."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ctlymph.core.errors import CtlymphError, Remedy, shown
from ctlymph.core.progress import SILENT, Progress
from ctlymph.core.regions import ABDOMEN, MEDIASTINUM, REGIONS
from ctlymph.datasets.annotations import AnnotatedNode, read_annotations
from ctlymph.datasets.archive_file import LARGEST_MASK, StoredFile
from ctlymph.datasets.candidates import Candidate, read_candidates
from ctlymph.datasets.ct_lymph_nodes.catalogue import Entry, catalogue
from ctlymph.datasets.ct_lymph_nodes.cite import LICENSE_NAME
from ctlymph.datasets.layout import PATIENTS, SYNTHETIC, CaseFiles, DicomSeries, find_cases

if TYPE_CHECKING:
    from ctlymph.core.volume import Geometry, Masks, Volume

KINDS = ("ct", "seg", "annotations", "candidates", "masks")
"""The kinds of data that the collection has of a case."""

_REGION_OF_PREFIX = {"MED": MEDIASTINUM, "ABD": ABDOMEN}


@dataclass(frozen=True)
class Case:
    """One case: what is known of it, and what of its data lies in the folder.

    Data are read when asked for; each method raises
    :class:`~ctlymph.core.errors.CtlymphError` where its files are absent or damaged.

    Attributes:
        name: PatientID, e.g. ``MED_LYMPH_001``.
        region: Where its nodes are annotated: ``mediastinum`` or ``abdomen``; empty where the name does not tell.
        patient: What all cases of one patient share: those that are one scan, or that the folder's ``patients.csv``
            puts together.
        entry: What the catalogue says of it; None for a case that is not, or not truly, of
            the public collection: a CT with another SeriesInstanceUID is another case of the same name.
        files: Where its data lie.
    """

    name: str
    region: str
    patient: str
    entry: Entry | None
    files: CaseFiles = field(repr=False)

    @property
    def has(self) -> frozenset[str]:
        """Which of :data:`KINDS` lie in the folder."""
        there = {
            "ct": self._series("CT") is not None,
            "seg": self._series("SEG") is not None,
            "annotations": bool(self.files.annotations),
            "candidates": bool(self.files.positives and self.files.negatives),
            "masks": self.files.mask is not None,
        }
        return frozenset(kind for kind, is_there in there.items() if is_there)

    @property
    def flags(self) -> frozenset[str]:
        """Known defects, keys of :data:`ctlymph.datasets.ct_lymph_nodes.catalogue.FLAGS`."""
        return self.entry.flags if self.entry else frozenset()

    @property
    def missing_slices(self) -> int:
        """Slices of the collection's CT that are not here, where there is any: reading sees no end that is cut off."""
        wanted = [series.files for series in self.entry.series if series.modality == "CT"] if self.entry else []
        found = self._series("CT")
        return max(0, wanted[0] - len(found.files)) if wanted and found else 0

    @property
    def licence(self) -> str:
        """The licence of its data; empty where not known."""
        return LICENSE_NAME if self.entry else ""

    def ct(self, progress: Progress = SILENT) -> Volume:
        """Read the CT.

        Args:
            progress: Shown while slices are read.
        """
        from ctlymph.io.dicom.series import ReadOptions, read_dicom

        series = self._series("CT")
        if series is None:
            raise self._absent("CT", "ct")
        volume = read_dicom(series.path, ReadOptions(series=series.series_uid, progress=progress))
        return replace(volume, case=self.name)

    def nodes(self) -> tuple[AnnotatedNode, ...]:
        """Read the annotated nodes, in the order of the files."""
        if not self.files.annotations:
            raise self._absent("annotations", "annotations")
        return read_annotations(self.files.annotations)

    def candidates(self) -> tuple[Candidate, ...]:
        """Read the published candidates: those on nodes first."""
        if "candidates" not in self.has:
            raise self._absent("candidates", "candidates")
        return read_candidates(self.name, self.files.positives, self.files.negatives)

    def masks(self, ct: Volume | None = None) -> Masks:
        """Read the instance masks; their labels are not the rows of the annotations.

        The NIfTI mask is taken where it is there, else the DICOM-SEG.

        Args:
            ct: The case's CT, if it has been read already. A NIfTI mask without a CT keeps its own grid.

        Returns:
            The masks, on the grid of the CT.
        """
        if self.files.mask is None and self._series("SEG") is None:
            raise self._absent("masks", "masks")
        if ct is None and self._series("CT") is not None:
            ct = self.ct()
        grid = ct.geometry if ct is not None else None
        return self._seg_masks(grid) if self.files.mask is None else self._nifti_masks(self.files.mask, grid)

    def _nifti_masks(self, file: StoredFile, grid: Geometry | None) -> Masks:
        from ctlymph.io.images import read_masks
        from ctlymph.measurement.masks import on_grid

        with file.on_disk(LARGEST_MASK) as path:
            masks = read_masks(path)
        try:
            return masks if grid is None else on_grid(masks, grid)
        except CtlymphError as error:
            raise CtlymphError(f"{file} is not of this CT: {error}") from error

    def _seg_masks(self, grid: Geometry | None) -> Masks:
        from ctlymph.io.dicom.files import open_files
        from ctlymph.io.dicom.seg_reader import read_segmentation

        series = self._series("SEG")
        if series is None or grid is None:
            raise self._absent("CT, on whose grid its segmentation lies", "ct")
        with open_files(series.path) as sources:
            source = next(source for source in sources if source.path == series.files[0])
            with source.open() as stream:
                return read_segmentation(stream, grid)

    def _series(self, modality: str) -> DicomSeries | None:
        """Give the series of a modality: that of the catalogue, or else the largest."""
        known = {series.series_uid for series in self.entry.series} if self.entry else set()
        alike = [series for series in self.files.series if series.modality == modality]
        return max(alike, key=lambda series: (series.series_uid in known, len(series.files)), default=None)

    def _absent(self, what: str, kind: str) -> CtlymphError:
        return CtlymphError(f"{self.name} has no {what} here", Remedy.DOWNLOAD_CASE, case=self.name, kinds=kind)


class Collection:
    """The collection, or part of it, in a folder.

    Attributes:
        folder: Where it lies.
        notes: A sentence for everything in it that was left out.
        synthetic: Whether ``ctlymph phantom`` made it; then the catalogue says nothing of its cases.

    Raises:
        CtlymphError: If the folder cannot be read or holds nothing of the kind.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).resolve()
        found = find_cases(self.folder)
        if not found.cases:
            left_out = f" ({found.notes[0]})" if found.notes else ""
            raise CtlymphError(
                f"{self.folder} holds no case{left_out}; give the folder that the collection was downloaded to"
            )
        self.notes = found.notes
        self.synthetic = (self.folder / SYNTHETIC).is_file()
        patients = _patients(self.folder / PATIENTS)
        cases = (_case(name, files, self.synthetic, patients.get(name)) for name, files in found.cases.items())
        self._cases = tuple(sorted(cases, key=_place))

    def cases(self, region: str | None = None, names: Sequence[str] = ()) -> list[Case]:
        """Give the cases, those of the mediastinum first, in the order of their names.

        Args:
            region: Only those whose nodes are annotated there.
            names: Only these.

        Raises:
            CtlymphError: If a name is not here, or there is no such region.
        """
        if region is not None and region not in REGIONS:
            raise CtlymphError(f"there is no region {shown(region)}; choose {' or '.join(REGIONS)}")
        here = {case.name for case in self._cases}
        for name in names:
            if name not in here:
                raise CtlymphError(f"{self.folder} holds no case {shown(name)}; it holds {len(here)} others")
        return [case for case in self._cases if region in (None, case.region) and (not names or case.name in names)]


def _patients(path: Path) -> dict[str, str]:
    """Read which cases are of one patient."""
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return {row["case"]: row["patient"] for row in csv.DictReader(file)}
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise CtlymphError(f"cannot read {path}: {shown(error)}; its columns are case and patient") from error


def _case(name: str, files: CaseFiles, synthetic: bool, patient: str | None) -> Case:
    entry = None if synthetic else catalogue().entry(name)
    ct_uids = {series.series_uid for series in files.series if series.modality == "CT"}
    if entry and ct_uids and ct_uids.isdisjoint(series.series_uid for series in entry.series):
        entry = None
    if patient is None:
        patient = catalogue().patient_of(name) if entry or synthetic else name
    return Case(name, _REGION_OF_PREFIX.get(name[:3], ""), patient, entry, files)


def _place(case: Case) -> tuple[int, str]:
    return (REGIONS.index(case.region) if case.region else len(REGIONS), case.name)
