"""What the public collection holds, known without downloading it: cases, series, nodes, defects.

The tables lie in ``data/`` beside this file; its README says where each column comes from.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

TITLE = "CT Lymph Nodes"
VERSIONS = (
    (1, "2015-03", "CT images"),
    (2, "2015-06", "annotations"),
    (3, "2015-09", "candidates"),
    (4, "2015-12", "masks"),
    (5, "2023-03", "the masks as DICOM-SEG"),
)
"""Number, month and what came, of each version of the collection."""

FLAGS = {
    "shared_scan": "the same patient's scan is in the collection under two names",
    "incomplete_ct": "part of the CT is missing",
    "not_fully_annotated": "nodes that should be annotated are not",
    "slices_5mm": "slices 5 mm apart (the others, where known: 1 or 1.25 mm)",
    "zero_size": "a node's size is written as 0: not known",
    "swapped_sizes": "a node's long axis is written before its short axis",
    "no_positive_candidates": "the file of candidates on nodes is empty",
    "no_negative_candidates": "the file of candidates off nodes is empty",
}
"""Known defects that a user of the data should know of, and what each means."""


@dataclass(frozen=True)
class Series:
    """One DICOM series of the collection.

    Attributes:
        case: PatientID, e.g. ``MED_LYMPH_001``.
        modality: ``CT`` or ``SEG``.
        series_uid: SeriesInstanceUID. Those of the CTs begin with ``61.7.``.
        study_uid: StudyInstanceUID.
        files: Number of instances.
        bytes: Their size together.
        crdc_series_uuid: The series' folder in the bucket of the Imaging Data Commons.
        collection_version: Version of the collection in which it came.
    """

    case: str
    modality: str
    series_uid: str
    study_uid: str
    files: int
    bytes: int
    crdc_series_uuid: str
    collection_version: int


@dataclass(frozen=True)
class CatalogueEntry:
    """One case of the public collection, as the catalogue describes it.

    Attributes:
        case: PatientID, e.g. ``ABD_LYMPH_001``.
        region: ``mediastinum`` or ``abdomen``: where nodes were annotated.
        sex: ``M`` or ``F``.
        age_years: Age, or None where not given.
        slices: Number of CT slices.
        pixel_mm: Distance of pixels, where the annotation files show it; else None.
        slice_mm: Distance of slices, likewise.
        short_axes_mm: Of each annotated node, in the order of the files; None where not known.
        long_axes_mm: Likewise; None in the mediastinum, where they were not written.
        positives: Published candidates on a node.
        negatives: Published candidates off all nodes.
        annotations_sha256: Digest of the numbers in the annotation files, from ``verify.numbers_digest``.
        candidates_sha256: The same of the candidate files.
        flags: Keys of :data:`FLAGS`.
        same_scan_as: The case that is the same scan under another name, or None.
        series: Its DICOM series.
    """

    case: str
    region: str
    sex: str
    age_years: int | None
    slices: int
    pixel_mm: float | None
    slice_mm: float | None
    short_axes_mm: tuple[float | None, ...]
    long_axes_mm: tuple[float | None, ...]
    positives: int
    negatives: int
    annotations_sha256: str
    candidates_sha256: str
    flags: frozenset[str]
    same_scan_as: str | None
    series: tuple[Series, ...]

    @property
    def patient(self) -> str:
        """A name that both cases of one scan share."""
        return min(self.case, self.same_scan_as or self.case)


@dataclass(frozen=True)
class Catalogue:
    """All cases, in order of region and number; :func:`catalogue` returns the one of the package."""

    entries: tuple[CatalogueEntry, ...]
    _by_case: dict[str, CatalogueEntry] = field(init=False, repr=False, compare=False)
    _by_uid: dict[str, Series] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_case", {entry.case: entry for entry in self.entries})
        object.__setattr__(self, "_by_uid", {series.series_uid: series for series in self.series()})

    def entry(self, case: str) -> CatalogueEntry | None:
        """Return what is known of a case, or None if the collection has none of that name."""
        return self._by_case.get(case)

    def patient_of(self, case: str) -> str:
        """Return a name that all cases of one patient share: some scans have two names. Other cases keep theirs."""
        entry = self.entry(case)
        return entry.patient if entry else case

    def series(self) -> list[Series]:
        """Return all series."""
        return [series for entry in self.entries for series in entry.series]

    def series_of_uid(self, series_uid: str) -> Series | None:
        """Return the series with a SeriesInstanceUID, or None if the collection has none."""
        return self._by_uid.get(series_uid)


@cache
def catalogue() -> Catalogue:
    """Return the catalogue of the public collection, from the tables in the package.

    >>> entry = catalogue().entry("ABD_LYMPH_001")
    >>> entry.region, entry.slices, entry.same_scan_as, sorted(entry.flags)
    ('abdomen', 661, 'MED_LYMPH_002', ['shared_scan'])
    """
    flags, scans = _together("flags"), {}
    for row in _rows("shared_scans"):
        scans[row["abdominal_case"]], scans[row["mediastinal_case"]] = row["mediastinal_case"], row["abdominal_case"]
    nodes, series = _together("nodes"), _together("series")
    entries = []
    for row in _rows("cases"):
        case = row["case"]
        entries.append(
            CatalogueEntry(
                case=case,
                region=row["region"],
                sex=row["sex"],
                age_years=int(row["age_years"]) if row["age_years"] else None,
                slices=int(row["slices"]),
                pixel_mm=_length(row["pixel_mm"]),
                slice_mm=_length(row["slice_mm"]),
                short_axes_mm=tuple(_length(node["short_axis_mm"]) for node in nodes[case]),
                long_axes_mm=tuple(_length(node["long_axis_mm"]) for node in nodes[case]),
                positives=int(row["positives"]),
                negatives=int(row["negatives"]),
                annotations_sha256=row["annotations_sha256"],
                candidates_sha256=row["candidates_sha256"],
                flags=frozenset(each["flag"] for each in flags.get(case, [])),
                same_scan_as=scans.get(case),
                series=tuple(_series(each) for each in series[case]),
            )
        )
    return Catalogue(tuple(entries))


def _series(row: dict[str, str]) -> Series:
    numbers = {name: int(row[name]) for name in ("files", "bytes", "collection_version")}
    return Series(**{**row, **numbers})  # type: ignore[arg-type]


def _together(table: str) -> dict[str, list[dict[str, str]]]:
    """Return the rows of each case."""
    rows: dict[str, list[dict[str, str]]] = {}
    for row in _rows(table):
        rows.setdefault(row["case"], []).append(row)
    return rows


def _rows(table: str) -> list[dict[str, str]]:
    text = (files("ctlymph.datasets.ct_lymph_nodes") / "data" / f"{table}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _length(text: str) -> float | None:
    return float(text) if text else None
