"""Cases with their CT, nodes, candidates and masks, and the collections that they are in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ctlymph.core.errors import CtlymphError, Remedy, UsageError, shown
from ctlymph.core.progress import SILENT, Progress
from ctlymph.core.regions import REGIONS
from ctlymph.datasets.annotations import AnnotatedNode, read_annotations
from ctlymph.datasets.archive_file import LARGEST_MASK, CollectionFile
from ctlymph.datasets.candidates import Candidate, read_candidates
from ctlymph.datasets.cases_csv import CASES, EXAMPLE, HEADER, TEST, CaseRow, read_cases_csv
from ctlymph.datasets.ct_lymph_nodes.catalogue import CatalogueEntry, catalogue
from ctlymph.datasets.ct_lymph_nodes.cite import LICENSE_NAME
from ctlymph.datasets.layout import SYNTHETIC, CaseFiles, DicomSeries, FoundCases, find_cases
from ctlymph.datasets.node_labels import measured_nodes, read_labels, read_points_table, with_sizes
from ctlymph.io import read
from ctlymph.io.dicom.series import ReadOptions, read_dicom
from ctlymph.io.images import image_suffix

if TYPE_CHECKING:
    from ctlymph.core.volume import Geometry, Masks, Volume

DATA_TYPES = ("ct", "seg", "annotations", "candidates", "masks")
"""The types of data that the public collection has of a case."""

HOW_TO = (
    f"write {CASES} into it (ctlymph collection init drafts it), with the columns {','.join(HEADER)} "
    f"and a row for each case, such as {EXAMPLE}"
)
"""How a folder of one's own becomes a dataset."""

_FORMER = "patients.csv"
"""The table of patients before ``cases.csv``: to pass it over would put a patient into several folds."""


