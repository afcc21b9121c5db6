"""``ctlymph collection``: datasets of one's own, and the public collection and what a folder has of it."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctlymph.cli.collection_download import download
from ctlymph.cli.collection_export import export
from ctlymph.cli.collection_folds import folds
from ctlymph.cli.collection_init import init
from ctlymph.cli.console import progress, say, show_json, show_table
from ctlymph.cli.options import CasesOption, JsonOption, RegionOption, WhatOption, data_types_of, names_of
from ctlymph.core.errors import CtlymphError, shown

if TYPE_CHECKING:
    from ctlymph.datasets.ct_lymph_nodes.catalogue import CatalogueEntry
    from ctlymph.datasets.ct_lymph_nodes.database import Range
    from ctlymph.datasets.ct_lymph_nodes.verify import Finding

app = typer.Typer(
    help="Datasets: your own (init, folds, export), and the public collection CT Lymph Nodes.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@app.command()
def stats(as_json: JsonOption = False) -> None:
    """Print what the whole collection holds, in numbers.

    [bold]Example[/bold]

      ctlymph collection stats
    """
    from ctlymph.datasets.ct_lymph_nodes.catalogue import FLAGS, TITLE, VERSIONS
    from ctlymph.datasets.ct_lymph_nodes.database import statistics

    found = statistics()
    if as_json:
        versions = [{"version": number, "month": month, "came": came} for number, month, came in VERSIONS]
        show_json({**asdict(found), "versions": versions})
        return
    rows = [
        ("participants", f"{found.participants}", f"{found.male} male, {found.female} female"),
        ("studies", f"{found.studies}", ""),
        ("series", f"{found.series}", "a CT and a segmentation of each participant"),
        ("images", f"{found.images:,}", f"{found.bytes / 1e9:.1f} GB"),
    ]
    for region in found.cases:
        candidates = f"{found.positives[region]:,} candidates on them, {found.negatives[region]:,} elsewhere"
        rows.append((region, f"{found.cases[region]}", f"cases, {found.nodes[region]} annotated nodes, {candidates}"))
    rows += [(f"version {number}", month, came) for number, month, came in VERSIONS]
    rows += [(flag, f"{found.flags[flag]}", f"cases: {meaning}") for flag, meaning in FLAGS.items()]
    show_table(TITLE, ("what", "number", "details"), rows)


@app.command("list")
def list_cases(
    region: RegionOption = None,
    cases: CasesOption = None,
    sex: Annotated[str | None, typer.Option(metavar="M|F", help="Sex of the patient.")] = None,
    age: Annotated[str | None, typer.Option(metavar="RANGE", help="Years, such as 40-60, 40- or -60.")] = None,
    slices: Annotated[str | None, typer.Option(metavar="RANGE", help="Number of CT slices.")] = None,
    nodes: Annotated[str | None, typer.Option(metavar="RANGE", help="Number of annotated nodes.")] = None,
    short_axis: Annotated[
        str | None, typer.Option(metavar="RANGE", help="At least one node with a short axis of so many mm.")
    ] = None,
    flag: Annotated[list[str] | None, typer.Option(metavar="FLAG", help="Only with this defect.")] = None,
    without: Annotated[list[str] | None, typer.Option(metavar="FLAG", help="Only without this defect.")] = None,
    sql: Annotated[
        str | None, typer.Option(metavar="QUERY", help="Any query in SQL, instead; nothing can be changed.")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List cases of the collection, without downloading anything.

    Ranges hold both of their ends. The flags are those of [bold]ctlymph collection stats[/bold]. For --sql there
    are the tables cases, nodes, flags, series and versions.

    [bold]Examples[/bold]

      ctlymph collection list --region abdomen --short-axis 30- --without shared_scan

      ctlymph collection list --sql 'SELECT sex, avg(short_axis_mm) FROM nodes JOIN cases USING ("case") GROUP BY sex'
    """
    from ctlymph.datasets.ct_lymph_nodes import database
    from ctlymph.datasets.ct_lymph_nodes.catalogue import catalogue
    from ctlymph.datasets.ct_lymph_nodes.database import Selection, select

    if as_csv and as_json:
        raise typer.BadParameter("choose one of --csv and --json")
    show = _show_json if as_json else _show_csv if as_csv else _show_text
    selection = Selection(
        region=region,
        cases=names_of(cases),
        sex=sex,
        age_years=_range("--age", age),
        slices=_range("--slices", slices),
        nodes=_range("--nodes", nodes),
        short_axis_mm=_range("--short-axis", short_axis),
        flags=flag or (),
        without_flags=without or (),
    )
    if sql is not None:
        if selection != Selection():
            raise typer.BadParameter(
                "it asks the whole collection; write the other conditions into the query", param_hint="--sql"
            )
        result = database.sql(sql)
        show("SQL", result.columns, result.rows)
    else:
        entries = select(selection)
        rows = [_row(entry) for entry in entries]
        columns = tuple(_row(catalogue().entries[0]))  # also where nothing was found
        show(f"{len(rows)} cases", columns, [tuple(row.values()) for row in rows])


