"""The archives beside the images, from a website that may fail in the middle."""

from __future__ import annotations

import hashlib
import io
import random
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.datasets.ct_lymph_nodes.download import terms
from ctlymph.datasets.ct_lymph_nodes.download.store import Store
from ctlymph.datasets.ct_lymph_nodes.download.supplements import SUPPLEMENTS, Supplement, SupplementSource, is_there
from ctlymph.datasets.ct_lymph_nodes.download.web import Patience

NAME = "MED_ABD_LYMPH_MASKS"
CONTENTS = {
    f"{case}/{case}_mask.nii.gz": random.Random(case).randbytes(4000) for case in ("MED_LYMPH_001", "ABD_LYMPH_086")
}
TRIES = 3


@dataclass
class Site:
    """What the website has, and how it behaves.

    Attributes:
        content: The archive.
        etag: What tells its versions apart, or nothing.
        ranges: Whether it can go on in the middle.
        drops: At which byte of the archive the connection breaks: one a request, until none is left.
        status: Answer with this status, if not 200.
        kind: The Content-Type.
        asked: The Range of each request.
        sent: Bytes of the archive that were sent, in all.
    """

    content: bytes
    etag: str = '"1"'
    ranges: bool = True
    drops: list[int] = field(default_factory=list)
    status: int = 200
    kind: str = "application/zip"
    asked: list[str | None] = field(default_factory=list)
    sent: int = 0
    base_url: str = ""


