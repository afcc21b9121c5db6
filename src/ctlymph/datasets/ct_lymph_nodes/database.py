"""The catalogue as a small database in memory: selections, free queries in SQL, and statistics of the collection."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from ctlymph.core.errors import CtlymphError, UsageError, shown
from ctlymph.core.regions import REGIONS
from ctlymph.datasets.ct_lymph_nodes.catalogue import FLAGS, VERSIONS, Catalogue, CatalogueEntry, catalogue

_SCHEMA = """
CREATE TABLE cases (
    "case" TEXT PRIMARY KEY, region TEXT, sex TEXT, age_years INTEGER, slices INTEGER, pixel_mm REAL, slice_mm REAL,
    nodes INTEGER, positives INTEGER, negatives INTEGER, same_scan_as TEXT, flags TEXT
);
CREATE TABLE nodes ("case" TEXT, row INTEGER, short_axis_mm REAL, long_axis_mm REAL);
CREATE TABLE flags ("case" TEXT, flag TEXT, meaning TEXT);
CREATE TABLE series (
    "case" TEXT, modality TEXT, series_uid TEXT PRIMARY KEY, study_uid TEXT, files INTEGER, bytes INTEGER,
    crdc_series_uuid TEXT, collection_version INTEGER
);
CREATE TABLE versions (version INTEGER PRIMARY KEY, month TEXT, came TEXT);
"""
TABLES = tuple(line.split()[2] for line in _SCHEMA.splitlines() if line.startswith("CREATE TABLE"))
"""Names of the tables for SQL. ``case`` is a word of SQL: write it ``"case"``."""

_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_STEPS_BETWEEN_SIGNALS = 100_000

Range = tuple[float | None, float | None]
"""Lowest and highest value, both included; None leaves an end open."""

OPEN: Range = (None, None)


@dataclass(frozen=True)
class Selection:
    """Which cases to select; what is left at its default does not restrict.

    Attributes:
        region: ``mediastinum`` or ``abdomen``.
        cases: Names.
        sex: ``M`` or ``F``.
        age_years: Range of ages; restricted, it leaves out cases of unknown age.
        slices: Range of the number of slices.
        nodes: Range of the number of annotated nodes.
        short_axis_mm: At least one node has a short axis in this range, mm.
        flags: All of these flags.
        without_flags: None of these flags.
    """

    region: str | None = None
    cases: Sequence[str] = ()
    sex: str | None = None
    age_years: Range = OPEN
    slices: Range = OPEN
    nodes: Range = OPEN
    short_axis_mm: Range = OPEN
    flags: Sequence[str] = ()
    without_flags: Sequence[str] = ()


@dataclass(frozen=True)
class SqlResult:
    """The result of a query in SQL: the names of its columns, numbered where one comes twice, and its rows."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Statistics:
    """The collection in numbers, as its page gives them."""

    participants: int
    studies: int
    series: int
    images: int
    bytes: int
    male: int
    female: int
    cases: dict[str, int]
    nodes: dict[str, int]
    positives: dict[str, int]
    negatives: dict[str, int]
    flags: dict[str, int]


def select(selection: Selection, of: Catalogue | None = None) -> list[CatalogueEntry]:
    """Return the cases that meet a selection, in the order of the catalogue.

    >>> [entry.case for entry in select(Selection(region="abdomen", short_axis_mm=(40, None)))]
    ['ABD_LYMPH_028', 'ABD_LYMPH_040', 'ABD_LYMPH_084']

    Args:
        selection: Which cases.
        of: The catalogue; default that of the package.

    Raises:
        CtlymphError: If it names a case, region, sex or flag that does not exist.
    """
    of = of or catalogue()
    _check(selection, of)
    clauses, values = _where(selection)
    query = f'SELECT "case" FROM cases WHERE {" AND ".join(clauses) or "TRUE"}'
    chosen = {row[0] for row in _database(of).execute(query, values)}
    return [entry for entry in of.entries if entry.case in chosen]


def sql(query: str, of: Catalogue | None = None) -> SqlResult:
    """Run a query in SQL (SQLite's dialect) over the tables :data:`TABLES`; nothing can be changed or opened.

    >>> sql("SELECT region, count(*) AS nodes FROM nodes JOIN cases USING ('case') GROUP BY region").rows
    (('abdomen', 595), ('mediastinum', 388))

    Raises:
        CtlymphError: If it is not one query that reads the catalogue.
    """
    database = _database(of or catalogue())
    database.set_authorizer(_only_reading)
    database.set_progress_handler(lambda: 0, _STEPS_BETWEEN_SIGNALS)  # back in Python now and then: Ctrl-C works
    try:
        cursor = database.execute(query)
        rows = tuple(cursor.fetchall())
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
        tables = ", ".join(TABLES)
        raise CtlymphError(f"SQL: {shown(error)}; use SELECT on the tables {tables}") from error
    columns: list[str] = []
    for name, *_ in cursor.description or ():
        again = columns.count(name) + sum(each.startswith(f"{name}_") for each in columns)
        columns.append(f"{name}_{again + 1}" if name in columns else name)
    if not columns:
        raise UsageError(f"SQL: this query returns nothing; use SELECT on the tables {', '.join(TABLES)}")
    return SqlResult(tuple(columns), rows)


