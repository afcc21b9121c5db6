"""Zip archives from untrusted sources, read and unpacked with checks of everything that they state."""

from __future__ import annotations

import copy
import hashlib
import shutil
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.io.atomic import explained

_CHUNK = 1 << 20
_LOCAL_HEADER = 30
_ENCRYPTED = 0x1 | 0x40 | 0x2000
"""Flags of the old and the strong encryption, and of a masked central directory."""
_DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10))}
"""Names that Windows keeps for devices, whatever the suffix."""
_JUNK = {"__MACOSX", ".DS_Store"}
_DISTRUST = "do not use this archive; fetch it again from where it was published"


@dataclass(frozen=True)
class ZipLimits:
    """ZipLimits of an archive; one that states or has more is rejected.

    Attributes:
        total_bytes: Size of all entries together, unpacked.
        entries: Their number, with folders.
        ratio: Unpacked bytes per packed byte of an entry. Deflate cannot exceed 1032.
    """

    total_bytes: int = 100 * 10**9
    entries: int = 100_000
    ratio: float = 1100.0


LIMITS = ZipLimits()
"""ZipLimits that every archive of the public collection meets."""


@dataclass(frozen=True)
class ZipEntry:
    """A file in an archive.

    Attributes:
        name: Its path in the archive: relative, with ``/``, without ``..``.
        bytes: Its size, unpacked, as the archive states it.
    """

    name: str
    bytes: int
    _info: zipfile.ZipInfo = field(repr=False)


class DamagedError(CtlymphError):
    """An archive is truncated or altered: another download may help.

    Attributes:
        fault: The fault, without the path of the archive.
    """

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(f"{path} is damaged ({fault}); fetch the archive again")
        self.fault = fault


class SafeZip:
    """An open archive; the name, kind, place and size of every entry have been checked.

    Folders, ``__MACOSX`` and ``.DS_Store`` are ignored.

    Attributes:
        path: The archive.
        entries: Its files, in the order of the archive.

    Raises:
        DamagedError: If the file is no zip archive, or not a whole one.
        CtlymphError: If it cannot be read, or holds an entry that would be written
            elsewhere, is a link or another special file, is encrypted, has the name or the bytes of
            another, or passes the limits.
    """

    def __init__(self, path: Path, limits: ZipLimits = LIMITS) -> None:
        self.path = path
        self._limits = limits
        with _readable(path):
            self._archive = zipfile.ZipFile(path)
        try:
            infos = self._archive.infolist()
            self._check_size(infos)
            self._check_places(infos)
            self.entries = tuple(self._harmless(infos))
            self._check_names()
        except BaseException:
            self._archive.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()

    def read(self, entry: ZipEntry) -> bytes:
        """Return the content of an entry.

        Raises:
            DamagedError: If it is damaged.
            CtlymphError: If it is not of the stated size.
        """
        return b"".join(self.chunks(entry))

    def chunks(self, entry: ZipEntry) -> Iterator[bytes]:
        """Yield the content of an entry in pieces of at most 1 MiB.

        Raises:
            DamagedError: If it is damaged; pieces of it may have been yielded by then.
            CtlymphError: If it is not of the stated size; likewise.
        """
        # With one byte more than stated, zipfile reads whether there is more, instead of cutting it off.
        info = copy.copy(entry._info)
        info.file_size += 1
        count = 0
        with _readable(self.path, entry.name), self._archive.open(info) as stream:
            while chunk := stream.read(_CHUNK):
                count += len(chunk)
                if count <= entry.bytes:
                    yield chunk
        if count != entry.bytes:
            more = "more" if count > entry.bytes else "fewer"
            raise self._refusal(entry.name, f"holds {more} than the {entry.bytes} bytes that the archive states")

    def _check_size(self, infos: list[zipfile.ZipInfo]) -> None:
        limits = self._limits
        if len(infos) > limits.entries:
            raise CtlymphError(f"{self.path} has {len(infos)} entries, more than {limits.entries}; {_DISTRUST}")
        total = 0
        for info in infos:
            total += info.file_size
            if total > limits.total_bytes:
                raise CtlymphError(
                    f"{self.path} would unpack to more than {limits.total_bytes / 1e6:.0f} MB, with"
                    f" {shown(info.orig_filename)}; {_DISTRUST}"
                )
            if info.file_size > limits.ratio * info.compress_size:
                raise self._refusal(
                    info.orig_filename, f"would unpack from {info.compress_size} to {info.file_size} bytes"
                )

    def _check_places(self, infos: list[zipfile.ZipInfo]) -> None:
        """Reject entries that share bytes: a small archive could unpack to any size that way."""
        end = 0
        for info in sorted(infos, key=lambda info: info.header_offset):
            if info.header_offset < end:
                raise self._refusal(info.orig_filename, "overlaps another entry")
            end = info.header_offset + _LOCAL_HEADER + len(info.orig_filename) + info.compress_size
            if end > self._archive.start_dir:
                raise self._refusal(info.orig_filename, "reaches beyond the archive's files")

    def _harmless(self, infos: list[zipfile.ZipInfo]) -> Iterator[ZipEntry]:
        for info in infos:
            # The attribute filename of zipfile ends at the first zero byte.
            name = info.orig_filename
            path = PurePosixPath(name)
            if fault := _fault_of_name(name) or _fault_of_kind(info):
                raise self._refusal(name, fault)
            if not info.is_dir() and _JUNK.isdisjoint(path.parts):
                yield ZipEntry(str(path), info.file_size, info)

    def _check_names(self) -> None:
        entries: dict[str, ZipEntry] = {}
        for entry in self.entries:
            # In some file systems upper and lower case are the same, and é the same as e with an accent.
            key = unicodedata.normalize("NFC", entry.name).casefold()
            if key in entries:
                raise self._refusal(entry.name, "is there twice")
            entries[key] = entry
        for key, entry in entries.items():
            if any(str(parent) in entries for parent in PurePosixPath(key).parents):
                raise self._refusal(entry.name, "lies in a folder that is also a file")

    def _refusal(self, name: str, fault: str) -> CtlymphError:
        return CtlymphError(f"{self.path}: entry '{shown(name)}' {fault}; {_DISTRUST}")


