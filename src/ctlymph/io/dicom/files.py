"""The files of a DICOM data set: a file, a folder with folders below it, zip archives, a DICOMDIR.

Nothing is unpacked to disk: a member of a zip archive is read in the archive.
Names that begin with a dot, the ``__MACOSX`` folders of archives made on a Mac,
pipes and devices are ignored. Links to folders are not followed.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO, FileIO
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal, Protocol

from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError, shown

PREAMBLE = 128
"""Bytes before the letters ``DICM`` of a DICOM file (PS3.10 section 7.1)."""

_PLAUSIBLE_BYTES, _PLAUSIBLE_RATIO = 1 << 28, 100  # CT is compressed by 2 to 10; padding alone by up to 1000


class ByteSource(Protocol):
    """The bytes of one DICOM object, on disk or in an archive.

    Every method raises a :class:`CtlymphError` that names the file if it cannot be read.
    """

    @property
    def path(self) -> Path:
        """Path of the file; for a member of an archive, its path below that of the archive."""
        ...

    def head(self, count: int) -> tuple[bytes, int]:
        """Return up to ``count`` bytes from the start, and the size of the whole."""
        ...

    def open(self) -> AbstractContextManager[BinaryIO]:
        """Open the object for reading with :mod:`pydicom`."""
        ...

    def read_into(self, offset: int, array: NDArray[Any]) -> int:
        """Fill a C-contiguous array with the bytes from ``offset`` on; return the number of bytes read."""
        ...


@dataclass(frozen=True, slots=True)
class DiskFile:
    """A :class:`ByteSource` on disk."""

    path: Path

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """See :meth:`ByteSource.open`."""
        with _explained(self.path):
            file = self.path.open("rb")
        with file:
            yield file

    def head(self, count: int) -> tuple[bytes, int]:
        """See :meth:`ByteSource.head`."""
        with _explained(self.path), FileIO(self.path) as file:
            return file.read(count), os.fstat(file.fileno()).st_size

    def read_into(self, offset: int, array: NDArray[Any]) -> int:
        """See :meth:`ByteSource.read_into`."""
        with _explained(self.path), FileIO(self.path) as file:
            file.seek(offset)
            return file.readinto(memoryview(array.data).cast("B"))


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A :class:`ByteSource` within an open zip archive; threads may read from one archive at the same time."""

    archive: zipfile.ZipFile
    member: zipfile.ZipInfo

    @property
    def path(self) -> Path:
        """See :attr:`ByteSource.path`."""
        return Path(str(self.archive.filename)) / self.member.filename

    def head(self, count: int) -> tuple[bytes, int]:
        """See :meth:`ByteSource.head`."""
        with _explained(self.path), self.archive.open(self.member) as file:
            return file.read(count), self.member.file_size

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """See :meth:`ByteSource.open`."""
        yield BytesIO(self._read())

    def _read(self) -> bytes:
        with _explained(self.path):
            return self.archive.read(self.member)

    def read_into(self, offset: int, array: NDArray[Any]) -> int:
        """See :meth:`ByteSource.read_into`."""
        target = memoryview(array.data).cast("B")
        part = self._read()[offset : offset + len(target)]
        target[: len(part)] = part
        return len(part)


@contextmanager
def open_files(path: Path) -> Iterator[list[ByteSource]]:
    """Yield every file that may be DICOM below ``path``, in the order of names; archives stay open in the block.

    The files of a folder are all yielded, DICOM or not, and so is a single file
    that is neither a zip archive nor a DICOMDIR.

    Raises:
        CtlymphError: If ``path`` does not exist, a folder or archive cannot be
            read, or a DICOMDIR names a file that is not there.
    """
    with ExitStack() as archives:
        yield list(_sources(path, archives))


def holds_dicom(path: Path) -> bool:
    """Return whether ``path`` is a folder, a zip archive, a DICOMDIR or a DICOM file."""
    return path.is_dir() or _is_zip(path) or _is_dicomdir(path) or starts_as_dicom(DiskFile(path).head(256)[0])


def is_named_as_dicom(source: ByteSource) -> bool:
    """Return whether a file's name has a suffix of DICOM files."""
    return source.path.suffix.lower() in (".dcm", ".dicom", ".ima")