class _Request(BaseHTTPRequestHandler):
    site: Site
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        site = self.site
        wanted = self.headers["Range"]
        site.asked.append(wanted)
        valid = site.ranges and self.headers["If-Range"] == site.etag
        start = int(wanted[6:-1]) if wanted and valid else 0
        end = site.drops.pop(0) if site.drops else len(site.content)
        if start and start == len(site.content):
            self.reply(416, 0, Content_Range=f"bytes */{len(site.content)}")
        elif start:
            length = len(site.content)
            self.reply(206, length - start, Content_Range=f"bytes {start}-{length - 1}/{length}")
        else:
            self.reply(site.status, len(site.content))
        self.wfile.write(site.content[start:end])
        site.sent += max(0, end - start)
        self.close_connection = end < len(site.content)

    def reply(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        more = {"ETag": self.site.etag} if self.site.etag else {}
        for name, value in {**headers, **more, "Content_Length": str(length), "Content_Type": self.site.kind}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over clients that go away in the middle."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serving(site: Site) -> Iterator[SupplementSource]:
    server = _Server(("127.0.0.1", 0), type("Request", (_Request,), {"site": site}))
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    patience = Patience(tries=TRIES, sleep=lambda seconds: None)
    try:
        yield SupplementSource(f"http://127.0.0.1:{server.server_port}/uploads", patience)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def pack(contents: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return stream.getvalue()


ARCHIVE = pack({f"{NAME}/{name}": content for name, content in CONTENTS.items()})
MASKS = Supplement(NAME, hashlib.sha256(ARCHIVE).hexdigest())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    terms.accept(tmp_path / "folder")
    return Store(tmp_path / "folder")


def fetch(site: Site, store: Store, supplement: Supplement = MASKS) -> bool:
    with serving(site) as source:
        return source.fetch(store, supplement)


def assert_whole(store: Store) -> None:
    """See that all files, and nothing but them and the lock, are there, with their checksums."""
    final = store.root / NAME
    there = {path.relative_to(final).as_posix(): path.read_bytes() for path in final.rglob("*") if path.is_file()}
    assert there == CONTENTS
    lines = [f"{hashlib.md5(CONTENTS[name]).hexdigest()}  {NAME}/{name}" for name in sorted(CONTENTS)]
    assert (store.root / "checksums" / f"{NAME}.md5").read_text().splitlines() == lines
    assert {path.name for path in (store.root / ".partial").iterdir()} == {"lock"}


def refusal(site: Site, store: Store, supplement: Supplement = MASKS) -> str:
    """Fetch in vain, see that nothing appears, and give the reason."""
    with pytest.raises(CtlymphError) as caught:
        fetch(site, store, supplement)
    assert not is_there(store, supplement)
    assert not (store.root / "checksums").exists()
    assert "\n" not in str(caught.value)
    assert "https://www.cancerimagingarchive.net/collection/ct-lymph-nodes/" in str(caught.value)
    return str(caught.value)


def test_fetches_unpacks_and_writes_checksums(store: Store) -> None:
    site = Site(ARCHIVE)
    assert fetch(site, store)
    assert_whole(store)
    assert is_there(store, MASKS)
    assert store.is_complete(NAME)


@pytest.mark.parametrize("top", ["", "anything/", "two/deep/"])
def test_the_cases_may_lie_in_any_folder_of_the_archive(top: str, store: Store) -> None:
    content = {f"{top}{name}": data for name, data in CONTENTS.items()}
    assert fetch(Site(pack({**content, "__MACOSX/._x": b"junk"})), store, Supplement(NAME))
    assert_whole(store)


def test_does_not_fetch_twice(store: Store) -> None:
    site = Site(ARCHIVE)
    assert fetch(site, store)
    assert not fetch(site, store)
    assert len(site.asked) == 1


@pytest.mark.parametrize(
    "put",
    [lambda root: (root / f"{NAME}.zip").write_bytes(ARCHIVE), lambda root: (root / NAME / "a").mkdir(parents=True)],
)
def test_what_a_person_has_put_there_counts(put: Callable[[Path], object], store: Store) -> None:
    put(store.root)
    site = Site(ARCHIVE)
    assert not fetch(site, store)
    assert not site.asked


def test_goes_on_where_the_connection_broke(store: Store) -> None:
    site = Site(ARCHIVE, drops=[3000, 5000])
    assert fetch(site, store)
    assert_whole(store)
    assert site.asked == [None, "bytes=3000-", "bytes=5000-"]
    assert site.sent == len(ARCHIVE)


def test_the_next_run_goes_on_where_the_last_gave_up(store: Store) -> None:
    site = Site(ARCHIVE, drops=[1000, 2000, 3000])
    assert "the connection broke" in refusal(site, store)
    assert fetch(site, store)
    assert_whole(store)
    assert site.sent == len(ARCHIVE)


def test_an_archive_that_had_arrived_is_not_fetched_again(store: Store) -> None:
    partial = store.root / ".partial"
    partial.mkdir()
    (partial / f"{NAME}.zip.part").write_bytes(ARCHIVE)
    (partial / f"{NAME}.zip.origin").write_text('"1"')
    site = Site(ARCHIVE)
    assert fetch(site, store)
    assert_whole(store)
    assert site.sent == 0


@pytest.mark.parametrize("changes", [{"ranges": False}, {"etag": '"2"'}, {"etag": ""}, {"etag": 'W/"1"'}])
def test_starts_again_where_going_on_would_mix_versions(changes: dict[str, Any], store: Store) -> None:
    refusal(Site(b"PK" + bytes(len(ARCHIVE)), drops=[3000] * TRIES), store)
    site = Site(ARCHIVE, **changes)
    assert fetch(site, store)
    assert_whole(store)
    assert site.sent == len(ARCHIVE)


def test_a_mix_of_versions_is_thrown_away_and_fetched_anew(store: Store) -> None:
    """A server that goes on although the archive has changed."""
    refusal(Site(b"PK" + bytes(len(ARCHIVE)), drops=[3000] * TRIES), store)
    site = Site(ARCHIVE)
    assert fetch(site, store)
    assert_whole(store)
    assert site.asked == ["bytes=3000-", None]


def test_an_altered_archive_is_refused(store: Store) -> None:
    site = Site(pack({f"{NAME}/MED_LYMPH_001/x": b"other"}))
    assert "not the published" in refusal(site, store)
    assert len(site.asked) == 1


def test_a_damaged_archive_is_refused_after_some_tries(store: Store) -> None:
    site = Site(ARCHIVE[:-10])
    assert "damaged" in refusal(site, store)
    assert site.asked == [None] * TRIES


@pytest.mark.parametrize(
    ("site", "reason"),
    [
        (Site(b"<!DOCTYPE html>", kind="text/html; charset=UTF-8"), "sent a web page"),
        (Site(b"<!DOCTYPE html>"), "no archive but '<!DOCTYPE html>'"),
        (Site(b"Not Found", status=404), "404 (Not Found)"),
        (Site(b"", status=503), "503, at the last of"),
        (Site(b""), "no archive but ''"),
        (Site(pack({"README.txt": b"nothing"})), "does not hold folders of cases"),
        (Site(pack({"a/MED_LYMPH_001/x": b"1", "b/MED_LYMPH_002/x": b"2"})), "does not hold folders of cases"),
        (Site(pack({"../MED_LYMPH_001/x": b"1"})), "outside its folder"),
    ],
)
def test_what_is_no_such_archive_is_refused(site: Site, reason: str, store: Store) -> None:
    assert reason in refusal(site, store, Supplement(NAME))


def test_a_web_page_does_not_cost_what_had_arrived(store: Store) -> None:
    refusal(Site(ARCHIVE, drops=[3000] * TRIES), store)
    refusal(Site(b"<html>", kind="text/html", ranges=False), store)
    site = Site(ARCHIVE)
    assert fetch(site, store)
    assert site.asked == ["bytes=3000-"]


def test_nothing_is_asked_before_the_terms_are_accepted(tmp_path: Path) -> None:
    site = Site(ARCHIVE)
    with pytest.raises(CtlymphError, match="terms"):
        fetch(site, Store(tmp_path))
    assert not site.asked


def test_every_supplement_has_a_name_that_can_be_stored(store: Store) -> None:
    assert list(SUPPLEMENTS) == ["annotations", "candidates", "masks"]
    for kind, supplement in SUPPLEMENTS.items():
        assert store.place(supplement.name).final.name == f"MED_ABD_LYMPH_{kind.upper()}"
