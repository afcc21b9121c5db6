"""Series from TCIA's own service, NBIA, by version 4 of its interface.

It sends a series as one zip archive. A fault in the middle can still close a valid, short archive, so that
only counts, sizes and checksums tell whether it is whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.datasets.ct_lymph_nodes.catalogue import Series
from ctlymph.datasets.ct_lymph_nodes.download import web
from ctlymph.datasets.ct_lymph_nodes.download.manifest import is_uid
from ctlymph.io import safe_zip
from ctlymph.io.atomic import explained

if TYPE_CHECKING:
    import httpx

SERVER = "https://nbia.cancerimagingarchive.net/nbia-api/services/v4"

_CHECKSUMS = "md5hashes.csv"
_SLACK_BYTES = 2_000_000
"""What an archive may have beside the slices: licence, checksums, names."""
_PACKED_RATIO = 1.2
"""How much larger than its slices an archive may be; in truth it is smaller."""


@dataclass(frozen=True)
class NbiaSource:
    """TCIA's NBIA as a :class:`~ctlymph.datasets.ct_lymph_nodes.download.source.SeriesSource`.

    A series is fetched whole or not at all: what an interrupted try has left is thrown away.

    Attributes:
        base_url: Where the service is.
        patience: How often and how long it is asked.
        name: What people call it.
        at_once: How many series are fetched at the same time: few, out of politeness.
    """

    base_url: str = SERVER
    patience: web.Patience = field(default_factory=web.Patience)
    name: str = "NBIA"
    at_once: int = 2

    def fetch(self, series: Series, into: Path, advance: Callable[[int], None]) -> dict[str, str]:
        """See :meth:`~ctlymph.datasets.ct_lymph_nodes.download.source.SeriesSource.fetch`."""
        return self.patience.persist(
            f"{self.name}, {series.modality} series {series.series_uid} of {series.case}",
            lambda: self._fetch_once(series, into, advance),
        )

    def describe_series(self, series_uid: str) -> Series:
        """Ask what a series is that the catalogue does not know.

        Returns:
            Its record, with no folder in the Imaging Data Commons and version 0 of the collection.

        Raises:
            CtlymphError: If there is none, or the service cannot be used.
        """
        if not is_uid(series_uid):
            raise CtlymphError(f"'{shown(series_uid)}' is no SeriesInstanceUID; give digits and dots")
        record = self._ask("getSeries", series_uid)
        size = self._ask("getSeriesSize", series_uid)
        try:
            described = Series(
                case=str(record["PatientID"]),
                modality=str(record["Modality"]),
                series_uid=series_uid,
                study_uid=str(record["StudyInstanceUID"]),
                files=int(size["ObjectCount"]),
                bytes=int(float(size["TotalSizeInBytes"])),
                crdc_series_uuid="",
                collection_version=0,
            )
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise CtlymphError(
                f"{self.name} does not describe series {series_uid} in full ({shown(error)}); use another source"
            ) from error
        if described.files < 1 or described.bytes < 1:
            raise CtlymphError(f"{self.name} has no files of series {series_uid}; use another source")
        return described

    def _ask(self, endpoint: str, series_uid: str) -> dict[str, Any]:
        """Return the only row of an answer about a series."""
        what = f"{self.name}, {endpoint} of series {series_uid}"

        def attempt() -> bytes:
            with web.new_client(self.patience) as client, self._get(client, endpoint, series_uid) as response:
                web.check(response)
                return web.content(response)

        answer = self.patience.persist(what, attempt)
        if not answer:
            raise self._unknown(series_uid)
        try:
            rows = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise CtlymphError(f"{what}: the answer is no JSON ({shown(error)}); use another source") from error
        if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], dict):
            raise CtlymphError(f"{what}: the answer is not about one series ({shown(rows)}); use another source")
        return rows[0]

    def _fetch_once(self, series: Series, into: Path, advance: web.Advance) -> dict[str, str]:
        # A folder, since staging is cleared of folders before the next fetch, should this one be killed.
        with _new_folder(into / ".nbia") as folder:
            archive, unpacked = folder / "series.zip", folder / "series"
            limit = int(series.bytes * _PACKED_RATIO) + _SLACK_BYTES
            options = {"NewFileNames": "Yes", "IncludeMD5": "Yes"}
            with (
                web.new_client(self.patience) as client,
                self._get(client, "getImage", series.series_uid, **options) as response,
            ):
                web.check(response)
                web.save(response, archive, limit, advance)
            self._check_is_archive(archive, series.series_uid)
            try:
                md5s = safe_zip.unpack(archive, unpacked, safe_zip.ZipLimits(limit, 2 * series.files + 100))
            except safe_zip.DamagedError as error:
                raise web.PassingError(f"the server sent a damaged archive ({error.fault})") from error
            slices = _slices(md5s)
            self._check_whole(series, unpacked, slices)
            _replace(into, [unpacked / name for name in slices])
        return {Path(name).name: md5 for name, md5 in slices.items()}

    def _get(
        self, client: httpx.Client, endpoint: str, series_uid: str, **options: str
    ) -> AbstractContextManager[httpx.Response]:
        query = {"SeriesInstanceUID": series_uid, **options}
        return client.stream("GET", f"{self.base_url}/{endpoint}", params=query)

    def _check_is_archive(self, path: Path, series_uid: str) -> None:
        with path.open("rb") as stream:
            head = stream.read(200)
        if not head:
            raise self._unknown(series_uid)
        if not head.startswith(b"PK"):
            raise web.PassingError(f"the server sent no archive but '{shown(head.decode('ascii', 'replace'))}'")

    def _check_whole(self, series: Series, folder: Path, slices: dict[str, str]) -> None:
        if len(slices) < series.files:
            raise web.PassingError(f"the server sent {len(slices)} of {series.files} files")
        _check_listed(slices, folder / _CHECKSUMS)
        if len(slices) != series.files:
            raise CtlymphError(
                f"{self.name} has series {series.series_uid} of {series.case} with {len(slices)} files, "
                f"not {series.files}; use another source"
            )

    def _unknown(self, series_uid: str) -> CtlymphError:
        return CtlymphError(f"{self.name} has no series {series_uid}; use another source")


@contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """Return an empty folder that goes with the block."""
    with explained(path):
        if path.exists():
            shutil.rmtree(path)
        path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path)


def _slices(md5s: dict[str, str]) -> dict[str, str]:
    """Return the DICOM files of an archive, which also holds a licence and the checksums."""
    slices = {name: md5 for name, md5 in md5s.items() if name.lower().endswith(".dcm")}
    if len({Path(name).name for name in slices}) != len(slices):
        raise CtlymphError("NBIA sent an archive with files of the same name in several folders; use another source")
    return slices


def _check_listed(slices: dict[str, str], checksums: Path) -> None:
    """Check the slices against the list that ends the archive: lines ``Filename,MD5Hash``."""
    if not checksums.is_file():
        raise web.PassingError(f"the archive that the server sent has no {_CHECKSUMS}, so it is not whole")
    stated: dict[str, set[str]] = {}
    for line in checksums.read_text("utf-8-sig", "replace").splitlines():
        name, _, md5 = line.rpartition(",")
        stated.setdefault(name, set()).add(md5.lower())
    for name, md5 in slices.items():
        if stated.get(name) != {md5}:
            fault = "has another MD5 than in" if name in stated else "is not in"
            raise web.PassingError(f"{shown(name)} {fault} {_CHECKSUMS} of the archive that the server sent")


def _replace(folder: Path, paths: list[Path]) -> None:
    """Move files into a folder, in place of the files there: only now do those of an earlier try go."""
    with explained(folder):
        for path in folder.iterdir():
            if path.is_file():
                path.unlink()
        for path in paths:
            path.rename(folder / path.name)