@dataclass(frozen=True)
class Case:
    """One case and its data: CT, annotated nodes, masks, candidates.

    Data are read when asked for. Each method that reads raises :class:`~ctlymph.core.errors.CtlymphError` where files
    are absent or damaged.

    Attributes:
        name: Its name: the PatientID in the public collection, e.g. ``MED_LYMPH_001``, or that in ``cases.csv``.
        regions: Where its nodes are annotated, of :data:`ctlymph.core.regions.REGIONS`; empty where nobody says.
        patient: Shared by all cases of one patient: those that are one scan, or that the folder's ``cases.csv``
            puts together.
        entry: Its entry in the catalogue; None for a case that is not of the public collection: a CT with another
            SeriesInstanceUID is another case of the same name.
        files: Where its data lie.
        split: ``train`` or ``test``, where ``cases.csv`` says so, else empty. Nothing is trained on a test case.
        licence: The licence of its data; empty where not known.
    """

    name: str
    regions: tuple[str, ...]
    patient: str
    entry: CatalogueEntry | None
    files: CaseFiles = field(repr=False)
    split: str = ""
    licence: str = ""

    @property
    def region(self) -> str:
        """Where its nodes are annotated: the :attr:`regions`, separated by semicolons."""
        return ";".join(self.regions)

    @property
    def is_test(self) -> bool:
        """Whether the case is for testing only."""
        return self.split == TEST

    @property
    def has(self) -> frozenset[str]:
        """Which of :data:`DATA_TYPES` lie in the folder.

        A case of ``cases.csv`` has annotations if it has points or labels: its nodes can be measured.
        """
        files = self.files
        there = {
            "ct": bool(files.ct or self._series("CT")),
            "seg": self._series("SEG") is not None,
            "annotations": bool(files.annotations or files.points or files.labels),
            "candidates": bool(files.positives and files.negatives),
            "masks": bool(files.mask or files.labels),
        }
        return frozenset(each for each, is_there in there.items() if is_there)

    @property
    def flags(self) -> frozenset[str]:
        """Known defects, keys of :data:`ctlymph.datasets.ct_lymph_nodes.catalogue.FLAGS`."""
        return self.entry.flags if self.entry else frozenset()

    @property
    def missing_slices(self) -> int:
        """Slices of the collection's CT that are not here, where there is any: reading sees no end that is cut off."""
        expected = [series.files for series in self.entry.series if series.modality == "CT"] if self.entry else []
        found = self._series("CT")
        return max(0, expected[0] - len(found.files)) if expected and found else 0

    def ct(self, progress: Progress = SILENT) -> Volume:
        """Read the CT.

        Args:
            progress: Shown while slices are read.

        Returns:
            The CT, in HU, named after the case.
        """
        if self.files.ct is not None:
            return replace(read(self.files.ct, progress=progress), case=self.name)
        series = self._series("CT")
        if series is None:
            raise self._absent("CT", "ct")
        volume = read_dicom(series.path, ReadOptions(series=series.series_uid, progress=progress))
        return replace(volume, case=self.name)

    def nodes(self, region: str | None = None) -> tuple[AnnotatedNode, ...]:
        """Read the annotated nodes, in the order of their file.

        The nodes are those of the annotation files or the table of points; where there are neither, the labels are
        measured. A table's nodes outside the case's :attr:`regions` are left out.

        Args:
            region: Only nodes of this region.
        """
        regions = self.regions if region is None else (region,)
        nodes = self._all_nodes()
        if len(self.regions) > 1 and (unclear := next((node for node in nodes if not node.region), None)):
            raise CtlymphError(
                f"{self.files.points}: node {unclear.row} of {self.name} names no region, but {self.region} are "
                "annotated; fill in its region"
            )
        return tuple(node for node in nodes if not node.region or node.region in regions)

    def _all_nodes(self) -> tuple[AnnotatedNode, ...]:
        if self.files.points is not None:
            nodes = read_points_table(self.files.points, self.name)
            sized = all(node.short_axis_mm is not None for node in nodes)
            return nodes if sized or self.files.labels is None else with_sizes(nodes, self._labels(self.files.labels))
        if self.files.annotations:
            return read_annotations(self.files.annotations)
        if self.files.labels is not None:
            return measured_nodes(self._labels(self.files.labels))
        raise self._absent("annotations", "annotations")

    def _labels(self, path: Path) -> Masks:
        """Read labels on a grid of their own where they have one: to measure them needs no CT."""
        grid = None if image_suffix(path) or "ct" not in self.has else self.ct().geometry
        return read_labels(path, grid)

    def candidates(self) -> tuple[Candidate, ...]:
        """Read the published candidates: those on nodes first."""
        if "candidates" not in self.has:
            raise self._absent("candidates", "candidates")
        return read_candidates(self.name, self.files.positives, self.files.negatives)

    def masks(self, ct: Volume | None = None) -> Masks:
        """Read the instance masks. In the public collection, their labels are not the rows of the annotations.

        The labels of ``cases.csv`` are taken where there are any, then the NIfTI mask, then the DICOM-SEG.

        Args:
            ct: The case's CT, if it has been read already. A NIfTI mask without a CT keeps its own grid.

        Returns:
            The masks, on the grid of the CT.
        """
        if not {"masks", "seg"} & self.has:
            raise self._absent("masks", "masks")
        if ct is None and "ct" in self.has:
            ct = self.ct()
        grid = ct.geometry if ct is not None else None
        if self.files.labels is not None:
            return read_labels(self.files.labels, grid)
        return self._seg_masks(grid) if self.files.mask is None else self._nifti_masks(self.files.mask, grid)

    def _nifti_masks(self, file: CollectionFile, grid: Geometry | None) -> Masks:
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
        """Return the series of a modality: that of the catalogue, or else the largest."""
        known = {series.series_uid for series in self.entry.series} if self.entry else set()
        alike = [series for series in self.files.series if series.modality == modality]
        return max(alike, key=lambda series: (series.series_uid in known, len(series.files)), default=None)

    def _absent(self, what: str, data_type: str) -> CtlymphError:
        if self.entry:
            return CtlymphError(
                f"{self.name} has no {what} here", Remedy.DOWNLOAD_CASE, case=self.name, kinds=data_type
            )
        return CtlymphError(f"{self.name} has no {what} here; name it in {CASES}")


