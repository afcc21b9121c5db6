"""A stand-in for NBIA's version 4 on this machine, that misbehaves on purpose."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import zipfile
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fake_series import FakeSeries

Member = tuple[str | zipfile.ZipInfo, bytes]
Fault = Callable[["Request", FakeSeries], None]
CHUNK = 2000


class Nbia:
    """What the service holds, how it will misbehave, and what it was asked.

    Attributes:
        series: What it has, by SeriesInstanceUID.
        faults: What it does instead of sending a series: one a request, until none is left.
        asked: How often each endpoint was asked for each series.
        sent: How often each series was sent to the end and without a fault.
        agents: The User-Agents seen.
        closing: Set when the server stops, for those that stall.
    """

    def __init__(self, series: Iterable[FakeSeries]) -> None:
        self.series = {each.series.series_uid: each for each in series}
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.asked: Counter[tuple[str, str]] = Counter()
        self.sent: Counter[str] = Counter()
        self.agents: set[str] = set()
        self.pause_s = 0.0
        self.closing = Event()
        self.lock = Lock()
        self.base_url = ""

    def misbehave(self, fake: FakeSeries, *faults: Fault) -> None:
        """Have the next requests for a series meet these faults, in this order."""
        self.faults[fake.series.series_uid].extend(faults)

    def images_asked(self, fake: FakeSeries) -> int:
        """Give how often a series was asked for."""
        return self.asked["getImage", fake.series.series_uid]


@contextmanager
def serving(*series: FakeSeries) -> Iterator[Nbia]:
    """Run the stand-in on a free port for the length of the block."""
    nbia = Nbia(series)
    handler = type("Handler", (Request,), {"nbia": nbia})
    server = _Server(("127.0.0.1", 0), handler)
    nbia.base_url = f"http://127.0.0.1:{server.server_port}/nbia-api/services/v4"
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield nbia
    finally:
        nbia.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over clients that go away in the middle, as some tests want."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Request(BaseHTTPRequestHandler):
    """One request to the stand-in."""

    nbia: Nbia
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        endpoint = url.path.rpartition("/")[2]
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        uid = query.pop("SeriesInstanceUID", "")
        with self.nbia.lock:
            self.nbia.asked[endpoint, uid] += 1
            self.nbia.agents.add(self.headers["User-Agent"])
            faults = self.nbia.faults[uid]
            fault = faults.popleft() if faults else None
        fake = self.nbia.series.get(uid)
        if fake is None and endpoint == "getImage":
            self.answer(400, "Invalid SeriesInstanceUID")
        elif fake is None:
            self.answer(200)
        elif fault:
            fault(self, fake)
        elif endpoint == "getImage":
            assert query == {"NewFileNames": "Yes", "IncludeMD5": "Yes"}
            self.stream(pack(members(fake)))
            with self.nbia.lock:
                self.nbia.sent[uid] += 1
        else:
            self.answer(200, json.dumps([describe(fake)[endpoint]]))

    def answer(self, status: int, text: str = "", **headers: str) -> None:
        """Send a short answer."""
        content = text.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def stream(self, content: bytes, *, end: bool = True) -> None:
        """Send an archive in pieces, without stating its length, as the service does."""
        self.send_response(200)
        self.send_header("Content-Type", "application/zip")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for start in range(0, len(content), CHUNK):
            piece = content[start : start + CHUNK]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.nbia.closing.wait(self.nbia.pause_s)
        if end:
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def describe(fake: FakeSeries) -> dict[str, dict[str, str]]:
    """Give what the service says of a series, by endpoint; it leaves out what it does not know."""
    series = fake.series
    about = {"SeriesInstanceUID": series.series_uid, "StudyInstanceUID": series.study_uid, "Modality": series.modality}
    size = {"TotalSizeInBytes": f"{series.bytes}.000000", "ObjectCount": str(series.files)}
    return {"getSeries": {**about, "PatientID": series.case, "ImageCount": str(series.files)}, "getSeriesSize": size}


def slices(fake: FakeSeries) -> list[Member]:
    """Give the files of a series under the service's names for them."""
    return [(f"1-{number:03d}.dcm", path.read_bytes()) for number, path in enumerate(fake.paths(), start=1)]


def checksums(files: Iterable[Member]) -> Member:
    """Give the list that ends an archive."""
    lines = [f"{name},{hashlib.md5(content).hexdigest()}" for name, content in files]
    return "md5hashes.csv", "\n".join(["Filename,MD5Hash", *lines]).encode()


def members(fake: FakeSeries) -> list[Member]:
    """Give all that the archive of a series holds."""
    files = slices(fake)
    return [("LICENSE", b"CC BY 3.0"), *files, checksums(files)]


def pack(content: Iterable[Member]) -> bytes:
    """Make an archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in content:
            archive.writestr(member, data)
    return stream.getvalue()


def sends(change: Callable[[FakeSeries], Iterable[Member]]) -> Fault:
    """Send an archive with this content, whole."""
    return lambda request, fake: request.stream(pack(change(fake)))


def answers(status: int, text: str = "", **headers: str) -> Fault:
    """Answer with a text instead of an archive."""
    return lambda request, fake: request.answer(status, text, **headers)


def drops(request: Request, fake: FakeSeries) -> None:
    """Break the connection in the middle, before the end that was announced."""
    content = pack(members(fake))
    request.stream(content[: len(content) // 2], end=False)


def ends_early(request: Request, fake: FakeSeries) -> None:
    """Send half an archive as though it were all."""
    content = pack(members(fake))
    request.stream(content[: len(content) // 2])


def stalls(request: Request, fake: FakeSeries) -> None:
    """Send half an archive, and then nothing until the server stops."""
    drops(request, fake)
    request.nbia.closing.wait(30)


def floods(request: Request, fake: FakeSeries) -> None:
    """Send far more than the series can be."""
    request.stream(b"PK" + bytes(10_000_000))
