"""``cases.csv``: the table that makes a folder of CTs and labelled nodes a dataset.

One row a case. The required columns are ``case`` (its name) and ``region`` (where its nodes are labelled). Optional:

- ``patient``: shared by all cases of one patient, which stay together in folds; default: each case is a patient.
- ``split``: ``train`` or ``test``; nothing is ever trained on a test case. Empty: may be trained on.
- ``ct``: the CT, anything that :func:`ctlymph.read` reads.
- ``labels``: the nodes as an image (NIfTI, NRRD, MetaImage) or a DICOM-SEG.
- ``points``: the nodes as a table, see :mod:`ctlymph.datasets.node_labels`.
- ``licence``: of the data.

Paths are relative to the folder that ``cases.csv`` lies in. Without any, the files are found by their names and
headers, as those of the public collection are (:mod:`ctlymph.datasets.layout`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.core.regions import REGIONS
from ctlymph.datasets.layout import CASE_NAME
from ctlymph.io.csv_table import CsvRow, column_names, read_rows

CASES = "cases.csv"
"""The table's name, at the top of the folder."""

TRAIN, TEST = "train", "test"
UNDECIDED = "?"
"""Stands for a region in a draft, until a person fills it in."""

REQUIRED = ("case", "region")
HEADER = ("case", "patient", "region", "split", "ct", "labels")
EXAMPLE = "PAT001,PAT001,mediastinum,train,images/PAT001.nii.gz,labels/PAT001.nii.gz"
_FILES = ("ct", "labels", "points")
_OPTIONAL = ("patient", "split", *_FILES, "licence")


@dataclass(frozen=True)
class CaseRow:
    """One row of ``cases.csv``.

    Attributes:
        case: Name of the case.
        patient: Shared by all cases of one patient; empty where the table does not say.
        regions: Where its nodes are labelled, of :data:`ctlymph.core.regions.REGIONS`; at least one.
        split: :data:`TRAIN`, :data:`TEST` or empty.
        ct: The CT; None where the table does not name it.
        labels: The labelled nodes; None where the table does not name them.
        points: The table of nodes; None where the table does not name it.
        licence: Of the data; empty where the table does not say.
    """

    case: str
    patient: str
    regions: tuple[str, ...]
    split: str = ""
    ct: Path | None = None
    labels: Path | None = None
    points: Path | None = None
    licence: str = ""

    @property
    def names_files(self) -> bool:
        """Whether the row says where the case's files are."""
        return any((self.ct, self.labels, self.points))


def read_cases_csv(path: Path) -> list[CaseRow]:
    r"""Read and check the cases of a dataset, without opening their files.

    >>> Path("ct.nii.gz").touch()
    >>> _ = Path("cases.csv").write_text("case,region,ct,split\nPAT001,mediastinum,ct.nii.gz,test\n")
    >>> [(row.case, row.regions, row.ct.name, row.split) for row in read_cases_csv(Path("cases.csv"))]
    [('PAT001', ('mediastinum',), 'ct.nii.gz', 'test')]

    Args:
        path: ``cases.csv``, in the folder that its paths are relative to.

    Returns:
        The rows, in the order of the table.

    Raises:
        CtlymphError: If the table cannot be read, a required column or value is missing, a region or split is unknown,
            a case stands twice, a file does not exist, or the cases of a patient are in both splits. The line is named.
    """
    rows = read_rows(path, REQUIRED, f"its columns are {','.join(HEADER)}, and a row is such as {EXAMPLE}")
    if not rows:
        raise CtlymphError(f"{path} holds no case; add a row for each, such as {EXAMPLE}")
    cases = [_case_row(row) for row in rows]
    _check_names(rows, cases)
    _check_splits(rows, cases)
    return cases


def parse_regions(text: str) -> tuple[str, ...]:
    """Return the regions that a cell names, ``mediastinum``, ``abdomen`` or ``mediastinum;abdomen``.

    Raises:
        ValueError: If it names none, or anything else.

    >>> parse_regions("Abdomen; mediastinum")
    ('mediastinum', 'abdomen')
    """
    names = {part.strip().lower() for part in text.split(";")}
    if not names or not names <= set(REGIONS):
        raise ValueError(f"{text!r} names no region")
    return tuple(region for region in REGIONS if region in names)


def _case_row(row: CsvRow) -> CaseRow:
    cells = {name: row.texts.get(name, "").strip() for name in (*REQUIRED, *_OPTIONAL)}
    if not re.fullmatch(CASE_NAME, cells["case"]):
        raise row.error(f"{shown(cells['case'])!r} cannot name a case; use up to 64 letters, digits, -, _ and .")
    try:
        regions = parse_regions(cells["region"])
    except ValueError:
        known = f"write {' or '.join(REGIONS)}, or both as {';'.join(REGIONS)}"
        raise row.error(f"region is {shown(cells['region'])!r}; {known}") from None
    split = cells["split"].lower()
    if split not in ("", TRAIN, TEST):
        raise row.error(f"split is {shown(split)!r}; write {TRAIN} or {TEST}, or leave it empty")
    files = {name: _file(row, name, cells[name]) for name in _FILES}
    points = files["points"]
    if len(regions) > 1 and (points is None or "region" not in column_names(points)):
        raise row.error(
            "two regions are annotated, so each node must say which it is in; give a points table with a column "
            "region, or make the case two rows, one a region, with the same patient"
        )
    return CaseRow(cells["case"], cells["patient"], regions, split, licence=cells["licence"], **files)


def _file(row: CsvRow, name: str, cell: str) -> Path | None:
    if not cell:
        return None
    path = row.path.parent / cell.replace("\\", "/")
    if not path.exists():
        raise row.error(f"{name} {shown(cell)} does not exist in {row.path.parent}; correct the path")
    return path


def _check_names(rows: Sequence[CsvRow], cases: Sequence[CaseRow]) -> None:
    lines: dict[str, int] = {}
    for row, case in zip(rows, cases, strict=True):
        first = lines.setdefault(case.case.lower(), row.line)  # on many disks, names that differ only in case are one
        if first != row.line:
            raise row.error(
                f"{case.case} stands in line {first} already; give every case a name of its own, and scans of one "
                "patient the same patient"
            )


def _check_splits(rows: Sequence[CsvRow], cases: Sequence[CaseRow]) -> None:
    """Refuse a patient who is both trained on and tested."""
    first: dict[str, tuple[CsvRow, CaseRow]] = {}
    for row, case in zip(rows, cases, strict=True):
        patient = case.patient or case.case
        other_row, other = first.setdefault(patient, (row, case))
        if (other.split == TEST) != (case.split == TEST):
            raise row.error(
                f"{case.case} and {other.case} (line {other_row.line}) are of patient {patient}, but only one of them "
                "is a test case; put all cases of a patient into one split"
            )
