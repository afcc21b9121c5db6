"""The files of a collection in a folder, whoever downloaded it and however it is laid out.

Nothing depends on the names of folders: files of the three side downloads are
known by their own names, and DICOM series by the header of a file, so that the
trees of NBIA Data Retriever and idc-index, zips and plain copies are all read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.datasets.archive_file import LARGEST_TEXT, CollectionFile
from ctlymph.io.dicom.files import ByteSource, ZipMember, files_below, is_named_as_dicom, open_files
from ctlymph.io.dicom.header import Header, read_header

SYNTHETIC = "SYNTHETIC.txt"
"""File at the top of a collection that ``ctlymph phantom`` made: its names are the public one's, its data not."""

CASE_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
"""What a case may be called: it names files and folders."""

_SIDE_FILE = re.compile(
    rf"(?P<case>{CASE_NAME}?)_(?P<kind>lymphnodes|posCADe|negCADe)_"
    r"(?P<rest>indices\.txt|sizes\.txt|grtIDs\.txt|physicalPoints\.(?:txt|mps))"
)
_MASK = re.compile(rf"(?P<case>{CASE_NAME}?)_mask\.nii(?:\.gz)?")
_HEADERS_TRIED = 5  # files of a folder that are tried until one is DICOM: a licence may lie beside


