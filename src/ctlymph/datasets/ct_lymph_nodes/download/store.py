"""Where downloaded files go, and the checks that they pass before they get there.

A series, or the content of one of the collection's zips, is gathered in a
staging folder under ``.partial``. Only when all of it has been checked do its
checksums appear, and then it is renamed to its place. So whatever has its
final name is whole, at whatever moment the process was killed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import lock_descriptor

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.datasets.ct_lymph_nodes.catalogue import Series
from ctlymph.io.atomic import explained
from ctlymph.io.dicom.header import damage

SERIES_FOLDER = "ct_lymph_nodes"
CHECKSUM_FOLDER = "checksums"
STAGING_FOLDER = ".partial"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_UID_LENGTH = 64
_LOCK_PATIENCE_S = 5.0


@dataclass(frozen=True)
class Place:
    """Where one series, or the content of one zip, is gathered and ends up."""

    staging: Path
    final: Path
    checksums: Path


class Store:
    """A folder that the collection is downloaded into.

    What is kept in it is either a :class:`Series` or, by its name (``MED_ABD_LYMPH_MASKS``),
    the content of one zip.

    Args:
        root: The folder; it is made when first written to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def place(self, item: Series | str) -> Place:
        """Return the paths of a series or a zip's content.

        Raises:
            CtlymphError: If an identifier, which may come from a file of a stranger, would be no harmless name.
        """
        if isinstance(item, str):
            staging, name = _harmless(item), item
            final = self.root / item
        else:
            staging = _harmless_uid(item.series_uid)
            name = f"{_harmless(item.case)}_{_harmless(item.modality)}"
            if not item.collection_version:  # of another collection, where a case may have several of a kind
                name = f"{name}_{item.series_uid}"
            study = _harmless_uid(item.study_uid)
            final = self.root / SERIES_FOLDER / item.case / study / f"{item.modality}_{item.series_uid}"
        checksums = self.root / CHECKSUM_FOLDER / f"{name}.md5"
        return Place(self.root / STAGING_FOLDER / staging, final, checksums)

    def is_complete(self, item: Series | str) -> bool:
        """Return whether all its files are in their place; they were checked when they were put there."""
        place = self.place(item)
        listed = set(read_checksums(place.checksums)) if place.checksums.is_file() else set()
        files = (self.root / name for name in listed)
        return bool(listed) and all(path.is_file() and path.stat().st_size for path in files)

    def forget_harmed(self, item: Series | str) -> bool:
        """Have what is no longer as it was downloaded count as missing; return whether it was so.

        Files of a series that are unharmed are not fetched again by a source that states MD5s.
        """
        place = self.place(item)
        if not place.checksums.is_file():
            return False
        md5s = read_checksums(place.checksums)
        paths = {self.root / name: md5 for name, md5 in md5s.items()}
        if all(path.is_file() and md5_of(path) == md5 for path, md5 in paths.items()):
            return False
        with explained(place.final):
            place.checksums.unlink()
            if isinstance(item, str) and place.final.is_dir():  # an archive comes whole, and unpacks to a new folder
                _remove(path for path in (place.staging,) if path.exists())
                place.final.replace(place.staging)
        return True

    def missing(self, series: Iterable[Series]) -> list[Series]:
        """Return those that are not complete, in the same order."""
        return [each for each in series if not self.is_complete(each)]

    def stage(self, item: Series | str) -> Path:
        """Return the staging folder, with what an earlier try, or another program, has left of it.

        DICOM files that lie in the final folder without having been checked are taken into staging.

        Raises:
            CtlymphError: If it cannot be made, or if other files are in its way.
        """
        place = self.place(item)
        self._make(place.staging)
        if place.final.exists() or place.final.is_symlink():
            self._refuse_links(place.final)
            _take_over(place)
        if isinstance(item, Series):
            with explained(place.staging):
                _remove(path for path in place.staging.iterdir() if not _is_plain(path))
        return place.staging

    def commit(self, item: Series | str, md5s: Mapping[str, str]) -> None:
        """Put a staging folder that was checked into its place.

        Args:
            item: What lies in staging.
            md5s: MD5 of each of its files, by path relative to the staging folder.

        Raises:
            CtlymphError: If that cannot be written.
        """
        place = self.place(item)
        self._make(place.checksums.parent)
        self._make(place.final.parent)
        folder = place.final.relative_to(self.root).as_posix()
        lines = [f"{md5s[name]}  {folder}/{name}\n" for name in sorted(md5s)]
        with explained(place.checksums):
            staged = place.staging.with_name(place.checksums.name)
            with staged.open("w", encoding="utf-8", newline="\n") as stream:
                stream.writelines(lines)
                stream.flush()
                os.fsync(stream.fileno())
            staged.replace(place.checksums)
        with explained(place.final):
            place.staging.replace(place.final)

    def staged_bytes(self, item: Series | str) -> int:
        """Return the size of what lies in staging already."""
        staging = self.place(item).staging
        with explained(staging):
            return sum(path.lstat().st_size for path in staging.rglob("*") if not path.is_dir())

    def check_space(self, needed_bytes: int) -> None:
        """Refuse to begin what the disk has no room for.

        Raises:
            CtlymphError: If ``needed_bytes`` and a margin are not free.
        """
        self._make(self.root)
        needed = needed_bytes + _margin(needed_bytes)
        free = shutil.disk_usage(self.root).free
        if needed > free:
            raise CtlymphError(
                f"{self.root}: {needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free; "
                "free space, choose another disk, or fewer cases"
            )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other download out of the folder for the length of the block.

        The lock goes with the process, however that ends. Programs that it started to write
        here may inherit the lock, so that nothing of a killed download is still at work when the next begins.

        Raises:
            CtlymphError: If another download is at work in the folder.
        """
        self._make(self.root / STAGING_FOLDER)
        path = self.root / STAGING_FOLDER / "lock"
        self._refuse_links(path)
        with explained(path):
            stream = path.open("ab")
        with stream:
            os.set_inheritable(stream.fileno(), True)
            deadline = time.monotonic() + _LOCK_PATIENCE_S
            while not lock_descriptor(stream.fileno(), blocking=False):
                if time.monotonic() > deadline:
                    raise CtlymphError(
                        f"another download is at work in {self.root}, or just ending; wait for it, or stop it"
                    )
                time.sleep(0.1)
            yield

    def _make(self, folder: Path) -> None:
        self._refuse_links(folder)
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def _refuse_links(self, path: Path) -> None:
        """Refuse a link in the folder, which might lead out of it."""
        inside = path.relative_to(self.root).parts
        for depth in range(1, len(inside) + 1):
            step = self.root.joinpath(*inside[:depth])
            if step.is_symlink():
                raise CtlymphError(
                    f"{step} is a link, perhaps to outside of the folder; remove it, or choose another folder"
                )


def check_series(folder: Path, series: Series, md5s: Mapping[str, str]) -> dict[str, str]:
    """Check that a folder holds all of a series and nothing else.

    The number of files, the MD5s that the service states, or where it does not state all, the size of the files
    together; and in the header of each, the series, the patient and that no image is there twice. Pixels are not
    decoded. Wrong files are removed, so that the next try fetches them again.

    Args:
        folder: Staging folder of this series alone.
        series: What it must be.
        md5s: MD5 that the service states, by file name; not necessarily of all files.

    Returns:
        The MD5 of each file, by name.

    Raises:
        CtlymphError: What is wrong.
    """
    found: dict[str, str] = {}
    images: list[str] = []
    faults: dict[Path, str] = {}
    with explained(folder):
        paths = sorted(folder.iterdir())
        total = sum(path.lstat().st_size for path in paths)
        for path in paths:
            found[path.name] = md5_of(path)
            fault, image = _header_fault(path, series)
            if found[path.name] != md5s.get(path.name, found[path.name]):
                fault = "does not have the MD5 that the service states"
            if fault:
                faults[path] = fault
            images.append(image)
        # Where the service vouches for every file, its headers may be longer or shorter than in the catalogue's source.
        due = total if found.keys() <= md5s.keys() else series.bytes
        fault = _fault(paths, faults, Counter(images), total, replace(series, bytes=due))
        if fault is None:
            return found
        # Too few files are no fault of those that are there. Else, any that nothing vouches for may be the wrong one.
        wrong = faults or (() if len(paths) < series.files else [path for path in paths if path.name not in md5s])
        _remove(wrong)
    raise CtlymphError(f"{series.case} {series.modality}: {fault}; the same command fetches what is missing again")


def read_checksums(path: Path) -> dict[str, str]:
    """Read the MD5s that a download wrote, by the files' paths relative to its folder.

    Raises:
        CtlymphError: If the file cannot be read or is no list of checksums.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CtlymphError(f"cannot read {path}: {shown(error)}; remove it, and download the data again") from error
    md5s = {}
    for number, line in enumerate(lines, start=1):
        md5, separator, name = line.partition("  ")
        if not separator or len(md5) != 32:
            raise CtlymphError(f"{path}, line {number} is no checksum; remove the file, and download the data again")
        md5s[name] = md5
    return md5s


