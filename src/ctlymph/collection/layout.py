"""What lies in a folder of the collection, whoever downloaded it and however it is laid out.

Nothing depends on the names of folders: files of the three side downloads are
known by their own names, and DICOM series by the header of a file, so that the
trees of NBIA Data Retriever and idc-index, zips and plain copies are all read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ctlymph.collection.stored import LARGEST_TEXT, StoredFile
from ctlymph.errors import CtlymphError, shown
from ctlymph.io.dicom_files import Source, ZipMember, is_named_as_dicom, open_files
from ctlymph.io.dicom_header import Header, read_header

_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
_SIDE_FILE = re.compile(
    rf"(?P<case>{_NAME}?)_(?P<kind>lymphnodes|posCADe|negCADe)_"
    r"(?P<what>indices\.txt|sizes\.txt|grtIDs\.txt|physicalPoints\.(?:txt|mps))"
)
_MASK = re.compile(rf"(?P<case>{_NAME}?)_mask\.nii(?:\.gz)?")
_SERIES_LOOKED_AT = 5  # files of a folder that are tried until one is DICOM: a licence may lie beside


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
    """All that was found of one case.

    Attributes:
        series: Its DICOM series, CT and SEG.
        annotations: Files by what follows ``CASE_lymphnodes_``; empty where there are none.
        positives: Files by what follows ``CASE_posCADe_``.
        negatives: Files by what follows ``CASE_negCADe_``.
        mask: The instance mask.
    """

    series: tuple[DicomSeries, ...] = ()
    annotations: Mapping[str, StoredFile] = field(default_factory=dict)
    positives: Mapping[str, StoredFile] = field(default_factory=dict)
    negatives: Mapping[str, StoredFile] = field(default_factory=dict)
    mask: StoredFile | None = None


@dataclass(frozen=True)
class Found:
    """What :func:`find_cases` found.

    Attributes:
        cases: Files of each case, by its name.
        notes: A sentence for everything that was left out.
    """

    cases: dict[str, CaseFiles]
    notes: tuple[str, ...]


def find_cases(folder: Path) -> Found:
    """Find the cases in a folder and all folders and zip archives below it.

    Of a kind of file that is there several times for a case, the fullest set is
    taken, and of equals that on the disk rather than in an archive. One file of
    a folder tells which DICOM series lies in it.

    Raises:
        CtlymphError: If the folder or an archive in it cannot be read, or an archive is unsafe.
    """
    if not folder.is_dir():
        raise CtlymphError(f"{folder} is not a folder; give the one that the collection was downloaded to")
    sides: dict[tuple[str, str], dict[Path, dict[str, StoredFile]]] = {}
    masks: dict[str, list[StoredFile]] = {}
    dicom: dict[Path, list[Source]] = {}
    with open_files(folder) as sources:
        for source in sources:
            name = source.path.name
            if side := _SIDE_FILE.fullmatch(name):
                places = sides.setdefault((side["case"], side["kind"]), {})
                places.setdefault(source.path.parent, {})[side["what"]] = _stored(source).kept(LARGEST_TEXT)
            elif mask := _MASK.fullmatch(name):
                masks.setdefault(mask["case"], []).append(_stored(source))
            elif is_named_as_dicom(source) or not source.path.suffix:
                dicom.setdefault(source.path.parent, []).append(source)
        series, notes = _all_series(dicom)
    cases = {name: CaseFiles() for name in sorted({case for case, _ in sides} | masks.keys() | series.keys())}
    for (case, kind), places in sides.items():
        fullest = max(places.values(), key=lambda files: (len(files), not _in_archive(files)))
        cases[case] = _with_files(cases[case], kind, fullest)
    for case, copies in masks.items():
        cases[case] = replace(cases[case], mask=min(copies, key=lambda file: (bool(file.member), str(file))))
    for case, found in series.items():
        cases[case] = replace(cases[case], series=tuple(found))
    return Found(cases, tuple(notes))


def _with_files(case: CaseFiles, kind: str, files: Mapping[str, StoredFile]) -> CaseFiles:
    if kind == "lymphnodes":
        return replace(case, annotations=files)
    return replace(case, positives=files) if kind == "posCADe" else replace(case, negatives=files)


def _stored(source: Source) -> StoredFile:
    if isinstance(source, ZipMember):
        return StoredFile(Path(str(source.archive.filename)), source.member.filename)
    return StoredFile(source.path)


def _in_archive(files: Mapping[str, StoredFile]) -> bool:
    return any(file.member for file in files.values())


def _all_series(folders: Mapping[Path, Sequence[Source]]) -> tuple[dict[str, list[DicomSeries]], list[str]]:
    found: dict[str, list[DicomSeries]] = {}
    notes = []
    for folder, sources in folders.items():
        for header, members in _series_in(sources):
            if not re.fullmatch(_NAME, header.patient_id):
                patient = shown(header.patient_id) or "(none)"
                notes.append(f"{folder}: the PatientID {patient} is no name for a case; the series was left out.")
            elif header.modality in ("CT", "SEG"):
                place = _stored(sources[0])
                path = place.path if place.member else folder
                files = tuple(member.path for member in members)
                series = DicomSeries(path, header.patient_id, header.series_uid, header.modality, files)
                found.setdefault(header.patient_id, []).append(series)
    return found, notes


def _series_in(sources: Sequence[Source]) -> Iterator[tuple[Header, Sequence[Source]]]:
    """Give the series of one folder, each with the header of a file.

    The first and the last file tell whether there is only one; only else are all headers read.
    """
    first, last = _first_header(sources), _first_header(sources[::-1])
    if first is None or last is None:
        return
    if first.series_uid == last.series_uid:
        yield first, sources
        return
    members: dict[str, tuple[Header, list[Source]]] = {}
    for source in sources:
        if header := read_header(source):
            members.setdefault(header.series_uid, (header, []))[1].append(source)
    yield from members.values()


def _first_header(sources: Sequence[Source]) -> Header | None:
    return next(filter(None, map(read_header, sources[:_SERIES_LOOKED_AT])), None)