@dataclass(frozen=True)
class DicomSeries:
    """A DICOM series in one folder or archive.

    Attributes:
        path: The folder, or the archive.
        case: PatientID.
        series_uid: SeriesInstanceUID.
        modality: ``CT`` or ``SEG``.
        files: Its files, in the order of their names; those in archives as places below the archive.
    """

    path: Path
    case: str
    series_uid: str
    modality: str
    files: tuple[Path, ...] = field(repr=False)


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case.

    Attributes:
        series: Its DICOM series, CT and SEG.
        annotations: Files by what follows ``CASE_lymphnodes_``; empty where there are none.
        positives: Files by what follows ``CASE_posCADe_``.
        negatives: Files by what follows ``CASE_negCADe_``.
        mask: The instance mask.
        ct: The CT that ``cases.csv`` names: anything that :func:`ctlymph.read` reads.
        labels: The labels that ``cases.csv`` names; see :func:`ctlymph.datasets.node_labels.read_labels`.
        points: The table of nodes that ``cases.csv`` names.
    """

    series: tuple[DicomSeries, ...] = ()
    annotations: Mapping[str, CollectionFile] = field(default_factory=dict)
    positives: Mapping[str, CollectionFile] = field(default_factory=dict)
    negatives: Mapping[str, CollectionFile] = field(default_factory=dict)
    mask: CollectionFile | None = None
    ct: Path | None = None
    labels: Path | None = None
    points: Path | None = None

    def state(self) -> list[tuple[str, int, int]]:
        """Return path, size and time of writing (ns) of all that belongs to the case, sorted.

        The size is in bytes, of a DICOM series the number of its files: another state means other content.
        """
        tables = (*self.annotations.values(), *self.positives.values(), *self.negatives.values())
        paths = {file.path for file in (self.mask, *tables) if file is not None}
        for own in (self.ct, self.labels, self.points):
            if own is not None:
                paths |= set(files_below(own)) if own.is_dir() else {own}
        files = [(path, path.stat().st_size) for path in paths]
        files += [(series.path, len(series.files)) for series in self.series]
        return sorted((str(path), size, path.stat().st_mtime_ns) for path, size in files)


@dataclass(frozen=True)
class FoundCases:
    """The result of :func:`find_cases`.

    Attributes:
        cases: Files of each case, by its name.
        notes: A sentence for everything that was left out.
    """

    cases: dict[str, CaseFiles]
    notes: tuple[str, ...]


def find_cases(folder: Path) -> FoundCases:
    """Find the cases in a folder and all folders and zip archives below it.

    Of a kind of file that is there several times for a case, the fullest set is
    taken, and of equals that on the disk rather than in an archive. One file of
    a folder shows which DICOM series lies in it. Files that are damaged and archives
    that are damaged or unsafe are left out and noted.

    Raises:
        CtlymphError: If the folder cannot be read.
    """
    if not folder.is_dir():
        raise CtlymphError(f"{folder} is not a folder; give the one that the collection was downloaded to")
    gathered = _Gathered()
    with ExitStack() as archives:
        for path in files_below(folder):
            try:
                for source in archives.enter_context(open_files(path)):
                    gathered.take(source)
            except CtlymphError as error:
                gathered.notes.append(f"left out: {error}")
        series, notes = _all_series(gathered.dicom)
    sides, masks = gathered.sides, gathered.masks
    cases = {name: CaseFiles() for name in sorted({case for case, _ in sides} | masks.keys() | series.keys())}
    for (case, kind), places in sides.items():
        fullest = max(places.values(), key=lambda files: (len(files), not _in_archive(files)))
        cases[case] = _with_files(cases[case], kind, fullest)
    for case, copies in masks.items():
        copies.sort(key=lambda file: (bool(file.member), str(file)))
        cases[case] = replace(cases[case], mask=copies[0])
        if len(copies) > 1 and not copies[1].member:
            notes.append(f"{case} has {len(copies)} masks; {copies[0]} is taken")
    for case, found in series.items():
        cases[case] = replace(cases[case], series=tuple(found))
    return FoundCases(cases, tuple(dict.fromkeys([*gathered.notes, *notes])))


@dataclass(frozen=True)
class _Gathered:
    """Files by what they are: side files by case, kind and place; masks by case; what may be DICOM by folder."""

    sides: dict[tuple[str, str], dict[Path, dict[str, CollectionFile]]] = field(default_factory=dict)
    masks: dict[str, list[CollectionFile]] = field(default_factory=dict)
    dicom: dict[Path, list[ByteSource]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def take(self, source: ByteSource) -> None:
        """Put a file where it belongs; others are passed over."""
        name = source.path.name
        if side := _SIDE_FILE.fullmatch(name):
            places = self.sides.setdefault((side["case"], side["kind"]), {})
            places.setdefault(source.path.parent, {})[side["rest"]] = _collection_file(source).kept(LARGEST_TEXT)
        elif mask := _MASK.fullmatch(name):
            self.masks.setdefault(mask["case"], []).append(_collection_file(source))
        elif is_named_as_dicom(source) or not source.path.suffix:
            self.dicom.setdefault(source.path.parent, []).append(source)


def _with_files(case: CaseFiles, kind: str, files: Mapping[str, CollectionFile]) -> CaseFiles:
    if kind == "lymphnodes":
        return replace(case, annotations=files)
    return replace(case, positives=files) if kind == "posCADe" else replace(case, negatives=files)


def _collection_file(source: ByteSource) -> CollectionFile:
    if isinstance(source, ZipMember):
        return CollectionFile(Path(str(source.archive.filename)), source.member.filename)
    return CollectionFile(source.path)


def _in_archive(files: Mapping[str, CollectionFile]) -> bool:
    return any(file.member for file in files.values())


def _all_series(folders: Mapping[Path, Sequence[ByteSource]]) -> tuple[dict[str, list[DicomSeries]], list[str]]:
    found: dict[str, list[DicomSeries]] = {}
    notes: list[str] = []
    for folder, sources in folders.items():
        for header, members in _series_in(sources, notes):
            if not re.fullmatch(CASE_NAME, header.patient_id):
                patient = shown(header.patient_id) or "(none)"
                notes.append(f"{folder}: the PatientID {patient} is no name for a case; the series was left out.")
            elif header.modality in ("CT", "SEG"):
                place = _collection_file(sources[0])
                path = place.path if place.member else folder
                files = tuple(member.path for member in members)
                series = DicomSeries(path, header.patient_id, header.series_uid, header.modality, files)
                found.setdefault(header.patient_id, []).append(series)
    return found, notes


def _series_in(sources: Sequence[ByteSource], notes: list[str]) -> Iterator[tuple[Header, Sequence[ByteSource]]]:
    """Return the series of one folder, each with the header of a file.

    If the first and the last file are of one series, all are taken to be; only else are all headers read.
    """
    first = _first_header(sources[:_HEADERS_TRIED], notes)
    last = _first_header(sources[: -_HEADERS_TRIED - 1 : -1], notes)
    if first is None or last is None:
        return
    if first.series_uid == last.series_uid:
        yield first, sources
        return
    members: dict[str, tuple[Header, list[ByteSource]]] = {}
    for source in sources:
        if header := _first_header([source], notes):
            members.setdefault(header.series_uid, (header, []))[1].append(source)
    yield from members.values()


def _first_header(sources: Sequence[ByteSource], notes: list[str]) -> Header | None:
    """Return the header of the first file that is whole; damaged ones are noted."""
    for source in sources:
        try:
            header = read_header(source)
        except CtlymphError as error:
            notes.append(f"damaged: {error}")
        else:
            if header and not header.defect:
                return header
            if header:
                notes.append(f"damaged: {source.path} is truncated: {header.defect}; fetch it again")
    return None
