"""Names of cases: which case a file or a SeriesInstanceUID is of, and which cases a dataset knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError
from ctlymph.datasets.case import Case, Collection
from ctlymph.datasets.cases_csv import CASES, read_cases_csv
from ctlymph.datasets.ct_lymph_nodes.catalogue import catalogue
from ctlymph.io.dicom.files import open_files
from ctlymph.io.dicom.header import read_header
from ctlymph.io.images import image_suffix

_WITHOUT_CASE = (
    "nodes",
    "truth",
    "masks",
    "mask",
    "ct",
    "image",
)  # files so named lie in a folder named after the case


@dataclass(frozen=True)
class KnownCase:
    """What is known of a case besides its nodes: its patient, and the region that was annotated, or empty."""

    patient: str
    region: str


class KnownCases:
    """Patients and regions of cases, from the ``cases.csv`` of a dataset.

    Cases that it does not list, or that have none, are looked up in the catalogue of the public collection,
    by their whole names; any other case is a patient of its own, and its region is not known.

    Args:
        folder: Where ``cases.csv`` may lie.
    """

    def __init__(self, folder: Path) -> None:
        table = folder / CASES
        self._rows = {row.case: row for row in read_cases_csv(table)} if table.is_file() else {}

    def __getitem__(self, case: str) -> KnownCase:
        """Return what is known of a case."""
        if row := self._rows.get(case):
            return KnownCase(row.patient or case, ";".join(row.regions))
        entry = catalogue().entry(case)
        return KnownCase(catalogue().patient_of(case), entry.region if entry else "")


def case_of(word: str) -> str:
    """Return the case of the public collection that a SeriesInstanceUID means; any other word is a name itself."""
    series = catalogue().series_of_uid(word)
    return series.case if series else word


def case_of_file(path: Path, suffix: str) -> str:
    """Return the case of ``CASE.SUFFIX``, or of ``CASE/nodes.SUFFIX`` and the like."""
    stem = path.name[: len(path.name) - len(suffix)]
    return path.absolute().parent.name if stem in _WITHOUT_CASE else stem


def indices(words: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Return the cases that words name, in the order in which they come, and for each word the index of its case."""
    cases: dict[str, int] = {}
    known: dict[str, int] = {}
    for word in words:
        if word not in known:
            known[word] = cases.setdefault(case_of(word), len(cases))
    return tuple(cases), np.fromiter((known[word] for word in words), dtype=np.int32, count=len(words))


def series_in(folder: Path) -> dict[str, str]:
    """Return the cases of a dataset by the SeriesInstanceUIDs of their CTs; none where the folder is no dataset."""
    try:
        cases = Collection(folder).cases()
    except CtlymphError:  # a folder of CTs need not be a dataset; who needs a name says that it is not there
        return {}
    return series_of(cases)


def series_of(cases: Sequence[Case]) -> dict[str, str]:
    """Return the names of cases by the SeriesInstanceUIDs of their CTs, as far as these are DICOM."""
    return {uid: case.name for case in cases for uid in _series_uids(case)}


def _series_uids(case: Case) -> Iterator[str]:
    yield from (series.series_uid for series in case.files.series if series.modality == "CT")
    if case.files.ct is not None and not image_suffix(case.files.ct):
        with open_files(case.files.ct) as sources:
            header = next((header for source in sources if (header := read_header(source))), None)
        if header:
            yield header.series_uid
