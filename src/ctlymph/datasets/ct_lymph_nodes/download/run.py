"""Download series: several at once, each checked; failures are reported at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread

from ctlymph.core.errors import CtlymphError
from ctlymph.core.progress import SILENT, Progress
from ctlymph.datasets.ct_lymph_nodes.catalogue import Series
from ctlymph.datasets.ct_lymph_nodes.download import terms
from ctlymph.datasets.ct_lymph_nodes.download.source import SeriesSource
from ctlymph.datasets.ct_lymph_nodes.download.store import Store, check_series

_TRIES = 2
"""How often a series is fetched whose files came, but are not what they must be."""

_HEARTBEAT_S = 0.5

_STOP_PATIENCE_S = 3.0
"""How long a download that is stopped waits for its threads. They are no danger: all they touch is staging."""


@dataclass(frozen=True)
class DownloadRequest:
    """Which series to download, and where to.

    Attributes:
        folder: The folder to download into.
        series: The series, in the order in which they are fetched.
    """

    folder: Path
    series: tuple[Series, ...]


@dataclass(frozen=True)
class DownloadPlan:
    """Which series of a request are there, and which are to be fetched.

    Attributes:
        present: Series that are complete.
        missing: The others.
    """

    present: tuple[Series, ...]
    missing: tuple[Series, ...]

    @property
    def bytes(self) -> int:
        """Size of the missing series."""
        return sum(series.bytes for series in self.missing)


@dataclass(frozen=True)
class FailedSeries:
    """A series that could not be fetched, and why."""

    series: Series
    reason: str


@dataclass(frozen=True)
class DownloadResult:
    """Which series of a request were fetched.

    Attributes:
        present: Series that were complete before.
        fetched: Series that were fetched, checked and put in their place.
        failed: The others.
    """

    present: tuple[Series, ...]
    fetched: tuple[Series, ...]
    failed: tuple[FailedSeries, ...]


def plan(request: DownloadRequest) -> DownloadPlan:
    """Return which series of a request are there already; nothing is fetched or written.

    Raises:
        CtlymphError: If a series has an identifier that cannot be a file's name.
    """
    requested = tuple(dict.fromkeys(request.series))  # two threads must not work on the same
    missing = tuple(Store(request.folder).missing(requested))
    return DownloadPlan(tuple(series for series in requested if series not in missing), missing)


def download(request: DownloadRequest, source: SeriesSource, progress: Progress = SILENT) -> DownloadResult:
    """Fetch what is missing of a request.

    It may be killed at any moment: the same request then goes on where it stopped. A series
    that fails does not stop the others.

    Args:
        request: Which series, and where to.
        source: Who serves them.
        progress: Shows the bytes of what was missing at the start.

    Raises:
        CtlymphError: If the terms were not accepted for the folder, if another download is at work in it, if it
            cannot be written, or if the disk has no room.
    """
    if not terms.accepted(request.folder):
        raise CtlymphError(
            f"{request.folder}: the collection's terms have not been accepted for this folder; accept them"
        )
    store = Store(request.folder)
    with store.lock():
        todo = plan(request)
        store.check_space(todo.bytes - sum(store.staged_bytes(series) for series in todo.missing))
        results = _fetch_all(store, todo, source, progress) if todo.missing else {}
    failed = tuple(FailedSeries(series, str(results[series])) for series in todo.missing if results[series])
    return DownloadResult(todo.present, tuple(series for series in todo.missing if not results[series]), failed)


@dataclass(frozen=True)
class _Done:
    """One series is finished: well if there is no error."""

    series: Series
    error: Exception | None


class _Halted(BaseException):
    """Raised in a thread whose download is stopped."""


def _fetch_all(
    store: Store, todo: DownloadPlan, source: SeriesSource, progress: Progress
) -> dict[Series, Exception | None]:
    """Fetch all missing series; return the error of each, or None."""
    waiting: SimpleQueue[Series] = SimpleQueue()
    for series in todo.missing:
        waiting.put(series)
    events: SimpleQueue[int | _Done] = SimpleQueue()
    halt = Event()

    def work() -> None:
        with suppress(_Halted, Empty):
            while not halt.is_set():
                series = waiting.get_nowait()
                events.put(_Done(series, _fetch(store, series, source, _Gauge(series.bytes, events.put, halt))))

    results: dict[Series, Exception | None] = {}
    number = min(source.at_once, len(todo.missing))
    with _threads(number, work, halt), progress.task("downloading", todo.bytes, in_bytes=True) as advance:
        while len(results) < len(todo.missing):
            try:
                event = events.get(timeout=_HEARTBEAT_S)
            except Empty:
                continue  # a signal that came just before the wait is only noticed after it
            if isinstance(event, int):
                advance(event)
            elif event.error is None or isinstance(event.error, CtlymphError):
                results[event.series] = event.error
            else:
                raise event.error
    return results


def _fetch(store: Store, series: Series, source: SeriesSource, gauge: _Gauge) -> Exception | None:
    """Fetch one series, check it and put it in its place; return what went wrong."""
    try:
        for left in reversed(range(_TRIES)):
            folder = store.stage(series)
            md5s = source.fetch(series, folder, gauge)
            try:
                found = check_series(folder, series, md5s)
            except CtlymphError:
                if not left:
                    raise
                continue
            store.commit(series, found)
            gauge(gauge.left)
            break
    except Exception as error:  # of any kind: it is raised again in the thread that waits for it
        return error
    return None


class _Gauge:
    """Passes on how many bytes of one series have arrived, and ends its thread when the download is stopped.

    Bytes that come a second time are not counted again.
    """

    def __init__(self, total: int, report: Callable[[int], None], halt: Event) -> None:
        self.left, self._report, self._halt = total, report, halt

    def __call__(self, count: int) -> None:
        if self._halt.is_set():
            raise _Halted
        step = min(count, self.left)
        self.left -= step
        if step:
            self._report(step)


@contextmanager
def _threads(number: int, work: Callable[[], None], halt: Event) -> Iterator[None]:
    """Run ``work`` in threads for the length of the block, and have them stop when the block fails.

    The threads do not keep a process alive that wants to end.
    """
    threads = [Thread(target=work, daemon=True) for _ in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        halt.set()
        deadline = time.monotonic() + _STOP_PATIENCE_S
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