def statistics(of: Catalogue | None = None) -> Statistics:
    """Count what the collection holds.

    >>> statistics().cases
    {'mediastinum': 90, 'abdomen': 86}
    """
    of = of or catalogue()
    entries, series = of.entries, of.series()
    regions = {region: [entry for entry in entries if entry.region == region] for region in REGIONS}
    return Statistics(
        participants=len(entries),
        studies=len({each.study_uid for each in series}),
        series=len(series),
        images=sum(each.files for each in series),
        bytes=sum(each.bytes for each in series),
        male=sum(entry.sex == "M" for entry in entries),
        female=sum(entry.sex == "F" for entry in entries),
        cases={region: len(those) for region, those in regions.items()},
        nodes={region: sum(len(entry.short_axes_mm) for entry in those) for region, those in regions.items()},
        positives={region: sum(entry.positives for entry in those) for region, those in regions.items()},
        negatives={region: sum(entry.negatives for entry in those) for region, those in regions.items()},
        flags={flag: sum(flag in entry.flags for entry in entries) for flag in FLAGS},
    )


def _check(selection: Selection, of: Catalogue) -> None:
    for case in selection.cases:
        if of.entry(case) is None:
            raise UsageError(f"the collection has no case {shown(case)}; names look like {of.entries[0].case}")
    choices = ((selection.region, REGIONS, "region"), (selection.sex, ("M", "F"), "sex"))
    flags = ((flag, tuple(FLAGS), "flag") for flag in (*selection.flags, *selection.without_flags))
    for value, known, what in (*choices, *flags):
        if value is not None and value not in known:
            raise UsageError(f"there is no {what} {shown(value)}; choose of {', '.join(known)}")


def _where(selection: Selection) -> tuple[list[str], list[Any]]:
    """Return the conditions of a selection, and the values of their question marks."""
    clauses: list[str] = []
    values: list[Any] = []

    def demand(clause: str, *of: Any) -> None:
        clauses.append(clause)
        values.extend(of)

    if selection.cases:
        demand(f'"case" IN ({", ".join("?" * len(selection.cases))})', *selection.cases)
    for name in ("region", "sex"):
        if (value := getattr(selection, name)) is not None:
            demand(f"{name} = ?", value)
    for name in ("age_years", "slices", "nodes"):
        for end, sign in zip(getattr(selection, name), (">=", "<="), strict=True):
            if end is not None:
                demand(f"{name} {sign} ?", end)
    low, high = selection.short_axis_mm
    if (low, high) != OPEN:
        limits = (0 if low is None else low, 1e9 if high is None else high)
        demand('"case" IN (SELECT "case" FROM nodes WHERE short_axis_mm BETWEEN ? AND ?)', *limits)
    for flag in selection.flags:
        demand('"case" IN (SELECT "case" FROM flags WHERE flag = ?)', flag)
    for flag in selection.without_flags:
        demand('"case" NOT IN (SELECT "case" FROM flags WHERE flag = ?)', flag)
    return clauses, values


def _database(of: Catalogue) -> sqlite3.Connection:
    database = sqlite3.connect(":memory:")
    database.executescript(_SCHEMA)
    for entry in of.entries:
        row = (entry.case, entry.region, entry.sex, entry.age_years, entry.slices, entry.pixel_mm, entry.slice_mm)
        counts = (len(entry.short_axes_mm), entry.positives, entry.negatives)
        flags = ", ".join(sorted(entry.flags))
        _insert(database, "cases", [(*row, *counts, entry.same_scan_as, flags)])
        axes = zip(entry.short_axes_mm, entry.long_axes_mm, strict=True)
        _insert(
            database, "nodes", [(entry.case, number, short, long) for number, (short, long) in enumerate(axes, start=1)]
        )
        _insert(database, "flags", [(entry.case, flag, FLAGS[flag]) for flag in sorted(entry.flags)])
        _insert(database, "series", [tuple(getattr(each, f.name) for f in fields(each)) for each in entry.series])
    _insert(database, "versions", VERSIONS)
    database.commit()
    return database


def _insert(database: sqlite3.Connection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        database.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)


def _only_reading(action: int, *_details: str | None) -> int:
    return sqlite3.SQLITE_OK if action in _READING else sqlite3.SQLITE_DENY
