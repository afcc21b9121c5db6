"""CSV files: what is written comes back, and what cannot be read is named by its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.io.csv_table import CsvColumns, read_rows, read_table, write_csv


def test_values_with_commas_quotes_and_line_breaks_come_back(tmp_path: Path) -> None:
    texts = ['O"Neil, 4', "höhe\nzwei", "", " spaced "]
    write_csv(tmp_path / "a.csv", ("case", "n"), [(text, n) for n, text in enumerate(texts)])
    rows = read_rows(tmp_path / "a.csv", ("n", "case"))
    assert [row["case"] for row in rows] == texts
    assert [row.integer("n") for row in rows] == [0, 1, 2, 3]
    assert rows[-1].line == 6  # the header, and a value of two lines


def test_none_is_written_as_an_empty_value_and_read_back_as_none(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ("case", "score"), [("A", None), ("B", 0.5)])
    assert (tmp_path / "a.csv").read_bytes() == b"case,score\nA,\nB,0.5\n"
    assert [row.optional_number("score") for row in read_rows(tmp_path / "a.csv", ("score",))] == [None, 0.5]


def test_a_row_that_is_too_short_has_empty_values(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("case,score\n\nA\n")
    (row,) = read_rows(tmp_path / "a.csv", ("case", "score"))
    assert (row["case"], row["score"], row.line) == ("A", "", 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"a\.csv, line 2: n is empty; correct the line"),
        ("many", r"a\.csv, line 2: n is 'many', not a finite number; correct the line"),
        ("nan", "line 2: n is 'nan', not a finite number"),
    ],
)
def test_a_value_that_is_no_number_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    write_csv(tmp_path / "a.csv", ("case", "n"), [("A", text)])
    (row,) = read_rows(tmp_path / "a.csv", ("n",))
    with pytest.raises(CtlymphError, match=message):
        row.number("n")


def test_a_fraction_is_no_whole_number(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ("n",), [("1.5",)])
    with pytest.raises(CtlymphError, match=r"line 2: n is '1\.5', not a whole number"):
        read_rows(tmp_path / "a.csv", ("n",))[0].integer("n")


def test_missing_columns_are_named_with_the_remedy_of_the_caller(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ("case",), [])
    with pytest.raises(CtlymphError, match=r"a\.csv has no column x, y; give points"):
        read_rows(tmp_path / "a.csv", ("case", "x", "y"), "give points")
    with pytest.raises(CtlymphError, match=r"cannot read .*b\.csv: .*; give points"):
        read_rows(tmp_path / "b.csv", ("case",), "give points")


def test_the_repr_of_a_table_is_one_line_without_its_values(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ("case", "x"), [("SMITH", 1.25)] * 1000)
    table = read_table(tmp_path / "a.csv", CsvColumns(["case"], ["x"]))
    assert repr(table) == "CsvTable('a.csv', 1000 rows, columns case, x)"
