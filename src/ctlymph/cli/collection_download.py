"""``ctlymph collection download``: the public collection, or part of it, into a folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctlymph.cli.console import progress, say, show_table
from ctlymph.cli.options import CasesOption, RegionOption, WhatOption, data_types_of, names_of
from ctlymph.cli.remedies import in_options
from ctlymph.core.errors import CtlymphError

if TYPE_CHECKING:
    from ctlymph.datasets.ct_lymph_nodes.catalogue import Series
    from ctlymph.datasets.ct_lymph_nodes.download.nbia import NbiaSource
    from ctlymph.datasets.ct_lymph_nodes.download.run import DownloadPlan
    from ctlymph.datasets.ct_lymph_nodes.download.source import SeriesSource

_SHOWN_FAILURES = 5


@dataclass(frozen=True)
class _Order:
    """What a command asks for: DICOM series, who serves them, and names of archives beside them."""

    series: tuple[Series, ...]
    source: SeriesSource
    archives: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Servers:
    """Addresses to use instead of the usual ones."""

    s3: str | None
    nbia: str | None


def download(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the collection goes; made if absent.")],
    source: Annotated[
        str, typer.Option(metavar="idc|nbia|FILE.tcia", help="Who serves the images, or a manifest that lists them.")
    ] = "idc",
    cases: CasesOption = None,
    region: RegionOption = None,
    what: WhatOption = None,
    accept_license: Annotated[
        bool, typer.Option("--accept-license", help="Accept the collection's terms without being asked.")
    ] = False,
    recheck: Annotated[
        bool, typer.Option("--recheck", help="Compare what is there with its checksums; fetch what was altered.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be fetched.")] = False,
    s3_endpoint: Annotated[str | None, typer.Option(metavar="URL", help="A mirror of the S3 service.")] = None,
    nbia_url: Annotated[str | None, typer.Option(metavar="URL", help="Another NBIA service.")] = None,
    zip_url: Annotated[str | None, typer.Option(metavar="URL", help="Another folder of the three archives.")] = None,
) -> None:
    """Download the public collection, or part of it, and check every file.

    What is there already, whole, is left alone: the same command goes on where it was stopped. The annotations,
    candidates and masks are one archive each, of all cases. The folder reads with
    [bold]ctlymph.Collection[/bold].

    [bold]Examples[/bold]

      ctlymph collection download DATA --cases MED_LYMPH_001,ABD_LYMPH_001

      ctlymph collection download DATA --region abdomen --what ct,annotations --source nbia --accept-license
    """
    from ctlymph.datasets.ct_lymph_nodes.download.run import DownloadRequest, plan

    names = names_of(cases)
    servers = _Servers(s3_endpoint, nbia_url)
    if source in ("idc", "nbia"):
        order = _of_collection(source, servers, names, region, what)
    elif names or region or what:
        raise typer.BadParameter(
            f"{source} names its series itself; leave out --cases, --region and --what", param_hint="--source"
        )
    else:
        order = _of_manifest(Path(source), servers)
    if recheck:
        _recheck(folder, order)
    todo = plan(DownloadRequest(folder, order.series))
    if dry_run:
        _show_plan(folder, todo, order.archives)
        return
    _agree_to_terms(folder, accept_license)
    failed = _fetch_archives(folder, order.archives, zip_url) + _fetch_series(folder, order, todo)
    if failed:
        for reason in failed[:_SHOWN_FAILURES]:
            say(reason)
        more = f", of which {_SHOWN_FAILURES} are named above" if len(failed) > _SHOWN_FAILURES else ""
        raise CtlymphError(
            f"{len(failed)} of {len(order.series) + len(order.archives)} series and archives could not be had{more}; "
            "the same command goes on where it stopped"
        )


def _of_collection(
    source: str, servers: _Servers, cases: Sequence[str], region: str | None, what: str | None
) -> _Order:
    from ctlymph.datasets.ct_lymph_nodes.database import Selection, select
    from ctlymph.datasets.ct_lymph_nodes.download.supplements import SUPPLEMENTS

    data_types = data_types_of(what)
    entries = select(Selection(region=region, cases=cases))
    series = tuple(each for entry in entries for each in entry.series if each.modality.lower() in data_types)
    return _Order(series, _source(source, servers), tuple(each for each in data_types if each in SUPPLEMENTS))


def _of_manifest(path: Path, servers: _Servers) -> _Order:
    """Read a manifest; series that are not of this collection are asked for at NBIA."""
    from ctlymph.datasets.ct_lymph_nodes.catalogue import catalogue
    from ctlymph.datasets.ct_lymph_nodes.download.manifest import read_manifest

    if path.suffix.lower() != ".tcia":
        raise typer.BadParameter(f"{path} is neither idc, nbia nor a .tcia file", param_hint="--source")
    manifest = read_manifest(path)
    if manifest.stray_lines:
        say(f"{path}: {manifest.stray_lines} lines of the list are no UIDs and were left out")
    nbia = _nbia(servers)
    known = catalogue().series_of_uid
    return _Order(tuple(known(uid) or nbia.describe_series(uid) for uid in manifest.series_uids), nbia)


def _source(name: str, servers: _Servers) -> SeriesSource:
    from ctlymph.datasets.ct_lymph_nodes.download.idc import IdcSource

    return IdcSource(servers.s3) if name == "idc" else _nbia(servers)


def _nbia(servers: _Servers) -> NbiaSource:
    from ctlymph.datasets.ct_lymph_nodes.download.nbia import NbiaSource

    return NbiaSource(servers.nbia) if servers.nbia else NbiaSource()


def _show_plan(folder: Path, todo: DownloadPlan, archives: Sequence[str]) -> None:
    from ctlymph.datasets.ct_lymph_nodes.download.store import Store
    from ctlymph.datasets.ct_lymph_nodes.download.supplements import SUPPLEMENTS, is_there

    rows = []
    for modality in dict.fromkeys(series.modality for series in (*todo.present, *todo.missing)):
        missing = [series for series in todo.missing if series.modality == modality]
        files, size = sum(series.files for series in missing), sum(series.bytes for series in missing)
        present = sum(series.modality == modality for series in todo.present)
        rows.append((modality, str(present), str(len(missing)), str(files), f"{size / 1e9:.3f}"))
    for name in archives:
        there = is_there(Store(folder), SUPPLEMENTS[name])
        rows.append((name, str(int(there)), str(int(not there)), "", ""))
    show_table(f"To fetch into {folder}", ("what", "there", "to fetch", "files", "GB"), rows)


def _recheck(folder: Path, order: _Order) -> None:
    """Have what was altered since it was downloaded count as missing."""
    from ctlymph.datasets.ct_lymph_nodes.download.store import Store
    from ctlymph.datasets.ct_lymph_nodes.download.supplements import SUPPLEMENTS

    store = Store(folder)
    items: list[Series | str] = [*order.series, *(SUPPLEMENTS[name].name for name in order.archives)]
    with progress().task("comparing checksums", len(items)) as advance:
        for item in items:
            if store.forget_harmed(item):
                name = item if isinstance(item, str) else f"{item.case} {item.modality}"
                say(f"{name} is not as it was downloaded, and is fetched again")
            advance(1)


def _agree_to_terms(folder: Path, accept: bool) -> None:
    """Show the terms before the first download into a folder, and go on only if they are accepted."""
    from ctlymph.datasets.ct_lymph_nodes import cite
    from ctlymph.datasets.ct_lymph_nodes.download import terms

    if terms.accepted(folder):
        return
    say(cite.license_text())
    if not accept:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise CtlymphError(
                "the collection's terms, above, must be accepted first; read them, and add --accept-license"
            )
        if not typer.confirm("Do you accept these terms?", err=True):
            raise CtlymphError("the terms were not accepted; nothing was fetched")
    terms.accept(folder)


def _fetch_archives(folder: Path, names: Sequence[str], base_url: str | None) -> list[str]:
    """Fetch the archives; return why any failed."""
    from ctlymph.datasets.ct_lymph_nodes.download.store import Store
    from ctlymph.datasets.ct_lymph_nodes.download.supplements import SUPPLEMENTS, SupplementSource

    source = SupplementSource(base_url.rstrip("/")) if base_url else SupplementSource()
    failed = []
    for name in names:
        try:
            if not source.fetch(Store(folder), SUPPLEMENTS[name], progress()):
                say(f"{name}: there already")
        except CtlymphError as error:
            failed.append(in_options(error))
    return failed


def _fetch_series(folder: Path, order: _Order, todo: DownloadPlan) -> list[str]:
    """Fetch the series; return why any failed."""
    from ctlymph.datasets.ct_lymph_nodes.download.run import DownloadRequest
    from ctlymph.datasets.ct_lymph_nodes.download.run import download as fetch

    if todo.present:
        size = sum(series.bytes for series in todo.present)
        say(f"{len(todo.present)} of {len(order.series)} series are there already ({size / 1e9:.1f} GB)")
    outcome = fetch(DownloadRequest(folder, order.series), order.source, progress())
    if order.series:
        say(f"{folder}: {len(outcome.fetched)} series fetched and checked")
    return [failure.reason for failure in outcome.failed]
