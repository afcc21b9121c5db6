"""The three archives beside the images, from the collection's page: annotations, candidates, masks."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.core.progress import SILENT, Progress
from ctlymph.datasets.ct_lymph_nodes.cite import PAGE_URL
from ctlymph.datasets.ct_lymph_nodes.download import terms, web
from ctlymph.datasets.ct_lymph_nodes.download.store import Place, Store
from ctlymph.io import safe_zip
from ctlymph.io.atomic import explained

if TYPE_CHECKING:
    import httpx

UPLOADS = "https://www.cancerimagingarchive.net/wp-content/uploads"

_LARGEST_BYTES = 20 * 10**9
_CASE = re.compile(r"(MED|ABD)_LYMPH_[0-9]{3}")


@dataclass(frozen=True)
class Supplement:
    """One of the archives.

    Attributes:
        name: What it is called, without ``.zip``; the folder of its content has the same name.
        sha256: Of the archive, as published; empty where that is not known.
    """

    name: str
    sha256: str = ""


# Only the address and the checksum of the masks have been seen; the addresses of the others are by analogy.
SUPPLEMENTS = {
    "annotations": Supplement("MED_ABD_LYMPH_ANNOTATIONS"),
    "candidates": Supplement("MED_ABD_LYMPH_CANDIDATES"),
    "masks": Supplement("MED_ABD_LYMPH_MASKS", "ace3475c21f04c3f3a01e7fa5181fcbcf4a98cc78ea945e058f1b001d25d6745"),
}
"""The archives, by what they hold."""


def is_there(store: Store, supplement: Supplement) -> bool:
    """Return whether a folder has a supplement: fetched, or put there by a person, unpacked or not."""
    place = store.place(supplement.name)
    if place.checksums.is_file():
        return store.is_complete(supplement.name)
    unpacked = place.final.is_dir() and any(place.final.iterdir())
    return unpacked or (store.root / f"{supplement.name}.zip").is_file()


@dataclass(frozen=True)
class SupplementSource:
    """The website that has the archives.

    Attributes:
        base_url: The address of the folder that they lie in.
        patience: How often and how long it is asked.
    """

    base_url: str = UPLOADS
    patience: web.Patience = field(default_factory=web.Patience)

    def fetch(self, store: Store, supplement: Supplement, progress: Progress = SILENT) -> bool:
        """Fetch an archive, check it, and put its content into the folder, if it is not there already.

        It may be killed at any moment; what has arrived of the archive is not fetched again.

        Args:
            store: The folder.
            supplement: Which archive.
            progress: Shows the bytes of the archive, anew for each try.

        Returns:
            Whether it was fetched.

        Raises:
            CtlymphError: If it cannot be fetched, is not what it should be, or cannot be written; if another
                download is at work in the folder, or its terms were not accepted.
        """
        if not terms.accepted(store.root):
            raise CtlymphError(f"{store.root}: the terms have not been accepted for this folder; accept them")
        with store.lock():
            if is_there(store, supplement):
                return False
            store.stage(supplement.name)
            transfer = _Transfer(f"{self.base_url}/{supplement.name}.zip", store.place(supplement.name), self.patience)
            try:
                md5s = self.patience.persist(transfer.url, lambda: transfer.attempt(supplement, progress))
            except CtlymphError as error:
                raise CtlymphError(
                    f"{error}; or fetch {supplement.name}.zip with a browser from {PAGE_URL} and put it, as it is,"
                    f" into {store.root}"
                ) from error
            store.commit(supplement.name, md5s)
            transfer.forget()
            return True


@dataclass(frozen=True)
class _Transfer:
    """One archive on its way."""

    url: str
    place: Place
    patience: web.Patience

    @property
    def part(self) -> Path:
        """What has arrived of the archive."""
        return self.place.staging.with_name(f"{self.place.staging.name}.zip.part")

    @property
    def origin(self) -> Path:
        """The file with the ETag or date of the archive on the server, by which another version is recognised."""
        return self.part.with_suffix(".origin")

    def forget(self) -> None:
        """Remove what has arrived."""
        self.part.unlink(missing_ok=True)
        self.origin.unlink(missing_ok=True)

    def attempt(self, supplement: Supplement, progress: Progress) -> dict[str, str]:
        """Fetch what is missing of the archive, and fill the staging folder from it; return the MD5 of each file."""
        self._receive(progress)
        unpacked = self.part.with_suffix(".unpacked")
        _clear(unpacked)
        try:
            self._check_is_archive()
            md5s = safe_zip.unpack(self.part, unpacked)
            self._check_published(supplement)
            return self._stage(unpacked, md5s)
        except safe_zip.DamagedError as error:
            self.forget()
            raise web.PassingError(f"the server sent a damaged archive ({error.fault})") from error
        except CtlymphError:
            self.forget()
            raise
        finally:
            _clear(unpacked)

    def _receive(self, progress: Progress) -> None:
        there, headers = 0, {}
        if self.part.is_file() and self.origin.is_file():
            there = self.part.stat().st_size
            headers = {"Range": f"bytes={there}-", "If-Range": self.origin.read_text("ascii")}
        with (
            web.new_client(self.patience) as client,
            client.stream("GET", self.url, headers=headers) as response,
        ):
            if response.status_code == 416 and response.headers.get("Content-Range") == f"bytes */{there}":
                return  # all of it had arrived
            web.check(response)
            # Before what has arrived is thrown away for it.
            if "html" in response.headers.get("Content-Type", ""):
                raise CtlymphError(f"{self.url}: the server sent a web page, no archive; try again later")
            if resumed := response.status_code == 206:
                self._check_range(response, there)
            else:
                self._begin(response)
                there = 0
            total = there + int(response.headers.get("Content-Length", 0))
            with progress.task(f"downloading {self.url.rpartition('/')[2]}", total, in_bytes=True) as advance:
                advance(there)
                web.save(response, self.part, _LARGEST_BYTES, advance, append=resumed)

    def _check_range(self, response: httpx.Response, there: int) -> None:
        if not response.headers.get("Content-Range", "").startswith(f"bytes {there}-"):
            self.forget()
            raise web.PassingError("the server sent another part than was asked for")

    def _begin(self, response: httpx.Response) -> None:
        """Remember which version this is; one that cannot be recognised again is not resumed."""
        self.forget()
        etag = response.headers.get("ETag", "")
        # Weak ones, W/"…", do not promise the same bytes.
        origin = etag if etag.startswith('"') else response.headers.get("Last-Modified", "")
        if origin and origin.isascii():
            with explained(self.origin):
                self.origin.write_text(origin, "ascii")

    def _check_is_archive(self) -> None:
        with self.part.open("rb") as stream:
            head = stream.read(200)
        if not head.startswith(b"PK"):
            text = shown(head.decode("ascii", "replace"))
            raise CtlymphError(f"{self.url}: the server sent no archive but '{text}'; try again later")

    def _check_published(self, supplement: Supplement) -> None:
        if not supplement.sha256:
            return
        with self.part.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        if sha256 != supplement.sha256:
            raise CtlymphError(
                f"{self.url}: the archive has SHA-256 {sha256}, not the published {supplement.sha256}; try again later"
            )

    def _stage(self, unpacked: Path, md5s: dict[str, str]) -> dict[str, str]:
        """Put the folders of the cases into the staging folder, whether or not another folder is around them."""
        cases = {above for name in md5s for above in PurePosixPath(name).parents if _CASE.fullmatch(above.name)}
        tops = {case.parent for case in cases}
        if len(tops) != 1:
            raise CtlymphError(f"{self.url}: the archive does not hold folders of cases; try again later")
        top = tops.pop()
        _clear(self.place.staging)
        with explained(self.place.staging):
            (unpacked / top).rename(self.place.staging)
        paths = {PurePosixPath(name): md5 for name, md5 in md5s.items()}
        return {str(path.relative_to(top)): md5 for path, md5 in paths.items() if path.is_relative_to(top)}


def _clear(folder: Path) -> None:
    with explained(folder):
        if folder.exists():
            shutil.rmtree(folder)