class Collection:
    """Cases in a folder: the public collection or part of it, or any dataset with a ``cases.csv``.

    Attributes:
        folder: Where it lies.
        notes: A sentence for everything in it that was left out.
        synthetic: Whether ``ctlymph phantom`` made it; then the catalogue says nothing of its cases.

    Raises:
        CtlymphError: If the folder cannot be read or holds no case, or its ``cases.csv`` is wrong.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).resolve()
        self.synthetic = (self.folder / SYNTHETIC).is_file()
        table, former = self.folder / CASES, self.folder / _FORMER
        if former.is_file() and not table.is_file():
            raise CtlymphError(f"{former} is no longer read; rename it to {CASES} and add a column region")
        rows = {row.case: row for row in read_cases_csv(table)} if table.is_file() else {}
        named = bool(rows) and all(row.names_files for row in rows.values())
        found = FoundCases({}, ()) if named else find_cases(self.folder)
        if not found.cases and not rows:
            left_out = f" ({found.notes[0]})" if found.notes else ""
            raise CtlymphError(f"{self.folder} holds no case{left_out}; give the folder of a collection, or {HOW_TO}")
        cases = [_listed(row, found.cases.get(row.case), self.synthetic) for row in rows.values()]
        if not rows:
            cases = [_found(name, files, self.synthetic) for name, files in found.cases.items()]
        self._cases = tuple(sorted(cases, key=_place))
        self.notes = (*found.notes, *_left_out(self._cases, found.cases if rows else ()))

    def __repr__(self) -> str:
        """Return the folder and the number of cases."""
        return f"Collection({str(self.folder)!r}: {len(self._cases)} cases)"

    def cases(self, region: str | None = None, names: Sequence[str] = ()) -> list[Case]:
        """Return the cases, those of the mediastinum first, in the order of their names.

        Args:
            region: Only those whose nodes are annotated there.
            names: Only these.

        Raises:
            CtlymphError: If a name is not here, there is no such region, or no case has any region.
        """
        if region is not None and region not in REGIONS:
            raise UsageError(f"there is no region {shown(region)}; choose {' or '.join(REGIONS)}")
        if region is not None and not any(case.regions for case in self._cases):
            first = self._cases[0].name
            raise CtlymphError(
                f"{self.folder}: nobody says in which region the nodes of {first} and the other cases are; {HOW_TO}"
            )
        here = {case.name for case in self._cases}
        for name in names:
            if name not in here:
                raise CtlymphError(f"{self.folder} holds no case {shown(name)}; it holds {len(here)} others")
        chosen = (case for case in self._cases if region is None or region in case.regions)
        return [case for case in chosen if not names or case.name in names]


def _listed(row: CaseRow, found: CaseFiles | None, synthetic: bool) -> Case:
    """Make a case of its row in ``cases.csv``, and of the files found by its name."""
    if found is None and not row.names_files:
        raise CtlymphError(
            f"{CASES}: {row.case} names no file, and no file was found by that name; fill in ct and labels"
        )
    files = replace(found or CaseFiles(), ct=row.ct, labels=row.labels, points=row.points)
    entry = None if synthetic or row.ct else _entry(row.case, files)
    patient = row.patient or (catalogue().patient_of(row.case) if entry or synthetic else row.case)
    licence = row.licence or (LICENSE_NAME if entry else "")
    return Case(row.case, row.regions, patient, entry, files, row.split, licence)


def _found(name: str, files: CaseFiles, synthetic: bool) -> Case:
    """Make a case of its files alone; only names of the public collection say anything."""
    named = catalogue().entry(name)
    entry = None if synthetic else _entry(name, files)
    patient = catalogue().patient_of(name) if entry or synthetic else name
    regions = (named.region,) if named else ()
    return Case(name, regions, patient, entry, files, licence=LICENSE_NAME if entry else "")


def _entry(name: str, files: CaseFiles) -> CatalogueEntry | None:
    """Return the catalogue's entry of a case, unless its CT is another one."""
    entry = catalogue().entry(name)
    ct_uids = {series.series_uid for series in files.series if series.modality == "CT"}
    if entry and ct_uids and ct_uids.isdisjoint(series.series_uid for series in entry.series):
        return None
    return entry


def _left_out(cases: Sequence[Case], found: Iterable[str]) -> Iterator[str]:
    """Name the cases without a region, and those that the folder holds beyond its table."""
    if without := [case.name for case in cases if not case.regions]:
        yield f"no region is known of {_listing(without)}; {HOW_TO}"
    if unlisted := sorted(set(found) - {case.name for case in cases}):
        yield f"left out, since {CASES} does not list them: {_listing(unlisted)}"


def _listing(names: Sequence[str], limit: int = 3) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"{', '.join(names[:limit])}{more}"


def _place(case: Case) -> tuple[int, str]:
    return (REGIONS.index(case.regions[0]) if case.regions else len(REGIONS), case.name)
