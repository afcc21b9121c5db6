"""CSV files, read and written: rows with typed values, or whole columns as arrays, however many rows there are.

Every error names the file and, where there is one, the line.
"""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError, shown

BOX = tuple(f"{axis}_{end}_mm" for end in ("min", "max") for axis in "xyz")
"""Columns of a box: its low corner, then its high one; LPS mm."""


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    r"""Write a table: UTF-8, commas, one header line, lines that end in a line feed; None becomes an empty value.

    >>> write_csv(Path("nodes.csv"), ("case", "short_axis_mm"), [("A", 9.5), ("B", None)])
    >>> Path("nodes.csv").read_text()
    'case,short_axis_mm\nA,9.5\nB,\n'
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def cells(record: object, columns: Sequence[str], decimals: Mapping[str, int]) -> list[str]:
    """Return the attributes of a record as texts for a CSV row.

    Args:
        record: An object with one attribute for each column, such as a dataclass.
        columns: Names of the attributes, in order.
        decimals: Digits after the point of those that are written with a fixed number of them.

    Returns:
        One text for each column; empty for None.
    """
    values = ((getattr(record, name), decimals.get(name)) for name in columns)
    return [
        "" if value is None else str(value) if digits is None else f"{value:.{digits}f}" for value, digits in values
    ]


@dataclass(frozen=True)
class CsvRow:
    """One row of a CSV file.

    Attributes:
        path: The file.
        line: Number of the row's line, from 1; the header is line 1.
        texts: Values by column, as they stand in the file; empty where the row is too short.
    """

    path: Path
    line: int
    texts: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        """Return the text in a column."""
        return self.texts[name]

    def number(self, name: str) -> float:
        """Return the finite number in a column.

        Raises:
            CtlymphError: If there is none; it names the line.
        """
        return _number(self.path, self.line, name, self.texts[name])

    def optional_number(self, name: str) -> float | None:
        """Return the finite number in a column, or None if it is empty.

        Raises:
            CtlymphError: If there is something else; it names the line.
        """
        return self.number(name) if self.texts[name].strip() else None

    def integer(self, name: str) -> int:
        """Return the whole number in a column.

        Raises:
            CtlymphError: If there is none; it names the line.
        """
        try:
            return int(self.texts[name])
        except ValueError:
            fault = f"{name} is {shown(self.texts[name])!r}, not a whole number"
            raise self.error(f"{fault}; correct the line") from None

    def error(self, message: str) -> CtlymphError:
        """Return an error that names the file and the line."""
        return CtlymphError(f"{self.path}, line {self.line}: {message}")


def read_rows(path: Path, columns: Sequence[str], remedy: str = "give a table as CSV, in UTF-8") -> list[CsvRow]:
    r"""Read the rows of a CSV file; columns may stand in any order, and further ones are kept as well.

    >>> _ = Path("roles.csv").write_text("role,node\ntarget,1\n")
    >>> [(row.line, row.integer("node"), row["role"]) for row in read_rows(Path("roles.csv"), ("node", "role"))]
    [(2, 1, 'target')]

    Args:
        path: The file: UTF-8, commas, one header line.
        columns: Columns that must be there.
        remedy: Ends the messages of errors: what to do about a file that cannot be used.

    Raises:
        CtlymphError: If the file cannot be read as text, or lacks a column.
    """
    lines = _lines(path, remedy)
    _, names = next(lines, (1, []))
    if missing := [name for name in columns if name not in names]:
        raise CtlymphError(f"{path} has no column {', '.join(missing)}; {remedy}")
    empty = dict.fromkeys(names, "")
    return [CsvRow(path, line, empty | dict(zip(names, values, strict=False))) for line, values in lines]


@dataclass(frozen=True)
class CsvColumns:
    """Which columns of a CSV file to read as arrays.

    Attributes:
        texts: Columns of text.
        numbers: Columns of finite numbers.
        optional: Columns of ``texts`` or ``numbers`` that may be absent, or empty in a row.
    """

    texts: Sequence[str]
    numbers: Sequence[str]
    optional: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class CsvTable:
    """Columns of one CSV file.

    Attributes:
        path: The file.
        texts: Columns of text, as lists.
        numbers: Columns of numbers; NaN where a row has none.
        lines: Line of each row in the file.
    """

    path: Path
    texts: dict[str, list[str]]
    numbers: dict[str, NDArray[np.float64]]
    lines: NDArray[np.int64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.lines)

    def __repr__(self) -> str:
        return f"CsvTable({self.path.name!r}, {len(self)} rows, columns {', '.join((*self.texts, *self.numbers))})"

    def points_mm(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Return three columns as points, shape n, 3."""
        return np.stack([self.numbers[name] for name in names], axis=1)

    def boxes_mm(self) -> NDArray[np.float64] | None:
        """Return the columns of :data:`BOX` as shape n, 2, 3; None if they are absent, or empty in every row.

        Raises:
            CtlymphError: If some of the columns are absent, a row has no box or an incomplete one, or its low corner
                lies above its high one.
        """
        present = [name for name in BOX if name in self.numbers]
        if all(np.isnan(self.numbers[name]).all() for name in present):
            return None
        if len(present) < len(BOX):
            absent = ", ".join(name for name in BOX if name not in present)
            raise CtlymphError(f"{self.path} has no column {absent}; give all six of a box, or none")
        boxes = np.stack([self.numbers[name] for name in BOX], axis=1).reshape(-1, 2, 3)
        self.refuse(
            np.asarray(np.isnan(boxes).any(axis=(1, 2))), "the box is not complete; give a box in every line, or none"
        )
        self.refuse(
            np.asarray((boxes[:, 0] > boxes[:, 1]).any(axis=1)),
            "the box has its low corner above its high one; exchange them",
        )
        return boxes

    def refuse(self, wrong: NDArray[np.bool_], message: str) -> None:
        """Raise a :class:`CtlymphError` that names the first line in which ``wrong`` is True, if there is one."""
        if wrong.any():
            raise CtlymphError(f"{self.path}, line {self.lines[wrong.argmax()]}: {message}")


