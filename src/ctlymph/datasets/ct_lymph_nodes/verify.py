"""Compare a folder with the catalogue: is the public collection there, whole and unaltered?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.core.progress import SILENT, Progress
from ctlymph.datasets.annotations import POINT_SET, POINTS, read_points
from ctlymph.datasets.archive_file import LARGEST_MASK, CollectionFile, numbers
from ctlymph.datasets.case import DATA_TYPES, Case, Collection
from ctlymph.datasets.ct_lymph_nodes.catalogue import CatalogueEntry, Series
from ctlymph.datasets.ct_lymph_nodes.download.store import CHECKSUM_FOLDER, md5_of, read_checksums
from ctlymph.datasets.layout import DicomSeries
from ctlymph.io.images import read_masks

WHOLE, MISSING, SHORT, ALTERED = STATES = ("whole", "missing", "short", "altered")

_COLUMNS = {"indices.txt": (3,), "sizes.txt": (1, 2), "grtIDs.txt": (1,), "physicalPoints.txt": (3,)}


@dataclass(frozen=True)
class Finding:
    """The state of one type of data of one case.

    Attributes:
        case: Its name.
        data_type: ``ct``, ``seg``, ``annotations``, ``candidates`` or ``masks``.
        state: One of :data:`STATES`.
        remark: What is wrong; or, of data that are whole, what could not be checked. Often empty.
    """

    case: str
    data_type: str
    state: str
    remark: str = ""


def verify(
    collection: Collection,
    expected: Sequence[CatalogueEntry],
    data_types: Sequence[str] = DATA_TYPES,
    *,
    quick: bool = False,
    progress: Progress = SILENT,
) -> list[Finding]:
    """Compare a folder with the catalogue.

    DICOM series: number of files, their size together, and every file's MD5
    where the download left one, else its header. Annotations and candidates: their numbers,
    line endings aside, and that the point sets agree with the text. Masks: their MD5 where
    the download left one, else whether they can be read. The data of a synthetic collection were
    never published: its files are only checked for being readable and for agreeing with each other.

    Args:
        collection: What is to be checked.
        expected: The cases that should be there.
        data_types: What should be there of each case, of :data:`~ctlymph.datasets.case.DATA_TYPES`.
        quick: Leave the content of DICOM files and masks unread: only number and size are compared.
        progress: Shows the bytes that have been checked.

    Returns:
        A finding for each expected case and data type.

    Raises:
        CtlymphError: If a list of checksums cannot be read.
    """
    cases = {case.name: case for case in collection.cases()}
    if collection.synthetic:
        expected = [_entry_of(cases[entry.case], entry) if entry.case in cases else entry for entry in expected]
    check = _Check({} if quick else _md5s(collection.folder), quick)
    findings = []
    work = [(entry, data_type, cases.get(entry.case)) for entry in expected for data_type in data_types]
    with progress.task("checking", sum(_bytes(*each) for each in work), in_bytes=True) as advance:
        for entry, data_type, case in work:
            findings.append(check.finding(entry, data_type, case))
            advance(_bytes(entry, data_type, case))
    return findings


def numbers_digest(*tables: Mapping[str, CollectionFile]) -> str:
    """Return a SHA-256 over the numbers in a case's text files, whatever their line endings and spaces.

    Args:
        tables: Files by what follows the case's name, as in :class:`~ctlymph.datasets.layout.CaseFiles`;
            point sets are passed over.
    """
    digest = hashlib.sha256()
    for files in tables:
        for name in sorted(files.keys() & _COLUMNS.keys()):
            digest.update(f"{name} {numbers(files[name], _COLUMNS[name]).tolist()}\n".encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Check:
    """The checks of one run; each returns a state and a remark."""

    md5s: Mapping[Path, str]
    quick: bool

    def finding(self, entry: CatalogueEntry, data_type: str, case: Case | None) -> Finding:
        if case is None or data_type not in case.has:
            return Finding(entry.case, data_type, MISSING)
        try:
            if data_type in ("ct", "seg"):
                state, remark = self._series(entry, data_type.upper(), case)
            elif data_type == "masks":
                state, remark = self._mask(case)
            else:
                state, remark = self._texts(entry, data_type, case)
        except CtlymphError as error:
            state, remark = ALTERED, str(error)
        return Finding(entry.case, data_type, state, remark)

    def _series(self, entry: CatalogueEntry, modality: str, case: Case) -> tuple[str, str]:
        expected = next(series for series in entry.series if series.modality == modality)
        copies = [found for found in case.files.series if found.series_uid == expected.series_uid]
        if not copies:
            return MISSING, f"a {modality} is there, but another (SeriesInstanceUID) than the collection's"
        found = max(copies, key=lambda series: len(series.files))
        if len(found.files) < expected.files:
            return SHORT, f"{len(found.files)} of {expected.files} files"
        if found.path.is_file():
            return WHOLE, "in an archive: only the number of its files was compared; unpack it to have them checked"
        if wrong := self._wrong_file(found):
            return ALTERED, wrong
        if len(found.files) > expected.files:
            return ALTERED, f"{len(found.files)} files, not {expected.files}"
        stated = all(path in self.md5s for path in found.files)
        size = sum(path.stat().st_size for path in found.files)
        if size != expected.bytes and not stated:
            return (SHORT if size < expected.bytes else ALTERED), f"{size:,} bytes, not {expected.bytes:,}"
        return WHOLE, "" if stated or self.quick else "no checksums here: headers and sizes were compared"

    def _wrong_file(self, found: DicomSeries) -> str:
        """Name a file that is not as it was downloaded, or, without a checksum, not of its series."""
        for path in found.files:
            if path in self.md5s:
                if md5_of(path) != self.md5s[path]:
                    return f"{path.name} is not as it was downloaded"
            elif not self.quick and (fault := _header_fault(path, found)):
                return f"{path.name} {fault}"
        return ""

    def _mask(self, case: Case) -> tuple[str, str]:
        file = case.files.mask
        path = file.path if file and not file.member else None
        if file is not None and (path is None or path not in self.md5s):
            if self.quick:
                return WHOLE, ""
            with file.on_disk(LARGEST_MASK) as unpacked:
                read_masks(unpacked)  # it says what is wrong with it
            return WHOLE, "no checksum here: it can be read, but was not compared"
        if path is None:
            return MISSING, ""
        return (WHOLE, "") if md5_of(path) == self.md5s[path] else (ALTERED, f"{path.name} is not as it was downloaded")

    def _texts(self, entry: CatalogueEntry, data_type: str, case: Case) -> tuple[str, str]:
        files = case.files
        if data_type == "annotations":
            tables, expected = [files.annotations], entry.annotations_sha256
            count, due = len(case.nodes()), len(entry.short_axes_mm)
        else:
            tables, expected = [files.positives, files.negatives], entry.candidates_sha256
            count, due = len(case.candidates()), entry.positives + entry.negatives
        if count < due:
            return SHORT, f"{count} of {due} points"
        if numbers_digest(*tables) != expected:
            return ALTERED, "the numbers are not those that were published"
        disagreeing = [str(each[POINT_SET]) for each in tables if not _point_set_agrees(each)]
        return (ALTERED, f"{disagreeing[0]} and the text beside it differ") if disagreeing else (WHOLE, "")


def _entry_of(case: Case, named: CatalogueEntry) -> CatalogueEntry:
    """Describe a synthetic case by what lies there, where that can be read."""
    series = tuple(
        Series(case.name, each.modality, each.series_uid, "", len(each.files), _size(each), "", 0)
        for each in case.files.series
    )
    try:
        nodes = case.nodes() if "annotations" in case.has else ()
        candidates = case.candidates() if "candidates" in case.has else ()
        annotations = numbers_digest(case.files.annotations)
        both = numbers_digest(case.files.positives, case.files.negatives)
    except CtlymphError:  # the check itself reads them again, and reports it
        return replace(named, series=series)
    positives = sum(candidate.positive for candidate in candidates)
    return replace(
        named,
        short_axes_mm=tuple(node.short_axis_mm for node in nodes),
        positives=positives,
        negatives=len(candidates) - positives,
        annotations_sha256=annotations,
        candidates_sha256=both,
        series=series,
    )


def _size(series: DicomSeries) -> int:
    return sum(path.stat().st_size for path in series.files) if series.path.is_dir() else 0


def _bytes(entry: CatalogueEntry, data_type: str, case: Case | None) -> int:
    """Return the size of the DICOM files that are to be checked."""
    mine = {series.series_uid for series in entry.series if series.modality.lower() == data_type}
    series = [each for each in case.files.series if each.series_uid in mine and each.path.is_dir()] if case else []
    return sum(map(_size, series))


def _point_set_agrees(files: Mapping[str, CollectionFile]) -> bool:
    if POINT_SET not in files or POINTS not in files:
        return True
    return read_points(files) == read_points({POINT_SET: files[POINT_SET]})


def _header_fault(path: Path, series: DicomSeries) -> str:
    from ctlymph.io.dicom.files import DiskFile
    from ctlymph.io.dicom.header import read_header

    header = read_header(DiskFile(path))
    if header is None:
        return "is not DICOM"
    if header.defect:
        return f"is truncated: {header.defect}"
    if (header.series_uid, header.patient_id) != (series.series_uid, series.case):
        return f"is of another series or patient ({shown(header.patient_id)})"
    return ""


def _md5s(folder: Path) -> dict[Path, str]:
    """Return the MD5s that downloads wrote, by file."""
    lists = sorted((folder / CHECKSUM_FOLDER).glob("*.md5"))
    return {folder / name: md5 for path in lists for name, md5 in read_checksums(path).items()}