def verify(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the collection lies.")],
    region: RegionOption = None,
    cases: CasesOption = None,
    what: WhatOption = None,
    here: Annotated[bool, typer.Option("--here", help="Only what is here: leave out what is missing.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Compare number and size of files, not what is in them.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a folder against the collection: what is there, missing, short or altered.

    Exits with 1 if anything is missing, short or altered.

    [bold]Examples[/bold]

      ctlymph collection verify DATA

      ctlymph collection verify DATA --region abdomen --what ct,annotations
    """
    from ctlymph.datasets.case import Collection
    from ctlymph.datasets.ct_lymph_nodes.database import Selection, select
    from ctlymph.datasets.ct_lymph_nodes.verify import MISSING, WHOLE
    from ctlymph.datasets.ct_lymph_nodes.verify import verify as check

    data_types = data_types_of(what)
    collection = Collection(folder)
    expected = select(Selection(region=region, cases=names_of(cases)))
    findings = check(collection, expected, data_types, quick=quick, progress=progress())
    if here:
        findings = [finding for finding in findings if finding.state != MISSING or finding.remark]
        if not findings:
            raise CtlymphError(f"{folder} holds nothing of what was asked for; leave --here out to see what is missing")
    for note in collection.notes:
        say(shown(note, 300))
    if as_json:
        show_json([asdict(finding) for finding in findings])
    else:
        _show_findings(folder, findings)
    faults = [finding for finding in findings if finding.state != WHOLE]
    if faults:
        first = faults[0]
        raise CtlymphError(
            f"{len(faults)} of {len(findings)} are not whole, the first {first.data_type} of {first.case} "
            f"({first.state}); "
            "fetch them with ctlymph collection download --recheck"
        )


def cite(
    bibtex: Annotated[bool, typer.Option("--bibtex", help="Print BibTeX instead of text.")] = False,
) -> None:
    """Print what to cite when the collection is used.

    [bold]Example[/bold]

      ctlymph collection cite --bibtex >> references.bib
    """
    from ctlymph.datasets.ct_lymph_nodes import cite as citations

    print(citations.as_bibtex() if bibtex else citations.as_text(), end="")


def _range(option: str, text: str | None) -> Range:
    """Read ``40-60``, ``40-``, ``-60`` or ``40``."""
    if text is None:
        return None, None
    low_text, separator, high_text = text.replace("–", "-").partition("-")
    try:
        low, high = (float(end) if end.strip() else None for end in (low_text, high_text if separator else low_text))
    except ValueError:
        low = high = None
    known = [end for end in (low, high) if end is not None]
    if not known or not all(map(isfinite, known)) or known != sorted(known):
        raise typer.BadParameter(f"{text!r} is no range; write it as 40-60, 40- or -60", param_hint=option)
    return low, high


def _row(entry: CatalogueEntry) -> dict[str, Any]:
    known = [length for length in entry.short_axes_mm if length is not None]
    return {
        "case": entry.case,
        "region": entry.region,
        "sex": entry.sex,
        "age": entry.age_years,
        "slices": entry.slices,
        "nodes": len(entry.short_axes_mm),
        "largest_mm": max(known, default=None),
        "positives": entry.positives,
        "negatives": entry.negatives,
        "same_scan_as": entry.same_scan_as,
        "flags": " ".join(sorted(entry.flags)),
    }


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold: SQL also knows bytes and infinity."""
    is_odd = isinstance(value, bytes) or (isinstance(value, float) and not isfinite(value))
    return str(value) if is_odd else value


def _show_text(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    show_table(title, columns, [["" if value is None else str(value) for value in row] for row in rows])


def _show_json(_title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    show_json([dict(zip(columns, map(_plain, row), strict=True)) for row in rows])


def _show_csv(_title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


def _show_findings(folder: Path, findings: Sequence[Finding]) -> None:
    """Print a table of states by data_type, and a line for each that is not whole; alike ones once."""
    from ctlymph.datasets.ct_lymph_nodes.verify import MISSING, STATES, WHOLE

    data_types = list(dict.fromkeys(finding.data_type for finding in findings))
    counted = [(finding.data_type, finding.state) for finding in findings]
    rows = [(data_type, *(str(counted.count((data_type, state))) for state in STATES)) for data_type in data_types]
    show_table(f"{folder}, cases by the state of their data", ("data", *STATES), rows)
    for finding in findings:
        if finding.state not in (WHOLE, MISSING):
            say(f"{finding.case}: {finding.data_type} {finding.state}: {shown(finding.remark, 300)}")
    for data_type in data_types:
        absent = [finding.case for finding in findings if (finding.data_type, finding.state) == (data_type, MISSING)]
        if absent:
            more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
            say(f"{data_type} missing: {', '.join(absent[:5])}{more}")
    remarks = [finding.remark for finding in findings if finding.state == WHOLE and finding.remark]
    for remark in dict.fromkeys(remarks):
        say(f"{remarks.count(remark)} whole, but {remark}")


# In the order in which they are used.
app.command()(init)
app.command()(download)
app.command()(verify)
app.command()(folds)
app.command()(export)
app.command()(cite)
