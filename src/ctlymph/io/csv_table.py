"""Columns of a CSV file as arrays, however many rows it has, with the line named where one is wrong."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError, shown

BOX = tuple(f"{axis}_{end}_mm" for end in ("min", "max") for axis in "xyz")
"""Columns of a box: its low corner, then its high one; LPS mm."""


@dataclass(frozen=True)
class Columns:
    """Which columns to take.

    Attributes:
        texts: Columns that are text.
        numbers: Columns of finite numbers.
        perhaps: Columns of ``texts`` or ``numbers`` that may be absent, or empty in a row.
    """

    texts: Sequence[str]
    numbers: Sequence[str]
    perhaps: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Table:
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

    def points_mm(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Stack three columns to points, shape n, 3."""
        return np.stack([self.numbers[name] for name in names], axis=1)

    def boxes_mm(self) -> NDArray[np.float64] | None:
        """Stack the columns of :data:`BOX` to shape n, 2, 3; None where they are absent, or empty in every row.

        Raises:
            CtlymphError: If some of the columns are absent, a row has none or half a box, or its low corner is above.
        """
        there = [name for name in BOX if name in self.numbers]
        if all(np.isnan(self.numbers[name]).all() for name in there):
            return None
        if len(there) < len(BOX):
            absent = ", ".join(name for name in BOX if name not in there)
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
        """Raise a :class:`CtlymphError` that names the first line that is wrong, if any is."""
        if wrong.any():
            raise CtlymphError(f"{self.path}, line {self.lines[wrong.argmax()]}: {message}")


def header(path: Path) -> list[str]:
    """Give the names of a CSV file's columns.

    Raises:
        CtlymphError: If it cannot be read as text.
    """
    return next(_rows(path), (1, []))[1]


def read_table(path: Path, columns: Columns) -> Table:
    """Read columns of a CSV file, in any order; others are left out.

    Raises:
        CtlymphError: If it cannot be read as text, a column is missing or there twice, or a value is not what its
            column wants; the line is named.
    """
    rows = _rows(path)
    _, names = next(rows, (1, []))
    wanted = (*columns.texts, *columns.numbers)
    if missing := [name for name in wanted if name not in names and name not in columns.perhaps]:
        raise CtlymphError(
            f"{path} has no column {', '.join(missing)}; add it (its columns are {shown(', '.join(names))})"
        )
    if twice := [name for name in wanted if names.count(name) > 1]:
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
            if not word and name not in columns.perhaps:
                raise CtlymphError(f"{path}, line {line}: {name} is empty; fill it in")
            words.append(same.setdefault(word, word))  # one string for millions of rows of one case
        for name, column in numbers.items():
            column.append(_number(path, line, name, values[places[name]], name in columns.perhaps))
    arrays = {name: np.array(column, dtype=np.float64) for name, column in numbers.items()}
    return Table(path, texts, arrays, np.array(lines, dtype=np.int64))


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Give every line that is not empty, with its number; of the first, the names of the columns."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            names = next(reader, [])
            yield reader.line_num, [name.strip() for name in names]
            for values in reader:
                if values:
                    yield reader.line_num, values
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CtlymphError(f"cannot read {path}: {shown(error)}; give a table as CSV, in UTF-8") from error


def _number(path: Path, line: int, name: str, text: str, may_be_empty: bool) -> float:
    if may_be_empty and not text.strip():
        return nan
    try:
        value = float(text)
    except ValueError:
        value = nan
    if not isfinite(value):
        fault = f"is {shown(text)!r}, not a finite number" if text.strip() else "is empty"
        raise CtlymphError(f"{path}, line {line}: {name} {fault}; correct the line")
    return value