def column_names(path: Path) -> list[str]:
    """Return the names of a CSV file's columns.

    Raises:
        CtlymphError: If it cannot be read as text.
    """
    return next(_lines(path), (1, []))[1]


def read_table(path: Path, columns: CsvColumns) -> CsvTable:
    r"""Read columns of a CSV file into lists and arrays; they may stand in any order, and others are ignored.

    >>> _ = Path("marks.csv").write_text("case,score\nA,0.9\nB,0.25\n")
    >>> read_table(Path("marks.csv"), CsvColumns(["case"], ["score"])).numbers["score"].tolist()
    [0.9, 0.25]

    Raises:
        CtlymphError: If the file cannot be read as text, a column is missing or there twice, or a value does not suit
            its column; the line is named.
    """
    rows = _lines(path)
    _, names = next(rows, (1, []))
    requested = (*columns.texts, *columns.numbers)
    if missing := [name for name in requested if name not in names and name not in columns.optional]:
        raise CtlymphError(
            f"{path} has no column {', '.join(missing)}; add it (its columns are {shown(', '.join(names))})"
        )
    if twice := [name for name in requested if names.count(name) > 1]:
        raise CtlymphError(f"{path} has the column {twice[0]} twice; remove one")
    texts: dict[str, list[str]] = {name: [] for name in columns.texts if name in names}
    numbers = {name: array("d") for name in columns.numbers if name in names}
    places = {name: names.index(name) for name in (*texts, *numbers)}
    lines = array("q")
    same: dict[str, str] = {}
    for line, values in rows:
        if len(values) != len(names):
            raise CtlymphError(f"{path}, line {line}: {len(values)} values for {len(names)} columns; correct the line")
        lines.append(line)
        for name, words in texts.items():
            word = values[places[name]].strip()
            if not word and name not in columns.optional:
                raise CtlymphError(f"{path}, line {line}: {name} is empty; fill it in")
            words.append(same.setdefault(word, word))  # one string for millions of rows of one case
        for name, column in numbers.items():
            text = values[places[name]]
            is_empty = name in columns.optional and not text.strip()
            column.append(nan if is_empty else _number(path, line, name, text))
    arrays = {name: np.array(column, dtype=np.float64) for name, column in numbers.items()}
    return CsvTable(path, texts, arrays, np.array(lines, dtype=np.int64))


def _lines(path: Path, remedy: str = "give a table as CSV, in UTF-8") -> Iterator[tuple[int, list[str]]]:
    """Yield every line that is not empty, with its number; the first one holds the names of the columns."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            names = next(reader, [])
            yield reader.line_num, [name.strip() for name in names]
            for values in reader:
                if values:
                    yield reader.line_num, values
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CtlymphError(f"cannot read {path}: {shown(error)}; {remedy}") from error


def _number(path: Path, line: int, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = nan
    if not isfinite(value):
        fault = f"is {shown(text)!r}, not a finite number" if text.strip() else "is empty"
        raise CtlymphError(f"{path}, line {line}: {name} {fault}; correct the line")
    return value
