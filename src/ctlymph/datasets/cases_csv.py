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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.core.regions import REGIONS
from ctlymph.datasets.layout import CASE_NAME
from ctlymph.io.csv_table import CsvColumns, CsvTable, column_names, read_table

CASES = "cases.csv"
"""The table's name, at the top of the folder."""

TRAIN, TEST = "train", "test"
UNDECIDED = "?"
"""Stands for a region in a draft, until a person fills it in."""

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
    """Read and check the cases of a dataset, without opening their files.

    Args:
        path: ``cases.csv``, in the folder that its paths are relative to.

    Returns:
        The rows, in the order of the table.

    Raises:
        CtlymphError: If the table cannot be read, a required column or value is missing, a region or split is unknown,
            a case stands twice, a file does not exist, or the cases of a patient are in both splits. The line is named.
    """
    table = read_table(path, CsvColumns(("case", "region", *_OPTIONAL), (), _OPTIONAL))
    if not len(table):
        raise CtlymphError(f"{path} holds no case; add a row for each, such as {EXAMPLE}")
    rows = [_row(table, number) for number in range(len(table))]
    _check_once(table, [row.case for row in rows])
    _check_splits(table, rows)
    return rows


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


def _row(table: CsvTable, number: int) -> CaseRow:
    cells = {name: words[number] for name, words in table.texts.items()}
    where = f"{table.path}, line {table.lines[number]}"
    if not re.fullmatch(CASE_NAME, cells["case"]):
        raise CtlymphError(
            f"{where}: {shown(cells['case'])!r} cannot name a case; use up to 64 letters, digits, -, _ and ."
        )
    try:
        regions = parse_regions(cells["region"])
    except ValueError as error:
        known = " or ".join(REGIONS)
        raise CtlymphError(
            f"{where}: region is {shown(cells['region'])!r}; write {known}, or both as {';'.join(REGIONS)}"
        ) from error
    split = cells.get("split", "").lower()
    if split not in ("", TRAIN, TEST):
        raise CtlymphError(f"{where}: split is {shown(split)!r}; write {TRAIN} or {TEST}, or leave it empty")
    files = {name: _file(table.path.parent, where, name, cells.get(name, "")) for name in _FILES}
    if len(regions) > 1 and (files["points"] is None or "region" not in column_names(files["points"])):
        raise CtlymphError(
            f"{where}: two regions are labelled, so each node must say which it is in; give a points table with a "
            "column region, or split the case into two rows, one a region, with the same patient"
        )
    return CaseRow(cells["case"], cells.get("patient", ""), regions, split, licence=cells.get("licence", ""), **files)


def _file(folder: Path, where: str, name: str, cell: str) -> Path | None:
    if not cell:
        return None
    path = folder / cell.replace("\\", "/")
    if not path.exists():
        raise CtlymphError(f"{where}: {name} {shown(cell)} does not exist in {folder}; correct the path")
    return path


def _check_once(table: CsvTable, names: Sequence[str]) -> None:
    first: dict[str, int] = {}
    for name, line in zip(names, table.lines.tolist(), strict=True):
        if name.lower() in first:  # on many disks, names that differ only in case are one
            raise CtlymphError(
                f"{table.path}, line {line}: {name} stands in line {first[name.lower()]} already; give every case a "
                "name of its own (scans of one patient: the same patient)"
            )
        first[name.lower()] = line


def _check_splits(table: CsvTable, rows: Iterable[CaseRow]) -> None:
    """Refuse a patient who is both trained on and tested."""
    first: dict[str, tuple[bool, int]] = {}
    for row, line in zip(rows, table.lines.tolist(), strict=True):
        is_test, other = first.setdefault(row.patient or row.case, (row.split == TEST, line))
        if is_test != (row.split == TEST):
            raise CtlymphError(
                f"{table.path}, line {line}: patient {row.patient or row.case} is tested in line "
                f"{other if is_test else line} and may be trained on in line {line if is_test else other}; put all "
                "cases of a patient into one split"
            )