def md5_of(path: Path) -> str:
    """Return the MD5 of a file, as 32 lower-case hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _fault(
    paths: list[Path], faults: Mapping[Path, str], images: Counter[str], total: int, series: Series
) -> str | None:
    """Describe what is wrong with a series: of single files, or else of all together."""
    if faults:
        path, fault = next(iter(faults.items()))
        return f"{path.name} {fault} ({len(faults)} of {len(paths)} files are wrong)"
    if len(paths) != series.files:
        return f"{len(paths)} files came, not {series.files}"
    if len(images) != series.files:
        return f"image {images.most_common(1)[0][0]} came more than once"
    if total != series.bytes:
        return f"{total:,} bytes came, not {series.bytes:,}"
    return None


def _header_fault(path: Path, series: Series) -> tuple[str | None, str]:
    """Return what is wrong with the header of a file, or None, and the image's UID."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    tags = ["SOPInstanceUID", "PatientID", "SeriesInstanceUID"]
    faults: tuple[type[Exception], ...] = (InvalidDicomError, *damage())
    try:
        header = dcmread(path, stop_before_pixels=True, specific_tags=tags)
        image, patient, uid = (str(header.get(tag, "")) for tag in tags)
    except faults as error:
        return f"is no DICOM file: {shown(error)}", ""
    if uid != series.series_uid:
        return f"is of another series, {shown(uid) or 'unnamed'}", image
    if patient != series.case:
        return f"is of another patient, {shown(patient) or 'unnamed'}", image
    return None, image