def starts_as_dicom(head: bytes) -> bool:
    """Return whether a file's first bytes (at least 140, unless it is shorter) can be those of a DICOM object.

    The letters ``DICM`` follow the preamble. A data set without preamble is
    accepted, too, if its first element is one of group 2 or 8 with a low number
    and, in explicit VR, a value representation, or a short length.
    """
    if head[PREAMBLE : PREAMBLE + 4] == b"DICM":
        return True
    byte_orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    for byte_order in byte_orders:
        group, element = (int.from_bytes(head[n : n + 2], byte_order) for n in (0, 2))
        length = int.from_bytes(head[4:8], byte_order)
        explicit = head[4:6].isalpha() and head[4:6].isupper()
        if len(head) > 16 and group in (2, 8) and element <= 0x20 and (explicit or length <= 128):
            return True
    return False


def _sources(path: Path, archives: ExitStack) -> Iterator[ByteSource]:
    if not path.exists():
        raise CtlymphError(f"{path} does not exist; check the name")
    if path.is_dir():
        for file in files_below(path):
            yield from _members(file, archives) if file.suffix.lower() == ".zip" else (DiskFile(file),)
    elif path.is_file() and (_is_zip(path) or path.suffix.lower() == ".zip"):
        yield from _members(path, archives)
    elif _is_dicomdir(path):
        yield from _referenced_files(path)
    elif path.is_file():
        yield DiskFile(path)
    else:
        raise CtlymphError(f"{path} is a pipe or a device; save what it gives to a file, and give that")


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and all folders below it, in the order of names; hidden ones are ignored.

    Raises:
        CtlymphError: If a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise CtlymphError(f"cannot read the folder {error.filename}: {error.strerror}; check its permissions")

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not _is_ignored(name))
        files = (Path(parent, name) for name in sorted(names) if not _is_ignored(name))
        yield from (file for file in files if file.is_file() or not file.exists())  # a broken link is not ignored


def _is_ignored(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _is_zip(path: Path) -> bool:
    # Some DICOM files end with bytes like those of a zip archive: the start is checked, too.
    return path.is_file() and DiskFile(path).head(2)[0] == b"PK" and zipfile.is_zipfile(path)


def _is_dicomdir(path: Path) -> bool:
    return path.is_file() and path.name.upper() == "DICOMDIR"


def _members(path: Path, archives: ExitStack) -> Iterator[ByteSource]:
    with _explained(path):
        archive = archives.enter_context(zipfile.ZipFile(path))
    for member in sorted(archive.infolist(), key=lambda member: member.filename):
        if not member.is_dir() and not any(_is_ignored(part) for part in PurePosixPath(member.filename).parts):
            if member.flag_bits & 1:
                raise CtlymphError(f"{path} is locked by a password; unpack it by hand and give the folder")
            if member.file_size > max(_PLAUSIBLE_BYTES, _PLAUSIBLE_RATIO * member.compress_size):
                raise CtlymphError(
                    f"{path / member.filename} would unpack from {member.compress_size >> 20} MiB to"
                    f" {member.file_size >> 20} MiB, as no CT does; unpack it by hand and give the folder"
                )
            yield ZipMember(archive, member)


def _referenced_files(dicomdir: Path) -> Iterator[ByteSource]:
    """Yield the files that the directory records of a DICOMDIR refer to (PS3.3 annex F)."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        with _explained(dicomdir):
            records = pydicom.dcmread(dicomdir).get("DirectoryRecordSequence", ())
    except InvalidDicomError as error:
        raise CtlymphError(f"{dicomdir} is not a DICOM file; give its folder instead") from error
    for record in records:
        file_id = record.get("ReferencedFileID")
        if file_id:
            parts = [file_id] if isinstance(file_id, str) else list(file_id)
            yield DiskFile(_below(dicomdir, parts))


def _below(dicomdir: Path, parts: list[str]) -> Path:
    """Return the path of a file of a disc below its DICOMDIR; a copy of the disc may have names in lower case."""
    place = dicomdir.parent
    for part in parts:
        names = {entry.name.rstrip(".").upper(): entry for entry in place.iterdir()} if place.is_dir() else {}
        found = place / part if (place / part).exists() else names.get(part.upper())
        if found is None:
            raise CtlymphError(
                f"{dicomdir} names {'/'.join(parts)}, which is not there; copy the disc again, or give its folder"
            )
        place = found
    return place


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        remedy = "check its permissions" if isinstance(error, PermissionError) else "check that it is there and whole"
        raise CtlymphError(f"cannot read {path}: {error.strerror or error}; {remedy}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise CtlymphError(f"{path} is damaged ({shown(error)}); fetch the archive again") from error
    except (RuntimeError, NotImplementedError) as error:
        # Raised by zipfile for encrypted members, and for compression methods that it does not know.
        raise CtlymphError(f"cannot unpack {path} ({shown(error)}); unpack it by hand and give the folder") from error
