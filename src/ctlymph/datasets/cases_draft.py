"""A draft of ``cases.csv`` for a folder of CTs and labels, made from the names of files; a person completes it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

from ctlymph.core.errors import CtlymphError
from ctlymph.datasets.cases_csv import CASES, HEADER, TEST, TRAIN, UNDECIDED
from ctlymph.datasets.layout import find_cases
from ctlymph.io.atomic import explained, new_file
from ctlymph.io.csv_table import write_csv
from ctlymph.io.dicom.files import files_below
from ctlymph.io.images import image_suffix

_LABEL_STEMS = ("annotation", "gt", "label", "mask", "seg", "segmentation")
_CT_STEMS = ("ct", "dicom", "image", "scan", "volume")
_LABELS = frozenset((*_LABEL_STEMS, *(f"{stem}s" for stem in _LABEL_STEMS), "labelstr", "labelsts"))
_CTS = frozenset((*_CT_STEMS, *(f"{stem}s" for stem in _CT_STEMS), "imagestr", "imagests", "0000"))
_SPLITS = {"imagestr": TRAIN, "labelstr": TRAIN, "imagests": TEST, "labelsts": TEST, TRAIN: TRAIN, TEST: TEST}
"""Names of folders, as nnU-Net and others have them."""


@dataclass(frozen=True)
class CaseDraft:
    """One row of the draft; paths are relative to the folder.

    Attributes:
        case: Name of the case.
        patient: Shared by all cases of one patient, as far as names tell.
        region: :data:`ctlymph.datasets.cases_csv.UNDECIDED`, unless the caller knows it.
        split: ``train``, ``test`` or empty.
        ct: The CT.
        labels: The labelled nodes; empty where none were found.
    """

    case: str
    patient: str
    region: str
    split: str
    ct: str
    labels: str


@dataclass(frozen=True)
class _Scan:
    """A CT or labels: what its path says when words such as ``ct`` and ``labels`` are taken out."""

    path: Path
    key: tuple[str, ...]
    patient: str = ""


def draft_cases(folder: Path, region: str = UNDECIDED) -> list[CaseDraft]:
    """Find CTs and their labels in a folder, by the names of files and folders.

    Layouts that are understood: ``images/NAME`` and ``labels/NAME``; nnU-Net's ``imagesTr/NAME_0000`` and
    ``labelsTr/NAME``; ``NAME/ct`` and ``NAME/mask``; ``NAME_ct`` and ``NAME_mask``; ``NAME`` and ``NAME_mask``;
    and DICOM series, named after their PatientID, with labels in a DICOM-SEG or an image.

    >>> Path("mydata").mkdir()
    >>> for name in ("PAT001_ct.nii.gz", "PAT001_mask.nii.gz"):
    ...     Path("mydata", name).touch()
    >>> [(draft.case, draft.region, draft.ct, draft.labels) for draft in draft_cases(Path("mydata"), "abdomen")]
    [('PAT001', 'abdomen', 'PAT001_ct.nii.gz', 'PAT001_mask.nii.gz')]

    Args:
        folder: Where to look, in all folders below, too.
        region: Where the nodes of all cases are labelled.

    Returns:
        A row for each CT, sorted by name.

    Raises:
        CtlymphError: If the folder cannot be read, or holds no CT.
    """
    if not folder.is_dir():
        raise CtlymphError(f"{folder} is not a folder; give the one with the CTs and labels")
    images = [_scan(folder, path) for path in files_below(folder) if image_suffix(path) not in (None, ".img")]
    series, seg_of_patient = _dicom(folder)
    labels = {scan.key: scan.path for scan in images if _is_labels(scan.path)}
    labels_of_name = {_last(scan): scan.path for scan in images if _is_labels(scan.path)}
    cts = [scan for scan in images if not _is_labels(scan.path)] + series
    if not cts:
        raise CtlymphError(f"{folder} holds no CT (NIfTI, NRRD, MetaImage or DICOM); give the folder with the CTs")
    names = _names(cts)
    drafts = []
    for scan in cts:
        case, patient = names[scan.path]
        own = labels.get(scan.key) or labels_of_name.get(case) or seg_of_patient.get(scan.patient)
        split = next((_SPLITS[part.lower()] for part in scan.path.parts if part.lower() in _SPLITS), "")
        drafts.append(CaseDraft(case, patient, region, split, scan.path.as_posix(), own.as_posix() if own else ""))
    return sorted(drafts, key=lambda draft: draft.case)


def write_draft(folder: Path, drafts: Iterable[CaseDraft], *, overwrite: bool = False) -> Path:
    """Write a draft as the folder's ``cases.csv`` and return its path.

    Raises:
        CtlymphError: If there is one and ``overwrite`` is not set, or it cannot be written.
    """
    path = folder / CASES
    with new_file(path, overwrite=overwrite) as staging, explained(path):
        write_csv(staging, HEADER, map(astuple, drafts))
    return path


def _scan(folder: Path, path: Path, patient: str = "") -> _Scan:
    relative = path.relative_to(folder)
    suffix = image_suffix(path) or ""
    parts = (*relative.parts[:-1], relative.name[: len(relative.name) - len(suffix)])
    return _Scan(relative, tuple(rest for part in parts if (rest := _without_words(part))), patient)


def _without_words(part: str) -> str:
    """Take words that mean a CT, labels or a split from a name.

    >>> _without_words("PAT001_0000"), _without_words("labelsTr"), _without_words("CT-PAT001")
    ('PAT001', '', 'PAT001')
    """
    words = re.split(r"([_\-. ]+)", part)
    kept = [word for word in words[::2] if word and word.lower() not in _LABELS | _CTS | _SPLITS.keys()]
    return "_".join(kept)


def _is_labels(path: Path) -> bool:
    """Return whether a path names labels rather than a CT."""
    return not _LABELS.isdisjoint(re.split(r"[/_\-. ]+", path.as_posix().lower()))


def _dicom(folder: Path) -> tuple[list[_Scan], dict[str, Path]]:
    """Return the DICOM series of CTs, and the DICOM-SEG of each patient who has one."""
    series, segs = [], {}
    for patient, files in find_cases(folder).cases.items():
        series += [_scan(folder, each.path, patient) for each in files.series if each.modality == "CT"]
        own = [each.files[0].relative_to(folder) for each in files.series if each.modality == "SEG"]
        if len(own) == 1 and (folder / own[0]).is_file():  # not within an archive
            segs[patient] = own[0]
    return series, segs


def _names(cts: list[_Scan]) -> dict[Path, tuple[str, str]]:
    """Name each CT and its patient.

    A DICOM series is named after its PatientID, an image after the last part of its key; or, if several images are
    called alike, after the last two, the first of which is the patient.
    """
    are_alike = max(Counter(_last(scan) for scan in cts if not scan.patient).values(), default=1) > 1
    stems: dict[Path, tuple[str, str]] = {}
    for scan in cts:
        stem, patient = _last(scan), scan.patient
        if are_alike and not patient and len(scan.key) > 1:
            stem, patient = "_".join(scan.key[-2:]), scan.key[-2]
        stems[scan.path] = (re.sub(r"[^A-Za-z0-9_.-]+", "_", stem).strip("_.-") or "case", patient)
    count, number = Counter(stem for stem, _ in stems.values()), Counter[str]()
    found = {}
    for path, (stem, patient) in stems.items():
        number[stem] += 1
        name = f"{stem}_{number[stem]}" if count[stem] > 1 else stem
        found[path] = (name, patient or name)
    return found


def _last(scan: _Scan) -> str:
    return scan.patient or (scan.key[-1] if scan.key else "case")