def unpack(
    path: Path, into: Path, limits: ZipLimits = LIMITS, advance: Callable[[int], None] = lambda steps: None
) -> dict[str, str]:
    """Unpack an archive into a new folder; after any error the folder does not exist.

    Times and permissions of the entries are not restored.

    Args:
        path: The archive.
        into: The folder to make. It must not exist; its parents are made.
        limits: ZipLimits of the archive.
        advance: Called with the number of bytes just written.

    Returns:
        The MD5 (32 lower-case hexadecimal digits) of each file, by its path below ``into``, with ``/``.

    Raises:
        DamagedError: If it or an entry is damaged.
        CtlymphError: As :class:`SafeZip`; and if ``into`` cannot be written.
    """
    with SafeZip(path, limits) as archive:
        with explained(into):
            into.mkdir(parents=True)
        try:
            return {entry.name: _write(archive, entry, into / entry.name, advance) for entry in archive.entries}
        except BaseException:
            shutil.rmtree(into)
            raise


def _write(archive: SafeZip, entry: ZipEntry, target: Path, advance: Callable[[int], None]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as stream:
            for chunk in archive.chunks(entry):
                stream.write(chunk)
                digest.update(chunk)
                advance(len(chunk))
    return digest.hexdigest()


def _fault_of_name(name: str) -> str | None:
    path = PurePosixPath(name)
    if not name.isprintable() or not path.name:
        return "has a name with characters that cannot be printed, or none"
    if path.is_absolute() or ":" in name:
        return "has an absolute name"
    if ".." in path.parts:
        return "would be written outside its folder"
    if "\\" in name:
        return "has a name with backslashes"
    if any(part != part.rstrip(" .") or part.split(".")[0].rstrip().upper() in _DEVICES for part in path.parts):
        return "has a name that means something else on Windows"
    return None


def _fault_of_kind(info: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG):
        return "is a link or another special file"
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted"
    # Only these two are unpacked in pieces, with little memory.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"is packed by method {info.compress_type}, which is not used for such data"
    return None


@contextmanager
def _readable(path: Path, name: str = "") -> Iterator[None]:
    """Turn errors of :mod:`zipfile` into a :class:`CtlymphError`."""
    try:
        yield
    except OSError as error:
        raise CtlymphError(f"cannot read {path}: {error.strerror or error}; check that it is there") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        fault = shown(error) or "cut short"
        raise DamagedError(path, f"entry '{shown(name)}': {fault}" if name else fault) from error