def _take_over(place: Place) -> None:
    """Move files that were never checked from the final folder to staging, so that there is room for checked ones."""
    if not place.final.is_dir():
        raise CtlymphError(f"{place.final} is in the way of a folder of this name; remove it")
    with explained(place.final):
        for path in [path for path in place.final.glob("*.dcm") if _is_plain(path)]:
            path.replace(place.staging / path.name)
        if rest := next(place.final.iterdir(), None):
            raise CtlymphError(f"{rest} is no part of the download and in its way; move it elsewhere")
        place.final.rmdir()


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _remove(paths: Iterable[Path]) -> None:
    for path in list(paths):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _harmless(name: str) -> str:
    """Return a name that is a plain name of a file on every system, and no path."""
    if not _NAME.fullmatch(name):
        raise CtlymphError(f"{shown(name)!r} is no name that a file can safely have; is the list of series damaged?")
    return name


def _harmless_uid(uid: str) -> str:
    if not _UID.fullmatch(uid) or len(uid) > _UID_LENGTH:
        raise CtlymphError(f"{shown(uid)!r} is no DICOM UID; is the list of series damaged?")
    return uid


def _margin(needed_bytes: int) -> int:
    """Return what to leave free: for names and checksums, and for whoever else writes."""
    return max(needed_bytes // 100, 100_000_000) if needed_bytes else 0
